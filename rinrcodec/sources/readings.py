"""Read one picture with its labels. Errors become part of the result: a `Reading`.

`Series.read` calls this for many pictures, on several threads.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrError, RinrInputError, RinrSourceError
from rinrcodec.formats.checks import check_name
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.picture import Picture
from rinrcodec.sources.images import decode_picture, read_picture_file
from rinrcodec.sources.labels import parse_label_bytes, unreadable
from rinrcodec.storage import may_pass, read_file

__all__ = ["ImageRef", "Reading", "read_image", "with_labels"]

_MOST_LABEL_BYTES = 2**26


@dataclass(frozen=True, slots=True)
class ImageRef:
    """A picture file: its name in the pack (a relative posix path), and its label file if any.

    `label` may name a file that does not exist, which is reported when the picture is read. The
    stamps (`rinrcodec.storage`) are those of the two files when they were found; "" is unknown, or
    the label file not there.
    """

    name: str
    path: Path
    label: Path | None = None
    stamp: str = ""
    label_stamp: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading one picture: the picture, or the error that prevented it.

    digest: SHA-256 in hexadecimal of what was read: the bytes of the picture file (of a frame of a
    video, its pixels) and those of the label file; "" where there is no picture.
    """

    name: str
    picture: Picture | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    digest: str = ""


def read_image(ref: ImageRef, *, limits: Limits = DEFAULT_LIMITS) -> Reading:
    """Read one picture and its labels; an error becomes the reading's `error`.

    Every file is read once, and one that is not as its stamp says is an error. Raises
    `RinrSourceError` where a disk or store fails: that says nothing of the picture.
    """
    data, picture, error = b"", None, None
    try:
        check_name(ref.name, limits)
        data = read_picture_file(ref.path, stamp=ref.stamp, limits=limits)
        picture = decode_picture(data, ref.path, name=ref.name, limits=limits)
    except RinrSourceError:
        raise
    except RinrError as problem:
        error = str(problem)
    reading = with_labels(ref.name, picture, error, data, ref.label, ref.label_stamp, limits)
    if picture is not None and picture.notes:
        notes = tuple(f"{ref.path}: {note}" for note in picture.notes)
        reading = replace(reading, warnings=notes + reading.warnings)
    return reading


def with_labels(
    name: str,
    picture: Picture | None,
    error: str | None,
    data: bytes,
    label: Path | None,
    label_stamp: str,
    limits: Limits,
) -> Reading:
    if picture is None:
        return Reading(name, error=error)
    text = b""
    boxes: tuple[Box, ...] = ()
    warnings: tuple[str, ...] = ()
    if label is not None:
        try:
            text = read_file(label, stamp=label_stamp, most=_MOST_LABEL_BYTES)
        except RinrInputError as problem:  # it has changed
            return Reading(name, error=str(problem))
        except (RinrError, OSError) as problem:
            if isinstance(problem, OSError) and label_stamp and may_pass(label, problem):
                raise RinrSourceError(f"{label}: cannot be read: {_reason(problem)}") from problem
            warnings = (unreadable(label, problem),)
        else:
            boxes, warnings = parse_label_bytes(
                text, width=picture.width, height=picture.height, where=str(label)
            )
        if len(boxes) > limits.max_boxes:
            error = f"{label}: {len(boxes):,} boxes, at most {limits.max_boxes:,}"
            return Reading(name, error=error)
    # With its length in front, no byte of the one can pass for one of the other.
    digest = hashlib.sha256(len(data).to_bytes(8, "little"))
    digest.update(data)
    digest.update(text)
    return Reading(name, replace(picture, boxes=boxes), None, warnings, digest.hexdigest())


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
