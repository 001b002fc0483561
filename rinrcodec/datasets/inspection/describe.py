"""The data of `info`: the content of `.rinr` files, where their bytes go, and earlier runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rinrcodec.datasets.inspection.runs import by_manifest, folder_as_json, read_manifests
from rinrcodec.datasets.packs import list_packs
from rinrcodec.errors import RinrError, RinrFormatError, reason
from rinrcodec.formats import PackReader
from rinrcodec.labels.info import classes_of
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import Frame

__all__ = ["Description", "describe"]


@dataclass(frozen=True, slots=True)
class Description:
    """A description of sources as JSON.

    folders: one item for every manifest. packs: one for every file that was opened. bad: what is
    wrong, by the file or source it is about.
    """

    folders: list[dict[str, Any]] = field(default_factory=list)
    packs: list[dict[str, Any]] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)


def describe(
    sources: Sequence[Path],
    *,
    files: bool = False,
    frames: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Description:
    """Describe packs, folders of them, and data yamls that `compress` wrote.

    files: open every pack, also of folders whose manifest describes them. frames: list the frames
    of every pack too, which are opened then.
    """
    opened: dict[str, Path] = {}
    folders: dict[str, dict[str, Any]] = {}
    bad: dict[str, str] = {}
    for source in sources:
        packs, problems = list_packs([source])
        try:
            manifests, unusable = read_manifests(source)
            bad.update(unusable)
            inside, outside = by_manifest(manifests, packs)
            for manifest in manifests:
                name = str(manifest.path)
                folders[name] = folder_as_json(manifest, inside[name])
        except OSError as error:
            manifests, outside = [], packs
            problems[str(source)] = reason(source, error)
        if manifests:
            problems.pop(str(source), None)  # that there is no pack says less
        opened.update({str(file): file for file in (packs if files or frames else outside)})
        bad.update(problems)
    items = []
    for name, file in opened.items():
        try:
            with PackReader(file, limits=limits) as reader:
                items.append(_pack_as_json(reader, file, frames=frames))
        except (RinrError, OSError) as error:
            bad[name] = reason(file, error)
    return Description(list(folders.values()), items, bad)


def _pack_as_json(reader: PackReader, file: Path, *, frames: bool) -> dict[str, Any]:
    header, sizes = reader.header, reader.sizes()
    description: dict[str, Any] = {
        "file": str(file),
        "bytes": sizes.file,
        "payload": sizes.payload,
        "boxes": sizes.boxes,
        "metadata": sizes.metadata,
        "overhead": sizes.overhead,
        "frames": reader.n_frames,
        "first_frame": {"width": header.width, "height": header.height, "mode": header.mode},
        "info": dict(reader.info),
        "groups": [
            {
                "spec": group.spec.to_json(),
                "family": group.spec.family,
                "bits": group.bits,
                "inrs": group.n_rows,
                "weights": group.n_params,
                "coded": group.coded,
                "raw_bytes": reader.row_bytes(number) + len(group.shared),
            }
            for number, group in enumerate(reader.groups)
        ],
    }
    if frames:
        boxes: Counter[int] = Counter()
        description["frame_list"] = []
        for frame in reader.all_frames():
            boxes.update(box.class_id for box in frame.boxes)
            description["frame_list"].append(_frame_as_json(frame))
        description["class_boxes"] = _by_name(boxes, reader.info)
    return description


def _by_name(boxes: Mapping[int, int], info: Mapping[str, str]) -> dict[str, int]:
    """Return how many boxes each class has, by its name, or by its id where it has none."""
    try:
        names = classes_of(info)
    except RinrFormatError:
        names = {}
    found: Counter[str] = Counter()  # two classes may have one name
    for class_id, number in sorted(boxes.items()):
        found[names.get(class_id, str(class_id))] += number
    return dict(found)


def _frame_as_json(frame: Frame) -> dict[str, Any]:
    return {
        "name": frame.name,
        "width": frame.width,
        "height": frame.height,
        "mode": frame.mode,
        "boxes": len(frame.boxes),
        "object_inrs": sum(inr is not None for inr in frame.objects),
        "labelled": frame.labelled,
    }
