"""The coded rows of the pyramid family: what goes in comes out, and what is damaged is refused."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyramid_weights import SPEC, arithmetic_weights, random_latents
from torch import Tensor

from rinrcodec import latents as rows
from rinrcodec.entropy import N_SCALES
from rinrcodec.errors import RinrFormatError
from rinrcodec.families import pyramid
from rinrcodec.latents import (
    FINEST_CHANGE,
    MOST_FRAMES,
    Change,
    DecodedFrames,
    PyramidRow,
    best_scale,
    changed_weights,
    clip_codes,
    decode_row,
    encode_row,
    step_codes,
    steps_of,
)

CPU = torch.device("cpu")
GROUPS = ("context.hidden", "context.out", "kernel", "synthesis", "filter")
Frame = list[list[NDArray[np.int32]]]


@pytest.fixture(autouse=True)
def start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of these tests' own, so that a better start changes nothing here."""
    monkeypatch.setattr(pyramid, "start_weights", lambda *_: arithmetic_weights())


def frames_of(width: int, height: int, n: int, largest: int, seed: int) -> list[Frame]:
    found = random_latents(width, height, n, largest, seed)
    return [[[g[k].int().numpy() for g in own] for own in found] for k in range(n)]


def change(group: str, exponent: int, seed: int = 0) -> Change:
    weights = arithmetic_weights()
    count = sum(weights[name].numel() for name in pyramid.weight_groups(weights)[group])
    codes = np.random.default_rng(seed).integers(-127, 128, count, np.int32)
    return Change(exponent, best_scale(codes), codes)


def a_row(
    width: int = 9,
    height: int = 6,
    n: int = 1,
    *,
    largest: int = 5,
    seed: int = 0,
    predicted: bool = False,
    changes: Mapping[str, Change] | None = None,
) -> PyramidRow:
    steps = np.random.default_rng(seed).integers(-64, 64, (2, pyramid.LEVELS), np.int32)
    frames = frames_of(width, height, n, largest, seed)
    return PyramidRow(changes or {}, steps, frames, predicted)


def decoded(
    data: bytes, size: tuple[int, int] = (9, 6), frames: tuple[int, ...] = (0,)
) -> DecodedFrames:
    return decode_row(SPEC, data, size, frames, CPU)


def wanted(row: PyramidRow, frame: int) -> list[list[NDArray[np.int32]]]:
    """The latents of a frame, those before it added where they predict it."""
    first = 0 if row.predicted else frame
    return [
        [
            np.sum([row.latents[k][c][level] for k in range(first, frame + 1)], 0)
            for level in range(len(own))
        ]
        for c, own in enumerate(row.latents[frame])
    ]


def check(row: PyramidRow, found: DecodedFrames, frames: tuple[int, ...]) -> None:
    for k, frame in enumerate(frames):
        for own, others in zip(found.latents, wanted(row, frame), strict=True):
            for grid, expected in zip(own, others, strict=True):
                assert np.array_equal(grid[k].numpy(), expected)
    assert torch.equal(found.steps, steps_of(row.step_codes))
    for name, weight in changed_weights(SPEC, row.changes).items():
        assert torch.equal(found.weights[name], weight), name


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    n=st.integers(1, MOST_FRAMES),
    largest=st.sampled_from([0, 1, 6, 127]),
    predicted=st.booleans(),
    seed=st.integers(0, 99),
    exponents=st.dictionaries(st.sampled_from(GROUPS), st.integers(0, FINEST_CHANGE)),
    data=st.data(),
)
def test_rows_come_back(
    size: tuple[int, int],
    n: int,
    largest: int,
    predicted: bool,
    seed: int,
    exponents: dict[str, int],
    data: st.DataObject,
) -> None:
    changes = {group: change(group, exponent, seed) for group, exponent in exponents.items()}
    row = a_row(*size, n, largest=largest, seed=seed, predicted=predicted, changes=changes)
    frames = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=4).map(tuple))
    check(row, decoded(encode_row(SPEC, row), size, frames), frames)


def test_the_largest_latents_and_changes_come_back() -> None:
    full = {group: change(group, 0) for group in GROUPS}
    for sign in (-127, 127):
        changes = {g: Change(0, 60, np.full_like(c.codes, sign)) for g, c in full.items()}
        frames = frames_of(7, 5, MOST_FRAMES, 0, 0)
        for grid in (grid for frame in frames for own in frame for grid in own):
            grid[:] = sign
        steps = np.full((2, pyramid.LEVELS), -64, np.int32)
        steps[:, ::2] = 63
        row = PyramidRow(changes, steps, frames, predicted=True)
        found = decoded(encode_row(SPEC, row), (7, 5), (7,))
        check(row, found, (7,))
        assert float(found.latents[0][0].abs().max()) == 8 * 127


def test_a_frame_is_the_same_whatever_is_decoded_with_it() -> None:
    for predicted in (False, True):
        data = encode_row(SPEC, a_row(n=4, predicted=predicted))
        together = decoded(data, frames=(3, 0, 2, 2, 1))
        for k, frame in enumerate((3, 0, 2, 2, 1)):
            alone = decoded(data, frames=(frame,))
            for own, others in zip(together.latents, alone.latents, strict=True):
                assert all(torch.equal(a[k], b[0]) for a, b in zip(own, others, strict=True))


def test_frames_that_predict_none_are_not_needed() -> None:
    """A frame is read without the streams of others, which may be damaged."""
    row = a_row(n=3)
    data = encode_row(SPEC, row)
    middle = rows._encode_frame(
        {k: w.double() for k, w in arithmetic_weights().items()}, row.latents[1]
    )
    at = data.index(middle)
    damaged = data[:at] + bytes(255 - byte for byte in middle) + data[at + len(middle) :]
    check(row, decoded(damaged, frames=(0, 2)), (0, 2))


def test_what_is_told_the_networks_of_a_predicted_frame_are_its_differences() -> None:
    """Two frames whose differences are the same have the same stream, wherever they start."""
    one, other = a_row(n=2, predicted=True), a_row(n=2, predicted=True, seed=3)
    mixed = PyramidRow({}, one.step_codes, [other.latents[0], one.latents[1]], True)
    ends = [encode_row(SPEC, row)[-20:] for row in (one, mixed)]
    assert ends[0] == ends[1]


def test_fewer_bytes_where_networks_know_more() -> None:
    """Grids of zeros under networks that expect noise, and under those that expect zeros."""
    calm = arithmetic_weights()
    for name, weight in calm.items():
        if name.startswith("context"):
            weight.zero_()
        if name.endswith("bias") and name.startswith("context"):
            weight[1] = -3.0
    codes = {name: (calm[name] - w) * 1024 for name, w in arithmetic_weights().items()}
    changes = {}
    for group in ("context.hidden", "context.out"):
        names = pyramid.weight_groups(calm)[group]
        wanted = torch.cat([codes[name].flatten() for name in names]) / 2**5
        changes[group] = Change(5, 40, clip_codes(wanted))
    noisy = encode_row(SPEC, a_row(64, 64, largest=0))
    quiet = encode_row(SPEC, a_row(64, 64, largest=0, changes=changes))
    without = encode_row(SPEC, a_row(1, 1, largest=0, changes=changes))
    assert len(quiet) - len(without) < len(noisy) / 4


# Made once, by `encode_row`, with the networks of `pyramid_weights`. A change here is a new format.
GOLDEN = [
    (
        "plain",
        "01ffffffffff2c0bf6210ed8b892145893b131003c4c60d7a696b743d609b78b300de4b7ac176c6e"
        "1e6f9820952e2c8389d73fc82e7e4c6bdf23c16d4cc14902fb1c289da49ece6b9cf3c878f581b119"
        "32c65bbbe771350f4bc16d517e4020ede38a65741557ae6b84b694603b6efd3557a0bb60837a498b"
        "a4881fc516cbdaf95d9fa74df27326049050409b9b78e6d33e8694c9f918773022972f721d32",
        0x7F70B098,
    ),
    (
        "predicted",
        "83ff02060207ff020a2c6a4337ffb86428c29054bc972fa3a4d75ff0a3727f2b40336e8b43e416c1"
        "da983453074eb98e49fadd7bb180d76166511597f33957e85f94e8912f7be6961c0c7df21132a641"
        "2a7873e5a206a6e8ccd5157a7a28596dfacdef13248fdb9424f3f8e3ea73bf03054657abc2db8100"
        "3c4c60d7a696b743d609b78b300de4b7ac176bef892f3e459ab39c6dc035a421fcaffa49ef0cfb57"
        "9e0cb6fcfc74629800cff9592bd3f22896da0e37d3c0f485ae16bae32752df2c94c60cf7965190e8"
        "24d285863bef726498085581dc8105d25005d25005d84005c67005cd263b245b89f5e3b05d0fc1bc"
        "a7ffb57d5e0067759bb28991bee85ddc7d8d7374f12760e90613595bf01423ac486f64df86de16ae"
        "0d7a16ff97f230dec37b56a609af578437bfb8c73dbc63f27c4bbe3f3f314a39f584767434f78fb6"
        "f792fbc78dcd49c8f7",
        0x59C4D579,
    ),
]


def golden_row(name: str) -> tuple[PyramidRow, tuple[int, int]]:
    """Rows made by plain arithmetic."""
    n = 1 if name == "plain" else 3
    size = (7, 5) if name == "plain" else (5, 3)
    frames: list[Frame] = []
    for k in range(n):
        frames.append(
            [
                [
                    ((np.arange(h * w).reshape(h, w) * 7 + 5 * k + c) % 11 - 5).astype(np.int32)
                    for h, w in sizes
                ]
                for c, sizes in enumerate(pyramid.grid_sizes(*size))
            ]
        )
    steps = (np.arange(14).reshape(2, 7) * 5 % 13 - 20).astype(np.int32)
    changes = {}
    if name != "plain":
        for group, exponent in (("context.out", 6), ("kernel", 7), ("filter", 10)):
            count = len(change(group, 0).codes)
            codes = np.where(np.arange(count) % 37 == 5, np.arange(count) % 7 - 3, 0)
            changes[group] = Change(exponent, 2, codes.astype(np.int32))
    return PyramidRow(changes, steps, frames, name == "predicted"), size


def checksum(found: DecodedFrames) -> int:
    crc = 0
    for grid in (grid for own in found.latents for grid in own):
        crc = zlib.crc32(grid.numpy().astype("<i2").tobytes(), crc)
    return crc


@pytest.mark.parametrize(("name", "data", "crc"), GOLDEN)
def test_the_bits_of_rows_do_not_drift(name: str, data: str, crc: int) -> None:
    row, size = golden_row(name)
    assert encode_row(SPEC, row).hex() == data
    frames = tuple(range(len(row.latents)))
    found = decoded(bytes.fromhex(data), size, frames)
    check(row, found, frames)
    assert checksum(found) == crc


def lengths_of(n: int) -> bytes:
    return bytes([n]) + b"\xff" * len(GROUPS) + b"\x40"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends too early"),
        (b"\x00" + b"\xff" * 99, "has 0 frames: want 1 to 8"),
        (b"\x80" + b"\xff" * 99, "has 0 frames"),
        (b"\x09" + b"\xff" * 99, "has 9 frames"),
        (b"\x7f" + b"\xff" * 99, "has 127 frames"),
        (b"\x01", "ends too early"),
        (b"\x01\x10", "ends too early"),
        (b"\x01" + bytes([N_SCALES, 3]) + b"\xff" * 99, "scale 61 and exponent 3"),
        (b"\x01" + bytes([3, FINEST_CHANGE + 1]) + b"\xff" * 99, "scale 3 and exponent 11"),
        (b"\x01\xff\xff\xff\xff\xff", "ends too early"),
        (lengths_of(1), "ends too early"),
        (lengths_of(1) + b"\x01", "ends too early"),
        (lengths_of(1) + b"\x80", "ends too early"),
        (lengths_of(1) + b"\xff\xff\xff\x7f", "ends too early"),
        (lengths_of(1) + b"\xff\xff\xff\xff\x00", "a length of over 28 bits"),
        (lengths_of(1) + b"\x80" * 1000, "a length of over 28 bits"),
        (lengths_of(8) + b"\xff\xff\xff\x7f" * 8 + b"\0" * 99, "ends too early"),
    ],
)
def test_rows_that_are_none(data: bytes, message: str) -> None:
    with pytest.raises(RinrFormatError, match=message):
        decoded(data)


@pytest.mark.parametrize(("code", "message"), [(63, "191 to 191"), (-64, "-191 to -64")])
def test_steps_that_are_none(code: int, message: str) -> None:
    row = a_row()
    row.step_codes[:] = code
    if code < 0:
        row.step_codes[1, 3:] = 63
    data = bytearray(encode_row(SPEC, row))
    at = 1 + len(GROUPS)
    assert data[at] == code + 64
    if code > 0:
        data[at] = 0xFF
    else:
        mirrored = PyramidRow(row.changes, ~row.step_codes, row.latents)
        data = bytearray(encode_row(SPEC, mirrored))
        data[at] = 0
    with pytest.raises(RinrFormatError, match=f"steps of a pyramid with codes from {message}"):
        decoded(bytes(data))


@pytest.mark.parametrize("frames", [(1,), (-1,), (0, 5)])
def test_frames_that_a_row_lacks(frames: tuple[int, ...]) -> None:
    data = encode_row(SPEC, a_row())
    with pytest.raises(RinrFormatError, match=r"frames \[.*\] of a pyramid row that has 1"):
        decoded(data, frames=frames)


def survives(data: bytes, size: tuple[int, int] = (9, 6), frames: tuple[int, ...] = (0,)) -> bool:
    """Whether damaged bytes decode; they must then give what synthesis takes, else one error."""
    try:
        found = decoded(data, size, frames)
    except RinrFormatError:
        return False
    for own, sizes in zip(found.latents, pyramid.grid_sizes(*size), strict=True):
        for grid, shape in zip(own, sizes, strict=True):
            assert grid.shape == (len(frames), *shape)
            assert float(grid.abs().max()) <= 127 * MOST_FRAMES
    assert torch.isfinite(found.steps).all()
    return True


def test_a_row_cut_anywhere_is_refused_or_decodes() -> None:
    changes = {"filter": change("filter", 6), "context.out": change("context.out", 9)}
    data = encode_row(SPEC, a_row(n=3, predicted=True, changes=changes))
    found = [survives(data[:end], frames=(2, 0)) for end in range(0, len(data), 7)]
    assert not found[0]
    assert not all(found)


def test_changed_bytes_are_refused_or_decode() -> None:
    changes = {"filter": change("filter", 6)}
    data = encode_row(SPEC, a_row(n=2, predicted=True, changes=changes))
    for at in [*range(24), *range(24, len(data), 23)]:
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[at] ^= flip
            survives(bytes(damaged), frames=(1,))


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200), st.integers(0, 7), st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_noise_is_refused_or_decodes(noise: bytes, frame: int, size: tuple[int, int]) -> None:
    survives(noise, size, (frame,))
    survives(lengths_of(1) + b"\x02" + noise, size)
    survives(lengths_of(0x88) + b"\x02" * 8 + noise, size, (frame, 0))


def test_bytes_after_the_last_stream_are_ignored() -> None:
    """The stream of the last frame has no length, and a decoder takes what it needs of it."""
    row = a_row()
    data = encode_row(SPEC, row)
    assert survives(data + b"\0" * 5)
    check(row, decoded(data + b"\0" * 5), (0,))


def test_a_row_of_another_size_is_refused_or_decodes() -> None:
    data = encode_row(SPEC, a_row())
    for size in ((1, 1), (3, 40), (64, 64)):
        survives(data, size)


def test_huge_lengths_take_no_memory() -> None:
    data = lengths_of(8) + b"\xff\xff\xff\x7f" * 8 + b"\0" * 99
    tracemalloc.start()
    try:
        assert not survives(data)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_codes_of_steps_are_the_nearest() -> None:
    codes = np.arange(-64, 64, dtype=np.int32)
    assert np.array_equal(step_codes(steps_of(codes).log()), codes)
    assert step_codes(torch.tensor([-99.0, 99.0])).tolist() == [-64, 63]
    assert steps_of(np.array([-8, 0, 4], np.int32)).tolist() == [0.5, 1.0, np.float32(2**0.5)]


def test_changes_add_to_the_start_exactly() -> None:
    own = {group: change(group, FINEST_CHANGE) for group in GROUPS}
    found, before = changed_weights(SPEC, own), arithmetic_weights()
    for group, names in pyramid.weight_groups(before).items():
        moved = torch.cat([(found[name] - before[name]).flatten() for name in names])
        assert torch.equal(moved * 2**FINEST_CHANGE, torch.from_numpy(own[group].codes).float())
    context = [found[name] / pyramid.CONTEXT_UNIT for name in found if name.startswith("context")]
    assert all(torch.equal(units, units.round()) for units in context)


def test_codes_are_clipped_to_what_can_be_coded() -> None:
    found = clip_codes(torch.tensor([-500.0, -0.5, 0.6, 1.5, 127.4, 900.0]))
    assert found.tolist() == [-127, 0, 1, 2, 127, 127]
    assert found.dtype == np.int32


def test_the_best_scale_costs_little_more_than_the_cheapest() -> None:
    from rinrcodec.entropy import bits

    for spread in (0.05, 0.4, 3, 40):
        codes = np.random.default_rng(1).laplace(0, spread, 4000).round().clip(-127, 127)
        codes = codes.astype(np.int32)
        nothing = np.zeros_like(codes)
        costs = [bits(codes, nothing, nothing + k).sum() for k in range(N_SCALES)]
        assert costs[best_scale(codes)] < 1.05 * min(costs)
    assert best_scale(np.zeros(4, np.int32)) == 0


def test_decoding_keeps_the_start_as_it_is() -> None:
    before = {name: weight.clone() for name, weight in arithmetic_weights().items()}
    decoded(encode_row(SPEC, a_row(changes={"filter": change("filter", 6)})))
    after: Mapping[str, Tensor] = pyramid.start_weights(SPEC)
    assert all(torch.equal(before[name], after[name]) for name in before)
