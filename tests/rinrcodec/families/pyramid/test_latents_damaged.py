"""Coded rows of the pyramid family that are damaged or false: refused, or decoded to something."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyramid_rows import NAMES, a_row, change, check, decoded
from pyramid_weights import SPEC, arithmetic_weights, exact, random_latents

from rinrcodec.errors import RinrFormatError
from rinrcodec.families.pyramid import latents as latents_module
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.entropy import N_SCALES, LatentEncoder
from rinrcodec.families.pyramid.latents import (
    FINEST_CHANGE,
    Change,
    PyramidRow,
    encode_row,
    step_codes,
)
from rinrcodec.families.pyramid.limits import MOST_PREDICTED


@pytest.fixture(autouse=True)
def start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of these tests' own, so that a better start changes nothing here."""
    monkeypatch.setattr(pyramid, "start_weights", lambda *_: arithmetic_weights())


def head_of(n: int) -> bytes:
    """What comes before the lengths of streams."""
    return bytes([n, 0x40])


def built(
    exponents: dict[str, int] | None = None,
    scales: dict[str, int] | None = None,
    first: int = 0,
    differences: NDArray[np.int32] | None = None,
    of_frame: NDArray[np.int32] | None = None,
) -> bytes:
    """A row of a frame of one pixel, field by field: latents and changes are zeros.

    exponents, scales: of tensors with a change; first, differences: codes of the row's steps;
    of_frame: by how much those of the frame are more.
    """
    exponents, scales = exponents or {}, scales or {}
    weights = LatentEncoder()

    def put(values: NDArray[np.int32], mean: int, scale: int) -> None:
        weights.put(values, np.full_like(values, 8 * mean), np.full_like(values, scale))

    put(np.array([exponents.get(name, -1) + 1 for name in NAMES], np.int32), 6, 28)
    changed = [name for name in NAMES if name in exponents]
    put(np.array([scales.get(name, 20) for name in changed], np.int32), 40, 36)
    for name in changed:
        codes = np.zeros(arithmetic_weights()[name].numel(), np.int32)
        if 0 <= scales.get(name, 20) < N_SCALES:
            put(codes, 0, scales.get(name, 20))
    n_steps = 2 * pyramid.LEVELS
    put(np.zeros(n_steps - 1, np.int32) if differences is None else differences, 0, 30)
    frame = LatentEncoder()
    steps = np.zeros(n_steps, np.int32) if of_frame is None else of_frame
    frame.put(steps, np.zeros_like(steps), np.full_like(steps, 24))

    def put_latents(
        values: NDArray[np.int32], means: NDArray[np.int32], tables: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        frame.put(values, means, tables)
        return values

    nothing = random_latents(1, 1, largest=0)
    latents_module.code_latents(exact(arithmetic_weights()), nothing, put_latents)
    streams = [weights.bytes(), frame.bytes()]
    return bytes([1, first + 64]) + latents_module._variable(len(streams[0])) + b"".join(streams)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends too early"),
        (b"\x00" + b"\xff" * 99, "has 0 frames: expected 1 to 64"),
        (b"\x80" + b"\xff" * 99, "has 0 predicted frames: expected 1 to 8"),
        (b"\x41" + b"\xff" * 99, "has 65 frames"),
        (b"\x89" + b"\xff" * 99, "has 9 predicted frames: expected 1 to 8"),
        (b"\xc0" + b"\xff" * 99, "has 64 predicted frames"),
        (b"\x7f" + b"\xff" * 99, "has 127 frames"),
        (b"\x01", "ends too early"),
        (head_of(1), "ends too early"),
        (head_of(1) + b"\x01", "ends too early"),
        (head_of(1) + b"\x80", "ends too early"),
        (head_of(1) + b"\xff\xff\xff\x7f", "ends too early"),
        (head_of(1) + b"\xff\xff\xff\xff\x00", "a length of over 28 bits"),
        (head_of(1) + b"\x80" * 1000, "a length of over 28 bits"),
        (head_of(64) + b"\x00" * 63, "ends too early"),
        (head_of(64) + b"\xff\xff\xff\x7f" * 64 + b"\0" * 99, "ends too early"),
    ],
)
def test_malformed_rows_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(RinrFormatError, match=message):
        decoded(data)


def test_rows_that_are_built_field_by_field_are_those_of_the_encoder() -> None:
    """The tests below rely on this: without their false fields, their rows are valid."""
    exponents = {"kernel.up": 10, "context.00.bias": 0, "filter.1_bias": 5}
    scales = {"kernel.up": 60, "context.00.bias": 0}
    data = built(exponents, scales, 7, np.arange(-6, 7, dtype=np.int32))
    frames = decoded(data, (1, 1))
    row = PyramidRow(
        {
            name: Change(k, scales.get(name, 20), np.zeros_like(change(name, 0).codes))
            for name, k in exponents.items()
        },
        step_codes(frames.steps.log()),
        [[[grid[0].int().numpy() for grid in component] for component in frames.latents]],
    )
    assert row.step_codes.flatten().tolist() == [7, *(7 + np.arange(-6, 7).cumsum())]
    check(row, frames, (0,))
    assert encode_row(SPEC, row) == data


@pytest.mark.parametrize("name", [NAMES[0], "kernel.up", NAMES[-1]])
def test_malformed_changes_are_refused(name: str) -> None:
    for exponent, message in (
        (FINEST_CHANGE + 1, f"exponents from -1 to {FINEST_CHANGE + 1}: expected -1 to 10"),
        (126, "exponents from -1 to 126"),
        (-2, "exponents from -2 to -1"),
        (-128, "exponents from -128 to -1"),
    ):
        with pytest.raises(RinrFormatError, match=f"weights of a pyramid with {message}"):
            decoded(built({name: exponent}), (1, 1))
    for scale in (-1, N_SCALES, -127, 127):
        with pytest.raises(
            RinrFormatError, match=f"with scale {scale}: expected 0 to {N_SCALES - 1}"
        ):
            decoded(built({name: 3}, {name: scale}), (1, 1))


@pytest.mark.parametrize(
    ("first", "difference", "of_frame", "message"),
    [
        (191, 0, 0, "191 to 191: expected -128 to 128"),
        (-64, -5, 0, "-129 to -64"),
        (64, 5, 0, "64 to 129"),
        (63, 0, 66, "129 to 129"),
        (-64, 0, -65, "-129 to -129"),
        (191, 127, 127, "318 to 1969"),
        (-64, -127, -127, "-1842 to -191"),
    ],
)
def test_steps_out_of_range_are_refused(
    first: int, difference: int, of_frame: int, message: str
) -> None:
    n = 2 * pyramid.LEVELS
    data = built(
        first=first,
        differences=np.full(n - 1, difference, np.int32),
        of_frame=np.full(n, of_frame, np.int32),
    )
    with pytest.raises(RinrFormatError, match=f"steps of a pyramid with codes from {message}"):
        decoded(data, (1, 1))


def test_the_farthest_steps_decode() -> None:
    n = 2 * pyramid.LEVELS
    for first, of_frame in ((128, 0), (63, 65), (-64, -64), (191, -63)):
        frames = decoded(built(first=first, of_frame=np.full(n, of_frame, np.int32)), (1, 1))
        assert frames.steps.unique().tolist() == [2.0 ** ((first + of_frame) / 8)]


@pytest.mark.parametrize("frames", [(1,), (-1,), (0, 5)])
def test_frames_that_a_row_lacks(frames: tuple[int, ...]) -> None:
    data = encode_row(SPEC, a_row())
    with pytest.raises(RinrFormatError, match=r"frames \[.*\] of a pyramid row that has 1"):
        decoded(data, frames=frames)


def survives(data: bytes, size: tuple[int, int] = (9, 6), frames: tuple[int, ...] = (0,)) -> bool:
    """Whether damaged bytes decode; they must then give what synthesis takes, else one error."""
    try:
        decoded_frames = decoded(data, size, frames)
    except RinrFormatError:
        return False
    for component, sizes in zip(decoded_frames.latents, pyramid.grid_sizes(*size), strict=True):
        for grid, shape in zip(component, sizes, strict=True):
            assert grid.shape == (len(frames), *shape)
            assert float(grid.abs().max()) <= 127 * MOST_PREDICTED
    assert torch.isfinite(decoded_frames.steps).all()
    return True


def test_a_row_cut_anywhere_is_refused_or_decodes() -> None:
    changes = {name: change(name, 6) for name in ("filter.0", "context.06.out", "kernel.up")}
    data = encode_row(SPEC, a_row(n=3, predicted=True, changes=changes))
    survivals = [survives(data[:end], frames=(2, 0)) for end in range(0, len(data), 17)]
    assert not survivals[0]
    assert not all(survivals)


@pytest.mark.slow
def test_changed_bytes_are_refused_or_decode() -> None:
    changes = {"filter.0": change("filter.0", 6)}
    data = encode_row(SPEC, a_row(n=2, predicted=True, changes=changes))
    for at in [*range(24), *range(24, len(data), 61)]:
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[at] ^= flip
            survives(bytes(damaged), frames=(1,))


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=200), st.integers(0, 7), st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_noise_is_refused_or_decodes(noise: bytes, frame: int, size: tuple[int, int]) -> None:
    survives(noise, size, (frame,))
    survives(head_of(1) + b"\x02" + noise, size)
    survives(head_of(0x88) + b"\x02" * 8 + noise, size, (frame, 0))
    whole = built()  # of one pixel: it has networks and steps, and noise for latents
    survives(whole[: 3 + whole[2]] + noise, size)


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
    data = head_of(64) + b"\xff\xff\xff\x7f" * 64 + b"\0" * 99
    tracemalloc.start()
    try:
        assert not survives(data)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
