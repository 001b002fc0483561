"""A family of another package, from the command line to Pillow and torch."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rinrcodec
from rinrcodec import RinrInputError, families

from .conftest import Run


@pytest.mark.usefixtures("toy")
def test_a_family_of_another_package_works_everywhere(
    run: Run, toy_frames: Path, tmp_path: Path
) -> None:
    out, back = tmp_path / "packs", tmp_path / "back"
    run("compress", toy_frames, "-o", out, "--background", "flat", "--objects", "flatter")
    (pack,) = out.glob("*.rinr")

    described = run("info", out, "--files").output
    assert '"family":"flat"' in described
    assert '"family":"flatter"' in described
    assert "1 row of coded bytes, 3 bytes" in described
    run("verify", out)
    run("decompress", out, "-o", back)
    with Image.open(back / "a.png") as image:
        pixels = np.asarray(image).astype(int)
    source = np.asarray(Image.open(toy_frames / "a.png")).astype(int)
    assert np.abs(pixels[0, 0] - source.mean((0, 1))).max() < 3  # the mean colour of the frame
    assert np.abs(pixels[10, 10] - source[10, 10]).max() < 3  # the object has its own

    rinrcodec.register_pillow()
    with Image.open(pack) as image:
        assert np.array_equal(np.asarray(image), pixels)
        image.seek(1)
        assert image.mode == "L"
    dataset = rinrcodec.RinrDataset(out)
    assert np.array_equal(dataset[0][0].permute(1, 2, 0).numpy(), pixels)
    assert dataset[0][1]["labels"].tolist() == [0]
    (batch,) = rinrcodec.RinrLoader(dataset, batch_size=2, device="cpu", resident=True)
    assert np.array_equal(batch[0][0].permute(1, 2, 0).numpy(), pixels)


@pytest.mark.usefixtures("toy")
def test_info_shows_packs_of_a_family_that_cannot_be_loaded(
    run: Run, toy_frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "packs"
    run("compress", toy_frames, "-o", out, "--background", "flat", "--objects", "flatter")
    entry = EntryPoint("flatter", "no_such_package:Flatter", families._ENTRY_POINTS)
    monkeypatch.setattr(families, "entry_points", lambda **_: [entry])
    monkeypatch.delitem(families._loaded, "flatter")
    with pytest.raises(RinrInputError, match="cannot be loaded"):
        families.family_of("flatter")
    described = run("info", out, "--files").output
    assert "1 row of coded bytes, 3 bytes" in described
    assert described.count(", family cannot be loaded") == described.count('"family":"flatter"') > 0
    unchecked = run("verify", out, code=4).stderr
    assert "not checked, as the family 'flatter' of no_such_package:Flatter cannot be" in unchecked
    monkeypatch.setattr(families, "entry_points", lambda **_: [])
    assert ", family not installed" in run("info", out, "--files").output
