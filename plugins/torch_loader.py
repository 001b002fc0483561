"""A loader of whole batches, decoded on the device.

Work is done where it is cheap: workers read and check quantised weights, some kB a frame, and the
main process decodes a batch at a time on the device, all INRs of one spec together. No worker
touches the device, so they may be forked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from rinrcodec.compute.compose import stack_if_equal
from rinrcodec.compute.devices import resolve_device
from rinrcodec.decoder import Decoder
from rinrcodec.errors import RinrInputError
from rinrcodec.pack import PackSource
from rinrcodec.plugins.torch_data import Annotations, RinrDataset, target_of

__all__ = ["RinrLoader"]

Decoded: TypeAlias = "tuple[Tensor | list[Tensor], list[Annotations]]"


@dataclass(frozen=True, slots=True)
class _Batch:
    """Undecoded frames of a batch, and which items they are."""

    indices: list[int]
    source: PackSource
    frames: list[int]


@dataclass(frozen=True, slots=True)
class _Reading(Dataset[_Batch]):
    """What the workers do: a list of indices becomes a batch of undecoded frames."""

    dataset: RinrDataset

    def __getitem__(self, indices: Any) -> _Batch:
        return _Batch(list(indices), self.dataset.read(indices), list(range(len(indices))))


class _Order(Sampler[list[int]]):
    """Which items make up each batch of an epoch; lives in the main process alone."""

    def __init__(
        self, length: int, batch_size: int, *, shuffle: bool, seed: int, drop_last: bool
    ) -> None:
        self.length, self.batch_size = length, batch_size
        self.shuffle, self.seed, self.drop_last = shuffle, seed, drop_last
        self.sampler: Sampler[int] | Sequence[int] | None = None
        self.epoch = 0

    def __len__(self) -> int:
        length = self.length if self.sampler is None else len(self.sampler)  # type: ignore[arg-type]
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        if self.sampler is not None:
            items = list(self.sampler)
        elif self.shuffle:
            generator = np.random.default_rng((self.seed, self.epoch))
            items = generator.permutation(self.length).tolist()
        else:
            items = list(range(self.length))
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield items[start : start + self.batch_size]


class RinrLoader:
    """Batches `(images, targets)` of a `RinrDataset`, decoded on a device.

    images: uint8 [n, 3, H, W] on `device`, or a list of [3, H, W] where sizes differ.
    targets: a list of the dataset's targets, boxes and labels on `device`.

    Iterating once is an epoch. The same `seed` gives the same order and the same tensors for any
    number of workers; every epoch has an order of its own (see `set_epoch`). The dataset's
    `transforms` are called in the main process with every image on the device.

    shuffle: another order in every epoch; sampler: items in an order of your own instead, as a
        `DistributedSampler` gives it, whose epoch is yours to set.
    num_workers: processes that read ahead, `prefetch` batches each; 0 reads in the main process.
        On CUDA the next batch is decoded on a stream of its own while the last one is used.
    resident: read everything once and keep the weights on the device, about 4 bytes a parameter;
        epochs after that read nothing, and no worker is started.
    multiprocessing_context: "fork", "spawn" or "forkserver"; None takes the system's default.

    Raises `RinrInputError` for options that make no sense, `RinrDeviceError` for a device that is
    not there; iterating raises what the dataset raises, naming the file.
    """

    def __init__(
        self,
        dataset: RinrDataset,
        *,
        batch_size: int = 16,
        device: str | torch.device = "auto",
        shuffle: bool = False,
        seed: int = 0,
        num_workers: int = 0,
        prefetch: int = 2,
        drop_last: bool = False,
        resident: bool = False,
        sampler: Sampler[int] | Sequence[int] | None = None,
        multiprocessing_context: str | None = None,
    ) -> None:
        if not isinstance(dataset, RinrDataset):
            raise RinrInputError(f"{dataset!r} is no dataset: want RinrLoader(RinrDataset(paths))")
        if batch_size < 1 or num_workers < 0 or prefetch < 1:
            raise RinrInputError(
                f"batch_size={batch_size}, num_workers={num_workers}, prefetch={prefetch}: "
                "want at least 1, 0 and 1"
            )
        if shuffle and sampler is not None:
            raise RinrInputError("shuffle and sampler both say which order: want one of them")
        self.dataset = dataset
        self.device = resolve_device(device)
        self._order = _Order(
            len(dataset), batch_size, shuffle=shuffle, seed=seed, drop_last=drop_last
        )
        self._order.sampler = sampler
        self._next_epoch = 0
        self._resident = resident
        self._everything: Decoder | None = None
        self._stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        self._batches: DataLoader[_Batch] = DataLoader(
            _Reading(dataset),
            sampler=self._order,
            batch_size=None,  # the order makes batches already
            collate_fn=_as_it_is,
            num_workers=num_workers,
            prefetch_factor=prefetch if num_workers else None,
            persistent_workers=num_workers > 0,
            multiprocessing_context=multiprocessing_context if num_workers else None,
        )

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self._order)

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration that of epoch `epoch`, from 0, as when training is resumed."""
        self._next_epoch = epoch

    def __iter__(self) -> Iterator[Decoded]:
        self._order.epoch = self._next_epoch
        self._next_epoch += 1
        batches = self._from_memory() if self._resident else iter(self._batches)
        if self._stream is None:
            return map(self._decode, batches)
        return self._ahead(batches, self._stream)

    def _from_memory(self) -> Iterator[_Batch]:
        if self._everything is None:
            pack = self.dataset.read(range(len(self.dataset)))
            self._everything = self._decoder(pack, resident=True)
        for indices in self._order:
            yield _Batch(indices, self._everything.source, indices)

    def _decoder(self, source: PackSource, *, resident: bool = False) -> Decoder:
        limits = self.dataset.limits
        return Decoder(source, device=self.device, resident=resident, limits=limits)

    def _decode(self, batch: _Batch) -> Decoded:
        decoder = self._everything or self._decoder(batch.source)
        images = decoder.decode(batch.frames)
        targets = [
            target_of(batch.source.frame(frame), index)
            for frame, index in zip(batch.frames, batch.indices, strict=True)
        ]
        if self.device.type != "cpu":
            _move(targets, self.device)
        if self.dataset.transforms is None:
            return images, targets
        pairs = [self.dataset.transforms(i, t) for i, t in zip(images, targets, strict=True)]
        return stack_if_equal([image for image, _ in pairs]), [target for _, target in pairs]

    def _ahead(self, batches: Iterator[_Batch], stream: torch.cuda.Stream) -> Iterator[Decoded]:
        """Decode the next batch on a stream of its own, then hand out the one before."""
        waiting = None
        for batch in batches:
            with torch.cuda.stream(stream):
                decoded = self._decode(batch)
                done = stream.record_event()
            if waiting is not None:
                yield self._hand_over(*waiting)
            waiting = decoded, done
        if waiting is not None:
            yield self._hand_over(*waiting)

    def _hand_over(self, decoded: Decoded, done: torch.cuda.Event) -> Decoded:
        """Make the stream of the consumer wait for the batch, and the allocator for the stream."""
        images, targets = decoded
        consumer = torch.cuda.current_stream(self.device)
        consumer.wait_event(done)
        tensors = [v for target in targets for v in target.values() if isinstance(v, Tensor)]
        for tensor in [*(images if isinstance(images, list) else [images]), *tensors]:
            if tensor.is_cuda:
                tensor.record_stream(consumer)
        return decoded


def _as_it_is(batch: Any) -> Any:
    return batch


def _move(targets: Sequence[Annotations], device: torch.device) -> None:
    """Boxes and labels of a batch to the device, in one copy each."""
    counts = [len(target["labels"]) for target in targets]
    for key in ("boxes", "labels"):
        moved = torch.cat([target[key] for target in targets]).to(device)
        for target, part in zip(targets, moved.split(counts), strict=True):
            target[key] = part
