"""Name what is in the folders of a source and not used: broken links, labels of other formats.

Called where folders and data yamls are opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from rinrcodec.sources.picture_names import IMAGE_SUFFIXES
from rinrcodec.storage import names_in, read_range, size_of, storage_of

__all__ = ["annotation_hint", "dangling_links"]

_SHOWN = 3
# Of how many folders, and of how many files in each, the first bytes are read.
_MOST_FOLDERS = 10
_MOST_FILES = 4
_READ = 1 << 16
_ANNOTATIONS = ("annotations", "Annotations")


def dangling_links(files: Iterable[tuple[Path, str]]) -> tuple[str, ...]:
    """Return a message for each link without a target among files with their stamps.

    A picture or label that is such a link is reported when it is read.
    """
    suffixes = IMAGE_SUFFIXES | {".txt"}
    links = [file for file, stamp in files if not stamp and file.suffix.lower() not in suffixes]
    shown = [
        f"{file}: this link leads nowhere, so nothing of it is used" for file in links[:_SHOWN]
    ]
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
    for candidates in sorted(with_some, key=lambda files: str(files[0]))[:_MOST_FOLDERS]:
        for suffix in (".json", ".xml"):
            same = [file for file in candidates if file.suffix.lower() == suffix]
            for file in same[:_MOST_FILES]:
                if kind := _kind_of_labels(file):
                    return (_hint(file, kind, len(same)),)
    return ()


def _annotation_folders(top: Path, folders: Sequence[Path]) -> list[Path]:
    """The source's folder and those for annotations around pictures; a store is not asked."""
    if not storage_of(top).has_native_paths:
        return []
    local = [folder for folder in folders if storage_of(folder).has_native_paths]
    near = [storage_of(top).absolute(folder) for folder in [top, *local]]
    around = dict.fromkeys([*near, *(folder.parent for folder in near)])
    # Next to `images` for pictures in `images/train`.
    around |= dict.fromkeys(f.parent.parent for f in near if f.parent.name == "images")
    some = list(around)[: 4 * _MOST_FOLDERS]
    return [top, *(folder / name for folder in some for name in _ANNOTATIONS)]


def _hint(file: Path, kind: str, n: int) -> str:
    if kind == "COCO":
        return f"{file}: found labels (COCO?), which are not used: pass --labels {file}"
    if kind == "CVAT":
        return (
            f"{file}: found labels (XML of CVAT?), which cannot be read: export them as YOLO, COCO "
            "or Pascal VOC"
        )
    found = "1 .xml file" if n == 1 else f"{n:,} .xml files"
    return f"{file.parent}: found {found} (Pascal VOC?), not used: pass --labels {file.parent}"


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
    return "COCO" if images and labels else ""
