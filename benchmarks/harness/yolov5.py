"""A YOLOv5 with the weights of its release, as a detector of `rinrcodec.evaluation.accuracy`.

Ultralytics builds the layers 0 to 23. The head of YOLOv5 is ours, since that of Ultralytics'
`yolov5n.yaml` is another one: three convolutions with three anchors a cell, and 85 values an
anchor (centre, size, objectness, and the scores of 80 classes).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.accuracy import CONFIDENCE, Detections

__all__ = ["YoloV5"]

STRIDES = (8, 16, 32)
SIZE = 640  # of the longer side
FILL = 114 / 255
VALUES = 85
# Of Ultralytics' validation. It gives up after some time, and a busy machine may take longer.
VALIDATION = {"conf_thres": 0.001, "iou_thres": 0.6, "multi_label": True, "max_det": 300}
SHOWN = {"conf_thres": CONFIDENCE, "iou_thres": 0.45, "agnostic": True}
PATIENCE_S = 600.0


class YoloV5:
    """YOLOv5n on the CPU or a GPU, one picture at a time."""

    def __init__(self, weights: Path, *, device: str = "cpu") -> None:
        os.environ.setdefault("YOLO_OFFLINE", "true")
        from ultralytics.nn.tasks import DetectionModel

        state = torch.load(weights, map_location="cpu", weights_only=True)
        tensors = {name: value.float() for name, value in state.get("state_dict", state).items()}
        model = DetectionModel("yolov5n.yaml", verbose=False)
        trunk = {n: v for n, v in tensors.items() if not n.startswith("model.24.")}
        lost = model.load_state_dict(trunk, strict=False)
        missing = [name for name in lost.missing_keys if not name.startswith("model.24.")]
        if missing or lost.unexpected_keys:
            raise RinrInputError(f"{weights}: not the layers of yolov5n.yaml ({missing[:3]})")
        model.eval().fuse(verbose=False)
        self._device = torch.device(device)
        # On a CPU, convolutions take a third less time in this layout.
        self._layers: Any = model.model[:-1].to(self._device, memory_format=torch.channels_last)
        self._head = [
            (tensors[f"model.24.m.{i}.weight"], tensors[f"model.24.m.{i}.bias"]) for i in range(3)
        ]
        self._head = [(w.to(self._device), b.to(self._device)) for w, b in self._head]
        self._anchors = tensors["model.24.anchors"].to(self._device)  # in cells

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Return what it finds, with scores from 0.001 on."""
        return [self._detect(picture, VALIDATION) for picture in pictures]

    def boxes(self, picture: NDArray[np.uint8]) -> tuple[Box, ...]:
        """Return what it would show, in whole pixels, as labels to encode with."""
        found = self._detect(picture, SHOWN)
        height, width = picture.shape[:2]
        corners = np.clip(np.rint(found.boxes), 0, [width, height, width, height])
        return tuple(
            Box(int(class_id), x, y, right - x, bottom - y)
            for class_id, (x, y, right, bottom) in zip(found.classes, corners.tolist(), strict=True)
            if right > x and bottom > y
        )

    @torch.inference_mode()
    def _detect(self, picture: NDArray[np.uint8], options: dict[str, Any]) -> Detections:
        from ultralytics.utils.nms import non_max_suppression

        height, width = picture.shape[:2]
        pixels = torch.from_numpy(picture.copy()).to(self._device)
        image = pixels.permute(2, 0, 1)[None].float() / 255
        scale = SIZE / max(height, width)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        if inner != (height, width):
            image = functional.interpolate(
                image, inner, mode="bilinear", antialias=scale < 1, align_corners=False
            )
        rows, columns = ((-side) % STRIDES[-1] for side in inner)
        top, left = rows // 2, columns // 2
        image = functional.pad(image, (left, columns - left, top, rows - top), value=FILL).clamp(
            0, 1
        )
        (found,) = non_max_suppression(
            self._candidates(self._features(image)), max_time_img=PATIENCE_S, **options
        )
        boxes = found[:, :4] - torch.tensor([left, top, left, top], device=self._device)
        sides = torch.tensor([inner[1], inner[0]] * 2, device=self._device)
        boxes = boxes / sides * torch.tensor([width, height] * 2, device=self._device)
        boxes = boxes.clamp(min=0).minimum(torch.tensor([width, height] * 2, device=self._device))
        return Detections(
            boxes.cpu().numpy().astype(np.float32),
            found[:, 4].cpu().numpy().astype(np.float32),
            found[:, 5].cpu().numpy().astype(np.int64),
        )

    def _features(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Return the outputs of the layers 17, 20 and 23, which the head looks at."""
        outputs: list[torch.Tensor] = []
        value: Any = image.contiguous(memory_format=torch.channels_last)
        for layer in self._layers:
            if layer.f != -1:
                sources = [layer.f] if isinstance(layer.f, int) else layer.f
                taken = [value if source == -1 else outputs[source] for source in sources]
                value = taken[0] if isinstance(layer.f, int) else taken
            value = layer(value)
            outputs.append(value)
        return [outputs[number] for number in (17, 20, 23)]

    def _candidates(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return boxes and scores of all anchors: [1, 84, n], as `non_max_suppression` takes them.

        With s, the sigmoid of the output: centre (2 s - 0.5 + cell) stride, size (2 s)^2 anchor.
        """
        parts = []
        for feature, (weight, bias), anchors, stride in zip(
            features, self._head, self._anchors, STRIDES, strict=True
        ):
            s = functional.conv2d(feature, weight, bias).sigmoid()
            _, _, height, width = s.shape
            s = s.view(3, VALUES, height, width)
            cells = torch.stack(
                torch.meshgrid(
                    torch.arange(width, device=s.device),
                    torch.arange(height, device=s.device),
                    indexing="xy",
                )
            )
            centres = (2 * s[:, 0:2] - 0.5 + cells) * stride
            sizes = (2 * s[:, 2:4]) ** 2 * anchors[:, :, None, None] * stride
            scores = s[:, 5:] * s[:, 4:5]
            part = torch.cat([centres, sizes, scores], 1)
            parts.append(part.permute(1, 0, 2, 3).reshape(1, VALUES - 1, -1))
        return torch.cat(parts, 2)
