"""The fuzz target that decodes: packs of every family with right checksums, under small limits.

`make fuzz` runs it together with `fuzz_reader.py`; see `run_fuzz.py`, which knows what to pass.
"""

from __future__ import annotations

import sys

import fuzz_reader  # before anything of rinrcodec, which it instruments

# isort: split
import decode_checks
import family_mutator

if __name__ == "__main__":
    fuzz_reader.main(
        *sys.argv,
        check=decode_checks.check,
        mutate=family_mutator.mutate,
        cross=family_mutator.cross,
        corpus=fuzz_reader.HERE / "corpus_decode",
    )
