"""Packs behind URLs: little is read, changes are seen, and readers cross threads and processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest
from sample_packs import many_frames, one_frame, realistic, same_content

from rinrcodec.errors import RinrError, RinrFormatError, RinrInputError
from rinrcodec.formats import PackReader, pack_bytes, read_header, write_pack
from rinrcodec.storage import files_below, read_file, remove_file, to_path
from rinrcodec.storage.atomic import write_whole

ODD_NAMES = ["a b.rinr", "ü/日本.rinr", "a#1.rinr", "100%41.rinr", "is it?.rinr", "[x]*.rinr"]


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The requests of the test to S3 from now on: what is asked, and the bytes of the range."""
    from s3fs import S3FileSystem

    ranges: list[tuple[str, int]] = []
    ask = S3FileSystem._call_s3

    async def counted(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        start, _, stop = kwargs.get("Range", "bytes=0--1").removeprefix("bytes=").partition("-")
        ranges.append((method, int(stop) + 1 - int(start)))
        return await ask(self, method, *args, **kwargs)

    monkeypatch.setattr(S3FileSystem, "_call_s3", counted)
    return ranges


def test_a_pack_is_written_and_read_back(remote: str) -> None:
    url = f"{remote}/deep/er/a.rinr"
    size = write_pack(url, many_frames())
    assert read_file(to_path(url)) == pack_bytes(many_frames())
    assert size == len(pack_bytes(many_frames()))
    with PackReader(url) as reader:
        assert same_content(reader, many_frames())
        reader.verify()
        assert reader.name == url
        assert read_header(url) == reader.header
    assert same_content(PackReader(to_path(url)), many_frames())


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_with_special_characters_are_kept(remote: str, name: str) -> None:
    write_pack(f"{remote}/{name}", one_frame())
    assert same_content(PackReader(f"{remote}/{name}"), one_frame())
    ((path, _),) = files_below(to_path(remote))
    assert str(path) == f"{remote}/{name}"


def test_opening_and_one_frame_read_little(s3: str, requests: list[tuple[str, int]]) -> None:
    """The figures of docs/remote.md."""
    size = write_pack(f"{s3}/a.rinr", realistic(1000))
    assert size > 7_000_000
    requests.clear()
    with PackReader(f"{s3}/a.rinr") as reader:
        assert [method for method, _ in requests] == ["head_object", "get_object", "get_object"]
        index = reader.header.data_start + reader.header.sections[-1]
        assert sum(n for _, n in requests) < index + 200 < 2300
        requests.clear()
        frame = reader.frame(500)
        for inr in (frame.background, *(item.inr for item in frame.objects if item)):
            reader.read_rows(inr.group, [inr.row])
        assert [method for method, _ in requests] == ["get_object"] * 5
        assert sum(n for _, n in requests) < 130_000
        requests.clear()
        assert reader.frame(501).name != frame.name  # of the same chunks, which are kept
        assert requests == []


def test_a_scan_reads_the_user_block(s3: str, requests: list[tuple[str, int]]) -> None:
    write_pack(f"{s3}/a.rinr", many_frames(100))
    requests.clear()
    assert read_header(f"{s3}/a.rinr").n_frames == 100
    assert requests == [("get_object", 512)]


def test_memory_is_read_in_the_same_ranges(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    write_pack(f"{memory}/a.rinr", many_frames(200))
    ranges = []
    cat_file = MemoryFileSystem.cat_file

    def counted(self: Any, path: str, start: int, end: int) -> bytes:
        ranges.append((start, end))
        return cat_file(self, path, start, end)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", counted)
    reader = PackReader(f"{memory}/a.rinr")
    assert len(ranges) == 2
    assert ranges[1] == (reader.sizes().file - reader.header.sections[-1], reader.sizes().file)


def test_a_pack_is_not_replaced_unless_allowed(remote: str) -> None:
    url = f"{remote}/a.rinr"
    write_pack(url, one_frame(), overwrite=False)
    with pytest.raises(RinrInputError, match=r"a\.rinr: exists already; pass overwrite=True"):
        write_pack(url, many_frames(), overwrite=False)
    assert same_content(PackReader(url), one_frame())
    write_pack(url, many_frames())
    assert same_content(PackReader(url), many_frames())


def test_a_pack_is_uploaded_in_one_request(s3: str, requests: list[tuple[str, int]]) -> None:
    write_pack(f"{s3}/a.rinr", many_frames())
    assert [method for method, _ in requests] == ["put_object"]
    with pytest.raises(RinrFormatError, match=rf"^{s3}/b\.rinr: two frames have the name"):
        write_pack(f"{s3}/b.rinr", _twice())
    assert [path.name for path, _ in files_below(to_path(s3))] == ["a.rinr"]


def _twice() -> Any:
    from dataclasses import replace

    pack = many_frames(2)
    return replace(pack, frames=(pack.frames[0], replace(pack.frames[1], name=pack.frames[0].name)))


def test_a_missing_bucket_is_an_error_of_writing(s3_server: str) -> None:  # noqa: ARG001
    with pytest.raises(
        RinrError, match=r"^s3://gone/a\.rinr: cannot be written: there is no such b"
    ):
        write_pack("s3://gone/a.rinr", one_frame())


def test_missing_packs_and_folders_are_errors(remote: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"there is no such file or folder: '{remote}/a"):
        PackReader(f"{remote}/a.rinr")
    with pytest.raises(FileNotFoundError, match="there is no such file or folder"):
        read_header(f"{remote}/a.rinr")
    write_pack(f"{remote}/folder/a.rinr", one_frame())
    with pytest.raises(IsADirectoryError, match="is a folder"):
        PackReader(f"{remote}/folder")


@pytest.mark.parametrize("length", [0, 3, 500, 600, 1900])
def test_a_truncated_pack(remote: str, length: int) -> None:
    whole = pack_bytes(one_frame())
    assert len(whole) > 1900
    write_whole(to_path(f"{remote}/a.rinr"), whole[:length])
    reason = {0: "is empty", 3: "truncated: 3 of the", 500: "truncated: 500 of the"}
    with pytest.raises(RinrFormatError, match=reason.get(length, f"truncated: {length:,} of")):
        PackReader(f"{remote}/a.rinr")


@pytest.mark.parametrize("new", ["longer", "shorter", "same size", "gone"])
def test_a_pack_that_is_replaced_while_it_is_open(remote: str, new: str) -> None:
    url = f"{remote}/a.rinr"
    size = write_pack(url, many_frames(400))
    reader = PackReader(url)
    assert reader.frame(0).name
    if new == "gone":
        remove_file(to_path(url))
    else:
        other = {"longer": many_frames(900), "shorter": one_frame(), "same size": one_frame()}[new]
        data = pack_bytes(other)
        write_whole(to_path(url), data.ljust(size, b"\0") if new == "same size" else data)
    with pytest.raises(RinrFormatError, match=r"a\.rinr: .*changed while it was open"):
        reader.read_rows(0, [0])


def test_damage_is_not_reported_as_a_change(remote: str) -> None:
    data = bytearray(pack_bytes(many_frames(400)))
    reader = PackReader(bytes(data))
    data[reader.header.data_start + 50] ^= 1
    write_whole(to_path(f"{remote}/a.rinr"), bytes(data))
    with pytest.raises(RinrFormatError, match=r"damaged \(wrong CRC-32\); fetch the file again"):
        PackReader(f"{remote}/a.rinr").frame(0)


def test_a_local_pack_that_is_overwritten_in_place(tmp_path: Any) -> None:
    path = tmp_path / "a.rinr"
    write_pack(path, many_frames(400))
    reader = PackReader(path)
    with path.open("r+b") as file:
        file.seek(reader.header.data_start)
        file.write(bytes(5000))
    os.utime(path, ns=(1, 1))
    with pytest.raises(RinrFormatError, match="changed while it was open; open it again"):
        reader.frame(0)


def test_a_closed_reader(remote: str) -> None:
    write_pack(f"{remote}/a.rinr", one_frame())
    with PackReader(f"{remote}/a.rinr") as reader:
        pass
    with pytest.raises(ValueError, match="the reader is closed"):
        reader.frame(0)


def test_a_reader_pickles_as_its_url(remote: str) -> None:
    write_pack(f"{remote}/a.rinr", many_frames())
    sent = pickle.dumps(PackReader(f"{remote}/a.rinr"))
    assert f"{remote}/a.rinr".encode() in sent
    assert len(sent) < 1000
    assert same_content(pickle.loads(sent), many_frames())
    again = pickle.dumps(PackReader(to_path(f"{remote}/a.rinr")))
    assert same_content(pickle.loads(again), many_frames())


def _codes(reader: PackReader, index: int) -> int:
    frame = reader.frame(index)
    rows = reader.read_rows(frame.background.group, [frame.background.row])
    return int(rows.codes.sum())


def test_threads_share_a_reader(remote: str) -> None:
    write_pack(f"{remote}/a.rinr", many_frames(40))
    reader = PackReader(f"{remote}/a.rinr")
    expected = [_codes(PackReader(f"{remote}/a.rinr"), index) for index in range(12)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(_codes, [reader] * 12, range(12))) == expected


def test_a_thread_with_an_event_loop_may_read(s3: str) -> None:
    write_pack(f"{s3}/a.rinr", one_frame())

    async def read() -> int:
        return PackReader(f"{s3}/a.rinr").n_frames

    assert asyncio.run(read()) == 1


def test_a_spawned_worker_reads(s3: str) -> None:
    write_pack(f"{s3}/a.rinr", many_frames(40))
    reader = PackReader(f"{s3}/a.rinr")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(PackReader.names, reader).result() == reader.names()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_reads(s3: str) -> None:
    """In a process of its own: forking a test runner that has threads is no good."""
    write_pack(f"{s3}/a.rinr", many_frames(500))
    script = (
        "import os, sys, warnings\n"
        "warnings.simplefilter('ignore')  # of a fork next to the thread of the connections\n"
        "from rinrcodec.formats import PackReader\n"
        "reader = PackReader(sys.argv[1])\n"
        "reader.frame(0)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    names = {reader.frame(i).name for i in range(500)}\n"
        "    os._exit(0 if len(names) == 500 else 1)\n"
        "reader.verify()\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    subprocess.run([sys.executable, "-c", script, f"{s3}/a.rinr"], check=True, timeout=60)
