"""`rinrcodec.compress`: results, reports, errors and interruptions."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

import rinrcodec
from rinrcodec import (
    CompressInterrupted,
    Progress,
    RinrDeviceError,
    RinrInputError,
    RinrUsageError,
    Target,
)
from rinrcodec.datasets.progress import Hint

from .conftest import QUICK, contents, picture, put, video, write


def test_the_result_has_the_figures_of_the_files(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = rinrcodec.compress(dataset, out, shard_size=1, **QUICK)
    assert (result.source, result.out) == (str(dataset), str(out))
    assert [(one.name, one.frames, one.boxes) for one in result.series] == [
        ("train", 2, 2),
        ("val", 1, 1),
    ]
    total = result.total
    assert (total.name, total.frames, total.boxes) == ("total", 3, 3)
    assert total.bytes == sum(path.stat().st_size for path in out.rglob("*.rinr"))
    assert total.bytes == sum(one.bytes for one in result.series)
    assert total.ratio == pytest.approx(total.source_bytes / total.bytes)
    assert total.bits_per_pixel == pytest.approx(8 * total.bytes / total.pixels)
    assert (result.shards, result.kept_shards, result.failed_shards) == (3, 0, 0)
    assert result.devices == ("cpu",)
    assert not result.failures
    assert not result.warnings
    assert not result.can_resume
    assert not result.nothing_to_do
    with pytest.raises(FrozenInstanceError):
        result.shards = 4  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(result)) == result
    json.dumps(result.as_json(), allow_nan=False)


def test_one_series_is_its_own_total(folder: Path, tmp_path: Path) -> None:
    result = rinrcodec.compress(str(folder), str(tmp_path / "out"), **QUICK)
    assert result.series == (result.total,)
    assert result.total.name == "frames"


@pytest.mark.slow
def test_from_a_script_in_the_current_folder(folder: Path, tmp_path: Path) -> None:
    """As a newcomer runs it."""
    options = ", ".join(f"{name}={value!r}" for name, value in QUICK.items())
    code = f"import rinrcodec; rinrcodec.compress('frames', 'packs', {options})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    rinrcodec.compress(folder, tmp_path / "out", **QUICK)
    assert contents(tmp_path / "packs") == contents(tmp_path / "out")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"jobs": 2},
        {"background": "nerv"},
        {"background": "pyramid", "steps": 2},
        {"layout": "files"},
    ],
)
@pytest.mark.slow
def test_progress_rises_to_the_total(folder: Path, tmp_path: Path, options: Any) -> None:
    reports: list[Progress] = []
    options = {**QUICK, "shard_size": 2, **options}
    rinrcodec.compress(folder, tmp_path / "out", on_progress=reports.append, **options)
    done = [report.done for report in reports]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 5)
    assert {report.total for report in reports} == {5}
    assert {report.stage for report in reports} == {"fitting"}
    assert [report.label for report in reports if report.done] == ["frames"] * (
        len(reports) - done.count(0)
    )


def test_progress_of_resume_counts_existing_frames(folder: Path, tmp_path: Path) -> None:
    options = {"shard_size": 2, **QUICK}
    rinrcodec.compress(folder, tmp_path / "out", **options)
    (tmp_path / "out/frames-00001.rinr").unlink()
    reports: list[Progress] = []
    rinrcodec.compress(folder, tmp_path / "out", resume=True, on_progress=reports.append, **options)
    assert (reports[0].done, reports[-1].done, reports[-1].total) == (3, 5, 5)


def test_progress_of_a_video_that_holds_more_than_it_declares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = video(tmp_path / "clip.avi", 5)
    monkeypatch.setattr("rinrcodec.sources.video.count_frames", lambda _: 3)
    reports: list[Progress] = []
    result = rinrcodec.compress(clip, tmp_path / "out", on_progress=reports.append, **QUICK)
    assert result.total.frames == 5
    assert max(report.done for report in reports) == reports[-1].done == reports[-1].total == 3


def test_unreadable_pictures_are_failures_of_the_result(folder: Path, tmp_path: Path) -> None:
    write(folder / "1.png", "text")
    write(folder / "9.png", "")
    result = rinrcodec.compress(folder, tmp_path / "out", **QUICK)
    assert len(result.failures) == 2
    assert "1.png: not a picture" in result.failures[0]
    assert "9.png: the file is empty" in result.failures[1]
    assert (result.total.frames, result.failed_shards, result.can_resume) == (4, 0, True)


def test_where_no_picture_can_be_read_nothing_is_written(tmp_path: Path) -> None:
    write(tmp_path / "bad/1.png", "text")
    result = rinrcodec.compress(tmp_path / "bad", tmp_path / "out", **QUICK)
    assert (len(result.failures), result.total.frames, result.total.bytes) == (1, 0, 0)
    assert (result.total.ratio, result.total.bits_per_pixel) == (None, None)
    assert not (tmp_path / "out").exists()


def test_labels_that_are_lost_are_no_failures(dataset: Path, tmp_path: Path) -> None:
    write(dataset.parent / "labels/train/a.txt", "0 0.5 0.5\n")
    result = rinrcodec.compress(dataset, tmp_path / "out", **QUICK)
    (lost,) = result.lost_labels
    assert "a.txt:1: expected 5 columns" in lost
    assert (result.warnings, result.failures) == ((), ())


def test_output_in_the_way_is_kept_without_overwrite(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(folder, out, **QUICK)
    before = contents(out)
    with pytest.raises(
        RinrUsageError, match="already there; `overwrite=True` replaces it"
    ) as caught:
        rinrcodec.compress(folder, out, seed=1, **QUICK)
    assert caught.value.exit_code == 2
    assert contents(out) == before
    result = rinrcodec.compress(folder, out, seed=1, overwrite=True, **QUICK)
    assert result.kept_shards == 0
    assert contents(out).keys() == before.keys()
    assert contents(out) != before


def test_resume_of_a_complete_run_fits_nothing(folder: Path, tmp_path: Path) -> None:
    rinrcodec.compress(folder, tmp_path / "out", **QUICK)
    before = contents(tmp_path / "out")
    reports: list[Progress] = []
    write(folder.parent / "labels/ghost.txt", "")
    again = rinrcodec.compress(
        folder, tmp_path / "out", resume=True, on_progress=reports.append, **QUICK
    )
    assert again.nothing_to_do
    assert (again.series, again.total.frames, again.kept_shards) == ((), 0, 1)
    assert "no labels were found" in again.warnings[-1]
    assert reports == []
    assert contents(tmp_path / "out") == before


def test_impossible_outputs_are_refused(folder: Path, dataset: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "file", "")
    for args, options, message in (
        ((folder, file), {}, "there is a file where"),
        ((dataset, tmp_path / "x.rinr"), {}, "a single file cannot hold this"),
        ((dataset, dataset.parent), {}, "the source itself is there"),
        ((folder, tmp_path / "x.rinr"), {"layout": "files"}, "a single file cannot hold this"),
        ((write(tmp_path / "a.rinr", ""), tmp_path / "x"), {}, "is compressed already"),
    ):
        with pytest.raises(RinrUsageError, match=message):
            rinrcodec.compress(*args, **options, **QUICK)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": True, "overwrite": True}, "give one of them"),
        ({"layout": "zip"}, "layout 'zip': expected one of pack, files"),
        ({"executor": "slurm"}, "executor 'slurm': expected one of local, ray"),
        ({"preset": "paper", "background": "pyramid"}, "'paper' has no pyramid background"),
        ({"preset": "none"}, "unknown preset 'none'"),
        ({"preset": rinrcodec.PRESETS["fast"]}, "expected one of paper, fast"),
        ({"target": 30}, "target 30: expected a rinrcodec.Target"),
        ({"labels": None}, 'labels=None: expected "auto", "none", a folder or a file'),
        ({"background": "none"}, "background 'none': expected one of"),
        ({"steps": 0}, "steps=0: expected a whole number"),
        ({"shard_size": 0}, "shard_size=0: expected a whole number, 1 or more"),
        ({"shard_size": 2.5}, "shard_size=2.5: expected a whole number, 1 or more"),
        ({"jobs": 0}, "jobs=0: expected a whole number, 1 or more"),
        ({"jobs": True}, "jobs=True: expected a whole number"),
        ({"seed": -1}, "seed=-1: expected a whole number, 0 to 2147483647"),
        ({"seed": 2**31}, "seed=2147483648: expected a whole number, 0 to"),
        ({"background": "nerv", "layout": "files"}, "needs packs"),
        ({"background": "siren", "target": Target(psnr=30)}, "psnr for siren backgrounds: they"),
        ({"ray_address": "auto"}, "`ray_address` needs `executor='ray'`"),
        ({"device": "cpu,cpu"}, "several devices must be CUDA devices"),
        ({"executor": "ray", "device": "cpu:0"}, "Ray chooses them itself"),
    ],
)
def test_options_that_cannot_be_met(
    folder: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RinrUsageError, match=message) as caught:
        rinrcodec.compress(folder, tmp_path / "out", **{**QUICK, **options})
    assert caught.value.exit_code == 2
    assert isinstance(caught.value, RinrInputError)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("preset", "background"), [("fast", "av1"), ("paper", "siren")])
def test_the_background_is_that_of_the_preset(
    folder: Path, tmp_path: Path, preset: str, background: str
) -> None:
    settings = {**QUICK, "preset": preset, "steps": 1}
    result = rinrcodec.compress(folder, tmp_path / "out", **settings)
    assert result.options.background == background
    manifest = json.loads((tmp_path / "out/manifest.json").read_text(encoding="utf-8"))
    (run,) = manifest["runs"]
    assert run["settings"]["background"] == background
    (path,) = (tmp_path / "out").glob("*.rinr")
    with rinrcodec.open(path) as file:
        assert {group.spec.family for group in file.groups} == {background}
    # The same, said in full, is the same run.
    again = rinrcodec.compress(
        folder, tmp_path / "out", resume=True, background=background, **settings
    )
    assert again.nothing_to_do


def test_errors_other_than_of_usage_keep_their_type(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RinrInputError, match="there is no such file or folder") as caught:
        rinrcodec.compress(tmp_path / "nowhere", tmp_path / "out", **QUICK)
    assert caught.value.exit_code == 1
    with pytest.raises(RinrDeviceError, match="cuda:99"):
        rinrcodec.compress(folder, tmp_path / "out", steps=8, device="cuda:99")
    with pytest.raises(RinrUsageError, match="no such folder of labels"):
        rinrcodec.compress(folder, tmp_path / "out", labels=tmp_path / "nowhere", **QUICK)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_script_without_a_guard_gets_an_error_that_says_so(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    call = f"{str(folder)!r}, {str(tmp_path / 'out')!r}, jobs=2, shard_size=1, **{QUICK!r}"
    script.write_text(f"import rinrcodec\nprint(rinrcodec.compress({call}).ok)\n", encoding="utf-8")
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert 'put the call under if __name__ == "__main__":' in done.stderr
    assert "another compress" not in done.stderr
    assert "True" not in done.stdout


def stop_after(done: float) -> Any:
    def report(progress: Progress) -> None:
        if progress.done >= done:
            raise KeyboardInterrupt

    return report


def test_ctrl_c_says_how_to_resume(folder: Path, tmp_path: Path) -> None:
    options = {"shard_size": 2, **QUICK}
    rinrcodec.compress(folder, tmp_path / "whole", **options)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt) as caught:
        rinrcodec.compress(folder, out, on_progress=stop_after(4), **options)
    assert type(caught.value) is CompressInterrupted
    assert str(caught.value) == (
        "interrupted; what is fitted is kept; the same command with `resume=True` continues"
    )
    assert not list(out.glob("*.rinr"))
    rinrcodec.compress(folder, out, resume=True, **options)
    assert contents(out) == contents(tmp_path / "whole")


def test_ctrl_c_before_anything_is_fitted_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CompressInterrupted, match="nothing was kept yet, as work is kept every 16"):
        rinrcodec.compress(folder, tmp_path / "out", on_progress=stop_after(0), **QUICK)
    assert not (tmp_path / "out").exists()


def test_an_error_keeps_its_type_and_comes_after_a_hint(folder: Path, tmp_path: Path) -> None:
    def fail(progress: Progress) -> None:
        if progress.done >= 3:
            raise OSError(5, os.strerror(5), "disk")

    said: list[str] = []
    options = {"shard_size": 2, "on_progress": fail, "labels": "none", **QUICK}
    with pytest.raises(OSError, match="Input/output error"):
        rinrcodec.compress(folder, tmp_path / "out", on_message=said.append, **options)
    (hint,) = said
    assert isinstance(hint, Hint)
    assert hint == "what is fitted is kept; the same command with `resume=True` continues"
    with pytest.raises(OSError, match="Input/output error"):  # and without a listener
        rinrcodec.compress(folder, tmp_path / "out", resume=True, **options)


def test_large_pictures_come_in_smaller_batches(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rinrcodec.datasets import batches

    monkeypatch.setattr(batches, "BATCH_PIXELS", 2 * 24 * 16)
    reports: list[Progress] = []
    settings = {**QUICK, "background": "siren"}
    rinrcodec.compress(folder, tmp_path / "out", on_progress=reports.append, **settings)
    # 24x16 twice; 24x16, 12x16 and 24x16: a batch is whole at its end.
    assert {2, 5} <= {report.done for report in reports}


def test_one_picture_to_a_file(folder: Path, tmp_path: Path) -> None:
    put(folder / "grey.png", picture(1).convert("L"))
    result = rinrcodec.compress(folder / "grey.png", tmp_path / "x.rinr", **QUICK)
    assert (result.shards, result.total.frames) == (1, 1)
    assert [path.name for path in tmp_path.glob("*.rinr*")] == ["x.rinr"]
