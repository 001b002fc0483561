from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.cli.commands.demo import command
from rinrcodec.errors import MissingExtraError
from rinrcodec.sources import samples
from rinrcodec.sources.images import picture_from_array
from rinrcodec.sources.samples import CLASS_NAMES, sample_pictures


@pytest.fixture
def small_pictures(monkeypatch):
    """The first two pictures at a sixth of their size, so that a fit takes no time."""
    small = []
    for picture in sample_pictures()[:2]:
        pixels = np.array(Image.fromarray(picture.pixels).reduce(6))
        boxes = tuple(replace(b, x=b.x / 6, y=b.y / 6, w=b.w / 6, h=b.h / 6) for b in picture.boxes)
        small.append(replace(picture, pixels=pixels, boxes=boxes))
    monkeypatch.setattr(samples, "sample_pictures", lambda: small)
    return small


def test_sample_pictures_have_boxes_and_a_source_size():
    pictures = sample_pictures()
    assert [picture.name for picture in pictures] == [
        "astronaut.jpg", "chelsea.jpg", "coffee.jpg", "rocket.jpg",
    ]  # fmt: skip
    for picture in pictures:
        assert picture.height <= 360
        assert picture.source_bytes > 10_000
        assert picture.boxes
        for box in picture.boxes:
            assert CLASS_NAMES[box.class_id]
            region = box.region(picture.width, picture.height)
            assert (region.width, region.height) == (box.w, box.h)
            inside = picture.pixels[region.slices]
            assert inside.std() > 20


@pytest.mark.slow
def test_the_demo_ends_in_a_pack_a_table_and_a_picture(tmp_path, small_pictures):
    out = tmp_path / "a folder"
    result = CliRunner().invoke(
        command, ["-o", str(out), "--steps", "30", "--device", "cpu"], catch_exceptions=False
    )
    assert result.exit_code == 0
    ours = ("balanced, av1, 30", "fast, siren, 30")
    headings = ("codec", "bits per", "outside", "inside", "time to")
    for name in (*ours, *headings, "JPEG", "WebP", "AVIF + crops", "dB", "verified"):
        assert name in result.output
    assert str(out / "comparison.png") in result.output.replace("\n", "")
    with Image.open(out / "comparison.png") as picture:
        assert picture.width > 2000
        assert np.asarray(picture.convert("L")).std() > 20
    with rinrcodec.open(out / "demo.rinr") as file:
        assert [file.frame(i).name for i in range(file.n_frames)] == [
            picture.name for picture in small_pictures
        ]
        assert file.boxes(0) == small_pictures[0].boxes
        for i, pixels in enumerate(file):
            frame = file.frame(i)
            for box in frame.boxes:
                region = box.region(frame.width, frame.height)
                crop = file.decode(i, region=region)
                assert torch.equal(crop, pixels[(slice(None), *region.slices)])


@pytest.mark.parametrize(
    ("options", "presets"),
    [
        (("--background", "siren"), ["fast, siren"]),
        (("--background", "siren", "--background", "av1"), ["fast, siren", "fast, av1"]),
        (("--preset", "paper", "--overwrite"), ["paper, siren"]),
    ],
)
def test_the_pack_has_the_first_background(tmp_path, monkeypatch, options, presets):
    tiny = picture_from_array(sample_pictures()[0].pixels[100:124, 100:132], name="a.jpg")
    tiny = replace(tiny, boxes=(Box(0, 4, 4, 9, 9),), source_bytes=1000)
    monkeypatch.setattr(samples, "sample_pictures", lambda: [tiny])
    preset = () if "--preset" in options else ("--preset", "fast")
    args = ["-o", str(tmp_path), "--steps", "2", "--device", "cpu", *preset, *options]
    if "--overwrite" in options:
        (tmp_path / "demo.rinr").write_text("an earlier one")
    result = CliRunner().invoke(command, args, catch_exceptions=False)
    assert result.exit_code == 0
    shown = [line.strip() for line in result.output.splitlines()]
    for preset in presets:
        (row,) = [line for line in shown if line.startswith(f"{preset}, 2 steps ")]
        assert row.endswith(" s")
    with rinrcodec.open(tmp_path / "demo.rinr") as file:
        assert file.info["preset"] == f"{presets[0]}, 2 steps"


@pytest.mark.parametrize("name", ["demo.rinr", "comparison.png"])
def test_existing_files_are_kept_without_overwrite(tmp_path, name):
    (tmp_path / name).symlink_to("nowhere")
    result = CliRunner().invoke(command, ["-o", str(tmp_path)])
    assert str(result.exception) == f"{tmp_path / name} is already there; --overwrite replaces it"
    assert result.exception.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("package", ["skimage", "matplotlib"])
def test_a_missing_extra_is_named_before_anything_is_fitted(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    for module in (
        "matplotlib.figure",
        "matplotlib.patches",
        "rinrcodec.cli.views.comparison_picture",
    ):
        monkeypatch.delitem(sys.modules, module, raising=False)
    for module in [name for name in sys.modules if name.startswith("matplotlib.backends")]:
        monkeypatch.delitem(sys.modules, module)
    result = CliRunner().invoke(command, ["-o", str(tmp_path / "out")])
    assert isinstance(result.exception, MissingExtraError)
    assert result.exception.extra == "demo"
    assert not (tmp_path / "out").exists()


def test_other_pixels_from_the_file_are_an_error(tmp_path, monkeypatch, small_pictures):
    del small_pictures

    def decode(*args):
        images = original(*args)
        images[0][0, 0, 0] ^= 1
        return images

    original = rinrcodec.decode
    monkeypatch.setattr(rinrcodec, "decode", decode)
    args = ["-o", str(tmp_path), "--steps", "2", "--device", "cpu"]
    result = CliRunner().invoke(command, args)
    assert "other pixels" in str(result.exception)
