"""Frames whose labels could not be understood are no items, however the items are read."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.datasets.manifest import counted_packs
from rinrcodec.errors import RinrFormatError, RinrInputError
from rinrcodec.formats import PackReader, pack_bytes
from rinrcodec.pack import Pack, select_frames
from rinrcodec.plugins.torch_data import RinrDataset, collate
from rinrcodec.plugins.torch_loader import RinrLoader

from .conftest import ROW, clip_pack

# Python 3.12 and newer warn of every fork of a process with threads, such as a test runner's.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
PutRun = Callable[..., Path]
LEFT_OUT = "frames have labels that could not be understood in full, such as"


def without_labels(pack: Pack, *numbers: int) -> Pack:
    """The pack with some frames not labelled."""
    frames = [replace(frame, labelled=i not in numbers) for i, frame in enumerate(pack.frames)]
    return replace(pack, frames=tuple(frames))


@pytest.fixture
def folder(tmp_path: Path, pack: Pack) -> Path:
    """Files of five frames: all labelled, some not, none."""
    root = tmp_path / "packs"
    root.mkdir()
    rinrcodec.save(pack, root / "a.rinr")
    rinrcodec.save(without_labels(pack, 0, 3), root / "b.rinr")
    rinrcodec.save(without_labels(pack, *range(5)), root / "c.rinr")
    return root


def quiet(*args: Any, **options: Any) -> RinrDataset:
    with pytest.warns(UserWarning, match=LEFT_OUT):
        return RinrDataset(*args, **options)


def test_the_reader_says_which_frames_are_labelled(folder: Path, pack: Pack) -> None:
    expected = {"a": [True] * 5, "b": [False, True, True, False, True], "c": [False] * 5}
    for name, labelled in expected.items():
        with PackReader(folder / f"{name}.rinr") as reader:
            assert reader.labelled().tolist() == labelled
    # Extras of boxes set the feature bit, too, without a table of frames.
    boxes = (Box(0, 1, 1, 2, 2, track_id=1),)
    frame = replace(pack.frames[0], boxes=boxes, objects=(None,))
    data = pack_bytes(select_frames(replace(pack, frames=(frame,)), [0]))
    with PackReader(data) as reader:
        assert reader.labelled().tolist() == [True]


def test_unlabelled_frames_are_left_out_with_one_warning(folder: Path, pack: Pack) -> None:
    with pytest.warns(UserWarning, match=LEFT_OUT) as caught:
        dataset = RinrDataset(folder)
    (warning,) = caught
    assert str(warning.message).startswith(
        f"7 of 15 {LEFT_OUT} {pack.frames[0].name!r} of {folder}/b.rinr; they are left out"
    )
    assert "keep_unlabelled=True" in str(warning.message)
    assert warning.filename == __file__
    assert len(dataset) == 8
    expected = [*range(5), 1, 2, 4]
    for index, number in enumerate(expected):
        image, target = dataset[index]
        assert torch.equal(image, rinrcodec.decode(pack, number))
        assert target["image_id"] == index
        assert target["name"] == dataset.frame(index).name == pack.frames[number].name
    assert dataset[-1][1]["name"] == pack.frames[4].name
    with pytest.raises(IndexError):
        dataset[8]
    assert len(pickle.loads(pickle.dumps(dataset))) == 8
    frames = dataset.read([7, 0, 5]).frames
    assert [frame.name for frame in frames] == [pack.frames[k].name for k in (4, 0, 1)]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"resident": True}], ids=str)
def test_loaders_skip_unlabelled_frames(folder: Path, options: Any, workers: int) -> None:
    dataset = quiet(folder)
    loader = RinrLoader(dataset, batch_size=3, device="cpu", num_workers=workers, **options)
    seen = {t["image_id"]: t["name"] for _, targets in loader for t in targets}
    assert seen == {index: dataset.frame(index).name for index in range(8)}
    plain = DataLoader(dataset, batch_size=3, collate_fn=collate, num_workers=workers)
    assert [t["image_id"] for _, targets in plain for t in targets] == list(range(8))


def test_unlabelled_frames_can_be_kept(folder: Path) -> None:
    dataset = RinrDataset(folder, keep_unlabelled=True)
    assert len(dataset) == 15
    assert len(list(RinrLoader(dataset, batch_size=15, device="cpu"))) == 1
    assert not dataset.frame(5).labelled


def test_a_dataset_of_unlabelled_frames_only_is_refused(folder: Path) -> None:
    with pytest.raises(RinrInputError, match=rf"5 of 5 {LEFT_OUT} .*c\.rinr: no frame is left"):
        RinrDataset(folder / "c.rinr")


@pytest.mark.parametrize("shuffle", [False, True, "frames"])
def test_chained_rows_with_gaps(
    tmp_path: Path, clip_frames: Any, reads: list[int], shuffle: Any
) -> None:
    clip = without_labels(clip_pack(0, 12), 0, 4, 6, 7)
    rinrcodec.save(clip, tmp_path / "clip.rinr")
    dataset = quiet(tmp_path)
    numbers = [1, 2, 3, 5, 8, 9, 10, 11]
    assert dataset.row_starts(0).tolist() == [0, 0, 0, 0, 4, 4, 4, 4]
    loader = RinrLoader(dataset, batch_size=2, device="cpu", shuffle=shuffle)
    for _ in range(2):
        reads.clear()
        seen = []
        for images, targets in loader:
            for image, target in zip(images, targets, strict=True):
                seen.append(target["image_id"])
                assert torch.equal(image, clip_frames[numbers[target["image_id"]]])
        assert sorted(seen) == list(range(8))
        # Both rows once, with the frames that are no items.
        assert len(reads) <= 2 * ROW


# What manifests say


def test_a_manifest_spares_a_look_at_each_file(
    tmp_path: Path, pack: Pack, put_run: PutRun, opens: Any
) -> None:
    good, bad = pack_bytes(pack), pack_bytes(without_labels(pack, 1))
    put_run(tmp_path, [good] * 3, n_frames=5)
    put_run(tmp_path, [bad], n_frames=5, series="val", unlabelled=1)
    put_run(tmp_path, [bad, good], n_frames=5, series="test", unlabelled=None)
    with opens(tmp_path) as opened:
        dataset = quiet(tmp_path)
    assert len(dataset) == 28
    packs = {name for name in opened if name.endswith(".rinr")}
    assert packs == {"val-00000.rinr", "test-00000.rinr", "test-00001.rinr"}
    with opens(tmp_path) as opened:
        assert len(RinrDataset(tmp_path, keep_unlabelled=True)) == 30
    assert opened == ["manifest.json"]


def test_a_manifest_that_hides_unlabelled_frames_is_found(
    tmp_path: Path, pack: Pack, put_run: PutRun
) -> None:
    put_run(tmp_path, [pack_bytes(without_labels(pack, 1))], n_frames=5)
    dataset = RinrDataset(tmp_path)
    assert len(dataset) == 5
    assert dataset[0][1]["image_id"] == 0
    message = r"train-00000\.rinr: the labels of frame 1, '.*', could not be understood in full"
    with pytest.raises(RinrFormatError, match=message):
        dataset[1]
    for workers in (0, 1):
        with pytest.raises(RinrFormatError, match=message):
            list(RinrLoader(dataset, device="cpu", num_workers=workers))


def test_compress_counts_unlabelled_frames(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for split in ("images", "labels"):
        (source / split).mkdir(parents=True)
    for number in range(4):
        image = Image.new("RGB", (32, 32), (10 * number, 90, 40))
        image.save(source / "images" / f"{number}.png")
        label = "0 0.5 0.5 0.25 0.25\n" + "0 a b c d\n" * (number == 2)
        (source / "labels" / f"{number}.txt").write_text(label, encoding="utf-8")
    result = rinrcodec.compress(source, tmp_path / "packs", preset="fast", shard_size=2)
    assert len(result.lost_labels) == 1
    assert [pack.labelled for pack in counted_packs(tmp_path / "packs")] == [True, False]
    dataset = quiet(tmp_path / "packs")
    assert [dataset[index][1]["name"] for index in range(3)] == [
        f"images/{number}.png" for number in (0, 1, 3)
    ]
    rinrcodec.compress(source, tmp_path / "packs", preset="fast", shard_size=2, resume=True)
    assert [pack.labelled for pack in counted_packs(tmp_path / "packs")] == [True, False]
