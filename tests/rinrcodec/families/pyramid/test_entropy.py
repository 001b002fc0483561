from __future__ import annotations

import decimal
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rinrcodec.errors import RinrError, RinrFormatError, RinrInputError
from rinrcodec.families.pyramid import entropy
from rinrcodec.families.pyramid.entropy import (
    LARGEST,
    MEAN_STEPS,
    N_SCALES,
    LatentDecoder,
    LatentEncoder,
    bits,
    frequencies,
)

Latents = tuple[np.ndarray, np.ndarray, np.ndarray]  # values, means, scales

LATENT = st.tuples(
    st.integers(-LARGEST, LARGEST),
    st.integers(-LARGEST * MEAN_STEPS, LARGEST * MEAN_STEPS),
    st.integers(0, N_SCALES - 1),
)
CALLS = st.lists(st.lists(LATENT, max_size=30), max_size=4)


def columns(rows: list[tuple[int, int, int]]) -> Latents:
    values, means, scales = np.array(rows, np.int32).reshape(-1, 3).T
    return values, means, scales


def likely(n: int, scales: tuple[int, int], seed: int = 3) -> Latents:
    """Values drawn from the distributions that they are coded with."""
    generator = np.random.default_rng(seed)
    indices = generator.integers(*scales, n)
    means = generator.integers(-300, 300, n)
    values = generator.laplace(means / MEAN_STEPS, np.exp(-3 + indices / 8))
    return np.clip(np.rint(values), -LARGEST, LARGEST).astype(np.int32), means, indices


def mixture(n: int) -> Latents:
    """Near and far values of all scales, by arithmetic that no library can change."""
    values = np.arange(n) * 53 % 255 - LARGEST
    means = np.clip(values * MEAN_STEPS + np.arange(n) % 41 - 20, -1016, 1016)
    return values, means, np.arange(n) * 7 % N_SCALES


def encode(*calls: Latents) -> bytes:
    encoder = LatentEncoder()
    for call in calls:
        encoder.put(*call)
    return encoder.bytes()


def decode_by_the_book(data: bytes, tables: list[np.ndarray]) -> list[int]:
    """The stream as the module's docstring describes it: place of every symbol in its table."""
    words = [int.from_bytes(data[i : i + 4].ljust(4, b"\0"), "big") for i in range(0, len(data), 4)]
    first, second, *words = [*words, 0, 0]
    offset, width = first << 32 | second, 2**64 - 1
    symbols = []
    for counts in tables:
        part = width >> 24
        edges = [0, *np.cumsum(counts).tolist()]
        symbol = int(np.searchsorted(edges, offset // part, side="right")) - 1
        offset -= part * edges[symbol]
        width = part * int(counts[symbol])
        if width < 2**32:
            word, *words = [*words, 0]
            offset, width = offset << 32 | word, width << 32
        symbols.append(symbol)
    return symbols


@given(CALLS)
def test_calls_survive_a_round_trip(calls: list[list[tuple[int, int, int]]]) -> None:
    arrays = [columns(rows) for rows in calls]
    data = encode(*arrays)
    assert not data.endswith(b"\0")
    decoder = LatentDecoder(data)
    for values, means, scales in arrays:
        taken = decoder.take(means, scales)
        assert taken.dtype == np.int32
        assert taken.tolist() == values.tolist()


@given(CALLS)
def test_the_cost_is_what_bits_says(calls: list[list[tuple[int, int, int]]]) -> None:
    arrays = [columns(rows) for rows in calls]
    cost = sum(bits(*call).sum() for call in arrays) / 8
    # A stream whose last bytes happen to be zeros is shorter.
    assert cost - 4 <= len(encode(*arrays)) <= cost * 1.001 + 2


@pytest.mark.parametrize("scales", [(0, 1), (0, N_SCALES), (30, 45), (60, 61)])
def test_long_streams_cost_what_bits_says(scales: tuple[int, int]) -> None:
    latents = likely(40_000, scales)
    cost = bits(*latents).sum() / 8
    assert cost - 1 <= len(encode(latents)) <= cost * 1.001 + 8
    assert (LatentDecoder(encode(latents)).take(*latents[1:]) == latents[0]).all()


def test_bits_are_those_of_a_laplace_distribution() -> None:
    values = np.arange(-20, 21)
    for scale, mean in [(24, 0), (24, 5), (36, -7), (40, 36)]:
        edges = (np.append(values, 21) - 0.5 - mean / MEAN_STEPS) / np.exp(-3 + scale / 8)
        below = np.where(edges < 0, np.exp(-abs(edges)) / 2, 1 - np.exp(-abs(edges)) / 2)
        probable = (mass := np.diff(below)) > 1e-3
        costs = bits(values, np.full(41, mean), np.full(41, scale))
        assert probable.sum() >= 12
        np.testing.assert_allclose(costs[probable], -np.log2(mass[probable]), atol=1e-3)


def test_the_most_and_the_least_that_a_value_can_cost() -> None:
    far = columns([(127, -1016, 0), (-127, 1016, 0), (0, 1016, 20)])
    assert bits(*far).tolist() == [24.0] * 3
    assert (bits(*columns([(5, 40, 0)])) < 1e-3).all()


def test_extremes_come_back() -> None:
    rows = [(v, m, s) for v in (-127, 127) for m in (-1016, 1016) for s in range(N_SCALES)]
    latents = columns(rows * 3)
    assert (LatentDecoder(encode(latents)).take(*latents[1:]) == latents[0]).all()


def test_empty_calls_take_no_bytes() -> None:
    nothing = columns([])
    assert encode(nothing, nothing) == b""
    assert LatentDecoder(b"").take(*nothing[1:]).shape == (0,)
    assert bits(*nothing).shape == (0,)
    one = columns([(3, 17, 30)])
    data = encode(nothing, one, nothing)
    assert data == encode(one)
    assert LatentDecoder(data).take(*one[1:]).tolist() == [3]


def test_the_type_of_the_integers_does_not_matter() -> None:
    latents = mixture(50)
    narrow = (latents[0].astype(np.int8), latents[1].astype(np.int16), latents[2].astype(np.uint8))
    assert encode(narrow) == encode(latents)
    everything_reversed = tuple(column[::-1].copy()[::-1] for column in latents)
    assert encode(everything_reversed) == encode(latents)


def test_asking_for_the_bytes_early_changes_nothing() -> None:
    first, second = mixture(40), likely(40, (0, N_SCALES))
    encoder = LatentEncoder()
    encoder.put(*first)
    assert encoder.bytes() == encoder.bytes() == encode(first)
    encoder.put(*second)
    assert encoder.bytes() == encode(first, second)


@pytest.mark.parametrize(
    ("scale", "fraction", "crc"),
    [
        (0, -4, 0x4979A094),
        (0, 0, 0xF2AD8EAB),
        (24, 0, 0x4DA7AB8F),
        (24, 3, 0x0ADB2ED3),
        (40, -1, 0xFA2A875E),
        (60, -4, 0x1BE05511),
    ],
)
def test_tables_do_not_drift(scale: int, fraction: int, crc: int) -> None:
    assert zlib.crc32(frequencies(scale, fraction).astype("<i4").tobytes()) == crc


def test_all_tables() -> None:
    crc = 0
    for scale in range(N_SCALES):
        for fraction in range(-4, 4):
            counts = frequencies(scale, fraction)
            assert counts.shape == (509,)
            assert counts.min() >= 1
            assert counts.sum() == 2**24
            crc = zlib.crc32(counts.astype("<i4").tobytes(), crc)
    assert crc == 0xBA36BBF8
    assert frequencies(24, 0)[252:257].tolist() == [1183138, 3216100, 6601120, 3216100, 1183138]


def test_tables_do_not_depend_on_the_arithmetic_of_the_program() -> None:
    expected = frequencies(33, 2)
    with decimal.localcontext(decimal.Context(prec=5, rounding=decimal.ROUND_UP, traps=[])):
        assert (frequencies.__wrapped__(33, 2) == expected).all()
    with decimal.localcontext() as context:
        context.traps[decimal.Inexact] = True
        assert (frequencies.__wrapped__(33, 2) == expected).all()


def test_tables_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        frequencies(3, 1)[0] = 2


def test_the_stream_does_not_drift() -> None:
    assert encode(columns([(3, 17, 30)])).hex() == "95"
    # A residual at the lower end of its table, after one whose half of the range begins at 0x80.
    assert encode(columns([(1, 4, 24), (-127, 1016, 60)])).hex() == "80"
    assert encode(mixture(48)).hex() == (
        "000367fb375b017f21a091e90d202d360b956a79d7d5061f2da90169f49ff4c392ad8ed17444"
    )
    assert encode(mixture(32), columns([]), mixture(16)).hex() == (
        "fffc8d6f325218d2a74262d11dec9a6aefe110f5e7ae37b7e37de11ba52e2c1985aba6"
    )


def test_the_decoder_has_exactly_our_tables() -> None:
    """Noise: one wrong edge of one symbol that occurs, and all that follows is different."""
    noise = np.random.default_rng(8).bytes(3000)
    # In the order of the tables, which is that of coding. The noise of wider ones leaves the range.
    scales = np.repeat(np.arange(36), 8 * 3)
    fractions = np.tile(np.arange(-4, 4).repeat(3), 36)
    tables = [frequencies(int(s), int(f)) for s, f in zip(scales, fractions, strict=True)]
    taken = LatentDecoder(noise).take(fractions, scales)
    assert (taken + 254).tolist() == decode_by_the_book(noise, tables)


@pytest.mark.parametrize("scale", [0, 17, 24, 41, 60])
def test_the_encoder_has_exactly_our_tables(scale: int) -> None:
    """All 509 residuals."""
    values = np.concatenate([np.arange(-127, 128)] * 2)
    centers = np.repeat([-127, 127], 255)
    data = encode((values, centers * MEAN_STEPS, np.full(510, scale)))
    symbols = decode_by_the_book(data, [frequencies(scale, 0)] * 510)
    assert symbols == (values - centers + 254).tolist()


def test_latents_are_coded_table_by_table() -> None:
    values, means, scales = mixture(300)
    centers = (means + 4) // 8
    keys = scales * 8 + means - 8 * centers + 4
    order = sorted(range(300), key=keys.tolist().__getitem__)
    tables = [frequencies(int(key) // 8, int(key) % 8 - 4) for key in keys[order]]
    symbols = decode_by_the_book(encode((values, means, scales)), tables)
    assert symbols == (values - centers + 254)[order].tolist()


@pytest.mark.parametrize("first", range(0, 256, 5))
def test_a_stream_may_end_anywhere_near_a_carry(first: int) -> None:
    """Symbols of a number that ends in ones keep the coder in doubt about words it has passed."""
    source = LatentDecoder(bytes([first]) + b"\xff" * 40)
    mean, scale = np.zeros(1, np.int32), np.full(1, N_SCALES - 1)
    encoder = LatentEncoder()
    values: list[int] = []
    for n in range(1, 25):
        try:
            value = source.take(mean, scale)
        except RinrFormatError:
            break
        values.append(value.item())
        encoder.put(value, mean, scale)
        decoder = LatentDecoder(encoder.bytes())
        assert [decoder.take(mean, scale).item() for _ in range(n)] == values


def test_a_carry_through_all_words_leaves_nothing_after_it() -> None:
    source = LatentDecoder(bytes([70]) + b"\xff" * 40)
    latents = source.take(np.zeros(20, int), np.full(20, 60)), np.zeros(20, int), np.full(20, 60)
    assert encode(latents).hex() == "47"
    assert (LatentDecoder(b"\x47").take(*latents[1:]) == latents[0]).all()


@given(st.binary(max_size=60), st.lists(LATENT, max_size=200))
def test_noise_gives_values_in_range_or_a_format_error(
    noise: bytes, rows: list[tuple[int, int, int]]
) -> None:
    _, means, scales = columns(rows)
    decoder = LatentDecoder(noise)
    for _ in range(2):
        try:
            taken = decoder.take(means, scales)
        except RinrFormatError:
            continue
        assert taken.shape == means.shape
        assert (abs(taken) <= LARGEST).all()


def test_a_changed_bit_is_noticed_or_gives_other_values_in_range() -> None:
    latents = likely(400, (20, 50))
    data = encode(latents)
    noticed = 0
    for bit in range(0, 8 * len(data), 7):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            taken = LatentDecoder(bytes(damaged)).take(*latents[1:])
        except RinrFormatError:
            noticed += 1
        else:
            assert (taken != latents[0]).any()
            assert (abs(taken) <= LARGEST).all()
    assert 0 < noticed < 8 * len(data) // 7


def test_data_that_no_encoder_writes_are_a_format_error() -> None:
    with pytest.raises(RinrFormatError, match="damaged"):
        LatentDecoder(b"\xff" * 8).take(np.zeros(1, int), np.zeros(1, int))


def test_values_out_of_range_are_a_format_error() -> None:
    residual_254 = encode(columns([(127, -1016, 60)]))
    with pytest.raises(RinrFormatError, match="range from 381 to 381, outside of -127 to 127"):
        LatentDecoder(residual_254).take(np.array([1016]), np.array([60]))


OK = np.zeros(3, np.int32)


@pytest.mark.parametrize(
    ("values", "means", "scales", "message"),
    [
        (OK, OK, OK[:2], "3 means but 2 scales"),
        (OK[:1], OK, OK, "1 values but 3 means"),
        (OK + 128, OK, OK, "values range from 128 to 128: they must be between -127 and 127"),
        (OK - 128, OK, OK, "values range from -128"),
        (OK, OK + 1017, OK, "means range from 1017 to 1017: .* between -1016 and 1016"),
        (OK, OK - 1017, OK, "means range from -1017"),
        (OK, OK, OK + 61, "scales range from 61 to 61: they must be between 0 and 60"),
        (OK, OK, OK - 1, "scales range from -1"),
        (OK.astype(float), OK, OK, r"values are float64 of shape \(3,\): expected a 1-D array"),
        (OK, OK.reshape(3, 1), OK, r"means are int32 of shape \(3, 1\)"),
        (OK, OK, np.int32(0), r"scales are int32 of shape \(\)"),
        (OK, OK, OK.astype(bool), "scales are bool"),
        (OK.astype(np.int64) + 2**40, OK, OK, "values range from 1099511627776"),
    ],
)
@pytest.mark.parametrize("function", [LatentEncoder().put, bits])
def test_arguments_that_cannot_be_coded_are_named(
    function: Callable[..., Any], values: Any, means: Any, scales: Any, message: str
) -> None:
    with pytest.raises(RinrInputError, match=message):
        function(values, means, scales)


def test_the_decoder_refuses_wrong_arguments_and_continues() -> None:
    latents = mixture(30)
    decoder = LatentDecoder(encode(latents))
    with pytest.raises(RinrInputError, match="30 means but 29 scales"):
        decoder.take(latents[1], latents[2][1:])
    with pytest.raises(RinrInputError, match="scales range from"):
        decoder.take(latents[1], latents[2] + 61)
    assert (decoder.take(*latents[1:]) == latents[0]).all()


def test_a_refused_call_codes_nothing() -> None:
    encoder = LatentEncoder()
    encoder.put(*mixture(20))
    with pytest.raises(RinrInputError):
        encoder.put(np.append(mixture(5)[0], 128), np.zeros(6, int), np.zeros(6, int))
    assert encoder.bytes() == encode(mixture(20))


@pytest.mark.parametrize(("scale", "fraction"), [(-1, 0), (61, 0), (0, -5), (0, 4)])
def test_tables_out_of_range_are_refused(scale: int, fraction: int) -> None:
    with pytest.raises(RinrInputError, match=f"no table for scale {scale} and fraction {fraction}"):
        frequencies(scale, fraction)


@given(CALLS)
def test_latents_are_decoded_without_constriction(
    calls: list[list[tuple[int, int, int]]],
) -> None:
    arrays = [columns(rows) for rows in calls]
    data = encode(*arrays)
    with without_constriction():
        decoder = LatentDecoder(data)
        for values, means, scales in arrays:
            assert decoder.take(means, scales).tolist() == values.tolist()


@given(st.binary(max_size=64))
def test_damage_is_the_same_without_constriction(data: bytes) -> None:
    means, scales = np.zeros(40, np.int32), np.full(40, 20, np.int32)

    def decoded() -> list[int] | str:
        try:
            return LatentDecoder(data).take(means, scales).tolist()
        except RinrFormatError:
            return "damaged"

    expected = decoded()
    with without_constriction():
        assert decoded() == expected


def test_encoding_without_constriction_says_what_is_missing() -> None:
    with without_constriction(), pytest.raises(RinrError, match="constriction"):
        LatentEncoder()


@contextmanager
def without_constriction() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entropy, "constriction", None)
        entropy._table.cache_clear()
        yield
    entropy._table.cache_clear()
