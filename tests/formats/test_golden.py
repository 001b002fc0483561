"""Files of format version 1 stay readable: golden files against the packs they were made from."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard
from sample_packs import PACKS, same_content

from rinrcodec.boxes import Box
from rinrcodec.formats import PackReader, pack_bytes, read_header
from rinrcodec.pack import InrRef, ObjectInr

VECTORS = Path(__file__).parent / "vectors" / "v1"
# zstd's output may change with its version; the golden files were written by this one.
GOLDEN_ZSTD = (1, 5, 7)


def test_every_pack_has_its_file() -> None:
    assert {path.stem for path in VECTORS.glob("*.rinr")} == set(PACKS)


@pytest.mark.parametrize("name", PACKS)
def test_golden_file_holds_its_pack(name: str) -> None:
    pack = PACKS[name]()
    with PackReader(VECTORS / f"{name}.rinr") as file:
        file.verify()
        assert same_content(file, pack)
        assert file.info == dict(pack.info)


@pytest.mark.parametrize("name", PACKS)
def test_golden_file_is_what_the_writer_writes(name: str) -> None:
    golden = (VECTORS / f"{name}.rinr").read_bytes()
    written = pack_bytes(PACKS[name]())
    start = read_header(golden).data_start
    if zstandard.ZSTD_VERSION == GOLDEN_ZSTD:
        assert written == golden
    else:  # the structure has no compressed bytes, only the section lengths may differ
        assert len(written[512:start]) == len(golden[512:start])


def test_golden_bytes_of_the_user_block() -> None:
    block = (VECTORS / "one_frame.rinr").read_bytes()[:512]
    assert block[:44].hex(" ", 4) == (
        "8952494e 520d0a1a 0a010100 00000000 00000000 01000000 "
        "80020000 68010000 03000000 03000000 07000000"
    )
    assert block[100:508] == bytes(408)


def test_golden_values() -> None:
    """Some values in plain sight, so that the sample packs cannot drift unseen."""
    with PackReader(VECTORS / "one_frame.rinr") as file:
        frame = file.frame(0)
        assert frame.name == "val/cam 0/000001.jpg"
        assert frame.boxes[1] == Box(0, -5.0, -1e-3, 700.0, 400.0)
        assert frame.objects[0] == ObjectInr(InrRef(1, 0), "residual", 0.75)
        assert frame.metadata.xmp == b"<x:xmpmeta/>"
        assert file.groups[1].spec.to_json() == (
            '{"depth":2,"family":"siren","out":3,"w0":30.0,"width":4}'
        )
        rows = file.read_rows(0, [0])
        assert rows.codes[0, :6].tolist() == [-128, 49, -30, -109, 68, -11]
        assert rows.scales[0, :3].tolist() == [1 / 64, 2 / 64, 3 / 64]
