"""Data sets with background "nerv": one network for every sequence, from any source."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest

import rinrcodec
from rinrcodec import CompressInterrupted, RinrUsageError
from rinrcodec.datasets import fitter
from rinrcodec.datasets.batches import sequence_batches
from rinrcodec.errors import RinrError
from rinrcodec.families.nerv.encode import NervBackgrounds
from rinrcodec.presets import get_preset

from .conftest import QUICK, picture, put, video, write

NERV = {"background": "nerv", **QUICK}


def networks(path: Path) -> list[tuple[str, tuple[int, int], float]]:
    """Name, network and time of every frame of a pack."""
    with rinrcodec.open(path) as file:
        frames = [file.frame(i) for i in range(file.n_frames)]
    return [(f.name, (f.background.group, f.background.row), f.time) for f in frames]


@pytest.fixture
def sequences(tmp_path: Path) -> Path:
    """Two sequences in folders of their own, of four and of three frames."""
    source = tmp_path / "clips"
    for name, n in (("a", 4), ("b", 3)):
        for i in range(n):
            put(source / name / f"{i}.png", picture(i))
    return source


def test_a_folder_of_sequences(sequences: Path, tmp_path: Path) -> None:
    rinrcodec.compress(sequences, tmp_path / "out", **NERV)
    frames = networks(tmp_path / "out/clips-00000.rinr")
    assert [name for name, _, _ in frames] == [
        *(f"a/{i}.png" for i in range(4)),
        *(f"b/{i}.png" for i in range(3)),
    ]
    assert len({network for _, network, _ in frames[:4]}) == 1
    assert len({network for _, network, _ in frames}) == 2
    assert [time for _, _, time in frames] == [0, 0.25, 0.5, 0.75, 0, 1 / 3, 2 / 3]
    assert rinrcodec.verify(tmp_path / "out").frames == 7
    rinrcodec.decompress(tmp_path / "out", tmp_path / "back")
    assert len(list((tmp_path / "back").rglob("*.png"))) == 7


def test_a_network_is_of_one_pack(sequences: Path, tmp_path: Path) -> None:
    rinrcodec.compress(sequences, tmp_path / "out", shard_size=3, **NERV)
    packs = sorted((tmp_path / "out").glob("*.rinr"))
    assert [[name for name, _, _ in networks(pack)] for pack in packs] == [
        ["a/0.png", "a/1.png", "a/2.png"],
        ["a/3.png", "b/0.png", "b/1.png"],
        ["b/2.png"],
    ]
    assert [time for _, _, time in networks(packs[1])] == [0, 0, 0.5]


def test_splits_of_a_yaml_hold_sequences(sequences: Path, tmp_path: Path) -> None:
    splits = f"train: {sequences.name}\nval: {sequences.name}/b\nnames: [thing]\n"
    yaml = write(tmp_path / "clips.yaml", splits)
    for name, n in (("a", 4), ("b", 3)):
        for i in range(n):
            write(tmp_path / f"labels/{name}/{i}.txt", "0 0.5 0.5 0.5 0.5\n")
    rinrcodec.compress(yaml, tmp_path / "out", labels=tmp_path / "labels", **NERV)
    frames = networks(tmp_path / "out/train/train-00000.rinr")
    assert len({network for _, network, _ in frames}) == 2
    assert len({network for _, network, _ in networks(tmp_path / "out/val/val-00000.rinr")}) == 1
    with rinrcodec.open(tmp_path / "out/train/train-00000.rinr") as file:
        assert [len(file.boxes(i)) for i in range(7)] == [1] * 7


def test_a_video_is_a_sequence(tmp_path: Path) -> None:
    clip = video(tmp_path / "clip.avi", 5)
    result = rinrcodec.compress(clip, tmp_path / "out", **NERV)
    assert result.as_json()["background"] == "nerv"
    frames = networks(tmp_path / "out/clip-00000.rinr")
    assert [time for _, _, time in frames] == [i / 5 for i in range(5)]
    assert {network for _, network, _ in frames} == {(0, 0)}


def test_one_image_is_a_sequence_of_one(tmp_path: Path) -> None:
    image = put(tmp_path / "one.png", picture(0))
    rinrcodec.compress(image, tmp_path / "out", **NERV)
    assert networks(tmp_path / "out/one.rinr") == [("one.png", (0, 0), 0.0)]


def test_files_of_one_frame_are_refused(sequences: Path, tmp_path: Path) -> None:
    with pytest.raises(RinrUsageError, match="needs packs"):
        rinrcodec.compress(sequences, tmp_path / "out", layout="files", **NERV)
    assert not (tmp_path / "out").exists()


def test_an_interrupted_run_is_resumed_with_the_next_sequence(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rinrcodec.compress(sequences, tmp_path / "whole", **NERV)
    fit, calls = fitter.Fitter._fit, count()

    def once(*args: object, **options: object) -> object:
        if next(calls):
            raise RinrError("the power went off")
        return fit(*args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(fitter.Fitter, "_fit", once)
        with pytest.raises(RinrError, match="the power went off"):
            rinrcodec.compress(sequences, tmp_path / "out", **NERV)
    with pytest.raises(RinrUsageError, match="other options"):
        rinrcodec.compress(sequences, tmp_path / "out", resume=True, **QUICK)
    rinrcodec.compress(sequences, tmp_path / "out", resume=True, **NERV)
    packs = [tmp_path / folder / "clips-00000.rinr" for folder in ("whole", "out")]
    assert packs[0].read_bytes() == packs[1].read_bytes()


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (NERV, "after every sequence"),
        (QUICK, "every 16 frames"),
        ({**QUICK, "gop": 4}, "every 4 frames"),
        ({**QUICK, "gop": 1}, "after every frame"),
        ({**QUICK, "background": "siren"}, "every 16 frames"),
    ],
)
def test_ctrl_c_says_when_work_would_be_kept(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any, kept: str
) -> None:
    def stop(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(fitter.Fitter, "_fit", stop)
    with pytest.raises(CompressInterrupted) as caught:
        rinrcodec.compress(sequences, tmp_path / "out", **options)
    assert str(caught.value) == (
        f"interrupted; nothing was kept yet, as work is kept {kept}. Run the same command again"
    )
    assert not (tmp_path / "out").exists()


def test_an_unreadable_frame_is_listed_and_the_others_are_done(
    sequences: Path, tmp_path: Path
) -> None:
    write(sequences / "a/0.png", "no picture")
    (failure,) = rinrcodec.compress(sequences, tmp_path / "out", **NERV).failures
    assert "0.png" in failure
    frames = networks(tmp_path / "out/clips-00000.rinr")
    assert [name for name, _, _ in frames][:3] == ["a/1.png", "a/2.png", "a/3.png"]
    assert [time for _, _, time in frames][:3] == [0, 1 / 3, 2 / 3]


def cut(sizes: list[int], folders: str, *, start: int = 0) -> list[list[int]]:
    """Batches of items that are their pixels, with chunks of at most 3."""

    def chunk(left: int, area: int) -> int:
        assert area
        parts = -(-left // 3)
        return -(-left // parts)

    return list(sequence_batches(sizes[start:], int, chunk, folders=list(folders), start=start))


def test_where_sequences_are_cut() -> None:
    items = [*range(1, 8)]
    assert cut(items, "aaaaaaa") == [[1, 2, 3], [4, 5], [6, 7]]
    assert cut(items, "aaaaaaa", start=3) == [[4, 5], [6, 7]]
    assert cut(items, "abbbbcc") == [[1], [2, 3], [4, 5], [6, 7]]
    # What cannot be read has no size; the chunk is decided by the first that can.
    assert cut([0, 5, 6, 7], "aaaa") == [[0, 5], [6, 7]]
    assert cut([0, 0], "ab") == [[0], [0]]
    # A video that holds more frames than it declares.
    assert cut(items, "aaaa") == [[1, 2], [3, 4], [5], [6], [7]]
    assert cut([], "") == []


def test_batches_are_bounded_by_their_largest_pictures() -> None:
    part = get_preset("fast", background="nerv").background
    assert isinstance(part, NervBackgrounds)
    sizes = [10] + [part.most_pixels // 2] * 5
    batches = list(sequence_batches(sizes, int, part.chunk, folders=["a"] * 6))
    assert [item for batch in batches for item in batch] == sizes
    assert max(map(sum, batches)) <= part.most_pixels
