"""Objects of several families: each is coded by the one that takes the fewest bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from rinrcodec.compute.arrays import as_tensor
from rinrcodec.compute.devices import require_torch
from rinrcodec.errors import MissingExtraError, RinrInputError
from rinrcodec.families.interface import FitContext, FittedObjects, ObjectEncoder, Reference
from rinrcodec.metrics import row_bytes
from rinrcodec.pack import InrRef, ObjectInr

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Cheapest"]

# How many times its share of a row's bytes, by pixels, an object takes at most, nearly always.
_LARGEST_SHARE = 2.0
_MOST_PIXELS = 4096  # of an object that other families try


@dataclass(frozen=True, slots=True)
class Cheapest(ObjectEncoder):
    """One family for all objects, and others for those that they code in fewer bytes.

    Another family codes an object where its row takes fewer bytes than the object takes from
    `main`, at no larger error. Nothing is fitted where the bytes alone exclude that, or where they
    are more than twice the object's share of its row: a trial costs as much as coding the object.
    Families that need torch are left out where it is not installed.

    main: codes all objects first, for the quality that is asked for.
    others: families of which the bytes of a row are known before the fit (`sized`).
    """

    main: ObjectEncoder
    others: tuple[ObjectEncoder, ...] = ()

    family: ClassVar[str] = "auto"
    asks_for_quality: ClassVar[bool] = True
    needs_torch: ClassVar[bool] = False

    def with_steps(self, steps: int) -> Self:
        return self._each("with_steps", steps)

    def with_gop(self, gop: int) -> Self:
        return self._each("with_gop", gop)

    def alone(self) -> Self:
        return self._each("alone")

    def with_bits(self, bits: int) -> ObjectEncoder:
        """Return the settings of the first family that has bits to choose, with that many."""
        for one in (self.main, *self.others):
            with suppress(RinrInputError):
                return one.with_bits(bits)
        return super(Cheapest, self).with_bits(bits)

    def fit(self, references: Sequence[Reference], context: FitContext) -> Iterator[FittedObjects]:
        fitted = _Fitted(_fit(self.main, references, context), [])
        for other in self.others:
            if references and _can_fit(other):
                fitted = self._with(other, fitted, references, context)
        yield from fitted.groups

    def work(self, area: int, channels: int) -> float:
        return self.main.work(area, channels)

    def _each(self, method: str, *values: int) -> Self:
        main, *others = (getattr(one, method)(*values) for one in (self.main, *self.others))
        return replace(self, main=main, others=tuple(others))

    def _with(
        self,
        other: ObjectEncoder,
        fitted: _Fitted,
        references: Sequence[Reference],
        context: FitContext,
    ) -> _Fitted:
        """Replace objects by those from another family where they take fewer bytes."""
        quiet = replace(context, counted=_not_counted)
        wanted = []
        for group in fitted.groups:
            for row, members in enumerate(group.members):
                area = sum(_area(references[number]) for number, _ in members)
                for number, _ in members:
                    if _area(references[number]) > _MOST_PIXELS:
                        continue  # fits that take long, and whose error never comes near
                    size = _row_bytes(other, references[number])
                    share = min(1.0, _LARGEST_SHARE * _area(references[number]) / area)
                    # A row of its own bounds it, too, but takes a fit.
                    if size < share * _bytes(group, [row]) and size < sum(
                        _bytes(one) for one in _fit(self.main, [references[number]], quiet)
                    ):
                        wanted.append(number)
        if not wanted:
            return fitted
        tried = [
            _renumbered(group, wanted)
            for group in _fit(other, [references[n] for n in wanted], quiet)
        ]
        errors = _errors(fitted.groups, references, context)
        better = _errors(tried, references, context)
        winners = {number for number, error in better.items() if error <= errors[number]}
        if not winners:
            return fitted
        others = [_only(group, lambda number: number not in winners) for group in fitted.others]
        others += [_only(group, winners.__contains__) for group in tried]
        rest = [n for n in fitted.numbers if n not in winners]
        again = _fit(self.main, [references[n] for n in rest], quiet) if rest else ()
        chosen = _Fitted([_renumbered(group, rest) for group in again], others)
        return chosen if chosen.n_bytes < fitted.n_bytes else fitted


@dataclass(frozen=True, slots=True)
class _Fitted:
    """The objects of the main family, and those of others, which each have a row to themselves."""

    main: Sequence[FittedObjects]
    others: Sequence[FittedObjects]

    @property
    def groups(self) -> list[FittedObjects]:
        return [*self.others, *self.main]

    @property
    def n_bytes(self) -> int:
        return sum(map(_bytes, self.groups))

    @property
    def numbers(self) -> list[int]:
        """The references that the main family codes, in order."""
        return sorted(n for group in self.main for row in group.members for n, _ in row)


def _can_fit(encoder: ObjectEncoder) -> bool:
    try:
        if encoder.needs_torch:
            require_torch()
    except MissingExtraError:
        return False
    return True


def _fit(
    encoder: ObjectEncoder, references: Sequence[Reference], context: FitContext
) -> list[FittedObjects]:
    """Fit references, with tensors for an encoder that needs torch."""
    if encoder.needs_torch:
        references = [replace(one, signal=as_tensor(one.signal)) for one in references]
    return list(encoder.fit(references, context))


def _not_counted(work: float) -> Callable[[int, int], None]:
    del work

    def on_step(rows: int, steps: int) -> None:
        del rows, steps

    return on_step


def _area(reference: Reference) -> int:
    height, width, _ = reference.signal.shape
    return int(height * width)


def _row_bytes(encoder: ObjectEncoder, reference: Reference) -> int:
    height, width, channels = reference.signal.shape
    return encoder.row_bytes(height * width, channels)


def _bytes(fitted: FittedObjects, rows: Sequence[int] | None = None) -> int:
    """Return the bytes of some rows, or of all, before the container compresses them."""
    group = fitted.group
    numbers = range(len(group.rows.codes)) if rows is None else rows
    coded = sum(len(group.rows.coded[row]) for row in numbers) if group.rows.coded else 0
    return coded + math.ceil(len(numbers) * row_bytes(group.info))


def _renumbered(fitted: FittedObjects, numbers: Sequence[int]) -> FittedObjects:
    members = [[(numbers[n], cell) for n, cell in its] for its in fitted.members]
    return replace(fitted, members=members)


def _only(fitted: FittedObjects, chosen: Callable[[int], bool]) -> FittedObjects:
    """Keep the rows of the chosen references, in a family where each has a row to itself."""
    rows = [row for row, its in enumerate(fitted.members) if chosen(its[0][0])]
    group = replace(fitted.group, rows=fitted.group.rows.take(rows))
    return replace(fitted, group=group, members=[fitted.members[row] for row in rows])


def _errors(
    groups: Sequence[FittedObjects], references: Sequence[Reference], context: FitContext
) -> dict[int, float]:
    """Measure the squared error of every object, by the number of its reference."""
    from rinrcodec.families.fitted import object_outputs

    errors = {}
    for fitted in groups:
        objects, numbers = [], []
        for row, members in enumerate(fitted.members):
            for number, cell in members:
                one = references[number]
                gain = one.gain if fitted.gain is None else fitted.gain
                inr = ObjectInr(InrRef(0, row), "residual", gain, cell)
                objects.append((inr, one.signal.shape[:2]))
                numbers.append(number)
        outputs = object_outputs(fitted.group, objects, context.gpu)
        for number, (inr, _), output in zip(numbers, objects, outputs, strict=True):
            one = references[number]
            difference = output * inr.gain - one.signal * one.gain
            errors[number] = float((difference**2).sum())
    return errors
