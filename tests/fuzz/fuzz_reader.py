"""The fuzz target: atheris makes files up, guided by the code that they reach; `check` reads them.

`make fuzz` runs it; see `run_fuzz.py`, which knows what to pass. Options are those of libFuzzer.
"""

from __future__ import annotations

import hashlib
import os
import random
import shlex
import sys
import traceback
import zlib
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

import atheris

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "formats")]

# All that is read for a file, so that what it reaches is seen; torch and NumPy are not ours.
with atheris.instrument_imports(include=["rinrcodec"]):
    import rinrcodec.decoder
    import rinrcodec.families.av1.decode_objects
    import rinrcodec.families.nerv.network
    import rinrcodec.families.pyramid.entropy
    import rinrcodec.families.pyramid.latents
    import rinrcodec.families.pyramid.network
    import rinrcodec.families.siren.network
    import rinrcodec.files
    import rinrcodec.formats

import av  # noqa: E402, F401 -- which is large, so it comes before memory is bounded
import torch  # noqa: E402
from pack_mutator import cross, mutate  # noqa: E402
from reader_checks import check  # noqa: E402

# One input in so many has its memory counted exactly. Which ones, its bytes say.
_EXACT = 16
PREFIX = "-artifact_prefix="


def one_input(data: bytes, findings: str) -> None:
    """What libFuzzer calls. Any exception is a finding: it is kept as a file, and ends the run."""
    try:
        check(data, exact=zlib.crc32(data) % _EXACT == 0)
    except Exception:
        name = f"{findings}finding-{hashlib.sha256(data).hexdigest()[:16]}.rinr"
        Path(name).write_bytes(data)
        _end(f"FINDING: {name}")


def _end(words: str) -> NoReturn:
    """Say what the exception in hand is, and end at once.

    At an orderly end Atheris asks Python, which is gone by then, for its mutator, and waits.
    """
    sys.stdout.flush()
    print(f"{words}\n{traceback.format_exc()}", file=sys.stderr, flush=True)
    os._exit(1)


def custom_mutator(data: bytes, max_size: int, seed: int) -> bytes:
    return mutate(data, max_size, random.Random(seed), atheris.Mutate)


def custom_crossover(data: bytes, other: bytes, max_size: int, seed: int) -> bytes:
    return cross(data, other, max_size, random.Random(seed))


def warm_up() -> None:
    """Pay for what comes once, and count it for no input: tables of the coder, threads of torch."""
    torch.set_num_threads(1)
    for key in range(
        rinrcodec.families.pyramid.entropy.N_SCALES * rinrcodec.families.pyramid.entropy.MEAN_STEPS
    ):
        rinrcodec.families.pyramid.entropy._table(key)
    for path in sorted((HERE / "corpus").glob("*.rinr"))[:8]:
        with suppress(Exception):  # libFuzzer reads it, too, and keeps it as a finding
            check(path.read_bytes())


def main(script: str, *options: str) -> None:
    (findings,) = [one[len(PREFIX) :] for one in options if one.startswith(PREFIX)] or [""]
    # A merge runs itself again, by the first argument, in a shell.
    again = f"{shlex.quote(sys.executable)} {shlex.quote(script)}"
    atheris.Setup(
        [again, *options],
        partial(one_input, findings=findings),
        custom_mutator=custom_mutator,
        custom_crossover=custom_crossover,
    )
    warm_up()
    try:
        atheris.Fuzz()
    except BaseException:
        _end("FUZZING ENDED")


if __name__ == "__main__":
    main(*sys.argv)
