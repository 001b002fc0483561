"""The command line in this process, over tiny data sets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tiny_sets import (
    LABELS,
    contents,
    dataset,
    folder,
    one_thread,
    picture,
    put,
    ray,
    video,
    write,
)
from view_packs import pack_file

from rinrcodec.cli.main import cli
from rinrcodec.cli.views.viewer.gallery import Gallery
from rinrcodec.cli.views.viewer.server import ViewServer
from rinrcodec.datasets.viewing.album import Album
from rinrcodec.datasets.viewing.sources import SourcePictures

__all__ = [
    "LABELS",
    "QUICK",
    "Run",
    "contents",
    "dataset",
    "folder",
    "one_thread",
    "pack_file",
    "picture",
    "put",
    "ray",
    "run",
    "serving",
    "video",
    "write",
]

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Run `rinrcodec ARGS`; the result's exit code must be `code`."""

    def run_cli(*args: object, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, [str(arg) for arg in args], prog_name="rinrcodec")
        bug = result.exception if not isinstance(result.exception, SystemExit) else None
        assert bug is None, repr(bug)
        assert result.exit_code == code, result.output
        return result

    return run_cli


@pytest.fixture
def serving() -> Iterator[Callable[..., ViewServer]]:
    """Serve packs, by their paths, in threads that end with the test."""
    with ExitStack() as stack:

        def start(*paths: Path, source: Path | None = None) -> ViewServer:
            gallery = Gallery(Album(paths), None if source is None else SourcePictures(source))
            stack.callback(gallery.close)
            server = stack.enter_context(ViewServer(gallery))
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server

        yield start


# Few steps: these tests ask whether everything comes back, not how well.
QUICK = ("--preset", "fast", "--steps", "8", "--device", "cpu")
