"""A run that ends early, however it ends, can be gone on with and gives the same bytes."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rinrcodec.datasets import fitter
from rinrcodec.datasets.manifest import Manifest

from .conftest import QUICK, Run, picture, put, write

DRIVER = Path(__file__).parent / "kill_driver.py"
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes")


def kill_everywhere(signal: str, out: Path, *args: object, stride: int = 1) -> list[dict[str, Any]]:
    command = [sys.executable, "-I", str(DRIVER), signal, str(stride), str(out), *map(str, args)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("layout", "stride"), [("pack", 1), ("files", 4)])
def test_kill_nine_at_any_moment(dataset: Path, tmp_path: Path, layout: str, stride: int) -> None:
    args = ("compress", dataset, "--shard-size", 1, "--layout", layout, *QUICK)
    moments = kill_everywhere("SIGKILL", tmp_path / "runs", *args, stride=stride)
    # Three shards (two files of a part, two of the whole), three packs put in their places, or
    # single files written and put there, like the yaml and, at both ends, the manifest.
    renames = 3 * 4 + (3 if layout == "pack" else 3 * 2) + 2 + 2 * 2
    assert len(moments) == len(range(1, renames + 1, stride))
    for moment in moments:
        assert moment["code"] == -9
        assert moment["whole_or_absent"]
        assert moment["resumed"] == 0, moment["resume_said"]
        assert moment["same"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.interrupts
def test_ctrl_c_says_how_to_go_on(folder: Path, tmp_path: Path) -> None:
    moments = kill_everywhere("SIGINT", tmp_path / "runs", "compress", folder, *QUICK)
    assert len(moments) == 9
    for number, moment in enumerate(moments):
        assert moment["code"] == 130
        assert moment["said"].startswith("interrupted; ")
        # After the manifest, two renames complete the first part: its pack and what says so.
        assert ("--resume goes on" in moment["said"]) == (number >= 4)
        assert len(moment["said"].splitlines()) == 1
        assert moment["whole_or_absent"]
        assert moment["resumed"] == 0, moment["resume_said"]
        assert moment["same"]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """After `n` files the disk is full."""

    def fill_after(n: int) -> None:
        original = os.fsync
        written = 0

        def fsync(descriptor: int) -> None:
            nonlocal written
            written += 1
            if written > n:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            original(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)

    return fill_after


@pytest.mark.parametrize("n", [0, 1, 3, 4, 8])
def test_a_full_disk(
    run: Run, folder: Path, tmp_path: Path, full_disk: Any, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    args = ("compress", folder, "--shard-size", 2, *QUICK)
    run(*args, "-o", tmp_path / "whole")
    full_disk(n)
    out = tmp_path / "out"
    result = run(*args, "-o", out, code=1)
    monkeypatch.undo()
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "No space left on device" in last or "the disk is full" in last
    assert ("--resume goes on" in result.stderr) == (n >= 3)
    assert list(out.glob("*.rinr")) == []
    assert list(out.rglob("*.tmp")) == []
    run(*args, "-o", out, *(["--resume"] if n >= 3 else []))
    for path in (tmp_path / "whole").iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()


def interrupted(run: Run, out: Path, full_disk: Any, patch: pytest.MonkeyPatch, *args: Any) -> None:
    full_disk(3)
    run(*args, "-o", out, code=1)
    patch.undo()


def test_an_unfinished_run_is_neither_mixed_with_another_nor_lost(
    run: Run, folder: Path, tmp_path: Path, full_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    args = ("compress", folder, "--shard-size", 2, *QUICK)
    interrupted(run, out, full_disk, monkeypatch, *args)
    result = run(*args, "-o", out, code=2)
    assert "--resume goes on with it" in result.stderr
    result = run(*args, "-o", out, "--resume", "--seed", 5, code=2)
    assert "other options or pictures" in result.stderr
    put(folder / "2.png", picture(77))
    result = run(*args, "-o", out, "--resume", code=2)
    assert "other options or pictures" in result.stderr
    run(*args, "-o", out, "--overwrite")
    run(*args, "-o", tmp_path / "whole")
    for path in (tmp_path / "whole").iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()
    assert not (out / ".rinr-work").exists()


def test_resume_of_nothing_and_of_a_complete_run(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("compress", folder, "-o", out, "--resume", *QUICK)
    before = (out / "frames-00000.rinr").stat().st_mtime_ns
    result = run("compress", folder, "-o", out, "--resume", *QUICK)
    assert "is complete: nothing to resume" in result.stderr
    assert (out / "frames-00000.rinr").stat().st_mtime_ns == before


def test_a_run_with_other_options_or_pictures_is_another_one(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    args = ("compress", folder, "-o", out, "--shard-size", 2, *QUICK)
    run(*args)
    assert "is complete" in run(*args, "--resume").stderr
    for other in (("--seed", 1), ("--steps", 9), ("--layout", "files"), ("--preset", "fast")):
        result = run(*args, *other, "--resume", code=2 if other[0] != "--layout" else 0)
        if other[0] != "--layout":
            what = other[0].removeprefix("--")
            assert f"holds the output of another run ({what} was " in result.stderr
    put(folder / "2.png", picture(77))
    result = run(*args, "--resume", code=2)
    assert "another run (pictures or labels changed between 2.png and" in result.stderr
    # Pictures of another folder may come to lie beside them.
    put(tmp_path / "other/a.png", picture(5))
    run("compress", tmp_path / "other", "-o", out, *QUICK)
    run("compress", tmp_path / "other", "-o", out, "--resume", *QUICK)


def test_other_class_names_are_another_run(run: Run, dataset: Path, tmp_path: Path) -> None:
    args = ("compress", dataset, "-o", tmp_path / "out", *QUICK)
    run(*args)
    run(*args, "--resume")
    dataset.write_text(dataset.read_text().replace("person", "people"))
    run(*args, "--resume", code=2)


def test_a_run_goes_on_from_another_folder(
    run: Run, dataset: Path, tmp_path: Path, full_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    labels = dataset.parent / "labels"
    args = ("-o", out, "--shard-size", 1, *QUICK)
    full_disk(3)
    run("compress", dataset, "--labels", labels, *args, code=1)
    monkeypatch.undo()
    monkeypatch.chdir(dataset.parent)
    run("compress", "data.yaml", "--labels", "labels", "--resume", *args)
    assert "is complete" in run("compress", dataset, "--labels", labels, "--resume", *args).stderr


def contents(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


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
def test_what_is_lost_of_a_finished_run_is_made_again_and_no_more(
    run: Run, dataset: Path, tmp_path: Path, layout: str, fitted: list[int]
) -> None:
    out = tmp_path / "out"
    args = ("compress", dataset, "-o", out, "--shard-size", 1, "--layout", layout, *QUICK)
    run(*args)
    whole = contents(out)
    packs = sorted(out.rglob("*.rinr"))
    assert len(packs) == 3
    fitted.clear()
    packs[1].unlink()
    result = run(*args, "--resume")
    assert "2 of 3 shards are there and left alone" in result.stderr
    assert contents(out) == whole
    packs[0].write_bytes(packs[0].read_bytes()[:100])
    packs[2].write_bytes(b"")
    (out / "data.yaml").unlink()
    run(*args, "--resume")
    assert contents(out) == whole
    assert len(fitted) == 1 + 2
    (out / "data.yaml").unlink()
    run(*args, "--resume")
    assert contents(out) == whole
    assert len(fitted) == 3
    assert "is complete" in run(*args, "--resume").stderr
    run("verify", out)


def test_making_good_leaves_what_is_not_its_own_alone(
    run: Run, dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    args = ("compress", dataset, "-o", out, "--shard-size", 1, *QUICK)
    run(*args)
    lost = sorted(out.rglob("*.rinr"))[1]
    lost.rename(lost.with_name(f"{lost.stem[:-1]}7.rinr"))  # which is a pack of the same series
    with (out / "data.yaml").open("a") as file:
        file.write("# of mine\n")
    before = contents(out)
    run(*args, "--resume")
    after = contents(out)
    assert after.keys() - before.keys() == {str(lost.relative_to(out))}
    assert all(after[name] == data for name, data in before.items())


def test_what_is_lost_while_a_run_is_unfinished_is_made_again(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    args = ("compress", folder, "-o", out, "--shard-size", 2, *QUICK)
    run(*args)
    whole = contents(out)

    def stop(*_: object) -> object:
        raise KeyboardInterrupt

    for change in (Path.unlink, lambda path: path.write_bytes(b"half")):
        with monkeypatch.context() as patch:
            patch.setattr("rinrcodec.datasets.run.publish_yaml", stop)
            assert "--resume" in run(*args, "--overwrite", code=130).stderr
        change(sorted(out.glob("*.rinr"))[1])
        run(*args, "--resume")
        assert contents(out) == whole


def test_ctrl_c_while_cleaning_up_is_after_the_end(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rinrcodec.datasets.work import Work

    original = Work.drop

    def drop(self: Work) -> None:
        original(self)
        raise KeyboardInterrupt

    args = ("compress", folder, "-o", tmp_path / "out", *QUICK)
    with monkeypatch.context() as patch:
        patch.setattr(Work, "drop", drop)
        assert run(*args, code=130).stderr.endswith("interrupted; the output is complete\n")
    assert "is complete" in run(*args, "--resume").stderr
    run("verify", tmp_path / "out")


def test_making_good_may_end_early_and_forgets_nothing(
    run: Run, folder: Path, tmp_path: Path, full_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    args = ("compress", folder, "-o", out, "--shard-size", 2, *QUICK)
    run(*args)
    whole = contents(out)
    lost = sorted(out.glob("*.rinr"))[1]
    for files in range(1, 6):
        lost.unlink()
        full_disk(files)
        run(*args, "--resume", code=1)
        monkeypatch.undo()
        left = contents(out)
        packs = {name for name in left if name.endswith(".rinr") and "work" not in name}
        assert all(left[name] == whole[name] for name in packs)
        assert len(packs) >= 2
        run("verify", out, code=1)
        run(*args, "--resume")
        assert contents(out) == whole


def test_ctrl_c_before_anything_is_made_good_changes_nothing(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    args = ("compress", folder, "-o", out, "--shard-size", 2, *QUICK)
    run(*args)
    sorted(out.glob("*.rinr"))[1].unlink()
    before = contents(out)

    def stop(*_: object) -> object:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fitter.Fitter, "_fit", stop)
        assert "nothing is fitted yet" in run(*args, "--resume", code=130).stderr
    assert contents(out) == before
    run(*args, "--resume")
    run("verify", out)


def test_two_runs_into_one_folder_exclude_each_other(
    run: Run, folder: Path, tmp_path: Path, full_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    out = tmp_path / "out"
    args = ("compress", folder, "-o", out, *QUICK)
    interrupted(run, out, full_disk, monkeypatch, "compress", folder, *QUICK)
    with (out / ".rinr-work/lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = sorted(out.rglob("*"))
        for option in ((), ("--resume",), ("--overwrite",)):
            result = run(*args, *option, code=1)
            assert result.stderr == (
                f"error: another compress is writing to {out}; wait for it, or give another -o\n"
            )
        assert sorted(out.rglob("*")) == before
    run(*args, "--resume")
    assert not (out / ".rinr-work").exists()


def test_a_run_holds_its_folder_from_the_first_moment_to_the_last(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fcntl")
    from rinrcodec.datasets.work import Work

    args = ("compress", folder, "-o", tmp_path / "out", *QUICK)
    originals = Work.add, Work.drop
    refused = []

    def then(original: Any) -> Any:
        def work(*arguments: Any) -> None:
            refused.append(run(*args, "--overwrite", code=1).stderr)
            original(*arguments)

        return work

    monkeypatch.setattr(Work, "add", then(originals[0]))
    monkeypatch.setattr(Work, "drop", then(originals[1]))
    run(*args)
    assert len(refused) == 2
    assert all("another compress is writing" in line for line in refused)


def test_a_run_that_was_killed_while_cleaning_up_is_complete(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run("compress", folder, "-o", out, *QUICK)
    (key,) = Manifest(out / "manifest.json").runs
    write(out / f".rinr-work/{key}/left.json", "{}")
    result = run("compress", folder, "-o", out, *QUICK, code=2)
    assert "already there" in result.stderr
    write(out / f".rinr-work/{key}/left.json", "{}")
    result = run("compress", folder, "-o", out, "--resume", *QUICK)
    assert "is complete" in result.stderr
    assert not (out / ".rinr-work").exists()


def test_failures_of_before_the_interruption_are_still_listed(
    run: Run, folder: Path, tmp_path: Path, full_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "0.png", "text")
    out = tmp_path / "out"
    args = ("compress", folder, "--shard-size", 2, *QUICK)
    interrupted(run, out, full_disk, monkeypatch, *args)
    result = run(*args, "-o", out, "--resume", code=1)
    assert "0.png: not a picture" in result.stderr


def test_other_runs_in_the_same_folder_do_not_disturb_a_single_file(
    run: Run, folder: Path, tmp_path: Path, full_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("compress", folder, *QUICK)
    interrupted(run, tmp_path / "a.rinr", full_disk, monkeypatch, *args)
    run(*args, "-o", tmp_path / "b.rinr")
    run(*args, "-o", tmp_path / "a.rinr", "--resume")
    assert (tmp_path / "a.rinr").read_bytes() == (tmp_path / "b.rinr").read_bytes()
