"""Which pictures share a row of latents, and on how many threads rows are fitted."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rinrcodec.boxes import Box
from rinrcodec.compute.parallel import without_torch_threads
from rinrcodec.errors import RinrInputError
from rinrcodec.families.fitting import Recipe
from rinrcodec.families.interface import FitContext
from rinrcodec.families.pyramid import rows as rows_module
from rinrcodec.families.pyramid.encode import PyramidBackgrounds
from rinrcodec.families.pyramid.fit import Trial
from rinrcodec.families.pyramid.limits import MOST_FRAMES, MOST_PREDICTED
from rinrcodec.families.pyramid.rows import FittedRow, fit_rows
from rinrcodec.families.pyramid.settings import STEP_WORK
from rinrcodec.picture import Picture
from rinrcodec.targets import Target

CPU = torch.device("cpu")
SETTINGS = PyramidBackgrounds(Recipe(9, 1e-2, None, warmup=0), together=32)


def pictures(
    count: int, width: int = 4, height: int = 3, *, grey: bool = False, folder: str = ""
) -> list[Picture]:
    shape = (height, width) if grey else (height, width, 3)
    return [
        Picture(f"{folder}{k}", np.full(shape, k, np.uint8), (Box(0, 1, 1, 2, 1),) * (k % 2))
        for k in range(count)
    ]


class Fits:
    """Replace the fits, and collect the arguments of each."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, pays: bool = False, n_bytes: float = 100.0
    ) -> None:
        self.calls: list[dict[str, Any]] = []
        self.trials: list[int] = []
        self.result = Trial(pays, n_bytes)
        self.lock = threading.Lock()
        monkeypatch.setattr(rows_module, "fit_pyramid", self.fit)
        monkeypatch.setattr(rows_module, "trial", self.trial)

    def fit(
        self,
        spec: object,  # noqa: ARG002
        frames: Sequence[Tensor],
        regions: Sequence[object],
        settings: PyramidBackgrounds,
        **options: Any,
    ) -> bytes:
        numbers = [int(frame.flatten()[0]) for frame in frames]
        assert [bool(grids) for grids in regions] == [k % 2 == 1 for k in numbers]
        for _ in range(settings.recipe.steps):
            options["on_step"](len(frames), 1)
        options["on_step"](0, 0)
        with self.lock:
            self.calls.append({"numbers": numbers, **options})
        return bytes(numbers)

    def trial(
        self,
        spec: object,  # noqa: ARG002
        frames: Sequence[Tensor],
        regions: Sequence[object],
        settings: object,  # noqa: ARG002
        **options: Any,
    ) -> Trial:
        assert len(regions) == len(frames)
        with self.lock:
            self.trials.append(len(frames))
        options["on_step"](len(frames), 1)
        return self.result


def fitted(
    given: Sequence[Picture],
    settings: PyramidBackgrounds = SETTINGS,
    steps: list[tuple[int, int]] | None = None,
    target: Target = Target(psnr=30),  # noqa: B008
) -> list[FittedRow]:
    def counted(work: float) -> Any:
        assert work == given[0].width * given[0].height * STEP_WORK
        return lambda *args: steps.append(args) if steps is not None else None

    return fit_rows(given, settings, FitContext(5, CPU, target, counted))


@pytest.mark.parametrize(
    ("count", "together", "lengths"),
    [
        (1, 32, [1]),
        (32, 32, [32]),
        (33, 32, [16, 17]),
        (65, 32, [21, 22, 22]),
        (7, 3, [2, 2, 3]),
        (5, 1, [1] * 5),
        (64, 64, [64]),
    ],
)
def test_rows_are_of_about_as_many_frames_each(
    monkeypatch: pytest.MonkeyPatch, count: int, together: int, lengths: list[int]
) -> None:
    fits = Fits(monkeypatch)
    rows = fitted(pictures(count), replace(SETTINGS, together=together))
    assert [len(row.members) for row in rows] == lengths
    assert list(chain(*(row.members for row in rows))) == list(range(count))
    assert [list(row.coded) for row in rows] == [list(row.members) for row in rows]
    assert not any(call["predicted"] for call in fits.calls)
    assert sorted(fits.trials) == [min(3, n) for n in lengths if n > 1]


@pytest.mark.parametrize(("width", "most", "n_rows"), [(4, 2 * 12, 3), (4, 12, 5), (5, 12, 5)])
def test_rows_have_no_more_pixels_than_is_allowed(
    monkeypatch: pytest.MonkeyPatch, width: int, most: int, n_rows: int
) -> None:
    """A row has at least one frame."""
    Fits(monkeypatch)
    rows = fitted(pictures(5, width), replace(SETTINGS, most_pixels=most))
    assert len(rows) == n_rows


@pytest.mark.parametrize("count", [2, 3, 32, 33, 70, 129, 200])
@pytest.mark.parametrize("together", [2, 3, 32, 64])
def test_no_row_is_longer_than_it_may_be_nor_much_shorter_than_others(
    count: int, together: int
) -> None:
    settings = replace(SETTINGS, together=together)
    lengths = [len(run) for run in rows_module._members(pictures(count), range(count), settings)]
    assert max(lengths) <= together
    assert max(lengths) - min(lengths) <= 1
    assert len(lengths) == -(-count // together)


def test_only_alike_pictures_share_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    Fits(monkeypatch)
    given = [
        *pictures(2),
        *pictures(2, folder="a/"),
        *pictures(2, grey=True),
        *pictures(1),
    ]
    members = [list(row.members) for row in fitted(given)]
    assert members == [[0, 1, 6], [2, 3], [4, 5]]
    assert [row.spec["out"] for row in fitted(given)] == [3, 3, 1]


@pytest.mark.parametrize(
    ("count", "chunk", "lengths"),
    [(8, 8, [8]), (9, 8, [4, 5]), (16, 8, [8, 8]), (7, 3, [2, 2, 3]), (3, 2, [1, 2])],
)
def test_predicted_frames_are_cut_into_chunks(
    monkeypatch: pytest.MonkeyPatch, count: int, chunk: int, lengths: list[int]
) -> None:
    """Chunks are about equally long, and a chunk of one frame is not predicted."""
    fits = Fits(monkeypatch, pays=True)
    steps: list[tuple[int, int]] = []
    rows = fitted(pictures(count), replace(SETTINGS, most_predicted=chunk), steps)
    assert fits.trials == [min(count, chunk, 3)]
    assert [len(row.members) for row in rows] == lengths
    assert list(chain(*(row.members for row in rows))) == list(range(count))
    assert [list(row.coded) for row in rows] == [list(row.members) for row in rows]
    assert [call["predicted"] for call in fits.calls] == [n > 1 for n in lengths]
    assert {(call["seed"], call["target"]) for call in fits.calls} == {(5, Target(psnr=30))}
    # Every frame is counted as often as it is fitted, and the trial is not.
    assert sum(n * done for n, done in steps) == count * SETTINGS.recipe.steps
    assert all(done == 1 for _, done in steps)


def test_chunks_are_of_the_frames_of_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    Fits(monkeypatch, pays=True)
    rows = fitted(pictures(10), replace(SETTINGS, together=5, most_predicted=4))
    assert [list(row.members) for row in rows] == [[0, 1], [2, 3, 4], [5, 6], [7, 8, 9]]


def test_predicted_rows_have_no_more_pixels_than_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fits = Fits(monkeypatch, pays=True)
    rows = fitted(pictures(6), replace(SETTINGS, at_once=2 * 12))
    assert [len(row.members) for row in rows] == [2, 2, 2]
    assert fits.trials == [2]
    # Too large for a trial.
    rows = fitted(pictures(3), replace(SETTINGS, at_once=12))
    assert [len(row.members) for row in rows] == [1, 1, 1]
    assert fits.trials == [2]


@pytest.mark.parametrize(
    ("target", "lengths"),
    [
        (Target(psnr=30), [1, 1, 1]),
        (Target(n_bytes=9_000), [1, 1, 1]),
        (Target(n_bytes=2_000), [3]),
    ],
)
def test_frames_of_many_bytes_have_networks_of_their_own(
    monkeypatch: pytest.MonkeyPatch, target: Target, lengths: list[int]
) -> None:
    """The bytes are those of the trial, or those of the target."""
    Fits(monkeypatch, n_bytes=SETTINGS.shared_below)
    rows = fitted(pictures(3), target=target)
    assert [len(row.members) for row in rows] == lengths


@pytest.mark.parametrize(
    ("cores", "together", "threads"), [(1, 9, 1), (4, 9, 4), (4, 5, 2), (4, 3, 1), (4, 1, 1)]
)
def test_frames_of_a_row_share_the_cores_that_rows_leave(
    monkeypatch: pytest.MonkeyPatch, cores: int, together: int, threads: int
) -> None:
    fits = Fits(monkeypatch)
    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        with without_torch_threads(CPU):
            fitted(pictures(9), replace(SETTINGS, together=together))
    finally:
        torch.set_num_threads(before)
    assert {call["threads"] for call in fits.calls} == {threads}


@pytest.mark.parametrize(
    ("name", "most"), [("together", MOST_FRAMES), ("most_predicted", MOST_PREDICTED)]
)
def test_frames_of_a_row_that_its_format_has_no_room_for(name: str, most: int) -> None:
    for value in (0, -1, most + 1):
        message = f"{name}={value}: expected 1 to {most} frames of a row"
        with pytest.raises(RinrInputError, match=message):
            replace(SETTINGS, **{name: value})  # type: ignore[arg-type]
    for value in (1, most):
        assert getattr(replace(SETTINGS, **{name: value}), name) == value  # type: ignore[arg-type]
