"""Settings of the whole suite: pytest-xdist fills the cores, so torch must not do it again.

Remote stores are tested on an S3 server on the loopback, and on the memory of fsspec.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
# A busy machine is no defect of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


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
    from rinrcodec.places import place

    url = f"s3://bucket-{uuid.uuid4().hex}"
    place(url).fs.mkdir(url)  # type: ignore[attr-defined]
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
    from rinrcodec.places import place
    from rinrcodec.storage import write_object

    def copy(folder: Path, url: str) -> str:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                name = file.relative_to(folder).as_posix()
                write_object(place(url) / name, file.read_bytes())
        return url

    return copy
