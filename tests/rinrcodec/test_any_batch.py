"""A frame has the same pixels in any batch, order and number of threads, with any weights.

Packs are made of random rows, huge weights and weights that give infinities among them, which turn
the last bit of a sum into other pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from siren_specs import siren_spec

import rinrcodec
from rinrcodec import Box
from rinrcodec.families.av1.layout import row_spec
from rinrcodec.families.av1.stream import encode_stills
from rinrcodec.families.nerv import network as nerv
from rinrcodec.families.pyramid.latents import PyramidRow, encode_row
from rinrcodec.families.pyramid.network import grid_sizes
from rinrcodec.families.siren import network as siren
from rinrcodec.pack import ColorMode, Frame, Group, InrRef, ObjectInr, Pack, Rows, Spec

Random = np.random.Generator
WIDTHS = (1, 2, 3, 5, 7, 8, 16, 17, 31, 33, 64, 65)
EXPONENTS = (0, 6, 25, 60, 127)  # of the largest scale: 2**127 gives infinities and NaN


def weights_group(random: Random, spec: Spec, n: int) -> Group:
    sizes = (siren if spec.family == "siren" else nerv).tensor_sizes(spec)
    codes = random.integers(-127, 128, (n, sum(sizes))).astype(np.int8)
    exponents = random.uniform(-9, random.choice(EXPONENTS), (n, len(sizes))).round()
    return Group(spec, 8, Rows(codes, (2.0**exponents).astype(np.float32)))


def coded_group(spec: Spec, *rows: bytes) -> Group:
    none = np.zeros((len(rows), 0), np.int8), np.zeros((len(rows), 0), np.float32)
    return Group(spec, 8, Rows(*none, rows))


def random_siren(random: Random, out: int) -> Spec:
    spec = siren_spec(int(random.integers(1, 5)), int(random.choice(WIDTHS)), out=out)
    w0 = float(random.choice([1e-3, 1.0, 30.0, 1e4]))
    return Spec.of("siren", **{**dict(spec.config), "w0": w0})


def siren_pack(random: Random) -> Pack:
    out = int(random.choice([1, 3]))
    groups = tuple(weights_group(random, random_siren(random, out), 3) for _ in range(2))
    most = random.integers(1, 90, 2)
    frames = []
    for k in range(4):
        width, height = (most if random.random() < 0.5 else random.integers(1, 90, 2)).tolist()
        corners = random.uniform(0, 1, (3, 4)) * (width, height, width, height)
        frames.append(
            Frame(
                f"{k}", width, height, InrRef(0, k % 3), mode="L" if out == 1 else "RGB",
                boxes=tuple(Box(0, x, y, w + 0.1, h + 0.1) for x, y, w, h in corners.tolist()),
                objects=tuple(ObjectInr(InrRef(1, i), gain=2.0) for i in (0, 1, 1)),
            )
        )  # fmt: skip
    return Pack(tuple(frames), groups)


def nerv_pack(random: Random) -> Pack:
    strides, widths = random.integers(1, 5, 3).tolist(), random.integers(1, 18, 3).tolist()
    grid_width, grid_height = random.integers(1, 5, 2).tolist()
    spec = Spec.of(
        "nerv", grid_width=grid_width, grid_height=grid_height, base=1.25, out=3,
        features=int(random.integers(1, 18)), stem=int(random.integers(1, 9)), levels=3,
        strides=",".join(map(str, strides)), widths=",".join(map(str, widths)),
    )  # fmt: skip
    width, height = nerv.size(spec)
    frames = [Frame(f"{k}", width, height, InrRef(0, k % 2), time=k / 4) for k in range(4)]
    return Pack(tuple(frames), (weights_group(random, spec, 2),))


def pyramid_pack(random: Random) -> Pack:
    spec = Spec.of("pyramid", out=3, start="a")
    width, height = random.integers(1, 40, 2).tolist()

    def row(*, predicted: bool) -> bytes:
        latents = [
            [
                [random.integers(-3, 4, size).astype(np.int32) for size in grids]
                for grids in grid_sizes(width, height)
            ]
            for _ in range(2)
        ]
        steps = random.integers(-20, 20, (2, 2, 7)).astype(np.int32)
        return encode_row(spec, PyramidRow({}, steps, latents, predicted))

    group = coded_group(spec, row(predicted=False), row(predicted=True))
    frames = [Frame(f"{k}", width, height, InrRef(0, k // 2), time=k % 2) for k in range(4)]
    return Pack(tuple(frames), (group,))


@cache
def av1_rows(width: int, height: int) -> tuple[bytes, bytes]:
    random = np.random.default_rng(width)
    pictures = [random.integers(0, 256, (height, width, 3)).astype(np.uint8) for _ in range(2)]
    first = encode_stills(pictures, quality=50, speed=10)
    return first, encode_stills(pictures[::-1], quality=20, speed=10)


def av1_pack(random: Random) -> Pack:
    width, height = ((33, 17), (8, 41), (64, 24))[int(random.integers(3))]
    group = coded_group(row_spec(3, "444", 8), *av1_rows(width, height))
    frames = [Frame(f"{k}", width, height, InrRef(0, k // 2), time=k % 2) for k in range(4)]
    return Pack(tuple(frames), (group,))


PACKS: dict[str, Callable[[Random], Pack]] = {
    "siren": siren_pack,
    "nerv": nerv_pack,
    "pyramid": pyramid_pack,
    "av1": av1_pack,
}


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("family", PACKS)
@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.lists(st.integers(0, 3), min_size=1, max_size=9),
    threads=st.integers(1, 5),
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_pixels_in_any_batch(
    family: str, seed: int, batch: list[int], threads: int
) -> None:
    pack = PACKS[family](np.random.default_rng(seed))
    with torch_threads(1):
        alone = [rinrcodec.decode(pack, i) for i in range(4)]
    with torch_threads(threads):
        together = rinrcodec.decode(pack, batch)
    for i, pixels in zip(batch, together, strict=True):
        assert torch.equal(pixels, alone[i])


@pytest.mark.slow
@pytest.mark.parametrize("family", PACKS)
@given(seed=st.integers(0, 2**32 - 1), threads=st.integers(1, 3))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_pixels_in_any_batch_of_a_region(family: str, seed: int, threads: int) -> None:
    random = np.random.default_rng(seed)
    pack = PACKS[family](random)
    width, height = (min(getattr(f, side) for f in pack.frames) for side in ("width", "height"))
    x, y = int(random.integers(width)), int(random.integers(height))
    region = (x, y, int(random.integers(1, width - x + 1)), int(random.integers(1, height - y + 1)))
    for scale in (1.0, 0.5):
        with torch_threads(1):
            alone = [rinrcodec.decode(pack, i, region=region, scale=scale) for i in range(4)]
        with torch_threads(threads):
            together = rinrcodec.decode(pack, [3, 0, 2, 1, 1], region=region, scale=scale)
        for i, pixels in zip([3, 0, 2, 1, 1], together, strict=True):
            assert torch.equal(pixels, alone[i])


@pytest.mark.parametrize("out", [1, 3])
@pytest.mark.parametrize("width", [1, 2])
def test_the_narrowest_sirens_have_the_same_pixels_in_any_batch(width: int, out: int) -> None:
    spec = siren_spec(3, width, out=out)
    most_values = 0
    for seed in range(5):
        group = weights_group(np.random.default_rng(seed), spec, 3)
        mode: ColorMode = "L" if out == 1 else "RGB"
        frames = tuple(Frame(f"{k}", 64, 33, InrRef(0, k), mode=mode) for k in range(3))
        pack = Pack(frames, (group,))
        together = rinrcodec.decode(pack, [0, 1, 2])
        for i, pixels in enumerate(together):
            assert torch.equal(pixels, rinrcodec.decode(pack, i))
            most_values = max(most_values, pixels.unique().numel())
    assert most_values > 1


def test_weights_that_give_no_number_give_black() -> None:
    spec = siren_spec(2, 3)
    sizes = siren.tensor_sizes(spec)
    scales = np.full((1, len(sizes)), 2.0**127, np.float32)
    group = Group(spec, 8, Rows(np.full((1, sum(sizes)), 127, np.int8), scales))
    pack = Pack((Frame("x", 5, 4, InrRef(0, 0)),), (group,))
    assert rinrcodec.decode(pack, 0).unique().tolist() == [0]
