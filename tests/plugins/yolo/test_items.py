"""The data set that YOLO sees: items from packs are those of the PNGs that they decompress to."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import rinrcodec
from rinrcodec import Box
from rinrcodec.errors import RinrError, RinrFormatError, RinrInputError
from rinrcodec.formats import PackReader
from rinrcodec.formats.schema import Kind

from .conftest import (
    HOST,
    ODD,
    SIZES,
    build,
    damage,
    no_installs,
    put_picture,
    same_items,
    seeded,
    weight_offset,
)

pytestmark = HOST


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("rect", [False, True])
def test_items_are_those_of_the_decompressed_pictures(sets: Path, split: str, rect: bool) -> None:
    ours = build(sets / "packs" / split, rect=rect)
    theirs = build(sets / "png/images" / split, rect=rect)
    assert len(ours) == (20 if split == "train" else len(ODD) - 2)
    same_items(ours, theirs)


@pytest.mark.parametrize(("layout", "n_files"), [("files", 6), ("pack", 1)])
def test_items_come_in_the_order_of_their_pictures(
    tmp_path: Path, layout: Any, n_files: int
) -> None:
    folder = tmp_path / "images"
    # An order of their own as paths, and as numbers.
    for i, name in enumerate(["s/b", "s-1", "s", "t", "f2", "f10"]):
        put_picture(tmp_path, name, f"{i % 2} 0.5 0.5 0.2 0.2\n", i)
    rinrcodec.compress(folder, tmp_path / "packs", layout=layout, steps=4, device="cpu")
    assert len(list((tmp_path / "packs").rglob("*.rinr"))) == n_files
    rinrcodec.decompress(tmp_path / "packs", tmp_path / "png/images")
    shutil.copytree(tmp_path / "labels", tmp_path / "png/labels")
    (tmp_path / "labels").rename(tmp_path / "unused")
    ours, theirs = build(tmp_path / "packs"), build(tmp_path / "png/images")
    assert [len(item["cls"]) for item in ours.labels] == [1] * 6
    same_items(ours, theirs)


def test_the_pixels_are_those_that_pillow_shows(sets: Path) -> None:
    rinrcodec.register_pillow()
    seen = set()
    for imgsz in (64, 80):  # the long sides: frames of that size are not scaled
        dataset = build(sets / "packs/train", imgsz=imgsz)
        for index, path in enumerate(dataset.im_files):
            bgr, stored, size = dataset.load_image(index)
            ref = dataset._refs[path]
            with Image.open(ref.pack) as image:
                image.seek(ref.index)
                assert stored == image.size[::-1]
                if size == stored:
                    assert np.array_equal(np.asarray(image.convert("RGB")), bgr[..., ::-1])
                    seen.add((image.size, image.mode))
    assert seen == {(size, mode) for size in SIZES for mode in ("L", "RGB")}


def test_frames_of_a_sequence_are_frames(sequence_pack: rinrcodec.Pack, tmp_path: Path) -> None:
    frames = [replace(frame, boxes=(), objects=()) for frame in sequence_pack.frames]
    pack = replace(sequence_pack, frames=tuple(frames))
    rinrcodec.save(pack, tmp_path / "sequence.rinr")
    dataset = build(tmp_path, imgsz=48)
    assert len(dataset) == 5
    pixels = np.asarray(rinrcodec.decode(pack, 4)).transpose(1, 2, 0)
    assert np.array_equal(dataset.load_image(4)[0][..., ::-1], pixels)


@pytest.mark.parametrize(("cache", "rect"), [(False, False), ("ram", False), (False, True)])
def test_augmented_items_are_the_same_under_one_seed(
    sets: Path, cache: bool | str, rect: bool
) -> None:
    options = {"mosaic": 1.0, "mixup": 0.5, "degrees": 10.0, "deterministic": False}
    options |= {"cache": cache, "rect": rect}
    made, states = [], []
    for split in ("packs/train", "png/images/train"):
        seeded()
        made.append(build(sets / split, "train", **options))
        states.append(random.getstate())
    assert states[0] == states[1]
    same_items(*made)


def test_a_split_may_be_a_list_of_packs_and_a_share_of_them(sets: Path, tmp_path: Path) -> None:
    packs = sorted((sets / "packs/train").glob("*.rinr"))
    assert len(build(packs[:2])) == 14
    listed = tmp_path / "train.txt"
    listed.write_text(f"{packs[0]}\n./own.rinr\n")
    shutil.copy(packs[2], tmp_path / "own.rinr")
    assert len(build(listed)) == 13
    for split in ("packs/train", "png/images/train"):
        assert len(build(sets / split, "train", fraction=0.4)) == 8
    with pytest.raises(RinrInputError, match=r"images.*no \.rinr file here.*all packs or all"):
        build([packs[0], sets / "png/images/val"])


def test_a_folder_of_labels_overrides_packs_with_a_message(
    sets: Path, tmp_path: Path, log: Any
) -> None:
    shutil.copytree(sets / "packs/train", tmp_path / "train")
    label = tmp_path / "labels/train/s1/000003.txt"
    label.parent.mkdir(parents=True)
    label.write_text("1 0.5 0.5 0.25 0.25\n")
    dataset = build(tmp_path / "train")
    counts = {Path(item["im_file"]).stem: len(item["cls"]) for item in dataset.labels}
    assert sum(counts.values()) == counts["000003"] == 1
    assert f"labels from {tmp_path / 'labels/train'}" in log.text
    # Also for packs that a list or a pattern names, wherever the list is.
    listed = tmp_path / "lists/train.txt"
    listed.parent.mkdir()
    packs = sorted((tmp_path / "train").glob("*.rinr"))
    listed.write_text("".join(f"{pack}\n" for pack in packs))
    for source in (listed, f"{tmp_path}/train/*.rinr", packs):
        assert sum(len(item["cls"]) for item in build(source).labels) == 1
    # A folder of labels for other pictures is not this one's.
    label.rename(label.with_name("other.txt"))
    assert sum(len(item["cls"]) for item in build(tmp_path / "train").labels) == 30


def test_nothing_is_written_next_to_the_packs(sets: Path, tmp_path: Path, log: Any) -> None:
    shutil.copytree(sets / "packs", tmp_path / "packs")
    before = sorted(tmp_path.rglob("*"))
    dataset = build(tmp_path / "packs/train", "train", cache="disk")
    assert dataset[0]["img"].dtype == torch.uint8
    assert sorted(tmp_path.rglob("*")) == before
    assert "cache='disk' is not offered" in log.text


def test_damaged_files_and_frames_are_reported_and_left_out(
    sets: Path, tmp_path: Path, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_installs(monkeypatch)
    for pack in (sets / "packs/train").glob("*.rinr"):
        shutil.copy(pack, tmp_path)
    first, second, _ = sorted(tmp_path.glob("*.rinr"))
    damage(first, 100)  # the user block: nothing of the file can be trusted
    damage(second, weight_offset(second))
    (tmp_path / "zero.rinr").touch()
    (tmp_path / "picture.rinr").write_bytes(b"\xff\xd8\xff\xe0 a picture under a wrong name")
    sound = {item["im_file"] for item in build(sets / "packs/train").labels}
    listed = {item["im_file"] for item in build(tmp_path).labels}
    kept = {str(Path(*Path(path).parts[-3:])) for path in listed}
    wanted = {str(Path(*Path(path).parts[-3:])) for path in sound}
    assert kept < wanted
    assert not any(first.name in path for path in kept)
    assert 6 < sum(second.name in path or "00002.rinr" in path for path in kept) < 13
    for name in (first.name, second.name, "zero.rinr", "picture.rinr"):
        assert any("corrupt, left out" in line and name in line for line in log.text.splitlines())
    # Damage that appears later is an error with the cause, not a wrong picture.
    dataset = build(tmp_path)
    last = max(tmp_path.glob("train*.rinr"))
    damage(last, weight_offset(last))
    with pytest.raises(RinrFormatError, match=last.name):
        list(dataset)


def test_a_folder_with_nothing_sound_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.rinr").write_bytes(b"nothing")
    with pytest.raises(RinrError, match=r"a\.rinr"):
        build(tmp_path)


def test_errors_name_one_file_and_count_the_others(sets: Path, tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.rinr").write_bytes(b"nothing")
    with pytest.raises(RinrInputError, match=r"0\.rinr: [^;]* \(and 2 more\)$"):
        build(tmp_path)
    empty = Path(shutil.copy(sets / "packs/train/train-00000.rinr", tmp_path / "0.rinr"))
    with PackReader(empty) as reader:
        refs = {reader.frame(index).background.group for index in range(reader.n_frames)}
        directory = reader._directory
        offsets = [directory.offsets[directory.run(Kind.ROWS, group).first] for group in refs]
        n_frames = reader.n_frames
    for offset in offsets:
        damage(empty, int(offset))
    message = rf"no frame can be used: .*1\.rinr: [^;]* \(and {n_frames + 1} more\)$"
    with pytest.raises(RinrInputError, match=message):
        build(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_give_the_same_items(sets: Path, method: str) -> None:
    dataset = build(sets / "packs/train")
    dataset[0]  # a reader is open before the workers start
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=10,
        num_workers=1,
        multiprocessing_context=method,
        collate_fn=dataset.collate_fn,
    )
    images = torch.cat([batch["img"] for batch in loader])
    torch.testing.assert_close(images, torch.stack([item["img"] for item in dataset]))


def test_worker_processes_augment_alike(sets: Path) -> None:
    from ultralytics.data.build import build_dataloader

    epochs = []
    for split in ("packs/train", "png/images/train"):
        seeded()
        loader = build_dataloader(build(sets / split, "train", mosaic=1.0), 5, 2, shuffle=True)
        assert loader.num_workers == min(2, os.cpu_count() or 1)
        epochs.append(torch.stack([batch["img"] for _ in range(2) for batch in loader]))
    assert len(epochs[0]) == 8
    torch.testing.assert_close(*epochs, rtol=0, atol=0)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of classes that have names."""
    root = tmp_path_factory.mktemp("named")
    pack = rinrcodec.encode([Image.new("RGB", (32, 32))], boxes=[[Box(1, 4, 4, 20, 20)]])
    for name, info in {"a": {"names": '["person","car"]'}, "b": {"names": '["no","car"]'}}.items():
        (root / name).mkdir()
        rinrcodec.save(replace(pack, info={**pack.info, **info}), root / name / "0.rinr")
    (root / "bare").mkdir()
    rinrcodec.save(pack, root / "bare/0.rinr")
    return root


@pytest.mark.parametrize(
    "names",
    [
        ["person", "car"],
        {0: "person", 1: "car"},
        {0: "person", 1: "car", 2: "dog"},
        ["class_0", "class_1"],  # of `nc: 2`
        ["person", "class_1"],
    ],
)
def test_names_of_classes_that_fit(named: Path, names: Any) -> None:
    dataset = build([named / "a", named / "bare"], keys={"names": names})
    assert [label["cls"].tolist() for label in dataset.labels] == [[[1.0]]] * 2


@pytest.mark.parametrize(
    ("packs", "names", "wrong"),
    [
        ("a", ["car", "person"], "class 0 is 'person', and 'car' in the data yaml"),
        ("a", {0: "person", 1: "Car"}, "class 1 is 'car', and 'Car' in the data yaml"),
        ("ab", ["class_0", "class_1"], "class 0 is 'no', and 'person' in .*a/0.rinr"),
    ],
)
def test_names_of_other_classes_are_refused(
    named: Path, packs: str, names: Any, wrong: str
) -> None:
    with pytest.raises(RinrInputError, match=f"0.rinr: {wrong}"):
        build([named / one for one in packs], keys={"names": names})


def test_names_are_not_compared_for_single_cls_and_label_files(named: Path, tmp_path: Path) -> None:
    names = {"names": {0: "item"}, "nc": 1}  # as Ultralytics replaces them
    assert build(named / "a", keys=names, single_cls=True).labels[0]["cls"].tolist() == [[0.0]]
    shutil.copytree(named / "a", tmp_path / "packs")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/000000.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    dataset = build(tmp_path / "packs", keys={"names": ["car", "person"]})
    assert dataset.labels[0]["cls"].tolist() == [[0.0]]
