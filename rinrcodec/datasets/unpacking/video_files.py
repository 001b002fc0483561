"""Decoded frames as a video (mp4, with PyAV) or an animation (gif, with Pillow).

A file is complete or not there. For mp4, this takes the first encoder that PyAV has of `ENCODERS`;
none of them is under the GPL.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rinrcodec.compute.scheduling import usual_priority
from rinrcodec.errors import RinrInputError, RinrUsageError
from rinrcodec.limits import Limits
from rinrcodec.storage import make_folder
from rinrcodec.storage.replacing import replacing

__all__ = ["DEFAULT_FPS", "ENCODERS", "check_fps", "frame_rate_of", "write_clip"]

DEFAULT_FPS = Fraction(10)
_LEAST_FPS, _MOST_FPS = Fraction(1, 600), 1000  # of every kind of video
# In this order: H.264 where a build has OpenH264, AV1, VP9, and MPEG-4 Part 2, which all have.
ENCODERS: dict[str, dict[str, str]] = {
    "libopenh264": {},
    "libsvtav1": {"crf": "20", "preset": "8"},
    "libvpx-vp9": {"crf": "20", "b": "0", "row-mt": "1", "cpu-used": "4"},
    "mpeg4": {"qscale": "2"},
}
# Encoders that refuse a rate above this one.
_MOST_FPS_OF = {"libsvtav1": 240}
_BT709, _LIMITED = 1, 1
_RATE = re.compile(r"(\d{1,9})(?:/(\d{1,9}))?")
_GIF_UNITS = 100  # of a second

Array = NDArray[np.uint8]


def check_fps(fps: float | None) -> Fraction | None:
    """Return the frame rate that a user asks for.

    Raises `RinrUsageError` for a rate that no video has.
    """
    if fps is None:
        return None
    if not _LEAST_FPS <= fps <= _MOST_FPS:
        raise RinrUsageError(f"fps={fps}: expected {_LEAST_FPS} to {_MOST_FPS:,} frames a second")
    return Fraction(fps).limit_denominator(10_000)


def frame_rate_of(info: Mapping[str, str]) -> Fraction | None:
    """Return the frame rate that a pack knows, as `compress` of a video writes it; else None.

    Example:
        >>> frame_rate_of({"frame_rate": "30000/1001"}), frame_rate_of({"frame_rate": "fast"})
        (Fraction(30000, 1001), None)
    """
    found = _RATE.fullmatch(info.get("frame_rate", ""))
    if found is None or not int(found[2] or 1):
        return None
    rate = Fraction(int(found[1]), int(found[2] or 1))
    return rate if _LEAST_FPS <= rate <= _MOST_FPS else None


def write_clip(
    path: Path,
    frames: Iterator[Array],
    *,
    kind: str,
    fps: Fraction,
    shape: tuple[int, int],
    count: int,
    limits: Limits,
) -> int:
    """Write pixels, uint8 [H, W] or [H, W, 3], as a video of that kind; return how many.

    Writes nothing where there is no frame.

    Args:
        path: A local file.
        frames: All of one shape.
        kind: "mp4" or "gif".
        fps: Frames a second.
        shape: Height and width of the frames.
        count: How many there are at most.
        limits: Bound the memory of a gif, whose frames are all kept until it is written.

    Raises:
        RinrInputError: A video cannot have this size, or a gif not so many frames.
        OSError: The file cannot be written.
    """
    if kind == "gif":
        what = "bytes of all frames of a gif; take mp4, fewer `frames` or a smaller `scale`"
        limits.check("max_result_bytes", count * shape[0] * shape[1], what)
    first = next(frames, None)
    if first is None:
        return 0
    make_folder(path.parent)
    with replacing(path, durable=False) as temporary:
        frames = chain([first], frames)
        if kind == "gif":
            return _write_gif(temporary, frames, path, fps)
        return _write_mp4(temporary, frames, path, fps, shape)


def _write_gif(temporary: Path, frames: Iterator[Array], path: Path, fps: Fraction) -> int:
    written = 0

    def images() -> Iterator[Image.Image]:
        nonlocal written
        for pixels in frames:
            written += 1
            yield Image.fromarray(pixels).quantize(dither=Image.Dither.NONE)

    all_images = images()
    duration = round(_GIF_UNITS / fps) * 1000 // _GIF_UNITS
    try:
        next(all_images).save(
            temporary,
            "GIF",
            save_all=True,
            append_images=all_images,
            duration=max(1000 // _GIF_UNITS, duration),
            loop=0,
            optimize=False,
        )
    except (struct.error, OverflowError) as error:
        # Pillow writes equal frames as one, with the sum of their times, in 16 bits.
        raise RinrInputError(
            f"{path}: a picture of a gif cannot be shown for more than 655 seconds, and equal "
            "frames are one picture; take `format` mp4 or a larger `fps`"
        ) from error
    return written


def _write_mp4(
    temporary: Path, frames: Iterator[Array], path: Path, fps: Fraction, shape: tuple[int, int]
) -> int:
    import av

    os.environ.setdefault("SVT_LOG", "1")  # as for the backgrounds: it prints about itself
    written = 0
    with av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as out:
        name = next((name for name in ENCODERS if _has(name, fps)), None)
        if name is None:
            raise RinrInputError(
                f"{path}: PyAV has none of the encoders {', '.join(ENCODERS)}; take "
                "`format='gif'`, or the wheel of PyAV"
            )
        stream = out.add_stream(name, rate=fps, options=dict(ENCODERS[name]))
        stream.height, stream.width = shape
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.color_range, context.colorspace = _LIMITED, _BT709
        context.color_primaries = context.color_trc = _BT709
        with _encoding(path, shape, fps):
            with usual_priority():
                context.open()
            for pixels in frames:
                rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
                planes = frame.reformat(
                    format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
                )
                planes.pts, planes.time_base = written, 1 / fps
                out.mux(stream.encode(planes))
                written += 1
            out.mux(stream.encode(None))
    return written


def _has(name: str, fps: Fraction) -> bool:
    if fps > _MOST_FPS_OF.get(name, _MOST_FPS):
        return False
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    try:
        Codec(name, "w")
    except UnknownCodecError:
        return False
    return True


@contextmanager
def _encoding(path: Path, shape: tuple[int, int], fps: Fraction) -> Iterator[None]:
    """Say in our words what an encoder refuses: sizes below its least, above its most."""
    import av

    try:
        yield
    except (av.error.ArgumentError, av.error.ExternalError) as error:
        raise RinrInputError(
            f"{path}: no video of {shape[1]}x{shape[0]} pixels and {float(fps):g} frames a second "
            "can be encoded; choose another `scale` or `fps`, or `format` gif or png"
        ) from error
