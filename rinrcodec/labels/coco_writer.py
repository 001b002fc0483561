"""COCO: frames of packs back to one JSON file. `decompress` calls this.

Records wait in a temporary file until all are there, since ids that are new must not be those of
later ones.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrFormatError
from rinrcodec.labels.coco import nested_track
from rinrcodec.labels.fields import compact, short
from rinrcodec.labels.info import classes_of, kpt_shape_of
from rinrcodec.labels.outlines import area_of
from rinrcodec.pack import Frame
from rinrcodec.storage import make_folder, storage_of
from rinrcodec.strict_json import parse_json

__all__ = ["CocoWriter"]

_MOST_NAMED = 65_536
_SEEN = 2  # the visibility of a keypoint that has none, as YOLO's of two numbers


class CocoWriter:
    """Writes the COCO file of a data set, frame by frame; a context.

    Ids stay as the source had them. Frames and boxes without an id, or with one that is taken, get
    new ones.

    Args:
        path: The file to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warnings: list[str] = []
        self._spool: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by the context)
        self._rest: dict[str, Any] | None = None
        self._differs = False
        self._categories = _Categories(self.warnings)
        self._image_ids: set[int | str] = set()
        self._box_ids: set[int | str] = set()

    def __enter__(self) -> CocoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._spool.close()

    def add(self, frame: Frame, file_name: str, info: Mapping[str, str]) -> None:
        """Take in a frame: `record` and `take`."""
        self.take(self.record(frame, file_name, info))

    def record(self, frame: Frame, file_name: str, info: Mapping[str, str]) -> bytes:
        """Make the record of a frame, which `take` adds to the file once the picture is written.

        Args:
            frame: A frame with its boxes.
            file_name: Of its picture, relative to the folder of all pictures.
            info: That of its pack.

        Raises:
            RinrFormatError: What the pack says of its classes is damaged.
        """
        known = _known(info)
        rest = {key: value for key, value in known.items() if key != "categories"}
        if self._rest is None:
            self._rest = rest
        elif rest != self._rest and not self._differs:
            self._differs = True
            self.warnings.append(
                f"{self.path}: packs have different info or licenses; those of the first are kept"
            )
        ids = self._categories.ids(known, info, {box.class_id for box in frame.boxes})
        own = {"file_name": file_name, "width": frame.width, "height": frame.height}
        image = _with_id(frame.attributes, self._image_ids) | own
        boxes = [
            _with_id(box.attributes, self._box_ids) | _annotation(box, ids[box.class_id])
            for box in frame.boxes
        ]
        return compact([image, boxes]).encode()

    def take(self, record: bytes) -> None:
        """Add a record that `record` made."""
        self._spool.write(record + b"\n")

    def finish(self) -> None:
        """Write the file."""
        new_image, new_box = _new_ids(self._image_ids), _new_ids(self._box_ids)
        image_ids: list[int | str] = []

        def images() -> Iterator[dict[str, Any]]:
            for image, _ in self._records():
                image_id = image.pop("id", None)
                image_ids.append(next(new_image) if image_id is None else image_id)
                yield {"id": image_ids[-1], **image}

        def annotations() -> Iterator[dict[str, Any]]:
            for number, (_, boxes) in enumerate(self._records()):
                for box in boxes:
                    box_id = box.pop("id", None)
                    box_id = next(new_box) if box_id is None else box_id
                    yield {"id": box_id, "image_id": image_ids[number], **box}

        make_folder(self.path.parent)
        with storage_of(self.path).new_file(self.path) as file:
            file.write(b"{")
            for key, value in (self._rest or {}).items():
                file.write(f"{compact(key)}:{compact(value)},\n".encode())
            file.write(f'"categories":{compact(self._categories.records())},\n'.encode())
            for key, records in (("images", images()), ("annotations", annotations())):
                file.write(f'"{key}":['.encode())
                for number, record in enumerate(records):
                    file.write((",\n" if number else "\n").encode() + compact(record).encode())
                file.write(b"],\n" if key == "images" else b"]}\n")

    def _records(self) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        self._spool.seek(0)
        for line in self._spool:
            image, boxes = json.loads(line)
            yield image, boxes


class _Categories:
    """The categories of all packs, of which some may have the same ids for others."""

    def __init__(self, warnings: list[str]) -> None:
        self._by_id: dict[int, dict[str, Any]] = {}
        self._known: dict[tuple[str, str], dict[int, int]] = {}
        self._warnings = warnings

    def ids(
        self, known: Mapping[str, Any], info: Mapping[str, str], used: set[int]
    ) -> Mapping[int, int]:
        """Return the category id of each class of a pack."""
        key = (info.get("coco", ""), info.get("names", ""))
        if key not in self._known:
            self._known[key] = self._from_pack(known, info)
        ids = self._known[key]
        for class_id in sorted(used - ids.keys()):
            record = {"id": class_id + 1, "name": f"class_{class_id}"}
            ids[class_id] = self._put(_with_keypoints(record, info), self._names())
        return ids

    def records(self) -> list[dict[str, Any]]:
        """Return all categories, in order of their ids."""
        return [self._by_id[i] for i in sorted(self._by_id)]

    def _from_pack(self, known: Mapping[str, Any], info: Mapping[str, str]) -> dict[int, int]:
        names = classes_of(info)
        records = known.get("categories")
        if records is None:
            records = [{"id": i + 1, "name": name} for i, name in names.items()][:_MOST_NAMED]
            records = [_with_keypoints(record, info) for record in records]
        if not isinstance(records, list) or not all(map(_is_category, records)):
            raise RinrFormatError("its categories are no list of ids and names")
        records = sorted(records, key=lambda record: int(record["id"]))
        before = self._names()
        ids = [self._put(record, before) for record in records]
        if not names or [record["name"] for record in records] == list(names.values()):
            return dict(enumerate(ids))
        # Classes have the order of a data yaml.
        by_name = {record["name"]: i for record, i in zip(records, ids, strict=True)}
        for name in names.values():
            if name not in by_name:
                new = max([0, *self._by_id]) + 1
                by_name[name] = self._put(_with_keypoints({"id": new, "name": name}, info), before)
        return {class_id: by_name[name] for class_id, name in names.items()}

    def _names(self) -> dict[str, int]:
        return {record["name"]: i for i, record in self._by_id.items()}

    def _put(self, record: dict[str, Any], before: Mapping[str, int]) -> int:
        """Take in a category and return its id.

        The id of an earlier pack with the same name comes first, then its own, unless it is taken.
        """
        wanted, name = int(record["id"]), record["name"]
        taken = self._by_id.get(wanted)
        if taken is not None and taken["name"] == name:
            return wanted
        if name in before:
            return before[name]
        new = wanted if taken is None else max(self._by_id) + 1
        if taken is not None:
            self._warnings.append(
                f"category {wanted} is {taken['name']!r} in one pack and {name!r} in another; the "
                f"second one gets the id {new}"
            )
        self._by_id[new] = {**record, "id": new}
        return new


def _known(info: Mapping[str, str]) -> dict[str, Any]:
    """Return the keys of the source's file other than its pictures and annotations."""
    if "coco" not in info:
        return {}
    try:
        known = parse_json(info["coco"])
    except ValueError as error:
        raise RinrFormatError(f"its COCO entry is not JSON: {info['coco'][:80]!r}") from error
    if not isinstance(known, dict) or known.keys() & {"images", "annotations"}:
        raise RinrFormatError(f"its COCO entry is not as it should be: {info['coco'][:80]!r}")
    return known


def _is_category(record: Any) -> bool:
    known = isinstance(record, dict) and type(record.get("id")) is int
    return known and isinstance(record.get("name"), str)


def _with_keypoints(record: dict[str, Any], info: Mapping[str, str]) -> dict[str, Any]:
    """Return a category with as many keypoints as the labels of its pack have."""
    shape = kpt_shape_of(info)
    if shape is None:
        return record
    names = [f"keypoint_{i + 1}" for i in range(shape[0])]
    return {**record, "keypoints": names, "skeleton": []}


def _with_id(attributes: Mapping[str, Any], taken: set[int | str]) -> dict[str, Any]:
    """Return the attributes, without an id that another record has."""
    fields = dict(attributes)
    given = fields.get("id")
    if isinstance(given, (int, str)) and not isinstance(given, bool) and given not in taken:
        taken.add(given)
    else:
        fields.pop("id", None)
    return fields


def _new_ids(taken: set[int | str]) -> Iterator[int]:
    """Yield ids above all that are taken, from 1: evaluation takes 0 for none."""
    return count(max([0, *(one for one in taken if isinstance(one, int))]) + 1)


def _annotation(box: Box, category_id: int) -> dict[str, Any]:
    """Return the fields of an annotation; those that its attributes have do not change."""
    given = box.attributes
    fields: dict[str, Any] = {
        "category_id": category_id,
        "bbox": [short(value) for value in (box.x, box.y, box.w, box.h)],
    }
    if box.polygons:
        fields["segmentation"] = [_shorts(polygon) for polygon in box.polygons]
    if "area" not in given:
        fields["area"] = short(sum(map(area_of, box.polygons)) if box.polygons else box.w * box.h)
    if "iscrowd" not in given:
        fields["iscrowd"] = int(box.crowd)
    if box.keypoints:
        points = [(x, y, *(v or [_SEEN if x or y else 0])) for x, y, *v in box.keypoints]
        fields["keypoints"] = _shorts([value for point in points for value in point])
        if "num_keypoints" not in given:
            fields["num_keypoints"] = sum(v > 0 for _, _, v in points)
    if box.score is not None:
        fields["score"] = short(box.score)
    if box.track_id is not None and nested_track(given) is None and "track_id" not in given:
        fields["track_id"] = box.track_id
    if box.difficult:
        fields["difficult"] = 1
    return fields


def _shorts(values: Sequence[float]) -> list[float | int]:
    return [short(value) for value in values]
