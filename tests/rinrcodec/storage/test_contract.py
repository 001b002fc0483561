"""One set of cases for every storage: a local folder, the memory of fsspec, and an S3 server."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rinrcodec.errors import RinrInputError, RinrLimitError
from rinrcodec.storage import Storage, size_in, storage_of, to_path
from rinrcodec.storage.local import LocalStorage
from rinrcodec.storage.remote import RemoteStorage

ODD_NAMES = ["a b", "ü日本", "a#1", "100%41", "[x]", "a-b", "a.b.c"]


@pytest.fixture(params=["local", "memory", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An empty folder of every kind."""
    if request.param == "local":
        return tmp_path
    return to_path(request.getfixturevalue(request.param))


@pytest.fixture
def storage(folder: Path) -> Storage:
    return storage_of(folder)


@pytest.fixture
def put(storage: Storage, folder: Path) -> Callable[..., Path]:
    def put(name: str, data: bytes = b"data") -> Path:
        path = storage.join(folder, name)
        storage.make_folder(path.parent)
        storage.write_whole(path, data)
        return path

    return put


Put = Callable[..., Path]


def test_the_right_storage_is_picked(folder: Path, tmp_path: Path) -> None:
    kind = LocalStorage if folder == tmp_path else RemoteStorage
    assert type(storage_of(folder)) is kind


def test_every_storage_answers_every_question() -> None:
    names = Storage.__annotations__.keys()
    assert "has_folders" in names
    for kind in (LocalStorage, RemoteStorage):
        assert all(hasattr(kind, name) for name in names)
        kind()  # raises for an operation that is missing


def test_write_and_read(storage: Storage, folder: Path, put: Put) -> None:
    path = put("deep/er/a", b"0123456789")
    assert storage.file_or_folder(path) == "file"
    assert storage.file_or_folder(path.parent) == "folder"
    assert storage.file_or_folder(folder / "b") is None
    assert storage.read_file(path) == b"0123456789"
    assert storage.read_range(path, 2, 5) == b"234"
    assert storage.read_range(path, 8, 99) == b"89"
    with storage.open_file(path) as file:
        assert (file.read(3), file.read()) == (b"012", b"3456789")
    storage.write_whole(path, b"new", durable=False)
    assert storage.read_file(path) == b"new"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_with_special_characters_are_kept(
    storage: Storage, folder: Path, put: Put, name: str
) -> None:
    path = put(f"{name}/{name}.txt")
    assert storage.read_file(path) == b"data"
    ((listed, _),) = storage.files_below(folder)
    assert listed == path
    assert storage.names_in(folder) == [name]
    text = storage.text_of(path)
    assert storage.at(text, folder) == path
    assert storage.relative_name(path, storage.text_of(folder)) == f"{name}/{name}.txt"


def test_an_empty_file(storage: Storage, put: Put) -> None:
    path = put("a", b"")
    assert storage.read_file(path) == b""
    assert size_in(storage.stamp_of(path)) == 0
    with storage.open_file(path) as file:
        assert file.read() == b""
    assert storage.open_ranges(path, head=10).read(0, 10) == b""


def test_listings(storage: Storage, folder: Path, put: Put) -> None:
    names = ["a-b", "a/b", "a/c/d", ".hidden", ".h/a", "a/.h"]
    files = {name: put(name, name.encode()) for name in names}
    expected = ["a-b", "a/b", "a/c/d"]
    listed = storage.files_below(folder)
    assert [path for path, _ in listed] == [files[name] for name in expected]
    assert [stamp for _, stamp in listed] == [storage.stamp_of(files[name]) for name in expected]
    assert [size_in(stamp) for _, stamp in listed] == [3, 3, 5]
    assert storage.names_in(folder) == [".h", ".hidden", "a", "a-b"]
    assert storage.names_in(folder / "gone") == []
    assert storage.files_below(folder / "gone") == []


def test_files_that_are_not_there(storage: Storage, folder: Path) -> None:
    path = folder / "gone"
    asks: list[Callable[[], Any]] = [
        lambda: storage.stamp_of(path),
        lambda: storage.read_file(path),
        lambda: storage.read_range(path, 0, 1),
        lambda: storage.open_ranges(path),
        lambda: storage.open_file(path).__enter__(),
    ]
    for ask in asks:
        with pytest.raises(FileNotFoundError) as caught:
            ask()
        assert caught.value.filename in (str(path), path)
        assert not storage.may_pass(path, caught.value)
    assert storage.may_pass(path, OSError(errno.EIO, "the disk fails"))
    storage.remove_file(path)
    storage.remove_tree(path)


def test_opening_a_folder_as_a_file_is_an_error(storage: Storage, put: Put) -> None:
    path = put("folder/a").parent
    with pytest.raises(IsADirectoryError) as caught:
        storage.open_ranges(path)
    assert caught.value.filename == str(path)
    assert not storage.may_pass(path, caught.value)


def test_changes_since_the_stamp_are_errors(storage: Storage, put: Put) -> None:
    path = put("a", b"1")
    stamp = storage.stamp_of(path)
    assert storage.read_file(path, stamp=stamp) == b"1"
    put("a", b"22")
    with pytest.raises(RinrInputError, match="changed after this run began"):
        storage.read_file(path, stamp=stamp)
    storage.remove_file(path)
    with pytest.raises(RinrInputError, match="was removed after this run began"):
        storage.read_file(path, stamp=stamp)


def test_a_large_file_is_refused(storage: Storage, put: Put) -> None:
    path = put("a", bytes(11))
    assert len(storage.read_file(path, most=11)) == 11
    with pytest.raises(RinrLimitError, match="11 bytes, at most 10 are read"):
        storage.read_file(path, most=10)


@pytest.mark.parametrize("head", [0, 4, 100])
def test_random_access(storage: Storage, put: Put, head: int) -> None:
    path = put("a", b"0123456789")
    source = storage.open_ranges(path, head=head)
    assert (source.name, source.size) == (str(path), 10)
    assert source.read(3, 4) == b"3456"
    assert source.read(0, 4) == b"0123"
    assert source.read(8, 9) == b"89"
    assert source.read(10, 1) == b""
    assert not source.changed()
    source.close()
    with pytest.raises(ValueError, match="the reader is closed"):
        source.read(0, 1)


def test_a_new_file_appears_at_the_end(storage: Storage, folder: Path) -> None:
    path = folder / "a"
    with storage.new_file(path) as file:
        file.write(b"half")
        assert storage.file_or_folder(path) is None
        file.write(b" and half")
    assert storage.read_file(path) == b"half and half"


def test_a_new_file_that_fails_changes_nothing(storage: Storage, folder: Path, put: Put) -> None:
    path = put("a", b"old")

    def fail() -> None:
        with storage.new_file(path) as file:
            file.write(b"new")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert storage.read_file(path) == b"old"
    assert storage.names_in(folder) == ["a"]


def test_create_file_never_replaces(storage: Storage, folder: Path) -> None:
    path = folder / "a"
    assert storage.create_file(path, b"first")
    assert not storage.create_file(path, b"second")
    assert storage.read_file(path) == b"first"


def test_move_and_remove(storage: Storage, folder: Path, put: Put) -> None:
    path, destination = put("x[1]", b"new"), put("y*", b"old")
    storage.move(path, destination)
    assert storage.names_in(folder) == ["y*"]
    assert storage.read_file(destination) == b"new"
    storage.remove_file(destination)
    assert storage.names_in(folder) == []
    for name in ("t/a", "t/b/c", "t-2"):
        put(name)
    storage.remove_tree(folder / "t")
    assert storage.names_in(folder) == ["t-2"]


def test_folders_are_created_only_where_there_are_folders(storage: Storage, folder: Path) -> None:
    made = folder / "a/b"
    storage.make_folder(made)
    storage.make_folder(made)
    assert (storage.file_or_folder(made) == "folder") is storage.has_folders
    if storage.has_folders:
        with pytest.raises(FileNotFoundError):
            storage.make_folder(folder / "c/d", parents=False)


def test_requests_keep_their_order(storage: Storage) -> None:
    assert storage.map_stored(lambda item: -item, range(40)) == [-item for item in range(40)]
    assert storage.map_stored(str, []) == []


def test_the_same_folder(storage: Storage, folder: Path, put: Put) -> None:
    put("a/b")
    assert storage.is_same(folder / "a", storage.join(folder, "a/../a"))
    assert not storage.is_same(folder / "a", folder)
    other = to_path("memory://elsewhere") if storage.has_native_paths else Path("elsewhere")
    assert not storage.is_same(folder, other)


def test_a_download_can_be_stopped(storage: Storage, put: Put) -> None:
    path = put("a")

    def stop() -> None:
        raise InterruptedError

    if storage.has_native_paths:
        with storage.open_file(path, on_block=stop) as file:
            assert file.read() == b"data"
    else:
        with pytest.raises(InterruptedError):
            storage.open_file(path, on_block=stop).__enter__()


def test_paths_as_text(storage: Storage, folder: Path) -> None:
    deep = storage.join(folder, "a/b/c")
    assert storage.absolute(deep) == deep == storage.normal(deep)
    assert storage.normal(storage.join(folder, "a/../b")) == folder / "b"
    assert not storage.text_of(folder).endswith("/")
    assert storage.text_of(deep).split("/")[storage.root_steps :][-3:] == ["a", "b", "c"]
    common = storage.common_folder([folder / "a/b", folder / "a/c/d"])
    assert common == storage.text_of(folder / "a")
    assert storage.relative_name(folder / "a/b/c.png", common) == "b/c.png"
    other = to_path("memory://x/y") if storage.has_native_paths else Path("/x/y")
    with pytest.raises(ValueError, match="several stores"):
        storage.common_folder([folder, other])


def test_two_buckets_have_their_protocol_in_common() -> None:
    paths = [to_path("s3://one/a"), to_path("s3://two/b")]
    storage = storage_of(paths[0])
    assert storage.common_folder(paths) == "s3://"
    assert storage.relative_name(paths[1], "s3://") == "two/b"
    with pytest.raises(ValueError, match="several stores"):
        storage.common_folder([paths[0], to_path("memory://one/a")])
