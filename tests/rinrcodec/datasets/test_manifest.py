"""The manifest: what is written is read, and what could do harm is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rinrcodec.datasets.manifest import FileRecord, Manifest, RunEntry, ShardEntry, read_record
from rinrcodec.errors import RinrFormatError, RinrLimitError

PutRun = Callable[..., Path]
SHA = "0" * 64
ONE, TWO, THREE = "1" * 24, "2" * 24, "3" * 24


def shard(number: int, names: list[str], frames: int, *, series: str = "train") -> ShardEntry:
    entry = ShardEntry(series, number, 0, frames, "a.png", "b.png", "stamps")
    entry.state, entry.frames = "done", frames
    entry.files = {name: FileRecord(10, SHA) for name in names}
    return entry


def written(path: Path, *runs: RunEntry) -> Path:
    manifest = Manifest(path)
    for run in runs:
        manifest.put(run)
    path.write_bytes(manifest.data())
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    names = ["s/b.rinr", "s/c\\d.rinr", "ü.rinr", "\udcff.rinr"]
    first = RunEntry(ONE, {"seed": 0, "steps": None}, [shard(0, ["a.rinr"], 7), shard(1, names, 4)])
    first.complete, first.files = True, {"data.yaml": FileRecord(0, SHA)}
    waiting = ShardEntry("val", 0, 0, 9, "a", "b", "")
    return written(tmp_path / "manifest.json", first, RunEntry(TWO, {}, [waiting]))


def test_a_written_manifest_is_read_back(path: Path) -> None:
    manifest = Manifest(path)
    assert list(manifest.runs) == [ONE, TWO]
    assert manifest.data() == path.read_bytes()
    one, two = manifest.runs.values()
    assert (one.complete, two.complete) == (True, False)
    assert [entry.frames_of_a_file for entry in one.shards] == [7, 1]
    assert list(one.all_files()) == [
        "a.rinr", "s/b.rinr", "s/c\\d.rinr", "ü.rinr", "\udcff.rinr", "data.yaml",
    ]  # fmt: skip
    assert Manifest(path.with_name("none.json")).runs == {}


def test_a_run_that_replaces_files_takes_the_place_of_others(path: Path) -> None:
    manifest = Manifest(path)
    manifest.put(RunEntry(THREE, {}, [shard(0, ["ü.rinr"], 1)], complete=True))
    assert list(manifest.runs) == [TWO, THREE]
    manifest.forget_unfinished()
    assert list(manifest.runs) == [THREE]


def test_a_record_covers_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    sha256 = "e55b8bdf621ddaa8f462c74745db9680d3bb7536a9cf854f8d6668b34a287890"
    with (tmp_path / "a").open("rb") as file:
        assert read_record(file) == FileRecord(3_000_000, sha256)


TEXTS = {
    "empty": "",
    "half": '{"kind": "rinrcodec manifest", "version": 1, "runs": [',
    "no Unicode": b"\xff\xfe{}",
    "an array": "[]",
    "a number": "1",
    "null": "null",
    "another program": '{"name": "app", "icons": []}',
    "another kind": '{"kind": "webpack manifest", "version": 1, "runs": []}',
    "a later version": '{"kind": "rinrcodec manifest", "version": 2, "runs": []}',
    "deep": "[" * 200_000,
    "a huge number": '{"kind": "rinrcodec manifest", "version": ' + "9" * 10_000 + "}",
    "more": '{"kind": "rinrcodec manifest", "version": 1, "runs": [], "more": 1}',
    "true": '{"kind": "rinrcodec manifest", "version": true, "runs": []}',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_other_files_are_refused_as_manifest(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RinrFormatError) as raised:
        Manifest(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: not a manifest of this rinrcodec (")
    is_ours = not text or "rinrcodec manifest" in str(text)
    advice = "compress with `resume=True` makes another and fits what it does not find"
    other = "if it is another program's file, take another folder, else remove it"
    assert message.endswith(advice if is_ours else other)
    damage: list[str] = []
    if is_ours:
        assert Manifest(path, on_damage=damage.append).runs == {}
    else:
        with pytest.raises(RinrFormatError):
            Manifest(path, on_damage=damage.append)
    assert len(damage) == is_ours
    assert len(message) < 600
    assert message.isprintable()


NAMES = [
    "../x.rinr", "a/../../x.rinr", "/etc/passwd", "..", ".", "", "a//b.rinr", "./a.rinr", "a/",
    "a\0.rinr", "//server/x.rinr",
]  # fmt: skip


@pytest.mark.parametrize("owner", ["shard", "run"])
@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_elsewhere_are_refused(path: Path, name: str, owner: str) -> None:
    data = json.loads(path.read_text())
    run = data["runs"][0]
    files = run["files"] if owner == "run" else run["shards"][0]["files"]
    files[name] = files.pop(next(iter(files)))
    del data["sha256"]
    path.write_text(json.dumps(data))
    with pytest.raises(RinrFormatError, match="is no name of a file in its folder"):
        Manifest(path)


# A place in the JSON, and a value that is refused there.
WRONG: list[tuple[tuple[Any, ...], list[Any]]] = [
    (("runs",), [None, {}, [1], [[]], "x"]),
    (("runs", 0, "key"), [None, 1, "../x", "/", "1" * 23, "G" * 24]),
    (("runs", 0, "settings"), [None, []]),
    (("runs", 0, "complete"), [None, 0, "yes"]),
    (("runs", 0, "shards"), [None, {}, [1], [None]]),
    (("runs", 0, "files"), [None, [], {"a": 1}, {"a": {}}]),
    (("runs", 1, "key"), [ONE]),
    (("runs", 0, "shards", 0, "frames"), [None, 0, -1, 1.5, True, "7", 2**63, 1e999]),
    (("runs", 0, "shards", 1, "frames"), [3, 5, 0]),
    (("runs", 0, "shards", 0, "unlabelled"), [-1, 1.0, True, "0", []]),
    (("runs", 0, "shards", 0, "state"), [None, "lost", 1]),
    (("runs", 0, "shards", 0, "series"), [None, 3]),
    (("runs", 0, "shards", 0, "files"), [None, [], {"a": None}]),
    (("runs", 0, "shards", 0, "files", "a.rinr", "bytes"), [None, -1, 1.0, True, "10", 2**80]),
    (("runs", 0, "shards", 0, "files", "a.rinr", "sha256"), [None, "", "0" * 63, "G" * 64, 7]),
    (("runs", 0, "shards", 0, "files", "a.rinr", "more"), [1]),
    (("runs", 0, "files", "a.rinr"), [{"bytes": 10, "sha256": SHA}]),
    (("runs", 0, "shards", 1, "files", "a.rinr"), [{"bytes": 10, "sha256": SHA}]),
    (("runs", 1, "files", "a.rinr"), [{"bytes": 10, "sha256": SHA}]),
]


@pytest.mark.parametrize(
    ("keys", "value"),
    [(keys, value) for keys, values in WRONG for value in values],
    ids=lambda x: ".".join(map(str, x)) if isinstance(x, tuple) else repr(x)[:20],
)
def test_wrong_types_and_numbers_are_refused(path: Path, keys: tuple[Any, ...], value: Any) -> None:
    data = json.loads(path.read_text())
    broken = copy.deepcopy(data)
    item = broken
    for step in keys[:-1]:
        item = item[step]
    item[keys[-1]] = value
    del broken["sha256"]
    path.write_text(json.dumps(broken))
    with pytest.raises(RinrFormatError, match="not a manifest of this rinrcodec"):
        Manifest(path)


@pytest.mark.parametrize("key", ["key", "settings", "shards", "complete", "files"])
def test_a_key_that_is_missing_is_refused(path: Path, key: str) -> None:
    data = json.loads(path.read_text())
    del data["runs"][0][key], data["sha256"]
    path.write_text(json.dumps(data))
    with pytest.raises(RinrFormatError, match="expected the keys key, settings, shards, "):
        Manifest(path)


def test_a_manifest_that_is_too_large_is_not_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rinrcodec.datasets.manifest._MOST_BYTES", 100)
    with pytest.raises(RinrLimitError, match="at most 100 are read"):
        Manifest(path)


def test_a_run_is_complete_where_all_its_shards_are_done(
    tmp_path: Path, put_run: Callable[..., Path]
) -> None:
    path = put_run(tmp_path, [b"a", b"b"], n_frames=1)
    (run,) = Manifest(path).runs.values()
    assert run.complete
    data = json.loads(path.read_text())
    del data["sha256"]
    data["runs"][0]["shards"][1]["state"] = "waiting"
    path.write_text(json.dumps(data))
    (run,) = Manifest(path).runs.values()
    assert not run.complete


def test_any_changed_byte_breaks_the_seal(path: Path) -> None:
    whole = path.read_text()
    assert Manifest(path).is_sealed
    for change in (
        whole.replace('"frames": 7', '"frames": 1'),
        whole.replace(SHA, "1" * 64, 1),
        whole.replace('"seed": 0', '"seed": 1'),
        whole.replace('"complete": true', '"complete":true', 1),
        json.dumps(json.loads(whole)),
    ):
        assert change != whole
        path.write_text(change)
        with pytest.raises(RinrFormatError, match="does not have the SHA-256 at its end"):
            Manifest(path)
    path.write_text(whole[: whole.rindex(",")] + "}")
    assert not Manifest(path).is_sealed
