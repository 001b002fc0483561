"""What a run replaces and removes: its own files, never through a link."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rinrcodec
from rinrcodec import CompressInterrupted, RinrInputError, RinrUsageError
from rinrcodec.datasets.manifest import FileRecord, Manifest
from rinrcodec.storage.lock import MARKER

from .conftest import (
    FIT,
    ONE,
    TWO,
    contents,
    expected_of,
    flip,
    forged,
    packs_of,
    picture,
    put,
    write,
)

# Links

OVERWRITE: list[dict[str, Any]] = [{"overwrite": True}, {"resume": True}, {}]


@pytest.mark.parametrize("how", OVERWRITE)
@pytest.mark.parametrize("place", ["key", "shard", "record", "pack", "other"])
def test_a_link_in_the_work_folder_ends_the_run_and_nothing_is_deleted(
    folder: Path, unfinished: Path, victim: Path, place: str, how: dict[str, Any]
) -> None:
    (key,) = [path for path in (unfinished / ".rinr-work").iterdir() if path.is_dir()]
    record = min(key.glob("*.json"))
    if place == "key":
        shutil.rmtree(key)
        key.symlink_to(victim)
    elif place == "shard":
        record.with_suffix("").symlink_to(victim)
    elif place == "other":
        (key.parent / "more").symlink_to(victim)
    else:
        path = record if place == "record" else record.with_suffix(".rinr")
        path.unlink()
        path.symlink_to(victim / "deep/thesis.txt")
    before = sorted(unfinished.rglob("*"))
    with pytest.raises(RinrInputError, match=r"\.rinr-work/.*: it is a link"):
        rinrcodec.compress(folder, unfinished, **TWO, **how)
    assert contents(victim) == {"deep/thesis.txt": b"mine"}
    assert sorted(unfinished.rglob("*")) == before


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: write(path / "a", "b")])
def test_a_foreign_folder_in_the_work_folder(
    folder: Path, unfinished: Path, make: Callable[[Path], object]
) -> None:
    make(unfinished / ".rinr-work/photos")
    for how in OVERWRITE:
        with pytest.raises(RinrInputError, match="not a file of an unfinished run"):
            rinrcodec.compress(folder, unfinished, **TWO, **how)
    assert (unfinished / ".rinr-work/photos").exists()


@pytest.mark.parametrize("how", OVERWRITE)
@pytest.mark.parametrize("layout", ["pack", "files"])
def test_a_folder_of_the_output_that_is_a_link(
    dataset: Path, tmp_path: Path, victim: Path, layout: Any, how: dict[str, Any]
) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(dataset, out, layout=layout, **FIT)
    (out / "train").rename(victim / "train")
    (out / "train").symlink_to(victim / "train")
    before = contents(victim)
    with pytest.raises(RinrUsageError, match=r"out/train is a link; links in an output are not"):
        rinrcodec.compress(dataset, out, layout=layout, **FIT, **how)
    assert contents(victim) == before


@pytest.mark.parametrize("how", OVERWRITE)
@pytest.mark.parametrize("name", ["frames-00000.rinr", "manifest.json"])
@pytest.mark.parametrize("is_dangling", [True, False])
def test_a_file_of_the_output_that_is_a_link(
    folder: Path, out: Path, victim: Path, name: str, is_dangling: bool, how: dict[str, Any]
) -> None:
    target = victim / name
    if is_dangling:
        (out / name).unlink()
    else:
        (out / name).rename(target)
    (out / name).symlink_to(target)
    before = contents(victim)
    with pytest.raises(RinrUsageError, match=f"{name} is a link"):
        rinrcodec.compress(folder, out, **TWO, **how)
    assert contents(victim) == before
    assert (out / name).is_symlink()


def test_a_single_file_that_is_a_link(folder: Path, tmp_path: Path, victim: Path) -> None:
    out = tmp_path / "one.rinr"
    for target in (victim / "deep/thesis.txt", victim / "absent"):
        out.unlink(missing_ok=True)
        out.symlink_to(target)
        for how in OVERWRITE:
            with pytest.raises(RinrUsageError, match=r"one\.rinr is a link"):
                rinrcodec.compress(folder, out, **FIT, **how)
    assert contents(victim) == {"deep/thesis.txt": b"mine"}


def test_overwriting_does_not_change_hard_links(folder: Path, out: Path, victim: Path) -> None:
    pack = out / "frames-00000.rinr"
    before = pack.read_bytes()
    os.link(pack, victim / "kept.rinr")
    put(folder / "0.png", picture(77))
    rinrcodec.compress(folder, out, **TWO, overwrite=True)
    assert pack.read_bytes() != before
    assert (victim / "kept.rinr").read_bytes() == before


# Forged manifests


@pytest.mark.parametrize("place", ["files", "replaced"])
def test_a_manifest_that_lists_a_file_behind_a_link(
    folder: Path, out: Path, victim: Path, place: str
) -> None:
    kept = victim / "kept.rinr"
    shutil.copy(out / "frames-00001.rinr", kept)
    (out / "link").symlink_to(victim)

    def change(run: dict[str, Any]) -> None:
        files = run["shards"][1]["files"]
        (record,) = files.values()
        if place == "files":
            run["shards"][1]["files"] = {"link/kept.rinr": record}
        else:
            run["replaced"] = {"link/kept.rinr": [record]}

    forged(out / "manifest.json", change)
    for how in ({"overwrite": True}, {"resume": True}):
        with contextlib.suppress(RinrUsageError):
            rinrcodec.compress(folder, out, **TWO, **how)
    assert kept.exists()


def test_a_listed_file_of_another_content_is_kept_and_named(folder: Path, out: Path) -> None:
    mine = write(out / "mine.rinr", "mine")
    other = write(out / "other.rinr", "text")
    record = FileRecord(len("text"), "0" * 64)

    def change(run: dict[str, Any]) -> None:
        run["replaced"] = {
            "mine.rinr": [],
            "other.rinr": [{"bytes": record.bytes, "sha256": record.sha256}],
        }

    forged(out / "manifest.json", change)
    result = rinrcodec.compress(folder, out, **TWO, overwrite=True)
    assert mine.read_text() == "mine"
    assert other.read_text() == "text"
    kept = [text for text in result.warnings if "not as compress wrote it, so it is kept" in text]
    assert [text.split(":")[0] for text in kept] == [str(mine), str(other)]


@pytest.mark.parametrize("key", ["../../victim", "..", "/", "victim", "a/b", "\0", "A" * 24])
def test_the_key_of_a_run_cannot_leave_the_folder(
    folder: Path, out: Path, victim: Path, key: str
) -> None:
    forged(out / "manifest.json", lambda run: run.__setitem__("key", key))
    whole = {name: data for name, data in contents(out).items() if name.endswith(".rinr")}
    said: list[str] = []
    rinrcodec.compress(folder, out, resume=True, on_message=said.append, **TWO)
    assert [text for text in said if "the key of a run is" in text]
    assert contents(victim) == {"deep/thesis.txt": b"mine"}
    assert {n: d for n, d in contents(out).items() if n.endswith(".rinr")} == whole


# The user's own files


@pytest.mark.parametrize("text", ["mine", "", None])
@pytest.mark.parametrize("number", [0, 7])
@pytest.mark.parametrize("how", [{}, {"resume": True}, {"overwrite": True}])
def test_packs_that_no_manifest_lists_are_kept(
    folder: Path, tmp_path: Path, number: int, text: str | None, how: dict[str, Any]
) -> None:
    out = tmp_path / "out"
    own = out / f"frames-{number:05d}.rinr"
    if text is None:
        rinrcodec.compress(folder, tmp_path / "other", **FIT)
        out.mkdir()
        shutil.copy(packs_of(tmp_path / "other")[0], own)
    else:
        write(own, text)
    before = contents(out)
    # No other advice: --overwrite would be refused.
    with pytest.raises(RinrUsageError, match=r"rinr: there already, and no manifest lists it"):
        rinrcodec.compress(folder, out, **how, **TWO)
    assert contents(out) == before


@pytest.mark.parametrize("how", [{"overwrite": True}, {"resume": True}])
def test_a_file_of_the_user_in_place_of_a_pack_is_kept(
    folder: Path, out: Path, how: dict[str, Any]
) -> None:
    first, second = packs_of(out)[:2]
    for text in (b"my own notes", second.read_bytes()):
        first.write_bytes(text)
        before = contents(out)
        with pytest.raises(
            RinrUsageError, match=r"00000\.rinr: not as compress wrote it, so it is"
        ):
            rinrcodec.compress(folder, out, **TWO, **how)
        assert contents(out) == before


def test_a_data_yaml_that_the_user_changed_is_kept(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(dataset, out, **FIT)
    text = (out / "data.yaml").read_text() + "# my own\n"
    write(out / "data.yaml", text)
    with pytest.raises(RinrUsageError, match=r"data\.yaml: not as compress wrote it"):
        rinrcodec.compress(dataset, out, overwrite=True, **FIT)
    shutil.rmtree(dataset.parent / "images/val")
    dataset.write_text(dataset.read_text().replace("val: images/val\n", ""))
    result = rinrcodec.compress(dataset, out, resume=True, **FIT)
    assert [note for note in result.warnings if "data.yaml: not as compress wrote it" in note]
    assert (out / "data.yaml").read_text() == text


def test_a_single_file_is_replaced_if_it_is_a_pack(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "one.rinr"
    write(out, "my own notes")
    with pytest.raises(RinrUsageError, match=r"one\.rinr: there already"):
        rinrcodec.compress(folder, out, overwrite=True, **FIT)
    assert out.read_text() == "my own notes"
    rinrcodec.compress(folder / "0.png", tmp_path / "other.rinr", **FIT)
    shutil.copy(tmp_path / "other.rinr", out)
    rinrcodec.compress(folder, out, overwrite=True, **FIT)
    assert len(rinrcodec.open(out)) == 5
    rinrcodec.compress(folder / "0.png", out, overwrite=True, **FIT)
    assert len(rinrcodec.open(out)) == 1


# Overwriting


def test_overwrite_keeps_the_packs_of_shards_that_fail(
    folder: Path, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rinrcodec.datasets.executors import local

    before = contents(out)
    put(folder / "0.png", picture(66))

    def fit(fitter: Any, shards: Any, watch: Any) -> None:
        for shard in shards:
            if shard.number == 1:
                watch.done(shard, died=True)
            else:
                fitter.fit(shard)
                watch.done(shard)

    with monkeypatch.context() as patch:
        patch.setattr("rinrcodec.datasets.run.fit_here", fit)
        assert local.TRIES == 2
        options = {**FIT, "shard_size": 3}
        result = rinrcodec.compress(folder, out, overwrite=True, **options)
    assert result.failed_shards == 1
    left = contents(out)
    assert left["frames-00001.rinr"] == before["frames-00001.rinr"]
    assert left["frames-00002.rinr"] == before["frames-00002.rinr"]
    assert not rinrcodec.verify(out).ok
    rinrcodec.compress(folder, out, resume=True, **options)
    assert contents(out) == expected_of(folder, tmp_path, options)


def test_overwrite_keeps_old_packs_where_no_picture_can_be_read(folder: Path, out: Path) -> None:
    before = {n: d for n, d in contents(out).items() if n.endswith(".rinr")}
    for path in [*folder.glob("*.png"), folder / "more/4.jpg"]:
        path.write_bytes(b"no picture")
    result = rinrcodec.compress(folder, out, overwrite=True, **TWO)
    assert len(result.failures) == 5
    assert {n: d for n, d in contents(out).items() if n.endswith(".rinr")} == before
    assert [text for text in result.warnings if "2 more: kept, as the pictures that" in text]


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["pack", "files"])
@pytest.mark.parametrize("call", ["fsync", "replace", "mkdir"])
def test_a_disk_that_fails_at_any_moment_of_overwriting_leaves_whole_packs(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Any, call: str
) -> None:
    options = {**ONE, "layout": layout}
    rinrcodec.compress(dataset, tmp_path / "old", **options)
    old = contents(tmp_path / "old")
    options["seed"] = 1
    rinrcodec.compress(dataset, tmp_path / "new", **options)
    new = contents(tmp_path / "new")
    packs = {name for name in new if name.endswith(".rinr")}
    owner: Any = os if call == "fsync" else Path
    original = getattr(owner, call)
    for moment in range(1, 99):
        out = shutil.copytree(tmp_path / "old", tmp_path / f"out{moment}")
        calls = itertools.count(1)

        def fail(*args: Any, moment: int = moment, calls: Any = calls, **more: Any) -> Any:
            # A folder that cannot be flushed keeps no file from being whole.
            is_folder = call == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode)
            if not is_folder and next(calls) == moment:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return original(*args, **more)

        with monkeypatch.context() as patch:
            patch.setattr(owner, call, fail)
            try:
                rinrcodec.compress(dataset, out, overwrite=True, **options)
                break
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017
        left = contents(out)
        assert all(left[name] in (old[name], new[name]) for name in packs)
        assert not [name for name in left if name.endswith(".tmp") and "work" not in name]
        if (out / ".rinr-work").exists():
            rinrcodec.compress(dataset, out, resume=True, **options)
        else:
            rinrcodec.compress(dataset, out, overwrite=True, **options)
        assert contents(out) == new
        assert rinrcodec.verify(out).ok
    assert moment > 2
    assert contents(out) == new


def test_an_overwrite_that_was_killed_can_be_overwritten(
    folder: Path, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is killed while it publishes: some packs are new, some old, and all are listed."""
    original = Path.replace

    def replace(self: Path, to: Path) -> Path:
        if to.name == "frames-00001.rinr":
            raise KeyboardInterrupt
        return original(self, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(CompressInterrupted):
            rinrcodec.compress(folder, out, overwrite=True, **{**TWO, "seed": 1})
    last = {**FIT, "shard_size": 4, "seed": 2}
    rinrcodec.compress(folder, out, overwrite=True, **last)
    assert contents(out) == expected_of(folder, tmp_path, last)


def test_the_work_folder_has_its_marker_while_a_run_is_unfinished(unfinished: Path) -> None:
    assert (unfinished / ".rinr-work" / MARKER).read_text().startswith("Unfinished work of")
    assert Manifest(unfinished / "manifest.json").is_sealed


# decompress


def test_decompress_follows_no_link(dataset: Path, tmp_path: Path, victim: Path) -> None:
    rinrcodec.compress(dataset, tmp_path / "packs", **FIT)
    for place in ("images", "images/train", "labels/val", "unlabelled", "images/train/a.png"):
        out = tmp_path / place.replace("/", "-")
        (out / place).parent.mkdir(parents=True)
        (out / place).symlink_to(victim)
        for overwrite in (True, False):
            with pytest.raises(RinrUsageError, match=f"{place} is a link"):
                rinrcodec.decompress(tmp_path / "packs", out, overwrite=overwrite)
    assert contents(victim) == {"deep/thesis.txt": b"mine"}


def test_decompress_names_missing_packs(dataset: Path, tmp_path: Path) -> None:
    packs = tmp_path / "packs"
    rinrcodec.compress(dataset, packs, **ONE)
    (packs / "train/train-00001.rinr").unlink()
    for source, n_frames in ((packs, 2), (packs / "data.yaml", 2), (packs / "train", 1)):
        result = rinrcodec.decompress(source, tmp_path / f"out{n_frames}", overwrite=True)
        assert result.frames == n_frames
        (text,) = result.failures
        assert text.startswith(f"{packs}/train/train-00001.rinr: it is missing, and ")
    assert rinrcodec.decompress(packs / "val", tmp_path / "val").failures == ()


def test_decompress_says_what_is_wrong_with_the_manifest(folder: Path, out: Path) -> None:
    flip(out / "manifest.json")
    result = rinrcodec.decompress(out, folder.parent / "back")
    assert (result.frames, result.failures) == (5, ())
    assert [text for text in result.warnings if "not a manifest of this rinrcodec" in text]
