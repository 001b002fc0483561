"""Requests to stores: the errors of their libraries, time limits, and fresh answers."""

from __future__ import annotations

import pickle
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rinrcodec import storage
from rinrcodec.storage import to_path
from rinrcodec.storage.atomic import write_whole


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
        storage.stamp_of(to_path("s3://bucket/a"))


def test_an_unknown_profile(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(PermissionError, match=r"profile \(nobody\) could not be found"):
        storage.stamp_of(to_path("s3://bucket/a"))


def test_an_unreachable_server_is_an_error(environment: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(OSError, match=r"the server cannot be reached .*\(AWS_ENDPOINT_URL"):
            storage.files_below(to_path("s3://bucket/a"))
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
            storage.stamp_of(to_path("s3://bucket/a"))
        # Twice two attempts, and short waits between them.
        assert time.monotonic() - began < 10


def test_timeouts_are_short_and_can_be_configured(environment: pytest.MonkeyPatch) -> None:
    import fsspec

    def options() -> Any:
        path: Any = to_path("s3://bucket")
        return path.storage_options["config_kwargs"]

    assert options()["connect_timeout"] + options()["read_timeout"] <= 15
    assert options()["retries"]["total_max_attempts"] == 2
    environment.setenv("AWS_MAX_ATTEMPTS", "9")
    environment.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 99}})
    assert options()["read_timeout"] == 99
    assert "retries" not in options()


def test_no_such_bucket(s3_server: str) -> None:  # noqa: ARG001
    for ask in (storage.stamp_of, storage.file_or_folder, storage.files_below):
        with pytest.raises(FileNotFoundError, match="there is no such bucket: 's3://nowhere/a"):
            ask(to_path("s3://nowhere/a"))
    with pytest.raises(FileNotFoundError, match="there is no such bucket"):
        storage.file_or_folder(to_path("s3://nowhere"))


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
def test_refusals_of_a_server_have_a_type_and_a_text(
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
            ask(to_path(f"{s3}/a"))
        assert caught.value.filename == f"{s3}/a"
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "answer", "said"),
    [
        ("cat_file", bytes(100), "does not send parts of files; download it first"),
        ("info", {"type": "file", "size": None}, "does not report its size; download it first"),
    ],
)
def test_a_server_that_does_not_serve_ranges(
    memory: str, monkeypatch: pytest.MonkeyPatch, method: str, answer: Any, said: str
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    write_whole(to_path(f"{memory}/a"), b"1")
    monkeypatch.setattr(MemoryFileSystem, method, lambda *a, **k: answer)  # noqa: ARG005
    with pytest.raises(OSError, match=said):
        storage.read_file(to_path(f"{memory}/a"))


def test_a_upath_keeps_its_options(s3: str) -> None:
    """Changes are seen although fsspec caches listings."""
    from upath import UPath

    folder: Any = to_path(UPath(s3, config_kwargs={"read_timeout": 7}))
    assert folder.storage_options == {"config_kwargs": {"read_timeout": 7}}
    for data in (b"1", b"22"):
        write_whole(to_path(f"{s3}/a"), data)
        ((file, stamp),) = storage.files_below(folder)
        assert storage.stamp_of(file) == stamp
        assert storage.read_file(file, stamp=stamp) == data
    storage.remove_file(to_path(f"{s3}/a"))
    assert storage.file_or_folder(file) is None


def test_listings_are_not_kept(remote: str) -> None:
    file = to_path(f"{remote}/a")
    assert storage.files_below(to_path(remote)) == []
    write_whole(file, b"1")
    ((path, stamp),) = storage.files_below(to_path(remote))
    assert (path, stamp) == (file, storage.stamp_of(file))
    write_whole(file, b"22")
    assert storage.stamp_of(file) != stamp
    assert storage.read_file(file) == b"22"
    storage.remove_file(file)
    storage.remove_file(file)
    assert storage.file_or_folder(file) is None
    assert storage.files_below(to_path(remote)) == []


def test_requests_are_tried_twice_in_a_worker_too(environment: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    import s3fs

    path: Any = pickle.loads(pickle.dumps(to_path("s3://bucket/a")))
    s3fs.S3FileSystem.clear_instance_cache()  # as in another process
    assert path.fs.retries > 2
    with pytest.raises(FileNotFoundError, match="no such bucket"):
        storage.stamp_of(path)
    assert path.fs.retries == 2
