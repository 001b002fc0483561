"""Packs in Hugging Face datasets: an image column, and a folder for `imagefolder`.

python docs/examples/hugging_face.py PACK OUT
"""

import json
import sys
from pathlib import Path

from datasets import Dataset, load_dataset
from PIL import Image

import rinrcodec


def rows(pack):
    """Yield a row for every frame, with boxes as (x, y, width, height) in pixels."""
    with rinrcodec.open(pack) as file:
        for index, pixels in enumerate(file):
            boxes = file.boxes(index)
            objects = {
                "bbox": [[box.x, box.y, box.w, box.h] for box in boxes],
                "category": [box.class_id for box in boxes],
            }
            image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
            yield {"image": image, "name": file.names()[index], "objects": objects}


pack, out = sys.argv[1], Path(sys.argv[2])
dataset = Dataset.from_generator(rows, gen_kwargs={"pack": pack}, cache_dir=str(out / "cache"))
print(dataset)

rinrcodec.decompress(pack, out / "images")
lines = [
    {"file_name": str(Path(row["name"]).with_suffix(".png")), "objects": row["objects"]}
    for row in dataset
]
(out / "images" / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
print(load_dataset("imagefolder", data_dir=str(out / "images"), cache_dir=str(out / "cache")))

# The way back: any image column.
again = rinrcodec.encode(list(dataset["image"]), preset="fast")
rinrcodec.save(again, out / "again.rinr")
