"""`open` and `save`: a pack goes to disk and comes back as the same pixels."""

from __future__ import annotations

import doctest
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import rinrcodec
from rinrcodec import Box, Decoder, Picture, RinrFormatError, RinrInputError


@pytest.fixture(scope="module")
def pack(make_picture: Callable[..., NDArray[np.uint8]]) -> rinrcodec.Pack:
    pictures = [
        Picture("a/1.jpg", make_picture(30, 20), (Box(3, 4.5, 5.25, 9, 8),)),
        Picture("b.png", make_picture(18, 26, 1, grey=True)),
    ]
    return rinrcodec.encode(pictures, preset="fast", steps=40, device="cpu")


def test_the_file_decodes_to_the_pixels_of_the_pack(pack: rinrcodec.Pack, tmp_path: Path) -> None:
    path = tmp_path / "x.rinr"
    assert rinrcodec.save(pack, path) == path.stat().st_size
    with rinrcodec.open(path) as file:
        assert (len(file), file.n_frames, file.names()) == (2, 2, ("a/1.jpg", "b.png"))
        assert file.info == pack.info
        assert [file.frame(i) for i in range(2)] == list(pack.frames)
        assert file.boxes(0) == (Box(3, 4.5, 5.25, 9, 8),)
        assert file.groups == pack.groups
        assert "x.rinr" in repr(file)
        file.verify()
        for index in range(2):
            expected = rinrcodec.decode(pack, index)
            assert torch.equal(file.decode(index), expected)
            assert torch.equal(rinrcodec.decode(file, index), expected)
            assert torch.equal(Decoder(file, resident=True).decode(index), expected)
            assert torch.equal(pickle.loads(pickle.dumps(file)).decode(index), expected)


def test_imread_is_a_frame_as_opencv_has_it(pack: rinrcodec.Pack, tmp_path: Path) -> None:
    path = tmp_path / "x.rinr"
    rinrcodec.save(pack, path)
    colour = rinrcodec.decode(pack, 0).permute(1, 2, 0).numpy()
    assert np.array_equal(rinrcodec.imread(str(path)), colour)
    grey = rinrcodec.imread(path, -1, bgr=True)
    assert grey.shape == (26, 18, 3)
    assert (grey == grey[:, :, :1]).all()
    for array in (rinrcodec.imread(path, bgr=True), grey):
        assert array.dtype == np.uint8
        assert array.flags.c_contiguous
        assert array.flags.writeable
    assert np.array_equal(rinrcodec.imread(path, bgr=True)[:, :, ::-1], colour)
    with pytest.raises(IndexError, match="there is no frame 2: the file has 2 frames"):
        rinrcodec.imread(path, 2)
    with pytest.raises(FileNotFoundError, match=r"no\.rinr"):
        rinrcodec.imread(tmp_path / "no.rinr")


def test_the_example_of_imread_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = doctest.DocTestFinder(recurse=False).find(rinrcodec.imread, "imread")
    assert doctest.DocTestRunner().run(example).failed == 0


def test_save_keeps_what_is_there_when_asked(pack: rinrcodec.Pack, tmp_path: Path) -> None:
    path = tmp_path / "x.rinr"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises((rinrcodec.RinrError, FileExistsError), match=r"x\.rinr"):
        rinrcodec.save(pack, path, overwrite=False)
    assert path.read_text(encoding="utf-8") == "mine"


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RinrInputError, match="is a folder"):
        rinrcodec.open(tmp_path)
    (tmp_path / "text.rinr").write_text("no" * 400, encoding="utf-8")
    with pytest.raises(RinrFormatError, match=r"text\.rinr"):
        rinrcodec.open(tmp_path / "text.rinr")
    with pytest.raises(FileNotFoundError, match=r"absent\.rinr"):
        rinrcodec.open(tmp_path / "absent.rinr")


def test_the_facade_lists_its_public_names() -> None:
    assert set(rinrcodec.__all__) <= set(dir(rinrcodec))
    # In a process of its own: Ultralytics replaces functions of Pillow when it is imported.
    code = "import rinrcodec\nfor name in rinrcodec.__all__: getattr(rinrcodec, name)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="nothing"):
        _ = rinrcodec.nothing


def test_a_file_can_be_indexed_and_iterated(pack: rinrcodec.Pack, tmp_path: Path) -> None:
    path = tmp_path / "x.rinr"
    rinrcodec.save(pack, path)
    with rinrcodec.open(path) as file:
        frames = [rinrcodec.decode(pack, index) for index in range(2)]
        for index in (0, 1, -1, np.int64(1)):
            assert torch.equal(file[index], frames[index])
        for one, other in zip(file, frames, strict=True):
            assert torch.equal(one, other)
        assert [tuple(frame.shape) for frame in file[::-1]] == [(3, 26, 18), (3, 20, 30)]
        assert torch.equal(file[:1], frames[0][None])
        for index in (2, -3):
            with pytest.raises(
                IndexError, match=rf"there is no frame {index}: the file has 2 frames"
            ):
                file[index]


def test_frames_are_found_by_whole_numbers_only(pack: rinrcodec.Pack, tmp_path: Path) -> None:
    path = tmp_path / "x.rinr"
    rinrcodec.save(pack, path)
    with rinrcodec.open(path) as file:
        calls = (file.frame, file.boxes, file.pixels, file.decode, file.__getitem__, pack.frame)
        for call in (*calls, lambda index: file.pixels([0, index])):
            with pytest.raises(RinrInputError, match=r"'b\.png': .*; names\(\)\.index\('b\.png'\)"):
                call("b.png")
            with pytest.raises(RinrInputError, match=r"frame 1\.0: expected a number$"):
                call(1.0)
        assert file.pixels(file.names().index("b.png")).shape == (26, 18, 3)
        for index in (np.int64(1), torch.tensor(1), np.array(1)):
            assert file.pixels(index).shape == (26, 18, 3)


def test_the_region_of_a_box_is_its_crop(pack: rinrcodec.Pack) -> None:
    frame = pack.frames[0]
    region = frame.boxes[0].region(frame.width, frame.height)
    whole, crop = rinrcodec.decode(pack, 0), rinrcodec.decode(pack, 0, region=region)
    assert crop.shape == (3, region.height, region.width)
    inside = whole[(slice(None), *region.slices)]
    assert (crop.int() - inside.int()).abs().max() <= 1
