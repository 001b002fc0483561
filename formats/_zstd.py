"""Compressed chunks: one zstd frame each, of a size known in advance."""

from __future__ import annotations

import zstandard

from rinrcodec.errors import RinrFormatError

__all__ = ["compress", "decompress"]


def compress(raw: bytes, *, level: int) -> bytes:
    """One zstd frame that declares its content size and ends with a content checksum."""
    compressor = zstandard.ZstdCompressor(
        level=level, write_content_size=True, write_checksum=True, write_dict_id=False
    )
    return compressor.compress(raw)


def decompress(stored: bytes, *, size: int) -> bytes:
    """The content of one zstd frame, which must declare exactly `size` bytes.

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
