"""The page of a report from figures that are made up: crops, legends, and what a detector found."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import pytest
from PIL import Image

from rinrcodec.boxes import Box
from rinrcodec.cli.views.report.page import report_page
from rinrcodec.cli.views.report.pictures import show_frame
from rinrcodec.cli.views.report.plots import colours_of
from rinrcodec.cli.views.report.tables import row_table
from rinrcodec.evaluation.accuracy import Accuracy
from rinrcodec.evaluation.measure import Measured, measure
from rinrcodec.evaluation.report import make_report
from rinrcodec.sources.discover import open_source

from .conftest import picture, put, write
from .report_pages import Page


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A frame with a box."""
    folder = tmp_path_factory.mktemp("frames")
    put(folder / "a.jpg", picture(0, 240, 120), quality=95)
    write(folder / "a.txt", "0 0.5 0.5 0.1 0.2\n")
    return measure(open_source(folder), [0], ["av1"], effort="fast", device="cpu")


def with_accuracy(measured: Measured, found: float, before: float) -> Measured:
    """All rows with the same accuracy, and the data as it is with another."""
    rows = [replace(row, accuracy=Accuracy(found, found, found)) for row in measured.rows]
    source = replace(measured.source, accuracy=Accuracy(before, before, before))
    anchor = rows[measured.rows.index(measured.anchor)]
    return Measured(measured.pictures, tuple(rows), anchor, source)


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


def test_the_page_says_how_many_times_crops_are_enlarged(measured):
    text = page_of(measured)
    assert "enlarged 4 times" in Page(text).texts
    crops = re.findall(r'width="(\d+)" height="(\d+)" class="crop"', text)
    assert crops == [("192", "192")] * (1 + len(measured.rows))


def test_a_detector_that_finds_something_ranks_the_recipes(measured):
    page = Page(page_of(with_accuracy(measured, 0.25, 0.5)))
    assert page.texts.count("What the detector finds") == 1
    assert "mAP50-95" in page.texts
    assert page.cells("JPEG")[2:4] == ["0.250", "0.250"]
    assert any(text.startswith("The detector finds most in ") for text in page.texts)
    assert not any("--detector MODEL" in text for text in page.texts)


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
