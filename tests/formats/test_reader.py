"""Opening: little is read, any kind of source works, and readers can be shared and sent."""

from __future__ import annotations

import gc
import io
import multiprocessing
import os
import pickle
import subprocess
import sys
import tracemalloc
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sample_packs import (
    PACKS,
    features,
    make_group,
    many_frames,
    one_frame,
    realistic,
    same_content,
)

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrFormatError
from rinrcodec.formats import PackReader, pack_bytes, read_header, read_pack, write_pack
from rinrcodec.pack import Frame, InrRef, ObjectInr, Pack, Spec


class CountingFile(io.BytesIO):
    """Counts the bytes that are read from it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


@pytest.mark.parametrize("boxes", [0, 1, 3, 10])
def test_overhead_of_one_frame(boxes: int) -> None:
    sizes = PackReader(pack_bytes(realistic(1, boxes=boxes))).sizes()
    assert sizes.payload > 6000
    assert sizes.overhead <= 1500


@pytest.mark.parametrize("boxes", [0, 1, 3, 8])
def test_overhead_in_a_pack_of_100(boxes: int) -> None:
    data = pack_bytes(realistic(100, boxes=boxes))
    sizes = PackReader(data).sizes()
    assert sizes.overhead <= 40 * 100
    assert sizes.file == len(data)
    assert sizes.file == sizes.payload + sizes.boxes + sizes.metadata + sizes.overhead


def test_bytes_of_rows_before_compression_are_known_without_reading_them() -> None:
    """Groups of every kind: weights of 8 and 16 bit, shared weights, coded rows."""
    for pack in (realistic(100, boxes=3), features()):
        reader = PackReader(pack_bytes(pack))
        for number, group in enumerate(pack.stacks):
            rows = group.rows
            wanted = rows.codes.nbytes + 2 * rows.scales.size + sum(map(len, rows.coded))
            assert reader.row_bytes(number) == wanted


def test_a_whole_pack_is_read_as_it_was_written() -> None:
    for pack in (realistic(100, boxes=3), features()):
        data = pack_bytes(pack)
        again = read_pack(data)
        assert again.frames == pack.frames
        assert pack_bytes(again) == data


def test_a_damaged_pack_is_not_read() -> None:
    data = bytearray(pack_bytes(realistic(2)))
    data[len(data) // 2] ^= 1
    with pytest.raises(RinrFormatError):
        read_pack(bytes(data))


def test_one_frame_of_ten_thousand_is_read_without_the_rest() -> None:
    group = make_group(Spec.of("siren", depth=10, width=28), 8, 10_000, 3400, 22)
    frames = tuple(
        Frame(
            f"{i:06d}.jpg",
            640,
            360,
            InrRef(0, i),
            boxes=(Box(i % 9, i % 4000 / 7, 1.5, 20, 30),),
            objects=(ObjectInr(InrRef(0, i)),),
        )
        for i in range(10_000)
    )
    # Weights that do not compress, so that the file is no smaller than a real one.
    noise = np.random.default_rng(0).bytes(group.rows.codes.size)
    group.rows.codes[:] = np.frombuffer(noise, np.int8).reshape(group.rows.codes.shape)
    data = pack_bytes(Pack(frames, (group,)))
    assert len(data) > 25_000_000
    file = CountingFile(data)
    reader = PackReader(file)
    assert file.count < 20_000
    opened = file.count
    assert reader.frame(7_777) == frames[7_777]
    assert file.count - opened < 20_000
    rows = reader.read_rows(0, [7_777])
    assert np.array_equal(rows.codes[0], group.rows.codes[7_777])
    assert file.count - opened < 100_000


def test_opening_reads_block_structure_and_directory_only() -> None:
    file = CountingFile(pack_bytes(realistic(3)))
    reader = PackReader(file)
    header = reader.header
    assert file.count == 512 + len(header.structure()) + header.sections[-1]
    reader.sizes(), reader.info, reader.n_frames, repr(reader)
    assert file.count == 512 + len(header.structure()) + header.sections[-1]


def test_header_reads_512_bytes() -> None:
    file = CountingFile(pack_bytes(many_frames()))
    header = read_header(file)
    assert file.count == 512
    assert (header.n_frames, header.width, header.height, header.mode) == (12, 64, 48, "RGB")
    assert header.version == 1
    assert header.required == header.optional == 0
    assert read_header(pack_bytes(PACKS["features"]())).required == 0b111


@pytest.mark.parametrize("kind", ["str", "path", "bytes", "file", "memory"])
def test_every_kind_of_source_is_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.rinr"
    write_pack(path, one_frame())
    with path.open("rb") as file:
        source = {
            "str": str(path),
            "path": path,
            "bytes": path.read_bytes(),
            "file": file,
            "memory": io.BytesIO(path.read_bytes()),
        }[kind]
        assert read_header(source).n_frames == 1
        with PackReader(source) as reader:
            reader.verify()
            assert same_content(reader, one_frame())
        assert not file.closed


def test_large_chunks_are_not_kept() -> None:
    group = make_group(Spec.of("siren", width=1000), 16, 8, 1_000_000, 1)
    data = pack_bytes(Pack((Frame("0", 8, 8, InrRef(0, 0)),), (group,)))
    reader = PackReader(data)
    tracemalloc.start()
    try:
        for row in range(8):
            reader.read_rows(0, [row])
        assert tracemalloc.get_traced_memory()[0] < 2**20
    finally:
        tracemalloc.stop()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PackReader(tmp_path / "no.rinr")
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "no.rinr")


def test_a_closed_reader_raises(tmp_path: Path) -> None:
    write_pack(tmp_path / "a.rinr", one_frame())
    reader = PackReader(tmp_path / "a.rinr")
    reader.close()
    reader.close()
    with pytest.raises(ValueError, match=r"a\.rinr: the reader is closed"):
        reader.frame(0)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    write_pack(tmp_path / "a.rinr", one_frame())
    (tmp_path / "bad.rinr").write_bytes(pack_bytes(one_frame())[:-1])
    gc.collect()
    gc.disable()  # a reader must not need the garbage collector
    try:
        before = descriptors()
        reader = PackReader(tmp_path / "a.rinr")
        reader.verify()
        assert descriptors() == before + 1
        del reader
        assert descriptors() == before
        with pytest.raises(RinrFormatError):
            PackReader(tmp_path / "bad.rinr")
        assert descriptors() == before
    finally:
        gc.enable()


def test_file_that_shrinks_while_open(tmp_path: Path) -> None:
    path = tmp_path / "a.rinr"
    write_pack(path, one_frame())
    reader = PackReader(path)
    os.truncate(path, 900)
    with pytest.raises(RinrFormatError, match=r"a\.rinr: chunk 0 \(FRAMES\): bytes .* are missing"):
        reader.frame(0)


def test_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pack(tmp_path / "a.rinr", many_frames())
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(PackReader("a.rinr"))
    assert len(sent) < 1000
    monkeypatch.chdir("/")
    assert same_content(pickle.loads(sent), many_frames())
    in_memory = pickle.loads(pickle.dumps(PackReader(pack_bytes(many_frames()))))
    assert same_content(in_memory, many_frames())
    with pytest.raises(TypeError, match="cannot be pickled; use a path"):
        pickle.dumps(PackReader(io.BytesIO(pack_bytes(many_frames()))))


def _digest(reader: PackReader, turn: int = 0) -> int:
    """A number that depends on all the content, read in an order that differs by turn."""
    total = 0
    for i in range(reader.n_frames):
        index = (i * 7 + turn * 13) % reader.n_frames
        frame = reader.frame(index)
        rows = reader.read_rows(frame.background.group, [frame.background.row])
        total += hash((index, len(frame.boxes), frame.width)) ^ int(rows.codes.sum())
    return total


@pytest.mark.parametrize("kind", ["path", "file"])
def test_eight_threads_share_a_reader(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.rinr"
    write_pack(path, many_frames(80, boxes=3))
    with path.open("rb") as file:
        reader = PackReader(path if kind == "path" else file)
        expected = _digest(PackReader(path))
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(_digest, [reader] * 8, range(8))) == {expected}


def test_two_processes_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.rinr"
    write_pack(path, many_frames(500, boxes=3))
    reader = PackReader(path)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        counts = list(pool.map(PackReader.names, [reader] * 4))
    assert counts == [reader.names()] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_reads_through_the_same_descriptor(tmp_path: Path) -> None:
    """In a process of its own: forking a test runner that has threads is no good."""
    path = tmp_path / "a.rinr"
    write_pack(path, many_frames(500, boxes=3))
    script = (
        "import os, sys\n"
        "from rinrcodec.formats import PackReader\n"
        "reader = PackReader(sys.argv[1])\n"
        "children = []\n"
        "for turn in range(2):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        frames = [reader.frame(i) for i in range(turn, 500)]\n"
        "        os._exit(0 if len({f.name for f in frames}) == 500 - turn else 1)\n"
        "    children.append(child)\n"
        "reader.verify()\n"
        "codes = [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children]\n"
        "sys.exit(max(codes))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)


def test_import_is_light() -> None:
    script = (
        "import sys, rinrcodec.formats\n"
        "heavy = {'torch', 'h5py', 'PIL', 'click', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
