"""The parts of the fleet benchmark run at their smallest, and find planted faults."""

from __future__ import annotations

import json
import multiprocessing
import re
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from types import SimpleNamespace

import pytest

from rinrcodec.families import background_families

from .conftest import BENCHMARKS, run_here

RESULTS = BENCHMARKS.parent / "docs/results"
LOCAL = ["--executors", "local"]
TINY = {
    # av1 needs no torch, so its processes start sooner.
    "equal": ["--frames=2", "--shard-size=1", "--backgrounds", "av1", "--jobs", "1", "2", *LOCAL],
    "kills": [
        *("--frames=4", "--shard-size=2", "--backgrounds", "av1", "--jobs", "1", "2"),
        *("--kills=2", *LOCAL),
    ],
    "scale": ["--frames=32", "--shards", "1", "2", "--fewer=16", "--samples=9", "--jobs=1"],
    "cost": ["--frames=2", "--presets=fast", "--steps=2", "--jobs=1"],
}


@pytest.fixture
def part(script, tmp_path):
    """Run a part as the command does, and return its report and its page."""

    def run(name, *words):
        script("fleet.py", "--part", name, "--threads=1", "--out", tmp_path, *words)
        text = (tmp_path / f"fleet_{name}.json").read_text(encoding="utf-8")
        page = (tmp_path / f"fleet_{name}.md").read_text(encoding="utf-8")
        # No path or address of the machine that made it may end up in a page of the docs.
        for said in (text, page):
            assert str(BENCHMARKS.parent) not in said
            assert "/tmp" not in said
        report = json.loads(text)
        assert report["made"]["command"].startswith("python benchmarks/fleet.py --device cpu ")
        return report, page

    return run


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_page_of_equal_bytes_compares_all_files(part):
    report, page = part("equal", *TINY["equal"])
    assert [row["by"][-1] for row in report["rows"]] == ["1", "2"]
    assert all(row["equal"] and len(row["files"]) == 3 for row in report["rows"])
    assert "All are equal." in page


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_page_of_kills_counts_each_kill(part):
    report, page = part("kills", *TINY["kills"])
    kills = [kill for run in report["runs"] for kill in run["kills"]]
    assert len(kills) == 2
    for kill in kills:
        assert kill["victim"] in {"driver", "worker"}
        assert kill["signal"] in {"SIGKILL", "SIGTERM"}
    for run in report["runs"]:
        assert run["looks"] > 0
        assert run["not_whole"] == run["strays"] == []
        assert run["code"] == 0
        assert not run["different"]
    rows = [line for line in page.splitlines() if line.startswith("| av1 |")]
    assert sum(int(row.split("|")[-3]) for row in rows) == 2
    assert "undisturbed one, manifest included: 0." in page


def test_the_page_of_kills_marks_what_differs(load):
    kills = load("fleet_parts.kills")
    kind = {"by": "Ray", "victim": "driver", "signal": "SIGKILL", "stage": "begins"}
    ended = [{**kind, "orphans": 0, "all_gone_s": 1.0},
             {**kind, "orphans": 2, "all_gone_s": None}]  # fmt: skip
    runs = [
        {"background": "av1", "kills": ended[:1], "different": False}
        | {"strays": [], "not_whole": [], "looks": 3},
        {"background": "av1", "kills": ended[1:], "different": True}
        | {"strays": ["a"], "not_whole": ["b", "c"], "looks": 4},
    ]
    page = kills._body("frames", runs)
    assert "| av1 | Ray | driver | SIGKILL | begins | 2 | **1** |" in page
    assert "manifest included: 1.\n" in page
    assert "in an output: 1.\n" in page
    assert "in 7 looks at the folders, taken all the time: 2.\n" in page
    assert "driver: 2. Processes of a dead driver were still there after 90 s" in page
    assert "a dead driver ended after at most 1.0 s" in kills._body("frames", runs[:1])


class Here(AbstractContextManager):
    """As `Compress` of the benchmark, in this process."""

    def __init__(self, words):
        self.words = words

    def __exit__(self, *_):
        pass

    def wait(self):
        wall, cpu = time.perf_counter(), time.process_time()
        result = run_here(["compress", *map(str, self.words)])
        assert result.exit_code == 0, result.output
        self.seconds = time.perf_counter() - wall
        self.all_cpu_s = time.process_time() - cpu


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_capacity_page_follows_from_scale_and_cost(part, load, monkeypatch, tmp_path, request):
    """The capacity page is made of the reports of the other two."""
    many = load("fleet_parts.scale")
    # Opening is measured in one other process for all rows, finding the frames in this one.
    other = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    request.addfinalizer(other.shutdown)
    monkeypatch.setattr(many, "ProcessPoolExecutor", lambda *_, **__: nullcontext(other))

    def alone(work, *words, alone=many.alone):
        return work(*words) if work is many.source_cost else alone(work, *words)

    monkeypatch.setattr(many, "alone", alone)
    costs = load("fleet_parts.cost")
    compress = costs.Compress
    monkeypatch.setattr(
        costs,
        "Compress",
        # A process of siren would import torch first.
        lambda *words, threads: (
            Here(words) if "siren" in words else compress(*words, threads=threads)
        ),
    )
    with pytest.raises(SystemExit, match=r"fleet_cost\.json is not there: --part cost"):
        part("capacity", "--pages", tmp_path)

    scale, _ = part("scale", *TINY["scale"])
    assert [(row["frames"], row["packs"]) for row in scale["rows"]] == [(16, 1), (32, 1), (32, 2)]
    for row in scale["rows"]:
        assert row["driver_peak_bytes"] > row["driver_own_bytes"] > 2**24
        assert 0 < row["driver_cpu_s"] < row["seconds"] + 1
        assert row["files"] == row["packs"] + 1
        assert row["opening"]["samples"] == 9
        assert row["opening"]["sample_files"] + row["opening"]["open_files"] >= 1
        assert row["opening"]["dataset_bytes"] > 0

    cost, page = part("cost", *TINY["cost"])
    assert cost["frames"].endswith("of scikit-image")
    assert cost["rows"][0]["frames"] == 2
    assert [row["background"] for row in cost["rows"]] == ["av1", "siren"]
    for row in cost["rows"]:
        assert 0 < row["start_s"] < row["cpu_s"] + 5

    capacity, page = part("capacity", "--preset=fast", "--pages", tmp_path)
    assert "--pages" not in capacity["made"]["command"]
    assert [fit["background"] for fit in capacity["fit"]] == ["av1", "siren"]
    assert capacity["fit"][0]["bytes"] == cost["rows"][0]["bytes"] / 2
    assert [row["packs"] for row in capacity["packs"]] == [10**4, 10**3, 10**2, 10**7, 10**6, 10**5]
    assert [row["requests"] for row in capacity["packs"]] == [10, 1, 1, 10**4, 10**3, 10**2]
    assert "11,574.1 frames/s" in page


@pytest.mark.parametrize("counts", [[(16, 1), (32, 2)], [(32, 1), (32, 2)], [(16, 1)]])
def test_a_capacity_page_of_too_few_runs_is_refused(load, counts):
    """Each run has this many frames, in this many shards."""
    rows = [{"frames": frames, "shards": shards, "driver_cpu_s": 1.0} for frames, shards in counts]
    with pytest.raises(SystemExit, match="expected data sets of two sizes"):
        load("fleet_parts.capacity").driver_of(rows, {})


def test_networks_are_fitted_for_few_steps(load):
    runs = load("fleet_parts.runs")
    families = background_families().items()
    assert set(runs._STEPS) == {name for name, family in families if family.fits_networks}
    assert runs.quick_words("siren")[-2:] == ["--steps", "40"]
    assert runs.quick_words("siren", steps=1)[-2:] == ["--steps", "1"]
    assert "--steps" not in runs.quick_words("av1", steps=1)


def test_a_pack_that_is_not_whole_is_seen(load, tmp_path):
    (tmp_path / "a.rinr").write_bytes(b"whole")
    kills, runs = load("fleet_parts.kills"), load("fleet_parts.runs")
    output = kills.Output(tmp_path, 2, runs.contents(tmp_path))
    output.look()
    assert output.not_whole == set()
    (tmp_path / "a.rinr").write_bytes(b"who")
    output.look()
    (tmp_path / "a.rinr").write_bytes(b"whole")
    output.look()
    assert output.not_whole == {"a.rinr"}


def test_left_over_files_are_seen(load, tmp_path):
    contents = load("fleet_parts.runs").contents
    before = contents(tmp_path)
    (tmp_path / ".rinr-work/done").mkdir(parents=True)
    (tmp_path / ".rinr-work/a.tmp").touch()
    after = contents(tmp_path)
    assert after.keys() - before.keys() == {".rinr-work/", ".rinr-work/a.tmp", ".rinr-work/done/"}


def test_processes_that_outlive_their_driver_are_seen(load, monkeypatch):
    kills = load("fleet_parts.kills")
    monkeypatch.setattr(kills, "_ORPHAN_S", 0.2)
    monkeypatch.setattr(kills, "_GIVE_UP_S", 0.5)
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mine = {kills.psutil.Process(sleeper.pid)}
    run = SimpleNamespace(processes=mine, workers=mine)
    try:
        figures = kills._Orphans(run).figures()
    finally:
        sleeper.kill()
        sleeper.communicate()
    assert figures["orphans"] == 1
    assert figures["all_gone_s"] is None
    assert kills._Orphans(run).figures()["orphans"] == 0


def test_the_driver_is_measured_without_its_workers(load):
    runs = load("fleet_parts.runs")
    code = "import time; x = bytearray(64 << 20); time.sleep({})"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code.format(1)!r}])"
    process = subprocess.Popen([sys.executable, "-c", child])

    def seen(pid):
        with suppress(runs.psutil.Error, OSError):
            return runs._memory(runs.psutil.Process(pid))
        return (0,)

    peak = 0
    while process.poll() is None:
        peak = max(peak, *seen(process.pid))
        time.sleep(0.05)
    assert 0 < peak < 48 << 20


@pytest.mark.parametrize(
    ("value", "size", "duration"),
    [(0.5, "0 B", "0.50 s"), (999, "999 B", "16.6 min"), (4321, "4.32 kB", "72.0 min"),
     (123_456, "123 kB", "34.3 h"), (3e12, "3.00 TB", "34,722,222 days")],
)  # fmt: skip
def test_figures_are_written_in_units(load, value, size, duration):
    capacity = load("fleet_parts.capacity")
    assert capacity.size(value) == size
    assert capacity.duration(value) == duration


def test_the_page_of_scale_has_the_tables_of_the_reports():
    page = (BENCHMARKS.parent / "docs/scale.md").read_text(encoding="utf-8")
    reports = [path.read_text(encoding="utf-8") for path in RESULTS.glob("fleet_*.md")]
    known = {line for report in reports for line in report.splitlines()}
    tables = [table.splitlines() for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)]
    measured = [table for table in tables if table[0] in known]
    assert len(measured) == 7
    assert [row for table in measured for row in table if row not in known] == []
