"""How large a `.rinr` file may be: bounds against hostile and runaway files.

Readers compare a declared size with its limit before memory is taken for it, and the writer
applies the same limits, so that nothing is written that the default reader refuses. The last four
are for the decoder alone: a large network of zeros, or many boxes, are a small file that may ask
for hours of work or all memory. Families declare what a frame takes (`families.interface.Cost`),
and the decoder compares it before it takes memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rinrcodec.errors import RinrLimitError

__all__ = ["DEFAULT_LIMITS", "Limits", "limits_for"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds, all inclusive; widen them with `Limits(max_pixels=...)` for files you trust."""

    max_frames: int = 1_000_000
    max_pixels: int = 2**26  # of one frame: 8192 x 8192, 192 MiB as RGB
    max_boxes: int = 65_536  # of one frame
    max_groups: int = 4096
    max_spec_bytes: int = 2048  # of one group's spec, as JSON
    max_params: int = 2**24  # of one INR
    max_scales: int = 65_536  # of one INR
    max_name_bytes: int = 4096  # of one frame's name, as UTF-8
    max_metadata_bytes: int = 2**24  # of one EXIF, ICC or XMP block
    max_label_bytes: int = 2**24  # of one frame: attributes; extras of all boxes
    max_chunk_bytes: int = 2**26  # of one chunk, uncompressed
    max_shared_bytes: int = 2**26  # of all groups' shared weights, which stay in memory
    max_frames_bytes: int = 2**28  # of the frames table, uncompressed: names above all
    max_directory_bytes: int = 2**24  # uncompressed; a chunk takes 21 of them
    max_work: int = 2**43  # multiplications to decode one frame
    max_pixel_work: int = 2**17  # the same for each pixel of a frame, which counts as 2**20 or more
    max_memory: int = 3 * 2**29  # bytes at once to decode one frame, or several small ones together
    max_result_bytes: int = 2**32  # of all pixels that one call returns

    # To check a whole file, on top of what its size allows: `verify_bytes` and `verify_work`.
    max_verify_bytes: int = 2**28  # of all chunks, uncompressed; items of any length count more
    max_verify_work: int = 2**39  # multiplications to decode its coded rows

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
        """Raise `RinrLimitError` if `value` is over the limit of that name."""
        most = getattr(self, limit)
        if value > most:
            tiles = ", or cut it into tiles" if limit == "max_pixels" else ""
            raise RinrLimitError(
                f"{what}: {value:,} is over the limit {limit} = {most:,}; "
                f"pass limits=Limits({limit}=...) with a higher value if you trust the data{tiles}"
            )

    def verify_bytes(self, file_bytes: int) -> int:
        """Return how many uncompressed bytes may be read to check or list a file of that size."""
        return self.max_verify_bytes + 32 * file_bytes

    def verify_work(self, file_bytes: int) -> int:
        """Return how many multiplications may be taken to check a file of that size."""
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
