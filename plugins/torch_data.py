"""`.rinr` files as a torch dataset, for any `DataLoader`; see `torch_loader` for our own.

Every item is decoded on the CPU by the process that asks for it.
"""

from __future__ import annotations

import operator
import threading
import warnings
from bisect import bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from rinrcodec.datasets.manifest import CountedPack, counted_packs
from rinrcodec.errors import RinrError, RinrFormatError, RinrInputError
from rinrcodec.files import RinrFile
from rinrcodec.formats import read_header
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import Frame, Metadata, Pack, merge_packs, select_frames
from rinrcodec.plugins._rows import may_share_rows, row_starts
from rinrcodec.storage import file_or_folder, to_path, to_path_or_none

__all__ = ["Annotations", "Item", "RinrDataset", "collate", "find_files", "target_of"]

Annotations: TypeAlias = "dict[str, Any]"
Item: TypeAlias = "tuple[Tensor, Annotations]"
Paths: TypeAlias = "str | PathLike[str] | Iterable[str | PathLike[str]]"

_OPEN_FILES = 64  # a process may have 1,024 open by default, and workers inherit


def find_files(paths: Paths) -> list[Path]:
    """The `.rinr` files of files and folders: those of a folder, and below it, sorted by path.

    paths: also URLs that fsspec knows. Raises `RinrInputError` for a path that is not there and for
    a folder without any, `OSError` for a store that cannot be read.
    """
    return [pack.path for pack in _find(paths, DEFAULT_LIMITS)]


def _find(paths: Paths, limits: Limits) -> list[CountedPack]:
    """As `find_files`, with what manifests say of the files."""
    one = to_path_or_none(paths)
    given = map(to_path, cast("Iterable[str]", paths)) if one is None else [one]
    packs: list[CountedPack] = []
    for path in given:
        # Workers may be in another folder.
        whole = path.absolute()
        kind = file_or_folder(path)
        if kind == "folder":
            inside = counted_packs(whole, limits=limits)
            if not inside:
                raise RinrInputError(
                    f"{path}: no .rinr file in this folder or below it; "
                    f"rinrcodec compress makes them from pictures"
                )
            packs += inside
        elif kind == "file":
            packs.append(CountedPack(whole))
        else:
            raise RinrInputError(f"{path}: there is no such file or folder")
    if not packs:
        raise RinrInputError("no paths given: want .rinr files or folders of them")
    return packs


def collate(items: Sequence[Item]) -> tuple[list[Tensor], list[Annotations]]:
    """A batch as torchvision's detectors take it; `collate_fn` for a `DataLoader`."""
    return [image for image, _ in items], [target for _, target in items]


class RinrDataset(Dataset[Item]):
    """Frames of `.rinr` files in the order of the files: items `(image, target)`.

    image: uint8 [3, H, W] RGB on the CPU; a grey frame has three equal channels.
    target: `boxes` float32 [n, 4] as (x1, y1, x2, y2) in pixels, `labels` int64 [n], both in the
        order of the file and as it gives them (torchvision's detectors keep label 0 for the
        background: add 1 in `transforms`); `image_id`, the index of the item; `name`.

    paths: a file, a folder (searched below, too), or several, also by their URLs. transforms:
    called with image and target, returns both. How many frames a file has is taken from the
    `manifest.json` that `compress` wrote, without opening the file, and where none lists it, from
    its user block; files that it lists and that are gone are a warning. Files are opened when a
    frame is asked for, in every process anew, and the last used stay open. `skip_damaged` reads
    every file whole instead, and leaves out those that are damaged, with a warning.

    Raises `RinrInputError` for paths without `.rinr` files, or where none is left; here or at an
    item, `RinrFormatError` for a damaged file, or one that has not as many frames as was said,
    `RinrLimitError` for one larger than `limits`, `OSError` for one that cannot be read.
    """

    def __init__(
        self,
        paths: Paths,
        *,
        transforms: Callable[[Tensor, Annotations], Item] | None = None,
        skip_damaged: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        packs = _find(paths, limits)
        self.transforms = transforms
        self.limits = limits
        if skip_damaged:
            packs = _sound(packs, limits)
        self.files = [pack.path for pack in packs]
        self._counts = [
            pack if pack.manifest else replace(pack, n_frames=_n_frames(pack.path, limits))
            for pack in packs
        ]
        # The end of every file's frames in the numbering of items.
        self._ends = list(accumulate(pack.n_frames or 0 for pack in self._counts))
        self.first_items = [0, *self._ends[:-1]]
        self._open = _OpenFiles(limits)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Item:
        file, frame = self.locate(index)
        source = self._source(file)
        image = source.decode(frame)
        target = target_of(source.frame(frame), operator.index(index) % len(self))
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def read(self, indices: Sequence[int]) -> Pack:
        """Some frames undecoded, as one pack in that order, without EXIF, ICC and XMP."""
        by_file: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for position, index in enumerate(indices):
            file, number = self.locate(index)
            by_file[file].append((position, number))
        packs = []
        for file, items in by_file.items():
            packs.append(select_frames(self._source(file), [n for _, n in items], info={}))
        merged = merge_packs(packs)
        positions = [position for items in by_file.values() for position, _ in items]
        ordered = sorted(zip(positions, merged.frames, strict=True), key=lambda item: item[0])
        frames = tuple(replace(frame, metadata=Metadata()) for _, frame in ordered)
        return replace(merged, frames=frames)

    def row_starts(self, file: int) -> NDArray[np.int64] | None:
        """Read which frames of a file are decoded together.

        Args:
            file: Its number in `files`.

        Returns:
            For every frame the first frame with the same row; None where each is decoded alone.
            Then no more than the user block is read.
        """
        path = self.files[file]
        if self._counts[file].n_frames == 1:
            return None
        if not may_share_rows(read_header(path, limits=self.limits)):
            return None
        with RinrFile(path, limits=self.limits) as source:
            _check_count(source, self._counts[file])
            return row_starts(source.reader)

    def locate(self, index: int) -> tuple[int, int]:
        """Return the number of the file of an item, and which of its frames it is."""
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of a dataset of {len(self)} frames")
        index %= len(self)
        file = bisect_right(self._ends, index)
        return file, index - self.first_items[file]

    def _source(self, file: int) -> RinrFile:
        """A file by its number, open, if it has as many frames as was said."""
        source = self._open.get(self.files[file])
        _check_count(source, self._counts[file])
        return source


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


def _n_frames(path: Path, limits: Limits) -> int:
    return read_header(path, limits=limits).n_frames


def _check_count(file: RinrFile, pack: CountedPack) -> None:
    """Raise `RinrFormatError` for a file that has more or fewer frames than was said."""
    if len(file) == pack.n_frames:
        return
    if pack.manifest is not None:
        said = (
            f"and {pack.manifest} says {pack.n_frames:,}: one of them was replaced; "
            f"rinrcodec verify {pack.manifest.parent} finds all such files"
        )
    else:
        said = f"and had {pack.n_frames:,} when the dataset was made: make it again"
    raise RinrFormatError(f"{pack.path}: has {len(file):,} frames, {said}")


def _sound(packs: list[CountedPack], limits: Limits) -> list[CountedPack]:
    """The files without damage; `RinrInputError` if none is."""
    sound = []
    for pack in packs:
        try:
            with RinrFile(pack.path, limits=limits) as file:
                if pack.manifest is not None:
                    _check_count(file, pack)
                file.verify()
        except RinrError as error:
            # In the name of the line that makes the dataset.
            warnings.warn(f"left out of the dataset: {error}", stacklevel=3)
        else:
            sound.append(pack)
    if not sound:
        raise RinrInputError(f"{packs[0].path}: no file is left, all {len(packs)} are damaged")
    return sound


def target_of(frame: Frame, index: int) -> Annotations:
    """The target of a frame that is item `index`, on the CPU."""
    corners = [(b.x, b.y, b.x + b.w, b.y + b.h) for b in frame.boxes]
    return {
        "boxes": torch.tensor(corners, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor([box.class_id for box in frame.boxes], dtype=torch.int64),
        "image_id": index,
        "name": frame.name,
    }
