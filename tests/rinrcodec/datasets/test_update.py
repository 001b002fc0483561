"""`--resume` after pictures or labels changed gives the bytes of a new run, and fits only those."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

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


def test_a_changed_label_refits_its_shard_only(
    dataset: Path, tmp_path: Path, fitted: list[Any]
) -> None:
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
        with pytest.raises(CompressInterrupted, match="`resume=True` continues"):
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
def test_an_update_interrupted_at_any_moment_can_be_resumed(
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
def test_a_manifest_with_wrong_values_is_refused(
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
