"""Places: what stands for a path and what for a URL, and what is wrong where it cannot be used."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rinrcodec.errors import RinrInputError
from rinrcodec.storage import as_place, is_remote, join, place
from rinrcodec.storage import stores as storage


@pytest.mark.parametrize("name", ["a", "/a/b", "a b/ü#%?.png", "c:/x", "s3:/a", "./s3://a"])
def test_paths(name: str) -> None:
    assert place(name) == Path(name)
    assert not is_remote(place(name))
    assert place(Path(name)) == Path(name)


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a b ü#%41?.png"
    assert place(path.as_uri()) == path
    assert place("FILE:///a/b") == Path("/a/b")
    assert place("file://localhost/a/b") == Path("/a/b")
    assert place("file:///a#1?.png") == Path("/a#1?.png")


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
    found = place(url)
    assert is_remote(found)
    assert found.name == name
    assert place(found) is found
    assert pickle.loads(pickle.dumps(found)) == found
    assert str(found) == url.replace("S3", "s3").rstrip("/")


def test_what_is_no_place(tmp_path: Path) -> None:
    assert as_place(b"") is None
    with (tmp_path / "a").open("wb") as file:
        assert as_place(file) is None
    filesystem: Any = place("memory://x").fs  # type: ignore[attr-defined]
    with filesystem.open("/x/a", "wb") as file:
        assert as_place(file) is None
    filesystem.rm("/x/a")


@pytest.mark.parametrize("url", ["s3://", "s3:///", "memory://"])
def test_a_url_without_a_name(url: str) -> None:
    with pytest.raises(RinrInputError, match="the name of a bucket or server is missing"):
        place(url)


def test_an_unknown_protocol() -> None:
    with pytest.raises(RinrInputError, match=r"^foo://a: foo:// is no protocol that fsspec knows$"):
        place("foo://a")


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
        "from rinrcodec.storage import place\n"
        "place('a/b')\n"
        f"place({url!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert f"{package} is not installed; run: pip install 'rinrcodec[remote]'" in done.stderr


def test_join() -> None:
    far = place("s3://bucket/set")
    assert join(Path("set"), "../images/a.png") == Path("set/../images/a.png")
    assert join(Path("set"), "s3://bucket/set") == far
    assert join(far, "./images//a") == place("s3://bucket/set/images/a")
    assert join(far, "../images/a") == place("s3://bucket/images/a")
    assert join(far, "") == far
    assert join(far, "memory://a") == place("memory://a")
    assert join(far, "/data") == Path("/data")


def fresh() -> None:
    """Forget the connections, which are made with the environment of their time."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()


@pytest.fixture
def environment(s3_server: str) -> Iterator[pytest.MonkeyPatch]:  # noqa: ARG001
    with pytest.MonkeyPatch.context() as patch:
        fresh()
        yield patch
    fresh()


def test_no_credentials(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    environment.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    environment.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(PermissionError, match=r"no credentials \(.*\); set .* AWS_ACCESS_KEY_ID"):
        storage.stamp_of(place("s3://bucket/a"))


def test_an_unknown_profile(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(PermissionError, match=r"profile \(nobody\) could not be found"):
        storage.stamp_of(place("s3://bucket/a"))


def test_nobody_listens(environment: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(OSError, match=r"the server cannot be reached .*\(AWS_ENDPOINT_URL"):
            storage.files_below(place("s3://bucket/a"))
        assert time.monotonic() - began < 10


def test_a_server_that_is_silent_is_not_waited_for_long(environment: pytest.MonkeyPatch) -> None:
    import fsspec

    quick = {"connect_timeout": 0.05, "read_timeout": 0.05}
    environment.setitem(fsspec.config.conf, "s3", {"config_kwargs": quick})
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(OSError, match="the server cannot be reached"):
            storage.stamp_of(place("s3://bucket/a"))
        # Twice two attempts, and short waits between them.
        assert time.monotonic() - began < 10


def test_timeouts_are_short_and_the_users_own_win(environment: pytest.MonkeyPatch) -> None:
    import fsspec

    def options() -> Any:
        return place("s3://bucket").storage_options["config_kwargs"]  # type: ignore[attr-defined]

    assert options()["connect_timeout"] + options()["read_timeout"] <= 15
    assert options()["retries"]["total_max_attempts"] == 2
    environment.setenv("AWS_MAX_ATTEMPTS", "9")
    environment.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 99}})
    assert options()["read_timeout"] == 99
    assert "retries" not in options()


def test_no_such_bucket(s3_server: str) -> None:  # noqa: ARG001
    for ask in (storage.stamp_of, storage.file_or_folder, storage.files_below):
        with pytest.raises(FileNotFoundError, match="there is no such bucket: 's3://nowhere/a"):
            ask(place("s3://nowhere/a"))
    with pytest.raises(FileNotFoundError, match="there is no such bucket"):
        storage.file_or_folder(place("s3://nowhere"))


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (
            "AccessDenied",
            PermissionError,
            r"permission denied \(Because of it\); check the credentials",
        ),
        ("InvalidAccessKeyId", PermissionError, "permission denied"),
        ("InternalError", OSError, "Because"),
        ("Strange", OSError, "Because"),
    ],
)
def test_what_a_server_says(
    s3: str, monkeypatch: pytest.MonkeyPatch, code: str, kind: type[OSError], said: str
) -> None:
    from botocore.exceptions import ClientError
    from s3fs import S3FileSystem
    from s3fs.errors import translate_boto_error

    async def refuse(*args: Any, **kwargs: Any) -> Any:  # noqa: ARG001
        error = ClientError({"Error": {"Code": code, "Message": "Because\nof it"}}, "GetObject")
        raise translate_boto_error(error)

    monkeypatch.setattr(S3FileSystem, "_call_s3", refuse)
    for ask in (storage.stamp_of, storage.files_below, storage.read_file):
        with pytest.raises(kind, match=said) as caught:
            ask(place(f"{s3}/a"))
        assert caught.value.filename == f"{s3}/a"
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "answer", "said"),
    [
        ("cat_file", bytes(100), "sends the whole file for a part of it; download it first"),
        ("info", {"type": "file", "size": None}, "does not tell its size; download it first"),
    ],
)
def test_a_server_that_does_not_serve_ranges(
    memory: str, monkeypatch: pytest.MonkeyPatch, method: str, answer: Any, said: str
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    storage.write_object(place(f"{memory}/a"), b"1")
    monkeypatch.setattr(MemoryFileSystem, method, lambda *a, **k: answer)  # noqa: ARG005
    with pytest.raises(OSError, match=said):
        storage.read_file(place(f"{memory}/a"))


def test_a_place_of_ones_own_keeps_its_options(s3: str) -> None:
    """One that fsspec caches the listings of sees changes all the same."""
    from upath import UPath

    folder = place(UPath(s3, config_kwargs={"read_timeout": 7}))
    assert folder.storage_options == {"config_kwargs": {"read_timeout": 7}}  # type: ignore[attr-defined]
    for data in (b"1", b"22"):
        storage.write_object(place(f"{s3}/a"), data)
        ((file, stamp),) = storage.files_below(folder)
        assert storage.stamp_of(file) == stamp
        assert storage.read_file(file, stamp=stamp) == data
    storage.remove_file(place(f"{s3}/a"))
    assert storage.file_or_folder(file) is None


def test_listings_are_not_kept(remote: str) -> None:
    file = place(f"{remote}/a")
    assert storage.files_below(place(remote)) == []
    storage.write_object(file, b"1")
    ((path, stamp),) = storage.files_below(place(remote))
    assert (path, stamp) == (file, storage.stamp_of(file))
    storage.write_object(file, b"22")
    assert storage.stamp_of(file) != stamp
    assert storage.read_file(file) == b"22"
    storage.remove_file(file)
    storage.remove_file(file)
    assert storage.file_or_folder(file) is None
    assert storage.files_below(place(remote)) == []


def test_requests_are_tried_twice_in_a_worker_too(environment: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    import s3fs

    path = pickle.loads(pickle.dumps(place("s3://bucket/a")))
    s3fs.S3FileSystem.clear_instance_cache()  # as in another process
    assert path.fs.retries > 2
    assert storage._filesystem(path).retries == 2
