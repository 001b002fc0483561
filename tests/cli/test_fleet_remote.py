"""Compress from and to buckets: an S3 server on the loopback, and the memory of fsspec."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from rinrcodec.datasets import run as run_module
from rinrcodec.errors import RinrInputError
from rinrcodec.storage import lock as lock_module
from rinrcodec.storage import names_in, read_file, read_range, to_path
from rinrcodec.storage.atomic import write_whole

from .conftest import QUICK, Run, contents, write

Upload = Callable[[Path, str], str]


def stored(url: str) -> dict[str, bytes]:
    """All objects below a URL, hidden ones too."""
    filesystem, folder = fsspec.core.url_to_fs(url, use_listings_cache=False)
    names = filesystem.find(folder)
    return {name[len(folder) + 1 :]: filesystem.cat_file(name) for name in names}


@pytest.mark.slow
def test_a_bucket_to_a_bucket(
    run: Run, dataset: Path, tmp_path: Path, remote: str, upload: Upload
) -> None:
    source = upload(dataset.parent, f"{remote}/set")
    for layout in ("pack", "files"):
        args = ("--shard-size", 1, "--layout", layout, *QUICK)
        run("compress", dataset, "-o", tmp_path / layout, *args)
        run("compress", f"{source}/data.yaml", "-o", f"{remote}/{layout}", *args)
        expected = contents(tmp_path / layout)
        found = stored(f"{remote}/{layout}")
        assert found.keys() == expected.keys()
        # The manifests differ, as the stamps of objects are not those of files.
        assert all(found[name] == expected[name] for name in found if name != "manifest.json")
        result = run("compress", f"{source}/data.yaml", "-o", f"{remote}/{layout}", *args, code=2)
        assert "already there; --overwrite replaces it" in result.stderr
        again = (*args, "--resume")
        result = run("compress", f"{source}/data.yaml", "-o", f"{remote}/{layout}", *again)
        assert "is complete: nothing to resume" in result.stderr
    run("compress", dataset, "-o", f"{remote}/pack", "--seed", 1, "--overwrite", *QUICK)
    names = stored(f"{remote}/pack").keys()
    assert {name for name in names if name.endswith("-00001.rinr")} == set()


def test_one_file_in_a_bucket(run: Run, folder: Path, tmp_path: Path, remote: str) -> None:
    run("compress", folder, "-o", tmp_path / "a.rinr", *QUICK)
    run("compress", folder, "-o", f"{remote}/a.rinr", *QUICK)
    found = stored(remote)
    assert found["a.rinr"] == (tmp_path / "a.rinr").read_bytes()
    assert found.keys() == {"a.rinr", ".a.rinr.rinr-manifest.json"}
    run("compress", folder / "0.png", "-o", f"{remote}/one.rinr", *QUICK)
    assert stored(remote).keys() - found.keys() == {"one.rinr"}


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray"])
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_workers_write_to_the_bucket(
    run: Run,
    folder: Path,
    tmp_path: Path,
    s3: str,
    upload: Upload,
    request: pytest.FixtureRequest,
    executor: str,
) -> None:
    if executor == "ray":
        request.getfixturevalue("ray")
    source = upload(folder, f"{s3}/frames")
    args = ("--shard-size", 3, "--executor", executor, "--jobs", 2, *QUICK)
    run("compress", source, "-o", f"{s3}/out", *args)
    run("compress", folder, "-o", tmp_path / "one", "--shard-size", 3, *QUICK)
    found = stored(f"{s3}/out")
    for name, data in contents(tmp_path / "one").items():
        assert name == "manifest.json" or found[name] == data
    assert len(found) == 3


@pytest.mark.slow
def test_memory_is_not_shared_with_workers(run: Run, folder: Path, memory: str) -> None:
    args = ("compress", folder, "-o", f"{memory}/out", "--shard-size", 3, "--jobs", 2, *QUICK)
    result = run(*args, code=1)
    assert "what came of it is not to be seen here" in result.stderr


def test_an_interrupted_run_in_a_bucket(
    run: Run, folder: Path, tmp_path: Path, remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("compress", folder, "--shard-size", 2, *QUICK)
    run(*args, "-o", tmp_path / "one")
    out = f"{remote}/out"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module.Run, "_done", stop)
    result = run(*args, "-o", out, code=130)
    assert "what is fitted is kept" in result.stderr
    monkeypatch.undo()
    assert "--resume goes on with it" in run(*args, "-o", out, code=2).stderr
    run(*args, "-o", out, "--resume")
    assert stored(out) == contents(tmp_path / "one")


def test_two_runs_into_one_bucket_exclude_each_other(
    run: Run, folder: Path, remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "LEASE_S", 20.0)
    monkeypatch.setattr(lock_module, "RENEWALS", 100)
    refused: list[str] = []
    original = run_module.Run.publish

    def publish(self: Any) -> Any:
        refused.append(run("compress", folder, "-o", f"{remote}/out", *QUICK, code=1).stderr)
        return original(self)

    monkeypatch.setattr(run_module.Run, "publish", publish)
    run("compress", folder, "-o", f"{remote}/out", *QUICK)
    assert len(refused) == 1
    assert f"another compress is writing to {remote}/out: process" in refused[0]
    assert names_in(to_path(f"{remote}/out")) == ["frames-00000.rinr", "manifest.json"]


def test_the_lock_of_a_run_that_is_dead_is_taken(
    run: Run, folder: Path, remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "LEASE_S", 0.4)
    lock = to_path(f"{remote}/out/.rinr-work/lock")
    for text in (json.dumps({"host": "gone", "pid": 7, "token": "x"}), "{", "[]"):
        write_whole(lock, text.encode())
        result = run("compress", folder, "-o", f"{remote}/out", "--overwrite", *QUICK)
        assert "seeing for 0 s whether it still is" in result.stderr
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
        with pytest.raises(RinrInputError, match=r"another compress took .* over"):
            check()
    assert read_file(lock) == theirs


def test_a_store_that_fails_in_the_middle(
    run: Run, folder: Path, tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("compress", folder, "--shard-size", 2, *QUICK)
    run(*args, "-o", tmp_path / "one")
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
    result = run(*args, "-o", f"{memory}/out", code=1)
    assert "permission denied (denied); check the credentials" in result.stderr
    assert "--resume goes on" in result.stderr
    monkeypatch.undo()
    monkeypatch.setattr(lock_module, "LEASE_S", 0.2)
    run(*args, "-o", f"{memory}/out", "--resume")
    assert stored(f"{memory}/out") == contents(tmp_path / "one")


def test_a_local_bad_picture_does_not_stop_a_bucket(run: Run, folder: Path, remote: str) -> None:
    write(folder / "1.png", "text")
    result = run("compress", folder, "-o", f"{remote}/out", *QUICK, code=1)
    assert "1.png: not a picture" in result.stderr
    assert names_in(to_path(f"{remote}/out")) == ["frames-00000.rinr", "manifest.json"]


def test_names_in_buckets_are_no_patterns(run: Run, folder: Path, remote: str) -> None:
    for name in ("run[1]", "run*"):
        run("compress", folder, "-o", f"{remote}/{name}", *QUICK)
        assert stored(f"{remote}/{name}").keys() == {"frames-00000.rinr", "manifest.json"}


def test_a_run_that_lost_its_lock_touches_nothing(
    run: Run, folder: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rinrcodec import encoder

    lock = to_path(f"{memory}/out/.rinr-work/lock")
    monkeypatch.setattr(lock_module, "LEASE_S", 600.0)

    def encode(*_: object, **__: object) -> None:
        write_whole(lock, json.dumps({"token": "another"}).encode())
        raise OSError(5, "failed")

    monkeypatch.setattr(encoder, "encode", encode)
    result = run("compress", folder, "-o", f"{memory}/out", *QUICK, code=1)
    assert "another compress took" in result.stderr
    assert stored(f"{memory}/out").keys() == {".rinr-work/lock", "manifest.json"}
