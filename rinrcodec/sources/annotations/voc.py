"""Pictures with Pascal VOC labels: an XML file for each, in a folder that the user gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from rinrcodec.errors import RinrError, RinrInputError
from rinrcodec.labels.voc import VocReader, names_used
from rinrcodec.sources.annotations.coco import refuse_video
from rinrcodec.sources.annotations.matching import match
from rinrcodec.sources.picture_names import frame_stem
from rinrcodec.sources.source import Source
from rinrcodec.storage import (
    Listing,
    file_or_folder,
    join,
    map_stored,
    read_file,
    stamp_of,
    storage_of,
    text_of,
)
from rinrcodec.text_limits import MOST_CLASSES, MOST_LABEL_BYTES

__all__ = ["with_voc", "with_voc_file"]

_CVAT_LIST = "labelmap.txt"
_BACKGROUND = "background"
_MOST_LIST_BYTES = 2**20


def with_voc_file(source: Source, path: Path) -> Source:
    """Give a single picture the labels of a Pascal VOC file.

    Raises:
        RinrInputError: The source has many pictures, or the file is not readable.
    """
    if source.kind != "image":
        names_used(read_file(path, most=MOST_LABEL_BYTES))  # which says what it is, if no VOC file
        raise RinrInputError(
            f"{path}: the labels of one picture, but {source.path} has many; give the folder of "
            "the .xml files"
        )
    (series,) = source.series
    names = _order(_count([path], path), source.names, path.parent, path)
    ref = replace(series.refs[0], label=path, label_stamp=stamp_of(path))
    series = replace(series, refs=(ref,), reader=_reader(names))
    return replace(source, series=(series,), names=names)


def with_voc(source: Source, path: Path, files: Sequence[tuple[Path, str]]) -> Source:
    """Give the pictures of a source the labels of a folder of Pascal VOC files.

    Args:
        source: Its pictures have no labels yet.
        path: The folder.
        files: The files in it and below it, with their stamps.

    Raises:
        RinrInputError: No file fits a picture, or a class is not among those of the data yaml.
    """
    refuse_video(source, path)
    labels = [item for item in files if item[0].suffix.lower() == ".xml"]
    relative, base = storage_of(path).relative_name, text_of(path)
    stems = [str(PurePosixPath(relative(file, base)).with_suffix("")) for file, _ in labels]
    refs = [ref for series in source.series for ref in series.refs]
    pictures = [
        (frame_stem(ref.name), frame_stem(text_of(storage_of(ref.path).absolute(ref.path))))
        for ref in refs
    ]
    matches = match(pictures, stems)
    used = sorted(set(matches.labels.values()))
    counts = _count([labels[i][0] for i in used or range(min(1, len(labels)))], path)
    if not used and not matches.ambiguous:
        raise RinrInputError(
            f"{path}: no .xml file has the name of a picture of {source.path}; the first is "
            f"{stems[0]}.xml, the first picture is {refs[0].name}"
        )
    names = _order(counts, source.names, path, path)
    reader = _reader(names)
    given = iter(
        replace(ref, label=labels[i][0], label_stamp=labels[i][1])
        if (i := matches.labels.get(number)) is not None
        else replace(ref, label=path, listed=False)
        for number, ref in enumerate(refs)
    )
    series = tuple(
        replace(one, refs=tuple(next(given) for _ in one.refs), reader=reader)
        for one in source.series
    )
    lost = list(source.lost_labels)
    if matches.ambiguous:
        lost.append(
            f"{path}: .xml files fit {len(matches.ambiguous):,} pictures equally well, such as "
            f"{refs[matches.ambiguous[0]].name}; these get no labels. Give the folder of the "
            "pictures that the labels belong to"
        )
    if unused := sorted(set(range(len(labels))) - set(used)):
        lost.append(
            f"{path}: {len(unused):,} .xml files are of pictures that {source.path} does not have, "
            f"such as {stems[unused[0]]}.xml"
        )
    return replace(source, series=series, names=names, lost_labels=tuple(lost))


def _reader(names: Mapping[int, str]) -> VocReader:
    ids = {name: i for i, name in sorted(names.items(), reverse=True)}
    return VocReader(tuple(sorted(ids.items(), key=lambda item: item[1])))


def _count(files: Sequence[Path], near: Path) -> Counter[str]:
    """Count the files of each class; a file that cannot be parsed is reported later."""

    def look(file: Path) -> set[str] | RinrInputError:
        try:
            return names_used(read_file(file, most=MOST_LABEL_BYTES))
        except RinrInputError as error:
            return error
        except (RinrError, OSError):
            return set()

    counts: Counter[str] = Counter()
    found = map_stored(look, files, near)
    for file, names in zip(files, found, strict=True):
        if not isinstance(names, RinrInputError):
            counts.update(names)
        elif all(isinstance(one, RinrInputError) for one in found):
            raise RinrInputError(f"{file}: {names}") from names
    return counts


def _order(
    counts: Mapping[str, int], known: Mapping[int, str], folder: Path, where: Path
) -> dict[int, str]:
    """Return the classes by their ids.

    Those of the data yaml keep theirs. Else they have the order of a list next to the labels, or
    that of the alphabet.
    """
    if known:
        unknown = sorted(counts.keys() - set(known.values()))
        if unknown:
            raise RinrInputError(
                f"{where}: class {unknown[0]!r} (in {counts[unknown[0]]:,} files) is not among the "
                "names of the data yaml; add it there, or remove its objects"
            )
        return dict(known)
    listed = _listed_names(folder)
    if listed[:1] == [_BACKGROUND] and _BACKGROUND not in counts:
        del listed[0]
    names = list(dict.fromkeys([*listed, *sorted(counts.keys() - set(listed))]))
    if len(names) > MOST_CLASSES:
        raise RinrInputError(f"{where}: {len(names):,} classes, at most {MOST_CLASSES:,}")
    return dict(enumerate(names))


def _listed_names(folder: Path) -> list[str]:
    """Read the class names in `classes.txt`, or in `labelmap.txt` of CVAT.

    The file is in the folder or the one above.
    """
    for file in (
        folder / "classes.txt",
        folder / _CVAT_LIST,
        join(folder, "../classes.txt"),
        join(folder, f"../{_CVAT_LIST}"),
    ):
        if file_or_folder(file) != "file":
            if Listing().dangles(text_of(file), file):
                raise RinrInputError(f"{file}: this link leads nowhere; it would order the classes")
            continue
        text = read_file(file, most=_MOST_LIST_BYTES).decode("utf-8-sig", "replace")
        lines = [line.strip() for line in text.splitlines()]
        if file.name == _CVAT_LIST:  # name:color:parts:actions
            lines = [line.partition(":")[0] for line in lines if not line.startswith("#")]
        return [line for line in lines if line]
    return []
