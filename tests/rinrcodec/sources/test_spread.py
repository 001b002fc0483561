"""Frames that are spread evenly over a source."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rinrcodec.errors import RinrInputError
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.spread import evenly_spread, read_pictures


@pytest.mark.parametrize(
    ("count", "total", "wanted"),
    [
        (1, 1, [0]),
        (1, 9, [4]),
        (2, 8, [2, 6]),
        (3, 10, [1, 5, 8]),
        (4, 4, [0, 1, 2, 3]),
        (12, 3, [0, 1, 2]),
    ],
)
def test_frames_are_the_middles_of_equal_runs(count, total, wanted):
    assert evenly_spread(count, total) == wanted


def test_no_frames_are_refused():
    with pytest.raises(RinrInputError, match="0 frames"):
        evenly_spread(0, 5)


@pytest.fixture
def dataset(tmp_path):
    """Two splits of three grey pictures; the value of the pixels is the number of the picture."""
    for number, name in enumerate(["train/a", "train/b", "train/c", "val/a", "val/b", "val/c"]):
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 6), number, np.uint8)).save(path)
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a]\n")
    return tmp_path


def test_pictures_are_read_by_number_through_all_series(dataset):
    pictures = read_pictures(open_source(dataset / "data.yaml"), [1, 3, 5])
    assert [picture.name for picture in pictures] == ["train/b.png", "val/a.png", "val/c.png"]
    assert [int(picture.pixels[0, 0]) for picture in pictures] == [1, 3, 5]


def test_without_a_count_all_pictures_of_a_folder_are_read(dataset):
    pictures = read_pictures(open_source(dataset / "images" / "val"))
    assert [picture.name for picture in pictures] == ["a.png", "b.png", "c.png"]


def test_a_video_is_read_by_number(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(6):
            pixels = np.full((32, 32, 3), 40 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    pictures = read_pictures(open_source(tmp_path / "v.mp4"), [1, 4])
    assert [picture.name for picture in pictures] == ["v/000002.png", "v/000005.png"]
    assert [round(picture.pixels.mean() / 40) for picture in pictures] == [1, 4]


def test_a_picture_that_cannot_be_read_is_named(dataset):
    (dataset / "images" / "val" / "b.png").write_bytes(b"no picture")
    with pytest.raises(RinrInputError, match=r"b\.png"):
        read_pictures(open_source(dataset / "images" / "val"), [1])
    assert len(read_pictures(open_source(dataset / "images" / "val"), [0, 2])) == 2
