"""The files of an output folder: which are as `compress` wrote them, and may be replaced.

A file is replaced or removed only if it is a regular file in real folders of the output, and a
manifest lists it with the size and SHA-256 that it has. A damaged pack may be replaced, too, but
not removed. All other files are the user's, also where a manifest lists their names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias

from rinrcodec.datasets.manifest import FileRecord, Manifest, read_record
from rinrcodec.errors import RinrError, RinrLimitError, RinrMemoryError, RinrUsageError
from rinrcodec.formats import MAGIC, PackReader
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.storage import (
    file_or_folder,
    files_below,
    read_range,
    size_in,
    stamp_of,
    storage_of,
)
from rinrcodec.storage.own_paths import obstacle

__all__ = ["Published", "State"]

State: TypeAlias = "Literal['absent', 'ours', 'damaged', 'changed', 'unlisted', 'obstacle']"
_REPLACEABLE = ("absent", "ours", "damaged")
_WHY = {
    "changed": "not as compress wrote it",
    "unlisted": "there already, and no manifest lists it as written by compress",
}


class Published:
    """The files of an output, compared with all that runs say of them.

    Every file is read once, and again where its size or time changed since.

    Args:
        folder: The output.
        manifest: Its manifest, if there is one.
        named: A file that the user named, which is replaced if it is a pack.

    Attributes:
        is_blind: The manifest is damaged, so nothing is known of the files. Then none is replaced,
            unless it is already what is to be written.
        limits: Those within which packs are opened.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest | None,
        *,
        named: Path | None = None,
        is_blind: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.folder = folder
        self.is_blind = is_blind
        self._named = named
        self.limits = limits
        self._known: dict[str, set[FileRecord]] = defaultdict(set)
        self._read: dict[Path, tuple[str, FileRecord]] = {}
        for run in manifest.runs.values() if manifest else ():
            for name, records in run.known_files().items():
                self._known[name].update(records)
        # Of a store: one listing rather than a request for every file.
        self._lists = storage_of(folder).lists_at_once and named is None
        self._stamps: dict[str, str] | None = None

    def add(self, path: Path, record: FileRecord) -> None:
        """Note what a file may hold from now on, as a run is about to write it."""
        self._known[self._name(path)].add(record)

    def holds(self, path: Path, record: FileRecord) -> bool:
        """Return whether a file has exactly this content."""
        return obstacle(path, self.folder) is None and self._content(path, {record}) == record

    def state(self, path: Path) -> State:
        """Return what a file is.

        "ours": a run wrote it. "damaged": it is what is left of a pack that a run wrote. "changed":
        it has other content than any run says. "unlisted": no run says anything. "obstacle": a link
        or no regular file.
        """
        if obstacle(path, self.folder) is not None:
            return "obstacle"
        known = self._known.get(self._name(path), set())
        content = self._content(path, known)
        if content is None:
            return "absent"
        if content in known:
            return "ours"
        if path == self._named and self._begins_as_pack(path):
            return "ours"
        if not known or self.is_blind:
            return "unlisted"
        return "damaged" if self._is_damaged(path, content, known) else "changed"

    def check(self, paths: Iterable[Path]) -> None:
        """Raise `RinrUsageError` where a file is in the way that must not be replaced."""
        bad = [path for path in paths if self.state(path) not in _REPLACEABLE]
        if not bad:
            return
        more = f" (and {len(bad) - 1:,} more files)" if len(bad) > 1 else ""
        problem = obstacle(bad[0], self.folder)
        if problem is None:
            why = _WHY[self.state(bad[0])]
            problem = f"{bad[0]}: {why}, so it is not replaced; move it away, or give another `out`"
        raise RinrUsageError(f"{problem}{more}")

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _content(self, path: Path, known: set[FileRecord]) -> FileRecord | None:
        """Return the record of a file, None if there is none; hash it if its size is as known."""
        stamp = self._stamp(path)
        if stamp is None:
            return None
        before, record = self._read.get(path, ("", None))
        if record is not None and before == stamp:
            return record
        size = size_in(stamp)
        if size not in {one.bytes for one in known}:
            return FileRecord(size, "")
        with storage_of(path).open_file(path, size=size) as file:
            record = read_record(file)
        self._read[path] = (stamp, record)
        return record

    def _stamp(self, path: Path) -> str | None:
        if self._lists and "/." not in f"/{self._name(path)}":
            if self._stamps is None:
                files = files_below(self.folder)
                self._stamps = {path.as_posix(): stamp for path, stamp in files}
            return self._stamps.get(path.as_posix())
        return stamp_of(path) if file_or_folder(path) == "file" else None

    def forget(self, path: Path) -> None:
        """Look at a file again, which has been written or removed."""
        self._read.pop(path, None)
        if self._stamps is not None:
            stamp = stamp_of(path) if file_or_folder(path) == "file" else None
            if stamp is None:
                self._stamps.pop(path.as_posix(), None)
            else:
                self._stamps[path.as_posix()] = stamp

    def _begins_as_pack(self, path: Path) -> bool:
        head = read_range(path, 0, len(MAGIC))
        return MAGIC.startswith(head)

    def _is_damaged(self, path: Path, content: FileRecord, known: set[FileRecord]) -> bool:
        """Return whether a file is a pack of ours with changed bytes, or without its end.

        A sound pack with other content is another one, and a file of another size that does not
        begin as a pack never was one: somebody put it there.
        """
        if path.suffix.lower() != ".rinr":
            return False
        is_of_size = content.bytes in {one.bytes for one in known}
        if not (is_of_size or self._begins_as_pack(path)):
            return False
        try:
            with PackReader(path, limits=self.limits) as reader:
                reader.verify()
        except RinrLimitError:
            return False
        except RinrMemoryError:  # which says nothing of the file
            raise
        except RinrError:
            return True
        return False
