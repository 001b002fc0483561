"""Label files: to pixels and back unchanged, and a warning for everything odd."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rinrcodec.boxes import Box
from rinrcodec.sources.labels import format_labels, parse_labels, read_labels

# Six to nine decimals, without superfluous zeros.
values = st.integers(0, 10**6).map(lambda n: f"{n / 1e6:.6f}") | st.integers(0, 10**8).map(
    lambda n: f"{n / 1e8 + 1e-9:.9f}"
)


@given(
    st.lists(st.tuples(st.integers(0, 2**31 - 1), values, values, values, values), max_size=8),
    st.integers(1, 10_000),
    st.integers(1, 10_000),
)
def test_labels_survive_any_picture_size_to_the_last_digit(
    rows: list[tuple[object, ...]], width: int, height: int
) -> None:
    text = "".join(" ".join(map(str, row)) + "\n" for row in rows)
    boxes, _ = parse_labels(text, width=width, height=height)
    assert format_labels(boxes, width=width, height=height) == text


def test_boxes_are_in_pixels_of_the_picture() -> None:
    boxes, warnings = parse_labels("3 0.5 0.25 0.2 0.5\n", width=100, height=40)
    assert boxes == (Box(3, 40.0, 0.0, 20.0, 20.0),)
    assert warnings == ()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.1", "4 numbers, want 5"),
        ("0", "1 numbers, want 5"),
        ("0 0.5 x 0.1 0.1", "'x' is not a number"),
        ("0 nan 0.5 0.1 0.1", "not finite"),
        ("0 inf 0.5 0.1 0.1", "not finite"),
        ("-1 0.5 0.5 0.1 0.1", "class -1"),
        ("0.5 0.5 0.5 0.1 0.1", r"class 0\.5"),
        ("1e300 0.5 0.5 0.1 0.1", "class 1e300"),
        ("0 0.5 0.5 -0.1 0.1", "a size of -0.1 x 0.1"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "8 numbers, want 5, or x y pairs"),
        ("0 1e308 0.5 0.1 0.1", "finite"),
    ],
)
def test_a_malformed_line_is_named_and_stops_no_other(line: str, reason: str) -> None:
    good = "1 0.5 0.5 0.2 0.2\n"
    boxes, (warning,) = parse_labels(
        good + "\n" + line + "\n" + good.replace("1 ", "2 ", 1), width=100, height=100, where="f"
    )
    assert [box.class_id for box in boxes] == [1, 2]
    assert warning.startswith("f, line 3: ")
    assert warning.endswith("the line is left out")
    assert re.search(reason, warning)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0 0.1", "without area"),
        ("0 0.99 0.5 0.1 0.1", "partly outside"),
        ("0 1.5 0.5 0.1 0.1", "a box outside"),
        ("0 320 180 64 36", "values over 1: pixels instead of fractions?"),
        ("0 0.5 0.5 100 0.1", "values over 1: pixels instead of fractions?"),
    ],
)
def test_odd_boxes_are_kept_as_given(line: str, reason: str) -> None:
    boxes, (warning,) = parse_labels(line, width=640, height=360)
    assert reason in warning
    again = format_labels(boxes, width=640, height=360).split()
    assert [float(word) for word in again] == [float(word) for word in line.split()]


def test_a_box_that_touches_the_edge_within_rounding_is_not_odd() -> None:
    _, warnings = parse_labels("0 0.500000 0.5 1.000001 1", width=640, height=360)
    assert warnings == ()


def test_duplicates_are_kept_and_named() -> None:
    boxes, (warning,) = parse_labels("0 0.5 0.5 0.1 0.1\n0 .5 .5 .1 .1\n", width=9, height=9)
    assert len(boxes) == 2
    assert "line 2: the same box as in line 1" in warning


def test_a_polygon_gives_its_bounding_box() -> None:
    boxes, (warning,) = parse_labels("7 0.1 0.2 0.5 0.4 0.3 0.8", width=100, height=100)
    assert format_labels(boxes, width=100, height=100) == "7 0.300000 0.500000 0.400000 0.600000\n"
    assert "polygon of 3 points" in warning


def test_a_sixth_number_is_left_out() -> None:
    boxes, (warning,) = parse_labels("7 0.5 0.5 0.5 0.4 0.93", width=100, height=100)
    assert len(boxes) == 1
    assert "sixth number" in warning


def test_unusable_files_give_one_warning(tmp_path: Path) -> None:
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.txt").mkdir()
    for name, reason in {
        "missing.txt": "no such label file",
        "binary.txt": "not a text file",
        "folder.txt": "left out",
    }.items():
        boxes, (warning,) = read_labels(tmp_path / name, width=10, height=10)
        assert boxes == ()
        assert name in warning
        assert reason in warning


def test_a_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf0 0.5 0.5 1 1\r\n1 0.5 0.5 1 1\r\n")
    boxes, warnings = read_labels(tmp_path / "a.txt", width=10, height=10)
    assert [box.class_id for box in boxes] == [0, 1]
    assert warnings == ()
