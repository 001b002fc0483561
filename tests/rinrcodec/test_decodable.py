"""What `verify` calls sound decodes: sizes, times, channels, families, cells, streams and work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rinrcodec
from rinrcodec import decodable
from rinrcodec.boxes import Box
from rinrcodec.errors import RinrError, RinrFormatError, RinrLimitError
from rinrcodec.families.av1.layout import row_spec
from rinrcodec.families.av1.stream import RowDecoder, encode_still
from rinrcodec.families.nerv import network as nerv
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.latents import PyramidRow, encode_row
from rinrcodec.families.siren import network as siren
from rinrcodec.formats import pack_bytes
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import Cell, Frame, Group, InrRef, ObjectInr, Pack, Rows, Spec

NERV = Spec.of(
    "nerv",
    base=1.5,
    features=1,
    grid_height=3,
    grid_width=4,
    levels=1,
    out=3,
    stem=1,
    strides="2",
    widths="1",
)
SIREN = Spec.of("siren", depth=1, width=2, out=3, w0=9.0, w0_first=9.0)
PYRAMID = Spec.of("pyramid", out=3, start="a")


def plain(spec: Spec, sizes: tuple[int, ...], n: int = 1) -> Group:
    codes = np.ones((n, sum(sizes)), np.int8)
    return Group(spec, 8, Rows(codes, np.full((n, len(sizes)), 2.0**-6, np.float32)))


def coded(spec: Spec, *rows: bytes) -> Group:
    none = np.zeros((len(rows), 0), np.int8), np.zeros((len(rows), 0), np.float32)
    return Group(spec, 8, Rows(*none, rows))


def noise(width: int, height: int, channels: int = 3, seed: int = 1) -> Any:
    shape = (height, width, channels)[: 3 if channels == 3 else 2]
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def still(width: int = 10, height: int = 6, channels: int = 3) -> bytes:
    return encode_still(noise(width, height, channels), quality=70, speed=10)


def latents(width: int, height: int, n: int, *, predicted: bool = False) -> bytes:
    rng = np.random.default_rng(3)
    grids = [
        [
            [rng.integers(-2, 3, size, np.int32) for size in sizes]
            for sizes in pyramid.grid_sizes(width, height)
        ]
        for _ in range(n)
    ]
    steps = np.zeros((n, 2, pyramid.LEVELS), np.int32)
    return encode_row(PYRAMID, PyramidRow({}, steps, grids, predicted))


def frame(width: int = 10, height: int = 6, **changes: Any) -> Frame:
    return replace(Frame("a", width, height, InrRef(0, 0)), **changes)


def with_object(group: Group, inr: ObjectInr, *, mode: str = "RGB") -> Pack:
    """A frame of AV1 of 10x6 with an object of 4x3 pixels."""
    channels, chroma = (1, "400") if mode == "L" else (3, "444")
    background = coded(row_spec(channels, chroma, 8), still(channels=channels))
    one = frame(mode=mode, boxes=(Box(0, 1.0, 1.0, 4.0, 3.0),), objects=(inr,))
    return Pack((one,), (background, group))


STILL = row_spec(3, "444", 8)
GREY = row_spec(1, "400", 8)
AT = ObjectInr(InrRef(1, 0))
ATLAS = still(8, 8)
FEW = latents(10, 6, 2)

SOUND: dict[str, Callable[[], Pack]] = {
    "av1": lambda: Pack((frame(),), (coded(STILL, still()),)),
    "an object of siren": lambda: with_object(plain(SIREN, siren.tensor_sizes(SIREN)), AT),
    "an object in an atlas": lambda: with_object(
        coded(STILL, ATLAS), ObjectInr(InrRef(1, 0), cell=Cell(0, 4, 5))
    ),
    "nerv, as large as its frame": lambda: Pack(
        (frame(8, 6, time=0.37),), (plain(NERV, nerv.tensor_sizes(NERV)),)
    ),
    "latents": lambda: Pack((frame(), frame(name="b", time=1.0)), (coded(PYRAMID, FEW),)),
    "a row that nobody uses": lambda: Pack((frame(),), (coded(STILL, still(), b"garbage"),)),
}
UNSOUND: dict[str, tuple[str, Callable[[], Pack]]] = {
    "no stream": ("begins no unit", lambda: Pack((frame(),), (coded(STILL, b"\xffgarbage"),))),
    "an empty row": ("0 temporal units", lambda: Pack((frame(),), (coded(STILL, b""),))),
    "half a stream": (
        "ends beyond the row",
        lambda: Pack((frame(),), (coded(STILL, still()[:-9]),)),
    ),
    "a stream of another size": (
        "cannot be decoded|is 10x6",
        lambda: Pack((frame(9, 6),), (coded(STILL, still()),)),
    ),
    "a smaller stream": ("is 10x6", lambda: Pack((frame(12, 9),), (coded(STILL, still()),))),
    "two sizes of one row": (
        "frame 1: ",
        lambda: Pack((frame(), frame(5, 4, name="b")), (coded(STILL, still()),)),
    ),
    "8 bits for 10": (
        "is 10x6 yuv444p: expected 10x6 yuv444p10le",
        lambda: Pack((frame(),), (coded(row_spec(3, "444", 10), still()),)),
    ),
    "no chroma": ("gray", lambda: Pack((frame(),), (coded(STILL, still(channels=1)),))),
    "a time after the end": (
        "the time 1 in a row of 1 frames",
        lambda: Pack((frame(time=1.0),), (coded(STILL, still()),)),
    ),
    "a negative time": (
        "expected a whole number",
        lambda: Pack((frame(time=-1.0),), (coded(STILL, still()),)),
    ),
    "half a time": (
        "the time 0.5",
        lambda: Pack((frame(time=0.5),), (coded(STILL, still()),)),
    ),
    "damaged samples behind sound headers": (
        "frame 0 of a row of AV1 cannot be decoded",
        lambda: Pack((frame(64, 48),), (coded(STILL, damaged_samples(64, 48)),)),
    ),
    "a grey row for RGB": (
        "1 channels for a picture of mode RGB",
        lambda: Pack((frame(),), (coded(GREY, still(channels=1)),)),
    ),
    "an RGB object on grey": (
        "frame 0: an INR of 3 channels for a picture of mode L",
        lambda: with_object(plain(SIREN, siren.tensor_sizes(SIREN)), AT, mode="L"),
    ),
    "an object of latents": (
        "codes backgrounds only",
        lambda: with_object(coded(PYRAMID, FEW), AT),
    ),
    "an object outside of its atlas": (
        r"at \(5, 0\) leaves its atlas of 8x8",
        lambda: with_object(coded(STILL, ATLAS), ObjectInr(InrRef(1, 0), cell=Cell(0, 5, 0))),
    ),
    "an atlas that is not there": (
        "the time 2 in a row of 1 frames",
        lambda: with_object(coded(STILL, ATLAS), ObjectInr(InrRef(1, 0), cell=Cell(2))),
    ),
    "no atlas": ("begins no unit", lambda: with_object(coded(STILL, b"\xff"), AT)),
    "an atlas that is too large": (
        "cannot be decoded",
        lambda: with_object(coded(STILL, still(1024, 520)), AT),
    ),
    "a frame larger than its nerv": (
        "a frame of 9x6 from a network that gives 8x6",
        lambda: Pack((frame(9, 6),), (plain(NERV, nerv.tensor_sizes(NERV)),)),
    ),
    "weights of another network": (
        "parameters in",
        lambda: Pack((frame(),), (plain(SIREN, (3, 2)),)),
    ),
    "no latents": ("ends too early", lambda: Pack((frame(),), (coded(PYRAMID, b""),))),
    "65 frames of latents": (
        "has 65 frames",
        lambda: Pack((frame(),), (coded(PYRAMID, b"\x41" + FEW[1:]),)),
    ),
    "latents without their stream": (
        "ends too early",
        lambda: Pack((frame(),), (coded(PYRAMID, FEW[:4]),)),
    ),
    "a time after the last latents": (
        "that has 2",
        lambda: Pack((frame(time=2.0),), (coded(PYRAMID, FEW),)),
    ),
    "rows of latents without bytes": (
        "has 0 parameters",
        lambda: Pack((frame(),), (plain(PYRAMID, (2, 2)),)),
    ),
}


def damaged_samples(width: int, height: int) -> bytes:
    """A still with one bit changed far behind its headers, which dav1d refuses."""
    row = still(width, height)
    for at in range(len(row) // 2, len(row)):
        damaged = row[:at] + bytes([row[at] ^ 0x40]) + row[at + 1 :]
        try:
            RowDecoder(STILL, damaged, (width, height)).read()
        except RinrFormatError:
            return damaged
    raise AssertionError("no bit of the samples matters")


def refusal(data: bytes, limits: Limits = DEFAULT_LIMITS) -> str | None:
    with rinrcodec.open(data, limits=limits) as file:
        try:
            file.verify()
        except RinrError as error:
            return str(error)
    return None


def decodes(data: bytes, limits: Limits = DEFAULT_LIMITS) -> bool:
    with rinrcodec.open(data, limits=limits) as file:
        try:
            for index in range(len(file)):
                file.decode(index)
        except RinrError:
            return False
    return True


@pytest.mark.parametrize("name", SOUND)
def test_sound_packs_decode(name: str) -> None:
    data = pack_bytes(SOUND[name]())
    assert refusal(data) is None
    assert decodes(data)


@pytest.mark.parametrize("name", UNSOUND)
def test_packs_that_do_not_decode_are_refused(name: str) -> None:
    sentence, build = UNSOUND[name]
    data = pack_bytes(build())
    assert not decodes(data)
    with rinrcodec.open(data) as file, pytest.raises(RinrFormatError, match=sentence):
        file.verify()


def test_frames_that_take_too_much_work_are_refused() -> None:
    data = pack_bytes(SOUND["an object of siren"]())
    for limits in (Limits(max_work=1), Limits(max_work=10**7)):
        assert not decodes(data, limits)
        assert "max_work" in str(refusal(data, limits))
    assert refusal(data, Limits(max_work=2**25)) is None


@pytest.mark.parametrize("name", ["av1", "latents", "an object in an atlas"])
def test_coded_rows_of_a_file_have_a_bound(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack_bytes(SOUND[name]())
    spent: list[int] = []
    spend = decodable._Check._spend
    with monkeypatch.context() as patched:
        patched.setattr(
            decodable._Check, "_spend", lambda self, work: (spent.append(work), spend(self, work))
        )
        assert refusal(data) is None
    allowed = work = sum(spent)
    assert work > 0
    monkeypatch.setattr(Limits, "verify_work", lambda self, file_bytes: allowed)  # noqa: ARG005
    assert refusal(data) is None
    allowed = work - 1
    with rinrcodec.open(data) as file, pytest.raises(RinrLimitError, match="do not use it"):
        file.verify()


def test_an_unknown_family_is_no_sound_file() -> None:
    group = plain(Spec.of("nosuch", x=1), (3,))
    data = pack_bytes(Pack((frame(),), (group,)))
    with (
        rinrcodec.open(data) as file,
        pytest.raises(RinrFormatError, match="the family 'nosuch' is not installed"),
    ):
        file.verify()
    unused = Pack((frame(),), (coded(STILL, still()), group))
    assert refusal(pack_bytes(unused)) is None


def test_a_row_that_many_frames_use_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from rinrcodec.families.av1 import check

    made = []

    class Counted(check.RowDecoder):
        def __init__(self, *args: Any, **options: Any) -> None:
            made.append(args)
            super().__init__(*args, **options)

    monkeypatch.setattr(check, "RowDecoder", Counted)
    frames = tuple(frame(name=f"{k}") for k in range(50))
    assert refusal(pack_bytes(Pack(frames, (coded(STILL, still()),)))) is None
    assert len(made) == 1
