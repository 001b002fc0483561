"""Name what a source has and does not use: broken links, labels of other formats, yaml keys.

Called where folders and data yamls are opened.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rinrcodec.sources.picture_names import IMAGE_SUFFIXES, is_picture
from rinrcodec.sources.split_entries import with_slashes
from rinrcodec.storage import Listing, join, names_in, read_range, size_of, storage_of, text_of

__all__ = ["annotation_hint", "dangling_links", "unused_keys"]

_SHOWN = 3
# Of how many folders, and of how many files in each, the first bytes are read.
_MOST_FOLDERS = 10
_MOST_FILES = 4
_READ = 1 << 16
_MOST_PATHS = 100  # of one key of a data yaml
_ANNOTATIONS = ("annotations", "Annotations")


def dangling_links(files: Iterable[tuple[Path, str]]) -> tuple[str, ...]:
    """Return a message for each link without a target among files with their stamps.

    A picture or label that is such a link is reported when it is read.
    """
    suffixes = IMAGE_SUFFIXES | {".txt"}
    links = [file for file, stamp in files if not stamp and file.suffix.lower() not in suffixes]
    shown = [f"{file}: this link leads nowhere and is ignored" for file in links[:_SHOWN]]
    if rest := len(links) - len(shown):
        shown.append(f"{links[_SHOWN].parent}: {rest} more links that lead nowhere")
    return tuple(shown)


def annotation_hint(top: Path, files: Sequence[Path], folders: Sequence[Path]) -> tuple[str, ...]:
    """Return at most one warning that names labels in COCO JSON or Pascal VOC XML.

    Args:
        top: the source, or the folder of a data yaml.
        files: what the folders of pictures hold.
        folders: those folders; `annotations` next to them is looked into.

    Example:
        >>> annotation_hint(Path("frames"), [], [])
        ()
    """
    by_folder: dict[Path, list[Path]] = {}
    for file in files:
        if file.suffix.lower() in {".json", ".xml"}:
            by_folder.setdefault(file.parent, []).append(file)
    for folder in _annotation_folders(top, folders):
        with suppress(OSError):  # one that may not be listed
            names = [name for name in names_in(folder) if name.lower().endswith((".json", ".xml"))]
            by_folder.setdefault(folder, [folder / name for name in names])
    with_some = [candidates for candidates in by_folder.values() if candidates]
    coco: dict[str, Path] = {}  # a folder may be there by its relative path, too
    for candidates in sorted(with_some, key=lambda files: str(files[0]))[:_MOST_FOLDERS]:
        for suffix in (".json", ".xml"):
            same = [file for file in candidates if file.suffix.lower() == suffix]
            for file in same[:_MOST_FILES]:
                kind = _kind_of_labels(file)
                if kind == "COCO":
                    coco.setdefault(text_of(storage_of(file).absolute(file)), file)
                elif kind and not coco:
                    return (_hint(file, kind, len(same)),)
    return (_coco_hint(list(coco.values())),) if coco else ()


def _annotation_folders(top: Path, folders: Sequence[Path]) -> list[Path]:
    """Return the source's folder and those for annotations around pictures; none for a store."""
    if not storage_of(top).has_native_paths:
        return []
    local = [folder for folder in folders if storage_of(folder).has_native_paths]
    near = [storage_of(top).absolute(folder) for folder in [top, *local]]
    around = dict.fromkeys([*near, *(folder.parent for folder in near)])
    # Next to `images` for pictures in `images/train`.
    around |= dict.fromkeys(f.parent.parent for f in near if f.parent.name == "images")
    some = list(around)[: 4 * _MOST_FOLDERS]
    return [top, *(folder / name for folder in some for name in _ANNOTATIONS)]


def _coco_hint(files: Sequence[Path]) -> str:
    first = f"{files[0]}: found labels (COCO?), which are not used: pass `labels='{files[0]}'`"
    if len(files) == 1:
        return first
    others = ", ".join(map(str, files[1:_SHOWN]))
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return (
        f"{first}. There are also {others}{more}; to use several, merge them first (docs/labels.md)"
    )


def _hint(file: Path, kind: str, n: int) -> str:
    if kind == "CVAT":
        return (
            f"{file}: found labels (XML of CVAT?), which cannot be read: export them as YOLO, COCO "
            "or Pascal VOC"
        )
    found = "1 .xml file" if n == 1 else f"{n:,} .xml files"
    return f"{file.parent}: found {found} (Pascal VOC?), not used: pass `labels='{file.parent}'`"


def _kind_of_labels(file: Path) -> str:
    """Tell from the first and last bytes of a file whether it holds labels; "" if it does not."""
    try:
        size = size_of(file) or 0
        head = read_range(file, 0, min(size, _READ))
        tail = read_range(file, max(0, size - _READ), size)
    except OSError:
        return ""
    text = head + tail
    if file.suffix.lower() == ".xml":
        if re.search(rb"<annotations[\s>]", head):
            return "CVAT"
        return "VOC" if re.search(rb"<annotation[\s>]", head) else ""
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return ""
    # In a large file, the key `annotations` is between what was read.
    images = b'"images"' in text and b'"file_name"' in text
    labels = any(key in text for key in (b'"annotations"', b'"bbox"', b'"categories"'))
    if b'"caption"' in text and b'"bbox"' not in text:
        return ""
    return "COCO" if images and labels else ""


def unused_keys(
    path: Path,
    listing: Listing,
    root: Path,
    keys: Mapping[str, Any],
    used: Sequence[Collection[Path]],
) -> dict[str, str]:
    """Return a warning for each key of a data yaml that names pictures or packs of no split.

    A key may hold any text, such as `workspace: /`. So only paths inside `root` are looked at,
    one folder deep, and what cannot be looked at gives no warning.

    Args:
        path: the data yaml, for messages.
        listing: knows which files exist.
        root: the folder that the paths are relative to.
        keys: those that are not splits.
        used: the pictures of each split.
    """
    warnings: dict[str, str] = {}
    for key, value in keys.items():
        texts = value if isinstance(value, list) else [value]
        texts = [text for text in texts if isinstance(text, str) and _may_be_path(text)]
        files = (file for text in texts[:_MOST_PATHS] for file in _files_of(listing, root, text))
        if any(not any(file in one for one in used) for file in files):
            warnings[key] = (
                f"{path}: {key!s:.60}: {', '.join(texts):.80} names pictures that no split "
                "uses: they are left out. Splits are train, val and test"
            )
    return warnings


def _files_of(listing: Listing, root: Path, text: str) -> Iterator[Path]:
    """Yield the pictures and packs that a text names: a file, those in a folder or a list."""
    # Exports of Roboflow are off by one folder.
    path = _inside(root, root, text) or _inside(root, root, with_slashes(text).removeprefix("../"))
    if path is None:
        return
    with suppress(OSError, ValueError):
        kind = listing.kind(text_of(path), path)
        if kind == "folder":
            yield from (path / name for name in names_in(path) if _is_used_kind(path / name))
        elif kind == "file" and path.suffix.lower() == ".txt":
            lines = read_range(path, 0, _READ).decode("utf-8-sig", "replace").splitlines()
            for line in filter(_may_be_path, map(str.strip, lines)):
                for base in (path.parent, root):
                    file = _inside(root, base, line)
                    if file and _is_used_kind(file) and listing.stamp(text_of(file), file):
                        yield file
                        break
        elif kind == "file" and _is_used_kind(path):
            yield path


def _inside(root: Path, base: Path, text: str) -> Path | None:
    """Return the path of a text relative to `base`; None if it is not in `root` or below it."""
    with suppress(OSError, ValueError):
        path = join(base, with_slashes(text))
        storage = storage_of(path)
        path = storage.normal(path)
        top, inner = (text_of(storage.absolute(one)).rstrip("/") for one in (root, path))
        if f"{inner}/".startswith(f"{top}/"):
            return path
    return None


def _is_used_kind(file: Path) -> bool:
    """Return whether a file of this name is a picture or a pack."""
    return is_picture(file.suffix) or file.suffix == ".rinr"


def _may_be_path(text: str) -> bool:
    """Return whether a value may name pictures: not a sentence, a script or an address."""
    return 0 < len(text) < 1000 and "\n" not in text and "://" not in text
