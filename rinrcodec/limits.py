"""How large a `.rinr` file may be: bounds against hostile and runaway files.

Readers compare a declared size with its limit before memory is taken for it, and the writer
applies the same limits, so that nothing is written that the default reader refuses. The last six
are for decoding: a large network of zeros, or many boxes, are a small file that may ask
for hours of work or all memory. Families declare what a frame takes (`families.interface.Cost`),
and the decoder compares it before it takes memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rinrcodec.errors import RinrLimitError

__all__ = ["DEFAULT_LIMITS", "Limits", "limits_for"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bound what a file may ask for; all bounds are inclusive.

    A reader compares before it takes memory. Raise a bound for files that you trust; a
    `RinrLimitError` names the one to raise.

    Attributes:
        max_frames: Frames of a file.
        max_pixels: Pixels of a frame. The default is 8192 x 8192, which is 192 MiB as RGB.
        max_boxes: Boxes of a frame.
        max_groups: Groups of a file.
        max_spec_bytes: Bytes of the spec of a group, as JSON.
        max_params: Weights of one network.
        max_scales: Scales of one network.
        max_name_bytes: Bytes of the name of a frame, as UTF-8.
        max_metadata_bytes: Bytes of one EXIF, ICC or XMP block.
        max_label_bytes: Bytes of the attributes of a frame, and of the extras of all its boxes.
        max_chunk_bytes: Bytes of a chunk, uncompressed.
        max_shared_bytes: Bytes of the shared weights of all groups, which stay in memory.
        max_frames_bytes: Bytes of the table of frames, uncompressed.
        max_directory_bytes: Bytes of the directory, uncompressed; a chunk takes 21 of them.
        max_work: Multiplications to decode a frame.
        max_pixel_work: Multiplications for each pixel of a frame. A small frame counts as one of
            2**20 pixels.
        max_memory: Bytes at once to decode a frame, or several small ones together.
        max_result_bytes: Bytes of all pixels that one call returns.
        max_verify_bytes: Bytes of all chunks, uncompressed, to check a file; see `verify_bytes`.
        max_verify_work: Multiplications to check a file; see `verify_work`.

    Example:
        >>> from rinrcodec import Limits
        >>> Limits(max_pixels=2**27).max_frames
        1000000
    """

    max_frames: int = 1_000_000
    max_pixels: int = 2**26
    max_boxes: int = 65_536
    max_groups: int = 4096
    max_spec_bytes: int = 2048
    max_params: int = 2**24
    max_scales: int = 65_536
    max_name_bytes: int = 4096
    max_metadata_bytes: int = 2**24
    max_label_bytes: int = 2**24
    max_chunk_bytes: int = 2**26
    max_shared_bytes: int = 2**26
    max_frames_bytes: int = 2**28
    max_directory_bytes: int = 2**24
    max_work: int = 2**43
    max_pixel_work: int = 2**17
    max_memory: int = 3 * 2**29
    max_result_bytes: int = 2**32
    max_verify_bytes: int = 2**28
    max_verify_work: int = 2**39

    def check_frame(self, work: int, memory: int, pixels: int, result: int, name: str) -> None:
        """Raise `RinrLimitError` for a frame that takes too much work or memory to decode.

        Args:
            work: Multiplications.
            memory: Bytes at the peak.
            pixels: Pixels of the frame.
            result: Pixels that are asked for.
            name: Name of the frame.
        """
        self.check("max_work", work, f"multiplications to decode {name}")
        per_pixel = work // max(pixels, result, _FEW_PIXELS)
        self.check("max_pixel_work", per_pixel, f"multiplications for each pixel of {name}")
        # Frames that are larger than the default allows take more memory in any family.
        if memory > self.max_memory * max(1.0, pixels / DEFAULT_LIMITS.max_pixels):
            self.check("max_memory", memory, f"bytes of memory to decode {name}")

    def check(self, limit: str, value: int, what: str) -> None:
        """Check a value against a limit.

        Args:
            limit: The name of the limit.
            value: The value.
            what: What the value is, for the message.

        Raises:
            RinrLimitError: The value is over the limit.

        Example:
            >>> Limits().check("max_boxes", 12, "boxes of frame 0")
        """
        most = getattr(self, limit)
        if value > most:
            tiles = ", or cut it into tiles" if limit == "max_pixels" else ""
            raise RinrLimitError(
                f"{what}: {value:,} is over the limit {limit} = {most:,}; "
                f"pass limits=Limits({limit}=...) with a higher value if you trust the data{tiles}"
            )

    def verify_bytes(self, file_bytes: int) -> int:
        """Return how many uncompressed bytes may be read to check or list a file.

        Args:
            file_bytes: The size of the file.

        Returns:
            `max_verify_bytes`, and 32 for each byte of the file.
        """
        return self.max_verify_bytes + 32 * file_bytes

    def verify_work(self, file_bytes: int) -> int:
        """Return how many multiplications may be taken to check a file.

        Args:
            file_bytes: The size of the file.

        Returns:
            `max_verify_work`, and 2**26 for each byte of the file.
        """
        return self.max_verify_work + 2**26 * file_bytes


DEFAULT_LIMITS = Limits()
_FEW_PIXELS = 2**20  # a smaller frame may take as much work as one of so many
_BYTES_PER_PIXEL = 128  # to decode a large frame, by every family of this package


def limits_for(max_pixels: int | None) -> Limits:
    """Return the limits for frames of at most so many pixels; None returns the default.

    What grows with the pixels of a frame, its work, its bytes and its memory, is widened as much.

    Example:
        >>> limits_for(2**27).max_work == 2 * Limits().max_work
        True
    """
    if max_pixels is None:
        return DEFAULT_LIMITS
    times = max(1, -(-max_pixels // DEFAULT_LIMITS.max_pixels))
    return replace(
        DEFAULT_LIMITS,
        max_pixels=max_pixels,
        max_chunk_bytes=times * DEFAULT_LIMITS.max_chunk_bytes,
        max_work=times * DEFAULT_LIMITS.max_work,
        max_memory=max(DEFAULT_LIMITS.max_memory, _BYTES_PER_PIXEL * max_pixels),
        max_result_bytes=times * DEFAULT_LIMITS.max_result_bytes,
        max_verify_bytes=times * DEFAULT_LIMITS.max_verify_bytes,
        max_verify_work=times * DEFAULT_LIMITS.max_verify_work,
    )
