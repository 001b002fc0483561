"""The command line in this process, over tiny data sets."""

from __future__ import annotations

from collections.abc import Callable

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
from view_packs import pack_file, serving

from rinrcodec.cli.main import cli

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


# Few steps: these tests ask whether everything comes back, not how well.
QUICK = ("--preset", "fast", "--steps", "8", "--device", "cpu")
