"""The page of `rinrcodec report` in a real browser, wide and narrow, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rinrcodec.cli.main import cli
from rinrcodec.cli.views.report.page import report_page
from rinrcodec.evaluation.measure import measure
from rinrcodec.evaluation.report import make_report
from rinrcodec.evaluation.speed import Speed
from rinrcodec.sources.discover import open_source

from .conftest import picture, put, write
from .report_pages import with_accuracy
from .test_view_browser import SIZES, Page, chromium, pytestmark

__all__ = ["chromium", "pytestmark"]

LONG = "a name that is long_" * 5


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two small frames with long names and boxes."""
    folder = tmp_path_factory.mktemp("browser")
    for i in range(2):
        put(folder / f"frames of {LONG}/{i}{LONG}.jpg", picture(i, 64, 40), quality=95)
        write(folder / f"frames of {LONG}/{i}{LONG}.txt", "0 0.5 0.5 0.3 0.4\n")
    out = folder / "page.html"
    options = ["--preset", "fast", "--steps", "3", "--device", "cpu", "--quiet"]
    args = ["report", str(folder / f"frames of {LONG}"), "-o", str(out), *options]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 0, result.output
    return out


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_cut_off(
    chromium: Any,
    page_file: Path,
    size: tuple[int, int],
    dark: bool,
) -> None:
    page = Page(chromium, page_file.as_uri(), size, dark=dark)
    assert page.js("document.documentElement.scrollWidth <= innerWidth")
    # Tables and crops scroll in boxes of their own; all else is inside the window.
    outside = page.js(
        "[...document.querySelectorAll('main *')].filter(e => { const r = "
        "e.getBoundingClientRect(); return r.width && !e.closest('.scroll table') && "
        "!e.closest('.crops figure') && !e.closest('svg') && (r.left < -1 || "
        "r.right > innerWidth + 1); }).map(e => e.outerHTML.slice(0, 200))"
    )
    assert outside == []
    cut = page.js(
        "[...document.querySelectorAll('h1, h2, h3, p, li, pre, dd, dt, figcaption, .tile, .bar "
        "span, th, td')].filter(e => e.scrollWidth > e.clientWidth + 1 && "
        "getComputedStyle(e).display !== 'inline').map(e => e.outerHTML.slice(0, 200))"
    )
    assert cut == []
    reached = page.js(
        "[...document.querySelectorAll('.scroll')].map(e => { e.scrollLeft = 1e6; const r = "
        "[...e.querySelectorAll('tr > :last-child')].map(c => c.getBoundingClientRect().right); "
        "return Math.max(...r) <= e.getBoundingClientRect().right + 1; })"
    )
    assert reached == [True] * len(reached)
    assert len(reached) == 3
    reached = page.js(
        "[...document.querySelectorAll('.crops')].map(e => { e.scrollLeft = 1e6; return e."
        "lastElementChild.getBoundingClientRect().right <= e.getBoundingClientRect().right + 1; })"
    )
    assert reached == [True] * 2
    # The text of a plot is inside the plot, and as wide as the window allows.
    plots = page.js(
        "[...document.querySelectorAll('.plot svg')].map(s => { const b = "
        "s.getBoundingClientRect(); return [b.width, ...[...s.querySelectorAll('text')].filter(t "
        "=> { const r = t.getBoundingClientRect(); return r.left < b.left - 2 || r.right > "
        "b.right + 2; }).map(t => t.textContent)]; })"
    )
    assert [len(plot) for plot in plots] == [1] * 4, plots
    assert min(plot[0] for plot in plots) > 250
    page.check_log()


@pytest.mark.parametrize("size", SIZES)
def test_pixels_of_crops_are_squares_of_whole_pixels(
    chromium: Any,
    page_file: Path,
    size: tuple[int, int],
) -> None:
    page = Page(chromium, page_file.as_uri(), size, dark=False)
    scales = page.js(
        "[...document.querySelectorAll('img.crop')].map(i => { const r = i.getBoundingClientRect();"
        " return [r.width / i.naturalWidth, r.height / i.naturalHeight]; })"
    )
    assert scales == [[4, 4]] * 2 * 11


def test_a_table_with_a_detector_fits_a_wide_window(chromium: Any, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    put(folder / "a.jpg", picture(0, 64, 40), quality=95)
    write(folder / "a.txt", "0 0.5 0.5 0.3 0.4\n")
    measured = measure(open_source(folder), [0], ["av1"], effort="fast", device="cpu")
    # Figures as wide as they get.
    wide = with_accuracy(measured, 0.25, 0.5, Speed(12_345.6, 1234.5))
    report = make_report(wide, path="frames", n_source_frames=1, bandwidth=2e6)
    out = write(tmp_path / "page.html", report_page(report))
    page = Page(chromium, out.as_uri(), SIZES[0], dark=False)
    headers = page.js("[...document.querySelector('table').rows[0].cells].map(c => c.innerText)")
    assert len(headers) == 10
    assert page.js("(e => e.scrollWidth <= e.clientWidth)(document.querySelector('.scroll'))")
    page.check_log()


@pytest.mark.parametrize("size", SIZES)
def test_the_page_ends_in_the_command(
    chromium: Any,
    page_file: Path,
    size: tuple[int, int],
) -> None:
    page = Page(chromium, page_file.as_uri(), size, dark=False)
    command = page.js("[...document.querySelectorAll('pre')].at(-1).innerText")
    assert page.js("document.querySelector('main').innerText").strip().count(command) >= 2
    assert str(page_file.parent) in command
    page.js("document.querySelector('details').open = true")
    shown = page.js("[...document.querySelectorAll('details code')].map(c => c.innerText)")
    assert command in shown
    assert len(shown) == 11
    assert page.js("document.documentElement.scrollWidth <= innerWidth")
