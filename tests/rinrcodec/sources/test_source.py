"""Sources list pictures and their labels the way YOLO does, and read them lazily and in order."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rinrcodec.boxes import Box
from rinrcodec.datasets.shards import shards_of
from rinrcodec.errors import MissingExtraError, RinrInputError
from rinrcodec.limits import Limits
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.source import Series

LABEL = "2 0.5 0.5 0.5 0.5\n"
BOX = Box(2, 1.0, 1.0, 2.0, 2.0)


def put(path: Path, grey: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), grey).save(path)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def names(series: Series) -> list[str]:
    return [ref.name for ref in series.refs]


def boxes(series: Series) -> list[tuple[Box, ...]]:
    return [item.picture.boxes for item in series.read() if item.picture]


def test_one_image_with_labels_by_the_yolo_rule(tmp_path: Path) -> None:
    put(tmp_path / "images/val/ü.png")
    write(tmp_path / "labels/val/ü.txt", LABEL)
    source = open_source(tmp_path / "images/val/ü.png")
    assert source.kind == "image"
    assert names(source.series[0]) == ["ü.png"]
    assert boxes(source.series[0]) == [(BOX,)]
    assert boxes(open_source(tmp_path / "images/val/ü.png", labels="none").series[0]) == [()]


def test_one_image_without_labels_gives_no_warning(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (reading,) = open_source(put(tmp_path / "a.png")).series[0].read()
    assert reading.picture is not None
    assert reading.warnings == ()


def test_a_folder_tree_is_sorted_mirrored_and_skips_what_is_no_picture(tmp_path: Path) -> None:
    for name in ("b.png", "a/2.PNG", "a/1.jpg", "a.png", ".hidden/x.png", ".y.png"):
        put(tmp_path / "frames" / name)
    write(tmp_path / "frames/notes.txt", "x")
    source = open_source(tmp_path / "frames")
    assert source.series[0].name == "frames"
    assert names(source.series[0]) == ["a.png", "a/1.jpg", "a/2.PNG", "b.png"]
    (warning,) = source.warnings
    assert warning.startswith(f"{tmp_path / 'frames'}: no labels were found")
    assert open_source(tmp_path / "frames", labels="none").warnings == ()


def test_numbers_in_names_count_by_their_value(tmp_path: Path) -> None:
    """A sequence whose frames are numbered without zeros is one in time all the same."""
    wanted = ["cam1/f1.png", "cam1/f2.png", "cam1/f10.png", "cam01/f3.png", "cam10/f1.png"]
    for name in sorted(wanted):
        put(tmp_path / "images" / name)
    data = write(tmp_path / "data.yaml", "train: images\n")
    for source in (open_source(tmp_path / "images"), open_source(data)):
        order = names(source.series[0])
        # Numbers that are equal are told apart by how they are written, folder by folder.
        assert order == [wanted[3], *wanted[:3], wanted[4]]


def test_the_folder_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b1.png", "a2.png", "c/a10.png", "c/a9.png"):
        put(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for source in (".", tmp_path):
        order = names(open_source(source).series[0])
        assert order == ["a2.png", "b1.png", "c/a9.png", "c/a10.png"]


def test_a_link_that_leads_back_up_ends(tmp_path: Path) -> None:
    put(tmp_path / "frames/a.png")
    (tmp_path / "frames/loop").symlink_to(tmp_path / "frames", target_is_directory=True)
    assert names(open_source(tmp_path / "frames").series[0]) == ["a.png"]


@pytest.mark.parametrize("label", ["labels/s/a.txt", "frames/labels/s/a.txt", "frames/s/a.txt"])
def test_labels_beside_or_inside_a_folder(tmp_path: Path, label: str) -> None:
    put(tmp_path / "frames/s/a.png")
    write(tmp_path / label, LABEL)
    assert boxes(open_source(tmp_path / "frames").series[0]) == [(BOX,)]


def test_only_the_last_images_folder_is_replaced(tmp_path: Path) -> None:
    put(tmp_path / "images/x/images/a.png")
    write(tmp_path / "images/x/labels/a.txt", LABEL)
    assert boxes(open_source(tmp_path / "images/x/images").series[0]) == [(BOX,)]


def test_a_given_folder_of_labels(tmp_path: Path) -> None:
    put(tmp_path / "frames/s/a.png")
    write(tmp_path / "mine/s/a.txt", LABEL)
    write(tmp_path / "labels/s/a.txt", "")
    source = open_source(tmp_path / "frames", labels=tmp_path / "mine")
    assert boxes(source.series[0]) == [(BOX,)]
    with pytest.raises(RinrInputError, match="nowhere: no such folder of labels"):
        open_source(tmp_path / "frames", labels=tmp_path / "nowhere")


def test_missing_labels_and_labels_without_a_picture_are_named(tmp_path: Path) -> None:
    put(tmp_path / "images/a.png")
    put(tmp_path / "images/b.png")
    write(tmp_path / "labels/a.txt", LABEL)
    write(tmp_path / "labels/gone.txt", LABEL)
    write(tmp_path / "labels/classes.txt", "car")
    source = open_source(tmp_path / "images")
    (orphan,) = source.warnings
    assert "gone.txt: labels without a picture" in orphan
    first, second = source.series[0].read()
    assert first.warnings == ()
    assert "b.txt: there is no such label file" in second.warnings[0]
    assert second.picture is not None
    assert second.picture.boxes == ()


def test_an_unreadable_picture_stops_no_other(tmp_path: Path) -> None:
    put(tmp_path / "f/a.png")
    write(tmp_path / "f/b.png", "text")
    put(tmp_path / "f/c.png")
    for jobs in (1, 3):
        readings = list(open_source(tmp_path / "f").series[0].read(jobs=jobs))
        assert [reading.error is None for reading in readings] == [True, False, True]
        assert "b.png: not a picture" in str(readings[1].error)


def test_pictures_are_read_in_order_and_only_when_asked_for(tmp_path: Path) -> None:
    for i in range(9):
        put(tmp_path / f"f/{i}.png", i)
    series = open_source(tmp_path / "f").series[0]
    for jobs in (1, 2, 20):
        values = [item.picture.pixels[0, 0] for item in series.read(3, jobs=jobs) if item.picture]
        assert values == [3, 4, 5, 6, 7, 8]
    reader = series.read(jobs=1)
    next(reader)
    (tmp_path / "f/8.png").unlink()
    assert [reading.error is None for reading in reader] == [True] * 7 + [False]


def test_a_data_yaml_in_its_usual_form(tmp_path: Path) -> None:
    for split, name in (("train", "b.png"), ("train", "a.png"), ("val", "s/c.png")):
        put(tmp_path / "set/images" / split / name)
    write(tmp_path / "set/labels/train/a.txt", LABEL)
    write(tmp_path / "set/labels/train/b.txt", "")
    write(
        tmp_path / "set/data.yaml",
        "train: images/train\nval: images/val\ntest:\nnames:\n  0: person\n  4: car\n",
    )
    source = open_source(tmp_path / "set/data.yaml")
    train, val = source.series
    assert (train.name, val.name) == ("train", "val")
    assert names(train) == ["a.png", "b.png"]
    assert names(val) == ["s/c.png"]
    assert boxes(train) == [(BOX,), ()]
    assert source.names == {0: "person", 4: "car"}
    assert source.failures == ()


def test_a_data_yaml_with_path_lists_and_text_lists(tmp_path: Path) -> None:
    for name in ("x/1.png", "y/1.png", "z/3.png"):
        put(tmp_path / "data/images" / name)
    write(tmp_path / "data/list.txt", "./images/z/3.png\nimages/x/1.png\nimages/no.png\n\n")
    write(
        tmp_path / "conf/d.yml",
        "path: ../data\ntrain: [images/x, images/y, images/x]\nval: list.txt\nnames: [person]\n",
    )
    source = open_source(tmp_path / "conf/d.yml")
    train, val = source.series
    assert names(train) == ["x/1.png", "y/1.png"]
    assert names(val) == ["x/1.png", "z/3.png"]
    assert source.names == {0: "person"}
    assert "1 pictures are listed twice" in source.warnings[0]
    (failure,) = source.failures
    assert "images/no.png: no such picture" in failure


def test_a_data_yaml_whose_paths_are_off_by_one_folder(tmp_path: Path) -> None:
    put(tmp_path / "train/images/a.png")
    write(tmp_path / "data.yaml", "train: ../train/images\nnc: 2\n")
    source = open_source(tmp_path / "data.yaml")
    assert names(source.series[0]) == ["a.png"]
    assert source.names == {0: "class_0", 1: "class_1"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("train: [unclosed", "not a yaml file"),
        ("- a\n", "want the keys"),
        ("names: [a]\n", "none of the keys"),
        ("train: nowhere\n", "no such folder or list"),
        ("train: .\nnames: 3\n", "names: want a list"),
        ("train: .\nnames: {-1: a}\n", "names: want a list"),
        ("train: .\nnc: 10000000000\n", "names: want a list"),
        ("train: .\nkpt_shape: [17, 3]\n", "keypoint"),
    ],
)
def test_a_data_yaml_that_cannot_be_used(tmp_path: Path, text: str, reason: str) -> None:
    put(tmp_path / "a.png")
    with pytest.raises(RinrInputError, match=f"data.yaml: .*{reason}"):
        open_source(write(tmp_path / "data.yaml", text))


def test_a_missing_split_is_a_failure_that_stops_no_other(tmp_path: Path) -> None:
    put(tmp_path / "a/x.png")
    source = open_source(write(tmp_path / "data.yaml", "train: a\nval: b\nnames: [c]\n"))
    assert [series.name for series in source.series] == ["train"]
    assert "val: no such folder or list" in source.failures[0]


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_nothing_to_read_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RinrInputError, match=f"{name}: "):
        open_source(tmp_path / name)


def make_video(path: Path, *, n: int = 5, rotation: int = 0) -> Path:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for i in range(n):
            pixels = np.full((32, 64, 3), 40 * i % 256, np.uint8)
            pixels[:, 32:] = 255 - 40 * i % 256
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_video_has_numbered_frames_and_shares_out_its_bytes(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.avi")
    write(tmp_path / "labels/clip/000002.txt", LABEL)
    source = open_source(path)
    assert source.kind == "video"
    assert len(source.series[0]) == 5
    readings = list(source.series[0].read())
    assert [reading.name for reading in readings] == [f"clip/{i:06d}.png" for i in range(1, 6)]
    pictures = [reading.picture for reading in readings if reading.picture]
    assert sum(picture.source_bytes for picture in pictures) == path.stat().st_size
    for i, picture in enumerate(pictures):
        assert abs(int(picture.pixels[5, 5, 0]) - 40 * i) < 6
    assert pictures[1].boxes == (Box(2, 16.0, 8.0, 32.0, 16.0),)
    assert pictures[2].boxes == ()
    later = list(source.series[0].read(3))
    assert [reading.name for reading in later] == [reading.name for reading in readings[3:]]
    assert np.array_equal(later[0].picture.pixels, pictures[3].pixels)  # type: ignore[union-attr]


def test_a_video_that_changed_since_is_an_error(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.avi")
    series = open_source(path).series[0]
    digests = [reading.digest for reading in series.read()]
    assert len(set(digests)) == 5
    assert all(digests)
    write(tmp_path / "labels/clip/000001.txt", LABEL)
    labelled = next(iter(open_source(path).series[0].read()))
    assert labelled.digest not in digests
    with path.open("ab") as file:
        file.write(b"x")
    (reading,) = series.read(2)
    assert reading.name == "clip/000003.png"
    assert f"{path}: changed after this run began" in str(reading.error)


def test_a_turned_video_stands_upright(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", n=1, rotation=90)
    (reading,) = open_source(path).series[0].read()
    assert reading.picture is not None
    assert reading.picture.pixels.shape == (64, 32, 3)
    # Turned counter-clockwise by 90 degrees, the bright right half comes to lie on top.
    assert reading.picture.pixels[5, 5, 0] > 200


def packets(path: Path) -> list[tuple[int, int]]:
    """Where the packets of a video begin and end in its file."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        demuxed = container.demux(container.streams.video[0])
        return [(packet.pos, packet.pos + packet.size) for packet in demuxed if packet.size]


def damage_packet(path: Path, number: int) -> None:
    data = bytearray(path.read_bytes())
    start, stop = packets(path)[number]
    data[start + 8 : stop] = bytes(stop - start - 8)
    path.write_bytes(data)


@pytest.mark.parametrize("kept", [3, 5])
def test_a_video_cut_between_two_packets_is_an_error_after_its_frames(
    tmp_path: Path, kept: int
) -> None:
    path = make_video(tmp_path / "clip.avi", n=6)
    path.write_bytes(path.read_bytes()[: packets(path)[kept - 1][1]])
    series = open_source(path).series[0]
    *good, last = series.read()
    assert [reading.name for reading in good] == [f"clip/{i + 1:06d}.png" for i in range(kept)]
    assert all(reading.picture for reading in good)
    assert last.name == f"clip/{kept + 1:06d}.png"
    assert last.error == f"{path}: the file ends after {kept} of 6 frames"
    # A run that is gone on with counts the error among the frames, and meets it only once.
    assert [reading.name for reading in series.read(kept)] == [last.name]
    assert list(series.read(kept + 1)) == []


def test_a_damaged_frame_has_its_own_name(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.avi", n=6)
    damage_packet(path, 3)
    *good, last = open_source(path).series[0].read()
    assert [reading.name for reading in good] == [f"clip/{i:06d}.png" for i in (1, 2, 3)]
    assert last.name == "clip/000004.png"
    assert str(last.error).startswith(f"{path}: frame 4: ")


def test_frames_that_an_edit_list_leaves_out_are_not_missed(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path, trimmed = make_video(tmp_path / "clip.mp4", n=6), tmp_path / "trimmed.mp4"
    options = {"avoid_negative_ts": "disabled"}
    with av.open(str(path)) as source, av.open(str(trimmed), "w", options=options) as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                shift = round(0.3 / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = stream
                output.mux(packet)
    readings = list(open_source(trimmed).series[0].read())
    assert len(open_source(trimmed).series[0]) == 6
    assert len(readings) == 3
    assert all(reading.error is None for reading in readings)


def test_what_is_no_video_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "text.avi", "not a video")
    with pytest.raises(RinrInputError, match=r"text\.avi: not a video"):
        open_source(tmp_path / "text.avi")


def test_a_video_without_pyav_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rinrcodec\[video\]'"):
        open_source(write(tmp_path / "clip.mp4", "x"))


def test_more_boxes_than_the_limit_are_an_error_of_that_picture(tmp_path: Path) -> None:
    put(tmp_path / "images/a.png")
    put(tmp_path / "images/b.png")
    write(tmp_path / "labels/a.txt", LABEL)
    write(tmp_path / "labels/b.txt", LABEL + LABEL)
    first, second = open_source(tmp_path / "images").series[0].read(limits=Limits(max_boxes=1))
    assert first.error is None
    assert "b.txt: 2 boxes, at most 1" in str(second.error)


def test_damage_of_a_video_is_reported_by_one_shard(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.avi", n=9)
    damage_packet(path, 3)
    source = open_source(path)
    # The fourth frame is the last of a shard, inside of one, and the first of one.
    for size in (4, 2, 5, 3, 1):
        readings = [list(shard.read(0, jobs=1)) for shard in shards_of(source, size)]
        flat = [reading for shard in readings for reading in shard]
        assert [reading.name for reading in flat] == [f"clip/{i:06d}.png" for i in (1, 2, 3, 4)]
        assert [reading.error is None for reading in flat] == [True, True, True, False]
        assert readings[3 // size][-1] is flat[-1]


@pytest.mark.parametrize("start", [0, 30])
def test_a_disk_that_fails_is_no_damage_of_a_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: int
) -> None:
    path = make_video(tmp_path / "clip.avi", n=40)
    series = open_source(path).series[0]
    good = path.stat().st_size // 2

    class BadDisk(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= good:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            return super().read(size)

    monkeypatch.setattr(Path, "open", lambda self, _: BadDisk(self))
    with pytest.raises(OSError, match=r"clip\.avi") as caught:
        list(series.read(start))
    assert caught.value.errno == errno.EIO


@pytest.mark.parametrize("start", [0, 3])
def test_a_video_that_changes_while_it_is_read(tmp_path: Path, start: int) -> None:
    path = make_video(tmp_path / "clip.avi")
    readings = open_source(path).series[0].read(start)
    assert next(readings).picture is not None
    os.utime(path, ns=(1, 1))
    with pytest.raises(RinrInputError, match=r"clip\.avi: changed while it was read; wait until"):
        next(readings)


def test_a_video_that_is_gone(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.avi")
    series = open_source(path).series[0]
    readings = series.read()
    next(readings)
    path.unlink()
    for rest in (readings, series.read(2)):
        with pytest.raises(RinrInputError, match=r"clip\.avi: it is gone; was it moved or unmo"):
            next(rest)


def test_a_folder_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "locked/b.png", "lost+found/c.png", "gone/d.png"):
        put(tmp_path / name)
    scandir = os.scandir
    refused = {"lost+found": PermissionError(errno.EACCES, "Permission denied")}
    refused["gone"] = FileNotFoundError(errno.ENOENT, "No such file")  # type: ignore[assignment]

    def refuse(path: str) -> object:
        if error := refused.get(Path(path).name):
            error.filename = str(path)
            raise error
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert names(open_source(tmp_path).series[0]) == ["a.png", "locked/b.png"]
    refused["locked"] = PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(PermissionError, match=f"Permission denied: '{tmp_path}/locked'"):
        open_source(tmp_path)
