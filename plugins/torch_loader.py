"""A loader of whole batches, decoded on the device.

Work is done where it is cheap: workers read and check quantised weights, some kB a frame, and the
main process decodes a batch at a time on the device, all INRs of one spec together. No worker
touches the device, so they may be forked.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from rinrcodec.compute.compose import stack_if_equal
from rinrcodec.compute.devices import resolve_device
from rinrcodec.decoder import Decoder
from rinrcodec.errors import RinrInputError
from rinrcodec.pack import Pack
from rinrcodec.plugins._torch_order import EpochOrder, Shuffle, Step
from rinrcodec.plugins._torch_targets import PER_BOX, Annotations, target_of
from rinrcodec.plugins._torch_transforms import finish_item, tv_tensors
from rinrcodec.plugins.torch_data import Item, RinrDataset

__all__ = ["RinrLoader"]

Decoded: TypeAlias = "tuple[Tensor | list[Tensor], list[Annotations]]"


# Pixels decoded in one call at most, where frames are decoded ahead: about 400 MB as float32.
_PIXELS_AT_ONCE = 2**25


@dataclass(frozen=True, slots=True)
class _Batch:
    """The undecoded frames of a step: the numbers in `source` of its items."""

    step: Step
    source: Pack
    frames: list[int]


@dataclass(frozen=True, slots=True)
class _Reading(Dataset[_Batch]):
    """The work of the loader's workers: make a batch of undecoded frames of the items of a step."""

    dataset: RinrDataset

    def __getitem__(self, step: Any) -> _Batch:
        pack = self.dataset.read(step.items) if step.items else Pack((), (), {})
        return _Batch(step, pack, list(range(len(step.items))))


class RinrLoader:
    """Load batches of a `RinrDataset`, decoded on a device.

    Iterating gives `(images, targets)`, and once through is an epoch. Images are uint8 [n, 3, H, W]
    on the device, or a list of [3, H, W] where sizes differ. Targets are a list of the dataset's
    targets, with all tensors on the device. Each epoch has an order of its own. The same `seed`
    gives the same order and the same tensors for any number of workers.

    Args:
        dataset: The frames, or a `torch.utils.data.Subset` of them. Its `transforms` are called in
            the main process, with every image on the device.
        batch_size: Frames in a batch.
        device: Where to decode: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:N".
        shuffle: True puts rows in random order, gathers whole rows in a buffer, and shuffles the
            frames in it. This is a full shuffle where every frame has a row of its own. "frames" is
            a full shuffle in any case, but decodes a shared row again and again.
        buffer_size: Frames of the buffer; a longer row is a buffer of its own. In every order,
            frames of one row that are due within so many frames are decoded together, if decoding
            one takes those before it. They wait on the device, at 3 bytes a pixel.
        seed: Of the order.
        num_workers: Processes that read ahead; 0 reads in the main process. On CUDA, the next batch
            is decoded on a stream of its own.
        prefetch: Batches that each worker reads ahead.
        drop_last: Leave out a last batch that is not full.
        resident: Read everything once, and keep the weights on the device, at about 4 bytes a
            parameter. Later epochs read nothing, and no worker is started.
        sampler: Items in an order of your own instead of `shuffle`, such as a `DistributedSampler`
            of the same dataset or subset. Setting its epoch is up to you.
        multiprocessing_context: "fork", "spawn" or "forkserver"; None takes the system's default.

    Raises:
        RinrInputError: Options that make no sense.
        RinrDeviceError: There is no such device.
        RinrFormatError: A file is damaged; raised while iterating.

    Example:
        >>> import numpy as np, rinrcodec
        >>> pack = rinrcodec.encode([np.zeros((24, 32, 3), np.uint8)] * 3)
        >>> size = rinrcodec.save(pack, "three.rinr")
        >>> loader = rinrcodec.RinrLoader(rinrcodec.RinrDataset("three.rinr"), batch_size=2)
        >>> for images, targets in loader:
        ...     print(tuple(images.shape), len(targets))
        (2, 3, 24, 32) 2
        (1, 3, 24, 32) 1
    """

    def __init__(
        self,
        dataset: RinrDataset | Subset[Item],
        *,
        batch_size: int = 16,
        device: str | torch.device = "auto",
        shuffle: Shuffle = False,
        buffer_size: int = 256,
        seed: int = 0,
        num_workers: int = 0,
        prefetch: int = 2,
        drop_last: bool = False,
        resident: bool = False,
        sampler: Sampler[int] | Sequence[int] | None = None,
        multiprocessing_context: str | None = None,
    ) -> None:
        base, items = _resolved(dataset)
        if batch_size < 1 or num_workers < 0 or prefetch < 1:
            raise RinrInputError(
                f"batch_size={batch_size}, num_workers={num_workers}, prefetch={prefetch}: "
                "expected at least 1, 0 and 1"
            )
        if buffer_size < 1:
            raise RinrInputError(f"buffer_size={buffer_size}: expected at least 1 frame")
        if shuffle not in (True, False, "frames"):
            raise RinrInputError(f'shuffle={shuffle!r}: expected True, False or "frames"')
        if shuffle and sampler is not None:
            raise RinrInputError("shuffle and sampler both say which order: give one of them")
        self.dataset = dataset
        self._base, self._items = base, items
        self.device = resolve_device(device)
        self._order = EpochOrder(
            base,
            items,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_last=drop_last,
            buffer_size=buffer_size,
            sampler=sampler,
        )
        self._next_epoch = 0
        self._resident = resident
        # The pack of all items, its decoder, and where in it each item is.
        self._everything: tuple[Pack, Decoder, dict[int, int]] | None = None
        self._stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        self._batches: DataLoader[_Batch] = DataLoader(
            _Reading(base),
            sampler=self._order,
            batch_size=None,  # the order makes batches already
            collate_fn=_as_it_is,
            num_workers=num_workers,
            prefetch_factor=prefetch if num_workers else None,
            persistent_workers=num_workers > 0,
            multiprocessing_context=multiprocessing_context if num_workers else None,
        )

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self._order)

    def set_epoch(self, epoch: int) -> None:
        """Continue with an epoch, as when training is resumed.

        Args:
            epoch: The epoch of the next iteration, from 0.
        """
        self._next_epoch = epoch

    def __iter__(self) -> Iterator[Decoded]:
        self._order.epoch = self._next_epoch
        self._next_epoch += 1
        batches = self._from_memory() if self._resident else iter(self._batches)
        waiting: dict[int, Item] = {}
        if self._stream is None:
            return (self._decode(batch, waiting) for batch in batches)
        return self._ahead(batches, waiting, self._stream)

    def _from_memory(self) -> Iterator[_Batch]:
        if self._everything is None:
            items = sorted(set(self._items))
            pack = self._base.read(items)
            places = {item: place for place, item in enumerate(items)}
            self._everything = pack, self._decoder(pack, resident=True), places
        pack, _, places = self._everything
        for step in self._order:
            yield _Batch(step, pack, [places[item] for item in step.items])

    def _decoder(self, source: Pack, *, resident: bool = False) -> Decoder:
        limits = self._base.limits
        return Decoder(source, device=self.device, resident=resident, limits=limits)

    def _decode(self, batch: _Batch, waiting: dict[int, Item]) -> Decoded:
        """Decode the frames of a step, and hand out those that are due.

        waiting: frames decoded for later batches, by their positions in the epoch.
        """
        decoder = self._everything[1] if self._everything else self._decoder(batch.source)
        options = self._base.options
        for part in _parts(batch):
            frames = batch.frames[part]
            images = decoder.decode(frames)
            targets = [
                target_of(batch.source.frame(frame), item, batch.source.info, options)
                for frame, item in zip(frames, batch.step.items[part], strict=True)
            ]
            if self.device.type != "cpu":
                _move(targets, self.device)
            waiting.update(
                zip(batch.step.positions[part], zip(images, targets, strict=True), strict=True)
            )
        due = [waiting.pop(position) for position in batch.step.due]
        pairs = [finish_item(*item, self._base.transforms, options) for item in due]
        stacked = stack_if_equal([image for image, _ in pairs])
        if options.tv and isinstance(stacked, Tensor):
            stacked = tv_tensors().Image(stacked)
        return stacked, [target for _, target in pairs]

    def _ahead(
        self, batches: Iterator[_Batch], waiting: dict[int, Item], stream: torch.cuda.Stream
    ) -> Iterator[Decoded]:
        """Decode the next batch on a stream of its own, then hand out the one before."""
        last = None
        for batch in batches:
            with torch.cuda.stream(stream):
                decoded = self._decode(batch, waiting)
                done = stream.record_event()
            if last is not None:
                yield self._hand_over(*last)
            last = decoded, done
        if last is not None:
            yield self._hand_over(*last)

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


def _parts(batch: _Batch) -> Iterator[slice]:
    """Cut the frames of a step, between rows, into parts that fit into memory as float32."""
    start, pixels, row = 0, 0, None
    for position, number in enumerate(batch.frames):
        frame = batch.source.frame(number)
        if pixels > _PIXELS_AT_ONCE and frame.background != row:
            yield slice(start, position)
            start, pixels = position, 0
        pixels += frame.width * frame.height
        row = frame.background
    if start < len(batch.frames):
        yield slice(start, len(batch.frames))


def _as_it_is(batch: Any) -> Any:
    return batch


def _move(targets: Sequence[Annotations], device: torch.device) -> None:
    """Move the tensors of a batch to the device, in one copy each; masks one by one."""
    for key in PER_BOX:
        having = [target for target in targets if key in target]
        if key == "masks":
            for target in having:
                target[key] = target[key].to(device)
        elif having:
            counts = [len(target[key]) for target in having]
            moved = torch.cat([target[key] for target in having]).to(device)
            for target, part in zip(having, moved.split(counts), strict=True):
                target[key] = part


def _resolved(dataset: Any) -> tuple[RinrDataset, Sequence[int]]:
    """Return the data set below subsets of it, and their items.

    Raises `RinrInputError` for other data sets, and for an index that is not in one.
    """
    chain = [dataset]
    while isinstance(chain[-1], Subset):
        chain.append(chain[-1].dataset)
    base = chain.pop()
    if not isinstance(base, RinrDataset):
        raise RinrInputError(
            f"RinrLoader takes a RinrDataset or a Subset of one, found {base!r}. Join files with "
            "RinrDataset([path, path]); for other datasets use torch's DataLoader."
        )
    items: Sequence[int] = range(len(base))
    for subset in reversed(chain):
        indices = [operator.index(index) for index in subset.indices]
        wrong = [index for index in indices if not -len(items) <= index < len(items)]
        if wrong:
            raise RinrInputError(
                f"a Subset has item {wrong[0]}, but its dataset has {len(items)} items"
            )
        items = [items[index] for index in indices]
    return base, items
