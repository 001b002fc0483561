"""Labels that a user gives with `--labels`, where they are not YOLO's.

`open_source` asks `other_labels` first; None leaves the labels to it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from rinrcodec.errors import RinrInputError, RinrUsageError
from rinrcodec.sources.annotations.coco import with_coco
from rinrcodec.sources.annotations.voc import with_voc, with_voc_file
from rinrcodec.sources.source import Source
from rinrcodec.storage import Listing, file_or_folder

__all__ = ["other_labels"]

# Text files of labelling tools that are no labels of a picture.
_LISTS = {"classes.txt", "labelmap.txt", "predefined_classes.txt", "labels.txt", "readme.txt"}


def other_labels(path: Path, listing: Listing) -> Callable[[Source], Source] | None:
    """Return a function that adds the labels at a path to a source.

    Returns None if it is a folder of YOLO labels.

    Raises:
        RinrUsageError: There is nothing.
        RinrInputError: There are no labels that can be read.
    """
    kind = file_or_folder(path)
    suffix = path.suffix.lower()
    if kind is None:
        raise RinrUsageError(
            f"{path}: no such folder of labels, nor a file; give auto, none, a folder or a file"
        )
    if kind == "file":
        if suffix == ".json":
            return partial(with_coco, path=path)
        if suffix == ".xml":
            return partial(with_voc_file, path=path)
        raise RinrInputError(
            f"{path}: labels in a {suffix or 'nameless'} file; give a folder of YOLO or Pascal VOC "
            "labels, or a COCO .json file"
        )
    files = [item for item in listing.add(path) if item[0].name.lower() not in _LISTS]
    suffixes = [file.suffix.lower() for file, _ in files]
    if ".xml" in suffixes and ".txt" in suffixes:
        raise RinrInputError(
            f"{path}: has {suffixes.count('.xml'):,} .xml and {suffixes.count('.txt'):,} .txt "
            "files; give a folder that has either Pascal VOC or YOLO labels"
        )
    if ".xml" in suffixes:
        return partial(with_voc, path=path, files=files)
    jsons = [file for file, _ in files if file.suffix.lower() == ".json"]
    if jsons and ".txt" not in suffixes:
        raise RinrInputError(
            f"{path}: has no YOLO or Pascal VOC labels; if {jsons[0].name} is a COCO file, give "
            f"it: `labels='{jsons[0]}'`"
        )
    return None
