"""The page of a report without the command line: crops, colours, texts, what a detector found."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from markupsafe import Markup
from PIL import Image

from rinrcodec.boxes import Box
from rinrcodec.cli.views.report import plots
from rinrcodec.cli.views.report.page import report_page
from rinrcodec.cli.views.report.pictures import show_frame
from rinrcodec.cli.views.report.plots import colours_of
from rinrcodec.cli.views.report.tables import row_table
from rinrcodec.evaluation.measure import Measured, measure
from rinrcodec.evaluation.report import make_report
from rinrcodec.pack import Metadata
from rinrcodec.sources.discover import open_source

from .conftest import picture, put, write
from .report_pages import Page, with_accuracy


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A frame with a box."""
    folder = tmp_path_factory.mktemp("frames")
    put(folder / "a.jpg", picture(0, 240, 120), quality=95)
    write(folder / "a.txt", "0 0.5 0.5 0.1 0.2\n")
    return measure(open_source(folder), [0], ["av1"], effort="fast", device="cpu")


@pytest.fixture
def unplotted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without plots, which take most of the time."""
    monkeypatch.setattr(plots, "_svg", lambda *_, **__: Markup("<svg></svg>"))


def page_of(measured: Measured) -> str:
    return report_page(make_report(measured, path="frames", n_source_frames=1, bandwidth=2e6))


@pytest.mark.parametrize(
    ("width", "height", "scale"),
    [(1, 1, 4), (20, 26, 4), (30, 20, 3), (40, 20, 2), (53, 53, 2), (120, 120, 2), (240, 120, 2)],
)
def test_crops_are_enlarged_by_whole_numbers(measured, width, height, scale):
    box = Box(0, 120 - width / 2, 60 - height / 2, width, height)
    (plain,) = measured.pictures
    boxed = replace(measured, pictures=(replace(plain, boxes=(box,)),))
    shown = show_frame(boxed, 0)
    assert shown.scale == scale
    for crop in shown.crops:
        with Image.open(io.BytesIO(base64.b64decode(crop.src.partition(",")[2]))) as image:
            assert (crop.width, crop.height) == (scale * image.width, scale * image.height)
        assert max(crop.width, crop.height) <= 192


@pytest.mark.usefixtures("unplotted")
def test_the_page_says_how_many_times_crops_are_enlarged(measured):
    text = page_of(measured)
    assert "enlarged 4 times" in Page(text).texts
    crops = re.findall(r'width="(\d+)" height="(\d+)" class="crop"', text)
    assert crops == [("192", "192")] * (1 + len(measured.rows))


@pytest.mark.usefixtures("unplotted")
def test_a_detector_that_finds_something_ranks_the_recipes(measured):
    page = Page(page_of(with_accuracy(measured, 0.25, 0.5)))
    assert page.texts.count("What the detector finds") == 1
    assert "mAP50-95" in page.texts
    assert page.cells("JPEG")[2:4] == ["0.250", "0.250"]
    assert any(text.startswith("The detector finds most in ") for text in page.texts)
    assert not any("--detector MODEL" in text for text in page.texts)


@pytest.mark.usefixtures("unplotted")
def test_a_detector_that_finds_nothing_ranks_nothing(measured):
    report = make_report(
        with_accuracy(measured, 0.0, 0.0), path="frames", n_source_frames=1, bandwidth=2e6
    )
    page = Page(report_page(report))
    assert (
        "The detector found nothing in the originals, so it does not rank the recipes. Check that "
        "its class ids match the labels."
    ) in page.texts
    assert "What the detector finds" not in page.texts
    assert not any("mAP" in text or "0.000" in text for text in page.texts)
    assert not any("finds most" in text for text in page.texts)


def test_no_recipe_is_the_best_where_a_detector_finds_nothing_in_any(measured):
    report = make_report(
        with_accuracy(measured, 0.0, 0.5), path="frames", n_source_frames=1, bandwidth=2e6
    )
    table = row_table(report)
    column = table.header.index("mAP50-95")
    assert {cells[column] for cells in table.rows[:-1]} == {"0.000"}
    assert column not in {number for _, number in table.best}


def test_rows_of_ours_have_colours_of_their_own(measured):
    ours = [
        replace(row, recipe=replace(row.recipe, name=f"{row.name} {number}"))
        for number in range(2)
        for row in measured.rows
        if row.is_ours
    ]
    assert len(ours) == 8
    others = [row for row in measured.rows if not row.is_ours]
    colours = colours_of(Measured(measured.pictures, (*ours, *others), ours[1], measured.source))
    assert len(set(colours.values())) == len(ours) + len(others)


@pytest.fixture
def plain(tmp_path):
    """A small source that is measured without the command line."""
    put(tmp_path / "frames/a.jpg", picture(0, 32, 24))
    return measure(open_source(tmp_path / "frames"), [0], ["av1"], effort="fast", device="cpu")


def test_every_text_is_escaped(plain):
    """Also the texts that come from no file name: the advice, and how the page was made."""
    hostile = '<b onclick="x">&amp;</b>'
    pictures = (replace(plain.pictures[0], name=hostile),)
    first, *rest = plain.rows
    first = replace(first, recipe=replace(first.recipe, name=hostile, settings=hostile))
    measured = Measured(pictures, (first, *rest), first, plain.source)
    report = make_report(
        measured,
        path=hostile,
        n_source_frames=1,
        bandwidth=2e6,
        left_out={hostile: hostile},
        made={hostile: hostile, "device": hostile},
    )
    text = report_page(report)
    page = Page(text)
    assert hostile not in text
    assert page.texts.count(hostile) > 10
    assert not page.values("onclick")
    assert f"rinrcodec report: {Path(hostile).name}" in page.texts
    assert f"decoded on {hostile}, the" in " ".join(page.texts)


@pytest.mark.usefixtures("unplotted")
def test_a_page_needs_no_words_on_how_it_was_made(plain):
    report = make_report(plain, path="a", n_source_frames=1, bandwidth=2e6)
    page = Page(report_page(report))
    assert "software" in page.texts
    assert "Our backgrounds decoded, the" in " ".join(page.texts)
    assert "Left out:" not in page.texts


@pytest.mark.usefixtures("unplotted")
def test_the_page_says_what_metadata_adds(plain):
    made = make_report(plain, path="a", n_source_frames=1, bandwidth=2e6)
    assert "EXIF" not in report_page(made)
    metadata = Metadata(exif=bytes(3000), icc=bytes(1000))
    rich = replace(plain, pictures=(replace(plain.pictures[0], metadata=metadata),))
    for row, added in ((0, "4.0 kB"), (2, "1.0 kB")):  # ours, and JPEG
        advice = replace(made.advice, row=plain.rows[row])
        text = report_page(replace(made, measured=rich, advice=advice))
        assert "EXIF, ICC and XMP (4.0 kB a frame) are left out" in text
        assert f"With metadata, up to {added} more." in text
