"""Cut and damaged videos: what is lost is reported, and later frames keep their numbers."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from hypothesis import given
from hypothesis import strategies as st

from rinrcodec.errors import RinrInputError
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.video import probe_video, read_video
from rinrcodec.sources.video_ends import Structure, check_structure

from .tiny_videos import (
    HEIGHT,
    WIDTH,
    copy_packets,
    frame_pixels,
    make_video,
    number_of,
    packets,
)

N = 18
FRONT = {"movflags": "+faststart"}
KINDS = [
    ("mkv", "h264"),
    ("mkv", "mjpeg"),
    ("webm", "vp9"),
    ("mp4", "h264"),
    ("mp4", "mpeg4"),
    ("mov", "mjpeg"),
    ("avi", "mpeg4"),
    ("avi", "h264"),
    ("ts", "h264"),
    ("m2ts", "h264"),
    ("flv", "h264"),
    ("flv", "flv1"),
    ("mpg", "mpeg1"),
    ("wmv", "wmv2"),
]


def video(folder: Path, suffix: str, codec: str, **options: object) -> Path:
    front = FRONT if suffix in {"mp4", "mov"} else None
    return make_video(folder / f"clip.{suffix}", codec, options=front, **options)  # type: ignore[arg-type]


def read(path: Path) -> tuple[list[int | None], list[str]]:
    """The number that each frame shows, None where there is an error, and the errors."""
    shown: list[int | None] = []
    errors = []
    for _, picture, error in read_video(path, 0, N):
        shown.append(None if picture is None else number_of(picture.pixels))
        if error:
            errors.append(error)
    return shown, errors


def assert_sound(path: Path, n: int = N) -> None:
    assert read(path) == (list(range(n)), [])
    assert (probe_video(path).n_frames, probe_video(path).warnings) == (n, ())


@pytest.mark.parametrize(("suffix", "codec"), [*KINDS, ("mp4", "hevc"), ("avi", "mpeg4-b")])
def test_sound_videos_have_all_their_frames(tmp_path: Path, suffix: str, codec: str) -> None:
    assert_sound(video(tmp_path, suffix, codec))


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mkv", "h264"), ("mp4", "h264"), ("webm", "vp9"), ("ts", "h264"), ("flv", "h264")],
)
@pytest.mark.parametrize("gap", [37, 5000])
def test_a_variable_frame_rate_is_no_damage(
    tmp_path: Path, suffix: str, codec: str, gap: int
) -> None:
    times = [40 * i + (gap if i > 6 else 0) + (11 if i % 5 == 3 else 0) for i in range(N)]
    assert_sound(video(tmp_path, suffix, codec, times=times))


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts", "flv"])
def test_sound_that_lasts_longer_is_no_damage(tmp_path: Path, suffix: str) -> None:
    assert_sound(video(tmp_path, suffix, "h264", sound=True))


def test_repeated_frames_of_an_avi_are_no_damage(tmp_path: Path) -> None:
    times = [40 * i + 200 * (i > 5) + 400 * (i > 11) for i in range(N)]
    path = video(tmp_path, "avi", "mpeg4", times=times)
    assert open_source(path).series[0].n_frames == N + 15
    assert_sound(path)


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        ("mkv", "h264", {"live": "1"}),
        ("webm", "vp8", {"live": "1"}),
        ("mp4", "h264", {"movflags": "frag_keyframe+empty_moov"}),
    ],
)
def test_recordings_that_declare_no_length(
    tmp_path: Path, suffix: str, codec: str, options: dict[str, str]
) -> None:
    path = make_video(tmp_path / f"clip.{suffix}", codec, options=options)
    assert_sound(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 7 // 10])
    shown, errors = read(path)
    assert errors
    assert len(shown) < N


def test_a_frame_of_vp8_that_is_not_to_be_shown_has_no_number(tmp_path: Path) -> None:
    path = video(tmp_path, "webm", "vp8")
    data = [bytes(packet) for packet in packets(path)]
    data[4] = bytes([data[4][0] & ~0x10]) + data[4][1:]
    hidden = copy_packets(path, tmp_path / "hidden.webm", data)
    shown, errors = read(hidden)
    assert (len(shown), errors) == (N - 1, [])
    assert probe_video(hidden).n_frames == N - 1


def test_a_packet_that_repeats_a_frame_has_no_number(tmp_path: Path) -> None:
    path = video(tmp_path, "mp4", "mpeg4")
    data = [bytes(packet) for packet in packets(path)]
    # A P-VOP of time 0 that is "not coded": type 01, end of seconds 0, marker, time, marker, 0.
    data[4] = b"\x00\x00\x01\xb6" + bytes([0b01010000, 0b10111111])
    repeated = copy_packets(path, tmp_path / "repeated.mp4", data)
    shown, errors = read(repeated)
    assert (len(shown), errors) == (N - 1, [])


def test_a_transport_stream_may_begin_between_key_frames(tmp_path: Path) -> None:
    path = video(tmp_path, "ts", "h264")
    second = packets(path)[2]
    path.write_bytes(path.read_bytes()[second.pos :])
    shown, errors = read(path)
    assert errors == []
    assert shown == list(range(6, N))
    assert probe_video(path).n_frames == N - 6


def test_two_recordings_in_one_file(tmp_path: Path) -> None:
    path = video(tmp_path, "ts", "h264")
    path.write_bytes(path.read_bytes() * 2)
    shown, errors = read(path)
    assert (shown, errors) == ([*range(N), *range(N)], [])


@pytest.mark.parametrize(("suffix", "codec"), KINDS)
def test_every_cut_is_reported(tmp_path: Path, suffix: str, codec: str) -> None:
    path = video(tmp_path, suffix, codec)
    data = path.read_bytes()
    rng = np.random.default_rng(5)
    for size in [*rng.integers(1, len(data), 14).tolist(), len(data) - 1]:
        path.write_bytes(data[:size])
        try:
            probe_video(path)
        except RinrInputError:
            continue
        shown, errors = read(path)
        assert errors or shown == list(range(N)), size


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov", "flv"])
def test_a_cut_between_frames_says_where_the_file_ends(tmp_path: Path, suffix: str) -> None:
    path = video(tmp_path, suffix, "mjpeg" if suffix != "flv" else "flv1")
    starts = [packet.pos for packet in packets(path)]
    path.write_bytes(path.read_bytes()[: starts[12]])
    shown, errors = read(path)
    assert shown[:12] == list(range(12))
    assert "the file ends after 12" in errors[-1]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        ("mp4", "h264"),
        ("mp4", "hevc"),
        ("mp4", "mpeg4"),
        ("mp4", "mpeg4-b"),
        ("mp4", "vp9"),
        ("mov", "mjpeg"),
        ("avi", "mpeg4"),
        ("mkv", "h264"),
        ("mkv", "mjpeg"),
        ("webm", "vp8"),
        ("flv", "flv1"),
        ("ts", "h264"),
        ("m2ts", "h264"),
    ],
)
def test_frames_after_a_lost_one_keep_their_numbers(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    path = video(tmp_path, suffix, codec)
    data = bytearray(path.read_bytes())
    packet = packets(path)[4]
    size = 188 if suffix in {"ts", "m2ts"} else packet.size
    data[packet.pos : packet.pos + size] = bytes(size)
    path.write_bytes(data)
    shown, errors = read(path)
    assert errors
    assert any(" 4: " in error or " 5: " in error or " 6: " in error for error in errors)
    # From the next key frame on, all is as it was. Of a damaged structure, an error is at the end.
    assert shown[12:N] == list(range(12, N))
    assert [number for number in shown[N:] if number is not None] == []
    assert shown[:3] == [0, 1, 2]


def test_an_avi_without_times_ends_at_the_lost_frame(tmp_path: Path) -> None:
    path = video(tmp_path, "avi", "h264")
    data = bytearray(path.read_bytes())
    packet = packets(path)[9]
    data[packet.pos + 8 : packet.pos + 8 + packet.size] = bytes(packet.size)
    path.write_bytes(data)
    shown, errors = read(path)
    assert shown == [*range(len(shown) - 1), None]
    assert errors[0].endswith("are left out, because their numbers are not known")


def test_a_frame_of_an_incomplete_packet_is_an_error(tmp_path: Path) -> None:
    path = video(tmp_path, "mp4", "mpeg4")
    packet = packets(path)[9]
    path.write_bytes(path.read_bytes()[: packet.pos + packet.size - 5])
    shown, errors = read(path)
    assert shown == [*range(9), None, None]
    assert "frame 10: its data are damaged or incomplete" in errors[0]
    assert "the file ends after 10 of 18 frames" in errors[1]


def test_a_continued_run_reports_the_rest(tmp_path: Path) -> None:
    path = video(tmp_path, "mp4", "h264")
    data = bytearray(path.read_bytes())
    packet = packets(path)[4]
    data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(data)
    whole = [(name, error) for name, _, error in read_video(path, 0, N)]
    for start in (1, 5, 9, N):
        assert [(name, error) for name, _, error in read_video(path, start, N)] == whole[start:]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mkv", "h264"), ("webm", "vp9"), ("mp4", "h264"), ("flv", "h264"), ("avi", "mjpeg")],
)
def test_a_video_without_a_frame_that_can_be_decoded(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    path = video(tmp_path, suffix, codec)
    data = bytearray(path.read_bytes())
    for packet in packets(path):
        data[packet.pos : packet.pos + packet.size] = b"\x81" + bytes(packet.size - 1)
    path.write_bytes(data)
    with pytest.raises(RinrInputError, match=r"(it has no frames|frames can be decoded); was the"):
        open_source(path)


@pytest.mark.parametrize("suffix", ["mkv", "webm", "flv", "ts", "mp4"])
def test_a_recording_that_has_only_a_header(tmp_path: Path, suffix: str) -> None:
    codec = "vp8" if suffix == "webm" else "h264"
    path = video(tmp_path, suffix, codec)
    path.write_bytes(path.read_bytes()[: max(64, packets(path)[0].pos)])
    with pytest.raises(
        RinrInputError, match=rf"clip\.{suffix}: (it has no frames|not a vid).*; was the"
    ):
        open_source(path)


def test_a_file_with_sound_only(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        for number in range(4):
            silence = np.zeros((2, 1024), np.float32)
            part = av.AudioFrame.from_ndarray(silence, format="fltp", layout="stereo")
            part.sample_rate, part.pts = 48000, 1024 * number
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    with pytest.raises(RinrInputError, match=r"clip\.mp4: there is no video in this file"):
        open_source(path)


@pytest.mark.parametrize("others", [1, 2])
def test_the_first_video_stream_is_used(tmp_path: Path, others: int) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mpeg4", rate=25) for _ in range(others + 1)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(N):
            for stream in streams:
                pixels = frame_pixels(number if stream is streams[0] else 0)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        for stream in streams:
            container.mux(stream.encode(None))
    (warning, *_) = open_source(path, labels="none").warnings
    assert f"only the first video stream is used; {others} other" in warning
    assert read(path) == (list(range(N)), [])


@pytest.mark.parametrize("with_video", [True, False])
def test_a_cover_is_no_video(tmp_path: Path, with_video: bool) -> None:
    cover = bytes(packets(video(tmp_path, "mov", "mjpeg", n=1))[0])
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = (
            container.add_stream("mpeg4", 25) if with_video else container.add_stream("aac", 48000)
        )
        if isinstance(stream, av.VideoStream):
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        picture = container.add_stream("mjpeg", rate=25)
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        picture.disposition = Disposition.attached_pic
        packet = av.Packet(cover)
        packet.stream, packet.pts, packet.dts = picture, 0, 0
        packet.time_base, packet.is_keyframe = Fraction(1, 25), True
        container.mux(packet)
        for number in range(N if with_video else 0):
            frame = av.VideoFrame.from_ndarray(frame_pixels(number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert any(one.disposition & Disposition.attached_pic for one in container.streams.video)
    if with_video:
        assert_sound(path)
    else:
        with pytest.raises(RinrInputError, match="there is no video in this file"):
            open_source(path)


HEADS = [
    bytes.fromhex("1a45dfa380") + bytes.fromhex("1853806701ffffffffffffff1f43b675ff"),
    b"FLV\x01\x01\x00\x00\x00\x09\x00\x00\x00\x00",
    b"\x00\x00\x00\x08ftyp",
    bytes.fromhex("3026b2758e66cf11") + bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"),
    (b"G" + bytes(187)) * 5,
    b"",
]


@given(st.sampled_from(HEADS), st.binary(max_size=400), st.integers(0, 700))
def test_no_bytes_confuse_the_check_of_a_structure(head: bytes, rest: bytes, cut: int) -> None:
    data = (head + rest)[:cut]
    file = BytesIO(data)
    file.seek(min(3, len(data)))
    structure = check_structure(file, len(data))
    assert isinstance(structure, Structure)
    assert structure.damage is None or 0 <= structure.damage < len(data)
    assert file.tell() == min(3, len(data))


def test_a_structure_names_its_first_bad_byte(tmp_path: Path) -> None:
    path = video(tmp_path, "mkv", "mjpeg")
    data = path.read_bytes()
    first, second = (packet.pos for packet in packets(path)[3:5])
    assert check_structure(BytesIO(data), len(data)) == Structure()
    holed = data[:first] + bytes(second - first) + data[second:]
    damage = check_structure(BytesIO(holed), len(holed)).damage
    assert damage is not None
    assert first - 16 < damage < second
    for cut in (1, 100, len(data) - first):
        short = data[:-cut]
        assert f"{len(short):,} bytes" in check_structure(BytesIO(short), len(short)).cut


def test_numbers_of_the_test_videos_differ() -> None:
    assert [number_of(frame_pixels(number)) for number in range(N)] == list(range(N))
    assert all(a.tobytes() != b.tobytes() for a, b in pairwise(map(frame_pixels, range(N))))
