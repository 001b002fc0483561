"""`--background pyramid` on the command line: coded latents, for the quality or size asked for."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rinrcodec
from rinrcodec import encoder
from rinrcodec.datasets import fitter
from rinrcodec.errors import RinrError
from rinrcodec.families.pyramid import rows as encode_pyramid
from rinrcodec.targets import Target

from .conftest import LABELS, QUICK, Run, picture, put, video
from .test_compress import files, names

pytestmark = pytest.mark.usefixtures("few_rounded")
PYRAMID = ("--background", "pyramid", *QUICK, "--steps", 2)


@pytest.fixture
def targets(monkeypatch: pytest.MonkeyPatch) -> list[Target | None]:
    """Record the target of every call of `encode_pictures`, and report no miss.

    After two steps, whether a target is missed depends on the CPU.
    """
    asked: list[Target | None] = []
    original = encoder.encode_pictures

    def encode_pictures(*args: object, target: Target | None = None, **options: object) -> object:
        asked.append(target)
        pack, _ = original(*args, target=target, **options)  # type: ignore[arg-type]
        return pack, ()

    monkeypatch.setattr(encoder, "encode_pictures", encode_pictures)
    return asked


@pytest.mark.slow
def test_a_data_set_there_and_back(run: Run, dataset: Path, tmp_path: Path) -> None:
    report = tmp_path / "figures.json"
    result = run("compress", dataset, "-o", tmp_path / "out", "--json", report, *PYRAMID)
    assert "train" in result.stdout
    figures = json.loads(report.read_text(encoding="utf-8"))
    assert (figures["background"], figures["target"]) == ("pyramid", None)
    total = figures["total"]
    assert (total["frames"], total["boxes"], total["object_inrs"]) == (3, 3, 0)
    assert total["psnr_objects"] is not None
    assert total["bytes"] == sum(path.stat().st_size for path in tmp_path.glob("out/*/*.rinr"))
    run("verify", tmp_path / "out")
    run("decompress", tmp_path / "out", "-o", tmp_path / "back", "--device", "cpu")
    with rinrcodec.open(tmp_path / "out/train/train-00000.rinr") as file:
        pixels = file.decode(0).permute(1, 2, 0).numpy()
    with Image.open(tmp_path / "back/images/train/a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    for name, text in LABELS.items():
        assert (tmp_path / f"back/labels/{name}.txt").read_text() == text


@pytest.mark.slow
def test_parts_of_16_frames_end_in_one_group(run: Run, tmp_path: Path) -> None:
    for i in range(18):
        put(tmp_path / f"frames/{i:02d}.png", picture(i, 4, 3))
    out = tmp_path / "out"
    run("compress", tmp_path / "frames", "-o", out, *PYRAMID, "--steps", 1)
    with rinrcodec.open(out / "frames-00000.rinr") as file:
        (group,) = file.groups
        backgrounds = [file.frame(i).background for i in range(18)]
        rows = [background.row for background in backgrounds]
        assert {background.group for background in backgrounds} == {0}
        assert (sorted(set(rows)), group.coded) == ([*range(group.n_rows)], True)
        assert rows == sorted(rows)
        assert rows[15] != rows[16]  # a part ends there, and so does a row of several frames
        n_bytes = sum(map(len, file.read_rows(0, range(group.n_rows)).coded))
    (item,) = json.loads(run("info", out, "--files", "--json").stdout)
    (shown,) = item["groups"]
    assert (shown["family"], shown["inrs"]) == ("pyramid", group.n_rows)
    assert shown["coded"] is True
    assert shown["raw_bytes"] == n_bytes
    text = run("info", out, "--files").stdout
    each = f"{n_bytes:,} bytes ({n_bytes / group.n_rows:,.0f} a row)"
    assert f"{group.n_rows} rows of entropy-coded latents, {each}" in text
    assert '"family":"pyramid"' in text
    assert "0 weights" not in text


@pytest.mark.slow
def test_odd_pictures_of_several_sizes(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "odd"
    put(source / "grey.png", picture(1, 9, 5).convert("L"))
    put(source / "one.png", picture(2, 1, 1))
    put(source / "alpha.png", picture(4, 12, 8).convert("RGBA"))
    put(source / "thin.png", picture(5, 1, 70))
    run("compress", source, "-o", tmp_path / "out", *PYRAMID)
    run("verify", tmp_path / "out")
    with rinrcodec.open(tmp_path / "out/odd-00000.rinr") as file:
        assert sorted(group.n_rows for group in file.groups) == [1, 3]  # grey, and colour
    run("decompress", tmp_path / "out", "-o", tmp_path / "back", "--device", "cpu")
    for path in source.iterdir():
        with Image.open(path) as before, Image.open(tmp_path / "back" / path.name) as after:
            assert after.size == before.size
            assert after.mode == ("L" if path.stem == "grey" else "RGB")


@pytest.mark.slow
def test_single_files_and_one_picture(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    for name in ("1.png", "2.png", "more/4.png"):
        put(folder / name, picture(int(name[-5]), 12, 8))
    run("compress", folder, "-o", tmp_path / "files", "--layout", "files", *PYRAMID)
    assert files(tmp_path / "files") == ["1.rinr", "2.rinr", "more/4.rinr"]
    for path in (tmp_path / "files").rglob("*.rinr"):
        with rinrcodec.open(path) as file:  # nothing of the other frames of its size
            assert (file.n_frames, [group.n_rows for group in file.groups]) == (1, [1])
            assert file.frame(0).time == 0
            assert file.read_rows(0, [0]).coded[0][0] == 1  # frames of the row
    run("compress", folder / "2.png", "-o", tmp_path / "2.rinr", *PYRAMID)
    with (
        rinrcodec.open(tmp_path / "2.rinr") as alone,
        rinrcodec.open(tmp_path / "files/2.rinr") as file,
    ):
        assert alone.read_rows(0, [0]).coded == file.read_rows(0, [0]).coded


def test_frames_of_a_video(run: Run, tmp_path: Path) -> None:
    video(tmp_path / "clip.avi", 3)
    run("compress", tmp_path / "clip.avi", "-o", tmp_path / "out", "--jobs", 1, *PYRAMID)
    assert names(tmp_path / "out/clip-00000.rinr") == [f"clip/{i:06d}.png" for i in range(1, 4)]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--lambda", "2e-3"), Target(lmbda=2e-3)),
        (("--target-psnr", 11), Target(psnr=11.0)),
        (("--target-bytes", 4000), Target(n_bytes=4000)),
        (("--objects-psnr", 36), Target(objects_psnr=36.0)),
        (("--target-psnr", 10.5, "--objects-psnr", 36), Target(psnr=10.5, objects_psnr=36.0)),
    ],
)
def test_options_reach_the_fit_and_the_figures(
    run: Run,
    tmp_path: Path,
    targets: list[Target | None],
    options: tuple[object, ...],
    wanted: Target,
) -> None:
    source = put(tmp_path / "0.png", picture(0, 8, 6))
    args = ("compress", source, "-o", tmp_path / "0.rinr", "--json", "-")
    result = run(*args, *PYRAMID, *options)
    assert targets == [wanted]
    assert Target(**json.loads(result.stdout)["target"]) == wanted


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--lambda", 1e-3, "--target-psnr", 30), "--lambda and --target-psnr exclude each other"),
        (
            ("--target-psnr", 30, "--target-bytes", 9, "--objects-psnr", 30),
            "--target-psnr and --target-bytes exclude each other: give one",
        ),
        (("--lambda", 7), "Invalid value for '--lambda': 7 is not a number from 0.000001 to 1."),
        (("--target-psnr", "nan"), "Invalid value for '--target-psnr'"),
        (
            ("--target-bytes", 0),
            "'--target-bytes': 0 is not a whole number from 1 to 1,073,741,824.",
        ),
        (("--quality", 300), "'--quality': 300 is not a whole number from 0 to 100."),
        (("--target-bytes", 1.5), "Invalid value for '--target-bytes'"),
        (("--objects-psnr", 61), "'--objects-psnr': 61 is not a number from 10 to 60."),
        (
            ("--preset", "paper"),
            "the preset 'paper' has no pyramid background: expected one of fast",
        ),
    ],
)
def test_impossible_options_are_usage_errors(
    run: Run, folder: Path, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    result = run("compress", folder, "-o", tmp_path / "out", *PYRAMID, *options, code=2)
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("background", ["siren", "nerv"])
@pytest.mark.parametrize("option", ["--lambda 1e-3", "--target-psnr 30", "--target-bytes 900"])
def test_other_backgrounds_have_no_target(
    run: Run, folder: Path, tmp_path: Path, background: str, option: str
) -> None:
    args = ("compress", folder, "-o", tmp_path / "out", "--background", background)
    result = run(*args, *option.split(), code=2)
    problem = f"error: {option.split()[0]} is an option of pyramid"
    assert result.stderr.startswith(problem)
    assert "; leave it out, or use --background pyramid" in result.stderr
    assert f" instead of {background}\n" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("background", ["siren", "nerv"])
@pytest.mark.parametrize("objects", ["siren", "none"])
def test_a_target_for_objects_needs_objects_that_have_one(
    run: Run, folder: Path, tmp_path: Path, background: str, objects: str
) -> None:
    families = ("--background", background, "--objects", objects)
    args = ("compress", folder, "-o", tmp_path / "out", *families)
    result = run(*args, "--objects-psnr", 30, code=2)
    problem = {
        "none": "--objects-psnr: with --objects none there are no objects; leave out one",
        "siren": "--objects-psnr: --objects siren does not support that; use --objects auto",
    }[objects]
    assert problem in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_help_has_every_target(run: Run) -> None:
    text = " ".join(run("compress", "--help").stdout.split())
    for option in ("--lambda X", "--target-psnr DB", "--target-bytes N"):
        assert f"{option} Of pyramid" in text
    assert "--objects-psnr DB PSNR inside the boxes." in text


@pytest.mark.slow
def test_resume_needs_the_same_target(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(2):
        put(tmp_path / f"frames/{i}.png", picture(i, 12, 8))
    args = ("compress", tmp_path / "frames", "--shard-size", 1, "--objects-psnr", 30, *PYRAMID)
    run(*args, "--lambda", 0.01, "-o", tmp_path / "whole")
    fit, calls = fitter.Fitter._fit, count()

    def once(*given: object, **options: object) -> object:
        if next(calls):
            raise RinrError("the power went off")
        return fit(*given, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(fitter.Fitter, "_fit", once)
        run(*args, "--lambda", 0.01, "-o", tmp_path / "out", code=1)
    for other in (("--lambda", 0.02), ("--target-bytes", 100), ()):
        result = run(*args, *other, "-o", tmp_path / "out", "--resume", code=2)
        assert "other options" in result.stderr
    run(*args, "--lambda", 0.01, "-o", tmp_path / "out", "--resume")
    for number in range(2):
        name = f"frames-0000{number}.rinr"
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_ctrl_c_says_when_work_is_kept(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(encode_pyramid, "fit_pyramid", stop)
    options = ("-o", tmp_path / "out", "--labels", "none", *PYRAMID)
    stopped = run("compress", folder, *options, code=130)
    nothing = (
        "interrupted; nothing was kept yet, as work is kept every 16 frames. Run the same command "
        "again\n"
    )
    # A slow machine prints a line of progress first.
    assert stopped.stderr.endswith(nothing)


@pytest.mark.slow
def test_progress_rises_to_all_of_the_pictures() -> None:
    shares: list[float] = []
    rinrcodec.encode(
        [picture(0, 8, 6), picture(1, 8, 6), picture(2, 5, 4)],
        preset="fast",
        background="pyramid",
        steps=10,
        device="cpu",
        on_progress=shares.append,
    )
    assert shares == sorted(shares)
    # Ten steps of the pictures of each size, soft and hard ones alike, and the end.
    assert len(shares) > 20
    assert shares[-2] == pytest.approx(1, abs=1e-3)


def test_the_ladder_is_of_the_families_of_the_paper(
    run: Run, dataset: Path, tmp_path: Path
) -> None:
    args = ("bench", "ladder", dataset, "-o", tmp_path / "out", *QUICK)
    result = run(*args, "--background", "siren", "--background", "pyramid", code=2)
    assert "'pyramid' is not one of 'siren', 'nerv'" in result.stderr
    assert not (tmp_path / "out").exists()
    assert "--background [siren|nerv]" in run("bench", "ladder", "--help").stdout


@pytest.mark.slow
def test_a_report_of_a_pyramid(run: Run, dataset: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    quick = ("--background", "pyramid", "--preset", "fast", "--frames", 1, *QUICK)
    run("report", dataset, "-o", page, "--json", tmp_path / "report.json", *quick)
    assert "--preset fast --background pyramid --steps 8" in page.read_text(encoding="utf-8")
    wrong = run("report", dataset, "-o", page, *PYRAMID, "--preset", "paper", code=2)
    assert "the preset 'paper' has no pyramid" in wrong.stderr
