"""Packs in WebDataset: a tar of `.rinr` files, one frame each, and what decodes them.

python docs/examples/webdataset_decoder.py FILES SHARD.tar

`rinrcodec compress frames -o FILES --layout files` writes a file for every frame.
"""

import sys
from pathlib import Path

import webdataset as wds

import rinrcodec


def decode_rinr(key, data):
    """Pixels uint8 [3, H, W] and boxes of a member of the tar; None for those of other kinds."""
    if not key.endswith(".rinr"):
        return None
    with rinrcodec.open(data) as file:
        return file[0], file.boxes(0)


folder, tar = Path(sys.argv[1]), sys.argv[2]
with wds.TarWriter(tar) as writer:
    for path in sorted(folder.rglob("*.rinr")):
        writer.write({"__key__": path.stem, "rinr": path.read_bytes()})

for sample in wds.WebDataset(Path(tar).resolve().as_uri(), shardshuffle=False).decode(decode_rinr):
    pixels, boxes = sample["rinr"]
    print(sample["__key__"], tuple(pixels.shape), len(boxes), "boxes")
