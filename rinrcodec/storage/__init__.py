"""Local files and objects of remote stores behind one interface; whole writes; locks.

Only this folder knows which paths are remote. Others call the functions below or ask a `Storage`.
"""

from __future__ import annotations

from rinrcodec.storage.byte_source import (
    Buffer,
    ByteSource,
    MemorySource,
    StreamSource,
    is_buffer,
    source_of,
)
from rinrcodec.storage.files import (
    at,
    file_or_folder,
    files_below,
    join,
    make_folder,
    map_stored,
    may_pass,
    names_in,
    read_file,
    read_range,
    remove_file,
    remove_tree,
    size_of,
    stamp_of,
    storage_of,
    text_of,
)
from rinrcodec.storage.interface import Storage
from rinrcodec.storage.listing import Listing
from rinrcodec.storage.locations import check_store, to_path, to_path_or_none
from rinrcodec.storage.stamps import size_in

__all__ = [
    "Buffer",
    "ByteSource",
    "Listing",
    "MemorySource",
    "Storage",
    "StreamSource",
    "at",
    "check_store",
    "file_or_folder",
    "files_below",
    "is_buffer",
    "join",
    "make_folder",
    "map_stored",
    "may_pass",
    "names_in",
    "read_file",
    "read_range",
    "remove_file",
    "remove_tree",
    "size_in",
    "size_of",
    "source_of",
    "stamp_of",
    "storage_of",
    "text_of",
    "to_path",
    "to_path_or_none",
]
