"""Packs in FiftyOne: pictures and COCO labels, which it imports.

python docs/examples/fiftyone_import.py PACKS OUT
"""

import sys
from pathlib import Path

import fiftyone as fo

import rinrcodec

packs, out = sys.argv[1], Path(sys.argv[2])
rinrcodec.decompress(packs, out, labels="coco", overwrite=True)
dataset = fo.Dataset.from_dir(
    dataset_type=fo.types.COCODetectionDataset,
    data_path=str(out / "images"),
    labels_path=str(out / "annotations.json"),
)
print(dataset)
# session = fo.launch_app(dataset)
