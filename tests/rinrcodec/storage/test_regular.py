"""Local files are opened once, without waiting, and only where they are regular files."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest
from odd_files import ODD_KINDS, in_time, make_odd

from rinrcodec.errors import RinrInputError, RinrLimitError
from rinrcodec.storage import files_below, read_file, read_range, regular, storage_of
from rinrcodec.storage.regular import open_binary, open_regular, read_whole

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without FIFOs")


def open_ranges(path: Path) -> bytes:
    source = storage_of(path).open_ranges(path)
    try:
        return source.read(0, 10)
    finally:
        source.close()


def open_file(path: Path) -> bytes:
    with storage_of(path).open_file(path) as file:
        return file.read(16)


@pytest.mark.parametrize("kind", ODD_KINDS)
def test_odd_files_are_errors_that_name_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    make_odd(kind, monkeypatch)(path := tmp_path / "odd")
    for read in (read_file, open_file, open_ranges, lambda one: read_range(one, 0, 16)):
        expected = ODD_KINDS[kind] or str(path)
        with in_time(), pytest.raises((OSError, RinrInputError), match=expected) as caught:
            read(path)
        assert str(path) in str(caught.value)
        if isinstance(caught.value, OSError):
            assert not storage_of(path).may_pass(path, caught.value)


def test_a_fifo_that_takes_the_place_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fifo appears between the first check and the opening."""
    path = tmp_path / "a"
    real = os.open

    def swap(name: Path, flags: int, *args: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return real(name, flags, *args)

    monkeypatch.setattr(os, "open", swap)
    for read in (read_file, open_file, open_ranges):
        path.unlink(missing_ok=True)
        path.write_bytes(b"x")
        before = len(list(Path("/dev/fd").iterdir()))
        with in_time(), pytest.raises(OSError, match="a FIFO or pipe") as caught:
            read(path)
        assert caught.value.errno == errno.EINVAL
        assert len(list(Path("/dev/fd").iterdir())) == before


def test_a_file_replaced_while_open_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The opened file is read, although its name leads elsewhere by now."""
    path, secret = tmp_path / "a", tmp_path / "secret"
    path.write_bytes(b"own")
    secret.write_bytes(b"secret")
    real = os.read

    def swap(descriptor: int, length: int) -> bytes:
        path.unlink(missing_ok=True)
        path.symlink_to(secret)
        return real(descriptor, length)

    monkeypatch.setattr(os, "read", swap)
    assert read_file(path) == b"own"


@pytest.mark.parametrize("grow", [1, 100])
def test_no_more_is_read_than_the_size(tmp_path: Path, grow: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    descriptor, status = open_regular(path)
    try:
        with path.open("ab") as file:
            file.write(b"x" * grow)
        with pytest.raises(RinrInputError, match=r"a: has more bytes than its size of 5 says"):
            read_whole(descriptor, status.st_size, path)
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 6
    finally:
        os.close(descriptor)


def test_a_file_that_grows_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    real = os.read

    def append(descriptor: int, length: int) -> bytes:
        with path.open("ab") as file:
            file.write(b"more")
        return real(descriptor, length)

    monkeypatch.setattr(os, "read", append)
    with pytest.raises(RinrInputError, match=r"a: changed while it was read; wait until"):
        read_file(path)


def test_files_without_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of /proc, for example, on an unknown file system."""
    if not Path("/proc/self/status").exists():
        pytest.skip("a system without /proc")
    (tmp_path / "a").symlink_to("/proc/self/status")
    monkeypatch.setattr(regular, "kernel_devices", frozenset)
    with pytest.raises(RinrInputError, match="has more bytes than its size of 0 says"):
        read_file(tmp_path / "a")
    assert len(read_range(tmp_path / "a", 0, 20)) == 20


@pytest.mark.parametrize("name", ["/proc/self/mem", "/proc/self/environ", "/sys/kernel/mm"])
def test_links_to_the_kernel(tmp_path: Path, name: str) -> None:
    """/proc is not searched, and none of its errors is reported as a failing disk."""
    if not Path(name).exists():
        pytest.skip(f"a system without {name}")
    (tmp_path / "a").symlink_to(name)
    (tmp_path / "b").write_bytes(b"x")
    unlisted: list[OSError] = []
    files = [file.name for file, _ in files_below(tmp_path, unlisted=unlisted)]
    if Path(name).is_dir():
        assert files == ["b"]
        assert [error.filename for error in unlisted] == [str(tmp_path / "a")]
        return
    assert files == ["a", "b"]
    with pytest.raises(OSError, match="a file of the kernel, not a regular file") as caught:
        read_file(tmp_path / "a")
    assert not storage_of(tmp_path).may_pass(tmp_path / "a", caught.value)


def test_a_folder_called_proc_on_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regular, "_KERNEL", (str(tmp_path), "/", "/nowhere"))
    regular.kernel_devices.cache_clear()
    assert not regular.kernel_devices()
    regular.kernel_devices.cache_clear()


def test_sizes_that_are_too_large(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(RinrLimitError, match="at most 2,147,483,648 are read"):
        read_file(path)
    with pytest.raises(RinrLimitError, match="at most 10 are read"):
        read_file(path, most=10)


def test_an_opened_file_reads_and_seeks(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    with open_binary(path) as file:
        assert (file.name, file.read(3), file.seek(-2, io.SEEK_END), file.read()) == (
            *(str(path), b"012", 8, b"89"),
        )
        assert os.fstat(file.fileno()).st_size == 10
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_errors_of_reading_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def wait(*_: object) -> bytes:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    for name, read in (("read", read_file), ("pread", open_ranges)):
        monkeypatch.setattr(os, name, fail)
        with pytest.raises(OSError, match=r"Input/output error: '.*a'") as caught:
            read(path)
        assert storage_of(path).may_pass(path, caught.value)
        monkeypatch.setattr(os, name, wait)
        with pytest.raises(OSError, match=r"no data to read at the moment: '.*a'") as caught:
            read(path)
        assert not storage_of(path).may_pass(path, caught.value)


def test_a_tree_deeper_than_paths_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tree is listed as far as the system allows, and an error names the rest."""
    (tmp_path / "a").write_bytes(b"x")
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        for _ in range(60):
            os.mkdir(name := "d" * 100)  # noqa: PTH102
            os.chdir(name)
            (Path("file")).touch()
        os.chdir(tmp_path)
    unlisted: list[OSError] = []
    files = files_below(tmp_path, unlisted=unlisted)
    assert files[0][0] == tmp_path / "a"
    assert 20 < len(files) < 60
    assert [error.errno for error in unlisted] == [errno.ENAMETOOLONG]
    with pytest.raises(OSError, match="File name too long"):
        files_below(tmp_path)
