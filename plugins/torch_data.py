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
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from rinrcodec.datasets.manifest import CountedPack, counted_packs
from rinrcodec.errors import (
    RinrError,
    RinrFormatError,
    RinrInputError,
    RinrMemoryError,
    reason,
)
from rinrcodec.files import RinrFile
from rinrcodec.formats import read_header
from rinrcodec.formats.header import LABELS
from rinrcodec.labels.info import kpt_shape_of
from rinrcodec.labels.model import Task
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.memory import memory_errors
from rinrcodec.pack import Frame, Metadata, Pack, merge_packs, select_frames
from rinrcodec.plugins._rows import may_share_rows, row_starts
from rinrcodec.plugins._torch_targets import Annotations, TargetOptions, target_of
from rinrcodec.plugins._torch_transforms import check_transforms, finish_item, tv_tensors
from rinrcodec.printing import count, printable
from rinrcodec.storage import file_or_folder, may_pass, to_path, to_path_or_none

__all__ = ["Annotations", "Item", "RinrDataset", "collate", "find_files"]

Item: TypeAlias = "tuple[Tensor, Annotations]"
Paths: TypeAlias = "str | PathLike[str] | Iterable[str | PathLike[str]]"

_LABEL_INFO = ("task", "kpt_shape")
_OPEN_FILES = 64  # a process may have 1,024 open by default, and workers inherit


def find_files(paths: Paths) -> list[Path]:
    """Find the `.rinr` files among files and in and below folders.

    Those of a folder are sorted by path.

    paths: also URLs that fsspec knows. Raises `RinrInputError` for a path that is not there and for
    a folder without any, `OSError` for a store that cannot be read.
    """
    return [pack.path for pack in _find(paths, DEFAULT_LIMITS)]


def _find(paths: Paths, limits: Limits) -> list[CountedPack]:
    """Find files as `find_files` does, with what manifests say of them."""
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
        raise RinrInputError("no paths given: expected .rinr files or folders of them")
    return packs


def collate(items: Sequence[Item]) -> tuple[list[Tensor], list[Annotations]]:
    """Return a batch as torchvision's detectors take it; `collate_fn` for a `DataLoader`."""
    return [image for image, _ in items], [target for _, target in items]


class RinrDataset(Dataset[Item]):
    """Frames of `.rinr` files in the order of the files: items `(image, target)`.

    The image is uint8 [3, H, W] RGB on the CPU; a grey frame has three equal channels. The target
    has `boxes` float32 [n, 4] as (x1, y1, x2, y2) in pixels, `labels` int64 [n] and `area` float32
    [n]. It also has `iscrowd` int64 [n], `name` and `image_id`, the index of the item. Where labels
    have them, there are `keypoints`, `corners`, `masks`, `track_id`, `score` and `difficult`.
    docs/torch.md describes all entries, and how to train with torchvision.

    Files are opened when a frame is asked for, in every process anew, and the last used stay open.
    The `manifest.json` of `compress` says how many frames a file has. If none lists the file, its
    first 512 bytes say it.

    Args:
        paths: A file, a folder (searched below, too), or several, also by their URLs.
        target: "plain" gives tensors, "tv" types of `torchvision.tv_tensors`.
        transforms: Called with image and target, returns both. Boxes move along with transforms of
            `torchvision.transforms.v2`, also with plain targets.
        masks: Whether targets have `masks`. "auto": with `target="tv"`, where labels have outlines.
        first_label: Added to the class ids. torchvision's detectors need 1: 0 is their background.
        drop_degenerate: Leave out boxes that have no area inside the image, after the transforms.
            torchvision's R-CNN models refuse boxes without area.
        keep_unlabelled: Keep frames whose labels could not be understood in full. By default they
            are left out with a warning, as missing boxes would teach that there are no objects.
        skip_damaged: Read every file whole, and leave out damaged ones with a warning.
        limits: Bounds on files.

    Raises:
        RinrInputError: Paths without `.rinr` files, or where no frame is left; transforms that take
            no target. At an item: files whose classes or tasks differ.
        RinrFormatError: A damaged file, or one that is not as the manifest says.
        RinrLimitError: A file larger than `limits`.
        MissingExtraError: `target="tv"` without torchvision.
        OSError: A file that cannot be read.

    Example:
        >>> import numpy as np, rinrcodec
        >>> image = np.zeros((32, 48, 3), np.uint8)
        >>> pack = rinrcodec.encode([image], boxes=[[rinrcodec.Box(0, 3, 4, 10, 12)]], steps=1)
        >>> size = rinrcodec.save(pack, "one.rinr")
        >>> image, target = rinrcodec.RinrDataset("one.rinr")[0]
        >>> target["boxes"].tolist(), target["area"].tolist()
        ([[3.0, 4.0, 13.0, 16.0]], [120.0])
    """

    def __init__(
        self,
        paths: Paths,
        *,
        target: Literal["plain", "tv"] = "plain",
        transforms: Callable[..., Any] | None = None,
        masks: bool | Literal["auto"] = "auto",
        first_label: int = 0,
        drop_degenerate: bool = False,
        keep_unlabelled: bool = False,
        skip_damaged: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        if target not in ("plain", "tv"):
            raise RinrInputError(f'target={target!r}: expected "plain" or "tv"')
        if masks not in (True, False, "auto"):
            raise RinrInputError(f'masks={masks!r}: expected True, False or "auto"')
        check_transforms(transforms)
        if target == "tv":
            tv_tensors()
        packs = _find(paths, limits)
        self.transforms = transforms
        self.limits = limits
        self.options = TargetOptions(target == "tv", masks, drop_degenerate, first_label)
        self.keep_unlabelled = keep_unlabelled
        if skip_damaged:
            packs = _sound(packs, limits)
        self.files: list[Path] = []
        self._open = _OpenFiles(limits)
        # Classes and task of the files seen so far, which have to agree.
        self._seen: tuple[Path, dict[Any, Any]] | None = None
        self._agreed: set[int] = set()
        self._counts: list[CountedPack] = []
        # By the number of the file: its frames that are items, where that is not all of them.
        self._frames: dict[int, NDArray[np.int64]] = {}
        for pack in packs:
            try:
                self._count(len(self.files), pack)
            except OSError as error:
                if not _passes_over(pack, error):
                    raise
                # In the name of the line that makes the dataset.
                text = printable(f"left out of the dataset: {reason(pack.path, error)}")
                warnings.warn(text, stacklevel=2)
        if not self.files:
            raise RinrInputError(f"{packs[0].path}: no file is left, none can be read")
        self._warn_of_unlabelled()
        lengths = (
            len(self._frames[number]) if number in self._frames else pack.n_frames or 0
            for number, pack in enumerate(self._counts)
        )
        # The end of every file's frames in the numbering of items.
        self._ends = list(accumulate(lengths))
        self.first_items = [0, *self._ends[:-1]]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __repr__(self) -> str:
        frames, files = count(len(self), "frame"), count(len(self.files), "file")
        return f"<RinrDataset of {frames} in {files}: {str(self.files[0])!r}>"

    def _repr_html_(self) -> str:
        """Show some items with their boxes, in notebooks."""
        from rinrcodec.display.sheet import Look, contact_sheet, html_or_text

        def look(index: int) -> Look:
            file, number = self.locate(index)
            return self._source(file).look(number)

        return html_or_text(lambda: contact_sheet(repr(self), len(self), look), repr(self))

    @memory_errors("reading an item")
    def __getitem__(self, index: int) -> Item:
        file, number = self.locate(index)
        source = self._source(file)
        image = source.decode(number)
        frame = self._checked(source, number)
        target = target_of(frame, operator.index(index) % len(self), source.info, self.options)
        item: Item = finish_item(image, target, self.transforms, self.options)
        return item

    def frame(self, index: int) -> Frame:
        """Read all that is known of an item but its pixels.

        Args:
            index: The index of the item, its `image_id`.

        Returns:
            The frame: its size, and its boxes with polygons, keypoints and attributes exactly as
            given. It also has the attributes of its labels, such as the image record of COCO.
        """
        file, number = self.locate(index)
        return self._source(file).frame(number)

    @property
    def classes(self) -> dict[int, str]:
        """The names of the classes by their ids, without `first_label`; empty where unknown.

        Opens one file of every output of `compress`, and every other file.

        Raises:
            RinrInputError: Two files name a class differently.
        """
        classes: dict[int, str] = {}
        for file in self._one_of_each():
            classes |= self._source(file).classes
        return dict(sorted(classes.items()))

    @property
    def task(self) -> Task:
        """The task of the labels: "detect", "segment", "pose" or "obb".

        Opens the same files as `classes`.

        Raises:
            RinrInputError: Two files have different tasks.
        """
        tasks = [self._source(file).task for file in self._one_of_each()]
        return tasks[0]

    @memory_errors("reading a batch")
    def read(self, indices: Sequence[int]) -> Pack:
        """Read frames without decoding them.

        Args:
            indices: Items of the dataset.

        Returns:
            A pack of these frames, in that order, without EXIF, ICC and XMP. Of the info of the
            files it keeps what the targets need.
        """
        by_file: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for position, index in enumerate(indices):
            file, number = self.locate(index)
            by_file[file].append((position, number))
        packs = []
        for file, items in by_file.items():
            source = self._source(file)
            info = {key: source.info[key] for key in _LABEL_INFO if key in source.info}
            packs.append(select_frames(source, [n for _, n in items], info=info))
            for (_, number), frame in zip(items, packs[-1].frames, strict=True):
                self._check_labelled(source, number, frame)
        merged = merge_packs(packs)
        positions = [position for items in by_file.values() for position, _ in items]
        ordered = sorted(zip(positions, merged.frames, strict=True), key=lambda item: item[0])
        frames = tuple(replace(frame, metadata=Metadata()) for _, frame in ordered)
        return replace(merged, frames=frames)

    def row_starts(self, file: int) -> NDArray[np.int64] | None:
        """Read which items of a file are decoded together.

        Args:
            file: Its number in `files`.

        Returns:
            For every item of the file, counted from 0, the first one with the same row; None where
            each is decoded alone. Then no more than the user block is read.
        """
        path = self.files[file]
        if self._counts[file].n_frames == 1:
            return None
        if not may_share_rows(read_header(path, limits=self.limits)):
            return None
        with RinrFile(path, limits=self.limits) as source:
            _check_count(source, self._counts[file])
            starts = row_starts(source.reader)
        if file in self._frames:
            _, first, of_row = np.unique(
                starts[self._frames[file]], return_index=True, return_inverse=True
            )
            starts = first[of_row]
        return starts

    def locate(self, index: int) -> tuple[int, int]:
        """Find the file that holds an item.

        Args:
            index: The item.

        Returns:
            The number of the file, and the number of the frame in it.

        Raises:
            IndexError: There is no such item.
        """
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no item {index}: the dataset has {len(self)}")
        index %= len(self)
        file = bisect_right(self._ends, index)
        position = index - self.first_items[file]
        return file, int(self._frames[file][position]) if file in self._frames else position

    def _count(self, number: int, pack: CountedPack) -> None:
        """Note how many frames a file has, and which of them are items."""
        look = not (pack.labelled or self.keep_unlabelled)
        if pack.manifest is None or look:
            header = read_header(pack.path, limits=self.limits)
            if pack.manifest is None:
                pack = replace(pack, n_frames=header.n_frames)
            look = look and bool(header.required & LABELS)
        labelled = self._open.get(pack.path).reader.labelled() if look else None
        self.files.append(pack.path)
        self._counts.append(pack)
        if labelled is not None and not labelled.all():
            self._frames[number] = np.flatnonzero(labelled)

    def _warn_of_unlabelled(self) -> None:
        """Say how many frames are left out; raise `RinrInputError` if that is all of them."""
        if not self._frames:
            return
        missing = {
            number: np.setdiff1d(np.arange(self._counts[number].n_frames or 0), frames)
            for number, frames in self._frames.items()
        }
        first, n_missing = min(missing), sum(map(len, missing.values()))
        path = self.files[first]
        name = self._open.get(path).names()[int(missing[first][0])]
        total = sum(pack.n_frames or 0 for pack in self._counts)
        message = (
            f"{n_missing:,} of {total:,} frames have labels that could not be understood in full, "
            f"such as {name!r} of {path}"
        )
        if n_missing == total:
            raise RinrInputError(f"{message}: no frame is left; correct the labels and rerun")
        # In the name of the line that makes the dataset.
        warnings.warn(
            f"{printable(message)}; they are left out of the dataset, since missing boxes would "
            "make them negatives. Correct the labels and run compress again, or pass "
            "keep_unlabelled=True.",
            stacklevel=3,
        )

    def _one_of_each(self) -> list[int]:
        """Return the number of one file of every manifest, and of the files that none lists."""
        known = {pack.manifest or pack.path: number for number, pack in enumerate(self._counts)}
        return sorted(known.values())

    def _source(self, file: int) -> RinrFile:
        """Open a file by its number, and check that it agrees with the known facts and others."""
        source = self._open.get(self.files[file])
        _check_count(source, self._counts[file])
        if file in self._agreed:
            return source
        known: dict[Any, Any] = {
            "task": source.task,
            "kpt_shape": kpt_shape_of(source.info),
        }
        known.update(source.classes)
        if self._seen is None:
            self._seen = (self.files[file], known)
        path, before = self._seen
        for key, value in known.items():
            if before.setdefault(key, value) != value:
                what = key if isinstance(key, str) else f"the name of class {key}"
                raise RinrInputError(
                    f"{self.files[file]}: {what} is {value!r}, and {before[key]!r} in {path} or "
                    "another file. Make a dataset of each, or compress them with the same names "
                    "and task."
                )
        self._agreed.add(file)
        return source

    def _checked(self, source: RinrFile, number: int) -> Frame:
        frame = source.frame(number)
        self._check_labelled(source, number, frame)
        return frame

    def _check_labelled(self, source: RinrFile, number: int, frame: Frame) -> None:
        """Raise `RinrFormatError` for an unlabelled frame that was not left out."""
        if not (frame.labelled or self.keep_unlabelled):
            raise RinrFormatError(
                f"{source.reader.name}: the labels of frame {number}, {frame.name!r}, could not be "
                "understood in full, which its manifest.json did not say, or the file was replaced "
                "since. Remove that manifest or make the dataset again, to leave such frames out."
            )


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


def _passes_over(pack: CountedPack, error: OSError) -> bool:
    """Return whether a folder's pack is skipped: it can never be read, such as a FIFO."""
    return pack.listed and not may_pass(pack.path, error)


def _sound(packs: list[CountedPack], limits: Limits) -> list[CountedPack]:
    """Return the undamaged files; raise `RinrInputError` if there is none."""
    sound = []
    for pack in packs:
        try:
            with RinrFile(pack.path, limits=limits) as file:
                if pack.manifest is not None:
                    _check_count(file, pack)
                file.check_damage()
        except RinrMemoryError:  # which says nothing of the file
            raise
        except (RinrError, OSError) as error:
            if isinstance(error, OSError) and not _passes_over(pack, error):
                raise
            why = reason(pack.path, error) if isinstance(error, OSError) else error
            # In the name of the line that makes the dataset.
            warnings.warn(printable(f"left out of the dataset: {why}"), stacklevel=3)
        else:
            sound.append(pack)
    if not sound:
        raise RinrInputError(f"{packs[0].path}: no file is left, all {len(packs)} are damaged")
    return sound
