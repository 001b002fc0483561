"""Messages of commands for the mistakes of somebody who uses them for the first time."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import rinrcodec
from rinrcodec.families import background_families, object_families

from .conftest import QUICK, Run, picture, put, write


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Three pictures, one of them with a box."""
    for number in range(3):
        put(tmp_path / f"frames/{number}.png", picture(number))
    write(tmp_path / "frames/0.txt", "0 0.5 0.5 0.25 0.25\n")
    return tmp_path / "frames"


@pytest.mark.parametrize(
    ("boxes", "said"), [("0 .5 .5 .2 .2\n", "2 of 3 frames have"), ("", "3 of 3 frames have")]
)
def test_soften_says_which_frames_it_leaves_sharp(
    run: Run, frames: Path, tmp_path: Path, boxes: str, said: str
) -> None:
    write(frames / "0.txt", boxes)
    shown = run("compress", frames, "-o", tmp_path / "out", "--soften", 2, *QUICK).stderr
    assert f"warning: --soften: {said} no boxes and are not blurred\n" in shown


def test_soften_prints_nothing_if_all_frames_have_boxes(
    run: Run, frames: Path, tmp_path: Path
) -> None:
    for number in range(3):
        write(frames / f"{number}.txt", "0 .5 .5 .2 .2\n")
    shown = run("compress", frames, "-o", tmp_path / "out", "--soften", 2, *QUICK).stderr
    assert "--soften" not in shown


def test_a_second_source_in_one_folder_is_reported(run: Run, frames: Path, tmp_path: Path) -> None:
    put(tmp_path / "other/a.png", picture(5))
    options = ("-o", tmp_path / "out", "--labels", "none", *QUICK)
    assert "already holds" not in run("compress", frames, *options).stderr
    shown = run("compress", tmp_path / "other", *options).stderr
    assert f"{tmp_path / 'out'} already holds a run of frames; this one is added\n" in shown
    assert "already holds" not in run("compress", frames, *options, "--resume").stderr


def test_a_folder_of_an_unfinished_run_gets_advice(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out/.rinr-work").mkdir(parents=True)
    shown = run("decompress", tmp_path / "out", "-o", tmp_path / "back", code=1).stderr
    assert "; a run is not finished: rerun the same compress command with --resume\n" in shown


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tune", "psnr"), "--tune is an option of av1; leave it out, or use --background av1"),
        (("--gop", 4), "leave it out, or use av1 backgrounds"),
    ],
)
def test_an_option_of_another_family(
    run: Run, frames: Path, tmp_path: Path, options: tuple[object, ...], said: str
) -> None:
    args = ("compress", frames, "-o", tmp_path / "out", "--background", "siren", *options)
    assert said in run(*args, code=2).stderr


def test_a_text_is_no_picture(run: Run, tmp_path: Path) -> None:
    note = write(tmp_path / "note.txt", "hello\n")
    (line,) = run("compress", note, "-o", tmp_path / "out", code=1).stderr.splitlines()
    assert line.startswith(f"error: {note}: not a picture; give a picture, a folder")


def test_bad_labels_are_reported_once_before_the_table(
    run: Run, frames: Path, tmp_path: Path
) -> None:
    for number in range(2):
        write(frames / f"{number}.txt", "car\n")
    shown = run("compress", frames, "-o", tmp_path / "out", *QUICK).stderr
    assert shown.count("0.txt") == shown.count("1.txt") == 1
    assert "without a box" not in shown


def test_two_sources_and_no_output(run: Run, frames: Path) -> None:
    pictures = (frames / "0.png", frames / "1.png")
    shown = run("compress", *pictures, "-o", "out", code=2).stderr
    assert "SRC is one path: give the folder\n" in shown
    shown = run("compress", frames, code=2).stderr
    assert "Give one, such as -o packs.\n" in shown


def test_info_does_not_look_for_damage(run: Run, frames: Path, tmp_path: Path) -> None:
    out = tmp_path / "my packs"
    run("compress", frames, "-o", out, *QUICK)
    said = f"  not checked for damage: rinrcodec verify '{out}'\n"
    assert said in run("info", out).stdout
    assert said not in run("info", out, "--files").stdout


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_info_names_a_picture(run: Run, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.rinr"
    Image.new("RGB", (8, 8)).save(path, kind)
    shown = run("info", path, code=1).stderr
    assert shown == f"error: {path}: it is a {kind} picture, not a .rinr file\n"


def test_a_missing_file_keeps_its_type(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no such file: .*nothing.rinr"):
        rinrcodec.open(tmp_path / "nothing.rinr")


def test_the_help_has_defaults_and_examples(run: Run) -> None:
    text = " ".join(run("compress", "--help").stdout.split())
    background, objects = background_families()["av1"], object_families()["av1"]
    assert background.quality is not None
    assert objects.objects_quality is not None
    assert f"the best. [default of av1: {background.quality}]" in text
    assert f"the best. [default of av1: {objects.objects_quality}]" in text
    assert "Examples: rinrcodec compress frames -o packs" in text
