"""Boxes in supervision: frames become `Detections`, and `Detections` become a pack.

python docs/examples/supervision_boxes.py PACK OUT
"""

import sys
from pathlib import Path

import numpy as np
import supervision as sv
from PIL import Image

import rinrcodec

pack, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)

with rinrcodec.open(pack) as file:
    boxes, names = file.boxes(0), file.classes
xyxy = [(box.x, box.y, box.x + box.w, box.y + box.h) for box in boxes]
detections = sv.Detections(
    xyxy=np.array(xyxy, np.float32).reshape(-1, 4),
    class_id=np.array([box.class_id for box in boxes], int),
)
image = rinrcodec.imread(pack, 0, bgr=True)
drawn = sv.BoxAnnotator(thickness=1).annotate(image.copy(), detections)
Image.fromarray(drawn[:, :, ::-1]).save(out / "detections.png")

again = rinrcodec.encode(
    [image], bgr=True, boxes=[detections.xyxy], class_ids=[detections.class_id], box_format="xyxy",
    classes=names,
)  # fmt: skip
rinrcodec.save(again, out / "again.rinr")
