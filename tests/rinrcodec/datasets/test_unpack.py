"""`decompress` where labels or pictures of frames cannot be written: no false background."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rinrcodec
from rinrcodec import Box
from rinrcodec.datasets import picture_files
from rinrcodec.errors import RinrFormatError
from rinrcodec.formats import PackReader
from rinrcodec.formats.header import SECTIONS
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset

from .conftest import contents, write

TWO = ((4.0, 4.0, 2.0), (8.0, 8.0, 2.0))
LINE = "0 0.375000 0.500000 0.250000 0.500000 0.125000 0.250000 2 0.250000 0.500000 2\n"


def pack(path: Path, *, info: dict[str, str] | None = None, wide: int = 32) -> Path:
    """Poses of two keypoints: in the first frame and the third; in the second, one of one."""
    box = Box(0, 8, 4, 8, 8, keypoints=TWO)
    pictures = [
        Picture("s/a.png", np.full((16, 32, 3), 90, np.uint8), (box,)),
        Picture(
            "s/b.png", np.full((16, wide, 3), 90, np.uint8), (replace(box, keypoints=TWO[:1]),)
        ),
        Picture("s/c.png", np.full((16, 32, 3), 90, np.uint8), (box,)),
    ]
    made = rinrcodec.encode(pictures, preset="fast", steps=1, background="siren", device="cpu")
    path.parent.mkdir(parents=True, exist_ok=True)
    rinrcodec.save(replace(made, info={"task": "pose", "kpt_shape": "[2,3]", **(info or {})}), path)
    return path


def decompress(source: Path, out: Path, **options: Any) -> rinrcodec.DecompressResult:
    return rinrcodec.decompress(source, out, device="cpu", **{"labels": "yolo", **options})


def test_a_frame_whose_labels_do_not_fit_goes_to_the_unlabelled(tmp_path: Path) -> None:
    result = decompress(pack(tmp_path / "p.rinr"), tmp_path / "out")
    images, spare = tmp_path / "out/images", tmp_path / "out/unlabelled/s/b.png"
    (failure,) = result.failures
    why = f"not in {images}, as its labels cannot be written: {tmp_path / 'p.rinr'}: "
    assert failure.startswith(f"{spare}: {why}")
    assert "1 keypoints of 3 numbers, expected 2 of 3" in failure
    found = contents(tmp_path / "out")
    assert found.keys() == {
        *("images/s/a.png", "labels/s/a.txt", "images/s/c.png", "labels/s/c.txt"),
        *("unlabelled/s/b.png", "data.yaml"),
    }
    assert found["labels/s/a.txt"].decode() == LINE
    assert (result.frames, result.failed_frames) == (3, 0)
    (warning,) = result.warnings
    assert warning.startswith(f"{tmp_path / 'out/data.yaml'}: train and val are the same pictures")


def test_overwriting_a_split_removes_outdated_files(tmp_path: Path) -> None:
    pack(tmp_path / "packs/train/train-00000.rinr")
    data = write(tmp_path / "packs/data.yaml", "train: train\nnames: [a]\nkpt_shape: [2, 3]\n")
    for name in ("images/train/s/b.png", "labels/train/s/b.txt"):
        write(tmp_path / "out" / name, "earlier")
    result = decompress(data, tmp_path / "out", overwrite=True)
    assert result.warnings == ()
    assert contents(tmp_path / "out").keys() == {
        *("images/train/s/a.png", "labels/train/s/a.txt"),
        *("images/train/s/c.png", "labels/train/s/c.txt"),
        *("unlabelled/train/s/b.png", "data.yaml"),
    }


@pytest.mark.parametrize(
    ("labels", "key", "text"),
    [
        *[("yolo", "task", "jump"), ("voc", "names", "[3"), ("coco", "coco", "{")],
        *[("yolo", "names", '{"0":"car"}'), ("yolo", "kpt_shape", "3")],
    ],
)
def test_damaged_entries_of_a_pack(tmp_path: Path, labels: str, key: str, text: str) -> None:
    source = pack(tmp_path / "p.rinr", info={key: text})
    result = decompress(source, tmp_path / "out", labels=labels)
    assert [text.partition(": not in ")[0] for text in result.failures] == [
        str(tmp_path / f"out/unlabelled/s/{letter}.png") for letter in "abc"
    ]
    found = {name for name in contents(tmp_path / "out") if name.count("/")}
    assert found == {f"unlabelled/s/{letter}.png" for letter in "abc"}


@pytest.mark.parametrize("labels", ["yolo", "voc"])
def test_malformed_class_names_do_not_stop_other_packs(tmp_path: Path, labels: str) -> None:
    pack(tmp_path / "packs/bad.rinr", info={"names": '{"0":"car"}'})
    good = rinrcodec.encode([np.full((16, 32, 3), 90, np.uint8)], boxes=[[Box(0, 8, 4, 8, 8)]])
    rinrcodec.save(replace(good, info={"names": '["bus"]'}), tmp_path / "packs/good.rinr")
    result = decompress(tmp_path / "packs", tmp_path / "out", labels=labels)
    assert len(result.failures) == 3
    assert all(f"{tmp_path / 'packs/bad.rinr'}: its class" in text for text in result.failures)
    found = contents(tmp_path / "out")
    assert b"bus" in found["data.yaml" if labels == "yolo" else "classes.txt"]
    assert {"images/000000.png", *(f"unlabelled/s/{name}.png" for name in "abc")} < found.keys()


@pytest.mark.parametrize("labels", ["yolo", "coco", "voc"])
def test_a_picture_that_fails_leaves_no_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: str
) -> None:
    monkeypatch.setitem(picture_files.MOST_PIXELS_A_SIDE, "jpg", 35)
    source = pack(tmp_path / "p.rinr", info={"kpt_shape": "[1,3]"}, wide=40)
    result = decompress(source, tmp_path / "out", labels=labels, format="jpg")
    found = contents(tmp_path / "out")
    assert any("40x16 pixels; a jpg file has at most 35" in text for text in result.failures)
    assert not any("/b." in name for name in found)
    if labels == "coco":
        images = json.loads(found["annotations.json"])["images"]
        assert [one["file_name"] for one in images] == ["s/a.jpg", "s/c.jpg"]
    if labels == "voc":
        assert {"Annotations/s/a.xml", "Annotations/s/c.xml"} <= found.keys()


def test_a_full_disk_leaves_no_picture_without_its_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", str(path))

    source = pack(tmp_path / "p.rinr")
    monkeypatch.setattr("rinrcodec.datasets.unpack.write_text", full)
    with pytest.raises(OSError, match="No space left"):
        decompress(source, tmp_path / "out")
    assert not [name for name in contents(tmp_path / "out") if name.endswith(".png")]


def test_a_damaged_row_is_reported_with_the_path_of_its_pack_once(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 32, 3), np.uint8)
    preset = get_preset("fast", background="siren", objects="av1", steps=1)
    boxes = [[Box(0, 8, 4, 8, 8)]]
    made = rinrcodec.encode([pixels], boxes=boxes, preset=preset, device="cpu")
    path = tmp_path / "a.rinr"
    rinrcodec.save(made, path)
    with PackReader(path) as reader:  # the rows of the object come last
        assert len(reader.groups) == 2
        lengths = reader.header.sections[: SECTIONS.index("weights") + 1]
        last = reader.header.data_start + sum(lengths) - 1
    data = bytearray(path.read_bytes())
    data[last] ^= 1
    path.write_bytes(data)
    result = decompress(path, tmp_path / "out", labels=False)
    bad = rinrcodec.verify(path, decode=True).bad
    with rinrcodec.open(path) as file, pytest.raises(RinrFormatError) as caught:
        file.pixels(0)
    messages = [result.failures[0].partition(" cannot be made: ")[2], bad[str(path)]]
    for message in (*messages, str(caught.value)):
        assert message.startswith(f"{path}: chunk ")
        assert message.count(str(path)) == 1
