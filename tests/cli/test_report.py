"""`rinrcodec report`: one page that needs nothing else, and is true to its figures."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from rinrcodec.cli.main import cli
from rinrcodec.cli.views.report.page import report_page
from rinrcodec.errors import MissingExtraError, RinrInputError
from rinrcodec.evaluation.advice import Option, advise
from rinrcodec.evaluation.comparison import OURS
from rinrcodec.evaluation.fog import Codec, equal_devices
from rinrcodec.evaluation.measure import measure
from rinrcodec.evaluation.report import make_report
from rinrcodec.presets import get_preset
from rinrcodec.sources.images import picture_from_array

from .conftest import Run, picture, put, write

QUICK = ("--preset", "fast", "--steps", "3", "--device", "cpu", "--frames", "2")
# What HTML gives a meaning to, as far as a file name may hold it.
NAMES = ["<img src=x onerror=alert(1)>&amp;.jpg", """b' "quoted" & <b>.jpg"""]
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """The text, tags and attributes of a page; a tag that closes no open one is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def report(*args: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["report", *map(str, args)], prog_name="rinrcodec")
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Page, dict, str]:
    """The page of two small frames with boxes and hostile names, its figures, and its source."""
    folder = tmp_path_factory.mktemp("report") / "fr&mes <i>"
    for i, name in enumerate(NAMES):
        noise = np.random.default_rng(i).integers(-20, 20, (40, 64, 3))
        pixels = np.clip(np.asarray(picture(i, 64, 40)) + noise, 0, 255).astype(np.uint8)
        put(folder / name, Image.fromarray(pixels), quality=95)
        write(folder / f"{name[:-4]}.txt", "0 0.5 0.5 0.3 0.4\n1 0.2 0.2 0.1 0.1\n")
    out = folder.parent / "page.html"
    printed = report(folder, "-o", out, *QUICK, "--json", folder.parent / "figures.json")
    assert f"page: {out}" in printed
    assert sorted(file.name for file in folder.parent.iterdir() if file.is_file()) == [
        "figures.json", "page.html",
    ]  # fmt: skip
    text = out.read_text(encoding="utf-8")
    figures = json.loads((folder.parent / "figures.json").read_text(encoding="utf-8"))
    assert figures["advice"]["headline"] in printed
    return Page(text), figures, text


@pytest.mark.slow
def test_nothing_is_fetched_or_run(made):
    page, _, text = made
    assert not re.search(r"https?:|//[a-z]", re.sub(r"base64,[^\"]*", "", text))
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert all(value.startswith("data:image/") for value in page.values("src"))
    assert all(value.startswith("#") for value in page.values("xlink:href"))
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page.values("content")
    assert "@import" not in text
    assert len(text) < 1_000_000


def test_names_are_shown_as_they_are(made):
    page, figures, text = made
    assert "fr&mes <i>" in page.texts
    for name in NAMES:
        assert page.texts.count(name) == 2  # above the crops, and in the table of frames
        assert name not in text
    assert sorted(frame["name"] for frame in figures["frames"]) == sorted(NAMES)


def test_every_picture_is_one_and_has_a_text(made):
    page, _, _ = made
    sources = page.values("src")
    assert len(sources) == 2 * (1 + 6)
    for source in sources:
        kind, data = re.fullmatch(r"data:image/(\w+);base64,(.*)", source).groups()
        with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
            assert image.format.lower() == kind
            assert image.width >= 40
    assert len(page.values("alt")) == len(sources)
    assert page.tags.count("svg") == 4


def test_the_figures_of_the_page_are_those_of_the_json(made):
    page, figures, _ = made
    words = " ".join(page.texts)
    assert len(figures["frames"]) == 2
    assert figures["source"] == "JPEG files"
    assert figures["source_bytes"] == sum(frame["source_bytes"] for frame in figures["frames"])
    ours = figures["means"][0]
    assert ours["method"] == "rinrcodec"
    assert ours["n_bytes"] == pytest.approx(figures["pack_bytes"] / 2, abs=1)
    for row in figures["means"]:
        assert f"{row['psnr_frame']:.1f}" in words
        assert f"{row['psnr_objects']:.1f}" in words
    assert set(figures["seconds"]) == {row["method"] for row in figures["means"]}
    assert all(speed["encode"] > 0 < speed["decode"] for speed in figures["seconds"].values())
    assert len(figures["curves"]) == 2 * 5 * 4  # frames, sizes, codecs
    assert [item["frames"] for item in figures["fog"]["devices"]] == [1000] * 10


def test_other_backgrounds_are_in_a_table_of_their_own(made):
    page, figures, _ = made
    assert figures["preset"] == "fast, av1, 3 steps"
    (siren,) = figures["other_backgrounds"]
    assert siren["preset"] == "fast, siren, 3 steps"
    assert "Our backgrounds" in page.texts
    words = " ".join(page.texts)
    for preset in ("fast, av1, 3 steps", "fast, siren, 3 steps"):
        assert page.texts.count(preset) == 1
    assert f"{siren['psnr_frame']:.1f}" in words
    assert "--background" not in figures["made"]["command"]


def test_the_first_background_is_the_one_of_the_report(tmp_path):
    put(tmp_path / "frames/a.jpg", picture(0, 32, 24))
    options = (*QUICK, "--json", tmp_path / "figures.json", "-o", tmp_path / "page.html")
    both = ("--background", "siren", "--background", "av1")
    for backgrounds, presets in (
        (both, ["siren", "av1"]),
        (both[:2], ["siren"]),
        (("--preset", "paper", "--steps", "1"), ["siren"]),
    ):
        report(tmp_path / "frames", *options, *backgrounds)
        figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
        others = [other["preset"] for other in figures["other_backgrounds"]]
        assert [name.split(", ")[1] for name in (figures["preset"], *others)] == presets
        page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
        assert ("Our backgrounds" in page.texts) == (len(presets) > 1)
    paper = ("--preset", "paper", "--background", "av1")
    assert "the preset 'paper' has no av1" in report(tmp_path / "frames", *options, *paper, code=2)


def test_the_advice_follows_from_the_figures(made):
    page, figures, _ = made
    assert figures["advice"]["headline"] in page.texts
    assert set(figures["advice"]["reasons"]) <= set(page.texts)
    labels = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF", "composite": "AVIF + crops"}
    options = [
        Option(
            Codec(
                labels.get(row["method"], row["method"]),
                row["n_bytes"] * 2 / figures["source_bytes"],
                figures["seconds"][row["method"]]["encode"],
                figures["seconds"][row["method"]]["decode"],
            ),
            row["psnr_frame"],
            row["psnr_background"],
            row["psnr_objects"],
            at_fog=False,  # nothing of the default families is a network
        )
        for row in figures["means"]
    ]
    devices = equal_devices(10, n_bytes=figures["source_bytes"] / 2 * 1000, n_frames=1000)
    decode = figures["source_seconds"]["decode"]
    advice = advise(
        options, devices, bandwidth=2e6, source=Codec("JPEG files", 1.0, decode_seconds=decode)
    )
    assert advice.headline == figures["advice"]["headline"]
    assert list(advice.reasons) == figures["advice"]["reasons"]
    assert [band.name for band in advice.bands] == [
        band["use"] for band in figures["advice"]["bands"]
    ]


def test_png_sources_without_boxes_are_measured_against_jpeg(tmp_path):
    for i in range(3):
        image = picture(i, 32, 24) if i else picture(i, 32, 24).convert("L")
        put(tmp_path / f"frames/{i}.png", image)
    out = tmp_path / "new folder/page.html"
    printed = report(
        tmp_path / "frames", "-o", out, *QUICK[:-1], "3", "--bandwidth", 1e-6, "--json", "-"
    )
    figures = json.loads(printed[printed.index("{\n") :])
    assert figures["source"] == "JPEGs of quality 95"
    assert len(figures["frames"]) == 3
    assert {row["psnr_objects"] for row in figures["means"]} == {None}
    page = Page(out.read_text(encoding="utf-8"))
    assert page.tags.count("svg") == 3
    assert not [text for text in page.texts if "inside the boxes" in text]
    # The source twice, ours, and three codecs: without boxes there is nothing to paste.
    assert len(page.values("src")) == 3 * 6
    assert not [text for text in page.texts if "+ crops" in text]


def test_a_video_is_said_to_be_smaller_than_its_frames(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for i in range(4):
            container.mux(stream.encode(av.VideoFrame.from_image(picture(i, 32, 24))))
        container.mux(stream.encode())
    out = tmp_path / "page.html"
    printed = report(tmp_path / "film.mp4", "-o", out, *QUICK, "--background", "siren")
    share = (tmp_path / "film.mp4").stat().st_size / 4
    reason = f"The video itself has {share:.0f} B a frame: where all frames are wanted, send that."
    assert reason in printed
    assert reason in Page(out.read_text(encoding="utf-8")).texts
    assert "--background nerv fits a network for every sequence" in printed
    printed = report(tmp_path / "film.mp4", "-o", out, *QUICK)
    assert "was fitted alone" not in printed
    page = Page(out.read_text(encoding="utf-8"))
    presets = [f"fast, {name}, 3 steps" for name in ("av1", "siren", "nerv")]
    assert [text for text in page.texts if text in presets] == presets
    printed = report(tmp_path / "film.mp4", "-o", out, *QUICK, "--background", "nerv")
    assert "The video itself has" in printed
    assert "was fitted alone" not in printed


def test_a_sequence_is_encoded_whole_and_some_of_it_compared(tmp_path):
    for i in range(6):
        put(tmp_path / f"frames/{i}.jpg", picture(i, 32, 24))
    out = tmp_path / "page.html"
    printed = report(tmp_path / "frames", "-o", out, *QUICK, "--background", "nerv", "--json", "-")
    figures = json.loads(printed[printed.index("{\n") :])
    assert [frame["name"] for frame in figures["frames"]] == ["1.jpg", "4.jpg"]
    assert "--background nerv" in figures["made"]["command"]
    # A third of the file, whose one network all six frames share.
    run_alone = CliRunner().invoke(
        cli,
        [
            *("compress", str(tmp_path / "frames"), "-o", str(tmp_path / "packs"), "--quiet"),
            *("--background", "nerv", *QUICK[:-2]),
        ],
    )
    assert run_alone.exit_code == 0, run_alone.output
    whole = (tmp_path / "packs/frames-00000.rinr").stat().st_size
    assert figures["pack_bytes"] == pytest.approx(whole / 3, rel=0.05)
    assert "nerv" in out.read_text(encoding="utf-8")


def test_one_image_and_a_pack(run: Run, tmp_path):
    image = put(tmp_path / "one.jpg", picture(0, 32, 24))
    printed = report(image, "-o", tmp_path / "page.htm", *QUICK)
    assert "page:" in printed
    report(image, "-o", tmp_path / "page.htm", *QUICK, "--quiet")  # it is replaced
    run("compress", image, "-o", tmp_path / "one.rinr", "--steps", 2, "--device", "cpu")
    assert "not of their packs" in report(tmp_path / "one.rinr", code=2)


def test_a_folder_whose_name_is_no_unicode(tmp_path):
    folder = tmp_path / os.fsdecode(b"fr\xff <b>")
    try:
        put(folder / "one.jpg", picture(0, 32, 24))
    except OSError:
        pytest.skip("this file system takes Unicode only")
    report(folder, "-o", tmp_path / "page.html", *QUICK, "--quiet")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "fr\\udcff <b>" in Page(text).texts


def test_wrong_use(tmp_path):
    image = put(tmp_path / "one.jpg", picture(0, 32, 24))
    for options in (
        ("-o", tmp_path / "page.txt"),
        ("-o", tmp_path),
        ("--frames", 0),
        ("--bandwidth", 0),
        ("--bandwidth", "nan"),
        ("--devices", 1),
    ):
        assert report(image, *options, code=2).startswith("error: ")
    assert [file.name for file in tmp_path.iterdir()] == ["one.jpg"]


def test_a_damaged_picture_leaves_the_page_of_before(tmp_path):
    write(tmp_path / "page.html", "before")
    write(tmp_path / "frames/a.jpg", "no picture")
    put(tmp_path / "frames/b.jpg", picture(0, 32, 24))
    printed = report(tmp_path / "frames", "-o", tmp_path / "page.html", *QUICK, code=1)
    assert "a.jpg" in printed
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "before"


def test_a_missing_extra_is_named_before_anything_is_fitted(tmp_path, monkeypatch):
    for module in list(sys.modules):
        if module.startswith(
            ("matplotlib", "rinrcodec.cli.views.report", "rinrcodec.cli.views.fog_plot")
        ):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("rinrcodec.encoder.encode", None)
    image = put(tmp_path / "one.jpg", picture(0, 32, 24))
    result = CliRunner().invoke(cli, ["report", str(image), "-o", str(tmp_path / "page.html")])
    assert result.exit_code == 3
    assert result.stderr == f"error: {MissingExtraError('matplotlib', 'demo')}\n"


@pytest.mark.slow
def test_as_a_process(tmp_path):
    put(tmp_path / "a.jpg", picture(0, 32, 24))
    command = [sys.executable, "-I", "-m", "rinrcodec", "report", "a.jpg", *QUICK]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("At 2 MB/s, ")
    Page((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_every_text_is_escaped():
    """Also those that no file is called: the words of the advice, and how the page was made."""
    hostile = '<b onclick="x">&amp;</b>'
    pictures = [picture_from_array(np.asarray(picture(0, 32, 24)), name=hostile)]
    figures = measure(pictures, get_preset("fast", steps=1), device="cpu")
    report = make_report(
        figures,
        name=hostile,
        n_source_frames=1,
        bandwidth=2e6,
        made={hostile: hostile, "device": hostile},
        remarks=[hostile],
    )
    text = report_page(report)
    page = Page(text)
    assert hostile not in text
    assert page.texts.count(hostile) == 7  # name, remark, frame twice, key, and value twice
    assert not page.values("onclick")
    assert f"rinrcodec report: {hostile}" in page.texts
    assert f"decoded on {hostile}, the other" in " ".join(page.texts)


def test_a_page_needs_no_words_on_how_it_was_made():
    pictures = [picture_from_array(np.asarray(picture(0, 32, 24)), name="a")]
    figures = measure(pictures, get_preset("fast", steps=1), device="cpu")
    report = make_report(figures, name="a", n_source_frames=1, bandwidth=2e6)
    page = Page(report_page(report))
    assert page.tags.count("dt") == 1
    assert f"{OURS} decoded, the other" in " ".join(page.texts)


def test_quiet_tells_of_lost_labels(run: Run, folder, tmp_path, monkeypatch):
    (folder / "labels").mkdir()
    for i in range(4):
        write(folder / f"labels/{i}.txt", "" if i else "car\n")
    write(folder / "labels/gone.txt", "")

    def stop(*_, **__):
        raise RinrInputError("stopped")

    monkeypatch.setattr("rinrcodec.cli.commands.report._measure", stop)
    result = run("report", folder, "-o", tmp_path / "r.html", "--quiet", *QUICK, code=1)
    lost = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert ["gone.txt: labels without" in lost[0], "0.txt:1: 'car' is" in lost[1]] == [True, True]
    assert len(lost) == 2
