"""Files of this machine and objects of remote stores behind one interface; whole writes; locks."""

from __future__ import annotations

from rinrcodec.storage.places import as_place, at, is_remote, join, place, text_of
from rinrcodec.storage.stores import (
    Listing,
    create_object,
    file_or_folder,
    files_below,
    make_folder,
    map_stored,
    may_pass,
    move_object,
    names_in,
    read_file,
    read_range,
    remote_errors,
    remove_file,
    remove_tree,
    size_in,
    size_of,
    stamp_of,
    write_object,
)

__all__ = [
    "Listing",
    "as_place",
    "at",
    "create_object",
    "file_or_folder",
    "files_below",
    "is_remote",
    "join",
    "make_folder",
    "map_stored",
    "may_pass",
    "move_object",
    "names_in",
    "place",
    "read_file",
    "read_range",
    "remote_errors",
    "remove_file",
    "remove_tree",
    "size_in",
    "size_of",
    "stamp_of",
    "text_of",
    "write_object",
]
