"""Write a whole source as another codec has it, as the advice of a report may ask for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

from rinrcodec.compute.parallel import cores
from rinrcodec.datasets.names import file_suffix, output_names, safe_name
from rinrcodec.errors import RinrInputError, RinrUsageError
from rinrcodec.evaluation.baselines import JPEG_SUFFIXES
from rinrcodec.evaluation.rivals import Rival, RivalFrame, encode_rival
from rinrcodec.picture import Picture
from rinrcodec.sources.picture_names import frame_stem
from rinrcodec.sources.source import Source
from rinrcodec.storage import make_folder
from rinrcodec.storage.atomic import create_file, writing

__all__ = ["SUFFIXES", "write_rival"]

SUFFIXES = {"jpeg": ".jpg", "webp": ".webp", "avif": ".avif"}


def write_rival(
    source: Source, out: Path, rival: Rival, *, on_written: Callable[[int], None] = lambda _: None
) -> int:
    """Write all frames of a source to a new folder, as `encode_rival` encodes them.

    Without crops, the files are OUT/NAME.avif. With crops they are OUT/frames/NAME.avif and, for
    every box, OUT/crops/NAME/NUMBER_X_Y.webp: paste them at (X, Y), in the order of their numbers.
    A single image without crops can be one file: OUT is then its name, with the suffix of the
    codec. Files have the ICC profiles of the pictures; EXIF and XMP are left out.

    Args:
        source: As of `rinrcodec.sources.discover.open_source`.
        out: The folder or file, which must not exist. It appears when it is complete.
        rival: The codec and its settings.
        on_written: Called with the number of frames that are written.

    Returns:
        The bytes of all files.

    Raises:
        RinrUsageError: There is something at `out`, it is inside of the source, or it has the name
            of another kind of file.
        RinrInputError: A frame cannot be read.
        OSError: A file cannot be written.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> from rinrcodec.sources.discover import open_source
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     image = Path(folder, "black.png")
        ...     Image.new("RGB", (32, 24)).save(image)
        ...     out = Path(folder, "files")
        ...     n_bytes = write_rival(open_source(image), out, Rival("jpeg", 50))
        ...     [file.name for file in out.iterdir()], n_bytes > 100
        (['black.jpg'], True)
    """
    if os.path.lexists(out):
        raise RinrUsageError(f"{out} exists; give a new name")
    if source.kind == "folder" and out.resolve().is_relative_to(source.path.resolve()):
        raise RinrUsageError(
            f"{out} is inside of {source.path}, so its files would become part of the source; give "
            "a place outside"
        )
    if file_suffix(out) or out.suffix.lower() == ".rinr":
        return _write_file(source, out, rival, on_written)
    temporary = out.parent / f".rinr-{os.getpid()}-{out.name}"
    with writing(out):
        temporary.mkdir(parents=True)
    n_bytes = written = 0
    encode = partial(_encode, rival)
    try:
        with writing(out), ThreadPoolExecutor(cores()) as pool:
            pictures = _pictures(source, SUFFIXES[rival.codec])
            # A few at a time, as pictures take memory.
            while some := list(islice(pictures, cores())):
                for name, frame in pool.map(encode, some):
                    n_bytes += _write(temporary, name, frame, rival)
                    written += 1
                    on_written(written)
            temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return n_bytes


def _write_file(source: Source, out: Path, rival: Rival, on_written: Callable[[int], None]) -> int:
    """Write a single image to a file."""
    suffixes = JPEG_SUFFIXES if rival.codec == "jpeg" else {SUFFIXES[rival.codec]}
    if source.kind != "image" or rival.crops or out.suffix.lower() not in suffixes:
        raise RinrUsageError(
            f"{out}: expected the name of a folder, or for a single image without crops a file "
            f"that ends in {SUFFIXES[rival.codec]}"
        )
    ((_, picture),) = _pictures(source, SUFFIXES[rival.codec])
    data = encode_rival(picture, rival, icc=True).data
    with writing(out):
        make_folder(out.parent)
        if not create_file(out, data):
            raise RinrUsageError(f"{out} exists; give a new name")
    on_written(1)
    return len(data)


def _pictures(source: Source, suffix: str) -> Iterator[tuple[str, Picture]]:
    """Yield every picture with its file name, below its series' name if there are several."""
    several = len(source.series) > 1
    heads = [f"{series.name}/" if several else "" for series in source.series]
    names = [
        head + ref.name
        for head, series in zip(heads, source.series, strict=True)
        for ref in series.refs
    ]
    files = dict(zip(names, output_names(names, suffix), strict=True))
    for head, series in zip(heads, source.series, strict=True):
        for reading in series.read():
            if reading.picture is None:
                raise RinrInputError(reading.error)
            name = head + reading.name
            # Frames of a video are numbered, and their names differ.
            yield files.get(name) or safe_name(frame_stem(name)) + suffix, reading.picture


def _encode(rival: Rival, item: tuple[str, Picture]) -> tuple[str, RivalFrame]:
    name, picture = item
    return name, encode_rival(picture, rival, icc=True)


def _write(folder: Path, name: str, frame: RivalFrame, rival: Rival) -> int:
    """Write the files of a frame; return their bytes."""
    files = {Path(name): frame.data}
    if rival.crops:
        files = {Path("frames", name): frame.data}
        stem = Path("crops", name).with_suffix("")
        suffix = SUFFIXES[rival.crops[0]]
        for number, (region, data) in enumerate(frame.crops):
            files[stem / f"{number:03d}_{region.x}_{region.y}{suffix}"] = data
    for file, data in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return sum(map(len, files.values()))
