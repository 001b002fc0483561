"""Paths and URLs: which text is which, and the errors for URLs that cannot be used."""

from __future__ import annotations

import io
import pickle
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import fsspec
import pytest

from rinrcodec.errors import MissingExtraError, RinrInputError
from rinrcodec.sources.images import load_picture
from rinrcodec.storage import check_store, join, to_path, to_path_or_none
from rinrcodec.storage.locations import is_remote


@pytest.mark.parametrize("name", ["a", "/a/b", "a b/ü#%?.png", "c:/x", "s3:/a", "./s3://a"])
def test_paths(name: str) -> None:
    assert to_path(name) == Path(name)
    assert not is_remote(to_path(name))
    assert to_path(Path(name)) == Path(name)


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a b ü#%41?.png"
    assert to_path(path.as_uri()) == path
    assert to_path("FILE:///a/b") == Path("/a/b")
    assert to_path("file://localhost/a/b") == Path("/a/b")
    assert to_path("file:///a#1?.png") == Path("/a#1?.png")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("memory://x/a b/ü#%?.png", "ü#%?.png"),
        ("s3://bucket/a%20b.png", "a%20b.png"),
        ("S3://bucket/A.png", "A.png"),
        ("gs://bucket/a?b", "a?b"),
        ("s3://bucket/a/", "a"),
    ],
)
def test_urls(url: str, name: str) -> None:
    path = to_path(url)
    assert is_remote(path)
    assert path.name == name
    assert to_path(path) is path
    assert pickle.loads(pickle.dumps(path)) == path
    assert str(path) == url.replace("S3", "s3").rstrip("/")


def test_other_objects_are_no_path(tmp_path: Path) -> None:
    assert to_path_or_none(b"") is None
    with (tmp_path / "a").open("wb") as file:
        assert to_path_or_none(file) is None
    filesystem = fsspec.filesystem("memory")
    with filesystem.open("/x/a", "wb") as file:
        assert to_path_or_none(file) is None
    filesystem.rm("/x/a")


@pytest.mark.parametrize("url", ["s3://", "s3:///", "memory://"])
def test_a_url_without_a_name(url: str) -> None:
    with pytest.raises(RinrInputError, match="the name of a bucket or server is missing"):
        to_path(url)


def test_an_unknown_protocol() -> None:
    with pytest.raises(RinrInputError, match=r"^foo://a: foo:// is no protocol that fsspec knows$"):
        to_path("foo://a")


@pytest.mark.parametrize(
    ("gone", "url", "package"),
    [
        ("upath", "memory://a", "universal-pathlib"),
        ("s3fs", "s3://a", "s3fs"),
        ("gcsfs", "gs://a", "gcsfs"),
    ],
)
def test_the_extra_is_missing(gone: str, url: str, package: str) -> None:
    script = (
        f"import sys; sys.modules[{gone!r}] = None\n"
        "from rinrcodec.storage import to_path\n"
        "to_path('a/b')\n"
        f"to_path({url!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert str(MissingExtraError(package, "remote")) in done.stderr


def test_join() -> None:
    far = to_path("s3://bucket/set")
    assert join(Path("set"), "../images/a.png") == Path("set/../images/a.png")
    assert join(Path("set"), "file:///data/a%20b") == Path("/data/a b")
    assert join(far, "s3a://other/set") == to_path("s3a://other/set")
    assert join(far, "./images//a") == to_path("s3://bucket/set/images/a")
    assert join(far, "../images/a") == to_path("s3://bucket/images/a")
    assert join(far, "") == far


@pytest.mark.parametrize(
    ("folder", "entry", "reason"),
    [
        ("set", "s3://bucket/set", "a URL in a local file is not followed"),
        ("/set", "HTTP://server/a.png", "a URL in a local file is not followed"),
        ("set", "simplecache://server/a", "a URL in a local file is not followed"),
        ("set", "zip://a.png::http://server/a.zip", "a URL in a local file is not followed"),
        ("set", "smb://server/share", "a URL in a local file is not followed"),
        ("s3://bucket/set", "memory://a", "leads to another store"),
        ("s3://bucket/set", "http://server/a", "leads to another store"),
        ("http://server/set", "http://other/set", "leads to another store"),
        ("s3://bucket/set", "/data", "a path of this machine"),
        ("s3://bucket/set", "file:///etc/hosts", "a path of this machine"),
        ("memory://set", "simplecache::http://server/a", "a chain of file systems"),
    ],
)
def test_a_file_names_nothing_in_another_store(
    monkeypatch: pytest.MonkeyPatch, folder: str, entry: str, reason: str
) -> None:
    near = to_path(folder)
    monkeypatch.setattr(fsspec, "get_filesystem_class", None)  # not even asked for
    with pytest.raises(RinrInputError, match=f"^{re.escape(entry)}: {reason}"):
        join(near, entry)


@pytest.mark.parametrize(
    "entry", [r"\\server\share\a", "//server/share", r"/\server\a", r"\\?\UNC\server\a"]
)
def test_shares_of_other_computers_are_refused_on_windows(
    monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    check_store(Path("set"), entry)  # elsewhere, it is a strange name of a local file
    monkeypatch.setattr("rinrcodec.storage.locations._WINDOWS", True)
    with pytest.raises(RinrInputError, match=r"another store|not followed"):
        check_store(PurePosixPath("set"), entry)  # type: ignore[arg-type]
    check_store(PureWindowsPath(r"\\server\share\set"), r"\\SERVER\other\a")  # type: ignore[arg-type]
    check_store(PureWindowsPath(r"\\server\share\set"), "images")  # type: ignore[arg-type]


@pytest.mark.parametrize("entry", ["a\0b", "\ud800", "s3://bucket/a\0b"])
@pytest.mark.parametrize("folder", ["set", "s3://bucket/set"])
def test_impossible_file_names_are_refused(folder: str, entry: str) -> None:
    with pytest.raises(RinrInputError, match="no file can have this name"):
        join(to_path(folder), entry)


@pytest.mark.parametrize("value", [3, None, b"a.rinr", io.BytesIO(b"a"), object()])
def test_values_that_are_no_path_get_a_clear_error(value: Any) -> None:
    kind = type(value).__name__
    with pytest.raises(RinrInputError, match=f"value of type {kind} as a path: pass a path or URL"):
        to_path(value)
    with pytest.raises(RinrInputError, match="as a path"):
        load_picture(value)
