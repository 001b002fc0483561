"""Compress from and to buckets: an S3 server on the loopback, and the memory of fsspec."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

import rinrcodec
from rinrcodec import CompressInterrupted, RinrUsageError
from rinrcodec.datasets import run as run_module
from rinrcodec.errors import RinrInputError
from rinrcodec.storage import lock as lock_module
from rinrcodec.storage import names_in, read_file, read_range, to_path
from rinrcodec.storage.atomic import write_whole

from .conftest import QUICK, contents, picture, put, write

Upload = Callable[[Path, str], str]


def stored(url: str) -> dict[str, bytes]:
    """All objects below a URL, hidden ones too."""
    filesystem, folder = fsspec.core.url_to_fs(url, use_listings_cache=False)
    names = filesystem.find(folder)
    return {name[len(folder) + 1 :]: filesystem.cat_file(name) for name in names}


@pytest.mark.slow
def test_from_bucket_to_bucket_gives_the_local_bytes(
    dataset: Path, tmp_path: Path, remote: str, upload: Upload
) -> None:
    source = upload(dataset.parent, f"{remote}/set") + "/data.yaml"
    for layout in ("pack", "files"):
        options = {"shard_size": 1, "layout": layout, **QUICK}
        rinrcodec.compress(dataset, tmp_path / layout, **options)
        result = rinrcodec.compress(source, f"{remote}/{layout}", **options)
        assert (result.source, result.out) == (source, f"{remote}/{layout}")
        expected = contents(tmp_path / layout)
        uploaded = stored(f"{remote}/{layout}")
        assert uploaded.keys() == expected.keys()
        # The manifests differ, as the stamps of objects are not those of files.
        assert all(uploaded[name] == expected[name] for name in uploaded if name != "manifest.json")
        with pytest.raises(RinrUsageError, match="already there; `overwrite=True` replaces it"):
            rinrcodec.compress(source, f"{remote}/{layout}", **options)
        result = rinrcodec.compress(source, f"{remote}/{layout}", resume=True, **options)
        assert result.nothing_to_do
    rinrcodec.compress(dataset, f"{remote}/pack", seed=1, overwrite=True, **QUICK)
    names = stored(f"{remote}/pack").keys()
    assert {name for name in names if name.endswith("-00001.rinr")} == set()


@pytest.mark.slow
def test_an_update_of_a_bucket(dataset: Path, tmp_path: Path, remote: str, upload: Upload) -> None:
    options = {"shard_size": 1, **QUICK}
    source = upload(dataset.parent, f"{remote}/set") + "/data.yaml"
    rinrcodec.compress(source, f"{remote}/out", **options)
    # Files of a disk have other stamps than objects.
    assert rinrcodec.compress(dataset, f"{remote}/out", resume=True, **options).nothing_to_do
    write(dataset.parent / "labels/train/b.txt", "1 0.5 0.5 0.25 0.25\n")
    (dataset.parent / "images/val/s/c.png").rename(dataset.parent / "images/val/s/d.png")
    put(dataset.parent / "images/train/c.png", picture(8))
    rinrcodec.compress(dataset, tmp_path / "fresh", **options)
    result = rinrcodec.compress(dataset, f"{remote}/out", resume=True, **options)
    assert (result.kept_shards, result.changed_shards, result.shards) == (1, 2, 4)
    assert stored(f"{remote}/out") == contents(tmp_path / "fresh")


def test_one_file_in_a_bucket(folder: Path, tmp_path: Path, remote: str) -> None:
    rinrcodec.compress(folder, tmp_path / "a.rinr", **QUICK)
    rinrcodec.compress(folder, f"{remote}/a.rinr", **QUICK)
    uploaded = stored(remote)
    assert uploaded["a.rinr"] == (tmp_path / "a.rinr").read_bytes()
    assert uploaded.keys() == {"a.rinr", ".a.rinr.rinr-manifest.json"}
    rinrcodec.compress(folder / "0.png", f"{remote}/one.rinr", **QUICK)
    assert stored(remote).keys() - uploaded.keys() == {"one.rinr"}


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray"])
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_workers_write_to_the_bucket(
    folder: Path,
    tmp_path: Path,
    s3: str,
    upload: Upload,
    request: pytest.FixtureRequest,
    executor: Any,
) -> None:
    if executor == "ray":
        request.getfixturevalue("ray")
    source = upload(folder, f"{s3}/frames")
    rinrcodec.compress(source, f"{s3}/out", shard_size=3, executor=executor, jobs=2, **QUICK)
    rinrcodec.compress(folder, tmp_path / "one", shard_size=3, **QUICK)
    uploaded = stored(f"{s3}/out")
    for name, data in contents(tmp_path / "one").items():
        assert name == "manifest.json" or uploaded[name] == data
    assert len(uploaded) == 3


@pytest.mark.slow
def test_memory_is_not_shared_with_workers(folder: Path, memory: str) -> None:
    with pytest.raises(RinrInputError, match="its result is not visible here"):
        rinrcodec.compress(folder, f"{memory}/out", shard_size=3, jobs=2, **QUICK)


def test_an_interrupted_run_in_a_bucket(
    folder: Path, tmp_path: Path, remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"shard_size": 2, **QUICK}
    rinrcodec.compress(folder, tmp_path / "one", **options)
    out = f"{remote}/out"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module.Run, "_done", stop)
    with pytest.raises(CompressInterrupted, match="what is fitted is kept"):
        rinrcodec.compress(folder, out, **options)
    monkeypatch.undo()
    with pytest.raises(RinrUsageError, match="`resume=True` continues it"):
        rinrcodec.compress(folder, out, **options)
    rinrcodec.compress(folder, out, resume=True, **options)
    assert stored(out) == contents(tmp_path / "one")


def test_two_runs_into_one_bucket_exclude_each_other(
    folder: Path, remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "LEASE_S", 20.0)
    monkeypatch.setattr(lock_module, "RENEWALS", 100)
    refused: list[str] = []
    original = run_module.Run.publish

    def publish(self: Any) -> Any:
        with pytest.raises(RinrInputError) as caught:
            rinrcodec.compress(folder, f"{remote}/out", **QUICK)
        refused.append(str(caught.value))
        return original(self)

    monkeypatch.setattr(run_module.Run, "publish", publish)
    rinrcodec.compress(folder, f"{remote}/out", **QUICK)
    assert len(refused) == 1
    assert f"another compress is writing to {remote}/out: process" in refused[0]
    assert names_in(to_path(f"{remote}/out")) == ["frames-00000.rinr", "manifest.json"]


def test_the_lock_of_a_run_that_is_dead_is_taken(
    folder: Path,
    remote: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lock_module, "LEASE_S", 0.4)
    lock = to_path(f"{remote}/out/.rinr-work/lock")
    for text in (json.dumps({"host": "gone", "pid": 7, "token": "x"}), "{", "[]"):
        write_whole(lock, text.encode())
        said: list[str] = []
        rinrcodec.compress(folder, f"{remote}/out", overwrite=True, on_message=said.append, **QUICK)
        assert any("waiting 0 s to see whether it still is" in message for message in said)
    assert names_in(to_path(f"{remote}/out")) == ["frames-00000.rinr", "manifest.json"]


def test_a_lock_is_renewed_and_never_taken_from_another(
    remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "LEASE_S", 0.2)
    root = to_path(f"{remote}/out/.rinr-work")
    lock = root / "lock"
    with lock_module.locked(root, root.parent) as check:
        first = read_range(lock, 0, 4096)
        end = time.monotonic() + 30
        while read_range(lock, 0, 4096) == first:
            assert time.monotonic() < end
            time.sleep(0.02)
        check()
        monkeypatch.setattr(lock_module, "LEASE_S", 600.0)  # as if it were held up
        time.sleep(0.5)
        theirs = json.dumps({"token": "another"}).encode()
        write_whole(lock, theirs)
        with pytest.raises(RinrInputError, match="another compress took over"):
            check()
    assert read_file(lock) == theirs


def test_a_run_resumes_after_a_store_failed(
    folder: Path, tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    options = {"shard_size": 2, "labels": "none", **QUICK}
    rinrcodec.compress(folder, tmp_path / "one", **options)
    kind = fsspec.get_filesystem_class("memory")
    original = kind.pipe_file
    n = 0

    def pipe_file(self: Any, path: str, *arguments: Any, **options: Any) -> Any:
        nonlocal n
        n += 1
        if n > 5:
            raise PermissionError("denied")
        return original(self, path, *arguments, **options)

    monkeypatch.setattr(kind, "pipe_file", pipe_file)
    said: list[str] = []
    with pytest.raises(OSError, match=r"permission denied \(denied\); check the credentials"):
        rinrcodec.compress(folder, f"{memory}/out", on_message=said.append, **options)
    assert said == ["what is fitted is kept; the same command with `resume=True` continues"]
    monkeypatch.undo()
    monkeypatch.setattr(lock_module, "LEASE_S", 0.2)
    rinrcodec.compress(folder, f"{memory}/out", resume=True, **options)
    assert stored(f"{memory}/out") == contents(tmp_path / "one")


def test_a_local_bad_picture_does_not_stop_a_bucket(folder: Path, remote: str) -> None:
    write(folder / "1.png", "text")
    (failure,) = rinrcodec.compress(folder, f"{remote}/out", **QUICK).failures
    assert "1.png: not a picture" in failure
    assert names_in(to_path(f"{remote}/out")) == ["frames-00000.rinr", "manifest.json"]


def test_names_in_buckets_are_no_patterns(folder: Path, remote: str) -> None:
    for name in ("run[1]", "run*"):
        rinrcodec.compress(folder, f"{remote}/{name}", **QUICK)
        assert stored(f"{remote}/{name}").keys() == {"frames-00000.rinr", "manifest.json"}


def test_a_run_that_lost_its_lock_changes_no_file(
    folder: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rinrcodec import encoder

    lock = to_path(f"{memory}/out/.rinr-work/lock")
    monkeypatch.setattr(lock_module, "LEASE_S", 600.0)

    def encode_pictures(*_: object, **__: object) -> None:
        write_whole(lock, json.dumps({"token": "another"}).encode())
        raise OSError(5, "failed")

    monkeypatch.setattr(encoder, "encode_pictures", encode_pictures)
    with pytest.raises(RinrInputError, match="another compress took"):
        rinrcodec.compress(folder, f"{memory}/out", **QUICK)
    assert stored(f"{memory}/out").keys() == {".rinr-work/lock", "manifest.json"}
