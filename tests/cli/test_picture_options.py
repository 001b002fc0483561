"""`--max-pixels` of every command, and `--depth-range`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rinrcodec.limits import DEFAULT_LIMITS

from .conftest import Run

FIT = ("--preset", "fast", "--steps", "1", "--background", "siren", "--device", "cpu")


@pytest.fixture
def low_limit() -> object:
    """A default limit that a small picture exceeds."""
    before = DEFAULT_LIMITS.max_pixels
    object.__setattr__(DEFAULT_LIMITS, "max_pixels", 1000)
    yield
    object.__setattr__(DEFAULT_LIMITS, "max_pixels", before)


@pytest.mark.usefixtures("low_limit")
def test_every_command_takes_max_pixels(run: Run, tmp_path: Path) -> None:
    Image.new("L", (40, 30), 90).save(tmp_path / "a.png")
    source, out, back = tmp_path / "a.png", tmp_path / "p", tmp_path / "b"
    failed = run("compress", source, "-o", out, *FIT, code=1)
    assert failed.stderr.splitlines()[-1] == (
        f"error: {source}: 40x30 pixels: 1,200 is over the limit max_pixels = 1,000; "
        "allow more with --max-pixels, or cut it into tiles"
    )
    allowed = ("--max-pixels", "1200")
    run("compress", source, "-o", out, *FIT, *allowed)
    for command in (("verify", out), ("info", "--files", out), ("decompress", out, "-o", back)):
        assert "--max-pixels" in run(*command, code=1).stderr
        run(*command, *allowed)
    assert (back / "a.png").exists()


def test_a_depth_range_uses_all_greys(run: Run, tmp_path: Path) -> None:
    values = (np.arange(40 * 30).reshape(30, 40) + 7000).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    said = run("compress", tmp_path / "a.png", "-o", tmp_path / "p", *FIT).stderr
    assert "a.png: 16-bit values from 7000 to 8199 leave" in said
    assert "--depth-range 7000:8199 keeps more" in said
    given = ("--depth-range", "7000:8199", "--overwrite")
    said = run("compress", tmp_path / "a.png", "-o", tmp_path / "p", *FIT, *given).stderr
    assert "16-bit" not in said
    assert "7000.0, 8199.0" in run("info", "--files", "--json", tmp_path / "p").stdout


@pytest.mark.parametrize("text", ["7", "9:1", "a:b", "1:2:3", ":"])
def test_malformed_depth_ranges_are_usage_errors(run: Run, tmp_path: Path, text: str) -> None:
    said = run("compress", tmp_path, "-o", tmp_path / "p", "--depth-range", text, code=2).stderr
    assert "is not LOW:HIGH with LOW below HIGH" in said
