"""Every file of the corpora is read or refused as it should be, and the checks can fail."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import decode_checks
import forge
import numpy as np
import pytest
import reader_checks
import torch
import zstandard
from make_seeds import SEEDS
from reader_checks import SMALL, Finding, Outcome, check
from run_fuzz import TARGETS

from rinrcodec.errors import RinrError, RinrFormatError
from rinrcodec.families.av1 import Av1
from rinrcodec.families.pyramid.entropy import _PlainDecoder
from rinrcodec.formats import PackReader, _zstd, pack_bytes
from rinrcodec.limits import DEFAULT_LIMITS

CORPUS = sorted(TARGETS["read"].corpus.iterdir())
DECODED = sorted(TARGETS["decode"].corpus.iterdir())
HOSTILE = Path(__file__).parents[1] / "formats" / "hostile"
PARTS = 8  # so that they can be read side by side


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_corpus(part: int) -> None:
    for path in CORPUS[part::PARTS]:
        try:
            check(path.read_bytes(), seconds=3)  # others may use this machine
        except Exception as error:
            again = f"python tests/fuzz/run_fuzz.py --replay tests/fuzz/corpus/{path.name}"
            raise AssertionError(f"{again}: {error!r}") from error


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_corpus_of_packs_that_are_decoded(part: int) -> None:
    for path in DECODED[part::PARTS]:
        try:
            # Others may use this machine, and the tables of the coder are made here.
            decode_checks.check(path.read_bytes(), exact=False, seconds=10)
        except Exception as error:
            again = f"python tests/fuzz/run_fuzz.py --target decode --replay {path}"
            raise AssertionError(f"{again}: {error!r}") from error


@pytest.mark.parametrize("path", sorted(HOSTILE.glob("*.rinr")), ids=lambda path: path.stem)
def test_hostile_files(path: Path) -> None:
    assert check(path.read_bytes()) is not Outcome.SOUND


def test_corpus_is_small_and_of_every_outcome() -> None:
    assert 50 < len(CORPUS) < 1000
    assert sum(path.stat().st_size for path in CORPUS) < 1_000_000
    assert {check(path.read_bytes(), exact=False) for path in CORPUS[:60]} == set(Outcome)


def test_corpus_of_packs_that_are_decoded_is_small_and_of_every_family() -> None:
    assert 50 < len(DECODED) < 1000
    assert sum(path.stat().st_size for path in DECODED) < 600_000
    families: set[str] = set()
    for path in DECODED:
        with suppress(RinrError):
            families |= {spec.family for spec in PackReader(path).specs}
    assert families >= {"siren", "nerv", "pyramid", "av1"}


@pytest.mark.parametrize("name", SEEDS)
def test_seeds_are_sound(name: str) -> None:
    assert check(pack_bytes(SEEDS[name]())) is Outcome.SOUND


def test_small_limits_are_small() -> None:
    names = DEFAULT_LIMITS.__dataclass_fields__
    assert all(getattr(SMALL, name) <= getattr(DEFAULT_LIMITS, name) for name in names)


@pytest.mark.slow
def test_the_largest_directories_are_opened() -> None:
    """The mutator never makes these: each table has as much as the default limits allow."""
    parts = forge.take_apart(pack_bytes(SEEDS["one_pixel"]()))
    keys = [b"%06x" % i for i in range(1_000_000)]
    parts.info = {"key": keys, "value": [b""] * len(keys)}
    info = forge.assemble(parts)
    parts.info = {"key": [], "value": []}
    spec = b'{"family":"a",' + b",".join(b'"%03d":1' % i for i in range(240)) + b"}"
    more = DEFAULT_LIMITS.max_groups - 1
    for name, values in parts.groups.items():
        values += [{"spec": spec, "n_rows": 0}.get(name, values[0])] * more
    groups = forge.assemble(parts)
    for data in (info, groups):
        assert check(data, exact=False, seconds=5) is Outcome.SOUND


# A check that cannot fail finds nothing: each of these is a bug put in on purpose.


def hostile(name: str) -> bytes:
    return (HOSTILE / f"{name}.rinr").read_bytes()


def without_size_check(stored: bytes, *, size: int) -> bytes:  # noqa: ARG001
    return zstandard.ZstdDecompressor().decompress(stored)


def test_a_size_that_is_not_compared_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 8 kB declares 200 MB: without the comparison, a chunk is decompressed to that."""
    assert check(hostile("zstd_bomb")) is Outcome.DAMAGED
    monkeypatch.setattr(_zstd, "decompress", without_size_check)
    with pytest.raises(Finding, match="bytes of memory: expected at most 25,165,824"):
        check(hostile("zstd_bomb"))


def test_an_array_that_is_not_bounded_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick check finds it, too: it counts nothing, but such an allocation fails."""

    names = PackReader.names

    def wasteful(self: PackReader) -> tuple[str, ...]:
        np.zeros(2**25)
        return names(self)

    monkeypatch.setattr(PackReader, "names", wasteful)
    with pytest.raises(Finding, match="it takes 268,4"):
        check(pack_bytes(SEEDS["one_pixel"]()))
    if reader_checks.resource is not None and reader_checks.STATM.exists():
        with pytest.raises(MemoryError):
            check(pack_bytes(SEEDS["one_pixel"]()), exact=False)


def test_slow_reading_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object) -> None:
        end = time.process_time() + 0.2
        while time.process_time() < end:
            pass

    monkeypatch.setattr(PackReader, "verify", slow)
    with pytest.raises(Finding, match=r"s of CPU time: expected at most 0\.1 s"):
        check(pack_bytes(SEEDS["one_pixel"]()), seconds=0.1)


def test_other_pixels_without_constriction_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = _PlainDecoder.decode

    def wrong(self: _PlainDecoder, edges: list[int], count: int) -> Any:
        return decode(self, edges, count) ^ 1

    monkeypatch.setattr(_PlainDecoder, "decode", wrong)
    with pytest.raises(Finding, match="frame 0 is another one"):
        check(pack_bytes(SEEDS["latents"]()))


def raising(error: Exception) -> Any:
    def method(*_: object) -> None:
        raise error

    return method


@pytest.mark.parametrize(
    ("method", "error", "expected"),
    [
        ("verify", KeyError("width"), KeyError),
        ("frame", IndexError("list index out of range"), IndexError),
        ("read_rows", OverflowError("int too large"), OverflowError),
        ("verify", RinrFormatError("x" * 5000), Finding),
        # What `verify` has passed must be readable.
        ("frame", RinrFormatError("a box needs finite numbers"), Finding),
    ],
)
def test_wrong_errors_are_found(
    method: str, error: Exception, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PackReader, method, raising(error))
    with pytest.raises(expected):
        check(pack_bytes(SEEDS["one_pixel"]()))


# The same for the checks of decoding.


def decoding(name: str) -> Outcome:
    return decode_checks.check(pack_bytes(SEEDS[name]()), exact=False, seconds=30)


@pytest.mark.parametrize("name", ["decodable", "sequence", "latents_pixel", "av1_objects"])
def test_seeds_decode(name: str) -> None:
    assert decoding(name) is Outcome.SOUND


def test_a_verified_pack_that_does_not_decode_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Av1, "decode_backgrounds", raising(RinrFormatError("damaged")))
    with pytest.raises(Finding, match="verified, but then refused: damaged"):
        decoding("av1")


def test_other_pixels_in_a_batch_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = Av1.decode_backgrounds

    def wrong(self: Av1, group: Any, views: Any) -> list[torch.Tensor]:
        return [signal + (len(views) > 1) for signal in decode(self, group, views)]

    monkeypatch.setattr(Av1, "decode_backgrounds", wrong)
    with pytest.raises(Finding, match="has other pixels in a batch"):
        decoding("av1_sequence")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyError("width"), KeyError),
        (MemoryError(), Finding),
        (RinrFormatError("x" * 5000), Finding),
    ],
)
def test_wrong_errors_of_decoding_are_found(
    error: Exception, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Av1, "decode_backgrounds", raising(error))
    with pytest.raises(expected):
        decoding("av1_grey")


def test_slow_decoding_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "process_time", iter(range(0, 1000, 5)).__next__)
    with pytest.raises(Finding, match=r"5\.00 s of CPU time: expected at most 2\.0 s"):
        decode_checks.check(pack_bytes(SEEDS["one_pixel"]()), exact=False)
