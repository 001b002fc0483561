"""AV1 streams: libaom through Pillow and SVT-AV1 through PyAV write them, dav1d through PyAV reads.

All three run on one thread: the same frames give the same bytes, and rows are spread over cores.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rinrcodec.compute.scheduling import usual_priority
from rinrcodec.errors import RinrFormatError, RinrInputError
from rinrcodec.families.av1.colour import Planes
from rinrcodec.families.av1.layout import pixel_format, temporal_units
from rinrcodec.pack import Spec
from rinrcodec.targets import Tune

__all__ = [
    "LARGEST_SIDE",
    "SMALLEST_SIDE",
    "RowDecoder",
    "check_number",
    "encode_still",
    "encode_stills",
    "encode_video",
]

LARGEST_SIDE = 65_536  # of an AV1 frame
SMALLEST_SIDE = 8  # of a frame that SVT-AV1 takes: it fails for some of 4x4

_LOSSLESS = 100  # the quality
# Numbers of ITU-T H.273 and FFmpeg.
_BT601 = (5, 6)
_FULL_RANGE = 2

_ADVANCED = {
    # Without the directional filter, which libaom leaves out of stills, rows take 2 % more.
    "psnr": {"tune": "psnr", "enable-cdef": "1"},
    # libaom's tune for the quality that people see: it keeps edges and textures, as detectors need.
    "accuracy": {"tune": "iq"},
}


def encode_still(
    pixels: NDArray[np.uint8], *, quality: int, speed: int, tune: Tune = "psnr"
) -> bytes:
    """Encode a picture as a row of one frame, with libaom.

    Args:
        pixels: uint8 [h, w], or RGB [h, w, 3].
        quality: 0 to 100, as of AVIF files with the same tune.
        speed: 0, the slowest, to 10.
        tune: What the bits are spent for: the least error, or what a detector sees.

    Raises:
        RinrInputError: A side is longer than AV1 allows, or the libaom of this Pillow is too old.
    """
    return encode_stills([pixels], quality=quality, speed=speed, tune=tune)


def encode_stills(
    pictures: Sequence[NDArray[np.uint8]], *, quality: int, speed: int, tune: Tune = "psnr"
) -> bytes:
    """Encode pictures of one size as one row, with libaom; each is predicted from those before.

    Args:
        pictures: As of `encode_still`.
        quality: As of `encode_still`.
        speed: As of `encode_still`.
        tune: As of `encode_still`.

    Raises:
        RinrInputError: As `encode_still`.
    """
    import av
    from PIL import Image

    first, *others = (Image.fromarray(pixels) for pixels in pictures)
    height, width = pictures[0].shape[:2]
    if max(height, width) > LARGEST_SIDE:
        raise RinrInputError(
            f"a picture of {width}x{height}: AV1 takes sides of up to {LARGEST_SIDE} pixels"
        )
    if quality == _LOSSLESS:
        tune = "psnr"  # libavif refuses other tunes here
    file = io.BytesIO()
    try:
        first.save(
            file,
            "AVIF",
            save_all=bool(others),
            append_images=others,
            quality=quality,
            speed=speed,
            subsampling="4:0:0" if pictures[0].ndim == 2 else "4:4:4",
            range="full",
            codec="aom",
            max_threads=1,
            advanced=_ADVANCED[tune],
        )
    except ValueError as error:
        if tune == "psnr":
            raise
        raise RinrInputError(
            f"tune {tune!r} needs the libaom of a newer Pillow ({error}): pip install -U pillow, "
            "or ask for the tune 'psnr'"
        ) from error
    file.seek(0)
    with av.open(file) as container:
        # A file of several pictures has the first one twice: alone, then with the others.
        stream = container.streams.video[-1]
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
    return b"".join(packets)


def encode_video(frames: Sequence[Planes], *, crf: int, preset: int) -> bytes:
    """Encode frames as one row that begins with a key frame, with SVT-AV1.

    Args:
        frames: Planes as of `to_planes`, all of one size.
        crf: 1, the best, to 63.
        preset: 0, the slowest, to 13.
    """
    import av

    # Users need not see what it prints about itself. It reads this once.
    os.environ.setdefault("SVT_LOG", "1")
    height, width = frames[0][0].shape
    encoder = av.CodecContext.create("libsvtav1", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p10le"
    encoder.time_base, encoder.framerate = Fraction(1, 30), Fraction(30)
    encoder.color_range, encoder.colorspace = _FULL_RANGE, _BT601[1]
    encoder.gop_size = len(frames)
    encoder.options = {
        "preset": str(preset),
        "crf": str(crf),
        "svtav1-params": f"lp=1:tune=1:keyint={len(frames)}",
    }
    with usual_priority():
        encoder.open()
    packets = []
    for number, planes in enumerate(frames):
        frame = av.VideoFrame(width, height, "yuv420p10le")
        for target, plane in zip(frame.planes, planes, strict=True):
            lines = np.zeros((target.height, target.line_size // 2), np.uint16)
            lines[:, : plane.shape[1]] = plane
            target.update(lines.tobytes())
        frame.pts, frame.time_base = number, encoder.time_base
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return b"".join(bytes(packet) for packet in packets)


class RowDecoder:
    """The frames of a row, decoded one after the other with dav1d.

    Everything that a stream says about itself is compared with the spec and the size of the frame.

    position: the number of the next frame.

    Args:
        spec: The spec of the row, which the family has checked.
        row: Its coded bytes.
        size: The width and height that every frame must have; None where any will do.
        most_pixels: Of a frame, where any size will do.

    Raises:
        RinrFormatError: The row is no stream of temporal units, or has too many frames.
    """

    def __init__(
        self, spec: Spec, row: bytes, size: tuple[int, int] | None, *, most_pixels: int = 0
    ) -> None:
        import av

        self._units = temporal_units(row)
        self._format = pixel_format(spec)
        self._size = size
        self._context: Any = av.CodecContext.create("libdav1d", "r")
        self._context.thread_count = 1
        # A larger frame is refused before memory is taken for it.
        self._context.options = {"max_pixels": str(size[0] * size[1] if size else most_pixels)}
        self.position = 0

    @property
    def n_frames(self) -> int:
        """Return the number of frames of the row."""
        return len(self._units)

    def read(self) -> Planes:
        """Decode the next frame: its planes, uint8 or uint16 [h, w] each.

        Raises:
            RinrFormatError: The frame is damaged, or is not what the spec says.
        """
        import av

        unit = self._units[self.position]
        try:
            frames = self._context.decode(av.Packet(unit))
            if self.position == self.n_frames - 1:
                frames += self._context.decode(None)
        except MemoryError:
            raise
        except av.FFmpegError as error:
            raise RinrFormatError(
                f"frame {self.position} of a row of AV1 cannot be decoded ({error.strerror})"
            ) from error
        if len(frames) != 1:
            raise RinrFormatError(
                f"temporal unit {self.position} of a row of AV1 shows {len(frames)} frames: "
                "expected 1"
            )
        self._check(frames[0])
        self.position += 1
        return [_samples(plane, self._format) for plane in frames[0].planes]

    def _check(self, frame: Any) -> None:
        got = (frame.width, frame.height, frame.format.name)
        wanted = (*(self._size or got[:2]), self._format)
        if got != wanted:
            raise RinrFormatError(
                f"frame {self.position} of a row of AV1 is {got[0]}x{got[1]} {got[2]}: expected "
                f"{wanted[0]}x{wanted[1]} {wanted[2]}"
            )
        matrix, used_range = int(frame.colorspace), int(frame.color_range)
        if matrix not in _BT601 or used_range != _FULL_RANGE:
            raise RinrFormatError(
                f"frame {self.position} of a row of AV1 has matrix {matrix} and range "
                f"{used_range}: expected BT.601 ({_BT601[0]} or {_BT601[1]}) in full range "
                f"({_FULL_RANGE})"
            )


def check_number(number: int, n_frames: int) -> None:
    """Raise `RinrFormatError` unless a row of so many frames has one of that number."""
    if number >= n_frames:
        raise RinrFormatError(f"the time {number} in a row of {n_frames} frames: expected less")


def _samples(plane: Any, pixel_format: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    dtype = np.dtype("<u2") if "10" in pixel_format else np.dtype(np.uint8)
    lines = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
    # A copy: the memory is dav1d's.
    return lines[: plane.height, : plane.width].astype(dtype.newbyteorder("="))
