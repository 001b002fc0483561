"""Videos of frames that are damaged, of several sizes, or in folders of odd names."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import rinrcodec
from rinrcodec.datasets.unpacking.video_files import write_clip
from rinrcodec.errors import RinrInputError, RinrUsageError
from rinrcodec.formats import read_pack


def save(path: Path, sizes: list[tuple[int, int]], **options: Any) -> Path:
    """A pack of grey frames of these heights and widths, each of another grey."""
    pictures = [
        np.full((height, width, 3), 40 * number, np.uint8)
        for number, (height, width) in enumerate(sizes, start=1)
    ]
    made = rinrcodec.encode(pictures, preset="fast", steps=8, device="cpu", **options)
    rinrcodec.save(made, path)
    return path


def save_named(path: Path, names: list[str]) -> None:
    pack = read_pack(save(path, [(16, 24)] * len(names)))
    frames = [replace(frame, name=name) for frame, name in zip(pack.frames, names, strict=True)]
    rinrcodec.save(replace(pack, frames=tuple(frames)), path)


def test_sizes_after_a_frame_that_cannot_be_read_are_compared(tmp_path: Path) -> None:
    pack = save(tmp_path / "a.rinr", [(16, 16), (40, 40), (20, 16)])
    with pytest.raises(RinrUsageError, match="these have 16x16 and 16x20"):
        rinrcodec.decompress(pack, tmp_path / "a.mp4", max_pixels=1000, device="cpu")


def test_the_first_frame_that_can_be_read_gives_the_size(tmp_path: Path) -> None:
    pack = save(tmp_path / "a.rinr", [(16, 24), (40, 40), (16, 24), (16, 24)])
    frames = slice(1, None)
    out = tmp_path / "a.mp4"
    result = rinrcodec.decompress(pack, out, frames=frames, max_pixels=1000, device="cpu")
    assert (result.frames, result.failed_frames) == (2, 1)
    with av.open(str(out)) as video:
        shapes = [(frame.height, frame.width) for frame in video.decode(video=0)]
    assert shapes == [(16, 24)] * 2


def test_the_memory_of_a_gif_is_bounded_by_frames_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = save(tmp_path / "a.rinr", [(16, 24), (40, 40), (16, 24), (16, 24)])
    limits = rinrcodec.Limits(max_pixels=1000, max_result_bytes=3 * 16 * 24 - 1)
    monkeypatch.setattr("rinrcodec.datasets.decompress.limits_for", lambda _: limits)
    frames = slice(1, None)
    result = rinrcodec.decompress(pack, tmp_path / "a.gif", frames=frames, device="cpu")
    assert result.frames == 0
    assert "bytes of all frames of a gif" in result.failures[-1]
    assert not (tmp_path / "a.gif").exists()


def test_no_frame_can_be_read(tmp_path: Path) -> None:
    pack = save(tmp_path / "a.rinr", [(40, 40)])
    result = rinrcodec.decompress(pack, tmp_path / "a.mp4", max_pixels=1000, device="cpu")
    (failure,) = result.failures
    assert "max_pixels" in failure
    assert not (tmp_path / "a.mp4").exists()


def test_a_frame_of_another_size_is_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = save(tmp_path / "a.rinr", [(16, 16), (20, 16)])
    monkeypatch.setattr(
        "rinrcodec.datasets.decompress.check_shapes",
        lambda jobs, _: {job.pictures[0]: (16, 16) for job in jobs},
    )
    result = rinrcodec.decompress(pack, tmp_path / "a.gif", device="cpu")
    assert result.frames == 1
    assert "16x20 pixels, and the video has 16x16; the frame is left out" in result.failures[0]


@pytest.mark.parametrize("fps", [1 / 600, 1000])
@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_the_least_and_the_most_frames_a_second(tmp_path: Path, kind: str, fps: float) -> None:
    pack = save(tmp_path / "a.rinr", [(16, 24)] * 2)
    out = tmp_path / f"a.{kind}"
    assert rinrcodec.decompress(pack, out, fps=fps, device="cpu").frames == 2
    with av.open(str(out)) as video:
        assert len(list(video.decode(video=0))) == 2


def test_equal_frames_of_a_gif_can_last_too_long(tmp_path: Path) -> None:
    pixels = np.full((16, 24, 3), 90, np.uint8)
    with pytest.raises(RinrInputError, match="for more than 655 seconds"):
        write_clip(
            tmp_path / "a.gif",
            iter([pixels] * 2),
            kind="gif",
            fps=Fraction(1, 600),
            shape=(16, 24),
            count=2,
            limits=rinrcodec.Limits(),
        )
    assert not list(tmp_path.iterdir())


def test_every_folder_has_a_video_of_its_own(tmp_path: Path) -> None:
    long = "d" * 254
    names = ["A/1.png", "a/1.png", "x\x01/1.png", "x_/1.png", f"{long}/1.png", "A/2.png"]
    save_named(tmp_path / "a.rinr", names)
    result = rinrcodec.decompress(tmp_path / "a.rinr", tmp_path / "out", format="gif", device="cpu")
    assert (result.frames, result.failures) == (6, ())
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files[:2] == ["A.gif", "a~2.gif"]
    assert files[2].startswith("dddd")
    assert files[3:] == ["x_.gif", "x_~2.gif"]
    (warning,) = result.warnings
    assert "4 videos got another file name, such as a~2.gif for a" in warning


def test_a_video_named_like_a_folder_does_not_stop_the_others(tmp_path: Path) -> None:
    save_named(tmp_path / "a.rinr", ["b.gif/c/1.png", "b/1.png", "d/1.png"])
    result = rinrcodec.decompress(tmp_path / "a.rinr", tmp_path / "out", format="gif", device="cpu")
    assert result.frames == 2
    assert "b.gif cannot be written: " in result.failures[0]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"b.gif", "d.gif"}
