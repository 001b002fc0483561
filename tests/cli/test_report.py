"""`rinrcodec report`: one page that needs nothing else, and is true to its figures."""

from __future__ import annotations

import base64
import glob
import io
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import rinrcodec
from rinrcodec.cli.main import cli
from rinrcodec.cli.views.report.words import size
from rinrcodec.errors import MissingExtraError, RinrInputError
from rinrcodec.evaluation.advice import advise
from rinrcodec.evaluation.fog import equal_devices
from rinrcodec.evaluation.rows import CodedFrame, Recipe, Row
from rinrcodec.evaluation.speed import Speed
from rinrcodec.metrics import Quality, frame_quality, mean_quality

from .conftest import Run, picture, put, write
from .report_pages import BOXES, NAMES, QUICK, Page, hostile_frames, report


@pytest.fixture(scope="module")
def folder_of_made(tmp_path_factory) -> Path:
    """The folder of the frames of `made`."""
    return tmp_path_factory.mktemp("report") / "fr&mes <i>"


@pytest.fixture(scope="module")
def made(folder_of_made: Path) -> tuple[Page, dict, str]:
    """The page of two small frames with boxes and hostile names, its figures, and its source."""
    folder = folder_of_made
    hostile_frames(folder)
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


def test_pictures_of_the_page_open_and_have_a_text(made):
    page, _, _ = made
    sources = page.values("src")
    assert len(sources) == 2 * (1 + 11)  # the whole frame, the source, and ten recipes
    for source in sources:
        kind, data = re.fullmatch(r"data:image/(\w+);base64,(.*)", source).groups()
        with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
            assert image.format.lower() == kind
            assert image.width >= 40
    assert len(page.values("alt")) == len(sources)
    assert page.tags.count("svg") == 4


def test_page_and_json_have_the_same_rows(made):
    page, figures, _ = made
    assert [row["name"] for row in figures["rows"]] == [
        "av1 for PSNR without objects", "av1 for PSNR with objects",
        "av1 for accuracy without objects", "av1 for accuracy with objects",
        "siren without objects", "siren with objects",
        "JPEG", "WebP", "AVIF", "AVIF + crops",
    ]  # fmt: skip
    assert figures["anchor"] == "av1 for PSNR with objects"
    assert figures["source"]["name"] == "JPEG files"
    for row in (*figures["rows"], figures["source"]):
        settings, *cells = page.cells(row["name"])
        assert settings == row["settings"]
        assert cells[0] == size(row["n_bytes"])
        assert cells[-1] == f"{row['bpp']:.3f}"
        parts = [row[f"psnr_{part}"] for part in ("objects", "background", "frame")]
        assert cells[1:4] == [f"{value:.1f}" if value < 100 else "exact" for value in parts]
        assert row["command"] in " ".join("".join(page.texts).split())
        for number, frame in enumerate(row["frames"]):
            assert frame["n_bytes"] > 0
            assert size(frame["n_bytes"]) in " ".join(page.cells(figures["frames"][number]["name"]))
    assert [item["frames"] for item in figures["fog"]["devices"]] == [1000] * 10


def test_every_command_names_its_tune(made):
    """With its tune, the command gives the same bytes also after the default changes."""
    _, figures, _ = made
    tuned = {row["name"]: row["tune"] for row in figures["rows"] if row["tune"]}
    assert tuned == {
        f"av1 for {name} {objects} objects": tune
        for name, tune in (("PSNR", "psnr"), ("accuracy", "accuracy"))
        for objects in ("without", "with")
    }
    for row in figures["rows"]:
        if "--background av1" in row["command"]:
            assert f"--tune {row['tune']} " in row["command"]


def test_words_of_the_fog_are_explained(made):
    page, _, _ = made
    start = page.texts.index("serverless")
    terms = [text for text in page.texts[start:] if text.strip()][:8]
    assert terms[::2] == ["serverless", "fog", "train at the fog", "alpha"]
    assert "(98.8 MB)" in terms[5]
    assert terms[7] == "The bytes of a recipe, as a share of those of the JPEG files."
    assert "#fog" in page.values("href")
    assert "fog" in page.values("id")


def test_marks_of_the_plots_are_the_rows(made):
    _, figures, text = made
    plots = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)[:2]
    for plot in plots:
        for row in figures["rows"]:
            assert plot.count(f"{row['name']}</text>") == 1


def test_rows_left_out_are_named_with_a_reason(made):
    page, figures, _ = made
    assert sorted(figures["left_out"]) == ["nerv", "pyramid"]
    words = " ".join(page.texts)
    for reason in figures["left_out"].values():
        assert reason in words


def pasted(folder: Path, name: str) -> np.ndarray:
    """A frame of `bench rival` with its crops."""
    pixels = np.asarray(Image.open(next((folder / "frames").glob(f"{name}.*")))).copy()
    for path in sorted((folder / "crops" / name).iterdir()):
        crop = np.asarray(Image.open(path))
        x, y = map(int, path.stem.split("_")[1:])
        pixels[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    return pixels


def check_promise(row: dict, out: Path, frames: Path) -> None:
    """Files have the promised bytes, within 1 % of a pack, and exactly those of another codec."""
    files = [file for file in out.rglob("*") if file.is_file()]
    if "bench rival" in row["command"]:
        crops = 12 * len([file for file in files if "crops" in file.parts])
        total = sum(file.stat().st_size for file in files) + crops
        assert total == 2 * row["n_bytes"]
    elif "compress" in row["command"]:
        (pack,) = out.glob("*.rinr")
        assert pack.stat().st_size == pytest.approx(2 * row["n_bytes"], rel=0.01)
    else:
        assert sum(f.stat().st_size for f in files if f.suffix == ".jpg") == 2 * row["n_bytes"]
    dbs = []
    for number, name in enumerate(sorted(NAMES)):
        source = rinrcodec.load_picture(frames / name)
        boxes = [rinrcodec.Box(0, *box) for box in BOXES]
        if "compress" in row["command"]:
            with rinrcodec.open(pack) as file:
                pixels = file.pixels(number)
        elif "--crops" in row["command"]:
            pixels = pasted(out, name[:-4])
        else:
            pixels = np.asarray(Image.open(next(out.glob(f"{glob.escape(name[:-4])}.[!t]*"))))
        dbs.append(frame_quality(source.pixels, pixels, boxes))
    mean = mean_quality(dbs)
    assert mean.frame == pytest.approx(row["psnr_frame"], abs=0.01)
    assert mean.objects == pytest.approx(row["psnr_objects"], abs=0.01)


@pytest.mark.parametrize("number", range(11))
def test_every_command_gives_what_its_row_promises(made, folder_of_made, tmp_path, number):
    """The advice is always the command of one of these rows."""
    _, figures, _ = made
    row = [*figures["rows"], figures["source"]][number]
    words = shlex.split(row["command"])
    out = tmp_path / words[words.index("-o") + 1 if "-o" in words else -1]
    if "-o" in words:
        words[words.index("-o") + 1] = str(out)
        result = CliRunner().invoke(cli, words[1:])
        assert result.exit_code == 0, result.output
    else:
        subprocess.run([*words[:-1], str(out)], check=True)
    check_promise(row, out, folder_of_made)


@pytest.mark.slow
def test_the_advice_runs_in_a_shell(made, folder_of_made, tmp_path):
    _, figures, _ = made
    command = tmp_path / "bin" / "rinrcodec"
    write(command, f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m rinrcodec "$@"\n')
    command.chmod(0o700)
    path = os.pathsep.join([str(command.parent), os.environ["PATH"]])
    line = figures["advice"]["command"]
    (row,) = [one for one in figures["rows"] if one["name"] == figures["advice"]["use"]]
    assert row["command"] == line
    subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env={**os.environ, "PATH": path}, check=True, timeout=300
    )
    (out,) = tmp_path.glob("fr*")
    check_promise(row, out, folder_of_made)


@pytest.mark.slow
def test_the_first_background_decides_on_the_bytes(tmp_path):
    put(tmp_path / "frames/a.jpg", picture(0, 32, 24))
    options = (*QUICK, "--json", tmp_path / "figures.json", "-o", tmp_path / "page.html")
    both = ("--background", "siren", "--background", "av1")
    for backgrounds, names in (
        (both, ["siren", "av1 for PSNR", "av1 for accuracy"]),
        (both[:2], ["siren"]),
        (("--preset", "paper", "--steps", "1"), ["siren"]),
    ):
        report(tmp_path / "frames", *options, *backgrounds)
        figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
        rows = [row for row in figures["rows"] if " compress " in row["command"]]
        assert [row["name"] for row in rows] == names
        assert figures["anchor"] == names[0]
    paper = ("--preset", "paper", "--background", "av1")
    assert "the preset 'paper' has no av1" in report(tmp_path / "frames", *options, *paper, code=2)


def test_the_advice_follows_from_the_rows(made):
    page, figures, _ = made
    advised = figures["advice"]
    assert advised["headline"] in page.texts
    assert set(advised["reasons"]) <= set(page.texts)
    anchor = next(row for row in figures["rows"] if row["name"] == figures["anchor"])

    def row(values):
        quality = Quality(*(values[f"psnr_{part}"] for part in ("frame", "background", "objects")))
        frame = CodedFrame(values["n_bytes"], quality, np.zeros((1, 1), np.uint8))
        return Row(Recipe(values["name"], values["settings"]), (frame,), Speed(**values["seconds"]))

    source = row(figures["source"])
    devices = equal_devices(10, n_bytes=source.n_bytes * 1000, n_frames=1000)
    rows = [replace(row(values), at_fog="siren" in values["name"]) for values in figures["rows"]]
    advice = advise(rows, devices, bandwidth=2e6, source=source, most_bytes=anchor["n_bytes"])
    assert advice.headline == advised["headline"]
    assert advised["reasons"] == [
        *advice.reasons,
        "av1 for accuracy with objects keeps what detectors need, which PSNR does not show: "
        "--detector MODEL measures it.",
    ]
    assert [band.row.name for band in advice.bands] == [band["use"] for band in advised["bands"]]


def test_png_sources_without_boxes_are_measured_against_jpeg(tmp_path):
    for i in range(3):
        image = picture(i, 32, 24) if i else picture(i, 32, 24).convert("L")
        noise = np.random.default_rng(i).integers(0, 60, np.asarray(image).shape, dtype=np.uint8)
        put(tmp_path / f"frames/{i}.png", Image.fromarray(np.asarray(image) // 2 + noise))
    out = tmp_path / "new folder/page.html"
    printed = report(
        tmp_path / "frames", "-o", out, *QUICK[:-1], "3", "--bandwidth", 1e-6, "--json", "-"
    )
    figures = json.loads(printed[printed.index("{\n") :])
    assert figures["source"]["name"] == "JPEGs of quality 95"
    assert len(figures["frames"]) == 3
    assert {row["psnr_objects"] for row in figures["rows"]} == {None}
    page = Page(out.read_text(encoding="utf-8"))
    assert page.tags.count("svg") == 3
    assert not [text for text in page.texts if "inside the boxes" in text]
    # The source twice, three of ours, and three codecs: without boxes there is nothing to paste.
    assert len(page.values("src")) == 3 * 8
    assert not [text for text in page.texts if "+ crops" in text]


def test_a_video_smaller_than_any_pack_is_advised(tmp_path):
    av = pytest.importorskip("av")
    film = tmp_path / "film.mp4"
    with av.open(str(film), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for i in range(4):
            container.mux(stream.encode(av.VideoFrame.from_image(picture(i, 32, 24))))
        container.mux(stream.encode())
    out = tmp_path / "page.html"
    printed = report(film, "-o", out, *QUICK, "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert figures["source"]["name"] == "video file"
    assert figures["source"]["n_bytes"] == -(-film.stat().st_size // 4)
    names = [row["name"] for row in figures["rows"]]
    assert names[:4] == ["av1 for PSNR", "av1 for accuracy", "siren", "nerv"]
    assert figures["source"]["command"] == f"cp {film} film-copy.mp4"
    assert figures["advice"]["command"] in printed
    smallest = min(figures["rows"], key=lambda row: row["n_bytes"])
    assert (figures["advice"]["use"] == "video file") == (
        smallest["n_bytes"] >= figures["source"]["n_bytes"]
    )


def test_a_sequence_is_encoded_whole_and_some_of_it_compared(tmp_path):
    for i in range(6):
        put(tmp_path / f"frames/{i}.jpg", picture(i, 32, 24))
    out = tmp_path / "page.html"
    printed = report(tmp_path / "frames", "-o", out, *QUICK, "--background", "nerv", "--json", "-")
    figures = json.loads(printed[printed.index("{\n") :])
    assert [frame["name"] for frame in figures["frames"]] == ["1.jpg", "4.jpg"]
    assert "--background nerv" in figures["made"]["command"]
    # Two thirds of the file are of other frames, which share one network with these.
    row = figures["rows"][0]
    words = shlex.split(row["command"])
    words[words.index("-o") + 1] = str(tmp_path / "packs")
    assert CliRunner().invoke(cli, words[1:]).exit_code == 0
    whole = (tmp_path / "packs/frames-00000.rinr").stat().st_size
    assert row["n_bytes"] == pytest.approx(whole / 6, rel=0.05)
    assert "nerv" in out.read_text(encoding="utf-8")


def test_without_torch_the_page_has_rows_that_need_none(tmp_path, monkeypatch):
    put(tmp_path / "frames/a.jpg", picture(0, 32, 24))
    monkeypatch.setitem(sys.modules, "torch", None)
    out = tmp_path / "page.html"
    printed = report(tmp_path / "frames", "-o", out, "--preset", "fast", "--json", "-")
    figures = json.loads(printed[printed.index("{\n") :])
    assert [row["name"] for row in figures["rows"]] == [
        "av1 for PSNR", "av1 for accuracy", "JPEG", "WebP", "AVIF",
    ]  # fmt: skip
    hint = "torch is not installed; run: pip install"
    assert hint in figures["left_out"]["siren"]
    assert hint in out.read_text(encoding="utf-8")
    asked = report(tmp_path / "frames", "-o", out, "--background", "siren", code=3)
    assert hint in asked


def test_the_commands_of_the_docs_run(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    put(tmp_path / "frames/a.jpg", picture(0, 32, 24))
    write(tmp_path / "frames/a.txt", "0 0.5 0.5 0.3 0.4\n")
    monkeypatch.chdir(tmp_path)
    for line in "".join(blocks).splitlines():
        quick = QUICK if " report " in line else ()
        result = CliRunner().invoke(cli, [*line.split()[1:], *quick])
        assert result.exit_code == 0, result.output
    assert (tmp_path / "pictures/a.avif").is_file()
    assert (tmp_path / "with-crops/crops/a/000_11_7.webp").is_file()
    for name in re.findall(r"\]\((images/[^)]+)\)", page):
        assert (Path(__file__).parents[2] / "docs" / name).stat().st_size < 120_000


def test_one_image_and_a_pack(run: Run, tmp_path):
    image = put(tmp_path / "one.jpg", picture(0, 32, 24))
    quick = (*QUICK, "--background", "av1")
    printed = report(image, "-o", tmp_path / "page.htm", *quick)
    assert "page:" in printed
    report(image, "-o", tmp_path / "page.htm", *quick, "--quiet")  # it is replaced
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


def test_a_damaged_picture_keeps_the_earlier_page(tmp_path):
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
    command += ["--background", "av1"]  # which needs no torch, so the process starts sooner
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("At 2 MB/s, ")
    Page((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_quiet_reports_lost_labels(run: Run, folder, tmp_path, monkeypatch):
    (folder / "labels").mkdir()
    for i in range(4):
        write(folder / f"labels/{i}.txt", "" if i else "car\n")
    write(folder / "labels/gone.txt", "")

    def stop(*_, **__):
        raise RinrInputError("stopped")

    monkeypatch.setattr("rinrcodec.evaluation.measure.measure", stop)
    result = run("report", folder, "-o", tmp_path / "r.html", "--quiet", *QUICK, code=1)
    lost = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert ["gone.txt: labels without" in lost[0], "0.txt:1: 'car' is" in lost[1]] == [True, True]
    assert len(lost) == 2
