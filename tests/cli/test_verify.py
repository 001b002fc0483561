"""`verify` and `info` of whole data sets: all that a manifest lists, checked against the files."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rinrcodec.datasets.inspection import check as check_module
from rinrcodec.datasets.inspection.inventory import ListedFile
from rinrcodec.datasets.manifest import Manifest
from rinrcodec.formats import PackReader, pack_bytes, read_pack
from rinrcodec.pack import select_frames
from rinrcodec.storage import remote as remote_module
from rinrcodec.storage import to_path
from rinrcodec.storage.atomic import write_whole

from .conftest import QUICK, Run, write

PutRun = Callable[..., Path]
Edit = Callable[[Callable[[dict[str, Any]], object]], None]
VECTOR = Path(__file__).parents[1] / "formats/vectors/v1/decodable.rinr"
N = 6


@pytest.fixture(scope="module")
def packs() -> list[bytes]:
    """Files of one frame each, of one size and all different."""
    frame = select_frames(read_pack(VECTOR), [1])
    packs = [pack_bytes(replace(frame, info={"seed": str(i)})) for i in range(N)]
    assert len(set(packs)) == N
    assert len(set(map(len, packs))) == 1
    return packs


@pytest.fixture
def out(tmp_path: Path, packs: list[bytes], put_run: PutRun) -> Path:
    """The output of a run of six shards and of a run of two."""
    put_run(tmp_path / "out", packs, n_frames=1)
    put_run(tmp_path / "out", packs[:2], n_frames=1, series="val", below="val/")
    return tmp_path / "out"


@pytest.fixture
def edit(out: Path) -> Edit:
    """Change the JSON of the manifest's first run."""

    def change(how: Callable[[dict[str, Any]], object]) -> None:
        path = out / "manifest.json"
        data = json.loads(path.read_text())
        how(data["runs"][0])
        del data["sha256"]
        path.write_text(json.dumps(data))

    return change


def errors(run: Run, *args: object) -> list[str]:
    lines: list[str] = run("verify", *args, code=1).stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    return [line.removeprefix("error: ") for line in lines]


def test_a_data_set_is_sound(run: Run, out: Path, opens: Any) -> None:
    for jobs in ((), ("--jobs", 1), ("--jobs", 50)):
        with opens(out) as opened:
            text = run("verify", out, *jobs).stdout
        assert text == f"8 files are sound\n{out}/manifest.json: 2 runs, all 8 files as written\n"
        # Each file once, whether for its hash or for the reader.
        assert sorted(opened) == [
            "manifest.json",
            *(f"train-{i:05d}.rinr" for i in range(N)),
            *(f"val/val-{i:05d}.rinr" for i in range(2)),
        ]


def test_json_has_the_figures_of_runs_and_files(run: Run, out: Path) -> None:
    report = json.loads(run("verify", out, "--json", "-").stdout)
    assert (report["files"], report["frames"], report["bad"]) == (8, 8, {})
    one, two = report["runs"]
    assert one["manifest"] == two["manifest"] == str(out / "manifest.json")
    assert (one["complete"], one["shards"], one["done"], one["frames"]) == (True, 6, 6, 6)
    assert [series["name"] for series in two["series"]] == ["val"]


@pytest.mark.parametrize("source", ["out", "out/data.yaml"])
def test_a_changed_data_yaml_is_found(run: Run, dataset: Path, tmp_path: Path, source: str) -> None:
    run("compress", dataset, "-o", tmp_path / "out", "--quiet", *QUICK)
    assert "1 run, all 3 files as written" in run("verify", tmp_path / source).stdout
    yaml = tmp_path / "out/data.yaml"
    yaml.write_text(yaml.read_text() + "# of mine\n")
    (line,) = errors(run, tmp_path / source)
    assert line.startswith(f"{yaml}: it has ")
    assert line.endswith(
        "it was changed, so fetch it again, or remove it and compress with --resume"
    )
    (tmp_path / "out/val/val-00000.rinr").unlink()
    lines = errors(run, tmp_path / source)
    assert lines[0] == f"{yaml}: val: no .rinr file in val"
    assert [line.partition(": ")[0] for line in lines[1:]] == [
        str(yaml),
        str(tmp_path / "out/val/val-00000.rinr"),
    ]


def test_a_file_is_missing(run: Run, out: Path) -> None:
    (out / "train-00003.rinr").unlink()
    (out / "val/val-00000.rinr").unlink()
    assert errors(run, out) == [
        f"{out}/{name}: it is missing, and {out}/manifest.json lists it; "
        "fetch it again, or make it again by the same compress with --resume"
        for name in ("train-00003.rinr", "val/val-00000.rinr")
    ]


def test_all_files_are_missing(run: Run, out: Path) -> None:
    for file in out.rglob("*.rinr"):
        file.unlink()
    lines = errors(run, out)
    assert len(lines) == 8
    assert all("it is missing" in line for line in lines)


def test_a_byte_changed(run: Run, out: Path) -> None:
    for name, at in (("train-00001.rinr", -1), ("val/val-00001.rinr", 600)):
        data = bytearray((out / name).read_bytes())
        data[at] ^= 1
        (out / name).write_bytes(data)
    first, second = errors(run, out)
    # The reader says which part it is.
    assert first.startswith(f"{out}/train-00001.rinr: ")
    assert "its directory is damaged (wrong CRC-32)" in first
    assert second.startswith(f"{out}/val/val-00001.rinr: ")


def test_two_files_changed_places(run: Run, out: Path, packs: list[bytes]) -> None:
    (out / "train-00001.rinr").write_bytes(packs[2])
    (out / "train-00002.rinr").write_bytes(packs[1])
    lines = errors(run, out)
    assert len(lines) == 2
    for line, number in zip(lines, (1, 2), strict=True):
        assert line.startswith(f"{out}/train-0000{number}.rinr: it has the ")
        assert line.endswith(
            "when compress wrote it; another sound pack has its name, so move it away, then fetch "
            "the right one or run the compress that made the folder with --resume"
        )


def test_a_sound_pack_of_another_size(run: Run, out: Path) -> None:
    whole = VECTOR.read_bytes()
    wanted = (out / "train-00004.rinr").stat().st_size
    (out / "train-00004.rinr").write_bytes(whole)
    (line,) = errors(run, out)
    assert line.startswith(
        f"{out}/train-00004.rinr: it has {len(whole):,} bytes, and {wanted:,} when compress wrote "
    )


def test_an_empty_file_and_a_folder(run: Run, out: Path) -> None:
    (out / "train-00000.rinr").write_bytes(b"")
    (out / "train-00001.rinr").unlink()
    (out / "train-00001.rinr").mkdir()
    first, second = errors(run, out)
    assert first.startswith(f"{out}/train-00000.rinr: it ")
    assert second == f"{out}/train-00001.rinr: is a folder, not a file"


def test_packs_that_no_run_lists_are_checked_too(run: Run, out: Path, packs: list[bytes]) -> None:
    (out / "alone.rinr").write_bytes(packs[0])
    assert run("verify", out).stdout.startswith("9 files are sound\n")
    write(out / "more/text.rinr", "text")
    (line,) = errors(run, out)
    assert line.startswith(f"{out}/more/text.rinr: it is not a .rinr file")


def test_a_manifest_with_too_many_frames(run: Run, out: Path, edit: Edit) -> None:
    edit(lambda first: first["shards"][1].update(frames=3))
    (line,) = errors(run, out)
    assert line.startswith(
        f"{out}/train-00001.rinr: it has 1 frames, and {out}/manifest.json says 3; "
    )


def without(shards: slice, state: str) -> Callable[[dict[str, Any]], None]:
    """Return an edit that marks these shards of a complete run as not done."""

    def change(run: dict[str, Any]) -> None:
        run["complete"] = False
        for shard in run["shards"][shards]:
            shard.update(state=state, frames=0, files={})

    return change


def test_an_unfinished_run(run: Run, out: Path, edit: Edit) -> None:
    edit(without(slice(2, None), "waiting"))
    (line,) = errors(run, out)
    assert line == (
        f"{out}: a run is not finished, 2 of 6 shards are done; "
        "the same compress command with --resume continues"
    )
    report = json.loads(run("verify", out, "--json", "-", code=1).stdout)
    assert [one["complete"] for one in report["runs"]] == [False, True]
    assert list(report["bad"].values()) == [line]
    text = run("info", out).stdout
    assert f"{out}: 2 runs, not complete\n  8 shards, 4 frames, " in text
    assert ", 4 not done\n" in text
    assert "--resume continues" in text


def test_a_run_that_has_just_begun(run: Run, out: Path, edit: Edit) -> None:
    edit(without(slice(None), "waiting"))
    for file in out.rglob("*.rinr"):
        file.unlink()
    lines = errors(run, out)
    assert "0 of 6 shards are done" in lines[0]
    assert "no .rinr file" not in "".join(lines)
    assert "2 files of these missing" in run("info", out).stdout


def test_failed_shards(run: Run, out: Path, edit: Edit) -> None:
    edit(without(slice(1, 3), "failed"))
    (line,) = errors(run, out)
    assert line == (
        f"{out}: shard 1 of train (1.png to 1.png) and 1 more failed; "
        "the same compress command with --resume tries again"
    )
    assert ", 2 failed" in run("info", out).stdout


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "app"}', "[" * 100_000])
def test_a_manifest_that_is_damaged_or_of_another_program(
    run: Run, out: Path, text: str, packs: list[bytes]
) -> None:
    (out / "manifest.json").write_text(text)
    (out / "train-00001.rinr").write_bytes(packs[1][:-5])
    first, second = errors(run, out)
    assert first.startswith(f"{out}/manifest.json: not a manifest of this rinrcodec (")
    assert second.startswith(f"{out}/train-00001.rinr: it is truncated")
    result = run("info", out, code=1)
    assert result.stderr.count("\n") == 2
    assert "train-00000.rinr\n  1 frame, " in result.stdout


@pytest.mark.parametrize("name", ["../secret.rinr", "/etc/passwd", "a/../../secret.rinr"])
def test_names_in_a_manifest_cannot_leave_its_folder(
    run: Run, out: Path, edit: Edit, opens: Any, name: str
) -> None:
    (out.parent / "secret.rinr").write_bytes(b"secret")
    edit(lambda first: first["files"].update({name: {"bytes": 6, "sha256": "0" * 64}}))
    with opens(Path("/")) as opened:
        (line,) = errors(run, out)
    assert "is no name of a file in its folder" in line
    assert not [path for path in opened if path.endswith(("secret.rinr", "passwd"))]


def test_names_cannot_write_to_the_terminal(run: Run, out: Path, edit: Edit) -> None:
    record = {"bytes": 6, "sha256": "0" * 64}

    def write_bells(first: dict[str, Any]) -> None:
        first["files"]["\x1b[2J\n.txt"] = record
        first["settings"] = {"version": "\x1b[2J", "preset": "\n" * 9, "seed": {"a": "\x07"}}
        first["settings"]["target"] = {"quality": "\x1b[2J", "x": {"y": [1]}, "psnr": 30.0}
        first["shards"][0]["series"] = "\x1b]0;title\x07"

    edit(write_bells)
    for command, code in (("verify", 1), ("info", 0)):
        result = run(command, out, code=code)
        assert not set("\x1b\x07") & set(result.output)
        assert result.output.count("\n") < 12


def test_sources_that_overlap_are_read_once(run: Run, out: Path, opens: Any) -> None:
    with opens(out) as opened:
        text = run("verify", out / "val", out, out / "val/val-00000.rinr").stdout
    assert text.startswith("8 files are sound\n")
    assert opened.count("val/val-00000.rinr") == 1
    (out / "val/val-00000.rinr").write_bytes(VECTOR.read_bytes())
    run("verify", out / "val")  # there is no manifest
    for sources in ((out / "val", out), (out, out / "val")):
        (line,) = errors(run, *sources)
        assert line.startswith(f"{out}/val/val-00000.rinr: it has ")


def test_messages_keep_their_order(run: Run, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in out.rglob("*.rinr"):
        file.write_bytes(b"x")
    turn = threading.Semaphore(0)
    verify = check_module._check

    def last_first(file: ListedFile, *rest: Any) -> check_module.Checked:
        # The first file is done when all others are.
        if file.path.name == "train-00000.rinr":
            for _ in range(7):
                assert turn.acquire(timeout=60)
            return verify(file, *rest)
        try:
            return verify(file, *rest)
        finally:
            turn.release()

    monkeypatch.setattr(check_module, "_check", last_first)
    lines = errors(run, out, "--jobs", 2)
    assert [line.partition(": ")[0] for line in lines] == sorted(map(str, out.rglob("*.rinr")))


def test_ctrl_c_ends_verify_soon(
    run: Run, tmp_path: Path, packs: list[bytes], put_run: PutRun, opens: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    put_run(tmp_path, packs * 50, n_frames=1)
    main = threading.main_thread().ident or 0
    lock, count = threading.Lock(), iter(range(10_000))
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        with lock:
            number = next(count)
        # Until the main thread has heard of it, which it has not just before it begins to wait.
        while number == 10 and not interrupted.wait(0.5):
            signal.pthread_kill(main, signal.SIGINT)
        if number >= 10:
            assert interrupted.wait(60)

    class Event(threading.Event):
        def set(self) -> None:
            super().set()
            interrupted.set()

    # Not in the module of that name: threads have events, too.
    monkeypatch.setattr(check_module, "threading", SimpleNamespace(Event=Event))
    monkeypatch.setattr(PackReader, "verify", interrupt)
    with opens(tmp_path) as opened:
        result = run("verify", tmp_path, "--jobs", 3, code=130)
    assert result.stderr.strip() == "interrupted"
    assert len(opened) < 20


def test_few_files_are_open_at_a_time(
    run: Run, tmp_path: Path, packs: list[bytes], put_run: PutRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_run(tmp_path, packs * 10, n_frames=1)
    lock, now, most = threading.Lock(), 0, 0
    check = check_module._check

    def count(file: ListedFile, *rest: Any) -> check_module.Checked:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        checked = check(file, *rest)
        with lock:
            now -= 1
        return checked

    monkeypatch.setattr(check_module, "_check", count)
    run("verify", tmp_path, "--jobs", 3)
    assert 1 <= most <= 3


# Behind URLs


def test_a_data_set_behind_a_url(run: Run, out: Path, remote: str, upload: Any) -> None:
    url = f"{remote}/a b#1"
    upload(out, url)
    assert "2 runs, all 8 files as written" in run("verify", url).stdout
    write_whole(to_path(url) / "train-00001.rinr", (out / "train-00002.rinr").read_bytes())
    write_whole(to_path(url) / "train-00002.rinr", (out / "train-00002.rinr").read_bytes()[:-1])
    (to_path(url) / "val/val-00000.rinr").unlink()
    first, second, third = errors(run, url)
    assert first.startswith(f"{url}/train-00001.rinr: it has the ")
    assert second.startswith(f"{url}/train-00002.rinr: it is truncated")
    assert third.startswith(f"{url}/val/val-00000.rinr: it is missing, and {url}/manifest.json ")
    assert "2 files of these missing" in run("info", url).stdout


def test_a_store_is_asked_for_each_pack_once(
    run: Run, out: Path, s3: str, upload: Any, s3_requests: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    upload(out, s3)
    s3_requests.clear()
    run("verify", s3)
    assert s3_requests[-8:] == ["get_object"] * 8
    # Where things are, three listings, and the manifest, of however many packs.
    assert len(s3_requests) == 8 + 11
    assert s3_requests.count("get_object") == 8 + 1
    # Large ones come in parts, and are on the disk meanwhile.
    monkeypatch.setattr(remote_module, "_REQUEST", 1000)
    s3_requests.clear()
    run("verify", s3)
    sizes = [file.stat().st_size for file in out.rglob("*.rinr")]
    assert s3_requests.count("get_object") == sum(-(-size // 1000) for size in sizes) + 1


def test_packs_of_a_store_without_a_manifest(
    run: Run, out: Path, remote: str, upload: Any, packs: list[bytes]
) -> None:
    (out / "manifest.json").unlink()
    upload(out, remote)
    assert run("verify", remote).stdout == "8 files are sound\n"
    assert run("verify", f"{remote}/val/val-00000.rinr").stdout == "1 file is sound\n"
    write_whole(to_path(remote) / "a.rinr", b"")
    write_whole(to_path(remote) / "b.rinr", packs[0][:400])
    first, second = errors(run, remote)
    assert first.startswith(f"{remote}/a.rinr: it ")
    assert second.startswith(f"{remote}/b.rinr: it ")


# info


def test_hidden_files_of_a_manifest_are_verified(
    run: Run, tmp_path: Path, packs: list[bytes], put_run: PutRun
) -> None:
    put_run(tmp_path / ".out", packs, n_frames=1, series=".hidden")
    put_run(tmp_path / ".out", packs[:1], n_frames=1, series="seen")
    assert "7 files are sound" in run("verify", tmp_path / ".out").stdout
    assert "missing" not in run("info", tmp_path / ".out").stdout
    (tmp_path / ".out/.hidden-00001.rinr").unlink()
    (line,) = errors(run, tmp_path / ".out")
    assert "it is missing" in line


@pytest.mark.parametrize("n", [5, 200])
def test_info_opens_no_pack(
    run: Run, tmp_path: Path, packs: list[bytes], put_run: PutRun, opens: Any, n: int
) -> None:
    put_run(tmp_path, [packs[0]] * n, n_frames=1)
    (tmp_path / "alone.rinr").write_bytes(packs[1])
    (tmp_path / "train-00000.rinr").write_bytes(packs[1] + b"x")
    with opens(tmp_path) as opened:
        text = run("info", tmp_path).stdout
    assert opened == ["manifest.json"]
    assert text.startswith(f"{tmp_path}: 1 run, complete\n  {n} shards, {n} frames, ")
    assert "1 file of these missing or of another size; rinrcodec verify lists them" in text
    *_, unlisted, unchecked = text.splitlines()
    assert unlisted == "  and 1 pack that no run lists"
    assert unchecked == f"  not checked for damage: rinrcodec verify {tmp_path}"
    (item,) = json.loads(run("info", tmp_path, "--json").stdout)
    assert item["folder"] == str(tmp_path)
    assert (item["complete"], item["shards"], item["frames"]) == (True, n, n)
    assert (item["absent"], item["unlisted"]) == (1, 1)
    items = json.loads(run("info", tmp_path, "--files", "--json", code=1).stdout)
    assert len(items) == n


def test_info_of_what_compress_wrote(run: Run, dataset: Path, tmp_path: Path) -> None:
    run("compress", dataset, "-o", tmp_path / "out", "--quiet", *QUICK)
    run("compress", dataset, "-o", tmp_path / "files", "--layout", "files", "--quiet", *QUICK)
    manifest = Manifest(tmp_path / "out/manifest.json")
    (key,) = manifest.runs
    for source in ("out", "out/data.yaml"):
        text = run("info", tmp_path / source).stdout
        assert text.startswith(f"{tmp_path}/out: 1 run, complete\n  2 shards, 3 frames, ")
        assert f"  run {key[:8]} of rinrcodec " in text
        assert "preset fast, background av1, steps 8, seed 0, layout pack\n" in text
        assert "    train: 1 shard, 2 frames, " in text
        assert "no run" not in text
        assert "missing" not in text
    assert "    train: 1 shard, 2 frames, " in run("info", tmp_path / "out", "--frames").stdout
    assert "layout files\n    train: 1 shard, 2 frames, " in run("info", tmp_path / "files").stdout


def test_manifests_below_a_folder_count(
    run: Run, tmp_path: Path, packs: list[bytes], put_run: PutRun
) -> None:
    sets = tmp_path / "sets"
    for name in ("a", "b/inner"):
        put_run(sets / name, packs[:2], n_frames=1)
    (sets / "alone.rinr").write_bytes(packs[2])
    (sets / "a/extra.rinr").write_bytes(packs[3])
    text = run("verify", sets).stdout
    assert text.startswith("6 files are sound\n")
    assert text.count("1 run, all 2 files as written") == 2
    text = run("info", sets).stdout
    assert f"{sets}/a: 1 run, complete\n" in text
    assert f"{sets}/b/inner: 1 run, complete\n" in text
    assert text.count("  and 1 pack that no run lists\n") == 1
    assert f"{sets}/alone.rinr\n  1 frame, " in text
    assert "extra.rinr" not in text
    (sets / "a/train-00001.rinr").unlink()
    (line,) = errors(run, sets)
    assert line.startswith(f"{sets}/a/train-00001.rinr: it is missing, and {sets}/a/manifest.json")
    assert "1 file of these missing" in run("info", sets).stdout
    (sets / "b/inner/manifest.json").write_text("{")
    assert len(errors(run, sets)) == 2
    assert "b/inner/manifest.json: not a manifest" in run("info", sets, code=1).stderr
