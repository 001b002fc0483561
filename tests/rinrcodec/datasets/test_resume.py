"""A run that ends early, however it ends, can be resumed and gives the same bytes."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

import rinrcodec
from rinrcodec import CompressInterrupted, RinrInputError, RinrUsageError
from rinrcodec.datasets import fitter
from rinrcodec.datasets.manifest import Manifest
from rinrcodec.storage.lock import MARKER

from .conftest import QUICK, contents, picture, put, write

ONE = {"shard_size": 1, **QUICK}
TWO = {"shard_size": 2, **QUICK}


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """After `n` files the disk is full."""

    def fill_after(n: int) -> None:
        original = os.fsync
        written = 0

        def fsync(descriptor: int) -> None:
            nonlocal written
            written += stat.S_ISREG(os.fstat(descriptor).st_mode)  # not the name in its folder
            if written > n:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            original(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)

    return fill_after


@pytest.mark.parametrize("n", [0, 1, 3, 4, 8])
def test_a_full_disk(
    folder: Path, tmp_path: Path, full_disk: Any, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    rinrcodec.compress(folder, tmp_path / "whole", **TWO)
    full_disk(n)
    out = tmp_path / "out"
    said: list[str] = []
    with pytest.raises(OSError, match="No space left on device"):
        rinrcodec.compress(folder, out, on_message=said.append, **TWO)
    monkeypatch.undo()
    hint = "what is fitted is kept; the same command with `resume=True` continues"
    hints = [text for text in said if not text.startswith("warning: ")]
    assert hints == ([hint] if n >= 3 else [])
    assert list(out.glob("*.rinr")) == []
    assert list(out.rglob("*.tmp")) == []
    rinrcodec.compress(folder, out, resume=n >= 3, **TWO)
    for path in (tmp_path / "whole").iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()


@pytest.fixture
def interrupted(full_disk: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Begin a run that ends early."""

    def begin(*args: Any, **options: Any) -> None:
        full_disk(3)
        with pytest.raises(OSError, match="No space left on device"):
            rinrcodec.compress(*args, **options)
        monkeypatch.undo()

    return begin


def test_an_unfinished_run_is_kept_and_not_mixed_with_another(
    folder: Path, tmp_path: Path, interrupted: Any
) -> None:
    out = tmp_path / "out"
    interrupted(folder, out, **TWO)
    with pytest.raises(RinrUsageError, match="`resume=True` continues it"):
        rinrcodec.compress(folder, out, **TWO)
    with pytest.raises(RinrUsageError, match=r"unfinished run with other options \(`seed` was 0 "):
        rinrcodec.compress(folder, out, resume=True, seed=5, **TWO)
    put(tmp_path / "other/frames/a.png", picture(77))
    with pytest.raises(RinrUsageError, match="same name frames, but other pictures"):
        rinrcodec.compress(tmp_path / "other/frames", out, resume=True, **TWO)
    rinrcodec.compress(folder, out, overwrite=True, **TWO)
    rinrcodec.compress(folder, tmp_path / "whole", **TWO)
    for path in (tmp_path / "whole").iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()
    assert not (out / ".rinr-work").exists()


def test_resume_of_nothing_and_of_a_complete_run(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert not rinrcodec.compress(folder, out, resume=True, **QUICK).nothing_to_do
    before = (out / "frames-00000.rinr").stat().st_mtime_ns
    assert rinrcodec.compress(folder, out, resume=True, **QUICK).nothing_to_do
    assert (out / "frames-00000.rinr").stat().st_mtime_ns == before


def test_resume_refuses_other_options(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(folder, out, **TWO)
    assert rinrcodec.compress(folder, out, resume=True, **TWO).nothing_to_do
    for other in ({"seed": 1}, {"steps": 9}, {"preset": "best"}):
        (what,) = other
        with pytest.raises(RinrUsageError, match=rf"the output of another run \(`{what}` was "):
            rinrcodec.compress(folder, out, resume=True, **{**TWO, **other})
    assert not rinrcodec.compress(folder, out, resume=True, layout="files", **TWO).nothing_to_do
    with pytest.raises(
        RinrUsageError, match=r"\(`preset` was fast and is best; `seed` was 0 and is 1; `steps` was"
    ):
        rinrcodec.compress(
            folder, out, resume=True, **{**TWO, "seed": 1, "preset": "best", "steps": 9}
        )
    # Packs of another folder may be added to them.
    put(tmp_path / "other/a.png", picture(5))
    rinrcodec.compress(tmp_path / "other", out, **QUICK)
    assert rinrcodec.compress(tmp_path / "other", out, resume=True, **QUICK).nothing_to_do


def test_resume_refuses_other_class_names(dataset: Path, tmp_path: Path) -> None:
    rinrcodec.compress(dataset, tmp_path / "out", **QUICK)
    rinrcodec.compress(dataset, tmp_path / "out", resume=True, **QUICK)
    dataset.write_text(dataset.read_text().replace("person", "people"))
    with pytest.raises(RinrUsageError, match=r"another run \(names\.\d was person and is people\)"):
        rinrcodec.compress(dataset, tmp_path / "out", resume=True, **QUICK)


def test_the_manifest_says_as_json_how_labels_were_read(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "out/manifest.json"
    rinrcodec.compress(dataset, tmp_path / "out", **QUICK)
    manifest = Manifest(path)
    (run,) = manifest.runs.values()
    layout = {"task": "detect", "kpt_shape": None, "tail": []}
    assert run.settings["labels"] == [{"format": "yolo", "layout": layout}]
    # Earlier manifests have a text of Python there.
    run.settings["labels"] = "YoloReader(layout=Layout(task='detect', kpt_shape=None, tail=()))"
    path.write_bytes(manifest.data())
    assert rinrcodec.verify(tmp_path / "out").ok
    with pytest.raises(RinrUsageError, match=r"another run \(labels was YoloReader.* and is \[{"):
        rinrcodec.compress(dataset, tmp_path / "out", resume=True, **QUICK)


def test_a_run_is_resumed_from_another_folder(
    dataset: Path, tmp_path: Path, interrupted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    labels = dataset.parent / "labels"
    interrupted(dataset, out, labels=labels, **ONE)
    monkeypatch.chdir(dataset.parent)
    rinrcodec.compress("data.yaml", out, labels="labels", resume=True, **ONE)
    again = rinrcodec.compress(dataset, out, labels=labels, resume=True, **ONE)
    assert again.nothing_to_do


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the shards that are fitted from now on."""
    numbers: list[int] = []
    original = fitter.Fitter._fit

    def fit(self: Any, shard: Any, *args: Any) -> Any:
        numbers.append(shard.number)
        return original(self, shard, *args)

    monkeypatch.setattr(fitter.Fitter, "_fit", fit)
    return numbers


@pytest.mark.parametrize("layout", ["pack", "files"])
def test_resume_rebuilds_only_lost_packs(
    dataset: Path, tmp_path: Path, layout: Any, fitted: list[int]
) -> None:
    out = tmp_path / "out"

    def make(*, resume: bool = True) -> rinrcodec.CompressResult:
        return rinrcodec.compress(dataset, out, layout=layout, resume=resume, **ONE)

    make(resume=False)
    whole = contents(out)
    packs = sorted(out.rglob("*.rinr"))
    assert len(packs) == 3
    fitted.clear()
    packs[1].unlink()
    result = make()
    assert (result.kept_shards, result.shards, result.total.frames) == (2, 3, 1)
    assert contents(out) == whole
    packs[0].write_bytes(packs[0].read_bytes()[:100])
    packs[2].write_bytes(b"")
    (out / "data.yaml").unlink()
    make()
    assert contents(out) == whole
    assert len(fitted) == 1 + 2
    (out / "data.yaml").unlink()
    make()
    assert contents(out) == whole
    assert len(fitted) == 3
    assert make().nothing_to_do
    assert rinrcodec.verify(out).ok


def test_resume_leaves_files_of_others_alone(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(dataset, out, **ONE)
    lost = sorted(out.rglob("*.rinr"))[1]
    lost.rename(lost.with_name(f"{lost.stem[:-1]}7.rinr"))  # which is a pack of the same series
    with (out / "data.yaml").open("a") as file:
        file.write("# of mine\n")
    before = contents(out)
    rinrcodec.compress(dataset, out, resume=True, **ONE)
    after = contents(out)
    assert after.keys() - before.keys() == {str(lost.relative_to(out))}
    assert all(after[name] == data for name, data in before.items())


def test_resume_rebuilds_packs_lost_during_a_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(folder, out, **TWO)
    whole = contents(out)

    def stop(*_: object) -> object:
        raise KeyboardInterrupt

    for change in (Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:99])):
        with monkeypatch.context() as patch:
            patch.setattr("rinrcodec.datasets.run.Run._remove_outdated", stop)
            with pytest.raises(
                CompressInterrupted, match="`resume=True` in place of `overwrite=True`"
            ):
                rinrcodec.compress(folder, out, overwrite=True, **TWO)
        change(sorted(out.glob("*.rinr"))[1])
        rinrcodec.compress(folder, out, resume=True, **TWO)
        assert contents(out) == whole


def test_ctrl_c_while_cleaning_up_keeps_the_complete_output(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rinrcodec.datasets.work_folder import Work

    original = Work.drop

    def drop(self: Work) -> None:
        original(self)
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Work, "drop", drop)
        with pytest.raises(CompressInterrupted, match="interrupted; the output is complete"):
            rinrcodec.compress(folder, out, **QUICK)
    assert rinrcodec.compress(folder, out, resume=True, **QUICK).nothing_to_do
    assert rinrcodec.verify(out).ok


def test_an_interrupted_resume_loses_nothing(
    folder: Path, tmp_path: Path, full_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(folder, out, **TWO)
    whole = contents(out)
    lost = sorted(out.glob("*.rinr"))[1]
    for files in range(1, 6):
        lost.unlink()
        full_disk(files)
        with pytest.raises(OSError, match="No space left on device"):
            rinrcodec.compress(folder, out, resume=True, **TWO)
        monkeypatch.undo()
        left = contents(out)
        packs = {name for name in left if name.endswith(".rinr") and "work" not in name}
        assert all(left[name] == whole[name] for name in packs)
        assert len(packs) >= 2
        assert not rinrcodec.verify(out).ok
        rinrcodec.compress(folder, out, resume=True, **TWO)
        assert contents(out) == whole


def test_ctrl_c_before_resume_fits_anything_changes_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(folder, out, **TWO)
    sorted(out.glob("*.rinr"))[1].unlink()
    before = contents(out)

    def stop(*_: object) -> object:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fitter.Fitter, "_fit", stop)
        with pytest.raises(CompressInterrupted, match="nothing was kept yet"):
            rinrcodec.compress(folder, out, resume=True, **TWO)
    assert contents(out) == before
    rinrcodec.compress(folder, out, resume=True, **TWO)
    assert rinrcodec.verify(out).ok


def test_two_runs_into_one_folder_exclude_each_other(
    folder: Path, tmp_path: Path, interrupted: Any
) -> None:
    fcntl = pytest.importorskip("fcntl")
    out = tmp_path / "out"
    interrupted(folder, out, **QUICK)
    with (out / ".rinr-work/lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = sorted(out.rglob("*"))
        for option in ({}, {"resume": True}, {"overwrite": True}):
            with pytest.raises(RinrInputError) as caught:
                rinrcodec.compress(folder, out, **QUICK, **option)
            assert str(caught.value) == (
                f"another compress is writing to {out}; wait for it, or give another `out`"
            )
        assert sorted(out.rglob("*")) == before
    rinrcodec.compress(folder, out, resume=True, **QUICK)
    assert not (out / ".rinr-work").exists()


def test_a_run_holds_its_folder_from_the_first_moment_to_the_last(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fcntl")
    from rinrcodec.datasets.work_folder import Work

    originals = Work.add, Work.drop
    refused = []

    def then(original: Any) -> Any:
        def work(*arguments: Any) -> None:
            with pytest.raises(RinrInputError) as caught:
                rinrcodec.compress(folder, tmp_path / "out", overwrite=True, **QUICK)
            refused.append(str(caught.value))
            original(*arguments)

        return work

    monkeypatch.setattr(Work, "add", then(originals[0]))
    monkeypatch.setattr(Work, "drop", then(originals[1]))
    rinrcodec.compress(folder, tmp_path / "out", **QUICK)
    assert len(refused) == 3  # a part of each folder, and the end
    assert all("another compress is writing" in line for line in refused)


def test_a_run_that_was_killed_while_cleaning_up_is_complete(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(folder, out, **QUICK)
    (key,) = Manifest(out / "manifest.json").runs
    write(out / ".rinr-work" / MARKER, "")
    write(out / f".rinr-work/{key}/left.json", "{}")
    with pytest.raises(RinrUsageError, match="already there"):
        rinrcodec.compress(folder, out, **QUICK)
    write(out / ".rinr-work" / MARKER, "")
    write(out / f".rinr-work/{key}/left.json", "{}")
    assert rinrcodec.compress(folder, out, resume=True, **QUICK).nothing_to_do
    assert not (out / ".rinr-work").exists()


def test_failures_from_before_the_interruption_are_still_listed(
    folder: Path, tmp_path: Path, interrupted: Any
) -> None:
    write(folder / "0.png", "text")
    interrupted(folder, tmp_path / "out", **TWO)
    (failure,) = rinrcodec.compress(folder, tmp_path / "out", resume=True, **TWO).failures
    assert "0.png: not a picture" in failure


def test_other_runs_in_the_same_folder_do_not_disturb_a_single_file(
    folder: Path, tmp_path: Path, interrupted: Any
) -> None:
    interrupted(folder, tmp_path / "a.rinr", **QUICK)
    rinrcodec.compress(folder, tmp_path / "b.rinr", **QUICK)
    rinrcodec.compress(folder, tmp_path / "a.rinr", resume=True, **QUICK)
    assert (tmp_path / "a.rinr").read_bytes() == (tmp_path / "b.rinr").read_bytes()
