"""Many processes and Ray: the same bytes as one, and nothing that dies takes others with it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rinrcodec.cli import _fitter, _run, _work
from rinrcodec.cli._executors import Watch
from rinrcodec.cli._shards import shards_of
from rinrcodec.manifest import Manifest
from rinrcodec.sources import open_source

from .conftest import QUICK, Run, picture, put, write
from .test_compress import video

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes")


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


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
        monkeypatch.setattr(_work, "Work", module.DeadlyWork)
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


def test_a_video_in_shards_is_the_same_from_any_process(run: Run, tmp_path: Path) -> None:
    video(tmp_path / "clip.avi", 7)
    args = ("compress", tmp_path / "clip.avi", "--shard-size", 3, *QUICK)
    run(*args, "-o", tmp_path / "one")
    run(*args, "-o", tmp_path / "two", "--jobs", 2)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    manifest = Manifest(tmp_path / "one/manifest.json")
    (entry,) = manifest.runs.values()
    assert [shard.frames for shard in entry.shards] == [3, 3, 1]


def test_a_worker_that_dies_once_is_replaced(
    run: Run, folder: Path, tmp_path: Path, deadly: Any
) -> None:
    args = ("compress", folder, "--shard-size", 2, *QUICK)
    run(*args, "-o", tmp_path / "one")
    deaths = deadly(1, 1)
    run(*args, "-o", tmp_path / "two", "--jobs", 2)
    assert len(list(deaths.iterdir())) == 1
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


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

    monkeypatch.setattr(_fitter, "Fitter", module.FailingFitter)
    args = ("compress", folder, "-o", tmp_path / "out", "--shard-size", 1, *QUICK)
    result = run(*args, "--jobs", 2, code=1)
    assert result.stderr.splitlines()[-1] == (
        f"error: {tmp_path / 'out'} cannot be written: No space left on device"
    )
    assert contents(tmp_path / "out") == {}


DRIVER = """
import signal
import sys
sys.path.insert(0, {here!r})
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a job of the background
if __name__ == "__main__":
    import deadly
    from rinrcodec.cli import _work
    from rinrcodec.cli.main import cli
    _work.Work = deadly.StuckWork
    cli(sys.argv[1:])
"""


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


def test_the_manifest_says_what_was_made_of_what(run: Run, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("compress", dataset, "-o", out, "--shard-size", 1, "--seed", 3, *QUICK)
    (entry,) = Manifest(out / "manifest.json").runs.values()
    assert entry.complete
    assert entry.settings["seed"] == 3
    assert entry.settings["names"] == {"0": "person", "1": "car", "2": "bus"}
    assert [(s.series, s.number, s.first, s.frames) for s in entry.shards] == [
        ("train", 0, "a.png", 1),
        ("train", 1, "b.png", 1),
        ("val", 0, "s/c.png", 1),
    ]
    files = entry.all_files()
    assert set(files) == set(contents(out)) - {"manifest.json"}
    for name, record in files.items():
        data = (out / name).read_bytes()
        assert (record.bytes, record.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    inputs = {shard.inputs for shard in entry.shards}
    assert len(inputs) == 3
    # The same pictures, at other times and in another place, are the same inputs.
    copy = tmp_path / "copy"
    for name, data in contents(dataset.parent).items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(data)
        os.utime(copy / name, (1, 1))
    run("compress", copy / "data.yaml", "-o", tmp_path / "b", "--shard-size", 1, *QUICK)
    (other,) = Manifest(tmp_path / "b/manifest.json").runs.values()
    assert {shard.inputs for shard in other.shards} == inputs
    assert other.key != entry.key


def test_resume_says_what_changed(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    args = ("compress", folder, "-o", out, *QUICK)

    def stop(*_: object) -> None:
        raise OSError(5, os.strerror(5), "disk")

    monkeypatch.setattr(_run.Run, "_done", stop)
    run(*args, "--shard-size", 2, code=1)
    monkeypatch.undo()
    run(*args, "--shard-size", 2, code=2)

    def why(*options: object) -> str:
        text = run(*args, *options, "--resume", code=2).stderr
        return text.partition("pictures (")[2].partition(")")[0]

    assert why("--shard-size", 3) == "shard_size was 2 and is 3"
    assert why("--shard-size", 2, "--seed", 1) == "seed was 0 and is 1"
    put(folder / "5.png", picture(5))
    assert why("--shard-size", 2) == "frames had 5 pictures and has 6"
    (folder / "5.png").unlink()
    put(folder / "3.png", picture(7))
    assert why("--shard-size", 2) == (
        "pictures or labels changed between 2.png and 3.png of frames"
    )


def test_a_manifest_of_another_program_is_left_alone(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    theirs = write(out / "manifest.json", '{"name": "web app"}')
    for option in ((), ("--overwrite",), ("--resume",)):
        result = run("compress", folder, "-o", out, *QUICK, *option, code=1)
        assert "manifest.json: not a manifest of this rinrcodec" in result.stderr
    assert contents(out) == {"manifest.json": theirs.read_bytes()}


def test_a_source_that_vanishes_is_not_a_source_of_bad_pictures(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    args = ("compress", folder, "-o", out, "--shard-size", 2, *QUICK)
    run(*args, "-o", tmp_path / "one")
    original = _work.Work.complete

    def complete(self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        if folder.exists():
            folder.rename(tmp_path / "elsewhere")

    monkeypatch.setattr(_work.Work, "complete", complete)
    result = run(*args, code=1)
    assert "2.png: not there any more, nor are the 1 pictures after it" in result.stderr
    assert "--resume goes on" in result.stderr
    assert list(out.glob("*.rinr")) == []
    monkeypatch.undo()
    (tmp_path / "elsewhere").rename(folder)
    run(*args, "--resume")
    assert contents(out) == contents(tmp_path / "one")


def test_an_output_that_vanishes_is_not_made_anew(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "disk/out"
    args = ("compress", folder, "--shard-size", 2, *QUICK)
    run(*args, "-o", tmp_path / "one")
    original = _work.Work.complete

    def complete(self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        if (tmp_path / "disk").exists():
            (tmp_path / "disk").rename(tmp_path / "unmounted")

    monkeypatch.setattr(_work.Work, "complete", complete)
    result = run(*args, "-o", out, code=1)
    assert f"{out}: not there any more; was it moved, removed or unmounted?" in result.stderr
    assert not (tmp_path / "disk").exists()
    monkeypatch.undo()
    (tmp_path / "unmounted").rename(tmp_path / "disk")
    run(*args, "-o", out, "--resume")
    assert contents(out) == contents(tmp_path / "one")


def test_a_picture_that_changes_meanwhile_is_listed(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = _work.Work.complete

    def complete(self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        put(folder / "3.png", picture(9))

    monkeypatch.setattr(_work.Work, "complete", complete)
    args = ("compress", folder, "-o", tmp_path / "out", "--shard-size", 2, *QUICK)
    result = run(*args, code=1)
    assert "3.png: changed" in result.stderr
    assert len(list((tmp_path / "out").glob("*.rinr"))) == 3


def test_no_permission(run: Run, folder: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (tmp_path / "locked").mkdir(mode=0o500)
    result = run("compress", folder, "-o", tmp_path / "locked/out", *QUICK, code=1)
    assert f"{tmp_path / 'locked/out'}: Permission denied" in result.stderr


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


def test_a_source_that_vanishes_while_a_batch_is_fitted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rinrcodec import encoder

    source = tmp_path / "mount/frames"
    for i in range(20):
        put(source / f"{i:02d}.png", picture(i, 4, 4))
    args = ("compress", source, *QUICK)
    run(*args, "-o", tmp_path / "one")
    original = encoder.encode

    def encode(*arguments: Any, **options: Any) -> Any:
        pack = original(*arguments, **options)
        if (tmp_path / "mount").exists():
            (tmp_path / "mount").rename(tmp_path / "elsewhere")
        return pack

    monkeypatch.setattr(encoder, "encode", encode)
    result = run(*args, "-o", tmp_path / "out", code=1)
    # Two of the second batch were read ahead, while the source was there.
    assert "16.png: not there any more, nor are the 3 pictures after it" in result.stderr
    monkeypatch.undo()
    (tmp_path / "elsewhere").rename(tmp_path / "mount")
    run(*args, "-o", tmp_path / "out", "--resume")
    assert contents(tmp_path / "out") == contents(tmp_path / "one")


def test_a_disk_that_fails_says_nothing_of_its_pictures(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rinrcodec import images

    args = ("compress", folder, "--shard-size", 2, *QUICK)
    run(*args, "-o", tmp_path / "one")
    original = images.read_file

    def read_file(path: Path, **options: Any) -> bytes:
        if path.name == "2.png":
            raise OSError(5, os.strerror(5), str(path))
        return original(path, **options)

    monkeypatch.setattr(images, "read_file", read_file)
    result = run(*args, "-o", tmp_path / "out", code=1)
    assert f"error: {folder / '2.png'}: cannot be read: Input/output error" in result.stderr
    assert "--resume goes on" in result.stderr
    monkeypatch.undo()
    run(*args, "-o", tmp_path / "out", "--resume")
    assert contents(tmp_path / "out") == contents(tmp_path / "one")


def test_overwriting_leaves_no_file_of_the_run_before(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write(out / "notes.txt", "mine")
    run("compress", folder, "-o", out, "--layout", "files", *QUICK)
    (folder / "2.png").unlink()
    run("compress", folder, "-o", out, "--layout", "files", "--overwrite", *QUICK)
    rest = {"0.rinr", "1.rinr", "3.rinr", "more/4.rinr", "manifest.json", "notes.txt"}
    assert contents(out).keys() == rest
    run("compress", folder, "-o", out, "--overwrite", *QUICK)
    assert contents(out).keys() == {"frames-00000.rinr", "manifest.json", "notes.txt"}


def test_an_output_that_vanishes_in_a_fit(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rinrcodec import encoder

    original = encoder.encode
    out = tmp_path / "disk/out"

    def encode(*arguments: Any, **options: Any) -> Any:
        pack = original(*arguments, **options)
        (tmp_path / "disk").rename(tmp_path / "unmounted")
        return pack

    monkeypatch.setattr(encoder, "encode", encode)
    result = run("compress", folder, "-o", out, *QUICK, code=1)
    assert f"{out}: not there any more; was it moved, removed or unmounted?" in result.stderr
    assert not (tmp_path / "disk").exists()
