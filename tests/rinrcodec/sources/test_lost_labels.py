"""Labels that are there and would be lost: broken links, capitals, splits without any, videos."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from rinrcodec.errors import RinrInputError
from rinrcodec.labels.yolo import Layout, YoloReader, read_labels
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.survey import survey
from rinrcodec.sources.video import probe_video

LINE = "0 0.5 0.5 0.2 0.2\n"
POSE = "0 0.5 0.5 0.2 0.2 0.45 0.45 {} 0.55 0.55 {}\n"


def pictures(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 10)).save(file)


def label(file: Path, text: str = LINE) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize("others", [True, False])
def test_a_label_that_is_a_broken_link_is_lost(tmp_path: Path, others: bool) -> None:
    pictures(tmp_path / "images", "a", "b")
    label(tmp_path / "labels/a.txt")
    link = tmp_path / "labels/b.txt"
    link.symlink_to("nowhere.txt")
    if not others:
        (tmp_path / "labels/a.txt").unlink()
    seen = survey(open_source(tmp_path / "images"))
    assert seen.lost == (f"{link}: this link leads nowhere; its labels are left out",)
    assert not any("without a picture" in text for text in seen.source.warnings)
    reading = list(seen.source.series[0].read())[1]
    assert reading.picture is not None
    assert not reading.picture.labelled
    assert reading.lost == seen.lost
    assert read_labels(link, width=20, height=10).lost == seen.lost
    assert survey(open_source(tmp_path / "images/b.png")).lost == seen.lost


def test_a_label_that_is_a_folder_is_lost_before_anything_is_fitted(tmp_path: Path) -> None:
    pictures(tmp_path / "images", "a")
    (tmp_path / "labels/a.txt").mkdir(parents=True)
    (lost,) = survey(open_source(tmp_path / "images")).lost
    assert "a.txt: " in lost


def test_labels_in_capitals_are_used_and_named(tmp_path: Path) -> None:
    pictures(tmp_path / "images", "a", "b", "c")
    label(tmp_path / "labels/a.TXT")
    label(tmp_path / "labels/b.txt", LINE * 2)
    label(tmp_path / "labels/b.TXT")
    label(tmp_path / "labels/d.TXT")
    source = open_source(tmp_path / "images")
    counts = [len(one.picture.boxes) for one in source.series[0].read() if one.picture]
    assert counts == [1, 2, 0]
    assert "a.TXT: 1 label file is used that ends in .TXT; YOLO finds only" in source.warnings[0]
    unused = [text for text in source.lost_labels if "without a picture" in text]
    assert [text.split(": ")[0][-5:] for text in unused] == ["b.TXT", "d.TXT"]


def test_a_folder_of_labels_that_is_given_is_not_compared_with_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "images/train", "a")
    label(tmp_path / "labels/train/a.txt")
    label(tmp_path / "labels/train/b.txt")
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [x]\n")
    monkeypatch.chdir(tmp_path)
    (warning,) = open_source("data.yaml", labels="labels").lost_labels
    assert warning == "labels/train/b.txt: labels without a picture; they are left out"


def test_a_split_without_labels_is_named(tmp_path: Path) -> None:
    pictures(tmp_path / "images", "train/a", "val/b")
    label(tmp_path / "labels/val/b.txt")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [x]\n")
    (warning,) = open_source(tmp_path / "data.yaml").warnings
    assert warning.endswith(
        "data.yaml: train: no labels were found, so there are no boxes and no objects"
    )


def test_a_folder_without_labels_among_others_is_counted(tmp_path: Path) -> None:
    pictures(tmp_path / "images", "x/a", "y/b", "y/c")
    label(tmp_path / "labels/x/a.txt")
    (warning,) = open_source(tmp_path / "images").warnings
    assert "2 pictures have no labels, of 3, such as " in warning
    assert warning.endswith("b.png; no boxes there")


@pytest.mark.parametrize("split", ["val", "test"])
def test_an_empty_list_is_named(tmp_path: Path, split: str) -> None:
    pictures(tmp_path / "images", "a")
    label(tmp_path / "labels/a.txt")
    (tmp_path / "none.txt").write_text("\n \n")
    text = f"train: images\n{split}: none.txt\nnames: [x]\n"
    (tmp_path / "data.yaml").write_text(text)
    source = open_source(tmp_path / "data.yaml")
    (said,) = source.warnings if split == "test" else source.failures
    assert f"{split}: {tmp_path / 'none.txt'}: this list is empty" in said


def test_a_test_split_alone_that_is_missing_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("test: nowhere\nnames: [x]\n")
    with pytest.raises(RinrInputError, match=r"test: no such folder or list: .*nowhere"):
        open_source(tmp_path / "data.yaml")


def test_videos_among_pictures_are_counted(tmp_path: Path) -> None:
    pictures(tmp_path / "images", "a")
    label(tmp_path / "labels/a.txt")
    (tmp_path / "images/clip.MP4").write_bytes(b"x")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [x]\n")
    for path in (tmp_path / "images", tmp_path / "data.yaml"):
        (warning,) = open_source(path).warnings
        assert "1 video is left out (clip.MP4)" in warning
        assert "give each video to compress by itself" in warning


def test_the_cut_head_of_a_video_comes_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    path.write_bytes(bytes.fromhex("1a45dfa3a34286810142f7810142f2810442f381"))
    with pytest.raises(RinrInputError, match="was the recording interrupted"):
        probe_video(path)


@pytest.mark.parametrize(
    ("line", "shape", "good"),
    [
        (POSE.format("2", "1"), (2, 3), True),
        ("0 0.5 0.5 0.2 0.2 -0.3 0.45 2 1.4 0.55 1\n", (2, 3), True),
        ("0 0.5 0.5 0.2 0.2 45 36 2 55 44 1\n", (2, 3), False),
        # Visibility taken for a coordinate.
        (POSE.format("2", "1"), (2, 2), False),
        ("0 0.5 0.5 0.2 0.2 0.45 -0.6 0.5 0.5\n", (2, 2), False),
    ],
)
def test_keypoints_far_outside_are_refused(line: str, shape: tuple[int, int], good: bool) -> None:
    layout = Layout("pose", shape, ("score", "track_id"))
    labels = YoloReader(layout).parse(line.encode(), size=(100, 80), where="a.txt")
    assert labels.complete == good
    assert good or "a keypoint at " in labels.lost[0]


def poses(folder: Path, line: str) -> Path:
    pictures(folder / "images", "a")
    label(folder / "labels/a.txt", line)
    (folder / "data.yaml").write_text("train: images\nnames: [x]\nkpt_shape: [2, 3]\n")
    return folder / "data.yaml"


def test_extra_columns_of_poses_are_named(tmp_path: Path) -> None:
    seen = survey(open_source(poses(tmp_path, POSE.format(2, 1).strip() + " 7\n")))
    assert "extra columns, kept as track_id" in seen.warnings[0]


@pytest.mark.parametrize(("task", "said"), [("pose", False), ("detect", True), ("segment", True)])
def test_a_task_against_kpt_shape_is_named(tmp_path: Path, task: str, said: bool) -> None:
    source = open_source(poses(tmp_path, POSE.format(2, 1)))
    seen = survey(source, task=task)  # type: ignore[arg-type]
    assert seen.source.task == "pose"
    assert any(f"not read as {task}" in text for text in seen.warnings) == said


@pytest.mark.parametrize(("tail", "said"), [("0.9 0", True), ("0.9 1", True), ("1.2 0.3", False)])
def test_boxes_that_may_be_triangles_are_named(tmp_path: Path, tail: str, said: bool) -> None:
    pictures(tmp_path / "images", "a")
    label(tmp_path / "labels/a.txt", f"{LINE.strip()} {tail}\n")
    seen = survey(open_source(tmp_path / "images"))
    assert seen.source.task == "segment"
    assert any("are read as triangles" in text for text in seen.warnings) == said
    assert not any(
        "triangles" in t for t in survey(open_source(tmp_path / "images"), task="segment").warnings
    )
