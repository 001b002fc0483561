"""Every way a `.rinr` file can be wrong: a file of that name, and the sentence that refuses it.

Run this script to write the files again (it needs h5py, for foreign HDF5 structures).
"""

from __future__ import annotations

import struct
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zstandard

sys.path.insert(0, str(Path(__file__).parent.parent))

from forge import Parts, assemble, compress, fix_block, take_apart
from hostile_labels import LABEL_CAUSES
from sample_packs import cells, features, many_frames, one_frame

from rinrcodec.formats import pack_bytes
from rinrcodec.formats.header import HEADER_SIZE
from rinrcodec.formats.schema import Kind

FRAMES, BOXES, OBJECTS, METADATA, SHARED, ROWS, CELLS, *_ = Kind


class Cause(NamedTuple):
    """A regular expression for the message, and what makes the file."""

    sentence: str
    build: Callable[[], bytes]


def good() -> bytes:
    return pack_bytes(one_frame())


def parts(pack: Callable[[], Any] = one_frame) -> Parts:
    return take_apart(pack_bytes(pack()))


def header(**changes: Any) -> Callable[[], bytes]:
    return lambda: assemble(parts(), **changes)


def patched(offset: int, code: str, value: Any) -> Callable[[], bytes]:
    """The good file with one field of the user block replaced and its CRC right."""

    def build() -> bytes:
        data = bytearray(good())
        struct.pack_into(code, data, offset, value)
        return fix_block(bytes(data))

    return build


def flipped(offset: int) -> Callable[[], bytes]:
    """The good file with one bit wrong; negative offsets count from the end."""

    def build() -> bytes:
        data = bytearray(good())
        data[offset] ^= 4
        return bytes(data)

    return build


def edited(
    kind: Kind, column: str, value: Any, *, row: int = 0, pack: Callable[[], Any] = one_frame
) -> Callable[[], bytes]:
    """A file with one value of a table replaced and all checksums right."""

    def change(columns: dict[str, Any]) -> None:
        columns[column][row] = value

    return lambda: assemble(parts(pack).edit(kind, change))


def named(name: bytes) -> Callable[[], bytes]:
    return edited(FRAMES, "name", name)


def listed(table: str, column: str, value: Any, *, row: int = 0) -> Callable[[], bytes]:
    """A file with one value of the groups or info of its directory replaced."""

    def build() -> bytes:
        p = parts()
        getattr(p, table)[column][row] = value
        return assemble(p)

    return build


def lying(column: str, chunk: int, value: int) -> Callable[[], bytes]:
    """A file with a false value in its chunk table."""

    def build() -> bytes:
        p = parts()
        p.forged[column, chunk] = value
        return assemble(p)

    return build


def stored(make: Callable[[bytes], bytes]) -> Callable[[], bytes]:
    """A file whose first chunk of weights is stored as `make` says, with a right CRC-32."""

    def build() -> bytes:
        p = parts()
        at = p.find(ROWS)
        p.stored[at] = make(p.raw[at])
        return assemble(p)

    return build


def without_chunk(kind: Kind, pack: Callable[[], Any] = one_frame) -> Callable[[], bytes]:
    def build() -> bytes:
        p = parts(pack)
        at = p.find(kind)
        for values in (*p.chunks.values(), p.raw):
            values.pop(at)
        return assemble(p)

    return build


def swapped_chunks() -> bytes:
    p = parts()
    for values in (*p.chunks.values(), p.raw):
        values[-1], values[-2] = values[-2], values[-1]
    return assemble(p)


def huge_box() -> bytes:
    def change(columns: dict[str, Any]) -> None:
        columns["x"][0] = columns["w"][0] = 1.7e308  # the right edge is infinite

    return assemble(parts().edit(BOXES, change))


def two_shared_chunks() -> bytes:
    p = parts(features)
    at = p.find(SHARED)
    for values in (*p.chunks.values(), p.raw):
        values.insert(at, values[at])
    return assemble(p)


def rows_of_nothing() -> bytes:
    p = parts()
    p.groups["n_params"][0] = p.groups["n_scales"][0] = 0
    at = p.find(ROWS)
    p.groups["n_rows"][0] = p.chunks["rows"][at] = 2**32 - 1
    p.raw[at] = b""
    return assemble(p)


def much_shared() -> bytes:
    """Two groups whose shared bytes are together over the limit that each of them keeps."""
    pack = features()
    both = tuple(replace(stack, shared=b"x") for stack in pack.stacks)
    p = parts(lambda: replace(pack, stacks=both))
    p.forged["size", p.find(SHARED)] = 2**26
    return assemble(p)


def much_of_frames() -> bytes:
    """Five chunks of the frames table, each as large as a chunk may be."""
    p = parts()
    at = p.find(FRAMES)
    for values in (*p.chunks.values(), p.raw):
        values[at:at] = [values[at]] * 4
    p.forged.update({("size", at + i): 2**26 for i in range(5)})
    return assemble(p, n_frames=5)


def much_metadata() -> bytes:
    p = parts()
    at = p.find(METADATA)
    p.chunks["rows"][at] = 1_000_000
    p.raw[at] = bytes(4_000_000)
    return assemble(p)


def bad_codes() -> bytes:
    def change(columns: dict[str, Any]) -> None:
        columns["codes"][0, 5] = 2048  # of a group of 12 bits

    return assemble(parts().edit(ROWS, change, group=2))


def bad_scale() -> bytes:
    def change(columns: dict[str, Any]) -> None:
        columns["scales"][0, 0] = 0x7F80  # infinity

    return assemble(parts().edit(ROWS, change))


def name_over_the_end() -> bytes:
    p = parts()
    at = p.find(FRAMES)
    p.raw[at] = struct.pack("<I", 2**31) + p.raw[at][4:]
    return assemble(p)


def spec_of_lists() -> bytes:
    """A spec of lists, which compresses to nothing and becomes objects of thirty times its size."""
    return b'{"family":"a","b":[' + b"[]," * 200_000 + b"0]}"


def longer_chunk() -> bytes:
    p = parts()
    p.raw[p.find(FRAMES)] += b"more"
    return assemble(p)


def directory(change: Callable[[bytes], bytes]) -> Callable[[], bytes]:
    def build() -> bytes:
        data = good()
        p = take_apart(data)
        p.directory = change(zstandard.decompress(data[len(data) - p.header.sections[-1] :]))
        return assemble(p)

    return build


def directory_bomb() -> bytes:
    data = good()
    h = take_apart(data).header
    return assemble(take_apart(data), directory_size=h.directory_size - 1)


def damaged_chunk() -> bytes:
    h = take_apart(good()).header
    return flipped(h.data_start + h.sections[0] + 9)()


def duplicate_names() -> bytes:
    return edited(FRAMES, "name", "höhe/000002.png".encode(), row=1, pack=many_frames)()


def structured(make: Callable[[Any], None], **options: Any) -> Callable[[], bytes]:
    """A file with a foreign HDF5 structure, and a user block that vouches for its length."""

    def build() -> bytes:
        import h5py

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "foreign.h5")
            settings = {"libver": ("v110", "v110"), "meta_block_size": 512, **options}
            with h5py.File(path, "w", userblock_size=512, **settings) as file:
                make(file)
            body = path.read_bytes()[HEADER_SIZE:].ljust(512, b"\0")
        h = take_apart(good()).header
        rest = len(body) - len(replace(h, sections=(1, 0, 0, 0, 1)).structure())
        return replace(h, sections=(1, 0, 0, 0, rest - 1)).to_bytes() + body

    return build


def soft_link(file: Any) -> None:
    import h5py

    file["frames"] = h5py.SoftLink("/elsewhere")


def external_link(file: Any) -> None:
    import h5py

    file["frames"] = h5py.ExternalLink("/etc/passwd", "/data")


def external_storage(file: Any) -> None:
    file.create_dataset(
        "frames", shape=(8,), dtype="u1", external=[("/etc/passwd", 0, 8)], track_times=False
    )


def virtual(file: Any) -> None:
    import h5py

    layout = h5py.VirtualLayout(shape=(8,), dtype="u1")
    layout[:] = h5py.VirtualSource("other.h5", "data", shape=(8,))
    file.create_virtual_dataset("frames", layout)


def filtered(file: Any) -> None:
    file.create_dataset(
        "frames", data=np.zeros(64, "u1"), compression="gzip", chunks=(64,), track_times=False
    )


def chunked(file: Any) -> None:
    file.create_dataset("frames", data=np.zeros(64, "u1"), chunks=(64,), track_times=False)


def plain_hdf5() -> bytes:
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "plain.h5")
        with h5py.File(path, "w", libver="v110") as file:
            chunked(file)
        return path.read_bytes()[:4096]


def unsized(raw: bytes) -> bytes:
    options = {"write_content_size": False, "write_checksum": True}
    return zstandard.ZstdCompressor(**options).compress(raw)


def bomb(_: bytes) -> bytes:
    return compress(bytes(200 * 2**20))


NAN, INF = float("nan"), float("inf")
# The structure is compared, not parsed: what is wrong inside of it makes no difference.
STRUCTURE = r"HDF5 structure is damaged or not that of a \.rinr file; fetch"

CAUSES: dict[str, Cause] = {
    # the file as a whole
    "empty": Cause("it is empty", bytes),
    "jpeg": Cause(
        "it is a JPEG picture, not a .rinr file", lambda: b"\xff\xd8\xff\xe0" + bytes(600)
    ),
    "text_mode": Cause("changed in transfer", lambda: good().replace(b"\r\n", b"\n")),
    "plain_hdf5": Cause("plain HDF5 without the user block", plain_hdf5),
    "truncated_magic": Cause("truncated: 5 of the", lambda: good()[:5]),
    "truncated_block": Cause("truncated: 300 of the 512 bytes", lambda: good()[:300]),
    "truncated_body": Cause("truncated: .* bytes; fetch", lambda: good()[:-20]),
    "trailing_garbage": Cause("trailing garbage", lambda: good() + b"garbage"),
    # the user block
    "block_damaged": Cause("user block is damaged", flipped(300)),
    "version_2": Cause("format version 2, .* version 1; update", patched(9, "B", 2)),
    "feature_7_31": Cause("feature bit 7, 31, unknown", header(required=1 << 7 | 1 << 31)),
    "unknown_mode": Cause("unknown colour mode 2", patched(10, "B", 2)),
    "no_frames": Cause("declares no frames", header(n_frames=0)),
    "no_width": Cause("declares no frames or no pixels", header(width=0)),
    "frames_limit": Cause("limit max_frames", header(n_frames=2**32 - 1)),
    "pixels_limit": Cause("pixels of the first frame: .* max_pixels", header(width=2**31)),
    "groups_limit": Cause("limit max_groups", header(n_groups=2**20)),
    "directory_limit": Cause("limit max_directory_bytes", header(directory_size=2**31)),
    "body_length": Cause("declares a body of 5 bytes", patched(52, "<Q", 5)),
    "section_overflow": Cause("sections that add up to", patched(60, "<Q", 2**64 - 1)),
    "other_first_frame": Cause("first frame is not", header(width=641)),
    # the HDF5 structure
    "structure_damaged": Cause(STRUCTURE, flipped(HEADER_SIZE + 100)),
    "no_superblock": Cause(STRUCTURE, flipped(HEADER_SIZE)),
    "old_superblock": Cause(STRUCTURE, structured(chunked, libver="earliest")),
    "soft_link": Cause(STRUCTURE, structured(soft_link)),
    "external_link": Cause(STRUCTURE, structured(external_link)),
    "external_storage": Cause(STRUCTURE, structured(external_storage)),
    "virtual_dataset": Cause(STRUCTURE, structured(virtual)),
    "filter": Cause(STRUCTURE, structured(filtered)),
    "chunked_dataset": Cause(STRUCTURE, structured(chunked)),
    # the directory
    "directory_damaged": Cause("directory is damaged", flipped(-3)),
    "directory_size": Cause("directory: its zstd frame declares", directory_bomb),
    "directory_longer": Cause("directory ends after", directory(lambda raw: raw + b"x")),
    "directory_shorter": Cause("values need", directory(lambda raw: raw[:-1])),
    "counts_huge": Cause("values need .* bytes, there are", header(n_chunks=2**32 - 1)),
    "kind_unknown": Cause("unknown kind 99", lying("kind", -1, 99)),
    "chunks_out_of_order": Cause("out of order", swapped_chunks),
    "group_of_frames": Cause("group that does not exist", lying("group", 0, 1)),
    "group_of_rows": Cause("group that does not exist", lying("group", -1, 3)),
    "chunk_without_rows": Cause("chunk without rows", lying("rows", 0, 0)),
    "chunk_limit": Cause("limit max_chunk_bytes", lying("size", -1, 2**32 - 1)),
    "shared_limit": Cause("of all groups: 67,108,865 .* limit max_shared_bytes", much_shared),
    "frames_table_limit": Cause("limit max_frames_bytes", much_of_frames),
    "rows_of_nothing": Cause("has 4,294,967,295 rows without weights", rows_of_nothing),
    "section_sum": Cause("section has .* the chunks in it", lying("stored", 0, 1)),
    "frames_count": Cause("FRAMES chunks have 1 rows, expected 9", header(n_frames=9)),
    "objects_count": Cause("OBJECTS chunks have 0 rows, expected 3", without_chunk(OBJECTS)),
    "rows_count": Cause("ROWS chunks of group 1 have 1 rows", listed("groups", "n_rows", 2, row=1)),
    "rows_missing": Cause("ROWS chunks of group 0 have 0 rows", without_chunk(ROWS)),
    "metadata_rows": Cause("metadata table has 1,000,000 rows for 1 frames", much_metadata),
    "size_of_rows": Cause("declares 139 bytes, its rows take", listed("groups", "n_scales", 9)),
    "size_lies": Cause("declares 40 bytes, its rows take", lying("size", 1, 40)),
    "two_shared_chunks": Cause("more than one chunk of shared", two_shared_chunks),
    "shared_without_bit": Cause(
        "shares weights, its feature bit", lambda: assemble(parts(features), required=6)
    ),
    "coded_without_bit": Cause(
        "coded rows, their feature bit", lambda: assemble(parts(features), required=5)
    ),
    "cells_without_bit": Cause(
        "cells table has 12 rows, its feature bit", lambda: assemble(parts(cells), required=0)
    ),
    "bit_without_cells": Cause(
        "cells table has 0 rows, its feature bit", lambda: assemble(parts(), required=8)
    ),
    "cell_without_inr": Cause("without an object INR has", edited(CELLS, "x", 1, pack=cells)),
    "time_without_bit": Cause(
        "has a time, its feature bit",
        lambda: assemble(parts(features), required=3),
    ),
    "row_shared_without_bit": Cause(
        "share a background row, the feature bit",
        edited(FRAMES, "background_row", 3, row=1, pack=many_frames),
    ),
    "bits_1": Cause("weights of 1 bits", listed("groups", "bits", 1)),
    "bits_17": Cause("weights of 17 bits", listed("groups", "bits", 17)),
    "flags_unknown": Cause("unknown flags 0x80", listed("groups", "flags", 0x80)),
    "params_limit": Cause("limit max_params", listed("groups", "n_params", 2**31)),
    "scales_limit": Cause("limit max_scales", listed("groups", "n_scales", 2**31)),
    "spec_not_json": Cause("spec is not JSON", listed("groups", "spec", b"[" * 2000)),
    "spec_limit": Cause("limit max_spec_bytes", listed("groups", "spec", spec_of_lists())),
    "spec_not_ascii": Cause("is not ASCII", listed("groups", "spec", b"\xff")),
    "spec_no_family": Cause("names no family", listed("groups", "spec", b'{"depth":3}')),
    "spec_value": Cause(
        "expected a number or text", listed("groups", "spec", b'{"family":"a","b":[]}')
    ),
    "spec_huge": Cause(
        "expected a number", listed("groups", "spec", b'{"family":"a","b":1%s}' % (b"0" * 400))
    ),
    "info_not_utf8": Cause("info is not UTF-8", listed("info", "value", b"\xff")),
    "info_unsorted": Cause("keys of its info are not", listed("info", "key", b"zzz")),
    # chunks
    "chunk_damaged": Cause(r"chunk 1 \(BOXES\): it is damaged", damaged_chunk),
    "zstd_bomb": Cause("declares 209,715,200 bytes, expected", stored(bomb)),
    "zstd_unsized": Cause("declares an unknown number", stored(unsized)),
    "zstd_no_checksum": Cause("has no checksum", stored(zstandard.compress)),
    "zstd_cut": Cause("cannot be decompressed", stored(lambda raw: compress(raw)[:-9])),
    "zstd_extra": Cause("cannot be decompressed", stored(lambda raw: compress(raw) + b"extra")),
    "not_zstd": Cause("cannot be decompressed", stored(lambda _: b"x" * 100)),
    "chunk_longer": Cause("rows end after", longer_chunk),
    # frames
    "name_length": Cause("items need", name_over_the_end),
    "name_parent": Cause("has '..', it would leave", named(b"a/../../etc/passwd")),
    "name_parent_windows": Cause("has '..', it would leave", named(b"a\\..\\b")),
    "name_absolute": Cause("is absolute", named(b"/etc/passwd")),
    "name_drive": Cause("is absolute", named(b"C:\\Windows\\a.jpg")),
    "name_empty": Cause("is empty or has a NUL", named(b"")),
    "name_nul": Cause("is empty or has a NUL", named(b"a\0b")),
    "name_not_utf8": Cause("is not UTF-8", named(b"\xff\xfe")),
    "name_limit": Cause("limit max_name_bytes", named(b"n" * 5000)),
    "name_twice": Cause("two of its frames have the name", duplicate_names),
    "frame_height_0": Cause("has the size 640 x 0", edited(FRAMES, "height", 0)),
    "frame_pixels": Cause("limit max_pixels", edited(FRAMES, "height", 2**31)),
    "frame_mode": Cause("unknown colour mode 9", edited(FRAMES, "mode", 9)),
    "frame_time": Cause("has the time inf", edited(FRAMES, "time", INF)),
    "frame_group": Cause("refers to group 3 of 3", edited(FRAMES, "background_group", 3)),
    "frame_row": Cause("refers to row 1 of group 0", edited(FRAMES, "background_row", 1)),
    "frame_boxes": Cause("asks for rows 0 to 4 of BOXES", edited(FRAMES, "box_count", 4)),
    "frame_boxes_limit": Cause("limit max_boxes", edited(FRAMES, "box_count", 2**32 - 1)),
    "frame_boxes_gap": Cause(
        "boxes of frame 1 begin at row 1, expected 0",
        edited(FRAMES, "box_start", 1, row=1, pack=many_frames),
    ),
    "frame_boxes_left": Cause("frames have 2 boxes, its table 3", edited(FRAMES, "box_count", 2)),
    "frame_exif": Cause("asks for rows 8 to 9 of METADATA", edited(FRAMES, "exif", 9)),
    "source_bytes": Cause("has a source of", edited(FRAMES, "source_bytes", 2**63)),
    # boxes and objects
    "box_nan": Cause("a box needs finite numbers", edited(BOXES, "x", NAN)),
    "box_huge": Cause("covers no pixel", huge_box),
    "box_negative": Cause("w and h of 0 or more", edited(BOXES, "w", -1.0)),
    "box_gain": Cause("has the gain inf", edited(BOXES, "gain", INF)),
    "box_gain_without_inr": Cause("without an object INR has", edited(BOXES, "gain", 1.0, row=2)),
    "object_without_pixels": Cause("covers no pixel", edited(OBJECTS, "group", 1, row=2)),
    "object_mode": Cause("object INR of the unknown mode 2", edited(OBJECTS, "mode", 2)),
    "object_group": Cause("refers to group 3 of 3", edited(OBJECTS, "group", 4)),
    "object_row": Cause("refers to row 5 of group 1", edited(OBJECTS, "row", 5)),
    # labels, of which there are many
    **{name: Cause(*cause) for name, cause in LABEL_CAUSES.items()},
    # weights
    "codes_over_bits": Cause("from -2048 to 2048 do not fit 12 bits", bad_codes),
    "scale_infinite": Cause("a scale is infinite", bad_scale),
}


if __name__ == "__main__":
    here = Path(__file__).parent
    for old in here.glob("*.rinr"):
        old.unlink()
    for name, cause in CAUSES.items():
        (here / f"{name}.rinr").write_bytes(cause.build())
