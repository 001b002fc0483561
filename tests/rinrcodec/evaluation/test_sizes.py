"""Sizes of folders of pictures and of packs, of the same frames or refused."""

from __future__ import annotations

import pytest
from PIL import Image

import rinrcodec
from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.sizes import Sizes, file_sizes, jpeg_sizes, pack_sizes
from rinrcodec.sources.images import picture_from_array


@pytest.fixture
def frames(make_picture, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(make_picture(24, 16, i)).save(folder / f"{i}.jpg")
    return folder


def test_jpeg_files_of_a_folder_or_alone(frames):
    every = [file.stat().st_size for file in frames.iterdir()]
    sizes = jpeg_sizes(frames)
    assert sizes == Sizes(3, sum(every))
    assert sizes.per_frame == sum(every) / 3
    assert jpeg_sizes(frames / "1.jpg") == Sizes(1, (frames / "1.jpg").stat().st_size)


def test_pictures_of_another_kind_are_no_jpeg_files(frames, make_picture):
    Image.fromarray(make_picture(24, 16, 9)).save(frames / "9.png")
    with pytest.raises(RinrInputError, match=r"1 of 4 pictures are no JPEG files, such as 9\.png"):
        jpeg_sizes(frames)
    assert file_sizes(frames, 4).frames == 4
    with pytest.raises(RinrInputError, match="holds 4 frames and the JPEG folder 3"):
        file_sizes(frames, 3)


def test_empty_files_and_folders_are_refused(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(RinrInputError, match=r"empty \(0 bytes\)"):
        jpeg_sizes(tmp_path / "a.jpg")
    (tmp_path / "b").mkdir()
    with pytest.raises(RinrInputError, match="no picture in this folder"):
        jpeg_sizes(tmp_path / "b")


def test_packs_must_hold_the_same_frames(make_picture, tmp_path):
    pictures = [picture_from_array(make_picture(24, 16, i), name=str(i)) for i in range(2)]
    path = tmp_path / "a.rinr"
    n_bytes = rinrcodec.save(rinrcodec.encode(pictures, preset="fast", steps=1), path)
    assert pack_sizes(tmp_path, 2) == pack_sizes(path, 2) == Sizes(2, n_bytes)
    with pytest.raises(RinrInputError, match="holds 2 frames and the JPEG folder 5"):
        pack_sizes(tmp_path, 5)
