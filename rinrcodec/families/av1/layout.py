"""The layout of a spec of `av1` and of a row, checked before a decoder sees them. No PyAV.

A row is an AV1 low-overhead bitstream (section 5.2 of the AV1 specification): temporal units, of
which each shows one frame. Written to a file `row.obu`, an AV1 player shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rinrcodec.boxes import Region
from rinrcodec.errors import RinrFormatError
from rinrcodec.families.checks import check_sizes
from rinrcodec.pack import GroupInfo, Spec

__all__ = [
    "MOST_ATLAS_PIXELS",
    "MOST_FRAMES",
    "PIXEL_FORMATS",
    "SHRINKS",
    "check",
    "check_whole",
    "coded_size",
    "most_atlas_pixels",
    "pixel_format",
    "row_spec",
    "shrink_of",
    "stream_bytes",
    "temporal_units",
]

MOST_FRAMES = 64  # of a row
# Of an atlas; that of one larger object has as many as it.
MOST_ATLAS_PIXELS = 2**18
ROW_FORMAT = 1
SHRINKS = (1, 2, 4)  # divisors of the width and height of backgrounds
_REFERENCES = 8  # frames that a stream may refer to

# (chroma, bits) of a spec -> the pixel format that FFmpeg decodes such a stream to.
PIXEL_FORMATS = {
    ("400", 8): "gray",
    ("400", 10): "gray10le",
    ("420", 8): "yuv420p",
    ("420", 10): "yuv420p10le",
    ("444", 8): "yuv444p",
    ("444", 10): "yuv444p10le",
}

# Types of open bitstream units (section 6.2.2).
_TEMPORAL_DELIMITER = 2
_FRAME_HEADERS = (3, 6)  # OBU_FRAME_HEADER and OBU_FRAME


def row_spec(channels: int, chroma: str, bits: int, shrink: int = 1) -> Spec:
    """Return the spec of rows.

    Args:
        channels: 3 for RGB, 1 for grey.
        chroma: Subsampling of the stream: "400", "420" or "444".
        bits: Bits of a sample, 8 or 10.
        shrink: Divisor of the width and height of frames, one of `SHRINKS`.
    """
    smaller = {} if shrink == 1 else {"shrink": shrink}
    return Spec.of("av1", out=channels, chroma=chroma, bits=bits, rows=ROW_FORMAT, **smaller)


def shrink_of(spec: Spec) -> int:
    """Return the divisor of the width and height of frames: 1 where the spec has no `shrink`."""
    return int(dict(spec.config).get("shrink", 1))


def coded_size(spec: Spec, size: tuple[int, int]) -> tuple[int, int]:
    """Return the width and height of the coded picture of a frame: divided and rounded up."""
    width, height = (-(-side // shrink_of(spec)) for side in size)
    return width, height


def check(info: GroupInfo) -> None:
    """Raise `RinrFormatError` unless the rows of a group can be decoded."""
    spec = info.spec
    names = {name for name, _ in spec.config}
    if names - {"shrink"} != {"bits", "chroma", "out", "rows"}:
        raise RinrFormatError(
            f"the av1 spec {spec.to_json()}: expected bits, chroma, out, rows and optionally shrink"
        )
    if spec["rows"] != ROW_FORMAT or isinstance(spec["rows"], float):
        raise RinrFormatError(
            f"the av1 spec {spec.to_json()}: this version reads rows of format {ROW_FORMAT}; a "
            "newer rinrcodec may read others"
        )
    if spec["out"] not in (1, 3) or isinstance(spec["out"], float):
        raise RinrFormatError(f"the av1 spec {spec.to_json()}: expected out of 1 or 3")
    if (spec["chroma"], spec["bits"]) not in PIXEL_FORMATS or isinstance(spec["bits"], float):
        raise RinrFormatError(
            f"the av1 spec {spec.to_json()}: expected chroma of 400, 420 or 444, and bits of 8 "
            "or 10"
        )
    if spec["out"] == 3 and spec["chroma"] == "400":
        raise RinrFormatError(f"the av1 spec {spec.to_json()}: RGB from a stream without chroma")
    if "shrink" in names and (
        spec["shrink"] not in SHRINKS[1:] or isinstance(spec["shrink"], float)
    ):
        raise RinrFormatError(f"the av1 spec {spec.to_json()}: expected shrink of 2 or 4")
    check_sizes(info, ())
    if not info.coded:
        raise RinrFormatError(f"a group of the spec {spec.to_json()} has no coded bytes")
    if info.shared:
        raise RinrFormatError(
            f"a group of the spec {spec.to_json()} has {len(info.shared)} shared bytes: "
            "expected none"
        )


def check_whole(spec: Spec) -> None:
    """Raise `RinrFormatError` if a spec of objects has `shrink`."""
    if shrink_of(spec) != 1:
        raise RinrFormatError(f"objects of the av1 spec {spec.to_json()}: expected no shrink")


def most_atlas_pixels(regions: Iterable[Region]) -> int:
    """Return how many pixels an atlas may have in which these objects are."""
    return max(MOST_ATLAS_PIXELS, *(region.area for region in regions))


def stream_bytes(spec: Spec, pixels: int, n_frames: int) -> int:
    """Return how many bytes a decoder of a row has at most for its frames and their planes.

    Args:
        spec: A checked spec.
        pixels: Pixels of a frame.
        n_frames: How many frames are decoded. A stream may refer to eight, and each may come with
            one that is not shown.
    """
    samples = {"400": 1.0, "420": 1.5, "444": 3.0}[str(spec["chroma"])]
    held = min(2 * n_frames, _REFERENCES) + 3
    # The fourth part on top: motion vectors, and borders of the frame.
    return int(pixels * samples * (2 if spec["bits"] == 10 else 1) * held * 1.25)


def pixel_format(spec: Spec) -> str:
    """Return FFmpeg's name of what the streams of a checked spec decode to."""
    return PIXEL_FORMATS[str(spec["chroma"]), int(spec["bits"])]


def temporal_units(row: bytes) -> list[bytes]:
    """Cut a row into temporal units, each of which shows one frame.

    Raises:
        RinrFormatError: The bytes are no such stream, a unit has no frame, or there are more
            frames than shown ones need: a frame that is coded but not shown is shown later, by
            another header.
    """
    starts: list[int] = []
    n_headers: list[int] = []  # of every temporal unit
    for kind, start in _obus(row):
        if kind == _TEMPORAL_DELIMITER:
            starts.append(start)
            n_headers.append(0)
        elif not starts:
            raise RinrFormatError("a row of AV1 does not begin with a temporal delimiter")
        n_headers[-1] += kind in _FRAME_HEADERS
    if not 1 <= len(starts) <= MOST_FRAMES:
        raise RinrFormatError(
            f"a row of AV1 has {len(starts)} temporal units: expected 1 to {MOST_FRAMES}"
        )
    if 0 in n_headers:
        raise RinrFormatError(
            f"temporal unit {n_headers.index(0)} of a row of AV1 has no frame header: expected "
            "one frame in every unit"
        )
    if sum(n_headers) > 2 * len(starts):
        raise RinrFormatError(
            f"a row of AV1 has {sum(n_headers)} frame headers in {len(starts)} temporal units: "
            "expected at most two for each"
        )
    ends = [*starts[1:], len(row)]
    return [row[start:end] for start, end in zip(starts, ends, strict=True)]


def _obus(row: bytes) -> Iterator[tuple[int, int]]:
    """Yield the type and the first byte of every open bitstream unit (section 5.3)."""
    position = 0
    while position < len(row):
        start, header = position, row[position]
        has_extension, has_size = header >> 2 & 1, header >> 1 & 1
        if header >> 7 or not has_size:
            raise RinrFormatError(f"byte {start} of a row of AV1 begins no unit with a size")
        size, position = _leb128(row, start + 1 + has_extension)
        position += size
        if position > len(row):
            raise RinrFormatError(
                f"a unit of {size} bytes at byte {start} of a row of AV1 ends beyond the row of "
                f"{len(row)} bytes"
            )
        yield header >> 3 & 15, start


def _leb128(row: bytes, position: int) -> tuple[int, int]:
    """Read the number at a position, 7 bits a byte; also return the position after it.

    See section 4.10.5.
    """
    value = 0
    for k, byte in enumerate(row[position : position + 8]):
        value |= (byte & 127) << 7 * k
        if byte < 128:
            return value, position + k + 1
    raise RinrFormatError(f"the size at byte {position} of a row of AV1 does not end")
