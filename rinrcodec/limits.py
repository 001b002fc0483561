"""How large a `.rinr` file may be: bounds against hostile and runaway files.

Readers compare a declared size with its limit before memory is taken for it, and the writer
applies the same limits, so that nothing is written that the default reader refuses. `max_work` is
for the decoder alone: large networks of zeros, or many boxes, are a small file and hours of work.
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
    # To check a whole file, on top of what its size allows: `verify_bytes` and `verify_work`.
    max_verify_bytes: int = 2**28  # of all chunks, uncompressed; items of any length count more
    max_verify_work: int = 2**39  # multiplications to decode its coded rows

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


def limits_for(max_pixels: int | None) -> Limits:
    """Return the limits for frames of at most so many pixels; None returns the default.

    What grows with the pixels of a frame, its work and its bytes, is widened as much.

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
        max_verify_bytes=times * DEFAULT_LIMITS.max_verify_bytes,
        max_verify_work=times * DEFAULT_LIMITS.max_verify_work,
    )
