"""Writing: canonical, atomic, and nothing that readers would refuse."""

from __future__ import annotations

import errno
import io
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_packs import PACKS, many_frames, one_frame, same_content

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrError, RinrFormatError, RinrInputError, RinrLimitError
from rinrcodec.formats import PackReader, pack_bytes, write_pack
from rinrcodec.limits import Limits
from rinrcodec.pack import Group, InrRef, Metadata, ObjectInr, Pack, Rows, Spec


@pytest.mark.parametrize("name", PACKS)
def test_file_and_bytes_are_the_same(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.rinr"
    size = write_pack(path, PACKS[name]())
    assert path.read_bytes() == pack_bytes(PACKS[name]())
    assert size == path.stat().st_size


def test_order_of_info_does_not_matter() -> None:
    pack = one_frame()
    turned = replace(pack, info=dict(reversed(list(pack.info.items()))))
    assert list(turned.info) != list(pack.info)
    assert pack_bytes(turned) == pack_bytes(pack)


def test_a_file_can_be_written_again_from_its_reader(tmp_path: Path) -> None:
    write_pack(tmp_path / "a.rinr", many_frames())
    with PackReader(tmp_path / "a.rinr") as file:
        write_pack(tmp_path / "a.rinr", file)
        assert same_content(file, many_frames())
    assert (tmp_path / "a.rinr").read_bytes() == pack_bytes(many_frames())


def test_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "a.rinr"
    path.write_bytes(b"precious")
    with pytest.raises(RinrInputError, match=r"a\.rinr: exists already; pass overwrite=True"):
        write_pack(path, one_frame(), overwrite=False)
    assert path.read_bytes() == b"precious"
    write_pack(path, one_frame())
    PackReader(path).verify()


def test_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_pack(tmp_path / "a.rinr", one_frame())
    assert (tmp_path / "a.rinr").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_file_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        is_there = (tmp_path / "a.rinr").exists()
        synced.append((is_there, None if stat.S_ISDIR(status.st_mode) else status.st_size))

    monkeypatch.setattr(os, "fsync", fsync)
    size = write_pack(tmp_path / "a.rinr", one_frame())
    assert synced == [(False, size), (True, None)]  # the file, then the name in its folder


class _Stops(Pack):
    """A pack that fails when its weights are read, with the file half written."""

    error: BaseException

    def read_rows(self, group: int, rows: Any) -> Rows:
        if group == 1:
            raise self.error
        return super().read_rows(group, rows)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (MemoryError(), MemoryError),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), RinrError),
    ],
)
def test_nothing_is_left_when_writing_stops(
    error: BaseException, expected: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "a.rinr"
    path.write_bytes(b"the old file")
    pack = one_frame()
    stops = _Stops(pack.frames, pack.stacks, pack.info)
    object.__setattr__(stops, "error", error)
    with pytest.raises(expected):
        write_pack(path, stops)
    assert [p.name for p in tmp_path.iterdir()] == ["a.rinr"]
    assert path.read_bytes() == b"the old file"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from rinrcodec.formats import PackReader, write_pack\n"
        "class Dies(PackReader):\n"
        "    def read_rows(self, group, rows):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_pack(sys.argv[1], Dies(sys.argv[1]))\n"
    )
    path = tmp_path / "a.rinr"
    write_pack(path, one_frame())
    done = subprocess.run([sys.executable, "-c", script, str(path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == pack_bytes(one_frame())
    assert {p.suffix for p in tmp_path.iterdir()} == {".rinr", ".tmp"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, _mode: str) -> io.BufferedWriter:
        self.touch()
        return io.BufferedWriter(io.FileIO("/dev/full", "w"))

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(RinrError, match=r"a\.rinr: cannot be written: No space left on device"):
        write_pack(tmp_path / "a.rinr", one_frame())
    assert list(tmp_path.iterdir()) == []


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(RinrError, match=r"no/a\.rinr: cannot be written: its folder does not"):
        write_pack(tmp_path / "no" / "a.rinr", one_frame())


def frame_with(**changes: Any) -> Pack:
    pack = one_frame()
    return replace(pack, frames=(replace(pack.frames[0], **changes),))


def group_with(codes: Any, scales: Any, *, bits: int = 8) -> Pack:
    rows = Rows(np.asarray(codes), np.asarray(scales))
    pack = one_frame()
    return replace(pack, stacks=(Group(Spec.of("siren"), bits, rows), *pack.stacks[1:]))


INT8 = np.zeros((1, 4), np.int8)
ONE = np.ones((1, 1), np.float32)
SMALL = Box(0, 1, 1, 2, 2)
REFUSED = {
    "no frames": (Pack((), ()), "a pack without frames"),
    "two names": (replace(one_frame(), frames=one_frame().frames * 2), "two frames have the name"),
    "empty name": (frame_with(name=""), "is empty"),
    "name leaves": (frame_with(name="../a"), r"'\.\.', it would leave"),
    "absolute name": (frame_with(name="/a"), "is absolute"),
    "surrogates": (frame_with(name="\udcff"), "not valid Unicode"),
    "no width": (frame_with(width=0), "has the size 0 x 360"),
    "mode": (frame_with(mode="CMYK"), "colour mode 'CMYK'"),
    "time": (frame_with(time=float("nan")), "the time nan"),
    "source size": (frame_with(source_size=(-1, 5)), "source size"),
    "source bytes": (frame_with(source_bytes=2**63), "a source of"),
    "group": (frame_with(background=InrRef(3, 0)), "refers to group 3 of 3"),
    "row": (frame_with(background=InrRef(0, -1)), "refers to row -1 of group 0"),
    "gain": (
        frame_with(boxes=(SMALL,), objects=(ObjectInr(InrRef(1, 0), "residual", 0.1),)),
        "the gain 0.1, which is no finite float32",
    ),
    "huge gain": (
        frame_with(boxes=(SMALL,), objects=(ObjectInr(InrRef(1, 0), "residual", 1e300),)),
        "no finite float32",
    ),
    "object mode": (
        frame_with(boxes=(SMALL,), objects=(ObjectInr(InrRef(1, 0), "add"),)),  # type: ignore[arg-type]
        "mode 'add'",
    ),
    "object outside": (
        frame_with(boxes=(Box(0, 900, 0, 5, 5),), objects=(ObjectInr(InrRef(1, 0)),)),
        "covers no pixel",
    ),
    "class": (frame_with(boxes=(Box(2**32, 0, 0, 1, 1),), objects=(None,)), "class 4294967296"),
    "inexact scale": (group_with(INT8, ONE * np.float32(0.1)), "not exact in bfloat16"),
    "infinite scale": (group_with(INT8, ONE * np.inf), "a scale is infinite"),
    "rows of nothing": (group_with(INT8[:, :0], ONE[:, :0]), "has 1 rows without weights"),
    "float64 scale": (group_with(INT8, np.ones((1, 1))), "scales float64"),
    "codes over bits": (group_with(INT8 + 8, ONE, bits=4), "from 8 to 8 do not fit 4 bits"),
    "info": (replace(one_frame(), info={"preset": "\ud800"}), "not valid Unicode"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_writer_refuses_packs_that_break_a_rule(name: str, tmp_path: Path) -> None:
    pack, sentence = REFUSED[name]
    with pytest.raises(RinrFormatError, match=rf"a\.rinr: .*{sentence}"):
        write_pack(tmp_path / "a.rinr", pack)
    assert list(tmp_path.iterdir()) == []


LIMITED = {
    "max_frames": (many_frames(), 11),
    "max_pixels": (one_frame(), 640 * 360 - 1),
    "max_boxes": (one_frame(), 2),
    "max_groups": (one_frame(), 2),
    "max_spec_bytes": (one_frame(), 55),
    "max_params": (one_frame(), 122),
    "max_scales": (one_frame(), 7),
    "max_name_bytes": (one_frame(), 19),
    "max_metadata_bytes": (one_frame(), 11),
    "max_chunk_bytes": (one_frame(), 100),
    "max_shared_bytes": (PACKS["features"](), 199),
    "max_frames_bytes": (one_frame(), 84),
    "max_directory_bytes": (one_frame(), 100),
}


@pytest.mark.parametrize("name", LIMITED)
def test_limits_bind_writer_and_reader_alike(name: str) -> None:
    pack, most = LIMITED[name]
    limits = Limits(**{name: most})
    with pytest.raises(RinrLimitError, match=f"limit {name} = {most:,}; pass limits="):
        pack_bytes(pack, limits=limits)
    with pytest.raises(RinrLimitError, match=f"limit {name} = {most:,}; pass limits="):
        PackReader(pack_bytes(pack), limits=limits).verify()


def test_limits_are_inclusive() -> None:
    exact = {"max_frames": 12, "max_boxes": 2, "max_groups": 2, "max_pixels": 66 * 48}
    PackReader(pack_bytes(many_frames(), limits=Limits(**exact)), limits=Limits(**exact)).verify()


def test_metadata_may_be_large() -> None:
    pack = frame_with(metadata=Metadata(exif=bytes(2**24)))
    assert PackReader(pack_bytes(pack)).frame(0) == pack.frames[0]
