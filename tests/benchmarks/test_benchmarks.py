"""The benchmark scripts run, at settings too small to mean anything, and write their reports."""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from tiny_yolo import write_model

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.formats import pack_bytes
from rinrcodec.presets import get_preset
from rinrcodec.sources.images import picture_from_array

from .conftest import BENCHMARKS, run_here

TINY = {
    "encode_siren": ["--frames=1", "--reference-steps=1", "--group-steps=1"],
    "grouping": ["--frames=1", "--repeats=1", "--frame-repeats=1"],
    "ladder": ["--frames=1", "--steps=2", "--preset=fast"],
    "presets": ["--frames=1", "--steps=2", "--presets", "fast"],
    "real_data": ["--steps=1"],
    "dataloader": [
        *("--frames=1", "--repeats=1", "--workers", "0", "1", "--families", "av1", "siren"),
    ],
    "train_yolo": [
        *("--frames=1", "--val-frames=1", "--arms", "av1", "composite", "--seeds=2", "--epochs=1"),
        *("--imgsz=64", "--batch=1", "--preset=fast", "--steps=1", "--model=tiny-yolov8.yaml"),
    ],
    "sequences": ["--frames=2", "--steps=2", "--preset=fast"],
    "paper_time": ["--frames=1"],
    "av1_frames": ["--frames=1", "--presets=fast", "--qualities", "10", "40"],
    "av1_objects": [
        *("--frames=1", "--presets=fast", "--backgrounds", "5", "60", "--objects", "40", "95"),
        *("--background-psnr=31", "--object-psnr=38"),
    ],
    "accuracy": [
        *("--frames=2", "--jobs=1", "--samples=2", "--sequences", "otb_crossing"),
        *("--arms", "original", "AVIF, tune=psnr", "av1 with objects"),
    ],
    "label_bytes": ["--frames=2"],
    "speed": [
        *("--frames=2", "--repeats=1", "--presets", "fast", "--fitted-frames=1", "--steps=1"),
        *("--families", "av1", "siren", "nerv"),
    ],
    "av1_sequences": [
        *("--frames=3", "--preset=fast", "--qualities", "10", "40", "--crfs", "20", "40"),
    ],
    "rate_distortion": ["--frames=1", "--steps=2", "--presets", "fast", "--no-curves"],
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torchvision and Ultralytics
@pytest.mark.parametrize("name", TINY)
def test_a_script_writes_its_report(name, script, tmp_path, monkeypatch):
    if name == "real_data":
        monkeypatch.setattr(subprocess, "run", partial(run_siren_here, subprocess.run, []))
    if name == "train_yolo":
        monkeypatch.chdir(write_model(tmp_path).parent)
    script(f"{name}.py", "--threads=1", "--out", tmp_path, *TINY[name])
    report = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    page = (tmp_path / f"{name}.md").read_text(encoding="utf-8")
    if name == "real_data":
        assert [row["background"] for row in report["sets"]] == ["av1", "siren"]
        for row in report["sets"]:
            assert row["set"].endswith("pictures of scikit-image")
            assert row["boxes"] >= row["frames"] > 0
            assert row["frames_missing"] == row["labels_changed"] == 0
        return
    assert report["frames"].endswith("of scikit-image")
    command_line = report["made"]["command"]
    assert command_line.startswith(f"python benchmarks/{name}.py --device cpu --frames ")
    assert command_line in page
    assert "torch" in page
    # No path of the machine that made it may end up in a page of the docs.
    assert str(tmp_path) not in page
    assert str(BENCHMARKS.parent) not in page
    if name == "grouping":
        check_parts(report)
    if name == "dataloader":
        command = report["made"]["command"].split()
        assert {"--workers", "--repeats"} <= {*command}
        assert not {"--model", "--imgsz", "--yolo-workers", "--epochs"} & {*command}
    if name == "sequences":
        check_opened(report, page)
    if name == "av1_objects":
        size, error = report["rows"][0]["background"][1]
        assert f"| fast | backgrounds | 60 | {size:,.0f} | {error:.1f} |" in page
    if name == "accuracy":
        check_fog(tmp_path, report)
        assert "This shows only that the script runs." in page  # without data and weights
    if name == "ladder":
        rows = re.findall(r"^\| (av1 at .*?) \|", page, re.MULTILINE)
        assert rows == ["av1 at siren QRE", "av1 at siren QRE", "av1 at nerv QRE"]


def run_siren_here(run, seen, command, **options):
    """Run the commands of av1 as processes, and those of siren, which need torch, in this one."""
    seen.append(command)
    if not any("siren" in command for command in seen):
        return run(command, **options)
    assert command[:3] == [sys.executable, "-m", "rinrcodec"]
    result = run_here(command[3:])
    return subprocess.CompletedProcess(command, result.exit_code, stderr=result.output)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torchvision and Ultralytics
def test_networks_have_an_accuracy_page_of_their_own(script, load, tmp_path, monkeypatch):
    arms, network = load("accuracy_parts.arms"), load("accuracy_parts.codings").Network
    siren, nerv = network("siren", "fast", steps=1), network("nerv", "fast", steps=1)
    monkeypatch.setattr(arms, "NETWORKS", {**originals(arms.NETWORKS), "siren": (siren,)})
    sequences = {**originals(arms.SEQUENCE_NETWORKS), "nerv": (nerv,)}
    monkeypatch.setattr(arms, "SEQUENCE_NETWORKS", sequences)
    words = ["--networks", "--frames=2", "--jobs=1", "--sequences", "otb_crossing"]
    script("accuracy.py", "--threads=1", "--out", tmp_path, *words)
    report = json.loads((tmp_path / "accuracy_networks.json").read_text(encoding="utf-8"))
    shown = [[point["arm"] for point in one["points"]] for one in report["sets"].values()]
    assert shown == [["original", "siren"], ["original", "nerv"]]
    assert "--networks" in report["made"]["command"]
    assert not {"--arms", "--samples"} & {*report["made"]["command"].split()}
    assert "| siren | fast |" in (tmp_path / "accuracy_networks.md").read_text(encoding="utf-8")
    assert not (tmp_path / "accuracy.md").exists()
    with pytest.raises(SystemExit):
        script("accuracy.py", "--out", tmp_path, *words, "--samples=2")


def originals(arms):
    """Return only the curve of the originals."""
    return {"original": arms["original"]}


def test_the_overview_takes_the_figures_of_two_pages(script, load, tmp_path):
    curves = load("overview").CURVES
    points = [{"arm": "original", "bytes": 90_000.0, "map50_95": 0.3}]
    for number, arm in enumerate(curves, 1):
        its = ((1000 * number, 0.1), (4000 * number, 0.2))
        points += [{"arm": arm, "bytes": n, "map50_95": a} for n, a in its]
    made = {"command": "python benchmarks/accuracy.py --jobs 2", "commit": "abc"}
    accuracy = {"made": made, "frames": "2 photos", "sets": {"coco": {"points": points}}}
    row = {
        "codec": "av1, fast, no objects",
        "data": "stills",
        "encoded_per_s": 20.0,
        "decoded_per_s": 500.0,
    }
    network = {"codec": "siren, fast", "data": "stills", "encoded_per_s": 0.2, "decoded_per_s": 9.0}
    speed = {"made": {"command": "python benchmarks/speed.py", "commit": "def"}, "rows": [row]}
    speed["rows"].append(network)
    for name, figures in (("accuracy", accuracy), ("speed", speed)):
        (tmp_path / f"{name}.json").write_text(json.dumps(figures), encoding="utf-8")
    script("overview.py", "--pages", tmp_path, "--out", tmp_path)
    page = (tmp_path / "overview.md").read_text(encoding="utf-8")
    # Between the points, where bytes are logarithmic.
    assert (
        f"| av1, no objects | {2000 * (1 + [*curves].index('av1, no objects')):,} | 50 | 2 |"
        in page
    )
    assert "| siren, fast | - | 5,000 | 111 |" in page
    assert (tmp_path / "overview.png").stat().st_size > 10_000
    accuracy["sets"]["coco"]["points"] = points[:-2]
    (tmp_path / "accuracy.json").write_text(json.dumps(accuracy), encoding="utf-8")
    with pytest.raises(SystemExit, match=f"no curve {[*curves][-1]}"):
        script("overview.py", "--pages", tmp_path, "--out", tmp_path)


def test_the_overview_is_that_of_the_pages():
    results = BENCHMARKS.parent / "docs/results"
    page = (results / "overview.md").read_text(encoding="utf-8")
    made = [
        json.loads((results / f"{name}.json").read_text())["made"] for name in ("accuracy", "speed")
    ]
    assert f"of the commits {made[0]['commit']} and {made[1]['commit']}." in page


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torchvision and Ultralytics
def test_every_epoch_decodes_every_frame(script, tmp_path, monkeypatch):
    training = import_module("ultralytics.data.base")
    read, before = training.imread, training.BaseDataset.__init__
    opened = []

    def imread(file, **how):
        opened.append(file)
        return read(file, **how)

    monkeypatch.setattr(training, "imread", imread)
    words = ["--frames=2", "--copies=2", "--epochs=1", "--imgsz=64", "--yolo-workers=0"]
    words += ["--batch-size=2", "--families", "av1", "--threads=1", "--preset=fast"]
    script("dataloader.py", "--part=epoch", "--out", tmp_path, *words)
    report = json.loads((tmp_path / "dataloader_epoch.json").read_text(encoding="utf-8"))
    assert set(report["epoch_s"]) == {"JPEG", "av1"}
    command = report["made"]["command"].split()
    assert "--epochs" in command
    assert not {"--workers", "--repeats"} & {*command}
    jpegs = [file for file in opened if file.endswith(".jpg")]
    # Four files in three epochs, and once more where the data set is made.
    assert len(jpegs) >= 3 * len(set(jpegs)) == 3 * 4
    assert training.BaseDataset.__init__ is before


def check_parts(report):
    """Both ways measured every part: a function that moved elsewhere would take no time."""
    for way in ("grouped", "one by one"):
        objects, frames = (report[key]["1"][way] for key in ("objects_s", "frames_s"))
        assert [part for part, seconds in frames.items() if seconds <= 0] == []
        assert [part for part, seconds in objects.items() if seconds <= 0] == ["round"]
        for seconds in (objects, frames):
            parts = sum(value for part, value in seconds.items() if part != "total")
            assert parts == pytest.approx(seconds["total"])


def check_fog(folder, accuracy):
    """The same run writes the page of the fog, from the same points."""
    report = json.loads((folder / "fog.json").read_text(encoding="utf-8"))
    assert report["made"] == accuracy["made"]
    assert report["made"]["command"] in (folder / "fog.md").read_text(encoding="utf-8")
    photos, frames = report["sets"]
    originals = accuracy["sets"]["dacsdc"]["points"][0]
    assert originals["arm"] == "original"
    assert frames["original_bytes"] == originals["bytes"]
    assert frames["levels"]["original"] == originals["recall50"]
    for shown in (photos, frames):
        assert set(shown["rows"]) == {"AVIF, tune=psnr", "av1 with objects"}


def check_opened(report, page):
    """No codec reads more than its file to open a frame, and the page names the smaller ones."""
    ours = report["rows"][0]
    assert ours["opened_bytes"] == 2 * ours["bytes_a_frame"]  # one network and the index are all
    for row in report["rows"]:
        assert 0 < row["opened_bytes"] <= 2 * row["bytes_a_frame"] + 1  # of two frames
    smaller = [row for row in report["rows"][2:] if row["bytes_a_frame"] < ours["bytes_a_frame"]]
    assert ("takes more bytes than" in page) == bool(smaller)
    assert all(f"{row['method']} (" in page for row in smaller)


def test_the_paper_s_ladder_has_the_paper_s_recipe(load):
    ladder = load("ladder")
    options = argparse.Namespace(preset="paper", steps=None, epochs=0)
    for background in ("siren", "nerv"):  # the families of the paper
        chosen = ladder.chosen_preset(options, background)
        assert chosen == get_preset("paper", background=background)
    shorter = ladder.chosen_preset(argparse.Namespace(**{**vars(options), "epochs": 60}), "nerv")
    assert shorter.background.recipe.steps == 60
    assert "--preset paper --epochs 0" in (BENCHMARKS / "paper_full.sh").read_text("utf-8")


def paper_full(*args, **environment):
    return subprocess.run(
        ["bash", str(BENCHMARKS / "paper_full.sh"), *args],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_the_full_size_run_reports_missing_parts_in_one_line(tmp_path):
    """Nothing is fitted here: every one of these ends before that."""
    shown = paper_full("--help")
    assert shown.returncode == 0
    assert "paper_full.sh [DEVICE] [OUT] [DATA]" in shown.stdout
    assert "set -" not in shown.stdout
    assert paper_full("--device", "cpu").returncode == 2

    out = tmp_path / "out"
    (tmp_path / "dacsdc").mkdir()
    (tmp_path / "dacsdc/dacsdc.yaml").touch()
    done = paper_full("cpu", str(out), str(tmp_path))
    assert done.returncode == 1
    assert "sequences/otb_crossing is not there" in done.stderr
    (tmp_path / "sequences/otb_crossing").mkdir(parents=True)
    done = paper_full("cpu", str(out), str(tmp_path), PATH="/usr/bin:/bin")
    assert done.returncode == 1
    assert "activate the environment" in done.stderr
    assert not out.exists()
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = paper_full("cpu0", str(out), str(tmp_path), PATH=beside)
    assert done.returncode == 1
    assert done.stderr == "error: device 'cpu0': expected auto, cpu, cuda or cuda:N\n"


def test_folders_are_small_and_import_public_names_only():
    folders = [BENCHMARKS, *(path.parent for path in BENCHMARKS.glob("*/__init__.py"))]
    for folder in folders:
        files = list(folder.glob("*.py"))
        assert 0 < len(files) <= 20
        for file in files:
            for name in imported(ast.parse(file.read_text(encoding="utf-8"))):
                assert not any(part.startswith("_") for part in name.split(".")), (file, name)
                assert not name.startswith("rinrcodec.cli.commands"), (file, name)


def imported(tree):
    """The dotted names that a module imports, but for `__future__`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_script_is_covered():
    scripts = {path.stem for path in BENCHMARKS.glob("*.py")}
    # Other tests run these.
    assert scripts == set(TINY) | {"fleet", "overview", "pyramid"}


def test_pillow_opens_a_file_for_every_frame_at_random(load, monkeypatch):
    speed = load("speed")
    opened, opens = [], speed.Image.open
    monkeypatch.setattr(speed.Image, "open", lambda file: opened.append(file) or opens(file))
    picture = picture_from_array(np.zeros((8, 8, 3), np.uint8), name="a.png")
    row = speed.pillow_speed("JPEG 40", [picture] * 3, repeats=1, seed=0)
    files = [int(file.stem) for file in opened if isinstance(file, Path)]
    assert files[:6] == speed.numbers_at_random(3, 0)
    assert row.random_ms > 0


def test_frames_without_objects_have_the_quality_of_the_avif_files(load, monkeypatch):
    speed = load("speed")
    monkeypatch.setattr(speed.torch, "set_num_threads", int)
    assert speed.PILLOW["AVIF 30"]["quality"] == speed.BARE_QUALITY
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    picture = picture_from_array(pixels, name="a.png", boxes=(Box(0, 4, 4, 9, 9),))
    options = argparse.Namespace(threads=1, seed=0, device="cpu", repeats=1, steps=None)
    row = speed.family_speed("av1", "fast", speed.STILLS, [picture], options, bare=True)
    plain, preset = [replace(picture, boxes=())], get_preset("fast", gop=1)
    asked, usual = (
        len(pack_bytes(rinrcodec.encode(plain, preset=preset, target=target)))
        for target in (rinrcodec.Target(quality=30), None)
    )
    assert row.bytes_a_frame == asked != usual


def stand_in(folder, code=0):
    """Return a function that runs a shell script with a replacement for Python.

    Its tests end with `code`, and its scripts write empty pages.
    """

    def run(script, *args, **environment):
        return subprocess.run(
            ["bash", str(BENCHMARKS / script), *args],
            env={**os.environ, "PATH": f"{folder / 'bin'}:/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    (folder / "bin").mkdir()
    python = folder / "bin/python"
    python.write_text(
        "#!/bin/bash\n"
        f'case $1 in -m) echo tested; exit {code} ;; esac\nname=$(basename "$1" .py)\n'
        'case "$*" in *"--part epoch"*) name=${name}_epoch ;; esac\n'
        'while [ "$1" != --out ]; do shift; done\n'
        'touch "$2/$name.md" "$2/$name.json"; echo "made $name"\n'
    )
    python.chmod(0o755)
    (folder / "out").mkdir()
    return run


def test_all_pages_are_planned_and_made_once(tmp_path):
    run, out = stand_in(tmp_path), tmp_path / "out"
    plan = run("all.sh", str(out), "speed", "sequences_moving", PLAN="1")
    assert plan.returncode == 0, plan.stderr
    names = [line.split()[0] for line in plan.stdout.splitlines()[:-1]]
    assert names == ["speed", "sequences_moving"]
    assert list(out.iterdir()) == []
    done = run("all.sh", str(out), "speed", "sequences_moving")
    assert done.returncode == 0, done.stderr
    made = {f"{name}.{kind}" for name in ("speed", "sequences_moving") for kind in ("md", "json")}
    assert {path.name for path in out.iterdir()} == made
    again = run("all.sh", str(out), "speed")
    assert "made speed" not in again.stdout
    wrong = run("all.sh", str(out), "sped")
    assert wrong.returncode == 2
    assert "no page 'sped'" in wrong.stderr
    swapped = run("all.sh", "speed", str(out))
    assert swapped.returncode == 2
    assert "The folder comes first: benchmarks/all.sh bench-out speed" in swapped.stderr


def test_a_plan_installs_nothing(tmp_path):
    words = ["make", "-n", "bench", f"VENV={tmp_path}"]
    for plan, installs in (([], True), (["PLAN=1"], False)):
        done = subprocess.run(
            [*words, *plan], cwd=BENCHMARKS.parent, capture_output=True, text=True, check=True
        )
        assert ("pip install" in done.stdout) == installs
        assert "benchmarks/all.sh bench-out" in done.stdout


def test_a_page_keeps_the_unfinished_work_of_others(tmp_path):
    run, out = stand_in(tmp_path), tmp_path / "out"
    rows = out / "unfinished/ladder/ladder.json"
    rows.parent.mkdir(parents=True)
    rows.write_text("an hour of work")
    done = run("all.sh", str(out), "label_bytes")
    assert done.returncode == 0, done.stderr
    assert rows.read_text() == "an hour of work"
    assert [path.name for path in (out / "unfinished").iterdir()] == ["ladder"]


def test_the_plan_of_all_pages_has_every_script():
    command = ["bash", str(BENCHMARKS / "all.sh"), "no-such-folder"]
    plan = subprocess.run(
        command, env={**os.environ, "PLAN": "1"}, capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[0] for line in plan.splitlines()[:-1]}
    pages = {path.stem for path in BENCHMARKS.glob("*.py")} - {"paper_time"}
    assert [page for page in pages if not any(name.startswith(page) for name in names)] == []


def test_a_number_of_frames_is_0_or_more(script, tmp_path, capsys):
    for wrong in ("-3", "x"):
        with pytest.raises(SystemExit):
            script("label_bytes.py", f"--frames={wrong}", "--out", tmp_path)
        assert f"expected a whole number of 0 or more, not '{wrong}'" in capsys.readouterr().err


def test_an_unknown_curve_is_answered_by_those_that_there_are(script, tmp_path, capsys):
    with pytest.raises(SystemExit):
        script("accuracy.py", "--arms", "original", "ours", "--out", tmp_path)
    message = capsys.readouterr().err
    assert "no curve ours; there are:" in message
    assert "    av1 with objects\n" in message


@pytest.mark.parametrize("words", [["bench-out", "cuda"], ["cuda", "out", "speed"], ["mps"]])
def test_the_gpu_script_checks_its_words_first(tmp_path, words):
    done = stand_in(tmp_path)("gpu.sh", *words)
    assert done.returncode == 2
    assert "[DEVICE] [OUT], with DEVICE cuda, cuda:N or cpu" in done.stderr
    assert "tested" not in done.stdout


def test_the_gpu_script_writes_missing_pages_only(tmp_path):
    run, out = (
        partial(stand_in(tmp_path, code=1), "gpu.sh", "cuda:0", str(tmp_path / "out")),
        tmp_path / "out",
    )
    (out / "grouping_cuda.md").write_text("as it was")
    done = run()
    assert done.returncode == 1, done.stderr  # the tests failed, and the pages are made
    assert "already there" in done.stdout
    assert "made grouping" not in done.stdout
    assert (out / "grouping_cuda.md").read_text() == "as it was"
    assert (out / "speed_cuda.md").exists()
    assert (out / "speed_cuda.json").exists()
    assert not (out / "unfinished_cuda").exists()


def test_the_gpu_script_stops_at_its_limit_and_continues(tmp_path):
    run, out = (
        partial(stand_in(tmp_path), "gpu.sh", "cuda:0", str(tmp_path / "out")),
        tmp_path / "out",
    )
    done = run(LIMIT="0")
    assert done.returncode == 3
    assert "Run the same command again" in done.stderr
    assert [path.name for path in out.iterdir()] == ["unfinished_cuda"]
    # A run that was cut after the tests does not run them again.
    (out / "unfinished_cuda/tests_passed").touch()
    done = run()
    assert done.returncode == 0, done.stderr
    assert "tested" not in done.stdout
    assert (out / "sequences_cuda.md").exists()
    assert (out / "dataloader_epoch_cuda.md").exists()


def test_the_gpu_script_shows_its_help():
    command = ["bash", str(BENCHMARKS / "gpu.sh"), "-h"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "gpu.sh [DEVICE] [OUT]" in shown
    assert "set -" not in shown
