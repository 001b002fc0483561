"""One small data set for each task of Ultralytics, as packs and as the pictures they hold."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np

import rinrcodec
from rinrcodec.labels.model import TASKS

from .conftest import put_picture

KEYPOINTS = 3
# More keys of a data yaml, by task.
KEYS = {"pose": f"kpt_shape: [{KEYPOINTS}, 3]\nflip_idx: [0, 2, 1]\n"}
BOX, OTHER = "0 0.500000 0.500000 0.200000 0.200000\n", "1 0.250000 0.750000 0.100000 0.200000\n"
SQUARE = "0 0.400000 0.400000 0.600000 0.400000 0.600000 0.600000 0.400000 0.600000\n"
# The same class and rectangle as the square.
TURNED = "0 0.500000 0.400000 0.600000 0.500000 0.500000 0.600000 0.400000 0.500000\n"
POINTS = "0.450000 0.450000 2 0.550000 0.450000 1 0.000000 0.000000 0\n"
POSE = f"{BOX.strip()} {POINTS}"


def odd_labels(task: str) -> dict[str, str | bytes]:
    """Label files that Ultralytics changes or leaves out, or that compress cannot understand."""
    row = {"segment": SQUARE, "obb": SQUARE, "pose": POSE}.get(task, BOX)
    labels: dict[str, str | bytes] = {
        "empty": "",
        "good": row,
        "twice": row + "1" + row[1:] + row,
        "class": "9" + row[1:],
        "over": row.replace("0.600000", "1.005000").replace("0.550000", "1.005000"),
        "below": row.replace("0.400000", "-0.005000").replace("0.450000", "-0.005000"),
        "beyond": row.replace("0.600000", "1.200000").replace("0.550000", "1.200000"),
        "bytes": row.encode() + b"# caf\xe9\n",
        "word": "car" + row[1:],
        "columns": row.strip() + " 0.5 0.5 0.5\n",
        "shifted": "0 0.000000 0.980000 0.300000 0.300000" + row[37:],
    }
    if task in ("segment", "obb"):
        labels |= {"distinct": SQUARE + TURNED, "repeated": TURNED + SQUARE + TURNED}
        del labels["shifted"]
    if task == "segment":
        labels["mixed"] = SQUARE + OTHER
    return labels


def train_labels(task: str, index: int) -> str:
    """Up to three objects at random; a picture in four has none."""
    draw = np.random.default_rng(index)
    rows = []
    for _ in range(index % 4):
        cx, cy = draw.uniform(0.3, 0.7, 2)
        w, h = draw.uniform(0.1, 0.5, 2)
        values = [cx, cy, w, h]
        turn = draw.uniform(0, math.pi)
        n = {"obb": 4, "segment": int(draw.integers(3, 9)), "pose": KEYPOINTS}.get(task, 0)
        angles = [turn + 2 * math.pi * k / n for k in range(n)]
        points = [(cx + w / 2 * math.cos(a), cy + h / 2 * math.sin(a)) for a in angles]
        if task in ("segment", "obb"):
            values = [value for point in points for value in point]
        words = [f"{value:.6f}" for value in values]
        if task == "pose":
            words += [f"{x:.6f} {y:.6f} {draw.integers(1, 3)}" for x, y in points]
        rows.append(" ".join([str(draw.integers(2)), *words]) + "\n")
    return "".join(rows)


def put_task_sets(root: Path) -> None:
    """Write `root/TASK/packs` and `root/TASK/png`, with the label files of the source."""
    for task in TASKS:
        folder = root / task
        for i in range(20):
            put_picture(folder / "source", f"train/s{i % 2}/{i:06d}", train_labels(task, i), i)
        for i, (name, labels) in enumerate(odd_labels(task).items()):
            put_picture(folder / "source", f"val/{name}", labels, i)
        data = "train: images/train\nval: images/val\nnames: {0: person, 1: car}\n"
        yaml = folder / "source" / "data.yaml"
        yaml.write_text(data + KEYS.get(task, ""))
        options = {"preset": "fast", "steps": 4, "device": "cpu", "shard_size": 11, "task": task}
        made = rinrcodec.compress(yaml, folder / "packs", **options)  # type: ignore[arg-type]
        assert made.failures == ()
        done = rinrcodec.decompress(folder / "packs", folder / "png", labels=True)
        assert done.failures == ()
        for form in ("packs", "png"):
            written = (folder / form / "data.yaml").read_text()
            if "kpt_shape" not in written:
                (folder / form / "data.yaml").write_text(written + KEYS.get(task, ""))
        shutil.rmtree(folder / "png/labels")
        shutil.copytree(folder / "source/labels", folder / "png/labels")
