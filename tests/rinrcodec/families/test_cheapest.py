"""Objects of the family of the fewest bytes, with families that code a residual as they like."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from rinrcodec.boxes import Region
from rinrcodec.errors import RinrInputError
from rinrcodec.families import cheapest
from rinrcodec.families.cheapest import Cheapest
from rinrcodec.families.interface import FitContext, FittedObjects, ObjectEncoder, Reference
from rinrcodec.pack import Cell, Group, Rows, Spec
from rinrcodec.targets import Target

# Of a toy: the value that its objects decode to, by the number of the reference.
CALLS: list[tuple[str, list[int]]] = []


@dataclass(frozen=True)
class Toy(ObjectEncoder):
    """Codes references as rows of `sizes` bytes, that decode to the signal + `error`.

    together: of how many objects is a row, whose bytes are those of the first.
    """

    name: str
    sizes: tuple[int, ...]
    errors: tuple[float, ...] = (0.0,)
    together: int = 1
    steps: int = 0
    gop: int = 0

    family: ClassVar[str] = "toy"
    sized: ClassVar[bool] = True

    def with_steps(self, steps: int) -> Toy:
        return replace(self, steps=steps)

    def with_gop(self, gop: int) -> Toy:
        return replace(self, gop=gop)

    def alone(self) -> Toy:
        return replace(self, together=1)

    def work(self, area: int, channels: int) -> float:
        return float(area * channels)

    def row_bytes(self, area: int, channels: int) -> int:
        del channels
        return self.sizes[(area - 1) % len(self.sizes)]

    def fit(self, references: Sequence[Reference], context: FitContext) -> Iterator[FittedObjects]:
        context.counted(1.0)(len(references), 1)
        CALLS.append((self.name, [one.region.width - 1 for one in references]))
        rows = [
            list(range(start, min(start + self.together, len(references))))
            for start in range(0, len(references), self.together)
        ]
        coded = tuple(b"x" * self.row_bytes(references[row[0]].region.area, 1) for row in rows)
        none = np.zeros((len(rows), 0), np.int8), np.zeros((len(rows), 0), np.float32)
        members = [[(n, Cell(0, n, 0)) for n in row] for row in rows]
        if rows:
            yield FittedObjects(
                Group(Spec.of("toy", name=self.name), 8, Rows(*none, coded)), members
            )


@dataclass
class Bench:
    """References of 1, 2, 3... pixels, and the objects that were fitted for them."""

    n: int
    counted: list[int] = field(default_factory=list)

    @property
    def references(self) -> list[Reference]:
        return [
            Reference(k, k, Region(0, 0, k + 1, 1), torch.ones(1, k + 1, 1), 1.0)
            for k in range(self.n)
        ]

    def fit(self, main: Toy, *others: Toy) -> list[FittedObjects]:
        def counted(work: float) -> Any:
            assert work == 1
            return lambda rows, steps: self.counted.append(rows * steps)

        context = FitContext(0, torch.device("cpu"), Target(), counted)
        CALLS.clear()
        fitted = list(Cheapest(main, others).fit(self.references, context))
        numbers = [n for group in fitted for row in group.members for n, _ in row]
        assert sorted(numbers) == list(range(self.n))
        return fitted


@pytest.fixture(autouse=True)
def _decode(monkeypatch: pytest.MonkeyPatch) -> None:
    """A toy decodes to ones and an error that it was built with, by the width of the object."""

    def outputs(group: Group, objects: Any, device: torch.device) -> list[Tensor]:
        del device
        errors = ERRORS[str(group.spec["name"])]
        return [
            torch.full((height, width, 1), 1 + errors[(width - 1) % len(errors)])
            for _, (height, width) in objects
        ]

    monkeypatch.setattr("rinrcodec.families.fitted.object_outputs", outputs)


ERRORS: dict[str, tuple[float, ...]] = {}


def toy(name: str, *sizes: int, errors: tuple[float, ...] = (0.0,), together: int = 1) -> Toy:
    ERRORS[name] = errors
    return Toy(name, sizes, errors, together)


def families_of(fitted: Sequence[FittedObjects]) -> dict[int, str]:
    return {
        n: str(group.group.spec["name"])
        for group in fitted
        for row in group.members
        for n, _ in row
    }


def bytes_of(fitted: Sequence[FittedObjects]) -> int:
    return sum(len(row) for group in fitted for row in group.group.rows.coded)


def test_another_family_takes_what_it_codes_in_fewer_bytes() -> None:
    fitted = Bench(4).fit(toy("main", 10, 10, 10, 10), toy("other", 5, 20, 10, 9))
    assert families_of(fitted) == {0: "other", 1: "main", 2: "main", 3: "other"}
    assert bytes_of(fitted) == 5 + 10 + 10 + 9


def test_another_family_takes_nothing_at_a_larger_error() -> None:
    main, other = toy("main", 10, errors=(0.2,)), toy("other", 5, errors=(0.1, 0.3, -0.2, -0.21))
    assert families_of(Bench(4).fit(main, other)) == {0: "other", 1: "main", 2: "other", 3: "main"}


def test_nothing_is_fitted_where_bytes_exclude_it() -> None:
    bench = Bench(3)
    fitted = bench.fit(toy("main", 10), toy("other", 10))
    assert set(families_of(fitted).values()) == {"main"}
    assert CALLS == [("main", [0, 1, 2])]
    bench.fit(toy("main", 10), toy("other", 12, 5, 12))
    assert [its for name, its in CALLS if name == "other"] == [[1]]


def test_a_shared_row_is_compared_with_a_row_of_its_own() -> None:
    """A row of three objects of 30 bytes: one of 15 does not win where a row of its own has 10."""
    main = replace(toy("main", 30, 10, 10), together=3)
    fitted = Bench(3).fit(main, toy("other", 99, 15, 15))
    assert set(families_of(fitted).values()) == {"main"}
    assert not [name for name, _ in CALLS if name == "other"]


def test_an_object_far_above_its_share_of_a_row_is_not_tried() -> None:
    """A sixth of the pixels of a row of 30 bytes takes hardly 20 of them: no row of its own."""
    main = replace(toy("main", 30), together=3)
    fitted = Bench(3).fit(main, toy("other", 20, 99, 99))
    assert set(families_of(fitted).values()) == {"main"}
    assert CALLS == [("main", [0, 1, 2])]


def test_a_choice_that_takes_more_bytes_in_all_is_none() -> None:
    """Without its first object the row of the others takes as much: nothing is saved."""
    main = replace(toy("main", 30, 40, 40), together=3)
    fitted = Bench(3).fit(main, toy("other", 9, 99, 99))
    assert [name for name, _ in CALLS if name == "other"] == ["other"]
    assert set(families_of(fitted).values()) == {"main"}
    assert bytes_of(fitted) == 30


def test_numbers_and_cells_are_right_when_others_are_left_out() -> None:
    main = toy("main", 10, together=2)
    fitted = Bench(5).fit(main, toy("other", 1, 99, 99, 2, 99))
    groups = {str(one.group.spec["name"]): one for one in fitted}
    assert groups["other"].members == [[(0, Cell(0, 0, 0))], [(3, Cell(0, 1, 0))]]
    assert [len(row) for row in groups["other"].group.rows.coded] == [1, 2]
    # Fitted again as references 0, 1 and 2, two of which share a row.
    assert groups["main"].members == [
        [(1, Cell(0, 0, 0)), (2, Cell(0, 1, 0))],
        [(4, Cell(0, 2, 0))],
    ]
    assert CALLS[-1] == ("main", [1, 2, 4])


def test_all_objects_may_go_to_another_family() -> None:
    fitted = Bench(3).fit(toy("main", 10), toy("other", 1))
    assert [one.members for one in fitted] == [[[(n, Cell(0, n, 0))] for n in range(3)]]
    assert CALLS[-1][0] == "other"


def test_several_families_take_turns() -> None:
    main = toy("main", 10)
    fitted = Bench(4).fit(main, toy("b", 5, 99, 99, 8), toy("c", 4, 7, 99, 9))
    assert families_of(fitted) == {0: "c", 1: "c", 2: "main", 3: "b"}
    assert bytes_of(fitted) == 4 + 7 + 10 + 8


@pytest.mark.parametrize("seed", range(8))
def test_the_total_is_never_larger(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [tuple(int(v) for v in rng.integers(1, 60, 6)) for _ in range(3)]
    together = int(rng.integers(1, 4))
    main = toy("main", *sizes[0], together=together)
    before = bytes_of(Bench(6).fit(main))
    after = bytes_of(Bench(6).fit(main, toy("b", *sizes[1]), toy("c", *sizes[2])))
    assert after <= before
    if together == 1:
        assert after == sum(min(triple) for triple in zip(*sizes, strict=True))


def test_only_the_first_fit_is_progress() -> None:
    bench = Bench(4)
    bench.fit(toy("main", 10), toy("other", 5))
    assert bench.counted == [4]


def test_no_objects_at_all() -> None:
    assert Bench(0).fit(toy("main", 10), toy("other", 5)) == []


def test_settings_are_passed_on_and_pickled() -> None:
    encoder = Cheapest(toy("main", 10, together=3), (toy("other", 5),))
    changed = encoder.with_steps(7).with_gop(2).alone()
    assert isinstance(changed, Cheapest)
    for one in (changed.main, *changed.others):
        assert isinstance(one, Toy)
        assert (one.steps, one.gop, one.together) == (7, 2, 1)
    assert encoder.work(5, 3) == 15
    assert encoder.asks_for_quality
    assert pickle.loads(pickle.dumps(encoder)) == encoder
    assert cheapest.__all__ == ["Cheapest"]


def test_bits_are_those_of_a_family_that_has_them() -> None:
    from rinrcodec.presets import get_preset

    objects = get_preset("balanced").objects
    assert isinstance(objects, Cheapest)
    assert pickle.loads(pickle.dumps(objects)) == objects
    assert objects.with_bits(16).family == "siren"
    with pytest.raises(RinrInputError, match="no bits to choose"):
        Cheapest(toy("main", 10)).with_bits(16)
