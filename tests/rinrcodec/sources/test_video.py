"""Videos are read frame by frame; damage, changes and failing disks give errors of their own."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest

from rinrcodec.boxes import Box
from rinrcodec.datasets.shards import shards_of
from rinrcodec.errors import RinrInputError
from rinrcodec.sources.discover import open_source

from .tiny_sources import LABEL, write


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


def test_a_turned_video_is_read_upright(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", n=1, rotation=90)
    (reading,) = open_source(path).series[0].read()
    assert reading.picture is not None
    assert reading.picture.pixels.shape == (64, 32, 3)
    # Turned counter-clockwise by 90 degrees, the bright right half comes on top.
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
    # A continued run counts the error among the frames, and meets it only once.
    assert [reading.name for reading in series.read(kept)] == [last.name]
    assert list(series.read(kept + 1)) == []


def test_a_damaged_frame_has_its_own_name(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.avi", n=6)
    damage_packet(path, 3)
    readings = list(open_source(path).series[0].read())
    assert [reading.name for reading in readings] == [f"clip/{i:06d}.png" for i in range(1, 7)]
    assert [reading.error is None for reading in readings] == [True] * 3 + [False] + [True] * 2
    assert str(readings[3].error).startswith(f"{path}: frame 4: ")


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


def test_other_files_are_errors(tmp_path: Path) -> None:
    write(tmp_path / "text.avi", "not a video")
    with pytest.raises(RinrInputError, match=r"text\.avi: not a video"):
        open_source(tmp_path / "text.avi")


def test_damage_of_a_video_is_reported_by_one_shard(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.avi", n=9)
    damage_packet(path, 3)
    source = open_source(path)
    # The fourth frame is the last of a shard, inside of one, and the first of one.
    for size in (4, 2, 5, 3, 1):
        readings = [list(shard.read(0, jobs=1)) for shard in shards_of(source, size)]
        flat = [reading for shard in readings for reading in shard]
        assert [reading.name for reading in flat] == [f"clip/{i:06d}.png" for i in range(1, 10)]
        assert [reading.error is None for reading in flat] == [True] * 3 + [False] + [True] * 5
        assert flat[3] in readings[3 // size]


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

    monkeypatch.setattr("rinrcodec.storage.local.open_binary", BadDisk)
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
