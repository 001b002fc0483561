"""Which frames and which part of them `decompress` takes, and where their labels go."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import rinrcodec
from rinrcodec import Box, Region
from rinrcodec.datasets.unpacking.selection import Cutout, chosen_numbers, parse_frames
from rinrcodec.datasets.unpacking.video_files import check_fps, frame_rate_of
from rinrcodec.errors import RinrInputError, RinrUsageError
from rinrcodec.formats import read_pack
from rinrcodec.pack import Frame, InrRef

from .conftest import write

_PART = st.none() | st.integers(-30, 30)


@given(start=_PART, stop=_PART, step=st.none() | st.integers(1, 9), total=st.integers(1, 20))
def test_slices_are_those_of_python(
    start: int | None, stop: int | None, step: int | None, total: int
) -> None:
    text = ":".join("" if part is None else str(part) for part in (start, stop, step))
    expected = list(range(total))[start:stop:step]
    parsed = parse_frames(text)
    if expected:
        assert list(chosen_numbers(parsed, total)) == expected
    else:
        with pytest.raises(RinrUsageError, match="selects no frame: the source has"):
            chosen_numbers(parsed, total)


@pytest.mark.parametrize("text", ["", "a", "1:b", "1:2:3:4", "1.5", "3,4"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(RinrUsageError, match="expected a number or a slice, such as 3, -1, 3:20"):
        parse_frames(text)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (5, "`frames=5`: the source has 5 frames, 0 to 4"),
        (-6, "`frames=-6`: the source has 5 frames"),
        (slice(None, None, -1), "the step must be 1 or more"),
        (slice(None, None, 0), "slice step cannot be zero"),
        (slice("a", None), "frames="),
        (True, "expected a whole number or a slice"),
        ("3", "expected a whole number or a slice"),
    ],
)
def test_frames_that_are_not_there(frames: Any, message: str) -> None:
    with pytest.raises(RinrUsageError, match=message):
        chosen_numbers(frames, 5)


def frame(*boxes: Box) -> Frame:
    return Frame("a", 40, 20, InrRef(0, 0), boxes=boxes, objects=(None,) * len(boxes))


def test_boxes_move_with_the_region_and_the_scale() -> None:
    cutout = Cutout.of((10, 5, 20, 10), 2)
    inside = Box(1, 12, 6, 4, 2, track_id=7, attributes={"id": 3, "area": 8})
    cut, outside = Box(2, 0, 0, 15, 40), Box(3, 30, 5, 4, 4)
    moved = cutout.moved(frame(inside, cut, outside))
    assert (moved.width, moved.height) == (40, 20)
    assert moved.boxes == (
        Box(1, 4, 2, 8, 4, track_id=7, attributes={"id": 3}),
        Box(2, 0, 0, 10, 20),
    )


@given(
    x=st.floats(-50, 50), y=st.floats(-50, 50), w=st.floats(0, 60), h=st.floats(0, 60),
    scale=st.floats(0.05, 4),
)  # fmt: skip
def test_boxes_never_leave_a_region(x: float, y: float, w: float, h: float, scale: float) -> None:
    moved = Cutout.of((3, 2, 17, 11), scale).moved(frame(Box(0, x, y, w, h)))
    for box in moved.boxes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.w <= moved.width * (1 + 1e-12)
        assert box.y + box.h <= moved.height * (1 + 1e-12)


def test_outlines_and_keypoints_move_where_the_region_holds_them() -> None:
    box = Box(
        0, 12, 6, 4, 4, polygons=((12.0, 6.0, 16.0, 6.0, 14.0, 10.0),),
        keypoints=((13.0, 7.0, 2.0), (0.0, 0.0, 0.0)), attributes={"num_keypoints": 1},
    )  # fmt: skip
    (moved,) = Cutout.of((10, 5, 20, 10), 0.5).moved(frame(box)).boxes
    assert moved.polygons == ((1.0, 0.5, 3.0, 0.5, 2.0, 2.5),)
    assert moved.keypoints == ((1.5, 1.0, 2.0), (0.0, 0.0, 0.0))
    assert moved.attributes == {}
    for what, region in (("outline", (13, 5, 10, 10)), ("keypoints", (12, 6, 10, 10))):
        one = box if what == "outline" else Box(0, 12, 6, 4, 4, keypoints=((11.0, 7.0),))
        with pytest.raises(RinrInputError, match=f"the region cuts the {what} of a label"):
            Cutout.of(region, 1).moved(frame(one))
    masked = Box(0, 12, 6, 4, 4, attributes={"segmentation": {"counts": "x", "size": [20, 40]}})
    with pytest.raises(RinrInputError, match="a label has a mask"):
        Cutout.of(None, 0.5).moved(frame(masked))
    assert Cutout().moved(frame(masked)).boxes == (masked,)


@pytest.mark.parametrize("region", [(0, 0, 0, 1), (-1, 0, 2, 2), (0, 0, 2), (0, 0, 1.5, 2)])
def test_malformed_regions_are_refused(region: Any) -> None:
    with pytest.raises(RinrUsageError, match="expected X,Y,W,H in whole pixels"):
        Cutout.of(region, 1)


@pytest.mark.parametrize("scale", [0, -1, 17, float("nan"), "2"])
def test_scales_out_of_range_are_refused(scale: Any) -> None:
    with pytest.raises(RinrUsageError, match="expected more than 0 and at most 16"):
        Cutout.of(None, scale)


def test_frame_rates_of_strangers_are_checked() -> None:
    for text in ("", "0", "1/0", "-3", "nan", "1e9", "9" * 30, "2000", "1/700", "1/2/3", "1\n"):
        assert frame_rate_of({"frame_rate": text}) is None
    assert frame_rate_of({"frame_rate": "25"}) == check_fps(25)
    for fps in (0, -1, 1001, 1e-5, float("nan")):
        with pytest.raises(RinrUsageError, match="expected 1/600 to 1,000 frames a second"):
            check_fps(fps)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Two frames; the region of the tests cuts the outline of the second."""
    pictures = [np.full((16, 32, 3), 90, np.uint8)] * 2
    boxes = [
        [Box(0, 8, 4, 8, 8)],
        [Box(0, 8, 4, 8, 8, polygons=((8.0, 4.0, 16.0, 4.0, 12.0, 12.0),))],
    ]
    made = rinrcodec.encode(pictures, boxes=boxes, preset="fast", device="cpu")
    rinrcodec.save(made, tmp_path / "a.rinr")
    return tmp_path / "a.rinr"


@pytest.mark.parametrize("labels", ["yolo", "coco"])
def test_labels_that_do_not_fit_are_never_written(pack: Path, tmp_path: Path, labels: Any) -> None:
    out = tmp_path / "out"
    result = rinrcodec.decompress(pack, out, region=Region(12, 0, 16, 16), labels=labels)
    assert result.frames == 2
    (failure,) = result.failures
    assert "its labels cannot be written" in failure
    assert "the region cuts the outline" in failure
    (good,) = (out / "images").iterdir()
    (bad,) = (out / "unlabelled").iterdir()
    with Image.open(bad) as image:
        assert image.size == (16, 16)
    if labels == "yolo":
        (file,) = (out / "labels").iterdir()
        assert file.read_text(encoding="utf-8") == "0 0.125000 0.500000 0.250000 0.500000\n"
    else:
        coco = json.loads((out / "annotations.json").read_text(encoding="utf-8"))
        assert [one["file_name"] for one in coco["images"]] == [good.name]
        assert [(one["bbox"], one["area"]) for one in coco["annotations"]] == [([0, 4, 4, 8], 32)]


def test_names_do_not_depend_on_the_selection(pack: Path, tmp_path: Path) -> None:
    rinrcodec.decompress(pack, tmp_path / "all")
    rinrcodec.decompress(pack, tmp_path / "one", frames=1)
    (name,) = (path.name for path in (tmp_path / "one").iterdir())
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()
    assert name == sorted(path.name for path in (tmp_path / "all").iterdir())[1]


def test_a_region_outside_is_refused_before_anything_is_written(pack: Path, tmp_path: Path) -> None:
    with pytest.raises(RinrUsageError, match="is not inside the frame of 32x16"):
        rinrcodec.decompress(pack, tmp_path / "out", region=(20, 0, 16, 16))
    assert not (tmp_path / "out").exists()


def test_numbers_need_all_packs(pack: Path, tmp_path: Path) -> None:
    folder = tmp_path / "packs"
    folder.mkdir()
    pack.rename(folder / "b.rinr")
    write(folder / "a.rinr", "damaged")
    with pytest.raises(RinrInputError, match="so it is not known which frames `frames` means"):
        rinrcodec.decompress(folder, tmp_path / "out", frames=0)


def test_a_file_in_unlabelled_is_kept(pack: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"region": Region(12, 0, 16, 16), "labels": True}
    rinrcodec.decompress(pack, tmp_path / "one", **options)
    (bad,) = (tmp_path / "one/unlabelled").iterdir()
    mine = write(tmp_path / "out/unlabelled" / bad.name, "mine")
    with pytest.raises(
        RinrUsageError, match=f"{mine} is already there; `overwrite=True` replaces it"
    ):
        rinrcodec.decompress(pack, tmp_path / "out", **options)
    assert mine.read_text(encoding="utf-8") == "mine"
    rinrcodec.decompress(pack, tmp_path / "out", **options, overwrite=True)
    assert mine.read_bytes() == bad.read_bytes()


@pytest.mark.parametrize("source", ["data.yaml", "", "train/a.rinr"])
def test_the_data_yaml_of_the_packs_is_never_replaced(
    pack: Path, tmp_path: Path, source: str
) -> None:
    folder = tmp_path / "packs"
    (folder / "train").mkdir(parents=True)
    named = replace(read_pack(pack), info={"names": '["cat"]'})
    rinrcodec.save(named, folder / "train/a.rinr")
    text = "train: train\nnames: {0: cat}\n"
    mine = write(folder / "data.yaml", text)
    options: dict[str, Any] = {"labels": True, "overwrite": True}
    with pytest.raises(RinrUsageError, match="is of the packs that are decompressed"):
        rinrcodec.decompress(folder / source, folder, **options)
    assert mine.read_text(encoding="utf-8") == text
    assert {path.name for path in folder.iterdir()} == {"data.yaml", "train"}
    for _ in range(2):
        rinrcodec.decompress(folder / source, tmp_path / "out", **options)
