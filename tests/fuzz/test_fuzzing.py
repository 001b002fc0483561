"""The mutator reaches what lies behind the checksums, and the command reports what is found."""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

import pytest
import run_fuzz
from make_seeds import SEEDS
from pack_mutator import cross, mutate
from reader_checks import Outcome, check

from rinrcodec.formats import pack_bytes

HERE = Path(__file__).parent
FILES = [pack_bytes(build()) for build in SEEDS.values()]


def flip(data: bytes, most: int) -> bytes:
    """In place of libFuzzer's mutator: one byte is another."""
    rng = random.Random(data)
    out = bytearray(data[:most])
    if out:
        out[rng.randrange(len(out))] ^= rng.randrange(1, 256)
    return bytes(out)


def test_mutations_are_of_every_outcome() -> None:
    counts = Counter(
        check(mutate(FILES[seed % len(FILES)], 2**14, random.Random(seed), flip), exact=False)
        for seed in range(150)
    )
    assert min(counts[outcome] for outcome in Outcome) > 0.1 * counts.total()


def test_mutations_change_files_within_bounds() -> None:
    same = 0
    for seed in range(400):
        data = FILES[seed % len(FILES)]
        found = mutate(data, 2000, random.Random(seed), flip)
        assert found == mutate(data, 2000, random.Random(seed), flip)
        assert len(found) <= 2000
        same += found == data
    assert same < 40


def test_any_bytes_can_be_mutated() -> None:
    rng = random.Random(0)
    for seed in range(200):
        data = rng.randbytes(rng.choice([0, 1, 100, 600]))
        data = FILES[seed % len(FILES)][: rng.randrange(2000)] if seed % 2 else data
        mutate(data, 2000, random.Random(seed), flip)


def test_files_are_crossed() -> None:
    made = {cross(FILES[0], FILES[3], 2**14, random.Random(seed)) for seed in range(50)}
    assert len(made) > 20
    assert max(map(len, made)) < 2**14
    assert cross(b"", FILES[0], 100, random.Random(0)) == b""


PLANTED = """
import sys
sys.path[:0] = [{tests!r}]
import fuzz_reader
from rinrcodec.formats import PackReader

verify = PackReader.verify
def planted(self):
    {bug}
    verify(self)
PackReader.verify = planted
fuzz_reader.main(*sys.argv)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bug", "sentence"),
    [
        ("[0][self.n_frames]", "IndexError: list index out of range"),
        ("import numpy; numpy.zeros(2 ** 26)", "Unable to allocate 512. MiB"),
    ],
)
def test_a_planted_bug_ends_with_code_1_and_a_file(
    bug: str, sentence: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("atheris", reason="no wheel of atheris for this platform")
    target = tmp_path / "planted.py"
    target.write_text(PLANTED.format(tests=str(HERE), bug=bug), encoding="utf-8")
    out = tmp_path / "out"
    assert run_fuzz.fuzz(30, seed=1, out=out, target=target) == 1
    printed = capfd.readouterr().out
    (finding,) = (out / "findings").iterdir()
    assert sentence in printed
    assert f"again: python tests/fuzz/run_fuzz.py --replay {finding}" in printed


def test_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.rinr"
    path.write_bytes(FILES[0])
    assert run_fuzz.main(["--replay", str(path)]) == 0
    assert "verified, as it should be" in capsys.readouterr().out


def test_fuzzing_is_skipped_in_plain_words_without_atheris(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    assert run_fuzz.main(["--seconds", "1"]) == 0
    assert "fuzzing is SKIPPED: atheris cannot be imported" in capsys.readouterr().out


def test_page(tmp_path: Path) -> None:
    numbers = ("executions", "edges_start", "edges_end", "features_start", "features_end")
    numbers += ("files_start", "files_end", "peak_megabytes", "findings", "seconds", "cpu_seconds")
    words = ("command", "commit", "machine", "software")
    run = {**dict.fromkeys(numbers, 60), **dict.fromkeys(words, "what")}
    run_fuzz.write_page(run, tmp_path)
    page = (tmp_path / "fuzzing.md").read_text(encoding="utf-8")
    assert "For 1 minutes" in page
    assert "spec_limit.rinr" in page
    assert (tmp_path / "fuzzing.json").exists()
