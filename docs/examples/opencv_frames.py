"""Frames in OpenCV: read one, draw its boxes, and make a pack of what OpenCV has read.

python docs/examples/opencv_frames.py PACK OUT
"""

import sys
from pathlib import Path

import cv2

import rinrcodec

pack, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)

image = rinrcodec.imread(pack, 0, bgr=True)  # as cv2.imread would return it
with rinrcodec.open(pack) as file:
    frame, classes = file.frame(0), file.classes
for box in frame.boxes:
    corner, end = (int(box.x), int(box.y)), (int(box.x + box.w), int(box.y + box.h))
    cv2.rectangle(image, corner, end, (0, 255, 0), 2)
    cv2.putText(image, classes.get(box.class_id, "?"), corner, cv2.FONT_HERSHEY_PLAIN, 1, (0, 0, 0))
cv2.imwrite(str(out / "boxes.png"), image)

# The way back: pictures of OpenCV are BGR, and boxes may be an array of class, x, y, w, h.
read = cv2.imread(str(out / "boxes.png"))
again = rinrcodec.encode([read], boxes=[[[0, 4, 4, 10, 10]]], classes=["car"], bgr=True)
rinrcodec.save(again, out / "again.rinr")
