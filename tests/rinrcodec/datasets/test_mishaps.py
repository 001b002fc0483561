"""The manifest of a run, and its behaviour if files change or disks fail."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

import rinrcodec
from rinrcodec import RinrInputError, RinrUsageError, Target, encoder
from rinrcodec.datasets import run as run_module
from rinrcodec.datasets import work_folder
from rinrcodec.datasets.manifest import Manifest
from rinrcodec.errors import RinrFormatError
from rinrcodec.sources import images

from .conftest import QUICK, contents, picture, put, write

TWO = {"shard_size": 2, **QUICK}


def test_the_manifest_lists_settings_inputs_and_outputs(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(dataset, out, shard_size=1, seed=3, **QUICK)
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
    rinrcodec.compress(copy / "data.yaml", tmp_path / "b", shard_size=1, **QUICK)
    (other,) = Manifest(tmp_path / "b/manifest.json").runs.values()
    assert {shard.inputs for shard in other.shards} == inputs


def test_resume_says_what_changed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def stop(*_: object) -> None:
        raise OSError(5, os.strerror(5), "disk")

    monkeypatch.setattr(run_module.Run, "_done", stop)
    with pytest.raises(OSError, match="Input/output error"):
        rinrcodec.compress(folder, out, **TWO)
    monkeypatch.undo()
    with pytest.raises(RinrUsageError, match="holds an unfinished run"):
        rinrcodec.compress(folder, out, **TWO)

    def why(**options: Any) -> str:
        with pytest.raises(RinrUsageError, match="unfinished run with other options") as caught:
            rinrcodec.compress(folder, out, resume=True, **{**TWO, **options})
        return str(caught.value).partition("options (")[2].partition(")")[0]

    assert why(shard_size=3) == "`shard_size` was 2 and is 3"
    assert why(seed=1) == "`seed` was 0 and is 1"
    assert why(steps=9, seed=1) == "`seed` was 0 and is 1; `steps` was 8 and is 9"
    assert why(target=Target(objects_psnr=22)) == "`target.objects_psnr` was not given and is 22.0"


def test_a_manifest_of_another_program_is_left_alone(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    theirs = write(out / "manifest.json", '{"name": "web app"}')
    for option in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(RinrFormatError, match=r"json: not a manifest of this rinrcodec"):
            rinrcodec.compress(folder, out, **QUICK, **option)
    assert contents(out) == {"manifest.json": theirs.read_bytes()}


def test_a_source_that_vanishes_is_not_a_source_of_bad_pictures(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    rinrcodec.compress(folder, tmp_path / "one", **TWO)
    original = work_folder.Work.complete

    def complete(self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        if folder.exists():
            folder.rename(tmp_path / "elsewhere")

    monkeypatch.setattr(work_folder.Work, "complete", complete)
    said: list[str] = []
    gone = r"2\.png: not there any more, nor are the 1 pictures after it"
    with pytest.raises(RinrInputError, match=gone):
        rinrcodec.compress(folder, out, on_message=said.append, **TWO)
    assert "`resume=True` continues" in "".join(said)
    assert list(out.glob("*.rinr")) == []
    monkeypatch.undo()
    (tmp_path / "elsewhere").rename(folder)
    rinrcodec.compress(folder, out, resume=True, **TWO)
    assert contents(out) == contents(tmp_path / "one")


def test_a_removed_output_folder_is_not_created_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "disk/out"
    rinrcodec.compress(folder, tmp_path / "one", **TWO)
    original = work_folder.Work.complete

    def complete(self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        if (tmp_path / "disk").exists():
            (tmp_path / "disk").rename(tmp_path / "unmounted")

    monkeypatch.setattr(work_folder.Work, "complete", complete)
    with pytest.raises(RinrInputError, match="out: not there any more; was it moved, removed or"):
        rinrcodec.compress(folder, out, **TWO)
    assert not (tmp_path / "disk").exists()
    monkeypatch.undo()
    (tmp_path / "unmounted").rename(tmp_path / "disk")
    rinrcodec.compress(folder, out, resume=True, **TWO)
    assert contents(out) == contents(tmp_path / "one")


def test_a_picture_that_changes_meanwhile_is_listed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = work_folder.Work.complete

    def complete(self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        put(folder / "3.png", picture(9))

    monkeypatch.setattr(work_folder.Work, "complete", complete)
    (failure,) = rinrcodec.compress(folder, tmp_path / "out", **TWO).failures
    assert "3.png: changed" in failure
    assert len(list((tmp_path / "out").glob("*.rinr"))) == 3


def test_a_write_protected_folder_is_an_error(folder: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(PermissionError) as caught:
        rinrcodec.compress(folder, tmp_path / "locked/out", **QUICK)
    assert caught.value.filename == str(tmp_path / "locked/out")


def test_a_source_that_vanishes_while_a_batch_is_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**QUICK, "background": "siren"}  # whose batches have 16 frames
    source = tmp_path / "mount/frames"
    for i in range(20):
        put(source / f"{i:02d}.png", picture(i, 4, 4))
    rinrcodec.compress(source, tmp_path / "one", **settings)
    original = encoder.encode_pictures

    def encode_pictures(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        if (tmp_path / "mount").exists():
            (tmp_path / "mount").rename(tmp_path / "elsewhere")
        return result

    monkeypatch.setattr(encoder, "encode_pictures", encode_pictures)
    # Two of the second batch were read ahead, while the source was there.
    gone = r"16\.png: not there any more, nor are the 3 pictures after it"
    with pytest.raises(RinrInputError, match=gone):
        rinrcodec.compress(source, tmp_path / "out", **settings)
    monkeypatch.undo()
    (tmp_path / "elsewhere").rename(tmp_path / "mount")
    rinrcodec.compress(source, tmp_path / "out", resume=True, **settings)
    assert contents(tmp_path / "out") == contents(tmp_path / "one")


def test_a_failing_disk_is_no_fault_of_pictures(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rinrcodec.compress(folder, tmp_path / "one", **TWO)
    original = images.read_file

    def read_file(path: Path, **options: Any) -> bytes:
        if path.name == "2.png":
            raise OSError(5, os.strerror(5), str(path))
        return original(path, **options)

    monkeypatch.setattr(images, "read_file", read_file)
    said: list[str] = []
    with pytest.raises(RinrInputError, match=r"2\.png: cannot be read: Input/output error"):
        rinrcodec.compress(folder, tmp_path / "out", on_message=said.append, **TWO)
    assert "`resume=True` continues" in "".join(said)
    monkeypatch.undo()
    rinrcodec.compress(folder, tmp_path / "out", resume=True, **TWO)
    assert contents(tmp_path / "out") == contents(tmp_path / "one")


def test_overwriting_removes_files_of_the_earlier_run(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out / "notes.txt", "mine")
    rinrcodec.compress(folder, out, layout="files", **QUICK)
    (folder / "2.png").unlink()
    rinrcodec.compress(folder, out, layout="files", overwrite=True, **QUICK)
    rest = {"0.rinr", "1.rinr", "3.rinr", "more/4.rinr", "manifest.json", "notes.txt"}
    assert contents(out).keys() == rest
    rinrcodec.compress(folder, out, overwrite=True, **QUICK)
    assert contents(out).keys() == {"frames-00000.rinr", "manifest.json", "notes.txt"}


def test_an_output_that_vanishes_in_a_fit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = encoder.encode_pictures
    out = tmp_path / "disk/out"

    def encode_pictures(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        (tmp_path / "disk").rename(tmp_path / "unmounted")
        return result

    monkeypatch.setattr(encoder, "encode_pictures", encode_pictures)
    with pytest.raises(RinrInputError, match="out: not there any more; was it moved, removed or"):
        rinrcodec.compress(folder, out, **QUICK)
    assert not (tmp_path / "disk").exists()
