"""`--background av1` on the command line: quality, groups of frames, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rinrcodec
from rinrcodec.pack import Pack

from .conftest import LABELS, QUICK, Run, video

PAGE = (Path(__file__).resolve().parents[2] / "docs/av1.md").read_text(encoding="utf-8")
AV1 = ("--background", "av1", *QUICK)


def moving(folder: Path, n: int, *, width: int = 96, height: int = 64) -> Path:
    """A folder of frames that follow each other."""
    y, x = np.mgrid[0:height, 0:width]
    folder.mkdir(parents=True)
    for k in range(n):
        waves = [127 + 70 * np.sin((x - 2 * k) / 9 + c) + 40 * np.cos(y / 7) for c in range(3)]
        pixels = np.clip(np.stack(waves, -1), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    return folder


def rows(path: Path) -> list[tuple[int, int, float]]:
    with rinrcodec.open(path) as file:
        frames = [file.frame(k) for k in range(len(file))]
    return [(f.background.group, f.background.row, f.time) for f in frames]


def test_a_data_set_there_and_back(run: Run, dataset: Path, tmp_path: Path) -> None:
    report = tmp_path / "figures.json"
    run("compress", dataset, "-o", tmp_path / "out", "--json", report, "--quality", 60, *AV1)
    figures = json.loads(report.read_text(encoding="utf-8"))
    assert (figures["background"], figures["target"]["quality"]) == ("av1", 60)
    assert ", target quality=60\n" in run("info", tmp_path / "out").stdout
    assert "\n  target: quality=60\n" in run("info", "--files", tmp_path / "out").stdout
    run("verify", tmp_path / "out")
    run("decompress", tmp_path / "out", "-o", tmp_path / "back", "--device", "cpu")
    with rinrcodec.open(tmp_path / "out/train/train-00000.rinr") as file:
        pixels = file.decode(0).permute(1, 2, 0).numpy()
        assert file.info["target"] == "quality=60"
    with Image.open(tmp_path / "back/images/train/a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    for name, text in LABELS.items():
        assert (tmp_path / f"back/labels/{name}.txt").read_text() == text


def test_resume_needs_the_same_tune(run: Run, dataset: Path, tmp_path: Path) -> None:
    args = ("compress", dataset, "-o", tmp_path / "out", *AV1)
    run(*args, "--tune", "accuracy")
    manifest = json.loads((tmp_path / "out/manifest.json").read_text(encoding="utf-8"))
    assert '"tune": "accuracy"' in json.dumps(manifest)
    assert "--tune was accuracy and is not given" in run(*args, "--resume", code=2).stderr
    assert "is complete" in run(*args, "--tune", "accuracy", "--resume").stderr


def test_frames_of_a_folder_share_rows_of_the_wanted_length(run: Run, tmp_path: Path) -> None:
    frames = moving(tmp_path / "frames", 5)
    for gop, times in ((2, [0, 1, 0, 1, 0]), (1, [0] * 5), (None, [0, 1, 2, 3, 4])):
        out = tmp_path / f"out{gop}"
        run("compress", frames, "-o", out, *AV1, *(() if gop is None else ("--gop", gop)))
        found = rows(out / "frames-00000.rinr")
        assert [time for _, _, time in found] == times
        assert len(set(found)) == 5


def test_files_of_one_frame_hold_that_frame_alone(run: Run, tmp_path: Path) -> None:
    frames = moving(tmp_path / "frames", 3)
    run("compress", frames, "-o", tmp_path / "out", "--layout", "files", *AV1)
    paths = sorted((tmp_path / "out").glob("*.rinr"))
    assert [rows(path) for path in paths] == [[(0, 0, 0.0)]] * 3


def test_a_video_is_a_sequence(run: Run, tmp_path: Path) -> None:
    video(tmp_path / "clip.avi", 4)
    run("compress", tmp_path / "clip.avi", "-o", tmp_path / "out", *AV1)
    assert len(rows(tmp_path / "out/clip-00000.rinr")) == 4
    run("verify", tmp_path / "out")


def test_resume_needs_the_same_gop_and_quality(run: Run, tmp_path: Path) -> None:
    frames = moving(tmp_path / "frames", 3)
    args = ("compress", frames, "-o", tmp_path / "out", *AV1)
    run(*args, "--gop", 2, "--quality", 30)
    assert "gop" in run(*args, "--gop", 3, "--quality", 30, "--resume", code=2).stderr
    other = run(*args, "--gop", 2, "--quality", 31, "--resume", code=2)
    assert "--quality was 30 and is 31" in other.stderr
    assert "is complete" in run(*args, "--gop", 2, "--quality", 30, "--resume").stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--background", "siren", "--gop", 4), "'siren' have no groups of frames"),
        (("--background", "av1", "--gop", 65), "gop=65: expected 1 to 64"),
        (("--background", "av1", "--gop", 0), "Invalid value for '--gop'"),
        (
            ("--background", "av1", "--quality", 101),
            "'--quality': 101 is not a whole number from 0 to 100.",
        ),
        (
            ("--background", "av1", "--quality", 5, "--target-psnr", 30),
            "--target-psnr and --quality exclude each other",
        ),
        (("--background", "siren", "--quality", 5), "or use --background av1"),
        (("--background", "siren", "--tune", "accuracy"), "or use --background av1"),
        (("--background", "av1", "--tune", "iq"), "Invalid value for '--tune'"),
        (("--background", "av1", "--lambda", 0.01), "or use --background pyramid"),
        (("--background", "av1", "--preset", "paper"), "'paper' has no av1 background"),
        (("--background", "siren", "--shrink", 2), "only backgrounds of av1 (by 2 or 4) can be"),
        (("--background", "av1", "--shrink", 3), "--shrink 3: expected 1, 2 or 4"),
        (("--background", "av1", "--shrink", 0), "--shrink 0: expected 1, 2 or 4"),
        (("--background", "av1", "--shrink", "x"), "'--shrink': 'x' is not a valid integer"),
    ],
)
def test_impossible_options_are_usage_errors(
    run: Run, folder: Path, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    result = run("compress", folder, "-o", tmp_path / "out", *options, code=2)
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_help_names_families_with_groups_and_qualities(run: Run) -> None:
    text = " ".join(run("compress", "--help").stdout.split())
    assert "1 codes every frame alone. [default of av1: 16]" in text
    assert "--quality Q Of av1: " in text
    assert "[only av1: 2 or 4; default: 1]" in text


def test_smaller_backgrounds(run: Run, dataset: Path, tmp_path: Path) -> None:
    args = ("compress", dataset, "-o", tmp_path / "out", "--quality", 60, *AV1)
    run(*args, "--shrink", 2)
    run("verify", "--decode", tmp_path / "out")
    assert ", shrink 2," in run("info", tmp_path / "out").stdout
    with rinrcodec.open(tmp_path / "out/train/train-00000.rinr") as file:
        groups = {file.frame(k).background.group for k in range(len(file))}
        assert {file.groups[group].spec["shrink"] for group in groups} == {2}
        pixels = file.decode(0).permute(1, 2, 0).numpy()
    run("decompress", tmp_path / "out", "-o", tmp_path / "back", "--device", "cpu")
    with Image.open(tmp_path / "back/images/train/a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    assert "is complete" in run(*args, "--shrink", 2, "--resume").stderr
    other = run(*args, "--resume", code=2).stderr
    assert "--shrink was 2 and is not given" in " ".join(other.split())
    # 1 is the same as no option.
    run(*args, "--overwrite")
    assert "is complete" in run(*args, "--shrink", 1, "--resume").stderr


def test_smaller_backgrounds_of_a_single_file(run: Run, folder: Path, tmp_path: Path) -> None:
    run("compress", folder, "-o", tmp_path / "out", "--layout", "files", "--shrink", 4, *AV1)
    run("verify", "--decode", tmp_path / "out")
    paths = list((tmp_path / "out").glob("**/*.rinr"))
    assert len(paths) > 1
    for path in paths:
        with rinrcodec.open(path) as file:
            assert file.groups[file.frame(0).background.group].spec["shrink"] == 4


@pytest.mark.parametrize("sigma", ["nan", "-1", "65", "x"])
def test_an_impossible_blur_is_refused(run: Run, folder: Path, tmp_path: Path, sigma: str) -> None:
    refused = run("compress", folder, "-o", tmp_path / "out", "--soften", sigma, code=2)
    assert "'--soften'" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_examples_of_the_page_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = moving(tmp_path / "frames", 2, width=32, height=24)
    (tmp_path / "labels").mkdir()
    for number, name in enumerate("ab"):
        (tmp_path / "labels" / f"{number}.txt").write_text("0 0.5 0.5 0.25 0.25\n")
        with Image.open(frames / "0.png") as image:
            image.save(tmp_path / f"{name}.jpg")
    monkeypatch.chdir(tmp_path)
    commands = "".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL))
    for line in commands.splitlines():
        run(*line.split()[1:])
    assert len(list(tmp_path.glob("*/frames-00000.rinr"))) == 10
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "docs/av1.md", "exec"), names)
    assert isinstance(names["pack"], Pack)
