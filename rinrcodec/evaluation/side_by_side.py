"""The frames of a pack and of other codecs at as many bytes, for `rinrcodec demo` and the README.

Every other codec gets the bytes of each frame, so pictures of one row can be compared. The rows of
`rinrcodec report` have one quality for all frames instead: `rinrcodec.evaluation.rivals`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import rinrcodec
from rinrcodec.evaluation.baselines import QualityScan, available_codecs
from rinrcodec.evaluation.comparison import at_equal_bytes
from rinrcodec.evaluation.rows import CodedFrame
from rinrcodec.formats import pack_bytes
from rinrcodec.metrics import frame_bytes
from rinrcodec.pack import Pack, select_frames
from rinrcodec.picture import Picture

__all__ = ["SideBySide", "side_by_side"]


@dataclass(frozen=True, slots=True, eq=False)
class SideBySide:
    """A picture in a pack and in other codecs.

    Attributes:
        picture: before coding.
        background: without its objects, and without their bytes.
        decoded: with its objects.
        others: the names of `rinrcodec.evaluation.comparison.method_label` to the picture in other
            codecs.
    """

    picture: Picture
    background: CodedFrame
    decoded: CodedFrame
    others: Mapping[str, CodedFrame]

    @property
    def rival(self) -> tuple[str, CodedFrame]:
        """The best codec of plain pictures that this Pillow has."""
        codec = available_codecs()[-1]
        return codec, self.others[codec]


def side_by_side(pack: Pack, pictures: Sequence[Picture]) -> list[SideBySide]:
    """Decode all frames of a pack, and give other codecs as many bytes.

    The composite, which is AVIF with pasted crops, has backgrounds that are as good as those of
    the pack, where it can.

    Args:
        pack: The pack.
        pictures: The pictures of its frames, in order, uint8 [H, W] or [H, W, 3].

    Returns:
        One for each picture: it and its versions, each with bytes, PSNR in dB and pixels.

    Raises:
        ValueError: There are more or fewer pictures than frames.

    Example:
        >>> import numpy as np
        >>> from rinrcodec.sources.images import picture_from_array
        >>> black = picture_from_array(np.zeros((24, 32, 3), np.uint8), name="black.png")
        >>> pack = rinrcodec.encode([black], preset="fast", device="cpu")
        >>> (shown,) = side_by_side(pack, [black])
        >>> sorted(shown.others)[-2:], shown.decoded.quality.frame > 30
        (['jpeg', 'webp'], True)
    """
    bare = [replace(frame, objects=(None,) * len(frame.objects)) for frame in pack.frames]
    alone = select_frames(replace(pack, frames=tuple(bare)), range(len(bare)))
    ours = [_frames(one, pictures) for one in (alone, pack)]
    shown = []
    for picture, background, decoded in zip(pictures, *ours, strict=True):
        scans = {codec: QualityScan(codec, picture.pixels) for codec in available_codecs()}
        least = background.quality.background
        coded = at_equal_bytes(picture, scans, decoded.n_bytes, background_psnr=least)
        others = {one.codec: CodedFrame.of(picture, one.n_bytes, one.pixels) for one in coded}
        shown.append(SideBySide(picture, background, decoded, others))
    return shown


def _frames(pack: Pack, pictures: Sequence[Picture]) -> list[CodedFrame]:
    data = pack_bytes(pack)
    with rinrcodec.open(data) as file:
        decoded = [file.pixels(number) for number in range(len(pictures))]
    return [
        CodedFrame.of(picture, n_bytes, pixels if picture.mode == "RGB" else pixels[..., 0])
        for picture, n_bytes, pixels in zip(
            pictures, frame_bytes(pack, len(data)), decoded, strict=True
        )
    ]
