"""Lengths that a file declares: compared with the file and its parts before memory is taken.

The files here have holes: they take a few kilobytes of a disk and say that they have gigabytes.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
from forge import assemble, take_apart
from hypothesis import given
from hypothesis import strategies as st
from sample_packs import one_frame

from rinrcodec.errors import RinrFormatError
from rinrcodec.formats import PackReader, pack_bytes, read_header
from rinrcodec.formats._zstd import check_stored, compress
from rinrcodec.formats.schema import Kind
from rinrcodec.storage import MemorySource
from rinrcodec.storage.byte_source import FileSource


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The length of every read of a local file."""
    lengths: list[int] = []
    read = FileSource.read

    def note(self: FileSource, offset: int, length: int) -> bytes:
        lengths.append(length)
        assert length < 2**24, "no such memory is to be taken"
        return read(self, offset, length)

    monkeypatch.setattr(FileSource, "read", note)
    return lengths


def test_a_directory_of_many_gigabytes_is_not_read(tmp_path: Path, reads: list[int]) -> None:
    data = pack_bytes(one_frame())
    header = read_header(data)
    header = replace(header, sections=(*header.sections[:-1], 2**36))
    path = tmp_path / "holes.rinr"
    path.write_bytes(header.to_bytes() + header.structure())
    os.truncate(path, 512 + header.body_length)
    with pytest.raises(RinrFormatError, match=r"holes\.rinr: its directory: it has 68,719,476,736"):
        PackReader(path)
    assert reads


def test_a_chunk_of_gigabytes_is_not_read(tmp_path: Path, reads: list[int]) -> None:
    parts = take_apart(pack_bytes(one_frame()))
    number, length = parts.find(Kind.FRAMES), 2**31
    whole = assemble(parts)
    start, inside = read_header(whole).data_start, parts.chunks["stored"][number]
    parts.forged["stored", number] = length
    parts.sections["frames"] = length
    data = assemble(parts)
    path = tmp_path / "holes.rinr"
    with path.open("wb") as file:
        file.write(data[:start])
        file.seek(start + length)
        file.write(data[start + inside :])
    with PackReader(path) as reader:
        message = r"chunk 0 \(FRAMES\): it has 2,147,483,648 compressed bytes for"
        for read in (lambda: reader.frame(0), reader.names, reader.verify):
            with pytest.raises(RinrFormatError, match=message):
                read()
    assert reads


@given(st.integers(0, 300_000), st.booleans())
def test_what_zstd_makes_is_never_too_long(size: int, noise: bool) -> None:
    raw = random.Random(size).randbytes(size) if noise else bytes(size)
    check_stored(len(compress(raw, level=3)), size)


def test_reads_end_where_the_file_ends(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    source, memory = FileSource(path), MemorySource(b"0123456789")
    for offset, length in ((0, 10), (3, 2**62), (10, 5), (2**40, 2**40), (0, 0)):
        assert source.read(offset, length) == memory.read(offset, length)
    path.write_bytes(b"0123456789abcdef")  # what was appended since is not read
    assert source.read(8, 100) == b"89"
    assert source.changed()
    source.close()
