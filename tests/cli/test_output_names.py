"""`-o NAME` writes what the name says, or is refused before any work."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import rinrcodec

from .conftest import QUICK, Run, contents, picture, put, video, write


@pytest.fixture
def packs(run: Run, folder: Path, tmp_path: Path) -> Path:
    """Three packs of 2, 2 and 1 frames."""
    run("compress", folder, "-o", tmp_path / "packs", "--shard-size", 2, *QUICK)
    return tmp_path / "packs"


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def pixels_of(packs: Path, number: int) -> np.ndarray:
    pack, frame = sorted(packs.glob("*.rinr"))[number // 2], number % 2
    with rinrcodec.open(pack) as file:
        return file.decode(frame).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("name", ["one.png", "a.JPG", "clip.mp4", "a.zip", "a.tar.gz", "a.npy"])
def test_compress_writes_no_folder_with_the_name_of_a_file(
    run: Run, tmp_path: Path, name: str
) -> None:
    # There is no picture in SRC, so the name was looked at before SRC was.
    (tmp_path / "empty").mkdir()
    result = run("compress", tmp_path / "empty", "-o", tmp_path / name, code=2)
    assert f"{name}: compress writes .rinr files, not {Path(name).suffix.lower()}" in result.stderr
    assert f"{(tmp_path / name).with_suffix('.rinr')} for one file" in result.stderr
    assert not (tmp_path / name).exists()


def test_a_folder_that_is_there_may_have_any_name(run: Run, folder: Path, tmp_path: Path) -> None:
    for name in ("v1.png", "back.zip", "run.2"):
        (tmp_path / name).mkdir()
    (tmp_path / "run.2").rmdir()
    run("compress", folder, "-o", tmp_path / "v1.png", *QUICK)
    run("compress", folder, "-o", tmp_path / "run.2", *QUICK)
    for source, out in (("v1.png", "back.zip"), ("run.2", "back.3")):
        run("decompress", tmp_path / source, "-o", tmp_path / out, "--device", "cpu")
        assert len(list((tmp_path / out).glob("*.png"))) == 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.zip", "decompress does not write .zip files"),
        ("a.avi", "decompress does not write .avi files"),
        ("a.tif", "ends in .png, .jpg, .webp, .npy, .mp4 or .gif"),
        ("a.rinr", "decompress makes pictures of packs"),
        ("a.png", "is one picture, and {packs} has 5 frames: choose one with --frames 0"),
    ],
)
def test_decompress_refuses_other_files(
    run: Run, packs: Path, tmp_path: Path, name: str, message: str
) -> None:
    result = run("decompress", packs, "-o", tmp_path / name, code=2)
    assert message.format(packs=packs) in result.stderr
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["x.png", "x.webp", "x.npy", "new/x.PNG"])
def test_one_frame_goes_to_the_file_that_is_named(
    run: Run, packs: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    run("decompress", packs, "-o", out, "--frames", 3, "--device", "cpu")
    written = np.load(out) if name.endswith("npy") else np.asarray(opened(out))
    np.testing.assert_array_equal(written, pixels_of(packs, 3))
    assert "already there" in run("decompress", packs, "-o", out, "--frames", 0, code=2).stderr
    run("decompress", packs, "-o", out, "--frames=-1", "--overwrite", "--device", "cpu")
    written = np.load(out) if name.endswith("npy") else np.asarray(opened(out))
    np.testing.assert_array_equal(written, pixels_of(packs, 4))


def test_a_pack_of_one_frame_needs_no_number(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "a.png", picture(1))
    run("compress", tmp_path / "a.png", "-o", tmp_path / "a.rinr", *QUICK)
    run("decompress", tmp_path / "a.rinr", "-o", tmp_path / "b.jpeg", "--device", "cpu")
    with Image.open(tmp_path / "b.jpeg") as image:
        assert (image.format, image.size) == ("JPEG", (24, 16))


def test_a_link_at_the_name_is_not_followed(run: Run, packs: Path, tmp_path: Path) -> None:
    mine = write(tmp_path / "mine.txt", "mine")
    for name in ("x.png", "x.gif"):
        (tmp_path / name).symlink_to(mine)
        options = ("--frames", "0", "--overwrite")
        result = run("decompress", packs, "-o", tmp_path / name, *options, code=2)
        assert "is a link; links in an output are not followed" in result.stderr
    assert mine.read_text(encoding="utf-8") == "mine"


def test_options_that_contradict_the_name(run: Run, packs: Path, tmp_path: Path) -> None:
    for message, *args in (
        ("x.png ends in .png, and --format is jpg", "x.png", "--format", "jpg"),
        ("--labels: a video has no place for labels", "x.mp4", "--labels"),
        ("x.png has no place for labels", "x.png", "--frames", "0", "--labels"),
        ("--fps is for videos (--format mp4 or gif)", "out", "--fps", "5"),
    ):
        result = run("decompress", packs, "-o", tmp_path / args[0], *args[1:], code=2)
        assert message in result.stderr
    assert not {path.name for path in tmp_path.iterdir()} & {"x.png", "x.mp4", "out"}


def decoded(path: Path) -> tuple[list[np.ndarray], object]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return frames, stream.average_rate


@pytest.mark.slow
def test_a_video_comes_back_as_a_video_with_its_frame_rate(run: Run, tmp_path: Path) -> None:
    source = video(tmp_path / "clip.avi", 5)
    run("compress", source, "-o", tmp_path / "packs", "--shard-size", 2, *QUICK)
    run("decompress", tmp_path / "packs", "-o", tmp_path / "a.mp4", "--device", "cpu")
    frames, rate = decoded(tmp_path / "a.mp4")
    assert (len(frames), frames[0].shape, rate) == (5, (16, 32, 3), 10)
    run("decompress", tmp_path / "packs", "-o", tmp_path / "png", "--device", "cpu")
    for number, frame in enumerate(frames, start=1):
        sent = np.asarray(opened(tmp_path / f"png/clip/{number:06d}.png")).astype(int)
        assert abs(sent - frame).mean() < 6
    out = tmp_path / "out"
    options = ("--format", "mp4", "--frames", "1:4", "--fps", "25", "--scale", "0.5")
    run("decompress", tmp_path / "packs", "-o", out, *options, "--device", "cpu")
    assert contents(out).keys() == {"clip.mp4"}
    frames, rate = decoded(out / "clip.mp4")
    assert (len(frames), frames[0].shape, rate) == (3, (8, 16, 3), 25)


def test_an_animation_has_the_frames_in_order(run: Run, packs: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.gif"
    run("decompress", packs, "-o", out, "--frames", ":2", "--fps", "4", "--device", "cpu")
    with Image.open(out) as image:
        assert (image.n_frames, image.size, image.info["duration"]) == (2, (24, 16), 250)
        for number in range(2):
            image.seek(number)
            shown = np.asarray(image.convert("RGB")).astype(int)
            assert abs(shown - pixels_of(packs, number)).mean() < 8


def test_a_video_has_frames_of_one_size(run: Run, packs: Path, tmp_path: Path) -> None:
    result = run("decompress", packs, "-o", tmp_path / "a.gif", code=2)
    assert "a video has frames of one size, and these have 24x16 and 12x16 (3.png)" in result.stderr
    assert not (tmp_path / "a.gif").exists()
    options = ("--region", "0,0,12,16", "--device", "cpu")
    run("decompress", packs, "-o", tmp_path / "a.gif", *options)
    assert opened(tmp_path / "a.gif").size == (12, 16)


def test_every_folder_becomes_a_video(run: Run, dataset: Path, tmp_path: Path) -> None:
    run("compress", dataset, "-o", tmp_path / "packs", *QUICK)
    options = ("--format", "gif", "--device", "cpu")
    run("decompress", tmp_path / "packs", "-o", tmp_path / "out", *options)
    assert contents(tmp_path / "out").keys() == {"train.gif", "val/s.gif"}


def test_a_damaged_pack_costs_the_video_its_frames_and_says_so(
    run: Run, packs: Path, tmp_path: Path
) -> None:
    pack = sorted(packs.glob("*.rinr"))[0]
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 255
    pack.write_bytes(data)
    options = ("--region", "0,0,12,16", "--device", "cpu")
    result = run("decompress", packs, "-o", tmp_path / "a.gif", *options, code=1)
    assert str(pack) in result.stderr
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 3


def test_packs_do_not_mix_with_the_pictures_of_their_source(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    before = contents(folder)
    (tmp_path / "link").symlink_to(folder)
    listed = write(tmp_path / "d.yaml", f"train: {tmp_path}/l.txt\nnames: [a]\n")
    write(tmp_path / "l.txt", f"{folder}/0.png\n{tmp_path}/gone/1.png\n")
    run("compress", listed, "-o", tmp_path / "new", *QUICK, code=1)  # gone/1.png fails
    for out in (folder, folder / "more", tmp_path / "link", folder / "more/..", f"{folder}/./"):
        said = run("compress", folder, "-o", out, *QUICK, code=2).stderr
        assert "packs would mix with them; give another folder with -o" in said
    assert contents(folder) == before
    inside = folder / "packs"  # which holds no picture: the next run has the same source
    run("compress", folder, "-o", inside, *QUICK)
    again = run("compress", folder, "-o", inside, "--resume", *QUICK)
    assert "nothing to resume" in again.stderr
