"""`.rinr` files as a torch dataset, for any `DataLoader`; see `torch_loader` for our own.

Every item is decoded on the CPU by whoever asks for it.
"""

from __future__ import annotations

import operator
import os
import threading
import warnings
from bisect import bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import Dataset

from rinrcodec.errors import RinrError, RinrInputError
from rinrcodec.files import RinrFile, packs_below
from rinrcodec.formats import read_header
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.model import Frame, Metadata, Pack, merge_packs, select_frames

__all__ = ["Item", "RinrDataset", "Target", "collate", "find_files", "target_of"]

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
            inside = packs_below(path)
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

    Raises `RinrInputError` for paths without `.rinr` files, or where none is left; here or at an
    item, `RinrFormatError` for a damaged file and `RinrLimitError` for one larger than `limits`.
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
            self.files = _sound(self.files, limits)
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
        target = target_of(source.frame(frame), operator.index(index) % len(self))
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
        index = operator.index(index)
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


def _sound(paths: list[Path], limits: Limits) -> list[Path]:
    """The files without damage; `RinrInputError` if none is."""
    sound = []
    for path in paths:
        try:
            with RinrFile(path, limits=limits) as file:
                file.verify()
        except RinrError as error:
            # In the name of the line that makes the dataset.
            warnings.warn(f"left out of the dataset: {error}", stacklevel=3)
        else:
            sound.append(path)
    if not sound:
        raise RinrInputError(f"{paths[0]}: no file is left, all {len(paths)} are damaged")
    return sound


def target_of(frame: Frame, index: int) -> Target:
    """The target of a frame that is item `index`, on the CPU."""
    corners = [(b.x, b.y, b.x + b.w, b.y + b.h) for b in frame.boxes]
    return {
        "boxes": torch.tensor(corners, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor([box.class_id for box in frame.boxes], dtype=torch.int64),
        "image_id": index,
        "name": frame.name,
    }
