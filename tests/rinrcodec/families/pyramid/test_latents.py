"""The coded rows of the pyramid family: what goes in comes out."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyramid_rows import NAMES, Frame, a_row, change, check, decoded, frames_of
from pyramid_weights import SPEC, arithmetic_weights, exact
from torch import Tensor

from rinrcodec.errors import RinrInputError
from rinrcodec.families.pyramid import latents as latents_module
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.entropy import N_SCALES, bits
from rinrcodec.families.pyramid.latents import (
    FINEST_CHANGE,
    Change,
    DecodedFrames,
    PyramidRow,
    best_scale,
    changed,
    changed_weights,
    clip_codes,
    encode_row,
    step_codes,
    steps_of,
)
from rinrcodec.families.pyramid.limits import MOST_FRAMES, MOST_PREDICTED


@pytest.fixture(autouse=True)
def start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of these tests' own, so that a better start changes nothing here."""
    monkeypatch.setattr(pyramid, "start_weights", lambda *_: arithmetic_weights())


@pytest.mark.slow
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    n=st.integers(1, MOST_PREDICTED),
    largest=st.sampled_from([0, 1, 6, 127]),
    predicted=st.booleans(),
    seed=st.integers(0, 99),
    exponents=st.dictionaries(st.sampled_from(NAMES), st.integers(0, FINEST_CHANGE)),
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
    changes = {name: change(name, exponent, seed) for name, exponent in exponents.items()}
    row = a_row(*size, n, largest=largest, seed=seed, predicted=predicted, changes=changes)
    frames = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=4).map(tuple))
    check(row, decoded(encode_row(SPEC, row), size, frames), frames)


@pytest.mark.parametrize("predicted", [False, True])
def test_rows_of_the_most_frames_come_back(predicted: bool) -> None:
    most = MOST_PREDICTED if predicted else MOST_FRAMES
    row = a_row(3, 2, most, predicted=predicted)
    data = encode_row(SPEC, row)
    frames = (0, most - 1, most // 2)
    check(row, decoded(data, (3, 2), frames), frames)


@pytest.mark.parametrize(("predicted", "most"), [(False, 64), (True, 8)])
def test_rows_of_no_or_more_frames_are_refused(predicted: bool, most: int) -> None:
    for n in (0, most + 1):
        with pytest.raises(RinrInputError, match=f"a row of {n} frames: expected 1 to {most}"):
            encode_row(SPEC, a_row(1, 1, n, predicted=predicted))


def test_the_largest_latents_and_changes_come_back() -> None:
    full = {name: change(name, 0) for name in NAMES}
    for sign in (-127, 127):
        changes = {g: Change(0, 60, np.full_like(c.codes, sign)) for g, c in full.items()}
        frames = frames_of(7, 5, 8, 0, 0)
        for grid in (grid for frame in frames for component in frame for grid in component):
            grid[:] = sign
        steps = np.full((8, 2, pyramid.LEVELS), -64, np.int32)
        steps[:, :, ::2] = 63
        row = PyramidRow(changes, steps, frames, predicted=True)
        frames_decoded = decoded(encode_row(SPEC, row), (7, 5), (7,))
        check(row, frames_decoded, (7,))
        assert float(frames_decoded.latents[0][0].abs().max()) == 8 * 127


@pytest.mark.parametrize("codes", [(-64, 63), (63, -64), (-64, -63), (63, 63, 62)])
def test_frames_have_steps_of_their_own(codes: tuple[int, ...]) -> None:
    """Codes of steps have their largest differences, at both ends of their range."""
    n = len(codes)
    row = a_row(n=n)
    row.step_codes[:] = np.array(codes)[:, None, None]
    row.step_codes[:, 1] = row.step_codes[::-1, 1]
    data = encode_row(SPEC, row)
    for frames in (tuple(range(n)), (n - 1, 0, n - 1), (1,)):
        decoded_frames = decoded(data, frames=frames)
        check(row, decoded_frames, frames)
        assert decoded_frames.steps.shape == (len(frames), 2, pyramid.LEVELS)


def test_steps_that_frames_share_cost_nearly_nothing() -> None:
    """A frame of zeros, for which a network knows them, with its own steps and with others'."""
    sizes = []
    for spread in (0, 20):
        row = a_row(1, 1, 8, largest=0, changes=calm())
        offsets = np.random.default_rng(0).integers(-spread, spread + 1, row.step_codes.shape)
        row.step_codes[:] = offsets
        sizes.append(len(encode_row(SPEC, row)))
    assert sizes[0] + 8 * 5 < sizes[1]
    alone = len(encode_row(SPEC, a_row(1, 1, 1, largest=0, changes=calm())))
    assert (sizes[0] - alone) / 7 < 6


def test_a_frame_does_not_depend_on_the_other_decoded_frames() -> None:
    for predicted in (False, True):
        data = encode_row(SPEC, a_row(n=4, predicted=predicted))
        together = decoded(data, frames=(3, 0, 2, 2, 1))
        for k, frame in enumerate((3, 0, 2, 2, 1)):
            alone = decoded(data, frames=(frame,))
            for component, others in zip(together.latents, alone.latents, strict=True):
                assert all(torch.equal(a[k], b[0]) for a, b in zip(component, others, strict=True))


def test_streams_of_unneeded_frames_are_not_read() -> None:
    """A frame is read without the streams of others, which may be damaged."""
    row = a_row(n=3)
    data = encode_row(SPEC, row)
    mean = row.step_codes.mean(0).round().astype(np.int32)
    weights = exact(arithmetic_weights())
    middle = latents_module._encode_frame(weights, row.latents[1], row.step_codes[1] - mean)
    at = data.index(middle)
    damaged = data[:at] + bytes(255 - byte for byte in middle) + data[at + len(middle) :]
    check(row, decoded(damaged, frames=(0, 2)), (0, 2))


def test_networks_of_predicted_frames_see_differences() -> None:
    """Two frames whose differences are the same have the same stream, wherever they start."""
    one, other = a_row(n=2, predicted=True), a_row(n=2, predicted=True, seed=3)
    mixed = PyramidRow({}, one.step_codes, [other.latents[0], one.latents[1]], True)
    ends = [encode_row(SPEC, row)[-20:] for row in (one, mixed)]
    assert ends[0] == ends[1]


def calm() -> dict[str, Change]:
    """Changes by which networks expect zeros, where those of `arithmetic_weights` expect noise."""
    changes = {}
    for name, weight in arithmetic_weights().items():
        if name.startswith("context"):
            wanted = torch.zeros_like(weight)
            if name.endswith("bias"):
                wanted[1] = -3.0
            codes = clip_codes((wanted - weight).flatten() * 1024 / 2**5)
            changes[name] = Change(5, 40, codes)
    return changes


def test_fewer_bytes_where_networks_know_more() -> None:
    noisy = encode_row(SPEC, a_row(64, 64, largest=0))
    quiet = encode_row(SPEC, a_row(64, 64, largest=0, changes=calm()))
    without = encode_row(SPEC, a_row(1, 1, largest=0, changes=calm()))
    assert len(quiet) - len(without) < len(noisy) / 4


def test_a_change_costs_what_its_own_tensor_takes() -> None:
    """The rest is a byte or so for its exponent and its scale."""
    sizes = {}
    for name in ("filter.1_bias", "filter.1", "synthesis.hidden", "context.06.hidden"):
        codes = change(name, 6).codes
        row = a_row(1, 1, changes={name: Change(6, 52, codes)})
        nothing = np.zeros_like(codes)
        taken = float(bits(codes, nothing, nothing + 52).sum()) / 8
        more = len(encode_row(SPEC, row)) - len(encode_row(SPEC, a_row(1, 1)))
        sizes[name] = more - taken
    assert all(0 < size < 6 for size in sizes.values()), sizes


# Made once, by `encode_row`, with the networks of `pyramid_weights`. A change here is a new format.
GOLDEN = [
    (
        "plain",
        "012c480281dc642db6b39821b96b655143edcbad385e6d571ca94286ec670a192af2fb3b60ab6844"
        "e41be0ddb737870ca42d89966c775cab1c8b3e366652be2cce1ddf59183ff2307b638a7fffee28d2"
        "cbda9a50db8e3e905270449e122b520ded7014fd249db6d6d866924c883eb569f1b564822e8e7b28"
        "95b6a7b5e2683f7f8cd6f5fed2ff04b72afd9eefe91ca67a62690352badc52e82d1ab4c1a5ef85de"
        "2b74fd45de3b77308c64aca6200e9d29c392e97b53045eeb081bdcb6cb4234fb8c59fb8c59fba728"
        "56",
        0x7F70B098,
    ),
    (
        "predicted",
        "8331860144460281dc642db6b39821b96b655143edcbad385e6d5758343e43f7e88d284004a1f0d5"
        "c5e861874e996163cc9f5bedef752a350d6e8e48c6a34507f6a8176e9eb505886e19c54e3ff99796"
        "edb45c5e6dc591247a045797f307170a4ae7cfabe846d6c063b3d440da802cdb6a3ab543659e7a18"
        "a2d7b33c67c3b2a879863c87e32790a5a60a8f2900cc002d5a498ca8350448d25d5150a7a1bf0119"
        "6ccf5813d81298954b3165f537a4312d588e5ecccb9f6af075f84716dd44fd12067ed6709cabe0f0"
        "d7467cb7affefb75b0da1a5e8353eaa5a98a876e85ea477cfdb1fc1c708d546ff6e184b0da57c3b5"
        "f4d1080b0192cfc5b01586d9d6f535b2ddd18232fa51e105c05e29fbdb8d212fadb3e276d2c0fe96"
        "3eeedb741c589e2fc6c1f9dc2c98fa2afb4db9ad3fe4f9407bb99e242a09dd0d4418ab089deed5d8"
        "515847f0932a442dca1bb25cac44c3f4398e0f569b80fb5de8deb16443e9d1b60fd8ebe4893f7f7c"
        "fe67850eec",
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
    steps = (np.arange(14 * n).reshape(n, 2, 7) * 5 % 13 - 20).astype(np.int32)
    changes = {}
    if name != "plain":
        for name_of, exponent in (
            ("context.06.hidden", 3),
            ("context.10.bias", 6),
            ("context.23.skip", 0),
            ("kernel.up", 7),
            ("filter.1", 10),
        ):
            count = len(change(name_of, 0).codes)
            codes = np.where(np.arange(count) % 37 == 1, np.arange(count) % 7 - 3, 0)
            changes[name_of] = Change(exponent, 2 + exponent, codes.astype(np.int32))
    return PyramidRow(changes, steps, frames, name == "predicted"), size


def checksum(frames: DecodedFrames) -> int:
    crc = 0
    for grid in (grid for component in frames.latents for grid in component):
        crc = zlib.crc32(grid.numpy().astype("<i2").tobytes(), crc)
    return crc


@pytest.mark.parametrize(("name", "data", "crc"), GOLDEN)
def test_the_bits_of_rows_do_not_drift(name: str, data: str, crc: int) -> None:
    row, size = golden_row(name)
    assert encode_row(SPEC, row).hex() == data
    frames = tuple(range(len(row.latents)))
    decoded_frames = decoded(bytes.fromhex(data), size, frames)
    check(row, decoded_frames, frames)
    assert checksum(decoded_frames) == crc


def test_codes_of_steps_are_the_nearest() -> None:
    codes = np.arange(-64, 64, dtype=np.int32)
    assert np.array_equal(step_codes(steps_of(codes).log()), codes)
    assert step_codes(torch.tensor([-99.0, 99.0])).tolist() == [-64, 63]
    assert steps_of(np.array([-8, 0, 4], np.int32)).tolist() == [0.5, 1.0, np.float32(2**0.5)]


def test_changes_add_to_the_start_exactly() -> None:
    changes = {name: change(name, FINEST_CHANGE, seed) for seed, name in enumerate(NAMES)}
    weights, before = changed_weights(SPEC, changes), arithmetic_weights()
    for name in NAMES:
        moved = (weights[name] - before[name]).flatten()
        assert torch.equal(moved * 2**FINEST_CHANGE, torch.from_numpy(changes[name].codes).float())
        assert torch.equal(changed(before[name], changes[name]), weights[name])
        assert changed(before[name], None) is before[name]
    context = [
        weights[name] / pyramid.CONTEXT_UNIT for name in weights if name.startswith("context")
    ]
    assert all(torch.equal(units, units.round()) for units in context)


def test_a_change_of_one_tensor_leaves_all_others() -> None:
    before = arithmetic_weights()
    for name in NAMES:
        weights = changed_weights(SPEC, {name: change(name, 2)})
        assert [k for k in NAMES if not torch.equal(weights[k], before[k])] == [name]


def test_codes_are_clipped_to_what_can_be_coded() -> None:
    codes = clip_codes(torch.tensor([-500.0, -0.5, 0.6, 1.5, 127.4, 900.0]))
    assert codes.tolist() == [-127, 0, 1, 2, 127, 127]
    assert codes.dtype == np.int32


def test_the_best_scale_costs_little_more_than_the_cheapest() -> None:
    for spread in (0.05, 0.4, 3, 40):
        codes = np.random.default_rng(1).laplace(0, spread, 4000).round().clip(-127, 127)
        codes = codes.astype(np.int32)
        nothing = np.zeros_like(codes)
        costs = [bits(codes, nothing, nothing + k).sum() for k in range(N_SCALES)]
        assert costs[best_scale(codes)] < 1.05 * min(costs)
    assert best_scale(np.zeros(4, np.int32)) == 0


def test_decoding_keeps_the_start_as_it_is() -> None:
    before = {name: weight.clone() for name, weight in arithmetic_weights().items()}
    decoded(encode_row(SPEC, a_row(changes={"filter.0": change("filter.0", 6)})))
    after: Mapping[str, Tensor] = pyramid.start_weights(SPEC)
    assert all(torch.equal(before[name], after[name]) for name in before)
