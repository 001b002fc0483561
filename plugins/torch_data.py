"""`.rinr` files as a torch dataset, and a loader that decodes whole batches on the device.

`RinrDataset` alone works with any torch `DataLoader`: every item is decoded on the CPU by whoever
asks for it. `RinrLoader` moves the work to where it is cheap: workers read and check quantised
weights, some kB a frame, and the main process decodes a batch at a time on the device, all INRs of
one spec together. No worker touches the device, so they may be forked.
"""

from __future__ import annotations

import os
import threading
import warnings
from bisect import bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from rinrcodec.compose import stack_if_equal
from rinrcodec.decoder import Decoder
from rinrcodec.devices import resolve_device
from rinrcodec.errors import RinrError, RinrInputError
from rinrcodec.files import RinrFile
from rinrcodec.formats import PackReader, read_header
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.model import Frame, Metadata, Pack, PackSource, merge_packs, select_frames

__all__ = ["RinrDataset", "RinrLoader", "collate", "find_files"]

Target: TypeAlias = "dict[str, Any]"
Item: TypeAlias = "tuple[Tensor, Target]"
Paths: TypeAlias = "str | PathLike[str] | Iterable[str | PathLike[str]]"

_OPEN_FILES = 64  # a process may have 1,024 open by default, and workers inherit


def find_files(paths: Paths) -> list[Path]:
    """The `.rinr` files of files and folders: those of a folder, and below it, sorted by path.

    Raises `RinrInputError` for a path that is not there and for a folder without any.
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    found: list[Path] = []
    for path in map(Path, given):
        if path.is_dir():
            # Hidden folders hold the unfinished parts of a run.
            inside = sorted(
                file
                for file in path.rglob("*.rinr")
                if not any(part.startswith(".") for part in file.relative_to(path).parts)
            )
            if not inside:
                raise RinrInputError(
                    f"{path}: no .rinr file in this folder or below it; "
                    f"rinrcodec compress makes them from pictures"
                )
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise RinrInputError(f"{path}: there is no such file or folder")
    if not found:
        raise RinrInputError("no paths given: want .rinr files or folders of them")
    return [path.absolute() for path in found]


def collate(items: Sequence[Item]) -> tuple[list[Tensor], list[Target]]:
    """A batch as torchvision's detectors take it; `collate_fn` for a `DataLoader`."""
    return [image for image, _ in items], [target for _, target in items]


class RinrDataset(Dataset[Item]):
    """Frames of `.rinr` files in the order of the files: items `(image, target)`.

    image: uint8 [3, H, W] RGB on the CPU; a grey frame has three equal channels.
    target: `boxes` float32 [n, 4] as (x1, y1, x2, y2) in pixels, `labels` int64 [n], both in the
        order of the file and as it gives them (torchvision's detectors keep label 0 for the
        background: add 1 in `transforms`); `image_id`, the index of the item; `name`.

    paths: a file, a folder (searched below, too), or several. transforms: called with image and
    target, returns both. Only the user blocks are read here; files are opened when a frame is asked
    for, in every process anew, and the last used stay open. `skip_damaged` reads every file whole
    instead, and leaves out those that are damaged, with a warning.

    Raises `RinrInputError` for paths without `.rinr` files; here or at an item, `RinrFormatError`
    for a damaged file and `RinrLimitError` for one that is larger than `limits`.
    """

    def __init__(
        self,
        paths: Paths,
        *,
        transforms: Callable[[Tensor, Target], Item] | None = None,
        skip_damaged: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.files = find_files(paths)
        self.transforms = transforms
        self._limits = limits
        if skip_damaged:
            self.files = [path for path in self.files if _is_sound(path, limits)]
        # The end of every file's frames in the numbering of items.
        self._ends = list(
            accumulate(read_header(path, limits=limits).n_frames for path in self.files)
        )
        self._open = _OpenFiles(limits)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Item:
        file, frame = self._place(index)
        source = self._open.get(file)
        image = source.decode(frame)
        target = _target(source.frame(frame), index % len(self))
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def read(self, indices: Sequence[int]) -> Pack:
        """Some frames undecoded, as one pack in that order, without EXIF, ICC and XMP."""
        by_file: dict[Path, list[tuple[int, int]]] = defaultdict(list)
        for position, index in enumerate(indices):
            file, number = self._place(index)
            by_file[file].append((position, number))
        packs = []
        for file, places in by_file.items():
            packs.append(select_frames(self._open.get(file), [n for _, n in places], info={}))
        merged = merge_packs(packs)
        positions = [position for places in by_file.values() for position, _ in places]
        ordered = sorted(zip(positions, merged.frames, strict=True), key=lambda item: item[0])
        frames = tuple(replace(frame, metadata=Metadata()) for _, frame in ordered)
        return replace(merged, frames=frames)

    def _place(self, index: int) -> tuple[Path, int]:
        """The file of an item, and which of its frames it is."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of a dataset of {len(self)} frames")
        index %= len(self)
        file = bisect_right(self._ends, index)
        return self.files[file], index - (self._ends[file - 1] if file else 0)


class _OpenFiles:
    """The last used files, kept open. Threads may share it; it pickles empty."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._files: OrderedDict[Path, RinrFile] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _OpenFiles, (self._limits,)

    def get(self, path: Path) -> RinrFile:
        with self._lock:
            if path not in self._files:
                self._files[path] = RinrFile(path, limits=self._limits)
                # Dropped, not closed: another thread may be reading from it.
                if len(self._files) > _OPEN_FILES:
                    self._files.popitem(last=False)
            self._files.move_to_end(path)
            return self._files[path]


def _is_sound(path: Path, limits: Limits) -> bool:
    try:
        with PackReader(path, limits=limits) as reader:
            reader.verify()
    except RinrError as error:
        warnings.warn(f"left out of the dataset: {error}", stacklevel=3)
        return False
    return True


def _target(frame: Frame, index: int) -> Target:
    corners = [(b.x, b.y, b.x + b.w, b.y + b.h) for b in frame.boxes]
    return {
        "boxes": torch.tensor(corners, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor([box.class_id for box in frame.boxes], dtype=torch.int64),
        "image_id": index,
        "name": frame.name,
    }


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
        self.sampler: Sampler[int] | None = None
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
        `DistributedSampler` gives it.
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
        sampler: Sampler[int] | None = None,
        multiprocessing_context: str | None = None,
    ) -> None:
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

    def __iter__(self) -> Iterator[tuple[Tensor | list[Tensor], list[Target]]]:
        self._order.epoch = self._next_epoch
        self._next_epoch += 1
        batches = self._from_memory() if self._resident else iter(self._batches)
        if self._stream is None:
            return map(self._decode, batches)
        return self._ahead(batches, self._stream)

    def _from_memory(self) -> Iterator[_Batch]:
        if self._everything is None:
            pack = self.dataset.read(range(len(self.dataset)))
            self._everything = Decoder(pack, device=self.device, resident=True)
        for indices in self._order:
            yield _Batch(indices, self._everything.source, indices)

    def _decode(self, batch: _Batch) -> tuple[Tensor | list[Tensor], list[Target]]:
        decoder = self._everything or Decoder(batch.source, device=self.device)
        images = decoder.decode(batch.frames)
        targets = [
            _target(batch.source.frame(frame), index)
            for frame, index in zip(batch.frames, batch.indices, strict=True)
        ]
        if self.device.type != "cpu":
            _move(targets, self.device)
        if self.dataset.transforms is None:
            return images, targets
        pairs = [self.dataset.transforms(i, t) for i, t in zip(images, targets, strict=True)]
        return stack_if_equal([image for image, _ in pairs]), [target for _, target in pairs]

    def _ahead(
        self, batches: Iterator[_Batch], stream: torch.cuda.Stream
    ) -> Iterator[tuple[Tensor | list[Tensor], list[Target]]]:
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

    def _hand_over(
        self, decoded: tuple[Tensor | list[Tensor], list[Target]], done: torch.cuda.Event
    ) -> tuple[Tensor | list[Tensor], list[Target]]:
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


def _move(targets: Sequence[Target], device: torch.device) -> None:
    """Boxes and labels of a batch to the device, in one copy each."""
    counts = [len(target["labels"]) for target in targets]
    for key in ("boxes", "labels"):
        moved = torch.cat([target[key] for target in targets]).to(device)
        for target, part in zip(targets, moved.split(counts), strict=True):
            target[key] = part
