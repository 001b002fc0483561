"""HDF5 tools open a `.rinr` file and find the sections where the reader finds them."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest
from sample_packs import PACKS

from rinrcodec.formats import PackReader, write_pack
from rinrcodec.formats._hdf5 import checksum, structure
from rinrcodec.formats.header import SECTIONS


@pytest.mark.parametrize("name", PACKS)
def test_h5py_sees_the_sections(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.rinr"
    write_pack(path, PACKS[name]())
    header = PackReader(path).header
    data = path.read_bytes()
    with h5py.File(path, "r") as file:
        assert file.userblock_size == 512
        assert set(file) == {
            name for name, size in zip(SECTIONS, header.sections, strict=True) if size
        }
        at = header.data_start
        for section, size in zip(SECTIONS, header.sections, strict=True):
            if size:
                dataset = file[section]
                assert dataset.dtype == "u1"
                assert dataset.chunks is dataset.compression is dataset.external is None
                assert dataset.id.get_offset() == at
                assert bytes(dataset[:]) == data[at : at + size]
            at += size
    assert at == len(data)


@pytest.mark.parametrize("sections", [{"a": 1}, {"a": 1, "b": 0, "c": 2**33}, {}])
def test_h5py_accepts_any_sections(sections: dict[str, int], tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with path.open("wb") as file:
        file.write(bytes(512) + structure(sections))
        file.truncate(file.tell() + sum(sections.values()))
    with h5py.File(path, "r") as file:
        assert {k: v.shape[0] for k, v in file.items()} == {k: v for k, v in sections.items() if v}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0xDEADBEEF),
        (b"Four score and seven years ago", 0x17770551),
    ],
)
def test_lookup3(data: bytes, expected: int) -> None:
    """Self-tests of Bob Jenkins' lookup3.c with initial value 0."""
    assert checksum(data) == expected
