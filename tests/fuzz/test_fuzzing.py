"""The mutator reaches the code behind the checksums, and the command reports findings."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import decode_checks
import family_mutator
import pytest
import run_fuzz
from make_seeds import SEEDS
from pack_mutator import cross, mutate
from reader_checks import Outcome, check

from rinrcodec.formats import pack_bytes

HERE = Path(__file__).parent
FILES = [pack_bytes(build()) for build in SEEDS.values()]


def flip(data: bytes, most: int) -> bytes:
    """Replace libFuzzer's mutator: change one byte."""
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


@pytest.mark.slow
def test_packs_of_all_families_are_changed_and_what_verify_passes_decodes() -> None:
    counts: Counter[Outcome] = Counter()
    for seed in range(100):
        data = FILES[seed % len(FILES)]
        made = family_mutator.mutate(data, 2**14, random.Random(seed), flip)
        assert made == family_mutator.mutate(data, 2**14, random.Random(seed), flip)
        counts[decode_checks.check(made, exact=False, seconds=20)] += 1
    assert min(counts[outcome] for outcome in Outcome) > 0.1 * counts.total()


def test_two_files_are_spliced_within_bounds() -> None:
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
def planted(self, *observer):
    {bug}
    verify(self, *observer)
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
    planted = replace(run_fuzz.TARGETS["read"], script=target)
    assert run_fuzz.fuzz(30, [planted], seed=1, out=out) == 1
    printed = capfd.readouterr().out
    (finding,) = (out / "read" / "findings").iterdir()
    assert sentence in printed
    assert f"again: python tests/fuzz/run_fuzz.py --target read --replay {finding}" in printed


def test_replay_prints_the_outcome_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.rinr"
    path.write_bytes(FILES[0])
    assert run_fuzz.main(["--target", "read", "--replay", str(path)]) == 0
    assert "read: verified, as it should be" in capsys.readouterr().out


def test_fuzzing_is_skipped_in_plain_words_without_atheris(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    assert run_fuzz.main(["--seconds", "1"]) == 0
    assert "fuzzing is SKIPPED: atheris cannot be imported" in capsys.readouterr().out


def run_of(target: str, executions: int, seconds: float) -> dict[str, object]:
    job = {"executions": executions, "cpu_seconds": 60, "peak_megabytes": executions}
    job["slowest"] = {"seconds": seconds, "sha256": "ab", "bytes": 9}
    for name in run_fuzz.FIGURES[1:]:
        job |= {f"{name}_start": 1, f"{name}_end": executions}
    words = {"command": target, "commit": "c", "machine": "m", "software": "s"}
    return {**words, "seconds": 60, "findings": 0, "jobs": [job, {**job, "slowest": None}]}


def test_the_page_has_the_figures_of_all_runs(tmp_path: Path) -> None:
    """The figures of all runs of both targets, which `fuzz` adds to their files."""
    for target, executions in (("read", 700), ("decode", 50), ("decode", 20)):
        (tmp_path / target).mkdir(exist_ok=True)
        run_fuzz._add_run(tmp_path / target, run_of(target, executions, executions / 100))
    assert run_fuzz.main(["--out", str(tmp_path), "--page", str(tmp_path)]) == 0
    page = (tmp_path / "fuzzing.md").read_text(encoding="utf-8")
    assert "| inputs | 1,400 | 140 |" in page
    assert "1,540 inputs in all." in page
    assert "| slowest input, CPU time | 7.00 s | 0.50 s |" in page
    assert "| CPU time of the processes | 2 minutes | 4 minutes |" in page
    assert "spec_limit.rinr" in page
    assert json.loads((tmp_path / "fuzzing.json").read_text("utf-8"))["inputs"] == 1540


@pytest.mark.slow
def test_a_run_starts_with_the_inputs_of_the_last_run(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="no wheel of atheris for this platform")
    few = tmp_path / "few"
    few.mkdir()
    (few / "a.rinr").write_bytes(pack_bytes(SEEDS["one_pixel"]()))
    target = replace(run_fuzz.TARGETS["decode"], corpus=few)
    for _ in range(2):
        assert run_fuzz.fuzz(2, [target], seed=1, out=tmp_path) == 0
    one, two = run_fuzz.read_runs(tmp_path / "decode")
    assert one["jobs"][0]["files_end"] > 1
    assert two["jobs"][0]["files_start"] > 1
    assert two["jobs"][0]["executions"] != one["jobs"][0]["executions"]
