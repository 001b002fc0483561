"""A decoder of `pyramid` rows written from SPEC.md alone: it must see what the real one sees.

Python's integers and decimals for the latents, NumPy for the pixels; only the rows that it reads
come from rinrcodec.
"""

from __future__ import annotations

import decimal
import io
import zlib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import pytest
import torch

Grid = list[list[int]]

D = ((-1, -1), (-1, 1), (1, -1), (1, 1))
S = ((-1, 0), (1, 0), (0, -1), (0, 1))
D2, S2 = (tuple((2 * i, 2 * j) for i, j in near) for near in (D, S))
CHROMA = ((2, 0, 0, ()), (2, 1, 1, D), (2, 0, 1, S), (2, 1, 0, S + D))
# Of each component: what y and x are divided by, what they leave, and the neighbours.
PASSES = (
    (
        (4, 0, 0, ()),
        (4, 2, 2, D2),
        (4, 0, 2, S2),
        (4, 2, 0, S2 + D2),
        (2, 1, 1, D),
        (2, 0, 1, (*S, (0, -3), (0, 3))),
        (2, 1, 0, (*S, *D, (-3, 0), (3, 0), (0, -3), (0, 3))),
    ),
    CHROMA,
    CHROMA,
)
FIRST = (0, 1, 1)  # level of each component


@cache
def start(name: str) -> dict[str, np.ndarray[Any, Any]]:
    data = (resources.files("rinrcodec.families.pyramid") / f"pyramid_{name}.npz").read_bytes()
    with np.load(io.BytesIO(data)) as arrays:
        return {key: arrays[key] for key in arrays.files}


def arrays() -> dict[str, tuple[int, ...]]:
    """Names and sizes of a start's arrays, in order."""
    sizes: dict[str, tuple[int, ...]] = {}
    for c in range(3):
        for p, (_, _, _, near) in enumerate(PASSES[c]):
            n = 10 + len(near) + c
            sizes |= {
                f"context.{c}{p}.hidden": (16, 2 * n + 7),
                f"context.{c}{p}.out": (2, 16),
                f"context.{c}{p}.skip": (2, 2 * n + 7),
                f"context.{c}{p}.bias": (2,),
            }
    return sizes | {
        "kernel.up": (2, 6, 4),
        "kernel.sharpen": (2, 7, 4),
        "synthesis.hidden": (16, 9),
        "synthesis.hidden_bias": (16,),
        "synthesis.out": (3, 16),
        "synthesis.out_bias": (3,),
        "synthesis.skip": (3, 9),
        "filter.0": (3, 3, 3, 3),
        "filter.0_bias": (3,),
        "filter.1": (3, 3, 3, 3),
        "filter.1_bias": (3,),
    }


@cache
def table(s: int, f: int) -> tuple[list[int], list[int]]:
    """Where the parts of every symbol start, and how many it has."""
    with decimal.localcontext(decimal.Context(prec=50, rounding=decimal.ROUND_HALF_EVEN)):
        t = (decimal.Decimal(24 - s) / 8).exp()
        q, powers = (-t).exp(), [decimal.Decimal(1)]
        for _ in range(254):
            powers.append(powers[-1] * q)
        left, right = (-t * (4 + f) / 8).exp(), (-t * (4 - f) / 8).exp()
        edges = [left * power for power in reversed(powers)]
        edges += [2 - right * power for power in powers]
        factor = (2**24 - 509) / (edges[-1] - edges[0])
        g = [int(((edge - edges[0]) * factor).to_integral_value()) for edge in edges]
    return [g[i] + i for i in range(509)], [g[i + 1] - g[i] + 1 for i in range(509)]


class Coder:
    def __init__(self, stream: bytes) -> None:
        self.bytes: Iterator[int] = iter(stream)
        self.x = self.word() << 32 | self.word()
        self.r = 2**64 - 1

    def word(self) -> int:
        return int.from_bytes(bytes(next(self.bytes, 0) for _ in range(4)), "big")

    def symbol(self, s: int, f: int) -> int:
        starts, parts = table(s, f)
        p = self.r >> 24
        y = self.x // p
        assert y < 2**24
        i = max(k for k in range(509) if starts[k] <= y)
        self.x -= p * starts[i]
        self.r = p * parts[i]
        if self.r < 2**32:
            self.x = self.x << 32 | self.word()
            self.r <<= 32
        return i

    def call(self, tables: list[tuple[int, int]]) -> list[int]:
        """Values of (mean, scale) pairs."""
        keyed = []
        for place, (m, s) in enumerate(tables):
            c = (m + 4) // 8
            keyed.append((s, m - 8 * c, place, c))
        values = [0] * len(tables)
        for s, f, place, c in sorted(keyed):
            values[place] = self.symbol(s, f) + c - 254
            assert -127 <= values[place] <= 127
        return values


def blank(width: int, height: int) -> list[list[Grid]]:
    def grid(level: int) -> Grid:
        return [[0] * -(-width // 2**level) for _ in range(-(-height // 2**level))]

    return [[grid(level) for level in range(first, 7)] for first in FIRST]


def site(grids: list[Grid], number: int, y: int, x: int) -> int:
    if number >= len(grids):
        return 0
    grid = grids[number]
    return grid[y][x] if 0 <= y < len(grid) and 0 <= x < len(grid[0]) else 0


def read_frame(weights: dict[str, Any], coder: Coder, width: int, height: int) -> list[list[Grid]]:
    frame = blank(width, height)
    for level in range(6, -1, -1):
        for c, first in enumerate(FIRST):
            if level < first:
                continue
            component, number = frame[c], level - first
            for p, (modulus, line, column, near) in enumerate(PASSES[c]):
                hidden, out, skip, bias = (
                    weights[f"context.{c}{p}.{part}"] for part in ("hidden", "out", "skip", "bias")
                )
                sites = [
                    (y, x)
                    for y in range(line, len(component[number]), modulus)
                    for x in range(column, len(component[number][0]), modulus)
                ]
                tables = []
                for y, x in sites:
                    by = range(-1, 2)
                    k = [
                        site(component, number + 1, y // 2 + i, x // 2 + j) for i in by for j in by
                    ]
                    k.append(site(component, number + 2, y // 4, x // 4))
                    k += [site(component, number, y + i, x + j) for i, j in near]
                    k += [site(frame[e], level - FIRST[e], y, x) for e in range(c)]
                    k += [abs(v) for v in k]
                    k += [int(i == level) for i in range(7)]
                    h = [
                        max(0, sum(w * v for w, v in zip(unit, k, strict=True))) for unit in hidden
                    ]
                    a, b = (
                        sum(w * v for w, v in zip(out[o], h, strict=True))
                        + 2**10 * (sum(w * v for w, v in zip(skip[o], k, strict=True)) + bias[o])
                        for o in range(2)
                    )
                    m = (8 * a + 2**19) // 2**20
                    s = (8 * b + 24 * 2**20 + 2**19) // 2**20
                    tables.append((min(max(m, -1016), 1016), min(max(s, 0), 60)))
                for (y, x), value in zip(sites, coder.call(tables), strict=True):
                    component[number][y][x] = value
    return frame


def read_row(
    name: str, data: bytes, width: int, height: int
) -> tuple[list[list[list[Grid]]], dict[str, np.ndarray[Any, Any]], list[list[float]]]:
    """Frames, weights in f32, and the 14 steps of each frame."""
    given = iter(data)
    first = next(given)
    count, predicted = first % 128, first >= 128
    assert 1 <= count <= (8 if predicted else 64)
    assert 1 <= count <= 64
    codes = [next(given) - 64]
    lengths = []
    for _ in range(count):
        length, shift = 0, 0
        while True:
            byte = next(given)
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
            assert shift < 28
        lengths.append(length)
    rest = bytes(given)
    assert sum(lengths) <= len(rest)
    streams = []
    for length in lengths:
        streams.append(rest[:length])
        rest = rest[length:]
    streams.append(rest)

    coder = Coder(streams[0])
    exponents = dict(zip(arrays(), coder.call([(48, 28)] * 71), strict=True))
    assert all(0 <= one <= 11 for one in exponents.values())
    changed = [key for key, one in exponents.items() if one]
    scales = coder.call([(320, 36)] * len(changed))
    assert all(0 <= scale <= 60 for scale in scales)
    weights = {
        key: start(name)[key] * (2.0**-10 if key.startswith("context") else 2.0**-12)
        for key in arrays()
    }
    for key, scale in zip(changed, scales, strict=True):
        change = coder.call([(0, scale)] * weights[key].size)
        exponent = exponents[key] - 1
        weights[key] = weights[key] + np.reshape(change, weights[key].shape) * 2.0**-exponent
    for difference in coder.call([(0, 30)] * 13):
        codes.append(codes[-1] + difference)
    integers = {
        key: (array * 2**10).astype(int).tolist()
        for key, array in weights.items()
        if key.startswith("context")
    }
    frames, steps = [], []
    for stream in streams[1:]:
        coder = Coder(stream)
        sums = [code + d for code, d in zip(codes, coder.call([(0, 24)] * 14), strict=True)]
        assert all(-128 <= code <= 128 for code in sums)
        steps.append([2 ** (code / 8) for code in sums])
        frames.append(read_frame(integers, coder, width, height))
    for k in range(1, count if predicted else 0):
        for component, before in zip(frames[k], frames[k - 1], strict=True):
            for grid, other in zip(component, before, strict=True):
                for y, x in np.ndindex(len(grid), len(grid[0])):
                    grid[y][x] += other[y][x]
    return frames, {k: w.astype("f4") for k, w in weights.items()}, steps


def finer(z: np.ndarray[Any, Any], k: np.ndarray[Any, Any], axis: int) -> np.ndarray[Any, Any]:
    z = np.moveaxis(z, axis, 0)
    n = len(z)
    at = np.arange(n)

    def near(offset: int) -> np.ndarray[Any, Any]:
        return z[np.clip(at + offset, 0, n - 1)]

    result = np.empty((2 * n, *z.shape[1:]), "f4")
    result[::2] = k[0] * near(-2) + k[2] * near(-1) + k[3] * near(0) + k[1] * near(1)
    result[1::2] = k[1] * near(-1) + k[3] * near(0) + k[2] * near(1) + k[0] * near(2)
    return np.moveaxis(result, 0, axis)


def around(
    z: np.ndarray[Any, Any], kernel: np.ndarray[Any, Any], **pad: Any
) -> np.ndarray[Any, Any]:
    """Cross-correlation of one grid with one kernel."""
    size = len(kernel)
    padded = np.pad(z, size // 2, **pad)
    result = np.zeros(z.shape, "f4")
    for i, j in np.ndindex(size, size):
        result += kernel[i, j] * padded[i : i + z.shape[0], j : j + z.shape[1]]
    return result


def pixels(
    frame: list[list[Grid]], weights: dict[str, np.ndarray[Any, Any]], steps: list[float], out: int
) -> np.ndarray[Any, Any]:
    """uint8 [h, w, out]."""
    features: list[np.ndarray[Any, Any]] = []
    height, width = len(frame[0][0]), len(frame[0][0][0])
    for c, first in enumerate(FIRST):
        d = min(c, 1)
        levels = []
        for level in range(first, 7):
            z = np.array(frame[c][level - first], "f4") * np.float32(steps[7 * d + level])
            k = weights["kernel.sharpen"][d, level]
            u = np.concatenate([k, k[2::-1]])
            z = z + around(z, np.outer(u, u))
            for k_level in range(level - 1, -1, -1):
                k = weights["kernel.up"][d, k_level]
                z = finer(finer(z, k, 0), k, 1)
                z = z[: -(-height // 2**k_level), : -(-width // 2**k_level)]
            levels.append(z)
        features += levels if c == 0 else [np.sum(levels, 0)]
    w = np.stack(features).reshape(9, -1)
    part = {k.removeprefix("synthesis."): v for k, v in weights.items()}
    h = np.maximum(0, part["hidden"] @ w + part["hidden_bias"][:, None])
    v = part["out"] @ h + part["out_bias"][:, None] + part["skip"] @ w
    v = v.reshape(3, height, width)
    for layer in range(2):
        kernel, bias = weights[f"filter.{layer}"], weights[f"filter.{layer}_bias"]
        filtered = np.stack(
            [
                sum(around(v[i], kernel[o, i], mode="edge") for i in range(3)) + bias[o]
                for o in range(3)
            ]
        )
        v = v + (filtered if layer else np.maximum(0, filtered))
    if out == 1:
        v = v.mean(0, keepdims=True)
    return np.clip(np.rint((v + 1) * 127.5), 0, 255).astype(np.uint8).transpose(1, 2, 0)


def test_the_tables_have_their_checksum() -> None:
    crc = 0
    for s in range(61):
        for f in range(-4, 4):
            starts, parts = table(s, f)
            assert starts[-1] + parts[-1] == 2**24
            crc = zlib.crc32(np.array(parts, "<i4").tobytes(), crc)
    assert crc == 0xBA36BBF8


def test_a_start_has_its_arrays_in_order() -> None:
    assert len(arrays()) == 71
    shapes = {key: array.shape for key, array in start("a").items() if key != "steps"}
    assert list(shapes.items()) == list(arrays().items())
    assert all(start("a")[key].dtype == np.int16 for key in arrays())


@pytest.mark.slow
@pytest.mark.parametrize(("size", "n_frames"), [((1, 1), 64), ((13, 6), 2), ((7, 10), 3)])
@pytest.mark.parametrize("predicted", [False, True])
@pytest.mark.parametrize("out", [1, 3])
def test_decoder_written_from_the_spec(
    size: tuple[int, int], n_frames: int, predicted: bool, out: int
) -> None:
    import rinrcodec
    from rinrcodec.families.pyramid.latents import Change, PyramidRow, decode_row, encode_row
    from rinrcodec.pack import Frame, Group, InrRef, Pack, Rows, Spec

    spec = Spec.of("pyramid", out=out, start="a")
    generator = np.random.default_rng(out)
    width, height = size
    n_frames = min(n_frames, 8) if predicted else n_frames
    latents = [
        [
            [
                generator.laplace(0, 1.5, np.shape(grid)).round().clip(-127, 127).astype(np.int32)
                for grid in component
            ]
            for component in blank(width, height)
        ]
        for _ in range(n_frames)
    ]
    changes = {}
    for name, exponent in (
        ("context.00.hidden", 10),
        ("context.02.skip", 9),
        ("context.05.skip", 9),
        ("context.06.out", 8),
        ("context.06.skip", 9),
        ("context.13.bias", 5),
        ("context.20.out", 8),
        ("kernel.up", 10),
        ("synthesis.out_bias", 9),
        ("filter.1", 9),
        ("filter.1_bias", 10),
    ):
        codes = generator.laplace(0, 4, start("a")[name].size).round().clip(-127, 127)
        scale = int(generator.integers(26, 36))
        changes[name] = Change(exponent, scale, codes.astype(np.int32))
    codes = generator.integers(-40, -20, (n_frames, 2, 7), np.int32)
    data = encode_row(spec, PyramidRow(changes, codes, latents, predicted))

    frames, weights, steps = read_row("a", data, width, height)
    expected = decode_row(spec, data, size, range(n_frames), torch.device("cpu"))
    for k, frame in enumerate(frames):
        for component, others in zip(frame, expected.latents, strict=True):
            assert component == [grid[k].int().tolist() for grid in others]
    group = Group(spec, 8, Rows(np.zeros((1, 0), np.int8), np.zeros((1, 0), np.float32), (data,)))
    pack = Pack(
        tuple(
            Frame(
                f"{k}",
                width,
                height,
                InrRef(0, 0),
                mode="L" if out == 1 else "RGB",
                boxes=(),
                objects=(),
                time=float(k),
            )
            for k in range(n_frames)
        ),
        (group,),
    )
    images = rinrcodec.decode(pack, range(n_frames))
    for k, frame in enumerate(frames):
        image = images[k].permute(1, 2, 0)[:, :, :out].numpy()
        expected_pixels = pixels(frame, weights, steps[k], out)
        assert abs(image.astype(int) - expected_pixels).max() <= 1
        assert size == (1, 1) or expected_pixels.std() > 1
