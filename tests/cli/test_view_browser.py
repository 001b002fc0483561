"""The page of `rinrcodec view` in a real browser, wide and narrow, light and dark.

Needs a Chromium and its driver, such as those of Debian's `chromium-driver`; downloads nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from view_packs import EVIL, folder_of, many, saved, small_pack, with_broken_frame

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.cli.views.viewer.gallery import BLOCK, Gallery
from rinrcodec.cli.views.viewer.page import one_file_page
from rinrcodec.cli.views.viewer.server import ViewServer
from rinrcodec.datasets.viewing.album import Album
from rinrcodec.datasets.viewing.sources import SourcePictures

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="no Chromium here: apt-get install chromium chromium-driver",
    ),
]
SIZES = [(1280, 900), (390, 844)]
PATIENCE = 60  # seconds, on a busy machine
N_FRAMES = 2000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window; the tests of this module share it."""
    selenium = pytest.importorskip("selenium.webdriver")
    options = selenium.ChromeOptions()
    options.binary_location = CHROMIUM
    for name in ("headless=new", "disable-gpu", "disable-dev-shm-usage", "disable-extensions"):
        options.add_argument(f"--{name}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SE_OFFLINE", "true")
        patch.setenv("SE_AVOID_STATS", "true")
        driver = selenium.Chrome(options=options, service=selenium.ChromeService(DRIVER))
        yield driver
        driver.quit()


class Page:
    """A page in the browser, at one size."""

    def __init__(self, driver: Any, url: str, size: tuple[int, int], *, dark: bool) -> None:
        self.driver = driver
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        driver.get("about:blank")  # or only the part behind # would change
        driver.get_log("browser")
        driver.get(url)

    def js(self, code: str) -> Any:
        """The value of an expression."""
        return self.driver.execute_script(f"return {code}")

    def until(self, code: str) -> None:
        """Wait until an expression is true."""
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(self.driver, PATIENCE, poll_frequency=0.02)
        wait.until(lambda _: self.js(code), f"never true: {code}")

    def press(self, *keys: str) -> None:
        """Press keys, as on the whole page."""
        from selenium.webdriver import ActionChains, Keys

        for key in keys:
            ActionChains(self.driver).send_keys(getattr(Keys, key, key)).perform()

    def until_shown(self, position: str, state: str = "ready") -> None:
        """Wait until a frame and its picture are there."""
        self.until(
            f"document.getElementById('position').textContent === '{position}' && "
            f"document.querySelector('.stage').dataset.state === '{state}'"
        )

    def picture(self) -> list[int]:
        """The pixels of the picture of the frame."""
        pixels: list[int] = self.js(
            "(() => { const i = document.getElementById('shown'), c = document.createElement("
            "'canvas'); c.width = i.naturalWidth; c.height = i.naturalHeight; const x = "
            "c.getContext('2d'); x.drawImage(i, 0, 0); return [...x.getImageData(0, 0, c.width, "
            "c.height).data]; })()"
        )
        return pixels

    def check_layout(self) -> None:
        """Nothing is wider than the window, or cut off at its sides."""
        assert self.js("document.documentElement.scrollWidth <= innerWidth")
        outside = self.js(
            "[...document.querySelectorAll('main *')].filter(e => { const r = "
            "e.getBoundingClientRect(); return r.width && !e.closest('svg') && (r.left < -1 || "
            "r.right > innerWidth + 1); }).map(e => e.outerHTML.slice(0, 200))"
        )
        assert outside == []
        cut = self.js(
            "[...document.querySelectorAll('button, h1, h2, td, th, dd, li, .name, .classes')]."
            "filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "
            "'inline').map(e => e.outerHTML.slice(0, 200))"
        )
        assert cut == []

    def check_log(self) -> None:
        """The browser has no error to report."""
        assert self.driver.get_log("browser") == []


TILES = "document.querySelectorAll('.tile')"
LOADED = "[...document.querySelectorAll('.tile img')].filter(i => i.complete && i.naturalWidth)"


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Path]:
    """A pack of three frames and the folder of their sources."""
    path = tmp_path / "small.rinr"
    saved(small_pack(), path)
    return path, folder_of(small_pack(), tmp_path / "frames")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dark", [False, True])
def test_the_sheet_and_a_frame(
    chromium: Any,
    serving: Callable[..., ViewServer],
    small: tuple[Path, Path],
    size: tuple[int, int],
    dark: bool,
) -> None:
    page = Page(chromium, serving(small[0], source=small[1]).url, size, dark=dark)
    page.until(f"{LOADED}.length === 3")
    assert page.js("document.querySelectorAll('.tile svg rect').length") == 6
    assert "car, person" in page.js(f"{TILES}[0].innerText").replace("\n", " ")
    assert page.js(f"[...{TILES}].map(t => t.querySelector('img').alt)") == [
        f"{i}.png: 1 car, 1 person" for i in range(3)
    ]
    background = page.js("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(18, 22, 28)" if dark else "rgb(246, 247, 249)")
    page.check_layout()
    page.press("HOME", "ARROW_RIGHT")
    assert page.js("document.activeElement.dataset.position") == "1"
    page.press("ENTER")
    page.until_shown("2 / 3")
    page.check_layout()
    assert page.js("[...document.querySelectorAll('.label')].map(l => l.textContent)") == [
        "car",
        "person",
    ]
    assert page.js("document.querySelectorAll('#sizes tr').length") == 6
    shown = []
    for key in "1234":
        page.press(key)
        page.until_shown("2 / 3")
        pressed = "[...document.querySelectorAll('[aria-pressed=true]')].map(b => b.dataset.mode)"
        assert page.js(pressed) == [["objects", "background", "source", "error"][int(key) - 1]]
        shown.append(tuple(page.picture()))
    assert len(set(shown)) == 4
    page.press("b")
    assert page.js("document.querySelectorAll('#picture svg, .label').length") == 0
    page.press("b")
    assert page.js("document.querySelectorAll('#picture svg rect').length") == 2
    page.check_log()


def test_keys_step_through_the_frames(
    chromium: Any, serving: Callable[..., ViewServer], small: tuple[Path, Path]
) -> None:
    page = Page(chromium, f"{serving(small[0]).url}#1", SIZES[0], dark=False)
    page.until_shown("1 / 3")
    for key, position in (
        ("ARROW_LEFT", "1 / 3"),
        ("ARROW_RIGHT", "2 / 3"),
        ("END", "3 / 3"),
        ("ARROW_RIGHT", "3 / 3"),
        ("ARROW_LEFT", "2 / 3"),
        ("HOME", "1 / 3"),
    ):
        page.press(key)
        page.until_shown(position)
    assert page.js("document.getElementById('name').textContent") == "0.png"
    assert page.js("document.getElementById('previous').disabled")
    chromium.find_element("id", "next").click()
    page.until_shown("2 / 3")
    # The slider has the arrow keys while it has the focus, and the left part is the background.
    page.js("document.getElementById('cut').focus()")
    page.press("ARROW_RIGHT", "ARROW_RIGHT")
    assert page.js("document.getElementById('cut').value") == "2"
    page.until("document.getElementById('under').naturalWidth === 20")
    assert page.js("document.getElementById('under').style.clipPath") == "inset(0px 98% 0px 0px)"
    page.press("ESCAPE")
    page.until("!document.getElementById('sheet').hidden")
    page.until("document.activeElement.dataset.position === '1'")
    assert page.js("document.getElementById('frame').hidden")
    page.check_log()


@pytest.mark.parametrize("size", SIZES)
def test_thousands_of_frames_load_as_they_are_needed(
    chromium: Any, serving: Callable[..., ViewServer], tmp_path: Path, size: tuple[int, int]
) -> None:
    rinrcodec.save(many(small_pack(), N_FRAMES), tmp_path / "many.rinr")
    page = Page(chromium, serving(tmp_path / "many.rinr").url, size, dark=False)
    page.until(f"{LOADED}.length > 0")
    assert page.js(f"{TILES}.length") <= 2 * BLOCK
    height = page.js("document.documentElement.scrollHeight")
    assert height > 20 * size[1]
    page.press("END")
    page.until(f"document.activeElement.dataset.position === '{N_FRAMES - 1}'")
    page.until("document.activeElement.querySelector('img').naturalWidth > 0")
    assert page.js(f"{TILES}.length") <= 5 * BLOCK
    # The places of frames that are not there yet have about their size.
    assert abs(page.js("document.documentElement.scrollHeight") / height - 1) < 0.1
    page.press("ENTER")
    page.until_shown(f"{N_FRAMES} / {N_FRAMES}")
    page.check_layout()
    page.check_log()


def test_damage_and_texts_of_strangers(
    chromium: Any, serving: Callable[..., ViewServer], tmp_path: Path
) -> None:
    path = tmp_path / "<i>broken.rinr"
    rinrcodec.save(with_broken_frame(small_pack(classes=(EVIL, "b"))), path)
    page = Page(chromium, serving(path).url, SIZES[1], dark=True)
    page.until(f"{LOADED}.length === 3")
    page.until("document.querySelectorAll('.tile .problem').length === 1")
    assert "nosuch" in page.js("document.querySelector('.tile .problem').textContent")
    assert page.js("document.querySelectorAll('main script, main i, img[onerror]').length") == 0
    page.check_layout()
    page.press("END", "ENTER")
    page.until_shown("4 / 4", "failed")
    assert "nosuch" in page.js("document.getElementById('problem').textContent")
    page.press("ARROW_LEFT")
    page.until_shown("3 / 4")
    assert EVIL[:40] in page.js("document.querySelector('.label').textContent")
    page.check_layout()


def test_keypoints_are_dots(
    chromium: Any, serving: Callable[..., ViewServer], tmp_path: Path
) -> None:
    pack = small_pack()
    person = Box(1, 2, 2, 10, 9, keypoints=((5.0, 5.0, 2.0), (10.0, 8.0, 1.0), (0.0, 0.0, 0.0)))
    frame = replace(pack.frames[0], boxes=(person,), objects=(None,))
    path = saved(replace(pack, frames=(frame,)), tmp_path / "a.rinr")
    page = Page(chromium, f"{serving(path).url}#1", SIZES[1], dark=False)
    page.until_shown("1 / 1")
    dots = "[...document.querySelectorAll('#picture svg path.point.k1')]"
    assert page.js(f"{dots}.map(p => p.getAttribute('d'))") == ["M5 5h.01", "M10 8h.01"]
    assert page.js(f"getComputedStyle({dots}[0]).strokeLinecap") == "round"
    page.check_layout()


@pytest.mark.parametrize("size", SIZES)
def test_the_page_in_one_file(
    chromium: Any, small: tuple[Path, Path], tmp_path: Path, size: tuple[int, int]
) -> None:
    gallery = Gallery(Album(small[:1]), SourcePictures(small[1]))
    text, problems = one_file_page(gallery, [0, 2])
    gallery.close()
    assert problems == []
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    page = Page(chromium, (tmp_path / "page.html").as_uri(), size, dark=False)
    page.until(f"{LOADED}.length === 2")
    page.check_layout()
    page.press("END", "ENTER")
    page.until_shown("2 / 2")
    assert page.js("document.getElementById('name').textContent") == "2.png"
    first = page.picture()
    page.press("4")
    page.until_shown("2 / 2")
    assert page.picture() != first
    page.check_layout()
    page.check_log()
