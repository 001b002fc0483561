"""Every cause of a refused file: one file in hostile/, one sentence in hostile/make_hostile.py."""

from __future__ import annotations

import runpy
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from sample_packs import same_content

from rinrcodec.errors import RinrError
from rinrcodec.formats import PackReader

HOSTILE = Path(__file__).parent / "hostile"
MAKER = runpy.run_path(str(HOSTILE / "make_hostile.py"))
CAUSES: dict[str, Any] = MAKER["CAUSES"]


def test_every_cause_has_its_file_and_every_file_its_cause() -> None:
    assert {path.stem for path in HOSTILE.glob("*.rinr")} == set(CAUSES)


def test_files_are_small() -> None:
    assert max(path.stat().st_size for path in HOSTILE.glob("*.rinr")) < 10_000


@pytest.mark.parametrize("name", CAUSES)
def test_refused_with_its_own_sentence(name: str) -> None:
    path = HOSTILE / f"{name}.rinr"
    with pytest.raises(RinrError, match=CAUSES[name].sentence) as caught, PackReader(path) as file:
        file.verify()
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).count(str(path)) == 1


def test_declared_sizes_take_no_memory() -> None:
    for name in sorted(set(CAUSES) - {"labels_limit", "frame_label_limit"}):  # sizes are right
        data = (HOSTILE / f"{name}.rinr").read_bytes()
        tracemalloc.start()
        try:
            with pytest.raises(RinrError), PackReader(data) as file:
                file.verify()
            assert tracemalloc.get_traced_memory()[1] < 2**21, name
        finally:
            tracemalloc.stop()


def test_sentences_tell_causes_apart() -> None:
    messages = set()
    for name in CAUSES:
        with pytest.raises(RinrError) as caught, PackReader(HOSTILE / f"{name}.rinr") as file:
            file.verify()
        messages.add(str(caught.value).replace(name, ""))
    structures = sum(cause.sentence == MAKER["STRUCTURE"] for cause in CAUSES.values())
    # Wrong structures read the same, and so do a few others; the rest differs at least in a value.
    assert len(messages) >= len(CAUSES) - (structures - 1) - 6


def test_unknown_optional_features_are_ignored() -> None:
    file = PackReader(MAKER["header"](optional=2**32 - 1)())
    file.verify()
    assert same_content(file, MAKER["one_frame"]())
