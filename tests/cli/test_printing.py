"""What the commands say about the results, the errors and the interruptions of the library."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import rinrcodec
from rinrcodec import CompressResult, Progress
from rinrcodec.datasets import compress as compress_module
from rinrcodec.datasets import decompress as decompress_module
from rinrcodec.datasets import fitter
from rinrcodec.datasets import verify as verify_module
from rinrcodec.datasets.executors.local import Watch
from rinrcodec.errors import RinrInputError, RinrUsageError

from .conftest import QUICK, Run, contents, write


@pytest.mark.slow
def test_library_and_command_write_the_same_packs(run: Run, dataset: Path, tmp_path: Path) -> None:
    for options in (
        {},
        {"layout": "files", "shard_size": 1, "seed": 3},
        {"background": "nerv", "labels": "none", "preset": "fast"},
        {"objects": "none", "target": rinrcodec.Target(psnr=30)},
    ):
        words: list[object] = []
        for name, value in options.items():
            option = "target-psnr" if name == "target" else name.replace("_", "-")
            words += [f"--{option}", value.psnr if name == "target" else value]
        words += ["--steps", 8, "--device", "cpu"]  # not QUICK: presets have the same default
        figures = run("compress", dataset, "-o", tmp_path / "out", "--json", "-", *words)
        printed = json.loads(figures.stdout)
        assert printed.pop("report_of") == "rinrcodec compress"
        by_command = contents(tmp_path / "out")
        rinrcodec.compress(dataset, tmp_path / "out", resume=True, steps=8, device="cpu", **options)
        assert contents(tmp_path / "out") == by_command  # it is the same run
        result = rinrcodec.compress(
            dataset, tmp_path / "out", overwrite=True, steps=8, device="cpu", **options
        )
        assert contents(tmp_path / "out") == by_command
        for row in (*printed["series"], printed["total"]):
            row.pop("seconds")
        ours = json.loads(json.dumps(result.as_json()))
        for row in (*ours["series"], ours["total"]):
            row.pop("seconds")
        assert ours == printed
        run("decompress", tmp_path / "out", "-o", tmp_path / "back")
        by_command = contents(tmp_path / "back")
        rinrcodec.decompress(tmp_path / "out", tmp_path / "back", overwrite=True)
        assert contents(tmp_path / "back") == by_command
        verified = json.loads(run("verify", tmp_path / "out", "--json", "-").stdout)
        assert verified.pop("report_of") == "rinrcodec verify"
        assert verified == rinrcodec.verify(tmp_path / "out").as_json()
        for subfolder in ("out", "back"):
            for path in sorted((tmp_path / subfolder).rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()


def test_contradictions_are_one_line(run: Run, folder: Path, tmp_path: Path) -> None:
    args = ("compress", folder, "-o", tmp_path / "out", *QUICK)
    for words, message in (
        (("--ray-address", "auto"), "--ray-address needs --executor ray"),
        (
            ("--device", "cpu,cpu"),
            "--device cpu,cpu: several devices must be CUDA devices, such as cuda:0,cuda:1",
        ),
        (("--resume", "--overwrite"), "--resume continues, --overwrite starts again: give one of"),
        (("--executor", "ray", "--device", "cpu:0"), "Ray chooses them itself"),
        (("--background", "nerv", "--layout", "files"), "the family nerv needs packs"),
    ):
        (line,) = run(*args, *words, code=2).stderr.splitlines()
        assert line.startswith("error: ")
        assert message in line
    run(*args, "--jobs", 0, code=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("module", "command", "name"),
    [
        (compress_module, "compress", "compress_with"),
        (decompress_module, "decompress", "decompress"),
        (verify_module, "verify", "verify"),
    ],
)
def test_usage_errors_of_the_library_are_one_line(
    run: Run,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    command: str,
    name: str,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RinrUsageError("one of two")

    monkeypatch.setattr(module, name, refuse)
    out = () if command == "verify" else ("-o", tmp_path / "out")
    result = run(command, folder, *out, code=2)
    assert result.stderr == "error: one of two\n"


def test_more_processes_than_packs(run: Run, folder: Path, tmp_path: Path) -> None:
    args = ("compress", folder, "-o", tmp_path / "out", "--jobs", 8, *QUICK)
    hint = "one pack for 8 processes: a smaller --shard-size makes more"
    assert hint in run(*args).stderr
    assert run(*args, "--overwrite", "--quiet").stderr == ""


def test_resume_reports_kept_packs_and_complete_output(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    quick = ("--shard-size", 2, "--labels", "none", *QUICK)
    args = ("compress", folder, "-o", tmp_path / "out", *quick)
    run(*args)
    lost = tmp_path / "out/frames-00001.rinr"
    lost.unlink()
    kept = "2 of 3 packs are kept; the figures are of the new packs only\n"
    assert run(*args, "--resume").stderr == kept
    lost.unlink()
    assert run(*args, "--resume", "--quiet").stderr == ""
    result = run(*args, "--resume", "--quiet")
    assert result.stderr == (
        f"{tmp_path / 'out'} is complete: nothing to resume; rinrcodec verify checks it, "
        "--overwrite starts again\n"
    )
    assert result.stdout == ""


def test_ctrl_c_is_one_line_and_exit_code_130(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(fitter.Fitter, "_fit", stop)
    stopped = run("compress", folder, "-o", tmp_path / "out", "--quiet", *QUICK, code=130)
    assert stopped.stderr == (
        "interrupted; nothing was kept yet, as work is kept every 16 frames. Run the same command "
        "again\n"
    )
    assert stopped.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_an_error_comes_after_how_to_resume(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: tuple[str, ...]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, os.strerror(5), "disk")

    monkeypatch.setattr("rinrcodec.datasets.run.Run._done", fail)
    args = ("compress", folder, "-o", tmp_path / "out", "--labels", "none", *quiet, *QUICK)
    assert run(*args, code=1).stderr.splitlines() == [
        "what is fitted is kept; the same command with --resume continues",
        "error: disk: Input/output error",
    ]


@pytest.mark.parametrize(
    ("unreadable", "died", "failed", "advice"),
    [
        (1, 0, "1 picture", "Fix or remove the picture, and rerun"),
        (0, 1, "1 pack", "Rerun"),
        (1, 1, "1 picture and 1 pack", "Fix or remove the picture, and rerun"),
    ],
)
def test_failures_come_with_advice(
    run: Run,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unreadable: int,
    died: int,
    failed: str,
    advice: str,
) -> None:
    if unreadable:
        write(folder / "0.png", "text")
    if died:
        original = Watch.done

        def done(self: Watch, shard: Any, *, died: bool = False) -> None:
            original(self, shard, died=died or shard.number == 2)

        monkeypatch.setattr(Watch, "done", done)
    args = ("compress", folder, "-o", tmp_path / "out", "--shard-size", 2, *QUICK)
    lines = run(*args, code=1).stderr.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == unreadable + died
    assert lines[-1] == f"{failed} failed (see above). {advice} the same command with --resume."


def test_a_sequence_family_is_shown(run: Run, folder: Path, tmp_path: Path) -> None:
    run("compress", folder, "-o", tmp_path / "out", "--background", "nerv", *QUICK)
    assert '"family":"nerv"' in run("info", tmp_path / "out", "--files").stdout


def test_the_bar_follows_the_library(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Progress] = []

    def compress(*_: object, on_progress: Any, **__: object) -> CompressResult:
        drawn.append(on_progress(Progress("fitting", 1, 2)))
        raise RinrInputError("enough")

    monkeypatch.setattr(compress_module, "compress_with", compress)
    result = run("compress", folder, "-o", tmp_path / "out", *QUICK, code=1)
    assert result.stderr == "error: enough\n"  # which is no terminal, so there is no bar
    assert drawn == [None]


def test_quiet_reports_labels_without_a_picture(run: Run, folder: Path, tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "0.png"}, {"id": 2, "file_name": "gone.png"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 1, 5, 5]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    labels = write(tmp_path / "l.json", json.dumps(content))
    args = ("compress", folder, "-o", tmp_path / "out", "--labels", labels, "--quiet", *QUICK)
    for again in ((), ("--resume",)):
        said = run(*args, *again, "--json", tmp_path / "j").stderr.splitlines()
        for text in ("1 annotations are of images that it does", "1 records are of pictures that"):
            assert sum(f"l.json: {text}" in line for line in said) == 1
        lost = json.loads((tmp_path / "j").read_text())["lost_labels"]
        assert len([text for text in lost if "l.json: 1 " in text]) == 2
