"""The COCO file of a data set: what it is, its classes, and the part that concerns each picture.

`sources.coco_source` calls this, and finds the pictures.
"""

from __future__ import annotations

import json
import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rinrcodec.errors import RinrInputError
from rinrcodec.labels.coco import CocoReader
from rinrcodec.labels.fields import compact, storable
from rinrcodec.labels.model import Task
from rinrcodec.strict_json import unique_keys
from rinrcodec.text_limits import MOST_CLASS_NAME, MOST_CLASSES

__all__ = ["CocoFile", "CocoPicture", "load_coco"]

_MOST_INFO_BYTES = 2**20  # of what every pack holds of the whole data set
_LISTS = ("images", "annotations", "categories")
_INDEX_HINT = "give the COCO file of the data set, with its images, annotations and categories"


@dataclass(slots=True)
class CocoPicture:
    """An image record with its annotations, as they are in the file.

    lost: why they cannot be used, where that is so.
    """

    file_name: str
    record: dict[str, Any]
    annotations: list[dict[str, Any]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def data(self, name: str) -> bytes:
        """Return the bytes that `CocoReader` parses for a frame of that name."""
        record = self.record
        if record.get("file_name") == name:
            record = {key: value for key, value in record.items() if key != "file_name"}
        part: dict[str, Any] = {"name": self.file_name, "image": record}
        part["annotations"] = self.annotations
        if self.lost:
            part["lost"] = self.lost
        return json.dumps(part, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class CocoFile:
    """A COCO file.

    Attributes:
        pictures: What it has of each picture, in its order.
        categories: The categories, in order of their ids, which is that of the classes.
        kpt_shape: Of its keypoints; None where it has none, or categories differ.
        task: What its annotations are for.
        info: All but pictures and annotations, as JSON.
        warnings: Messages about the file.
        lost_labels: Messages about annotations that belong to none of the pictures.
    """

    pictures: tuple[CocoPicture, ...]
    categories: tuple[dict[str, Any], ...]
    kpt_shape: tuple[int, int] | None
    task: Task
    info: str
    warnings: tuple[str, ...]
    lost_labels: tuple[str, ...] = ()

    @property
    def names(self) -> dict[int, str]:
        """The names of the classes."""
        return {i: category["name"] for i, category in enumerate(self.categories)}

    def reader(self, names: Mapping[int, str] | None = None) -> CocoReader:
        """Build the reader of its pictures.

        Args:
            names: Class names by class id that somebody else has set; None takes `names`.

        Raises:
            RinrInputError: A category that annotations use is not among the names.
        """
        ids = {name: i for i, name in sorted((names or {}).items(), reverse=True)}
        wanted = (a.get("category_id") for one in self.pictures for a in one.annotations)
        used = {category for category in wanted if isinstance(category, int)}
        classes = []
        for i, category in enumerate(self.categories):
            class_id = ids.get(category["name"]) if names else i
            if class_id is not None:
                classes.append((category["id"], class_id, len(category.get("keypoints") or ())))
            elif category["id"] in used:
                raise RinrInputError(
                    f"category {category['name']!r} is not among the names of the data yaml; add "
                    "it there, or remove its annotations"
                )
        return CocoReader(tuple(classes))


def load_coco(data: bytes, where: str) -> CocoFile:
    """Read a COCO file.

    Raises:
        RinrInputError: It is no such file; the message names what it looks like.
    """
    try:
        # Numbers and depth are checked label by label, so that one does not lose all.
        content = json.loads(data, object_pairs_hook=unique_keys)
    except RecursionError:
        raise RinrInputError(f"{where}: not JSON: too many lists inside each other") from None
    except ValueError as error:
        raise RinrInputError(f"{where}: not JSON: {error}") from error
    if other := _other_format(content):
        raise RinrInputError(f"{where}: {other}")
    warnings: list[str] = []
    categories = _categories(content["categories"], where)
    pictures, by_id = _pictures(content["images"], where, warnings)
    lost_labels: list[str] = []
    shaped = _attach(content["annotations"], by_id, where, warnings, lost_labels)
    counts = {len(one["keypoints"]) for one in categories if one.get("keypoints")}
    if len(counts) > 1:
        warnings.append(
            f"{where}: categories have {', '.join(map(str, sorted(counts)))} keypoints; packs keep "
            "them, but YOLO needs the same number for all classes"
        )
    kpt_shape = (counts.pop(), 3) if len(counts) == 1 else None
    return CocoFile(
        tuple(pictures),
        tuple(categories),
        kpt_shape,
        "pose" if kpt_shape else "segment" if shaped else "detect",
        _info(content, categories, where, warnings),
        tuple(warnings),
        tuple(lost_labels),
    )


def _other_format(content: Any) -> str | None:
    """Name the format of a JSON file that is not a COCO file of objects; else return None."""
    if isinstance(content, list):
        first = content[0] if content and isinstance(content[0], dict) else {}
        return _other_list(first)
    if not isinstance(content, dict):
        return f"a JSON {type(content).__name__}; {_INDEX_HINT}"
    if content.get("kind") == "rinrcodec manifest":
        return "the manifest of a folder of packs; give the folder to decompress, info or verify"
    known = {
        "shapes": "LabelMe file of one picture; convert them to COCO with labelme2coco",
        "_via_img_metadata": "VIA project; export it as COCO",
        "features": "GeoJSON file; convert it to COCO",
        "frames": "JSON file of frames; export COCO instead",
    }
    for key, text in known.items():
        if key in content and "annotations" not in content:
            return f"a {text}"
    if any(isinstance(v, dict) and "regions" in v and "filename" in v for v in content.values()):
        return "a VIA file; export it as COCO"
    missing = [key for key in _LISTS if not isinstance(content.get(key), list)]
    if missing == ["annotations"] and "annotations" not in content:
        return (
            "a COCO file without annotations, as of a test set; give the folder of the pictures "
            "with `labels='none'`"
        )
    if missing:
        keys = ", ".join(map(repr, list(content)[:5])) or "none"
        return f"no COCO file: no list {' and '.join(missing)}, its keys are {keys}; {_INDEX_HINT}"
    first = next((one for one in content["annotations"] if isinstance(one, dict)), {})
    if "segments_info" in first:
        return "a COCO panoptic file; give the instances file of the data set"
    if "caption" in first and "bbox" not in first:
        return "a COCO captions file; give the instances file of the data set"
    if "bboxes" in first or "segmentations" in first:
        return "a file of video tracks (YouTube-VIS); convert it to COCO with a box per picture"
    return None


def _other_list(first: Mapping[str, Any]) -> str:
    if "image_id" in first:
        return (
            "COCO results, which list detections and no pictures; give the COCO file of the data "
            "set. To keep detections, add them as its annotations, with score"
        )
    if "data" in first or "completions" in first:
        return "a Label Studio export; export it as COCO instead"
    if "Labeled Data" in first or "data_row" in first:
        return "a Labelbox export; convert it to COCO"
    if "image" in first and "annotations" in first:
        return "a CreateML file; convert it to COCO"
    if "labels" in first and "name" in first:
        return "BDD100K labels; convert them to COCO"
    return f"a JSON list; {_INDEX_HINT}"


def _categories(records: Sequence[Any], where: str) -> list[dict[str, Any]]:
    """Return the categories in order of their ids."""
    ids: set[int] = set()
    if len(records) > MOST_CLASSES:
        raise RinrInputError(f"{where}: {len(records):,} categories, at most {MOST_CLASSES:,}")
    for i, record in enumerate(records):
        at = f"{where}: category {i + 1} of {len(records)}"
        if not isinstance(record, dict) or type(record.get("id")) is not int:
            raise RinrInputError(f"{at}: {str(record)[:80]}, expected an id that is a whole number")
        if not isinstance(record.get("name"), str):
            raise RinrInputError(f"{at}: id {record['id']} has no name")
        if len(record["name"]) > MOST_CLASS_NAME:
            raise RinrInputError(f"{at}: a name of more than {MOST_CLASS_NAME:,} characters")
        if record["id"] in ids:
            raise RinrInputError(f"{at}: id {record['id']} is a duplicate; make the ids unique")
        keypoints = record.get("keypoints") or []
        if not isinstance(keypoints, list):
            raise RinrInputError(f"{at}: keypoints {str(keypoints)[:60]}, expected a list of names")
        ids.add(record["id"])
    return sorted(records, key=lambda record: int(record["id"]))


def _pictures(
    records: Sequence[Any], where: str, warnings: list[str]
) -> tuple[list[CocoPicture], dict[int | str, list[CocoPicture]]]:
    """Return the pictures, and those of each id; an id should have one."""
    pictures: list[CocoPicture] = []
    by_id: dict[int | str, list[CocoPicture]] = {}
    by_name: dict[str, CocoPicture] = {}
    for i, record in enumerate(records):
        at = f"{where}: image {i + 1} of {len(records)}"
        if not isinstance(record, dict) or type(record.get("id")) not in (int, str):
            raise RinrInputError(f"{at}: {str(record)[:80]}, expected a record with an id")
        name = record.get("file_name")
        if name is None and isinstance(record.get("coco_url"), str):  # LVIS
            name = posixpath.basename(record["coco_url"])
        if not isinstance(name, str) or not name:
            raise RinrInputError(f"{at}: id {record['id']} has no file_name")
        one = CocoPicture(name, record)
        if (first := by_name.get(name)) is not None:
            if first.record == record:
                warnings.append(f"{at}: the same record of {name} as before; one is kept")
                continue
            ids = f"{first.record['id']!r} and {record['id']!r}"
            first.lost.append(f"two image records, ids {ids}; its labels are left out")
            by_id.setdefault(record["id"], []).append(first)
            continue
        by_name[name] = one
        pictures.append(one)
        by_id.setdefault(record["id"], []).append(one)
    for image_id, several in by_id.items():
        if len(several) > 1:
            others = f"the image id {image_id!r} is that of {len(several)} pictures"
            for one in several:
                one.lost.append(f"{others}; its labels are left out")
    return pictures, by_id


def _attach(
    annotations: Sequence[Any],
    by_id: Mapping[int | str, list[CocoPicture]],
    where: str,
    warnings: list[str],
    lost_labels: list[str],
) -> bool:
    """Give the pictures their annotations; return whether one has an outline."""
    shaped = False
    unknown: list[Any] = []
    ids: Counter[Any] = Counter()
    for i, annotation in enumerate(annotations):
        if not isinstance(annotation, dict):
            raise RinrInputError(
                f"{where}: annotation {i + 1}: {str(annotation)[:80]}, expected a record"
            )
        image_id = annotation.get("image_id")
        pictures = by_id.get(image_id) if isinstance(image_id, (int, str)) else None
        if not pictures:
            unknown.append(annotation)
            continue
        shaped = shaped or bool(annotation.get("segmentation"))
        if isinstance(annotation.get("id"), (int, str)):
            ids[annotation["id"]] += 1
        # Those of several pictures would be wrong for all but one; these are `lost`.
        if len(pictures) == 1 and not pictures[0].lost:
            pictures[0].annotations.append(annotation)
    if unknown:
        first = unknown[0]
        lost_labels.append(
            f"{where}: {len(unknown):,} annotations are of images that it does not list, such as "
            f"annotation {first.get('id')!r} of image {first.get('image_id')!r}; they are left out"
        )
    twice = [one for one, count in ids.items() if count > 1]
    if twice:
        warnings.append(
            f"{where}: {len(twice):,} annotation ids are duplicates, such as {twice[0]!r}; all "
            "annotations are kept, and get new ids when they are written again"
        )
    return shaped


def _info(
    content: Mapping[str, Any],
    categories: Sequence[Mapping[str, Any]],
    where: str,
    warnings: list[str],
) -> str:
    """Return everything but pictures and annotations, as JSON that a pack can hold."""
    try:
        compact(categories)
    except (ValueError, RecursionError) as error:
        raise RinrInputError(f"{where}: categories that JSON cannot hold: {error}") from error
    rest = {k: v for k, v in content.items() if k not in _LISTS}
    kept = storable({"categories": list(categories), **rest}, where, warnings.append)
    for key in sorted(rest.keys() & kept.keys(), key=lambda key: -len(compact(kept[key]))):
        if len(compact(kept)) <= _MOST_INFO_BYTES:
            break
        del kept[key]
        warnings.append(f"{where}: {key!r} is too long for a pack to hold; it is left out")
    if len(compact(kept)) > _MOST_INFO_BYTES:
        raise RinrInputError(
            f"{where}: its categories take {len(compact(kept)):,} bytes, at most "
            f"{_MOST_INFO_BYTES:,}; shorten their other fields"
        )
    return compact(kept)
