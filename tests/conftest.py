"""Settings of the whole suite: pytest-xdist fills the cores, so torch must not do it again.

Remote stores are tested on an S3 server on the loopback, and on the memory of fsspec.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from PIL import Image
from quick_pyramids import round_few

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # where tests have more, none waits busily
# As in a job that a shell script starts in the background (`make test &`): see `_interruptible`.
if "PYTEST_XDIST_WORKER" in os.environ:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
# A busy machine is no defect of the code. Examples differ from run to run, so few are enough.
settings.register_profile("patient", deadline=None, max_examples=50)
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the commands of README, a long test of the last file: no core waits for it."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")


@pytest.fixture(autouse=True)
def _interruptible() -> None:
    """Give every test, and the processes that it starts, the usual handlers of SIGINT and SIGHUP.

    A job in the background ignores the one, and `nohup` the other. A library below Ultralytics
    replaces the handler without Python's knowledge.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _unpatched() -> Iterator[None]:
    """Undo what Ultralytics, or its first import in a test, leaves in this process."""
    environment = set(os.environ)
    kept = [(Image, "open", Image.open)]
    if torch := sys.modules.get("torch"):
        kept += [(torch, name, getattr(torch, name)) for name in ("save", "load")]
    yield
    for module, name, value in kept:
        setattr(module, name, value)
    for name in set(os.environ) - environment:
        if name.startswith("YOLO_"):
            del os.environ[name]


@pytest.fixture(scope="session", autouse=True)
def _families_are_looked_up_once() -> Iterator[None]:
    """Look for families of other packages once for each `sys.path`, not in every encode."""
    from rinrcodec import families

    found: dict[tuple[str, ...], Any] = {}
    look = families.entry_points

    def looked_up(*, group: str) -> Any:
        key = (group, *sys.path)
        if key not in found:
            found[key] = look(group=group)
        return found[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(families, "entry_points", looked_up)
        yield


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server of this process, to which AWS_* lead from now on."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.delenv("AWS_PROFILE", raising=False)
        yield url
    server.stop()


@pytest.fixture
def s3(s3_server: str) -> str:  # noqa: ARG001
    """The URL of a new bucket."""
    import fsspec

    url = f"s3://bucket-{uuid.uuid4().hex}"
    fsspec.filesystem("s3").mkdir(url)
    return url


@pytest.fixture
def memory() -> Iterator[str]:
    """The URL of a new folder in the memory of fsspec."""
    import fsspec

    name = f"/folder-{uuid.uuid4().hex}"
    yield f"memory:/{name}"
    filesystem = fsspec.filesystem("memory")
    if filesystem.exists(name):
        filesystem.rm(name, recursive=True)


@pytest.fixture(params=["memory", "s3"])
def remote(request: pytest.FixtureRequest) -> str:
    """The URL of a new folder or bucket, of either kind."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def upload() -> Callable[[Path, str], str]:
    """Copy a folder of this machine below a URL, which is returned."""
    from rinrcodec.storage import to_path
    from rinrcodec.storage.atomic import write_whole

    def copy(folder: Path, url: str) -> str:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                name = file.relative_to(folder).as_posix()
                write_whole(to_path(url) / name, file.read_bytes())
        return url

    return copy


@pytest.fixture
def s3_requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests to S3 from now on, by their names."""
    from s3fs import S3FileSystem

    methods: list[str] = []
    ask = S3FileSystem._call_s3

    async def noted(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        methods.append(method)
        return await ask(self, method, *args, **kwargs)

    monkeypatch.setattr(S3FileSystem, "_call_s3", noted)
    return methods


@pytest.fixture
def put_run() -> Callable[..., Path]:
    """Write packs to a folder, and a manifest that has them as a run; returns the manifest.

    packs: a file as bytes for each shard, of `n_frames` frames. Others of the manifest stay.
    """
    from rinrcodec.datasets.manifest import MANIFEST, FileRecord, Manifest, RunEntry, ShardEntry

    def put(
        folder: Path,
        packs: list[bytes],
        *,
        n_frames: int,
        series: str = "train",
        below: str = "",
        complete: bool = True,
        unlabelled: int | None = 0,
    ) -> Path:
        shards = []
        (folder / below).mkdir(parents=True, exist_ok=True)
        for i, data in enumerate(packs):
            name = f"{below}{series}-{i:05d}.rinr"
            (folder / name).write_bytes(data)
            record = FileRecord(len(data), hashlib.sha256(data).hexdigest())
            start, stop = i * n_frames, (i + 1) * n_frames
            shard = ShardEntry(series, i, start, n_frames, f"{start}.png", f"{stop - 1}.png", "")
            shard.state, shard.frames, shard.files = "done", n_frames, {name: record}
            shard.unlabelled = unlabelled
            shards.append(shard)
        manifest = Manifest(folder / MANIFEST)
        key = hashlib.sha256(f"{series} {len(packs)}".encode()).hexdigest()[:24]
        manifest.put(RunEntry(key, {"seed": 0}, shards, complete))
        manifest.path.write_bytes(manifest.data())
        return manifest.path

    return put


_opened: list[str] | None = None


def _note(event: str, args: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open" and isinstance(args[0], (str, os.PathLike)):
        _opened.append(os.fspath(args[0]))


@pytest.fixture(scope="session")
def _hook() -> None:
    # There is no way to take it out again.
    sys.addaudithook(_note)


@pytest.fixture
def opens(_hook: None) -> Callable[[Path], Any]:
    """A context that collects the names of all files below a folder that Python opens."""

    @contextmanager
    def noting(folder: Path) -> Iterator[list[str]]:
        global _opened
        _opened, below = [], []
        try:
            yield below
        finally:
            start = f"{folder}/".replace("//", "/")
            below += [path[len(start) :] for path in _opened if path.startswith(start)]
            _opened = None

    return noting


@pytest.fixture
def few_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make fits of pyramids quicker; see `round_few`."""
    round_few(monkeypatch)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Register the families of `toy_families` for one test, as another package would."""
    from rinrcodec import families

    monkeypatch.setattr(families, "_loaded", dict(families._loaded))
    monkeypatch.setattr(families, "_broken", {})
    monkeypatch.delitem(sys.modules, "toy_families", raising=False)
    import_module("toy_families")  # which registers them
    yield
    monkeypatch.delitem(sys.modules, "toy_families", raising=False)


@pytest.fixture
def toy_frames(tmp_path: Path) -> Path:
    """Return a folder of two pictures, one of them grey, with a box each."""
    import numpy as np
    from PIL import Image

    folder = tmp_path / "frames"
    folder.mkdir()
    pixels = np.full((24, 32, 3), (200, 40, 90), np.uint8)
    pixels[8:16, 8:20] = (10, 250, 60)
    Image.fromarray(pixels).save(folder / "a.png")
    Image.fromarray(pixels[:, :, 1]).save(folder / "b.png")
    for name in "ab":
        (folder / f"{name}.txt").write_text("0 0.4375 0.5 0.375 0.333333\n", encoding="utf-8")
    return folder
