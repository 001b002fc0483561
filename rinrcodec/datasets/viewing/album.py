"""The frames of many packs under one numbering, read when they are asked for.

`rinrcodec view` calls this. Opening reads the start of every pack, and keeps few of them open.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rinrcodec.errors import RinrError, reason
from rinrcodec.files import RinrFile
from rinrcodec.limits import DEFAULT_LIMITS, Limits

__all__ = ["Album", "AlbumPack"]

_MOST_OPEN = 8


@dataclass(frozen=True, slots=True)
class AlbumPack:
    """A pack of an album: its file, the number of its first frame, and its size.

    Args:
        path: The file.
        first: The number that its first frame has in the album.
        n_frames: How many frames it holds.
        n_bytes: The size of the file.
    """

    path: Path
    first: int
    n_frames: int
    n_bytes: int


class Album:
    """The frames of some packs, numbered from 0 through all of them.

    Not safe for threads: callers take turns.

    Args:
        paths: The files, in order.
        limits: For every file.

    Example:
        >>> with Album([]) as album:
        ...     print(len(album), album.bad)
        0 {}
    """

    def __init__(self, paths: Sequence[Path], *, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._open: OrderedDict[int, RinrFile] = OrderedDict()
        packs: list[AlbumPack] = []
        self.bad: dict[str, str] = {}  # what is wrong with a file that cannot be opened, by path
        first = 0
        for path in dict.fromkeys(paths):
            try:
                with RinrFile(path, limits=limits) as file:
                    packs.append(AlbumPack(path, first, len(file), file.reader.sizes().file))
            except (RinrError, OSError) as error:
                self.bad[str(path)] = reason(path, error)
                continue
            first += packs[-1].n_frames
        self.packs: tuple[AlbumPack, ...] = tuple(packs)
        self._firsts = [pack.first for pack in packs]
        self._n_frames = first

    def __len__(self) -> int:
        return self._n_frames

    def at(self, number: int) -> tuple[int, int]:
        """Return which pack holds a frame, and its index in there.

        Raises:
            IndexError: There is no frame of that number.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"there is no frame {number}: the packs have {len(self)}")
        pack = bisect_right(self._firsts, number) - 1
        return pack, number - self._firsts[pack]

    def file(self, pack: int) -> RinrFile:
        """Return an open pack; it may be closed by the next call.

        Raises:
            RinrFormatError: The file is damaged, or another one than when the album was made.
            OSError: It cannot be read.
        """
        if pack not in self._open:
            while len(self._open) >= _MOST_OPEN:
                self._open.popitem(last=False)[1].close()
            self._open[pack] = RinrFile(self.packs[pack].path, limits=self._limits)
        self._open.move_to_end(pack)
        return self._open[pack]

    def close(self) -> None:
        """Close all files; no frame is left."""
        self.packs, self._n_frames = (), 0
        while self._open:
            self._open.popitem()[1].close()

    def __enter__(self) -> Album:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
