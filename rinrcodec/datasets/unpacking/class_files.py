"""The files of a decompressed data set that name its classes: `data.yaml` and `classes.txt`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rinrcodec.datasets.packs import PackFiles
from rinrcodec.datasets.unpack import Job, Unpacking
from rinrcodec.errors import RinrFormatError
from rinrcodec.labels.info import classes_of, differing_class, kpt_shape_of, names_by_id
from rinrcodec.labels.losses import LabelFormat
from rinrcodec.sources.yaml_keys import other_keys

__all__ = ["class_list", "output_yaml"]


def output_yaml(
    packs: PackFiles, jobs: list[Job], kind: LabelFormat | None, out: Path, work: Unpacking
) -> dict[str, Any]:
    """Return the data yaml of the output; nothing where there is none.

    YOLO labels are numbers, so names must be somewhere, also where the source was no data yaml.
    """
    if packs.data is not None:
        data: dict[str, Any] = {split: f"images/{split}" for split in packs.splits}
        if packs.data.get("names"):
            data["names"] = packs.data["names"]
        if kind == "yolo":
            work.lost_labels += _other_names(jobs, names_by_id(packs.data.get("names")))
        return {**data, **other_keys(packs.data)}
    if kind != "yolo":
        return {}
    keys = {"names", "kpt_shape"}
    jobs = [job for job in jobs if _is_understood(job.info)]
    found = {tuple(sorted((key, job.info[key]) for key in keys & job.info.keys())) for job in jobs}
    if found <= {()}:
        return {}
    if len(found) > 1:
        work.lost_labels.append(
            f"{jobs[0].path.parent}: packs have different class names, so one class id of the "
            "labels means several classes; decompress them one by one, or with `labels='coco'`"
        )
        return {}
    work.warnings.append(
        f"{out / 'data.yaml'}: train and val are the same pictures, {out / 'images'}; split them "
        "before you train"
    )
    data = {"train": "images", "val": "images"}
    if names := classes_of(jobs[0].info):
        data["names"] = names
    if shape := kpt_shape_of(jobs[0].info):
        data["kpt_shape"] = list(shape)
    return data


def _other_names(jobs: list[Job], known: dict[int, str]) -> list[str]:
    """Return at most one message about a class with several names, in the yaml and the packs."""
    for job in jobs:
        names = classes_of(job.info) if _is_understood(job.info) else {}
        number = differing_class(known, names)
        if number is not None:
            return [
                f"{job.path}: different class names: class {number} is {names[number]!r} here, and "
                f"{known[number]!r} in the data yaml or another pack; decompress packs one by one, "
                "or with `labels='coco'`"
            ]
        known = {**names, **known}
    return []


def _is_understood(info: Mapping[str, str]) -> bool:
    """Return whether a pack says what its labels are; else each of its frames reports it."""
    try:
        classes_of(info)
        kpt_shape_of(info)
    except RinrFormatError:
        return False
    return True


def class_list(jobs: list[Job], kind: LabelFormat | None) -> str:
    """Return the text of `classes.txt` for Pascal VOC, which restores the order of class ids."""
    if kind != "voc":
        return ""
    found = {tuple(classes_of(job.info).values()) for job in jobs if _is_understood(job.info)}
    if len(found) != 1:
        return ""
    (names,) = found
    kept = all(name.strip() == name and len(name.splitlines()) == 1 for name in names)
    return "".join(f"{name}\n" for name in names) if kept else ""
