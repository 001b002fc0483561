"""YOLO label files: to pixels and back unchanged, and no line that silently becomes another."""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError
from rinrcodec.labels.model import Labels
from rinrcodec.labels.outlines import area_of, joined
from rinrcodec.labels.yolo import Layout, LayoutFinder, YoloReader, format_labels, read_labels

# Six to nine decimals, without superfluous zeros.
values = st.integers(0, 10**6).map(lambda n: f"{n / 1e6:.6f}") | st.integers(0, 10**8).map(
    lambda n: f"{n / 1e8 + 1e-9:.9f}"
)
classes = st.integers(0, 2**31 - 1).map(str)
sizes = st.integers(1, 10_000)


def parse(
    text: str, *, width: int = 100, height: int = 100, layout: Layout | None = None
) -> Labels:
    reader = YoloReader(layout)
    return reader.parse(text.encode(), size=(width, height), where="f")


def text_of(rows: list[list[str]]) -> str:
    return "".join(" ".join(row) + "\n" for row in rows)


def columns(n: int) -> st.SearchStrategy[list[str]]:
    return st.lists(values, min_size=n, max_size=n)


def visible_points(n: int) -> st.SearchStrategy[list[str]]:
    point = st.tuples(values, values, st.sampled_from("012")).map(list)
    return st.lists(point, min_size=n, max_size=n).map(
        lambda points: list(chain.from_iterable(points))
    )


tails = st.fixed_dictionaries({"score": values, "track_id": st.integers(0, 10**9).map(str)})
SHAPES = {
    Layout(): columns(4),
    Layout("obb"): columns(8),
    Layout("segment"): st.integers(3, 12).flatmap(lambda n: columns(2 * n)) | columns(4),
    Layout("pose", (5, 2)): columns(14),
    Layout("pose", (5, 3)): st.tuples(columns(4), visible_points(5)).map(lambda t: t[0] + t[1]),
}


@given(st.data(), st.sampled_from(list(SHAPES)), sizes, sizes)
def test_canonical_labels_of_every_task_survive_byte_for_byte(
    data: st.DataObject, layout: Layout, width: int, height: int
) -> None:
    names = data.draw(st.sampled_from([(), ("score",), ("track_id",), ("score", "track_id")]))
    row = st.tuples(classes, SHAPES[layout], tails).map(
        lambda t: [t[0], *t[1], *(t[2][name] for name in names)]
    )
    text = text_of(data.draw(st.lists(row, max_size=5)))
    layout = Layout(layout.task, layout.kpt_shape, names)
    labels = parse(text, width=width, height=height, layout=layout)
    assert labels.lost == ()
    assert format_labels(labels.boxes, width=width, height=height, layout=layout) == text


@given(st.lists(st.tuples(classes, columns(4)), max_size=8), sizes, sizes)
def test_boxes_of_any_file_survive(
    rows: list[tuple[str, list[str]]], width: int, height: int
) -> None:
    text = text_of([[class_id, *row] for class_id, row in rows])
    labels = parse(text, width=width, height=height)
    assert not labels.lost
    assert format_labels(labels.boxes, width=width, height=height) == text


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("", Layout()),
        ("0 0.5 0.5 0.1 0.1\n", Layout()),
        ("0 0.5 0.5 0.1 0.1 0.93\n0 0.2 0.2 0.1 0.1\n", Layout(tail=("score",))),
        ("0 0.5 0.5 0.1 0.1 12\n", Layout(tail=("track_id",))),
        ("0 0.5 0.5 0.1 0.1 0.93 12\n", Layout(tail=("score", "track_id"))),
        ("0 0.5 0.5 0.1 0.1 0.93 1\n0 0.5 0.5 0.1 0.1 1 2\n", Layout(tail=("score", "track_id"))),
        ("0 0.1 0.1 0.5 0.1 0.3 0.4\n", Layout("segment")),
        ("0 0.1 0.1 0.5 0.1 0.3 1\n", Layout("segment")),
        ("0 0.1 0.1 0.5 0.1 0.5 0.4 0.1 0.4\n", Layout("obb")),
        ("0 0.1 0.1 0.5 0.1 0.5 0.4 0.1 0.4 0.8\n", Layout("obb", tail=("score",))),
        ("0 0.1 0.1 0.5 0.1 0.5 0.4\n1 0.1 0.1 0.5 0.1 0.5 0.4 0.1 0.4\n", Layout("segment")),
        ("0 0.1 0.1 0.5 0.1 0.5 0.4 0.1 0.4 0.1 0.3 0.7\n", Layout("segment", tail=("score",))),
        ("0 0.5 0.5 0.2 0.2 0.45 0.45 0.55 0.55\n", Layout("pose", (2, 2))),
        ("0 0.5 0.5 0.2 0.2 0.45 0.45 2 0 0 0\n", Layout("pose", (2, 3))),
        ("0 0.5 0.5 0.2 0.2 0.45 0.45 2 0 0 0\n1 0.5 0.5 0.2 0.2", Layout("pose", (2, 3))),
    ],
)
def test_the_columns_of_all_files_decide_the_task(text: str, layout: Layout) -> None:
    finder = LayoutFinder()
    for line in text.splitlines():  # each in a file of its own
        finder.add(line)
    assert finder.layout() == layout


def test_a_given_task_or_keypoint_shape_decides() -> None:
    corners = "0 0.5 0.5 0.2 0.2 0.45 0.45 0.55 0.55"
    for given_, wanted in [
        ({"task": "segment"}, Layout("segment")),
        ({"task": "obb"}, Layout("obb")),
        ({"kpt_shape": (2, 2)}, Layout("pose", (2, 2))),
    ]:
        finder = LayoutFinder(**given_)
        finder.add(corners)
        assert finder.layout() == wanted


def test_keypoints_outside_their_boxes_need_a_shape() -> None:
    line = "0 .5 .5 .2 .2 .9 .9 .1 .1"
    finder = LayoutFinder(task="pose")
    assert finder.layout() == Layout("pose")  # there are no lines
    finder.add(line)
    with pytest.raises(RinrInputError, match="give a data yaml with kpt_shape"):
        finder.layout()
    assert not parse(line, layout=Layout("pose")).complete


def test_visibilities_do_not_become_points_of_a_polygon() -> None:
    labels = parse("0 .5 .5 .2 .2 .9 .9 2 .1 .1 2", layout=Layout("segment"))
    assert labels.boxes == ()
    assert "far outside" in labels.lost[0]


def test_track_ids_keep_all_digits() -> None:
    layout = Layout(tail=("track_id",))
    labels = parse("0 .5 .5 .2 .2 9007199254740993\n0 .5 .5 .1 .1 7.0", layout=layout)
    assert [box.track_id for box in labels.boxes] == [2**53 + 1, 7]
    (lost,) = parse("0 .5 .5 .2 .2 7.5", layout=layout).lost
    assert lost == "f:1: track 7.5, expected a whole number"


def test_many_labels_take_no_more_than_a_pack_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    from rinrcodec.labels import fields
    from rinrcodec.limits import Limits

    monkeypatch.setattr(fields, "DEFAULT_LIMITS", Limits(max_label_bytes=2000))
    line = "0" + " 0.25 0.5" * 30 + "\n"
    labels = parse(line * 9, layout=Layout("segment"))
    assert 0 < len(labels.boxes) < 9
    assert "all labels of a picture may take 2,000" in labels.lost[0]


def test_boxes_are_in_pixels_of_the_picture() -> None:
    labels = parse("3 0.5 0.25 0.2 0.5\n", width=100, height=40)
    assert labels == Labels((Box(3, 40.0, 0.0, 20.0, 20.0),))


def test_a_polygon_keeps_its_points_and_gets_their_rectangle() -> None:
    labels = parse("7 0.1 0.2 0.5 0.4 0.3 0.8", width=200, height=100)
    polygon = (20.0, 20.0, 100.0, 40.0, 60.0, 80.0)
    assert labels == Labels((Box(7, 20.0, 20.0, 80.0, 60.0, polygons=(polygon,)),))


def test_keypoints_score_and_track() -> None:
    layout = Layout("pose", (1, 3), ("score", "track_id"))
    labels = parse("0 0.5 0.5 0.2 0.2 0.45 0.55 2 0.75 8", layout=layout)
    (box,) = labels.boxes
    assert box.keypoints == ((45.0, 55.0, 2.0),)
    assert (box.score, box.track_id) == (0.75, 8)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.1", "expected 5 columns .* found 4"),
        ("0", "expected 5 columns .* found 1"),
        ("0 0.5 x 0.1 0.1", "'x' is not a number"),
        ("car 0.5 0.5 0.1 0.1", "'car' is not a number"),
        ("0 0,5 0,5 0,1 0,1", "'0,5' is not a number"),
        ("0 nan 0.5 0.1 0.1", "not finite"),
        ("0 inf 0.5 0.1 0.1", "not finite"),
        ("-1 0.5 0.5 0.1 0.1", "class -1"),
        ("0.5 0.5 0.5 0.1 0.1", r"class 0\.5"),
        ("1e300 0.5 0.5 0.1 0.1", "class 1e300"),
        ("0 0.5 0.5 -0.1 0.1", "a size of -0.1 x 0.1"),
        ("0 1e308 0.5 0.1 0.1", "finite"),
        ("0 320 180 64 36", "pixels instead of fractions"),
        ("0 0.5 0.5 100 0.1", "far outside"),
        ("0 0.5 0.5 2.1 0.1", "far outside"),
        ("0 1.5 0.5 0.1 0.1", "far outside"),
        ("0 0.5 0.5 0.1 0.1 0.2 0.2 0.3", "found 8"),
    ],
)
def test_a_line_that_is_no_label_is_lost_and_named(line: str, reason: str) -> None:
    good = "1 0.5 0.5 0.2 0.2\n"
    text = good + "\n" + line + "\n" + good.replace("1 ", "2 ", 1)
    labels = parse(text, layout=Layout())
    assert [box.class_id for box in labels.boxes] == [1, 2]
    assert not labels.complete
    (message,) = labels.lost
    assert message.startswith("f:3: ")
    assert re.search(reason, message)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0 0.1", "without area"),
        ("0 0.99 0.5 0.1 0.1", "partly outside"),
        ("0 0.5 0.5 1.5 1.5", "partly outside"),
    ],
)
def test_odd_boxes_are_kept_as_given(line: str, reason: str) -> None:
    labels = parse(line, width=640, height=360)
    assert labels.complete
    (warning,) = labels.warnings
    assert reason in warning
    again = format_labels(labels.boxes, width=640, height=360).split()
    assert [float(word) for word in again] == [float(word) for word in line.split()]


def test_a_box_that_touches_the_edge_within_rounding_is_not_odd() -> None:
    assert parse("0 0.500000 0.5 1.000001 1", width=640, height=360).warnings == ()


def test_duplicates_are_kept_and_named() -> None:
    labels = parse("0 0.5 0.5 0.1 0.1\n0 .5 .5 .1 .1\n", width=9, height=9)
    assert len(labels.boxes) == 2
    assert "f:2: the same box as f:1; both are kept" in labels.warnings[0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("0 0.5 0.5 0.2 0.2\r\n".encode("utf-16"), "UTF-16"),
        (b"0 0.5 0.5 0.2 0.2\n# caf\xe9\n", "byte 23 is not UTF-8"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>404</html>", "HTML or XML"),
        (b"0 0.5 0.5 0.2 0.2\n\0\0\0\0", "binary"),
    ],
)
def test_a_file_that_is_no_label_file_is_lost_in_full(data: bytes, reason: str) -> None:
    labels = YoloReader().parse(data, size=(9, 9), where="f")
    assert labels.boxes == ()
    (message,) = labels.lost
    assert message.startswith("f: ")
    assert reason in message


def test_missing_files_are_no_loss_and_unreadable_ones_are(tmp_path: Path) -> None:
    missing = read_labels(tmp_path / "missing.txt", width=10, height=10)
    assert missing.complete
    assert "no such label file" in missing.warnings[0]
    (tmp_path / "folder.txt").mkdir()
    folder = read_labels(tmp_path / "folder.txt", width=10, height=10)
    assert not folder.complete
    assert "left out" in folder.lost[0]


def test_a_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf0 0.5 0.5 1 1\r\n1 0.5 0.5 1 1\r\n")
    labels = read_labels(tmp_path / "a.txt", width=10, height=10)
    assert [box.class_id for box in labels.boxes] == [0, 1]
    assert labels.warnings == ()


def test_several_polygons_are_joined_and_crowds_left_out() -> None:
    small, large = (0, 0, 1, 0, 1, 1), (2, 2, 9, 2, 9, 9, 2, 9)
    box = Box(0, 0, 0, 9, 9, polygons=(small, large))
    crowd = Box(0, 0, 0, 9, 9, crowd=True)
    text = format_labels([box, crowd], width=10, height=10, layout=Layout("segment"))
    (line,) = text.splitlines()
    points = [float(word) * 10 for word in line.split()[1:]]
    outline = joined((small, large))
    assert points == pytest.approx(outline)
    assert area_of(outline) == area_of(small) + area_of(large)
    corners = format_labels([box], width=10, height=10, layout=Layout("obb")).split()
    assert [float(word) * 10 for word in corners[1:]] == pytest.approx(large)


def test_joining_large_polygons_takes_no_memory() -> None:
    turns = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    circle = np.stack([np.cos(turns), np.sin(turns)], 1)
    parts = [tuple((circle + offset).flatten().tolist()) for offset in (0.0, 5.0, 10.0)]
    outline = joined(parts)
    assert len(outline) == 3 * 40_000 + 8
    assert area_of(outline) == pytest.approx(3 * np.pi, rel=1e-4)


def test_joining_many_parts_takes_time_for_each_only() -> None:
    corners = np.random.default_rng(0).permutation(300 * 300)[:50_000]
    parts = [(x, y, x + 0.5, y, x, y + 0.5) for y, x in (divmod(int(n), 300) for n in corners)]
    outline = joined(parts)
    assert len(outline) == 2 * (3 + 5 * 49_999)
    points = np.reshape(outline, (-1, 2))
    # Neighbours are connected: lines across the picture would be drawn.
    lengths = np.abs(np.diff(points, axis=0)).max(1)
    assert np.percentile(lengths, 99.9) < 15


@settings(max_examples=25, deadline=None)
@given(st.integers(195, 230), st.integers(0, 2**32 - 1))
def test_joined_parts_cover_what_the_parts_cover(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.permutation(20 * 20)[:n]
    parts = []
    for y, x in (divmod(int(cell), 20) for cell in cells):
        turns = np.sort(rng.random(int(rng.integers(3, 9)))) * 2 * np.pi
        points = np.stack([x + 0.4 * np.cos(turns), y + 0.4 * np.sin(turns)], 1)
        parts.append(tuple(points.flatten().tolist()))
    outline = joined(parts)
    pairs = list(zip(outline[0::2], outline[1::2], strict=True))
    edges = Counter(frozenset(edge) for edge in zip(pairs, pairs[1:] + pairs[:1], strict=True))
    rings = [list(zip(part[0::2], part[1::2], strict=True)) for part in parts]
    wanted = Counter(
        frozenset(edge) for ring in rings for edge in zip(ring, ring[1:] + ring[:1], strict=True)
    )
    # What is added are lines there and back.
    assert wanted <= edges
    assert all(count == 2 for edge, count in (edges - wanted).items() if len(edge) > 1)
    assert area_of(outline) == pytest.approx(sum(map(area_of, parts)), abs=1e-9)


def test_a_box_without_corners_is_written_as_its_rectangle() -> None:
    text = format_labels([Box(0, 1, 2, 3, 4)], width=10, height=10, layout=Layout("obb"))
    assert text == "0 0.100000 0.200000 0.400000 0.200000 0.400000 0.600000 0.100000 0.600000\n"
