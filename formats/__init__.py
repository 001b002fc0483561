"""The `.rinr` container: what bytes a pack is, on disk and in memory. SPEC.md is its definition.

The codec reads and writes packs through `PackReader`, `read_pack`, `write_pack` and `pack_bytes`.
Plugins tell files by their first bytes, `MAGIC`, and scan data sets with `read_header`, which reads
512 bytes of each.
"""

from __future__ import annotations

from rinrcodec.formats.header import MAGIC, Header, read_header
from rinrcodec.formats.reader import PackReader, Sizes, read_pack
from rinrcodec.formats.writer import pack_bytes, write_pack

__all__ = [
    "MAGIC",
    "Header",
    "PackReader",
    "Sizes",
    "pack_bytes",
    "read_header",
    "read_pack",
    "write_pack",
]
