"""What the plugins take of a pack: the frames with those that are damaged, and parts of it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import Counter
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import rinrcodec
from rinrcodec.errors import RinrError
from rinrcodec.formats.schema import Kind
from rinrcodec.pack import Frame, Pack, merge_packs, select_frames
from rinrcodec.plugins import _frames
from rinrcodec.plugins._frames import FrameRef, decode_rgb, scan

from .conftest import ROW, ROWS, clip_pack


@pytest.fixture
def file(pyramid_pack: Pack, tmp_path: Path) -> Path:
    path = tmp_path / "mixed.rinr"
    rinrcodec.save(pyramid_pack, path)
    return path


@pytest.mark.slow
def test_selected_and_merged_frames_are_the_same(pyramid_pack: Pack, file: Path) -> None:
    with rinrcodec.open(file) as source:
        parts = [select_frames(source, [4, 1]), select_frames(source, [0, 3]), pyramid_pack]
    merged = merge_packs(parts)
    # Grey and colour, however many packs there were; frames of one size may share a row.
    assert len(merged.groups) == 2
    rows = [len({frame.background for frame in part.frames}) for part in parts]
    assert sum(group.n_rows for group in merged.groups) == sum(rows)
    order = [4, 1, 0, 3, *range(5)]
    for number, index in enumerate(order):
        before, after = pyramid_pack.frames[index], merged.frames[number]
        assert after.name == before.name
        old = pyramid_pack.stacks[before.background.group].rows.coded[before.background.row]
        new = merged.stacks[after.background.group].rows.coded[after.background.row]
        assert new == old
        decoded = rinrcodec.decode(merged, number)
        assert torch.equal(
            torch.as_tensor(decoded), torch.as_tensor(rinrcodec.decode(pyramid_pack, index))
        )


def test_frames_for_yolo(file: Path, pyramid_pack: Pack) -> None:
    scanned = list(scan(file))
    assert [ref.path for ref, _ in scanned] == [str(file / f.name) for f in pyramid_pack.frames]
    for ref, frame in scanned:
        assert isinstance(frame, Frame)
        wanted = torch.as_tensor(rinrcodec.decode(pyramid_pack, ref.index)).permute(1, 2, 0).numpy()
        assert np.array_equal(decode_rgb(ref), wanted)


def test_a_frame_next_to_a_damaged_one_is_decoded(file: Path) -> None:
    """YOLO's scan says of every frame whether it can be used."""
    with rinrcodec.open(file) as source:
        directory = source.reader._directory
        run = directory.run(Kind.ROWS, 1)
        start, length = int(directory.offsets[run.first]), directory.record(run.first).stored
    data = bytearray(file.read_bytes())
    data[start + length - 1] ^= 1
    file.write_bytes(data)
    broken = [isinstance(frame, RinrError) for _, frame in scan(file)]
    assert broken == [False, True, False, True, False]  # the grey ones


@pytest.fixture
def refs(clips: Path, monkeypatch: pytest.MonkeyPatch) -> list[FrameRef]:
    """All frames of the clips, of which no row is open."""
    monkeypatch.setattr(_frames, "_open_rows", _frames._OpenRows())
    return [ref for pack in sorted(clips.iterdir()) for ref, _ in scan(pack)]


def check(refs: list[FrameRef], decoded: Any, frames: list[torch.Tensor]) -> None:
    for ref, pixels, frame in zip(refs, decoded, frames, strict=True):
        assert np.array_equal(pixels, frame.permute(1, 2, 0).numpy()), ref.path


def test_in_order_every_frame_is_decoded_once(
    refs: list[FrameRef], clip_frames: list[torch.Tensor], reads: list[int]
) -> None:
    check(refs, map(decode_rgb, refs), clip_frames)
    assert reads == [*range(ROW)] * ROWS


def test_threads_in_about_that_order_decode_every_frame_once(
    refs: list[FrameRef], clip_frames: list[torch.Tensor], reads: list[int]
) -> None:
    """As Ultralytics fills its cache."""
    with ThreadPool(8) as pool:
        check(refs, pool.imap(decode_rgb, refs), clip_frames)
    assert Counter(reads) == dict.fromkeys(range(ROW), ROWS)


def test_the_waiting_thread_with_the_first_frame_is_next() -> None:
    order: list[int] = []
    begun, arrived = threading.Event(), threading.Semaphore(0)

    class Noting(list[int]):
        def append(self, index: int) -> None:
            super().append(index)
            arrived.release()

    class Slow:
        """A decoder that keeps the first thread until four others wait."""

        def pixels(self, frame: int) -> NDArray[np.uint8]:
            if not begun.is_set():
                begun.set()
                assert all(arrived.acquire(timeout=60) for _ in range(5))
            order.append(frame)
            return np.empty(0, np.uint8)

    row = _frames._OpenRow(Slow())
    row._waiting = Noting()
    with ThreadPool(5) as pool:
        first = pool.apply_async(row.decode, (9,))
        assert begun.wait(60)
        pool.map(row.decode, [3, 1, 2, 1])
        first.get(60)
    assert order == [9, 1, 1, 2, 3]


def test_rows_may_alternate_while_they_are_open(refs: list[FrameRef], reads: list[int]) -> None:
    order = [first * ROW + k for k in range(ROW) for first in range(_frames._OPEN_ROWS)]
    for index in order:
        decode_rgb(refs[index])
    assert len(reads) == len(order)
    reads.clear()
    for index in (0, 9 * ROW, 1):  # the first row is still open
        decode_rgb(refs[index])
    assert reads == [0]
    assert len(_frames._open_rows._rows) == _frames._OPEN_ROWS


def test_a_file_that_was_replaced_has_other_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.rinr"
    for frames in (clip_pack(0, 4), clip_pack(20, 5)):
        rinrcodec.save(frames, path)
        pixels = decode_rgb(FrameRef(str(path), 3, "3"))
        assert np.array_equal(pixels, rinrcodec.decode(frames, 3).permute(1, 2, 0).numpy())


def test_frames_that_are_decoded_alone_keep_no_row_open(
    file: Path, sequence_pack: Pack, tmp_path: Path, refs: list[FrameRef]
) -> None:
    rinrcodec.save(sequence_pack, tmp_path / "nerv.rinr")
    for path in (file, tmp_path / "nerv.rinr"):
        decode_rgb(FrameRef(str(path), 4, "4"))
    assert not _frames._open_rows._rows
    decode_rgb(refs[0])
    assert len(_frames._open_rows._rows) == 1


def test_a_damaged_row_fails_for_every_thread(clips: Path, tmp_path: Path) -> None:
    data = bytearray((clips / "a.rinr").read_bytes())
    with rinrcodec.open(clips / "a.rinr") as source:
        directory = source.reader._directory
        data[int(directory.offsets[directory.run(Kind.ROWS, 0).first])] ^= 0xFF
    (tmp_path / "a.rinr").write_bytes(data)

    def outcome(index: int) -> str:
        try:
            decode_rgb(FrameRef(str(tmp_path / "a.rinr"), index, ""))
        except RinrError as error:
            return str(error)
        return ""

    with ThreadPool(4) as pool:
        assert all("CRC-32" in text for text in pool.map(outcome, range(8)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_process_waits_for_no_lock_of_the_other(refs: list[FrameRef]) -> None:
    """A thread may hold a lock at the moment of the fork."""
    decode_rgb(refs[0])
    (row,) = _frames._open_rows._rows.values()
    with row._change, _frames._open_rows._lock:
        context = multiprocessing.get_context("fork")
        child = context.Process(target=decode_rgb, args=(refs[0],))
        child.start()
        child.join(60)
        assert child.exitcode == 0
