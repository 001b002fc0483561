"""`verify` of single files: what it proves, `--decode`, missing families, and its bounds."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rinrcodec
from rinrcodec import Progress
from rinrcodec.datasets.inspection import check as check_module
from rinrcodec.decoder import Decoder
from rinrcodec.errors import RinrDeviceError, RinrLimitError
from rinrcodec.formats import PackReader, _chunks, pack_bytes, schema
from rinrcodec.limits import Limits
from rinrcodec.pack import Frame, Group, InrRef, Pack, Rows, Spec

from .conftest import Run

VECTORS = Path(__file__).parents[1] / "formats/vectors/v1"
GOOD = VECTORS / "decodable.rinr"  # three frames


def unknown(path: Path, family: str = "nosuch") -> Path:
    rows = Rows(np.zeros((1, 3), np.int8), np.ones((1, 1), np.float32))
    pack = Pack((Frame("a", 4, 4, InrRef(0, 0)),), (Group(Spec.of(family, x=1), 8, rows),))
    path.write_bytes(pack_bytes(pack))
    return path


def test_a_family_that_is_not_installed_has_its_own_result(run: Run, tmp_path: Path) -> None:
    path = unknown(tmp_path / "a.rinr")
    sentence = f"{path}: frames not checked, as the family 'nosuch' is not installed: install the"
    done = run("verify", path, GOOD, code=4)
    assert done.stderr.startswith(f"error: {sentence}")
    assert "sound" not in done.stdout
    report = json.loads(run("verify", path, "--json", "-", code=4).stdout)
    assert (report["bad"], list(report["unchecked"])) == ({}, [str(path)])
    result = rinrcodec.verify(path, decode=True)
    assert not result.ok
    assert not result.bad
    assert result.unchecked[str(path)].startswith(sentence)
    # What is wrong says more.
    assert "lacks" in run("verify", path, VECTORS / "many_frames.rinr", code=1).stderr


def test_a_pack_that_cannot_be_decoded_is_not_sound(run: Run) -> None:
    for name in ("one_frame", "many_frames", "features", "cells", "labels"):
        done = run("verify", VECTORS / f"{name}.rinr", code=1)
        assert "which its family needs" in done.stderr


def test_decode_computes_every_frame_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    decode = Decoder.pixels

    def counted(self: Decoder, frames: Any, **options: Any) -> Any:
        decoded.append(frames)
        return decode(self, frames, **options)

    monkeypatch.setattr(Decoder, "pixels", counted)
    assert run("verify", GOOD).stdout == "1 file is sound\n"
    assert decoded == []
    assert run("verify", GOOD, "--decode").stdout == "1 file is sound; 3 frames decoded\n"
    assert decoded == [0, 1, 2]


def test_verify_with_decode_finds_errors_of_decoding(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: Decoder, index: int) -> NDArray[np.uint8]:  # noqa: ARG001
        raise RinrDeviceError("too little memory")

    monkeypatch.setattr(Decoder, "pixels", failing)
    run("verify", GOOD)
    done = run("verify", GOOD, "--decode", code=1)
    assert done.stderr == f"error: {GOOD}: too little memory\n"


def test_a_lack_of_memory_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(PackReader, "verify", failing)
    done = run("verify", GOOD, code=1)
    assert done.stderr == f"error: {GOOD}: there is too little memory to check it; use --jobs 1\n"


def test_progress_of_decoding_never_falls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_module, "_SECONDS", 0)  # as soon as possible
    for name in "abcd":
        (tmp_path / f"{name}.rinr").write_bytes(GOOD.read_bytes())
    seen: list[Progress] = []
    more = threading.Event()
    decode = Decoder.pixels

    def until_it_is_shown(self: Decoder, index: int) -> Any:
        """Decode after the next look at the progress, which shows the frames before."""
        more.clear()
        more.wait(20)
        return decode(self, index)

    def show(progress: Progress) -> None:
        seen.append(progress)
        more.set()

    monkeypatch.setattr(Decoder, "pixels", until_it_is_shown)
    result = rinrcodec.verify(tmp_path, decode=True, jobs=2, on_progress=show)
    done = [one.done for one in seen]
    assert result.frames == 12
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == 4
    assert any(0 < value % 1 < 1 for value in done)


def bomb(rows: int, tmp_path: Path) -> Path:
    """A small file of one frame and many rows of zeros."""
    spec = Spec.of("siren", depth=1, width=1, out=1, w0=1.0, w0_first=1.0)
    group = Group(spec, 8, Rows(np.zeros((rows, 5), np.int8), np.zeros((rows, 4), np.float32)))
    pack = Pack((Frame("a", 1, 1, InrRef(0, 0), mode="L"),), (group,))
    path = tmp_path / "bomb.rinr"
    path.write_bytes(pack_bytes(pack))
    return path


def test_a_file_that_unpacks_to_too_much_is_refused_before_it_is_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bomb(400_000, tmp_path)
    size = path.stat().st_size
    most = Limits().verify_bytes(size)
    with PackReader(path) as reader:
        cost = reader._directory.cost()
        assert 400_000 * 13 < cost < 400_000 * 14
        assert cost > 32 * size
    monkeypatch.setattr(Limits, "verify_bytes", lambda self, file_bytes: cost - 1)  # noqa: ARG005
    with monkeypatch.context() as patch:
        patch.setattr(_chunks, "_load_chunk", None)  # nothing is read
        done = run("verify", path, code=1)
    assert f"takes {cost:,} uncompressed ones, over the limit of {cost - 1:,}" in done.stderr
    assert "do not use it\n" in done.stderr  # and no advice that only a program can follow
    monkeypatch.setattr(Limits, "verify_bytes", lambda self, file_bytes: cost)  # noqa: ARG005
    run("verify", path)
    assert most > cost


def test_the_bound_grows_with_the_file_and_with_max_pixels() -> None:
    limits = Limits()
    assert limits.verify_bytes(10**9) - limits.verify_bytes(0) == 32 * 10**9
    assert limits.verify_bytes(0) < 2**30
    from rinrcodec.limits import limits_for

    wide = limits_for(3 * limits.max_pixels)
    assert wide.max_verify_bytes == 3 * limits.max_verify_bytes
    assert wide.max_verify_work == 3 * limits.max_verify_work


def test_listing_frames_is_bounded(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table in one large chunk would be unpacked again for every frame."""
    monkeypatch.setattr(schema, "TABLE_ROWS", 2**20)
    monkeypatch.setattr(schema, "CHUNK_BYTES", 2**26)
    spec = Spec.of("siren", depth=1, width=1, out=1, w0=1.0, w0_first=1.0)
    group = Group(spec, 8, Rows(np.zeros((1, 5), np.int8), np.zeros((1, 4), np.float32)))
    name = "x" * 500
    frames = tuple(Frame(f"{name}{i}", 1, 1, InrRef(0, 0), mode="L") for i in range(2500))
    path = tmp_path / "a.rinr"
    path.write_bytes(pack_bytes(Pack(frames, (group,))))
    with PackReader(path) as reader:
        assert reader.largest_chunk > 2**20
    with PackReader(path, limits=Limits(max_verify_bytes=10 * 2**20)) as reader:
        with pytest.raises(RinrLimitError, match="uncompressed ones"):
            list(reader.all_frames())
        assert reader._store.unpacked < 20 * 2**20
        reader.verify()
    monkeypatch.setattr(Limits, "verify_bytes", lambda self, file_bytes: 2**23)  # noqa: ARG005
    assert "do not use it" in run("info", path, "--frames", code=1).stderr
    run("info", path)


def test_chunks_are_released_one_by_one(tmp_path: Path) -> None:
    with PackReader(bomb(20_000, tmp_path)) as reader:
        seen = list(reader._store.chunks(schema.Kind.ROWS))
    assert len(seen) > 2
    assert seen[:-1] == [{}] * (len(seen) - 1)
