"""`rinrcodec bench ladder`, in this process."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner
from PIL import Image

from rinrcodec.cli.main import cli
from rinrcodec.errors import MissingExtraError

QUICK = ("--steps", "8", "--device", "cpu", "--preset", "fast")
INRS = ["siren BS", "siren BE", "siren DE", "siren RE", "siren QRE"]


def first_words(lines, known):
    return [name for line in lines for name in known if line.strip("| ").startswith(name)]


@pytest.mark.slow
def test_a_yaml_gives_a_page_figures_plots_and_packs(run, dataset, tmp_path):
    out = tmp_path / "a folder" / "out"
    result = run("bench", "ladder", dataset, "-o", out, "--frames", 3, *QUICK)
    report = json.loads((out / "ladder.json").read_text(encoding="utf-8"))
    names = [row["row"] for row in report["rows"]]
    assert {"jpeg q50", *INRS, "jpeg at siren QRE", "composite at siren QRE"} <= set(names)
    for row in report["rows"]:
        assert [frame["frame"] for frame in row["frames"]] == [
            "train/a.png",
            "train/b.png",
            "val/s/c.png",
        ]
        if row["row"] in INRS:
            assert row["bytes_a_frame"] == (out / row["file"]).stat().st_size / 3
    page = (out / "ladder.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert first_words(lines, ["jpeg q50", *INRS]) == ["jpeg q50", *INRS]
    assert "RE is" in page
    for plot in ("ladder_quality.png", "ladder_sizes.png"):
        assert f"({plot})" in page
        with Image.open(out / plot) as image:
            assert image.width > 500
    for name in names:
        assert f"{name}: " in result.output
    assert "of 2 frames)" in result.output  # of the three, one has no box
    assert "…" not in result.output  # the table fits into 80 columns
    assert str(tmp_path) not in page


def test_frames_are_spread_evenly_and_quiet_prints_nothing(run, dataset, tmp_path):
    out = tmp_path / "out"
    result = run("bench", "ladder", dataset, "-o", out, "--frames", 2, "--quiet", *QUICK)
    assert result.output == ""
    report = json.loads((out / "ladder.json").read_text(encoding="utf-8"))
    for row in report["rows"]:
        assert [frame["frame"] for frame in row["frames"]] == ["train/a.png", "val/s/c.png"]


def test_two_families_share_one_page(run, dataset, tmp_path):
    source, out = dataset.parent / "images", tmp_path / "out"
    both = ("--background", "siren", "--background", "nerv")
    run("bench", "ladder", source, "-o", out, "--frames", 2, *both, *QUICK)
    report = json.loads((out / "ladder.json").read_text(encoding="utf-8"))
    rows = {row["row"]: row for row in report["rows"]}
    assert {*INRS, *(name.replace("siren", "nerv") for name in INRS)} <= set(rows)
    # All three frames are encoded by nerv, the two that were taken are compared.
    sizes = {name: (out / rows[name]["file"]).stat().st_size for name in ("siren RE", "nerv RE")}
    assert rows["siren RE"]["bytes_a_frame"] == sizes["siren RE"] / 2
    assert rows["nerv RE"]["bytes_a_frame"] == sizes["nerv RE"] / 3
    for row in rows.values():
        assert [frame["frame"] for frame in row["frames"]] == ["train/a.png", "val/s/c.png"]


def test_sources_that_cannot_be_compared_are_refused_before_anything_is_written(
    run, folder, dataset, tmp_path
):
    out = tmp_path / "out"
    empty = tmp_path / "empty"
    empty.mkdir()
    pack = tmp_path / "x.rinr"
    pack.touch()
    images = dataset.parent / "images"
    (images / "train" / "a.png").write_bytes(b"no picture")
    for source, code, words in (
        (tmp_path / "absent", 2, "there is no such file or folder"),
        (empty, 1, "no picture in this folder"),
        (folder, 1, "no object on any frame that was taken (5 in all)"),
        (images / "train", 1, f"error: {images / 'train' / 'a.png'}: not a picture"),
        (pack, 2, "not of their packs"),
    ):
        result = run("bench", "ladder", source, "-o", out, *QUICK, code=code)
        assert words in " ".join(result.output.split())
    assert not out.exists()
    run("bench", "ladder", images, "-o", out, "--frames", 0, *QUICK, code=2)


@pytest.mark.parametrize("package", ["skimage", "matplotlib"])
def test_a_missing_extra_is_named_before_anything_is_fitted(
    dataset, tmp_path, monkeypatch, package
):
    for module in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, "rinrcodec.cli.views.ladder_plots", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    words = ["bench", "ladder", str(dataset), "-o", str(tmp_path / "out"), *QUICK]
    result = CliRunner().invoke(cli, words, standalone_mode=False)
    assert isinstance(result.exception, MissingExtraError)
    assert result.exception.extra == "demo"
    assert not (tmp_path / "out").exists()
