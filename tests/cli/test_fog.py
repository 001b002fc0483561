"""`rinrcodec fog`: from numbers, from real folders, its plots, and what docs/fog.md shows of it."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from PIL import Image

from rinrcodec.cli.commands.fog import other_codec
from rinrcodec.errors import MissingExtraError
from rinrcodec.evaluation.sizes import Sizes

from .conftest import QUICK, Run, picture, put

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "fog.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def figures(run: Run, *args: object) -> dict:
    return json.loads(run("fog", *args, "--json", "-").stdout)


def moved(report: dict) -> dict[tuple[str, str], float]:
    return {(way["codec"], way["way"]): way["bytes"] for way in report["transfers"]}


@pytest.mark.parametrize("block", blocks("console"))
def test_the_page_shows_what_the_command_prints(run, monkeypatch, block):
    monkeypatch.setenv("COLUMNS", "80")
    command, *shown = block.removeprefix("$ rinrcodec ").splitlines()
    printed = run(*shlex.split(command)).stdout.splitlines()
    assert [line.rstrip() for line in printed if line.strip()] == shown


def test_the_code_of_the_page_prints_what_its_comment_says():
    (code,) = blocks("python")
    (comment,) = re.findall(r"# (.*)", code)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "docs/fog.md", "exec"), {})
    assert printed.getvalue().strip() == comment


def test_the_page_has_commands_and_the_first_gives_the_published_figure(run):
    assert len(blocks("console")) == 5
    assert "5.16x" in run("fog").stdout


@pytest.mark.parametrize(("number", "level"), [(0, "JPEG 40"), (1, "original")])
def test_the_pages_have_the_measured_figures(number, level):
    """The figures are those of docs/results/fog.json, which benchmarks/accuracy.py writes."""
    report = json.loads((DOCS / "results/fog.json").read_text(encoding="utf-8"))
    rows = report["sets"][number]["rows"]
    ours, jpeg = rows["av1 with objects"][level], rows["JPEG"][level]
    paper = (DOCS / "paper.md").read_text(encoding="utf-8")
    for page in (PAGE, paper):
        assert f"{ours['through_fog']:.2f}" in page
        assert f"{ours['by_devices']:.1f}" in page
        assert f"{jpeg['by_devices']:.2f}" in page
    if level == "original":
        assert f"--codec av1={ours['bytes']:.0f},0.3" in PAGE


def test_the_defaults_are_the_published_figure(run):
    report = figures(run)
    assert report["transfers"][1]["times_less"] == pytest.approx(5.16, abs=0.005)
    assert report["break_even"] == {
        "alpha": pytest.approx(8 / 9),
        "rounds": pytest.approx(69e6 * 90 / 12.09 / 988e6),
        "bandwidth": None,
    }
    assert len(report["devices"]) == 10


def test_another_codec_is_shown_through_the_fog_and_from_the_devices(run):
    report = moved(figures(run, "--frame-bytes", 1000, "--frames", 10, "--codec", "avif=80"))
    assert report["avif", "fog"] == pytest.approx(1e4 * (10 + 90 * 0.08))
    assert report["avif", "serverless"] == pytest.approx(1e4 * 90 * 0.08)
    text = run("fog", "--codec", "avif=8%", "--codec", "[b]x[/b]=9%").stdout
    assert "Fewest bytes: avif, serverless" in text
    assert "[b]x[/b]" in text  # a name is no markup


def test_broadcast_one_receiver_and_large_packs_are_called_by_their_names(run):
    text = run("fog", "--medium", "broadcast").stdout
    assert "A fog only adds bytes" in text
    assert "Fewest bytes: jpeg, serverless" in text
    assert "with any codec" in run("fog", "--devices", 2).stdout
    assert "it does not save bytes" in run("fog", "--alpha", 0.95).stdout
    alone = run("fog", "--devices", 1).stdout
    assert "with any codec" in alone
    assert "1 device with" in alone


def test_time_counts_the_fit_and_says_where_it_is_paid_back(run):
    options = ("--fit-seconds", 0.2, "--decode-seconds", 0.01)
    below = figures(run, *options)["break_even"]["bandwidth"]
    slower, faster = (figures(run, *options, "--bandwidth", below / 1e6 * f) for f in (0.9, 1.1))
    for report, fog_is_sooner in ((slower, True), (faster, False)):
        direct, fog = (way["seconds"] for way in report["transfers"][:2])
        assert (fog < direct) == fog_is_sooner
    assert f"slower than {below / 1e6:.3g} MB/s" in run("fog", *options).stdout


@pytest.fixture
def real(run: Run, tmp_path: Path) -> tuple[Path, Path]:
    """Three JPEG frames, and a pack of them."""
    for i in range(3):
        put(tmp_path / f"frames/{i}.jpg", picture(i, 48, 32), quality=95)
    run("compress", tmp_path / "frames", "-o", tmp_path / "packs", *QUICK)
    return tmp_path / "frames", tmp_path / "packs"


def test_small_factors_are_not_rounded_to_zero(run):
    """A few small frames against a model of 98.8 MB: 6.21 MB / 989 MB."""
    lines = run("fog", "--frames", 1, "--alpha", 0.1).stdout.splitlines()
    assert [line.split()[-3] for line in lines if "train at the fog" in line] == ["0.0063x"]
    assert "0.00x" in run("fog", "--devices", 1).stdout  # nothing to send is nothing


def test_real_folders_are_counted_as_whole_files(run, real):
    frames, packs = real
    report = figures(run, "--jpeg", frames, "--rinr", packs, "--devices", 4)
    jpeg = sum(file.stat().st_size for file in frames.iterdir())
    rinr = sum(file.stat().st_size for file in packs.glob("*.rinr"))
    assert moved(report)["jpeg", "serverless"] == jpeg * 4 * 3
    assert moved(report)["rinrcodec", "fog"] == pytest.approx(jpeg * 4 + rinr * 4 * 3)
    assert [device["frames"] for device in report["devices"]] == [3] * 4


@pytest.mark.parametrize(
    ("words", "encoders"),
    [(["--background", "av1"], {"fog", "serverless"}),
     (["--background", "siren", "--steps", "1"], {"fog"})],
)  # fmt: skip
def test_devices_encode_packs_without_networks(run, real, tmp_path, words, encoders):
    frames, _ = real
    packs = tmp_path / "more"
    run("compress", frames, "-o", packs, "--preset", "fast", *words)
    report = moved(figures(run, "--jpeg", frames, "--rinr", packs))
    assert {way for codec, way in report if codec == "rinrcodec"} == encoders
    rinr = sum(file.stat().st_size for file in packs.glob("*.rinr"))
    if "serverless" in encoders:
        assert report["rinrcodec", "serverless"] == pytest.approx(rinr * 90)
    other = moved(figures(run, "--jpeg", frames, "--rinr", packs, "--codec", f"other={packs}"))
    assert other["other", "serverless"] == pytest.approx(rinr * 90)


def test_a_folder_of_another_codec(run, real, tmp_path):
    frames, packs = real
    for file in frames.iterdir():
        with Image.open(file) as image:
            put(tmp_path / "webp" / f"{file.stem}.webp", image, quality=40)
    report = moved(
        figures(run, "--jpeg", frames, "--rinr", packs, "--codec", f"webp={tmp_path / 'webp'}")
    )
    webp = sum(file.stat().st_size for file in (tmp_path / "webp").iterdir())
    assert report["webp", "serverless"] == pytest.approx(webp * 90)
    (tmp_path / "webp/1.webp").unlink()
    result = run(
        *("fog", "--jpeg", frames, "--rinr", packs, "--codec", f"webp={tmp_path / 'webp'}"), code=1
    )
    assert "holds 2 frames and the JPEG folder 3" in result.stderr


def test_folders_that_do_not_compare_are_errors(run, real, tmp_path):
    frames, packs = real
    (tmp_path / "empty").mkdir()
    message = run("fog", "--jpeg", tmp_path / "empty", "--rinr", packs, code=1).stderr
    assert "no picture in this folder" in message
    message = run("fog", "--jpeg", frames, "--rinr", tmp_path / "empty", code=1).stderr
    assert "no .rinr file" in message
    put(frames / "3.jpg", picture(3))
    message = run("fog", "--jpeg", frames, "--rinr", packs, code=1).stderr
    assert f"{packs} holds 3 frames and the JPEG folder 4" in message
    put(frames / "4.png", picture(4))
    message = run("fog", "--jpeg", frames, "--rinr", packs, code=1).stderr
    assert "1 of 5 pictures are no JPEG files, such as 4.png" in message


@pytest.mark.parametrize(
    ("text", "alpha"), [("avif=50", 0.05), ("avif=8%", 0.08), ("a b=1e2", 0.1), ("x=250%", 2.5)]
)
def test_sizes_of_other_codecs(text, alpha):
    codec = other_codec(text, Sizes(10, 10_000))
    assert codec.name == text.partition("=")[0]
    assert codec.alpha == pytest.approx(alpha)


def test_other_codecs_take_time_to_encode_too(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(10):
        put(tmp_path / f"a,5/{i}.webp", picture(i))
    folder = other_codec("webp=a,5", Sizes(10, 10_000))
    assert folder.encode_seconds == 0
    assert other_codec("webp=a,5,0.5", Sizes(10, 10_000)).encode_seconds == 0.5
    assert other_codec("webp=a,5,0.5", Sizes(10, 10_000)).alpha == folder.alpha
    plain, timed = (figures(run, "--codec", text) for text in ("avif=8%", "avif=8%,0.25"))
    extra = [
        later["seconds"] - way["seconds"]
        for way, later in zip(plain["transfers"], timed["transfers"], strict=True)
        if way["codec"] == "avif"
    ]
    # The fog encodes the frames of all ten devices, a device its own.
    assert extra == [pytest.approx(2500), pytest.approx(250)]


@pytest.mark.parametrize(
    "text",
    [
        *("avif", "=5", "avif=", "avif=0", "avif=-1", "avif=nan", "avif=inf%", "avif=nowhere"),
        *("avif=5,", "avif=5,x", "avif=,5"),
    ],
)
def test_malformed_sizes_are_usage_errors(text):
    with pytest.raises(click.UsageError, match=re.escape(repr(text))):
        other_codec(text, Sizes(10, 10_000))


@pytest.mark.parametrize(
    "options",
    [
        ("--devices", 0),
        ("--bandwidth", 0),
        ("--bandwidth", -2),
        ("--bandwidth", "nan"),
        ("--bandwidth", "inf"),
        ("--alpha", 0),
        ("--alpha", -0.1),
        ("--frames", 0),
        ("--frame-bytes", 0),
        ("--rounds", 0),
        ("--model", 0),
        ("--receivers", -1),
        ("--fit-seconds", -1),
        ("--decode-seconds", "nan"),
        ("--jpeg", "."),
        ("--rinr", "."),
        ("--jpeg", ".", "--rinr", ".", "--alpha", 0.1),
        ("--jpeg", ".", "--rinr", ".", "--frames", 3),
        ("--plot", "a.txt"),
        ("--plot", "-"),
        ("--medium", "pigeons"),
        ("--codec", "avif"),
        ("--codec", "avif=nowhere"),
    ],
)
def test_wrong_use_is_exit_code_two(run, options):
    first, *others = run("fog", *options, code=2).stderr.splitlines()
    assert first.startswith("error: ")
    assert others in ([], ["see rinrcodec fog --help"])


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_plots_are_drawn_and_show_every_codec(run, tmp_path, kind):
    path = tmp_path / "new" / f"fog.{kind}"
    run("fog", "--plot", path, "--codec", "avif=8%", "--fit-seconds", 1)
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert path.read_bytes().startswith(starts[kind])
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    if kind == "svg":
        # Text is drawn as shapes; its comments keep the words.
        text = path.read_text(encoding="utf-8")
        for words in ("avif, fog", "avif, serverless", "rinrcodec, fog", "break-even: 0.889"):
            assert words in text


def test_names_in_plots_are_no_formulas(run, tmp_path):
    path = tmp_path / "fog.svg"
    run("fog", "--plot", path, "--codec", r"$\frac$=8%", "--codec", "_under=9%")
    text = path.read_text(encoding="utf-8")
    assert r"$\frac$, fog" in text.replace(r"\$", "$")
    assert "_under, serverless" in text


@pytest.mark.parametrize("options", [("--devices", 1), ("--medium", "broadcast")])
def test_plots_without_a_break_even_point(run, tmp_path, options):
    path = tmp_path / "fog.svg"
    run("fog", "--plot", path, *options)
    assert "break-even" not in path.read_text(encoding="utf-8")


def test_without_matplotlib_only_the_plot_is_missing(run, tmp_path, monkeypatch):
    for module in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "rinrcodec.cli.views.fog_plot", raising=False)
    run("fog")
    result = run("fog", "--plot", tmp_path / "fog.png", code=3)
    assert result.stderr == f"error: {MissingExtraError('matplotlib', 'demo')}\n"
    assert result.stdout == ""


def test_as_a_process_without_torch(tmp_path):
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from rinrcodec.cli.main import main\n"
        "sys.argv = ['rinrcodec', 'fog', '--json', 'fog.json', '--plot', 'fog.png']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "5.16x" in done.stdout
    report = json.loads((tmp_path / "fog.json").read_text(encoding="utf-8"))
    assert report["transfers"][1]["times_less"] == pytest.approx(5.16, abs=0.005)
    with Image.open(tmp_path / "fog.png") as plot:
        assert plot.width > 1000
