"""Many processes and Ray: the same bytes as one, and nothing that dies takes others with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rinrcodec.datasets import fitter, work
from rinrcodec.datasets.executors.local import Watch
from rinrcodec.datasets.manifest import Manifest
from rinrcodec.datasets.shards import shards_of
from rinrcodec.sources.source import open_source

from .conftest import QUICK, Run, contents, write
from .test_compress import video

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes")


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a shard kill its workers."""

    def kill(number: int, times: int) -> Path:
        monkeypatch.syspath_prepend(str(HERE))
        monkeypatch.setenv("PYTHONPATH", str(HERE))  # for workers of Ray
        import deadly as module

        deaths = tmp_path / "deaths"
        deaths.mkdir(exist_ok=True)
        monkeypatch.setenv("DEADLY", f"{deaths}:{number}:{times}")
        monkeypatch.setattr(work, "Work", module.DeadlyWork)
        return deaths

    return kill


@pytest.fixture
def progress(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pictures done, whenever the driver is told."""
    told: list[float] = []
    original = Watch.progress

    def note(self: Watch, shard: Any, within: float) -> None:
        original(self, shard, within)
        told.append(self._told)

    monkeypatch.setattr(Watch, "progress", note)
    return told


@pytest.mark.slow
def test_processes_give_the_bytes_of_one(
    run: Run, dataset: Path, tmp_path: Path, progress: list[float]
) -> None:
    args = ("compress", dataset, "--shard-size", 1, "--layout", "files", *QUICK)
    run(*args, "-o", tmp_path / "one")
    progress.clear()
    run(*args, "-o", tmp_path / "two", "--jobs", 2)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert progress[-1] == max(progress) == 3


def test_progress_never_goes_back(folder: Path) -> None:
    told: list[float] = []
    shards = shards_of(open_source(folder), 2)
    watch = Watch(lambda done, _: told.append(done), lambda _: None)
    watch.progress(shards[0], 2)
    watch.progress(shards[1], 1)  # the first is left, and not counted yet
    watch.done(shards[0])
    watch.done(shards[1], died=True)
    assert told == [2, 2, 2, 4]
    assert watch.died == [shards[1]]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_gives_the_bytes_of_one(run: Run, folder: Path, tmp_path: Path, ray: Any) -> None:
    write(folder / "9.png", "no picture")
    args = ("compress", folder, "--shard-size", 2, "--json", "-", *QUICK)
    alone = run(*args, "-o", tmp_path / "one", code=1)
    result = run(*args, "-o", tmp_path / "ray", "--executor", "ray", "--jobs", 2, code=1)
    assert contents(tmp_path / "ray") == contents(tmp_path / "one")
    assert json.loads(result.stdout)["failures"] == json.loads(alone.stdout)["failures"]
    # One that runs already is used, and left running.
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    run(*args, "-o", tmp_path / "again", "--executor", "ray", code=1)
    assert contents(tmp_path / "again") == contents(tmp_path / "one")
    assert ray.is_initialized()


@pytest.mark.slow
def test_a_video_in_shards_is_the_same_from_any_process(run: Run, tmp_path: Path) -> None:
    video(tmp_path / "clip.avi", 7)
    args = ("compress", tmp_path / "clip.avi", "--shard-size", 3, *QUICK)
    run(*args, "-o", tmp_path / "one")
    run(*args, "-o", tmp_path / "two", "--jobs", 2)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    manifest = Manifest(tmp_path / "one/manifest.json")
    (entry,) = manifest.runs.values()
    assert [shard.frames for shard in entry.shards] == [3, 3, 1]


@pytest.mark.slow
def test_a_worker_that_dies_once_is_replaced(
    run: Run, folder: Path, tmp_path: Path, deadly: Any
) -> None:
    args = ("compress", folder, "--shard-size", 2, *QUICK)
    run(*args, "-o", tmp_path / "one")
    deaths = deadly(1, 1)
    run(*args, "-o", tmp_path / "two", "--jobs", 2)
    assert len(list(deaths.iterdir())) == 1
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


@pytest.mark.slow
def test_a_shard_that_kills_twice_is_reported_and_the_others_are_done(
    run: Run, folder: Path, tmp_path: Path, deadly: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("compress", folder, "--shard-size", 2, *QUICK)
    run(*args, "-o", tmp_path / "one")
    whole = contents(tmp_path / "one")
    deaths = deadly(1, 2)
    out = tmp_path / "out"
    result = run(*args, "-o", out, "--jobs", 2, code=1)
    assert len(list(deaths.iterdir())) == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert errors == [
        "error: shard 1 of frames (2.png to 3.png): the process that fitted it died 2 times, "
        "of too little memory perhaps; --resume tries it again"
    ]
    assert {name for name in whole if name not in contents(out)} == {"frames-00001.rinr"}
    (entry,) = Manifest(out / "manifest.json").runs.values()
    assert [shard.state for shard in entry.shards] == ["done", "failed", "done"]
    assert not entry.complete
    assert "--resume goes on" in run(*args, "-o", out, code=2).stderr
    monkeypatch.undo()
    run(*args, "-o", out, "--resume")
    assert contents(out) == whole


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_shard_that_kills_twice_on_ray(
    run: Run, folder: Path, tmp_path: Path, deadly: Any, ray: Any
) -> None:
    del ray
    deaths = deadly(0, 9)
    args = ("compress", folder, "-o", tmp_path / "out", "--shard-size", 4, *QUICK)
    result = run(*args, "--executor", "ray", "--jobs", 2, code=1)
    assert len(list(deaths.iterdir())) == 2
    assert "error: shard 0 of frames (0.png to 3.png): the process that fitted" in result.stderr
    assert (tmp_path / "out/frames-00001.rinr").exists()


def test_an_error_of_a_worker_ends_the_run_and_is_told(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    import deadly as module

    monkeypatch.setattr(fitter, "Fitter", module.FailingFitter)
    args = ("compress", folder, "-o", tmp_path / "out", "--shard-size", 1, *QUICK)
    result = run(*args, "--jobs", 2, code=1)
    assert result.stderr.splitlines()[-1] == (
        f"error: {tmp_path / 'out'} cannot be written: No space left on device"
    )
    assert contents(tmp_path / "out") == {}


DRIVER = """
import sys
sys.path.insert(0, {here!r})
if __name__ == "__main__":
    import deadly
    from rinrcodec.datasets import work
    from rinrcodec.cli.main import cli
    work.Work = deadly.StuckWork
    cli(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.interrupts
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_driver(
    run: Run, folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    args = [str(a) for a in ("compress", folder, "--shard-size", 2, *QUICK)]
    script = write(tmp_path / "driver.py", DRIVER.format(here=str(HERE)))
    stuck = tmp_path / "stuck"
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, str(script), *args, "-o", str(out), "--jobs", "2"],
        env={**os.environ, "STUCK": str(stuck)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # as the shell starts a job: Ctrl-C is for the whole group
    )
    try:
        wait_for(lambda: process.poll() is not None or (stuck.exists() and stuck.read_text() != ""))
        assert process.poll() is None, process.communicate()
        # The shards of the other worker are done by then, or the run could not be gone on with.
        wait_for(lambda: len(list(out.glob(".rinr-work/*/*-000002.json"))) == 1)
        worker = int(stuck.read_text())
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.kill()
        _, said = process.communicate(timeout=240)
        wait_for(lambda: not is_running(worker))
        if number == signal.SIGINT:
            assert process.returncode == 130
            assert said.splitlines()[-1].startswith("interrupted; what is fitted is kept")
    finally:
        process.kill()
    run(*args, "-o", out, "--resume", "--jobs", 2)
    run(*args, "-o", tmp_path / "one")
    assert contents(out) == contents(tmp_path / "one")


def wait_for(condition: Any, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed process that nobody has waited for yet still has a number.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.interrupts
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_ctrl_c_while_workers_start_is_one_line(folder: Path, tmp_path: Path) -> None:
    """They load for seconds before they can say that Ctrl-C is not for them."""
    args = [str(a) for a in ("compress", folder, "--shard-size", 2, *QUICK)]
    script = write(tmp_path / "driver.py", DRIVER.format(here=str(HERE)))
    process = subprocess.Popen(
        [sys.executable, str(script), *args, "-o", str(tmp_path / "out"), "--jobs", "2"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

    def is_starting() -> bool:
        children = [
            Path(f"/proc/{child}/cmdline")
            for task in Path(f"/proc/{process.pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
        return any(b"spawn_main" in child.read_bytes() for child in children)

    try:
        wait_for(is_starting)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=240)
    finally:
        process.kill()
    nothing = "interrupted; nothing is fitted yet: work is kept every 16 frames"
    assert said.splitlines()[-1] == nothing
    assert "Traceback" not in said
    assert process.returncode == 130
    assert not (tmp_path / "out").exists()


def test_more_processes_than_packs(run: Run, folder: Path, tmp_path: Path) -> None:
    args = ("compress", folder, "-o", tmp_path / "out", "--jobs", 8, *QUICK)
    hint = "one pack for 8 processes: a smaller --shard-size makes more"
    assert hint in run(*args).stderr
    assert run(*args, "--overwrite", "--quiet").stderr == ""


def test_options_that_do_not_go_together(run: Run, folder: Path, tmp_path: Path) -> None:
    args = ("compress", folder, "-o", tmp_path / "out", *QUICK)
    result = run(*args, "--ray-address", "auto", code=2)
    assert "--ray-address is of --executor ray" in result.stderr
    result = run(*args, "--device", "cpu,cpu", code=2)
    assert "several devices are several of cuda" in result.stderr
    run(*args, "--jobs", 0, code=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_ray_that_is_not_there(run: Run, folder: Path, tmp_path: Path, ray: Any) -> None:
    del ray
    args = ("compress", folder, "-o", tmp_path / "out", "--executor", "ray", *QUICK)
    result = run(*args, "--ray-address", "127.0.0.1:1", code=1)
    assert result.stderr.splitlines()[-1].startswith("error: 127.0.0.1:1: cannot be reached (")
    assert contents(tmp_path / "out") == {}


def test_shards_cut_every_series(folder: Path, dataset: Path) -> None:
    shards = shards_of(open_source(folder), 2)
    assert [(s.number, s.start, s.count, s.last) for s in shards] == [
        (0, 0, 2, False),
        (1, 2, 2, False),
        (2, 4, 1, True),
    ]
    assert [len(s.series.refs) for s in shards] == [2, 2, 1]
    (one,) = shards_of(open_source(folder), 0)
    assert one.count == 5
    shards = shards_of(open_source(dataset), 1000)
    assert [s.label for s in shards] == [
        "shard 0 of train (a.png to b.png)",
        "shard 0 of val (s/c.png)",
    ]
    assert len({s.name for s in shards}) == 2
    again = shards_of(open_source(dataset), 1000)
    assert [s.stamps for s in again] == [s.stamps for s in shards]
