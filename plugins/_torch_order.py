"""The epochs of `RinrLoader`: the order of items, their batches, and what is decoded with each.

In a family that chains frames, a frame is decoded after those before it in its row. So when the
first frame of a row is due, its frames of the next batches are decoded with it, and wait:

    batch      items due      items decoded, for rows {0 1 2 3} and {4 5 6 7}
    0          5 0            5 4 7 6, 0 3 1 2
    1          3 4            -
    2          1 7            -
    3          2 6            -
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from rinrcodec.plugins.torch_data import RinrDataset

__all__ = ["EpochOrder", "Shuffle", "Step"]

Shuffle = Literal[True, False, "frames"]

_READERS = 16  # files read at the same time, which may be far away


@dataclass(frozen=True, slots=True)
class Step:
    """A batch of an epoch, and the work that comes with it.

    due: the positions in the epoch that the batch consists of.
    positions: the positions to decode now, row by row; `items` are the items there.
    """

    due: range
    positions: list[int]
    items: list[int]


class EpochOrder(Sampler[Step]):
    """The batches of an epoch, as steps; lives in the main process alone.

    Args:
        dataset: Whose items are ordered.
        items: Those that take part, in order; the order of a sampler counts from their start.
        batch_size: Items in a batch.
        shuffle: True shuffles rows, then frames in a buffer; "frames" all frames, wherever their
            rows are.
        seed: With `epoch`, it decides the order.
        drop_last: Leave out a last batch that is smaller.
        buffer_size: Frames of a buffer of rows, and how far ahead frames are decoded.
        sampler: Items in an order of its own, or None.
    """

    def __init__(
        self,
        dataset: RinrDataset,
        items: Sequence[int],
        *,
        batch_size: int,
        shuffle: Shuffle,
        seed: int,
        drop_last: bool,
        buffer_size: int,
        sampler: Sampler[int] | Sequence[int] | None,
    ) -> None:
        self.epoch = 0
        self._all = items
        self._rows = _Rows(dataset)
        self._batch_size, self._drop_last = batch_size, drop_last
        self._shuffle, self._seed, self._buffer_size = shuffle, seed, buffer_size
        self._sampler = sampler

    def __len__(self) -> int:
        length = len(self._all if self._sampler is None else self._sampler)  # type: ignore[arg-type]
        return length // self._batch_size if self._drop_last else -(-length // self._batch_size)

    def __iter__(self) -> Iterator[Step]:
        return self._steps(self._items()[: len(self) * self._batch_size])

    def _items(self) -> list[int]:
        """Return the items of the epoch, in order."""
        if self._sampler is not None:
            return [self._all[position] for position in self._sampler]
        generator = np.random.default_rng((self._seed, self.epoch))
        if self._shuffle == "frames":
            order = generator.permutation(len(self._all)).tolist()
        elif self._shuffle:
            order = _shuffled(self._rows.of(self._all), self._buffer_size, generator)
        else:
            return list(self._all)
        return [self._all[position] for position in order]

    def _steps(self, items: Sequence[int]) -> Iterator[Step]:
        """Cut items into batches; a row's items that are near enough are decoded together."""
        ahead: dict[int, list[int]] = defaultdict(list)  # positions not decoded yet, by row
        seen = 0
        decoded: set[int] = set()
        for start in range(0, len(items), self._batch_size):
            due = range(start, min(start + self._batch_size, len(items)))
            positions: list[int] = []
            for position in due:
                while seen < min(position + self._buffer_size, len(items)):
                    ahead[self._rows.start(items[seen])].append(seen)
                    seen += 1
                if position in decoded:
                    decoded.remove(position)
                    continue
                together = ahead.pop(self._rows.start(items[position]))
                positions += together
                decoded.update(together[1:])
            yield Step(due, positions, [items[position] for position in positions])


class _Rows:
    """The rows of a data set; what a file says of them is read when it is first asked for."""

    def __init__(self, dataset: RinrDataset) -> None:
        self._dataset = dataset
        # By the number of the file; None where every frame is decoded alone.
        self._starts: dict[int, NDArray[np.int64] | None] = {}

    def start(self, item: int) -> int:
        """Return the first item of an item's row, counted from 0; itself if it is decoded alone."""
        file, _ = self._dataset.locate(item)
        if file not in self._starts:
            self._starts[file] = self._dataset.row_starts(file)
        starts = self._starts[file]
        first = self._dataset.first_items[file]
        return item if starts is None else first + int(starts[item - first])

    def of(self, items: Sequence[int]) -> NDArray[np.int64]:
        """Return `start` of many items."""
        wanted = np.asarray(items, np.int64)
        files = np.unique(np.searchsorted(self._dataset.first_items, wanted, "right") - 1)
        missing = [k for k in files.tolist() if k not in self._starts]
        with ThreadPoolExecutor(_READERS) as pool:
            self._starts |= zip(missing, pool.map(self._dataset.row_starts, missing), strict=True)
        result = np.arange(len(self._dataset))
        for file, starts in self._starts.items():
            if starts is not None:
                first = self._dataset.first_items[file]
                result[first : first + len(starts)] = first + starts
        return result[wanted]


def _shuffled(
    starts: NDArray[np.int64], buffer_size: int, generator: np.random.Generator
) -> list[int]:
    """Shuffle rows, in buffers of whole rows whose frames are in random order."""
    _, counts = np.unique(starts, return_counts=True)
    if len(counts) == len(starts):
        order: list[int] = generator.permutation(len(starts)).tolist()
        return order
    rows = np.split(np.argsort(starts, kind="stable"), np.cumsum(counts)[:-1])
    items: list[int] = []
    buffer: list[NDArray[np.int64]] = []
    n_waiting = 0

    def empty() -> None:
        items.extend(generator.permutation(np.concatenate(buffer)).tolist())
        buffer.clear()

    for number in generator.permutation(len(rows)):
        row = rows[number]
        if buffer and n_waiting + len(row) > buffer_size:
            empty()
            n_waiting = 0
        buffer.append(row)
        n_waiting += len(row)
    empty()
    return items
