"""Compressed chunks: one zstd frame each, of a size known in advance."""

from __future__ import annotations

import zstandard

from rinrcodec.errors import RinrFormatError

__all__ = ["check_stored", "compress", "decompress"]

_MOST_EXTRA = 2**16  # bytes, far more than zstd adds to what it cannot compress


def compress(raw: bytes, *, level: int) -> bytes:
    """Compress to one zstd frame that declares its content size and ends with a checksum."""
    compressor = zstandard.ZstdCompressor(
        level=level, write_content_size=True, write_checksum=True, write_dict_id=False
    )
    return compressor.compress(raw)


def check_stored(stored: int, size: int) -> None:
    """Raise `RinrFormatError` for a frame that is longer than zstd makes one of `size` bytes.

    Called before it is read: a file with holes takes no space on a disk, and any amount of memory.
    """
    if stored > size + size // 256 + _MOST_EXTRA:
        raise RinrFormatError(f"it has {stored:,} compressed bytes for {size:,}")


def decompress(stored: bytes, *, size: int) -> bytes:
    """Decompress one zstd frame, which must declare exactly `size` bytes.

    The declared size is compared before any memory is taken: `max_output_size` of the library is
    ignored for frames that declare their size.
    """
    try:
        frame = zstandard.get_frame_parameters(stored)
        if frame.content_size != size:
            declared = "an unknown number of"
            if frame.content_size != zstandard.CONTENTSIZE_UNKNOWN:
                declared = f"{frame.content_size:,}"
            raise RinrFormatError(f"its zstd frame declares {declared} bytes, expected {size:,}")
        if not frame.has_checksum or frame.dict_id:
            raise RinrFormatError("its zstd frame has no checksum, or asks for a dictionary")
        return zstandard.ZstdDecompressor().decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise RinrFormatError(f"its zstd frame cannot be decompressed ({error})") from error
