"""Read one picture with its labels. Errors become part of the result: a `Reading`.

`Series.read` calls this for many pictures, on several threads.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from rinrcodec.errors import RinrError, RinrInputError, RinrMemoryError, RinrSourceError
from rinrcodec.formats.checks import check_name
from rinrcodec.labels.model import LabelReader, Labels
from rinrcodec.labels.yolo import YoloReader, not_read
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.picture import Picture
from rinrcodec.sources.images import decode_picture, read_picture_file
from rinrcodec.sources.pictures.depth import DepthRange
from rinrcodec.storage import may_pass, read_file, storage_of
from rinrcodec.text_limits import MOST_LABEL_BYTES

__all__ = ["YOLO", "ImageRef", "Reading", "read_image", "with_labels"]

YOLO = YoloReader()  # of a single picture


@dataclass(frozen=True, slots=True)
class ImageRef:
    """A picture file: its name in the pack (a relative posix path), and its label file if any.

    `label` may name a file that does not exist, which is reported when the picture is read. The
    stamps (`rinrcodec.storage`) are those of the two files when they were found; "" is unknown, or
    the label file not there. `label_data` is the part of a label file that concerns the picture,
    where one file has the labels of many; `label_stamp` is then a hash of it. `listed` is False
    where `label` has the labels of other pictures, and says nothing of this one.
    """

    name: str
    path: Path
    label: Path | None = None
    stamp: str = ""
    label_stamp: str = ""
    label_data: bytes | None = None
    listed: bool = True

    @property
    def has_label(self) -> bool:
        """Whether there is a label, perhaps one that cannot be read, such as a broken link."""
        if self.label_stamp or self.label_data is not None:
            return True
        label = self.label if self.listed else None
        return label is not None and storage_of(label).has_native_paths and os.path.lexists(label)


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading one picture: the picture, or the error that prevented it.

    digest: SHA-256 in hexadecimal of what was read: the bytes of the picture file (of a frame of a
    video, its pixels) and those of the label file; "" where there is no picture. lost: one message
    for each label that could not be understood, the picture is then not `labelled`; after the last
    frame of a video, also about labels of frames that it does not have.
    """

    name: str
    picture: Picture | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    digest: str = ""
    lost: tuple[str, ...] = ()


def read_image(
    ref: ImageRef,
    *,
    reader: LabelReader = YOLO,
    depth_range: DepthRange | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Reading:
    """Read one picture and its labels; an error becomes the reading's `error`.

    Every file is read once, and one that is not as its stamp says is an error. Raises
    `RinrSourceError` where a disk or store fails, and `RinrMemoryError` where memory runs out: that
    says nothing of the picture.
    """
    data, picture, error = b"", None, None
    try:
        check_name(ref.name, limits)
        data = read_picture_file(ref.path, stamp=ref.stamp, limits=limits)
        picture = decode_picture(
            data, ref.path, name=ref.name, depth_range=depth_range, limits=limits
        )
    except (RinrSourceError, RinrMemoryError):
        raise
    except RinrError as problem:
        error = str(problem)
    if picture is None:
        return Reading(ref.name, error=error)
    reading = with_labels(picture, data, ref, reader, limits)
    if picture.notes:
        notes = tuple(f"{ref.path}: {note}" for note in picture.notes)
        reading = replace(reading, warnings=notes + reading.warnings)
    return reading


def with_labels(
    picture: Picture, data: bytes, ref: ImageRef, reader: LabelReader, limits: Limits
) -> Reading:
    """Add the labels of a picture that was read from `data`.

    ref: says where the labels are; its picture file is not read. Raises `RinrSourceError` where a
    disk or store fails.
    """
    text, labels = b"", Labels()
    if ref.label_data is not None:
        text = ref.label_data
    elif ref.label is not None and ref.listed:
        try:
            text = read_file(ref.label, stamp=ref.label_stamp, most=MOST_LABEL_BYTES)
        except RinrInputError as problem:  # it has changed
            return Reading(ref.name, error=str(problem))
        except (RinrError, OSError) as problem:
            missing = isinstance(problem, FileNotFoundError)
            passing = isinstance(problem, OSError) and may_pass(ref.label, problem)
            if passing and ref.label_stamp and not missing:
                raise RinrSourceError(
                    f"{ref.label}: cannot be read: {_reason(problem)}"
                ) from problem
            labels = not_read(ref.label, problem)
    if text:
        labels = reader.parse(text, size=(picture.width, picture.height), where=str(ref.label))
    if len(labels.boxes) > limits.max_boxes:
        error = f"{ref.label}: {len(labels.boxes):,} boxes, at most {limits.max_boxes:,}"
        return Reading(ref.name, error=error)
    # With its length in front, no byte of the one can pass for one of the other.
    digest = hashlib.sha256(len(data).to_bytes(8, "little"))
    digest.update(data)
    digest.update(text)
    if not labels.complete:  # as one that cannot be read is not the same as an empty one
        digest.update(b"\0")
    picture = replace(
        picture,
        boxes=labels.boxes,
        labelled=labels.complete and ref.listed,
        attributes=labels.attributes,
    )
    return Reading(ref.name, picture, None, labels.warnings, digest.hexdigest(), labels.lost)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
