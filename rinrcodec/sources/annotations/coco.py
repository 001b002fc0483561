"""Data sets of a COCO file: its pictures, or its labels for pictures of another source.

`open_source` calls this. Where a picture could be one of several, it gets no label.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rinrcodec.errors import RinrInputError
from rinrcodec.labels.coco_file import CocoFile, CocoPicture, load_coco
from rinrcodec.sources.annotations.matching import match, steps_of
from rinrcodec.sources.picture_names import name_order, pictures_among
from rinrcodec.sources.readings import ImageRef
from rinrcodec.sources.source import Series, Source
from rinrcodec.storage import Listing, at, names_in, read_file, storage_of, text_of
from rinrcodec.text_limits import MOST_COCO_BYTES

__all__ = ["open_coco", "refuse_video", "with_coco"]

_PREFIX = re.compile(r"^(?:instances|person_keypoints|keypoints|annotations|image_info)_(?=.)")
# Names that tools give to the one file of a folder; the folder has a name that says more.
_USUAL = {"_annotations.coco", "annotations", "labels", "instances", "coco", "result", "default"}
_LABEL_FOLDERS = {"annotations", "labels"}
_SAMPLE = 100


def open_coco(path: Path, listing: Listing, *, labels: bool = True) -> Source:
    """Find the pictures of a COCO file.

    They are looked for in the folder of the file and the one above it, there in `images`, `data`,
    and in a folder with the name of the split (`instances_val2017.json` -> `val2017`), and last by
    the ends of their paths.

    Raises:
        RinrInputError: The file is no COCO file, or none of its pictures is there.
    """
    coco = load_coco(read_file(path, most=MOST_COCO_BYTES), str(path))
    split = _PREFIX.sub("", path.stem)
    found = _find_pictures(path, split, coco.pictures, listing)
    refs, failures = [], []
    for number, one in enumerate(coco.pictures):
        place = found.get(number)
        if place is None:
            failures.append(f"{path}: {one.file_name}: no such picture")
        else:
            refs.append(_ref(place[0], place[1], place[2], path, one))
    if not refs:
        raise RinrInputError(
            f"{path}: none of its {len(coco.pictures):,} pictures is there, such as "
            f"{failures[0].removeprefix(f'{path}: ') if failures else 'none'}; put them in "
            f"{path.parent / 'images'}, or give the folder of the pictures and "
            f"`labels='{path.name}'`"
        )
    refs = _without_rivals(refs, path)
    extra = _without_record([place[1] for place in found.values()], path)
    warnings = list(coco.warnings)
    if extra:
        warnings.append(
            f"{path}: has no record of {len(extra):,} pictures in the same folders, such as "
            f"{extra[0]}; they are left out"
        )
    series = Series(_series_name(path, split), tuple(refs))
    source = Source("folder", path, (series,), warnings=tuple(warnings), failures=tuple(failures))
    if not labels:
        bare = tuple(replace(ref, label=None, label_data=None, label_stamp="") for ref in refs)
        return replace(source, series=(replace(series, refs=bare),))
    return _labelled(replace(source, lost_labels=coco.lost_labels), coco, path)


def with_coco(source: Source, path: Path) -> Source:
    """Give the pictures of a source the labels of a COCO file.

    Raises:
        RinrInputError: The file is no COCO file, or lists none of the pictures.
    """
    refuse_video(source, path)
    coco = load_coco(read_file(path, most=MOST_COCO_BYTES), str(path))
    refs = [ref for series in source.series for ref in series.refs]
    names = [(ref.name, text_of(storage_of(ref.path).absolute(ref.path))) for ref in refs]
    matches = match(names, [one.file_name for one in coco.pictures])
    if not matches.labels and not matches.ambiguous:
        first = coco.pictures[0].file_name if coco.pictures else "none"
        raise RinrInputError(
            f"{path}: has no record of any of the {len(refs):,} pictures of {source.path}; its "
            f"first is {first}, theirs is {refs[0].name}"
        )
    lost = list(coco.lost_labels)
    if matches.ambiguous:
        name = refs[matches.ambiguous[0]].name
        lost.append(
            f"{path}: its records fit {len(matches.ambiguous):,} pictures equally well, such as "
            f"{name}; these get no labels. Write file_name with the folder"
        )
    unused = sorted(set(range(len(coco.pictures))) - set(matches.labels.values()))
    if unused:
        lost.append(
            f"{path}: {len(unused):,} records are of pictures that {source.path} does not have, "
            f"such as {coco.pictures[unused[0]].file_name}"
        )
    labelled = iter(
        _ref(ref.name, ref.path, ref.stamp, path, coco.pictures[matches.labels[i]])
        if i in matches.labels
        else replace(ref, label=path, listed=False)
        for i, ref in enumerate(refs)
    )
    series = tuple(
        replace(one, refs=tuple(next(labelled) for _ in one.refs)) for one in source.series
    )
    source = replace(
        source,
        series=series,
        warnings=(*source.warnings, *coco.warnings),
        lost_labels=(*source.lost_labels, *lost),
    )
    return _labelled(source, coco, path)


def refuse_video(source: Source, path: Path) -> None:
    """Raise `RinrInputError` for a video, whose labels are YOLO's only."""
    if source.kind == "video":
        raise RinrInputError(
            f"{path}: labels of a video are YOLO files, one for each frame; extract the frames as "
            "pictures to use others"
        )


def _labelled(source: Source, coco: CocoFile, path: Path) -> Source:
    """Return the source with the classes and the task from the file."""
    try:
        reader = coco.reader(source.names)
    except RinrInputError as error:
        raise RinrInputError(f"{path}: {error}") from error
    return replace(
        source,
        series=tuple(replace(one, reader=reader) for one in source.series),
        names=source.names or coco.names,
        kpt_shape=coco.kpt_shape,
        task=coco.task,
        info={"coco": coco.info},
    )


def _ref(name: str, picture: Path, stamp: str, label: Path, one: CocoPicture) -> ImageRef:
    data = one.data(name)
    return ImageRef(name, picture, label, stamp, hashlib.sha256(data).hexdigest(), data)


def _find_pictures(
    path: Path, split: str, pictures: Sequence[CocoPicture], listing: Listing
) -> dict[int, tuple[str, Path, str]]:
    """Find the name, path and stamp of the picture of each record that has one."""
    names = [_below(one.file_name) for one in pictures]
    step = max(1, len(names) // _SAMPLE)
    roots = list(_roots(path, split))
    sample = range(0, len(names), step)
    # The order decides between equals: Python's max takes the first.
    root = max(roots, key=lambda one: len(_in_root(one, names, sample, listing)))
    best = _in_root(root, names, range(len(names)), listing)
    for other in roots if not best else ():  # a small sample of a file whose pictures are few
        best = best or _in_root(other, names, range(len(names)), listing)
    return best or _by_ends(path, pictures, listing)


def _roots(path: Path, split: str) -> Iterator[Path]:
    folder = storage_of(path).absolute(path).parent
    for around in (folder, folder.parent):
        yield around
        for name in ("images", f"images/{split}", split, "data", "JPEGImages"):
            yield around / name


def _in_root(
    root: Path, names: Sequence[str | None], numbers: Sequence[int], listing: Listing
) -> dict[int, tuple[str, Path, str]]:
    base = text_of(root)
    found = {}
    for number in numbers:
        name = names[number]
        if name is None:
            continue
        text = f"{base}/{name}"
        listing.know(at(text.rpartition("/")[0], root), deep=False)
        if stamp := listing.stamp(text, root):
            found[number] = (name, at(text, root), stamp)
    return found


def _by_ends(
    path: Path, pictures: Sequence[CocoPicture], listing: Listing
) -> dict[int, tuple[str, Path, str]]:
    """Find pictures by the ends of their paths, if no folder has the names as they are."""
    folder = storage_of(path).absolute(path).parent
    scope = folder.parent if folder.name.lower() in _LABEL_FOLDERS else folder
    files = pictures_among(listing.add(scope), scope)
    relative, base = storage_of(scope).relative_name, text_of(scope)
    there = [(relative(file, base), text_of(file)) for file, _ in files]
    matches = match(there, [one.file_name for one in pictures])
    return {label: (there[i][0], *files[i]) for i, label in matches.labels.items()}


def _below(name: str) -> str | None:
    """Return a file_name as a path below a folder; None if it is absolute or leads out of it."""
    text = name.replace("\\", "/")
    steps = [step for step in text.split("/") if step not in ("", ".")]
    inside = steps == steps_of(text) and not text.startswith("/")
    return "/".join(steps) if inside else None


def _without_rivals(refs: Sequence[ImageRef], path: Path) -> list[ImageRef]:
    """Sort pictures by name; raise if two records are of the same picture."""
    seen: dict[str, ImageRef] = {}
    for ref in refs:
        if ref.name in seen:
            raise RinrInputError(f"{path}: two records are of the picture {ref.name}; remove one")
        seen[ref.name] = ref
    return sorted(seen.values(), key=lambda ref: name_order(ref.name))


def _without_record(known: Sequence[Path], path: Path) -> list[str]:
    """Return the pictures that are in the same folders and have no record."""
    texts = {text_of(picture) for picture in known}
    folders = sorted({text.rpartition("/")[0] for text in texts})
    extra: list[str] = []
    for folder in folders:
        here = at(folder, path)
        files = [(here / name, "") for name in names_in(here)]
        extra += [
            str(file) for file, _ in pictures_among(files, here) if text_of(file) not in texts
        ]
    return extra


def _series_name(path: Path, split: str) -> str:
    """Name the packs after the split, or the folder of a file with a usual name."""
    if split.lower() not in _USUAL:
        return split
    folder = storage_of(path).absolute(path).parent
    if folder.name.lower() in _LABEL_FOLDERS:
        folder = folder.parent
    return folder.name or "frames"
