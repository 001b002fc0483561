"""Checks of a frame and of a group, for both the writer and the reader."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rinrcodec.errors import RinrError, RinrFormatError, RinrInputError
from rinrcodec.limits import Limits
from rinrcodec.memory import is_out_of_memory, memory_error
from rinrcodec.pack import Cell, Frame, GroupInfo, InrRef, Rows, code_dtype
from rinrcodec.printing import printable

__all__ = [
    "check_frame",
    "check_group",
    "check_name",
    "check_rows",
    "check_scales",
    "check_values",
    "naming",
]

_U32 = 2**32 - 1
_INFINITE = "a scale is infinite or not a number"
_EXPONENT = np.uint16(0x7F80)  # of a bfloat16; all ones are infinities and NaNs
_MOST_OF_CELL = Cell(2**8 - 1, 2**16 - 1, 2**16 - 1)


@contextmanager
def naming(name: str | os.PathLike[str]) -> Iterator[None]:
    """Put the file's name before the message of any error raised inside, unless it is there.

    A `RinrInputError` of the data model means here that the file holds such data. A lack of memory
    says nothing of the file, and is a `RinrMemoryError`.
    """
    try:
        yield
    except RinrInputError as error:
        raise RinrFormatError(f"{name}: {error}") from error
    except RinrError as error:
        if str(error).startswith(f"{printable(name)}: "):
            raise  # of a reader that is used while another one names the same file
        raise type(error)(f"{name}: {error}") from error
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise memory_error(error, f"{name}: reading or writing it") from error


def check_name(name: str, limits: Limits) -> bytes:
    """Return the name as UTF-8 if it is safe to use below an output folder.

    Both separators count on every system, so that a pack made on one is safe on all.
    """
    try:
        encoded = name.encode()
    except UnicodeEncodeError as error:
        raise RinrFormatError(f"the frame name {name!r} is not valid Unicode") from error
    limits.check("max_name_bytes", len(encoded), f"bytes of the frame name {name[:40]!r}...")
    if not name or "\0" in name:
        raise RinrFormatError(f"the frame name {name!r} is empty or has a NUL character")
    path = PureWindowsPath(name)
    if path.drive or path.root:
        raise RinrFormatError(f"the frame name {name!r} is absolute: names must be relative")
    if ".." in path.parts:
        raise RinrFormatError(f"the frame name {name!r} has '..', it would leave its folder")
    return encoded


def check_frame(frame: Frame, groups: Sequence[GroupInfo], limits: Limits) -> None:
    """Raise `RinrFormatError` or `RinrLimitError` if a file cannot hold `frame`."""
    what = f"frame {frame.name[:80]!r}"
    if not (1 <= frame.width <= _U32 and 1 <= frame.height <= _U32):
        raise RinrFormatError(f"{what} has the size {frame.width} x {frame.height}")
    limits.check("max_pixels", frame.width * frame.height, f"pixels of {what}")
    limits.check("max_boxes", len(frame.boxes), f"boxes of {what}")
    if frame.mode not in ("L", "RGB"):
        raise RinrFormatError(f"{what} has the colour mode {frame.mode!r}: expected 'L' or 'RGB'")
    if not math.isfinite(frame.time):
        raise RinrFormatError(f"{what} has the time {frame.time}")
    source = (*frame.source_size, frame.source_bytes)
    if not (len(source) == 3 and min(source) >= 0 and max(source[:2]) <= _U32):
        raise RinrFormatError(f"{what} has the source size {frame.source_size}")
    if frame.source_bytes >= 2**63:
        raise RinrFormatError(f"{what} has a source of {frame.source_bytes} bytes")
    for block in (frame.metadata.exif, frame.metadata.icc, frame.metadata.xmp):
        limits.check("max_metadata_bytes", len(block), f"metadata bytes of {what}")
    _check_ref(frame.background, groups, what)
    for box, inr in zip(frame.boxes, frame.objects, strict=True):
        if box.class_id > _U32:
            raise RinrFormatError(f"{what} has a box of class {box.class_id}")
        if inr is None:
            continue
        _check_ref(inr.inr, groups, what)
        if inr.mode not in ("residual", "direct"):
            raise RinrFormatError(f"{what} has an object INR of mode {inr.mode!r}")
        if not _is_float32(inr.gain):
            raise RinrFormatError(f"{what} has the gain {inr.gain}, which is no finite float32")
        if not all(0 <= v <= most for v, most in zip(inr.cell, _MOST_OF_CELL, strict=True)):
            raise RinrFormatError(f"{what} has an object INR with the cell {tuple(inr.cell)}")
        if not box.region(frame.width, frame.height).area:
            raise RinrFormatError(f"{what} has an object INR for {box}, which covers no pixel")


def _is_float32(value: float) -> bool:
    with np.errstate(over="ignore"):
        return math.isfinite(value) and float(np.float32(value)) == value


def _check_ref(ref: InrRef, groups: Sequence[GroupInfo], what: str) -> None:
    if not 0 <= ref.group < len(groups):
        raise RinrFormatError(f"{what} refers to group {ref.group} of {len(groups)}")
    if not 0 <= ref.row < groups[ref.group].n_rows:
        raise RinrFormatError(
            f"{what} refers to row {ref.row} of group {ref.group}, "
            f"which has {groups[ref.group].n_rows} rows"
        )


def check_group(group: GroupInfo, limits: Limits) -> None:
    """Raise `RinrFormatError` or `RinrLimitError` if a file cannot hold such a group."""
    spec = group.spec.to_json()
    what = f"group {spec[:80]}"
    limits.check("max_spec_bytes", len(spec), f"bytes of the spec of {what}")
    code_dtype(group.bits)
    limits.check("max_params", group.n_params, f"weights of one INR of {what}")
    limits.check("max_scales", group.n_scales, f"scales of one INR of {what}")
    limits.check("max_chunk_bytes", len(group.shared), f"shared bytes of {what}")
    if not 0 <= group.n_rows <= _U32:
        raise RinrFormatError(f"{what} has {group.n_rows} rows")
    if group.n_rows and not (group.n_params or group.n_scales or group.coded):
        raise RinrFormatError(f"{what} has {group.n_rows:,} rows without weights")


def check_rows(rows: Rows, group: GroupInfo) -> None:
    """Raise `RinrFormatError` unless `rows` hold weights of `group`'s shape and bits."""
    shape = (len(rows.codes), group.n_params)
    if rows.codes.shape != shape or rows.scales.shape != (shape[0], group.n_scales):
        raise RinrFormatError(
            f"codes {rows.codes.shape} and scales {rows.scales.shape}, expected {shape} and "
            f"{(shape[0], group.n_scales)}"
        )
    if rows.codes.dtype != code_dtype(group.bits) or rows.scales.dtype != np.float32:
        raise RinrFormatError(
            f"codes are {rows.codes.dtype} and scales {rows.scales.dtype}, "
            f"expected {code_dtype(group.bits).__name__} and float32"
        )
    if len(rows.coded) != (shape[0] if group.coded else 0):
        raise RinrFormatError(f"{len(rows.coded)} coded items for {shape[0]} rows")
    check_values(rows.codes, group)
    if not np.isfinite(rows.scales).all():
        raise RinrFormatError(_INFINITE)


def check_values(codes: NDArray[Any], group: GroupInfo) -> None:
    """Raise `RinrFormatError` unless all quantised weights fit the bits of their group."""
    if group.bits in (8, 16) or not codes.size:
        return
    least, most = int(codes.min()), int(codes.max())
    bound = 1 << (group.bits - 1)
    if not -bound <= least <= most < bound:
        raise RinrFormatError(f"weights from {least} to {most} do not fit {group.bits} bits")


def check_scales(scales: NDArray[np.uint16]) -> None:
    """Raise `RinrFormatError` where scales, stored as bfloat16, have an infinity or a NaN."""
    if (scales & _EXPONENT == _EXPONENT).any():
        raise RinrFormatError(_INFINITE)
