"""`--resume` gives the bytes of a new run and fits no more than it must: after changes of pictures
and labels, interruptions, kills, and damage to packs, manifest and work folder.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import rinrcodec
from rinrcodec import CompressInterrupted, RinrFormatError, RinrUsageError
from rinrcodec.datasets import batches, fitter
from rinrcodec.datasets.manifest import Manifest

from .conftest import contents, picture, put, video, write

SIZE = 3
FIT: dict[str, Any] = {
    "preset": "fast",
    "background": "siren",
    "steps": 1,
    "device": "cpu",
    "shard_size": SIZE,
}
ORIGINAL = fitter.Fitter._fit
LABELS = ("", "0 0.5 0.5 0.5 0.5\n", "1 0.5 0.5 0.5 0.5\n")


class KilledError(OSError):
    """Nothing is written or removed any more, as after `kill -9`."""


def killed_after(moment: int, patch: pytest.MonkeyPatch) -> None:
    """Have every call fail that changes files, from the one of this number on."""
    calls = itertools.count(1)

    def dying(original: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            if next(calls) >= moment:
                raise KilledError(errno.EIO, "killed")
            return original(*args, **options)

        return call

    for owner, name in (
        *((Path, name) for name in ("replace", "unlink", "mkdir", "rmdir")),
        (shutil, "rmtree"),
    ):
        patch.setattr(owner, name, dying(getattr(owner, name)))


def damage(path: Path, place: int) -> None:
    """Flip a bit, or cut the file where `place` is negative."""
    data = bytearray(path.read_bytes())
    if place < 0:
        path.write_bytes(data[: len(data) // 2])
    elif data:
        data[place % len(data)] ^= 1
        path.write_bytes(data)


class Updated(RuleBasedStateMachine):
    """A folder whose files change in any way, and an output that is resumed, killed and damaged."""

    @initialize(layout=st.sampled_from(["pack", "files"]))
    def begin(self, layout: str) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(batches, "BATCH_FRAMES", 2)
        self.source, self.out = self.root / "images", self.root / "out"
        self.options = {**FIT, "layout": layout}
        self.clock = itertools.count(1_000_000_000)
        self.seeds = itertools.count()
        self.new_names = itertools.count()
        self.is_stale = False
        for name in ("a0.png", "a1.png", *(f"b{i}.png" for i in range(0, 12, 3))):
            self.draw(name)
        rinrcodec.compress(self.source, self.out, **self.options)

    def stamp(self, path: Path) -> None:
        time = next(self.clock)
        os.utime(path, (time, time))
        self.is_stale = True

    def draw(self, name: str) -> None:
        self.stamp(put(self.source / name, picture(next(self.seeds), 8, 8)))

    def name(self, number: int) -> str:
        # The second one always stays as the sign that it is the same data set.
        names = sorted(path.name for path in self.source.glob("*.png") if path.name != "a1.png")
        return names[number % len(names)]

    @rule(number=st.integers(0, 20))
    def touch(self, number: int) -> None:
        self.stamp(self.source / self.name(number))

    @rule(number=st.integers(0, 20))
    def change(self, number: int) -> None:
        self.draw(self.name(number))

    @rule()
    def spoil(self) -> None:
        self.stamp(write(self.source / "a0.png", "no picture"))

    @rule()
    def fix(self) -> None:
        self.draw("a0.png")

    @rule(number=st.integers(0, 12), suffix=st.sampled_from(["png", "bmp"]))
    def add(self, number: int, suffix: str) -> None:
        self.draw(f"b{number}.{suffix}")

    @precondition(lambda self: len(list(self.source.iterdir())) > SIZE + 1)
    @rule(number=st.integers(0, 20))
    def remove(self, number: int) -> None:
        (self.source / self.name(number)).unlink()
        self.is_stale = True

    @rule(number=st.integers(0, 20), text=st.sampled_from(LABELS))
    def label(self, number: int, text: str) -> None:
        name = Path(self.name(number)).with_suffix(".txt").name
        self.stamp(write(self.root / "labels" / name, text))

    @rule(number=st.integers(0, 20))
    def lose_label(self, number: int) -> None:
        name = Path(self.name(number)).with_suffix(".txt").name
        (self.root / "labels" / name).unlink(missing_ok=True)
        self.is_stale = True

    @precondition(lambda self: self.is_stale)
    @rule(batches=st.integers(0, 3))
    def interrupt(self, batches: int) -> None:
        """Ctrl-C after so many batches."""
        left = itertools.count(batches, -1)

        def fit(*args: Any) -> Any:
            if next(left) <= 0:
                raise KeyboardInterrupt
            return ORIGINAL(*args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fitter.Fitter, "_fit", fit)
            try:
                rinrcodec.compress(self.source, self.out, resume=True, **self.options)
            except CompressInterrupted:
                return
        self.is_stale = False

    @precondition(lambda self: self.is_stale)
    @rule(moment=st.integers(1, 60))
    def kill(self, moment: int) -> None:
        """End a run before that change of a file; it may be complete by then."""
        with pytest.MonkeyPatch.context() as patch:
            killed_after(moment, patch)
            try:
                rinrcodec.compress(self.source, self.out, resume=True, **self.options)
            except (OSError, rinrcodec.RinrInputError):
                return
        self.is_stale = False

    @rule(number=st.integers(0, 20), place=st.integers(-1, 5_000))
    def damage_a_pack(self, number: int, place: int) -> None:
        packs = sorted(self.out.glob("*.rinr"))
        if packs:
            damage(packs[number % len(packs)], place)
            self.is_stale = True
            assert not rinrcodec.verify(self.out).ok

    @precondition(lambda self: not self.is_stale)
    @rule(place=st.integers(-1, 5_000))
    def damage_the_manifest(self, place: int) -> None:
        """After its first bytes, which say that it is one."""
        damage(self.out / "manifest.json", place + 64 if place >= 0 else place)
        self.is_stale = True
        self.resume()

    @rule(number=st.integers(0, 20), place=st.integers(-1, 5_000))
    def damage_the_work(self, number: int, place: int) -> None:
        files = [path for path in self.out.glob(".rinr-work/*/**/*") if path.is_file()]
        if files:
            damage(sorted(files)[number % len(files)], place)

    @precondition(lambda self: self.is_stale)
    @rule()
    def resume(self) -> None:
        fresh = Path(tempfile.mkdtemp(dir=self.root))
        expected = rinrcodec.compress(self.source, fresh, **self.options)
        for _ in range(2):
            result = rinrcodec.compress(self.source, self.out, resume=True, **self.options)
            assert contents(self.out) == contents(fresh)
            assert sorted(result.failures) == sorted(expected.failures)
            warnings = [text for text in result.warnings if "is fitted again" not in text]
            assert sorted(warnings) == sorted(expected.warnings)
        assert result.nothing_to_do
        assert rinrcodec.verify(self.out).ok
        shutil.rmtree(fresh)
        self.is_stale = False

    def teardown(self) -> None:
        if hasattr(self, "root"):
            if self.is_stale:
                self.resume()
            shutil.rmtree(self.root)
            self.patch.undo()


TestUpdated = pytest.mark.slow(Updated.TestCase)
TestUpdated.settings = settings(
    max_examples=12, stateful_step_count=16, deadline=None, derandomize=True
)


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The shard and first picture of every batch that is fitted from now on."""
    batches: list[tuple[int, int]] = []

    def fit(self: Any, shard: Any, start: int, *args: Any) -> Any:
        batches.append((shard.number, start))
        return ORIGINAL(self, shard, start, *args)

    monkeypatch.setattr(fitter.Fitter, "_fit", fit)
    return batches


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pictures that are read from now on."""
    from rinrcodec.sources import source

    names: list[str] = []
    original = source.read_image

    def read_image(ref: Any, **options: Any) -> Any:
        names.append(ref.name)
        return original(ref, **options)

    monkeypatch.setattr(source, "read_image", read_image)
    return names


TWO = {**FIT, "shard_size": 2}


def test_touched_pictures_are_read_once_and_not_fitted(
    folder: Path, tmp_path: Path, fitted: list[Any], read: list[str]
) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(folder, out, labels="none", **TWO)
    packs = {path: path.stat().st_mtime_ns for path in out.glob("*.rinr")}
    fitted.clear()
    os.utime(folder / "2.png", (1, 1))
    read.clear()
    said: list[str] = []
    result = rinrcodec.compress(
        folder, out, labels="none", resume=True, on_message=said.append, **TWO
    )
    assert (result.nothing_to_do, result.kept_shards, result.changed_shards) == (True, 3, 0)
    assert said == ["reading the pictures of 1 pack again, to see whether they changed"]
    assert sorted(read) == ["2.png", "3.png"]
    read.clear()
    assert rinrcodec.compress(folder, out, labels="none", resume=True, **TWO).nothing_to_do
    assert (fitted, read) == ([], [])
    assert packs == {path: path.stat().st_mtime_ns for path in out.glob("*.rinr")}


def test_failures_are_tried_again_and_listed_until_they_are_fixed(
    folder: Path, tmp_path: Path, fitted: list[Any]
) -> None:
    out = tmp_path / "out"
    write(folder / "3.png", "no picture")
    for _ in range(3):
        result = rinrcodec.compress(folder, out, labels="none", resume=True, **TWO)
        assert len(result.failures) == 1
        assert "3.png: not a picture" in result.failures[0]
        assert result.can_resume
    put(folder / "3.png", picture(3))
    fitted.clear()
    result = rinrcodec.compress(folder, out, labels="none", resume=True, jobs=1, **TWO)
    assert (result.failures, result.changed_shards, result.kept_shards) == ((), 1, 2)
    assert fitted == [(1, 0)]
    rinrcodec.compress(folder, tmp_path / "fresh", labels="none", **TWO)
    assert contents(out) == contents(tmp_path / "fresh")


def test_a_picture_that_a_new_reader_can_read_is_fitted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rinrcodec.errors import RinrInputError
    from rinrcodec.sources import readings

    original = readings.decode_picture

    def decode(data: bytes, path: Path, **options: Any) -> Any:
        if path.name == "1.png":
            raise RinrInputError(f"{path}: no reader")
        return original(data, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(readings, "decode_picture", decode)
        assert rinrcodec.compress(folder, tmp_path / "out", **TWO).failures
    result = rinrcodec.compress(folder, tmp_path / "out", resume=True, **TWO)
    assert (result.failures, result.changed_shards) == ((), 1)


def test_a_pack_stays_where_no_picture_of_it_can_be_read_now(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(folder, out, labels="none", **TWO)
    before = contents(out)
    for name in ("2.png", "3.png"):
        write(folder / name, "no picture")
    for _ in range(2):
        result = rinrcodec.compress(folder, out, labels="none", resume=True, **TWO)
        assert len(result.failures) == 2
        assert [text for text in result.warnings if "the old pack is kept" in text]
        packs = {name: data for name, data in contents(out).items() if name.endswith(".rinr")}
        assert packs == {name: data for name, data in before.items() if name.endswith(".rinr")}


def test_a_split_that_is_not_there_keeps_its_packs(dataset: Path, tmp_path: Path) -> None:
    out, val = tmp_path / "out", dataset.parent / "images/val"
    rinrcodec.compress(dataset, out, **FIT)
    whole = contents(out)
    val.rename(tmp_path / "unmounted")
    result = rinrcodec.compress(dataset, out, resume=True, **FIT)
    assert len(result.failures) == 1
    assert {name: data for name, data in contents(out).items() if name in whole} == whole
    (tmp_path / "unmounted").rename(val)
    assert rinrcodec.compress(dataset, out, resume=True, **FIT).failures == ()
    assert contents(out) == whole
    dataset.write_text(dataset.read_text().replace("val: images/val\n", ""), encoding="utf-8")
    assert rinrcodec.compress(dataset, out, resume=True, **FIT).removed_files == 1
    rinrcodec.compress(dataset, tmp_path / "fresh", **FIT)
    # The manifest keeps the name of the run, which had another split.
    fresh = {**contents(tmp_path / "fresh"), "manifest.json": contents(out)["manifest.json"]}
    assert contents(out) == fresh
    assert rinrcodec.verify(out).ok


def test_a_label_of_a_split(dataset: Path, tmp_path: Path, fitted: list[Any]) -> None:
    out = tmp_path / "out"
    one = {**FIT, "shard_size": 1}
    rinrcodec.compress(dataset, out, **one)
    write(dataset.parent / "labels/train/b.txt", "1 0.5 0.5 0.25 0.25\n")
    fitted.clear()
    result = rinrcodec.compress(dataset, out, resume=True, **one)
    assert (result.changed_shards, result.kept_shards, result.total.boxes) == (1, 2, 1)
    assert fitted == [(1, 0)]
    rinrcodec.compress(dataset, tmp_path / "fresh", **one)
    assert contents(out) == contents(tmp_path / "fresh")


@pytest.mark.slow
def test_a_video(tmp_path: Path, fitted: list[Any]) -> None:
    clip, out = video(tmp_path / "clip.avi", 5), tmp_path / "out"
    label = write(tmp_path / "labels/clip/000004.txt", "0 0.5 0.5 0.5 0.5\n")
    rinrcodec.compress(clip, out, **TWO)
    fitted.clear()
    os.utime(clip, (1, 1))
    os.utime(label, (1, 1))
    assert rinrcodec.compress(clip, out, resume=True, **TWO).nothing_to_do
    write(label, "1 0.5 0.5 0.5 0.5\n")
    os.utime(label, (2, 2))
    assert rinrcodec.compress(clip, out, resume=True, **TWO).kept_shards == 2
    assert fitted == [(1, 0)]
    video(clip, 7)
    result = rinrcodec.compress(clip, out, resume=True, **TWO)
    rinrcodec.compress(clip, tmp_path / "fresh", **TWO)
    assert contents(out) == contents(tmp_path / "fresh")
    assert result.shards == 4


def test_of_an_unfinished_pack_batches_before_the_change_are_used(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fitted: list[Any]
) -> None:
    monkeypatch.setattr(batches, "BATCH_FRAMES", 1)
    out, one_pack = tmp_path / "out.rinr", {**FIT, "shard_size": 9}

    def stop(*_: object) -> object:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rinrcodec.datasets.work_folder.Work.complete", stop)
        with pytest.raises(CompressInterrupted, match="--resume continues"):
            rinrcodec.compress(folder, out, **one_pack)
    assert len(fitted) == 5
    put(folder / "3.png", picture(99))
    os.utime(folder / "0.png", (1, 1))
    fitted.clear()
    rinrcodec.compress(folder, out, resume=True, **one_pack)
    assert fitted == [(0, 3), (0, 4)]
    rinrcodec.compress(folder, tmp_path / "fresh.rinr", **one_pack)
    assert out.read_bytes() == (tmp_path / "fresh.rinr").read_bytes()


@pytest.mark.parametrize("layout", ["pack", "files"])
@pytest.mark.slow
def test_an_update_may_end_at_any_moment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Any
) -> None:
    options = {**TWO, "layout": layout, "labels": "none"}
    rinrcodec.compress(folder, tmp_path / "old", **options)
    old = contents(tmp_path / "old")
    put(folder / "1.png", picture(99))
    (folder / "more/4.jpg").unlink()
    rinrcodec.compress(folder, tmp_path / "new", **options)
    new = contents(tmp_path / "new")
    original = Path.replace
    for moment in range(1, 99):
        out = shutil.copytree(tmp_path / "old", tmp_path / f"out{moment}")
        renames = itertools.count(1)

        def replace(self: Path, to: Path, moment: int = moment, renames: Any = renames) -> Path:
            if next(renames) == moment:
                raise KeyboardInterrupt
            return original(self, to)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", replace)
            try:
                rinrcodec.compress(folder, out, resume=True, **options)
                break
            except CompressInterrupted:
                pass
        left = {k: v for k, v in contents(out).items() if k.endswith(".rinr") and "work" not in k}
        assert all(data in (old.get(name), new.get(name)) for name, data in left.items())
        assert left.keys() >= {name for name in new if name.endswith(".rinr")}
        rinrcodec.compress(folder, out, resume=True, **options)
        assert contents(out) == new
    assert moment > 5
    assert contents(out) == new


def test_a_manifest_of_earlier_code(folder: Path, tmp_path: Path, fitted: list[Any]) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(folder, out, **TWO)
    whole = contents(out)
    manifest = json.loads(whole["manifest.json"])
    del manifest["sha256"]
    (run,) = manifest["runs"]
    run["key"] = "0123456789abcdef01234567"
    del run["replaced"]
    for shard in run["shards"]:
        del shard["warned"], shard["missed"]
        shard["inputs"] = "0" * 64
    write(out / "manifest.json", json.dumps(manifest))
    assert rinrcodec.verify(out).ok
    fitted.clear()
    assert rinrcodec.compress(folder, out, resume=True, **TWO).nothing_to_do
    assert fitted == []
    os.utime(folder / "0.png", (1, 1))
    assert rinrcodec.compress(folder, out, resume=True, **TWO).changed_shards == 1
    assert {k: v for k, v in contents(out).items() if k != "manifest.json"} == {
        k: v for k, v in whole.items() if k != "manifest.json"
    }


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("replaced", ["../x.rinr"]),
        ("replaced", [3]),
        ("replaced", [[]]),
        ("replaced", {"../x.rinr": []}),
        ("replaced", {"x.rinr": {}}),
        ("replaced", {"x.rinr": [{"bytes": 1, "sha256": "0"}]}),
        ("replaced", "x.rinr"),
        ("key", "../../x"),
        ("key", "x" * 24),
        ("missed", [3]),
        ("missed", [{"field": "psnr", "wanted": 1, "reached": "x", "frames": 1, "name": ""}]),
        ("missed", [{"field": "psnr", "wanted": 1, "frames": 1, "name": ""}]),
        ("warned", -1),
    ],
)
def test_a_manifest_that_names_what_it_must_not(
    folder: Path, tmp_path: Path, place: str, value: object
) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(folder, out, **FIT)
    whole = contents(out)
    manifest = json.loads(whole["manifest.json"])
    (run,) = manifest["runs"]
    (run if place in run else run["shards"][0])[place] = value
    del manifest["sha256"]  # anybody can forge that, too
    write(out / "manifest.json", json.dumps(manifest))
    with pytest.raises(RinrFormatError, match="not a manifest of this rinrcodec"):
        Manifest(out / "manifest.json")
    said: list[str] = []
    rinrcodec.compress(folder, out, resume=True, on_message=said.append, **FIT)
    assert [text for text in said if "damaged, or of another release" in text]
    assert contents(out) == whole


def test_other_pictures_of_the_same_name_are_refused(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(folder, out, **FIT)
    before = contents(out)
    other = put(tmp_path / "elsewhere/frames/x.png", picture(9)).parent
    with pytest.raises(RinrUsageError, match=r"but other pictures \(0\.png to more/4\.jpg\)"):
        rinrcodec.compress(other, out, resume=True, **FIT)
    assert contents(out) == before
    # One of the pictures in the middle is enough to be the same data set.
    for name in ("0.png", "more/4.jpg"):
        (folder / name).unlink()
    result = rinrcodec.compress(folder, out, resume=True, **FIT)
    assert (result.changed_shards, result.total.frames) == (1, 3)
