"""Many processes and Ray: the bytes of one process, also after a worker died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import rinrcodec
from rinrcodec import RinrUsageError
from rinrcodec.datasets import compress as engine
from rinrcodec.datasets.executors.local import Watch
from rinrcodec.datasets.manifest import Manifest
from rinrcodec.datasets.shards import shards_of
from rinrcodec.errors import RinrInputError
from rinrcodec.sources.discover import open_source

from .conftest import QUICK, contents, video, write

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
        monkeypatch.setattr(engine, "Work", module.DeadlyWork)
        return deaths

    return kill


@pytest.fixture
def progress(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The counts of finished pictures that the driver receives."""
    shown: list[float] = []
    original = Watch.progress

    def note(self: Watch, shard: Any, within: float) -> None:
        original(self, shard, within)
        shown.append(self._told)

    monkeypatch.setattr(Watch, "progress", note)
    return shown


@pytest.mark.slow
def test_processes_give_the_bytes_of_one(
    dataset: Path, tmp_path: Path, progress: list[float]
) -> None:
    options = {"shard_size": 1, "layout": "files", **QUICK}
    rinrcodec.compress(dataset, tmp_path / "one", **options)
    progress.clear()
    rinrcodec.compress(dataset, tmp_path / "two", jobs=2, **options)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert progress[-1] == max(progress) == 3


def test_progress_never_goes_back(folder: Path) -> None:
    shown: list[float] = []
    shards = shards_of(open_source(folder), 2)
    watch = Watch(lambda done, _: shown.append(done), lambda _: None)
    watch.progress(shards[0], 2)
    watch.progress(shards[1], 1)  # the first is left, and not counted yet
    watch.done(shards[0])
    watch.done(shards[1], died=True)
    assert shown == [2, 2, 2, 4]
    assert watch.died == [shards[1]]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_gives_the_bytes_of_one(folder: Path, tmp_path: Path, ray: Any) -> None:
    write(folder / "9.png", "no picture")
    options = {"shard_size": 2, **QUICK}
    alone = rinrcodec.compress(folder, tmp_path / "one", **options)
    result = rinrcodec.compress(folder, tmp_path / "ray", executor="ray", jobs=2, **options)
    assert contents(tmp_path / "ray") == contents(tmp_path / "one")
    assert result.failures == alone.failures
    assert len(alone.failures) == 1
    # One that runs already is used, and left running.
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    rinrcodec.compress(folder, tmp_path / "again", executor="ray", **options)
    assert contents(tmp_path / "again") == contents(tmp_path / "one")
    assert ray.is_initialized()


@pytest.mark.slow
def test_a_video_in_shards_is_the_same_from_any_process(tmp_path: Path) -> None:
    clip = video(tmp_path / "clip.avi", 7)
    rinrcodec.compress(clip, tmp_path / "one", shard_size=3, **QUICK)
    rinrcodec.compress(clip, tmp_path / "two", shard_size=3, jobs=2, **QUICK)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    manifest = Manifest(tmp_path / "one/manifest.json")
    (entry,) = manifest.runs.values()
    assert [shard.frames for shard in entry.shards] == [3, 3, 1]


@pytest.mark.slow
def test_a_worker_that_dies_once_is_replaced(folder: Path, tmp_path: Path, deadly: Any) -> None:
    rinrcodec.compress(folder, tmp_path / "one", shard_size=2, **QUICK)
    deaths = deadly(1, 1)
    rinrcodec.compress(folder, tmp_path / "two", shard_size=2, jobs=2, **QUICK)
    assert len(list(deaths.iterdir())) == 1
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


@pytest.mark.slow
def test_a_shard_that_kills_twice_is_reported_and_the_others_are_done(
    folder: Path, tmp_path: Path, deadly: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"shard_size": 2, **QUICK}
    rinrcodec.compress(folder, tmp_path / "one", **options)
    whole = contents(tmp_path / "one")
    deaths = deadly(1, 2)
    out = tmp_path / "out"
    result = rinrcodec.compress(folder, out, jobs=2, **options)
    assert len(list(deaths.iterdir())) == 2
    assert result.failures == (
        "shard 1 of frames (2.png to 3.png): the worker died 2 times (out of memory?). "
        "Rerun with `resume=True`.",
    )
    assert (result.failed_shards, result.can_resume, result.total.frames) == (1, True, 3)
    assert {name for name in whole if name not in contents(out)} == {"frames-00001.rinr"}
    (entry,) = Manifest(out / "manifest.json").runs.values()
    assert [shard.state for shard in entry.shards] == ["done", "failed", "done"]
    assert not entry.complete
    with pytest.raises(RinrUsageError, match="`resume=True` continues it"):
        rinrcodec.compress(folder, out, **options)
    monkeypatch.undo()
    assert rinrcodec.compress(folder, out, resume=True, **options).failures == ()
    assert contents(out) == whole


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_shard_that_kills_twice_on_ray(
    folder: Path, tmp_path: Path, deadly: Any, ray: Any
) -> None:
    del ray
    deaths = deadly(0, 9)
    options = {"shard_size": 4, "executor": "ray", "jobs": 2, **QUICK}
    (failure,) = rinrcodec.compress(folder, tmp_path / "out", **options).failures
    assert len(list(deaths.iterdir())) == 2
    assert failure.startswith("shard 0 of frames (0.png to 3.png): the worker died 2 times")
    assert (tmp_path / "out/frames-00001.rinr").exists()


def test_an_error_of_a_worker_ends_the_run_and_is_raised(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    import deadly as module

    monkeypatch.setattr(engine, "Fitter", module.FailingFitter)
    out = tmp_path / "out"
    with pytest.raises(OSError, match="No space left on device") as caught:
        rinrcodec.compress(folder, out, shard_size=1, jobs=2, **QUICK)
    assert caught.value.filename == str(out)
    assert contents(out) == {}


DRIVER = """
import sys
sys.path.insert(0, {here!r})
if __name__ == "__main__":
    import deadly
    import rinrcodec
    from rinrcodec.datasets import compress
    compress.Work = deadly.StuckWork
    try:
        options = dict(preset="fast", steps=8, device="cpu", shard_size=2, jobs=2)
        rinrcodec.compress(*sys.argv[1:], **options)
    except rinrcodec.CompressInterrupted as error:
        sys.exit(str(error))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_driver(
    folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    script = write(tmp_path / "driver.py", DRIVER.format(here=str(HERE)))
    stuck = tmp_path / "stuck"
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder), str(out)],
        env={**os.environ, "STUCK": str(stuck)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # as the shell starts a job: Ctrl-C is for the whole group
    )
    try:
        wait_for(lambda: process.poll() is not None or (stuck.exists() and stuck.read_text() != ""))
        assert process.poll() is None, process.communicate()
        # The shards of the other worker are done by then, or the run could not be continued.
        wait_for(lambda: len(list(out.glob(".rinr-work/*/*-000002.json"))) == 1)
        worker = int(stuck.read_text())
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.kill()
        _, said = process.communicate(timeout=240)
        wait_for(lambda: not is_running(worker))
        if number == signal.SIGINT:
            assert said.splitlines()[-1].startswith("interrupted; what is fitted is kept")
    finally:
        process.kill()
    rinrcodec.compress(folder, out, shard_size=2, jobs=2, resume=True, **QUICK)
    rinrcodec.compress(folder, tmp_path / "one", shard_size=2, **QUICK)
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
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_ctrl_c_while_workers_start_is_one_line(folder: Path, tmp_path: Path) -> None:
    """Workers load for seconds before they ignore Ctrl-C."""
    script = write(tmp_path / "driver.py", DRIVER.format(here=str(HERE)))
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder), str(tmp_path / "out")],
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
    nothing = "interrupted; nothing was kept yet, as work is kept every 2 frames"
    assert said.splitlines()[-1].startswith(nothing)
    assert "Traceback" not in said
    assert process.returncode == 1
    assert not (tmp_path / "out").exists()


def test_more_processes_than_packs(folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    options = {"labels": "none", "jobs": 8, **QUICK}
    rinrcodec.compress(folder, tmp_path / "out", on_message=said.append, **options)
    assert said == ["one pack for 8 processes: a smaller `shard_size` makes more"]


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_an_unreachable_ray_is_an_error(folder: Path, tmp_path: Path, ray: Any) -> None:
    del ray
    options = {"executor": "ray", "ray_address": "127.0.0.1:1", **QUICK}
    with pytest.raises(RinrInputError, match=r"127\.0\.0\.1:1: cannot be reached \("):
        rinrcodec.compress(folder, tmp_path / "out", **options)
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
