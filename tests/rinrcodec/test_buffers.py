"""Packs in memory maps, buffers and unusual file objects open as bytes do, or say why not."""

from __future__ import annotations

import io
import mmap
import os
import pickle
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rinrcodec
from rinrcodec.formats import PackReader, pack_bytes, read_header


@pytest.fixture(scope="module")
def data() -> bytes:
    pixels = np.arange(20 * 16, dtype=np.uint8).reshape(16, 20)
    return pack_bytes(
        rinrcodec.encode([pixels, pixels[::-1].copy()], preset="fast", steps=2, background="siren")
    )


def mapped(data: bytes) -> mmap.mmap:
    memory = mmap.mmap(-1, len(data))
    memory.write(data)
    return memory


def spaced(data: bytes) -> np.ndarray:
    wide = np.zeros((len(data), 2), np.uint8)
    wide[:, 0] = np.frombuffer(data, np.uint8)
    return wide[:, 0]


class Bare:
    """As little of a file as a reader needs: no `fileno`, no `closed`, `seek` returns nothing."""

    def __init__(self, data: bytes, most: int = 100) -> None:
        self._file, self._most = io.BytesIO(data), most

    def read(self, length: int = -1) -> bytearray:
        return bytearray(self._file.read(min(length, self._most) if length >= 0 else -1))

    def seek(self, offset: int, whence: int = 0) -> None:
        self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class Spooled(tempfile.SpooledTemporaryFile):  # type: ignore[type-arg]
    """A buffer that closes when it is no longer referenced, as at the end of a test."""

    def __init__(self, data: bytes) -> None:
        super().__init__(max_size=len(data) * 2)
        self.write(data)
        self.seek(0)

    def __del__(self) -> None:
        self.close()


BUFFERS: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "memoryview with gaps": lambda data: memoryview(spaced(data)),
    "signed view": lambda data: memoryview(data).cast("b"),
    "mmap": mapped,
    "array": lambda data: np.frombuffer(data, np.uint8),
    "array with gaps": spaced,
    "reversed array": lambda data: np.frombuffer(data[::-1], np.uint8)[::-1],
}
FILES: dict[str, Callable[[bytes], Any]] = {
    "BytesIO": io.BytesIO,
    "bare": Bare,
    "spooled": Spooled,
    "buffered": lambda data: io.BufferedReader(io.BytesIO(data)),  # type: ignore[arg-type]
}
SOURCES = {**BUFFERS, **FILES}


@pytest.mark.parametrize("kind", SOURCES)
def test_all_kinds_give_the_same_pixels(data: bytes, kind: str) -> None:
    wanted = rinrcodec.open(data)[1].numpy()
    with rinrcodec.open(SOURCES[kind](data)) as file:
        np.testing.assert_array_equal(file[1].numpy(), wanted)
        assert file.reader.sizes().file == len(data)
        file.verify()


@pytest.mark.parametrize("kind", SOURCES)
def test_the_header_is_read_from_buffers(data: bytes, kind: str) -> None:
    assert read_header(SOURCES[kind](data)).n_frames == 2


def test_a_memmap_of_a_file(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.rinr"
    path.write_bytes(data)
    with rinrcodec.open(np.memmap(path, np.uint8, "r")) as file:
        assert len(file) == 2


@pytest.mark.parametrize("kind", BUFFERS)
def test_readers_of_memory_pickle_and_serve_threads(data: bytes, kind: str) -> None:
    reader = PackReader(BUFFERS[kind](data))
    again = pickle.loads(pickle.dumps(reader))
    assert again.frame(1) == reader.frame(1)
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(reader.frame, [0, 1] * 20))
    assert frames == [reader.frame(0), reader.frame(1)] * 20


def test_readers_of_open_files_do_not_pickle(data: bytes) -> None:
    with pytest.raises(TypeError, match="an open file cannot be pickled"):
        pickle.dumps(PackReader(io.BytesIO(data)))


@pytest.mark.parametrize("kind", ["mmap", "BytesIO", "spooled"])
def test_reading_a_closed_source_is_a_clear_error(data: bytes, kind: str) -> None:
    source = SOURCES[kind](data)
    reader = PackReader(source)
    source.close()
    with pytest.raises(rinrcodec.RinrError, match=r"<\w+>: .*was closed .*; keep it open until"):
        reader.verify()
    with pytest.raises(rinrcodec.RinrInputError, match=r"<\w+>: .*closed"):
        PackReader(source)


@pytest.mark.parametrize("kind", ["bytearray", "mmap", "array"])
def test_a_closed_reader_lets_go_of_the_memory(data: bytes, kind: str) -> None:
    source = BUFFERS[kind](data)
    reader = PackReader(source)
    reader.close()
    reader.close()
    with pytest.raises(ValueError, match="the reader is closed"):
        reader.frame(0)
    if kind == "bytearray":
        source.clear()  # raises where a view is left
    if kind == "mmap":
        source.close()


def test_memory_that_changes_is_damage_not_other_pixels(data: bytes) -> None:
    source = bytearray(data)
    with rinrcodec.open(source) as file:
        source[700:] = bytes(len(data) - 700)
        with pytest.raises(rinrcodec.RinrFormatError):
            file.verify()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "cannot open a value of type NoneType: pass a path"),
        (7, "cannot open a value of type int: pass a path"),
        ([1, 2], "cannot open a value of type list"),
        (np.zeros(600, np.float32), "pass uint8 with one dimension"),
        (np.zeros((30, 30), np.uint8), "of 2 dimensions"),
        (np.array([None]), "cannot"),
        (io.StringIO("text " * 200), "is open as text"),
    ],
    ids=["None", "int", "list", "floats", "matrix", "objects", "text"],
)
def test_unsupported_sources_get_advice(source: Any, message: str) -> None:
    with pytest.raises(rinrcodec.RinrError, match=message):
        rinrcodec.open(source)


def test_a_pipe_gets_advice() -> None:
    read, write = os.pipe()
    os.close(write)
    with (
        os.fdopen(read, "rb") as file,
        pytest.raises(rinrcodec.RinrInputError, match=r"rinrcodec\.open\(file\.read\(\)\)"),
    ):
        rinrcodec.open(file)


def test_empty_memory_is_no_pack() -> None:
    for empty in (b"", bytearray(), memoryview(b""), np.zeros(0, np.uint8)):
        with pytest.raises(rinrcodec.RinrFormatError, match="it is empty"):
            rinrcodec.open(empty)


@pytest.mark.parametrize("kind", ["mmap", "bare", "spooled"])
def test_pillow_opens_buffers(data: bytes, kind: str) -> None:
    rinrcodec.register_pillow()
    wanted = rinrcodec.open(data)[0][0].numpy()
    with Image.open(SOURCES[kind](data)) as image:
        np.testing.assert_array_equal(np.asarray(image), wanted)


def test_a_map_that_is_closed_under_a_picture(data: bytes) -> None:
    rinrcodec.register_pillow()
    memory = mapped(data)
    image = Image.open(memory)
    image.seek(1)
    memory.close()
    with pytest.raises(OSError, match="it was closed"):
        image.load()
