"""The fuzz target that reads: atheris makes files up, guided by the code that they reach.

`make fuzz` runs it; see `run_fuzz.py`, which knows what to pass. Options are those of libFuzzer.
`fuzz_decode.py` is the other target, which has other checks and another mutator.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shlex
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

import atheris

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "formats")]

# All that is read for a file, so that what it reaches is seen; torch and NumPy are not ours.
with atheris.instrument_imports(include=["rinrcodec"]):
    import rinrcodec.decodable
    import rinrcodec.decoder
    import rinrcodec.families.av1.check
    import rinrcodec.families.av1.decode_objects
    import rinrcodec.families.nerv.decode
    import rinrcodec.families.nerv.network
    import rinrcodec.families.pyramid.decode
    import rinrcodec.families.pyramid.entropy
    import rinrcodec.families.pyramid.latents
    import rinrcodec.families.pyramid.network
    import rinrcodec.families.siren.evaluate
    import rinrcodec.families.siren.network
    import rinrcodec.files
    import rinrcodec.formats

import av  # noqa: E402, F401 -- which is large, so it comes before memory is bounded
import pack_mutator  # noqa: E402
import reader_checks  # noqa: E402
import torch  # noqa: E402

# One input in so many has its memory counted exactly. Which ones, its bytes say.
_EXACT = 16
PREFIX = "-artifact_prefix="


Check = Callable[..., object]
Mutate = Callable[[bytes, int, random.Random, pack_mutator.MutateBytes], bytes]
Cross = Callable[[bytes, bytes, int, random.Random], bytes]
SLOWEST = "slowest.json"  # next to the findings: the slowest input, and its CPU time


class Slowest:
    """The input that took the most CPU time; a file has it at any moment."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{os.getpid()}-{SLOWEST}"
        self._seconds = 0.1

    def add(self, data: bytes, seconds: float) -> None:
        if seconds > self._seconds:
            self._seconds = seconds
            sha256 = hashlib.sha256(data).hexdigest()[:16]
            record = {"seconds": round(seconds, 3), "sha256": sha256, "bytes": len(data)}
            self._path.write_text(json.dumps(record) + "\n", encoding="utf-8")
            self._path.with_suffix(".rinr").write_bytes(data)


def one_input(data: bytes, findings: str, check: Check, slowest: Slowest | None) -> None:
    """What libFuzzer calls. Any exception is a finding: it is kept as a file, and ends the run."""
    start = time.process_time()
    try:
        check(data, exact=zlib.crc32(data) % _EXACT == 0)
        if slowest is not None:
            slowest.add(data, time.process_time() - start)
    except Exception:
        name = f"{findings}finding-{hashlib.sha256(data).hexdigest()[:16]}.rinr"
        Path(name).write_bytes(data)
        _end(f"FINDING: {name}")


def _end(words: str) -> NoReturn:
    """Print the current exception, and end at once.

    At an orderly end Atheris asks Python, which is gone by then, for its mutator, and waits.
    """
    sys.stdout.flush()
    print(f"{words}\n{traceback.format_exc()}", file=sys.stderr, flush=True)
    os._exit(1)


def warm_up(check: Check, corpus: Path) -> None:
    """Do what happens once before the first input: tables of the coder, threads of torch."""
    torch.set_num_threads(1)
    for key in range(
        rinrcodec.families.pyramid.entropy.N_SCALES * rinrcodec.families.pyramid.entropy.MEAN_STEPS
    ):
        rinrcodec.families.pyramid.entropy._table(key)
    for path in sorted(corpus.glob("*.rinr"))[:8]:
        with suppress(Exception):  # libFuzzer reads it, too, and keeps it as a finding
            check(path.read_bytes())


def main(
    script: str,
    *options: str,
    check: Check = reader_checks.check,
    mutate: Mutate = pack_mutator.mutate,
    cross: Cross = pack_mutator.cross,
    corpus: Path = HERE / "corpus",
) -> None:
    def custom_mutator(data: bytes, max_size: int, seed: int) -> bytes:
        return mutate(data, max_size, random.Random(seed), atheris.Mutate)

    def custom_crossover(data: bytes, other: bytes, max_size: int, seed: int) -> bytes:
        return cross(data, other, max_size, random.Random(seed))

    (findings,) = [one[len(PREFIX) :] for one in options if one.startswith(PREFIX)] or [""]
    slowest = Slowest(Path(findings).parent) if findings else None
    # A merge runs itself again, by the first argument, in a shell.
    again = f"{shlex.quote(sys.executable)} {shlex.quote(script)}"
    atheris.Setup(
        [again, *options],
        partial(one_input, findings=findings, check=check, slowest=slowest),
        custom_mutator=custom_mutator,
        custom_crossover=custom_crossover,
    )
    warm_up(check, corpus)
    try:
        atheris.Fuzz()
    except BaseException:
        _end("FUZZING ENDED")


if __name__ == "__main__":
    main(*sys.argv)
