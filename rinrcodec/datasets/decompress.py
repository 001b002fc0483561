"""`rinrcodec.decompress`: `.rinr` files back to pictures and labels."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple, get_args

from rinrcodec.compute.devices import find_gpu
from rinrcodec.datasets.inspection.runs import missing_packs
from rinrcodec.datasets.names import output_names
from rinrcodec.datasets.options import check_choice, check_whole
from rinrcodec.datasets.packs import PackFiles, find_packs, yaml_text
from rinrcodec.datasets.progress import Messages, OnProgress, reporting
from rinrcodec.datasets.unpack import Job, Unpacking, unpack
from rinrcodec.datasets.unpacking.class_files import class_list, output_yaml
from rinrcodec.datasets.unpacking.clips import check_shapes, clip_paths, unpack_clips
from rinrcodec.datasets.unpacking.outputs import Format, Output, output_of
from rinrcodec.datasets.unpacking.selection import Cutout, chosen_numbers
from rinrcodec.datasets.unpacking.video_files import check_fps
from rinrcodec.errors import RinrError, RinrInputError, RinrUsageError, reason
from rinrcodec.formats import PackReader
from rinrcodec.labels.coco_writer import CocoWriter
from rinrcodec.labels.losses import LABEL_FORMATS, LabelFormat, Losses
from rinrcodec.limits import Limits, limits_for
from rinrcodec.memory import memory_errors
from rinrcodec.printing import count, printable
from rinrcodec.sources.picture_names import frame_stem
from rinrcodec.storage import file_or_folder, files_below, storage_of, to_path
from rinrcodec.storage.atomic import write_text, writing
from rinrcodec.storage.own_paths import obstacle

__all__ = ["DecompressResult", "decompress"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class DecompressResult:
    """Hold the result of `decompress`.

    Attributes:
        source: The path or URL, as text.
        out: The path or URL of the output, as text.
        packs: How many files were opened.
        frames: How many pictures were written.
        failed_frames: How many frames could not be decoded or written.
        seconds: From the call to its end.
        warnings: Messages.
        failures: Messages; these frames are missing in `out`.
        lost_labels: One message for each kind of label that the output does not have.

    Example:
        >>> import numpy as np, rinrcodec
        >>> pack = rinrcodec.encode([np.zeros((24, 32, 3), np.uint8)])
        >>> size = rinrcodec.save(pack, "one.rinr")
        >>> rinrcodec.decompress("one.rinr", "pictures").frames
        1
    """

    source: str
    out: str
    packs: int
    frames: int
    failed_frames: int
    seconds: float
    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    lost_labels: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"<DecompressResult: {count(self.frames, 'frame')} in {self.out!r}, "
            f"{count(len(self.warnings), 'warning')}, {count(len(self.failures), 'failure')}>"
        )

    def as_json(self) -> dict[str, Any]:
        """Give the figures as `--json` writes them."""
        return asdict(self)


def decompress(
    source: str | PathLike[str],
    out: str | PathLike[str],
    *,
    format: Format | None = None,  # noqa: A002 (the option's name)
    frames: int | slice | None = None,
    region: Sequence[int] | None = None,
    scale: float = 1.0,
    fps: float | None = None,
    labels: bool | LabelFormat = False,
    device: str = "auto",
    overwrite: bool = False,
    max_pixels: int | None = None,
    on_progress: OnProgress | Literal["auto"] | None = "auto",
) -> DecompressResult:
    """Turn `.rinr` files back into pictures and labels.

    Pictures keep their names, with a new suffix. With `labels`, or from a data yaml, pictures go
    to OUT/images. Labels go to OUT/labels ("yolo"), OUT/annotations.json, or OUT/annotations/ with
    a file for each split ("coco"), or OUT/Annotations ("voc"). Pictures whose labels could not be
    understood go to OUT/unlabelled, so that none is taken for one without objects.

    Args:
        source: a `.rinr` file, a folder of them, or the data.yaml that `compress` wrote; a path
            or URL.
        out: the output folder, or its URL. One frame may also go to a file that ends in .png,
            .jpg, .webp or .npy. All frames may go to one that ends in .mp4 or .gif.
        format: "png", "webp" (lossless), "jpg" (quality 95) or "npy" (a uint8 array); "mp4" or
            "gif" for a video of every folder of frames. None is that of `out`, or "png".
        frames: which frames, of all packs in order: a number or a slice; None takes all.
        region: decode these pixels alone, as (x, y, width, height).
        scale: decode at this scale, above 0 and at most 16; region first. Labels move along.
        fps: frames a second of a video, 1/600 to 1,000; None is that of the packs, or 10.
        labels: write labels too, as "yolo", "coco" or "voc"; True is "yolo".
        device: "auto", "cpu", "cuda" or "cuda:N".
        overwrite: replace files that are there.
        max_pixels: the most pixels of a frame, by default those of `rinrcodec.limits.Limits`.
        on_progress: called with a `Progress`, in the calling thread. "auto" draws a bar in a
            notebook and on a terminal, and logs elsewhere. None is silent.

    Returns:
        The figures, warnings and failures. Frames that cannot be decoded are failures of the
        result, as are packs that a manifest lists and that are missing; the others are written.

    Raises:
        RinrUsageError: options that contradict each other, frames or a region that are not there,
            or files or links that are in the way.
        RinrInputError: a source without `.rinr` files.
        RinrDeviceError: a device that is absent or out of memory.
        OSError: a disk or store that fails.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> from rinrcodec import compress, decompress
        >>> with TemporaryDirectory() as folder:
        ...     Image.new("RGB", (32, 24)).save(Path(folder, "frame.png"))
        ...     _ = compress(folder, f"{folder}/packs", steps=2, device="cpu")
        ...     result = decompress(f"{folder}/packs", f"{folder}/back", device="cpu")
        ...     print(result.frames, [path.name for path in Path(folder, "back").iterdir()])
        1 ['frame.png']
    """
    began = time.monotonic()
    if format is not None:
        check_choice("format", format, get_args(Format))
    if not isinstance(labels, bool):
        check_choice("labels", labels, LABEL_FORMATS)
    path, target = to_path(source), to_path(out)
    if file_or_folder(path) is None:
        raise RinrInputError(f"{path}: there is no such file or folder")
    output = output_of(target, format)
    cutout, rate = Cutout.of(region, scale), check_fps(fps)
    _check_together(output, labels, fps)
    if max_pixels is not None:
        check_whole("max_pixels", max_pixels, least=1)
    with reporting(on_progress, "reading packs") as report:
        result = _decompress(
            path,
            target,
            output,
            cutout,
            frames=frames,
            rate=rate,
            labels=labels,
            device=device,
            overwrite=overwrite,
            limits=limits_for(max_pixels),
            on_progress=report,
        )
    Messages().log(result.warnings, result.lost_labels, result.failures)
    return replace(result, seconds=time.monotonic() - began)


def _decompress(
    path: Path,
    target: Path,
    output: Output,
    cutout: Cutout,
    *,
    frames: int | slice | None,
    rate: Fraction | None,
    labels: bool | LabelFormat,
    device: str,
    overwrite: bool,
    limits: Limits,
    on_progress: OnProgress,
) -> DecompressResult:
    packs = find_packs(path)
    kind: LabelFormat | None = None
    if output.file is None and not output.is_clip:
        kind = "yolo" if labels is True or packs.data is not None else None
        kind = labels if isinstance(labels, str) else kind
    losses = Losses(kind or "yolo")
    work = Unpacking(
        output.format,
        device,
        on_progress,
        failures=list(packs.failures),
        losses=losses,
        limits=limits,
        cutout=cutout,
    )
    lost, notes = missing_packs(path, packs.all())
    work.failures += lost
    work.warnings += notes
    written = 0
    with memory_errors(f"{path}: decompressing it"), ExitStack() as stack:
        jobs, writers = _make_jobs(packs, path, output, frames, work, kind, stack)
        shapes = check_shapes(jobs, work)
        if frames is not None:
            used = {job.root.name for job in jobs}
            packs = replace(packs, splits={k: v for k, v in packs.splits.items() if k in used})
        texts = {}
        if kind and (data := output_yaml(packs, jobs, kind, output.folder, work)):
            texts[output.folder / "data.yaml"] = yaml_text(data)
        if names := class_list(jobs, kind):
            texts[output.folder / "classes.txt"] = names
        files = [*_files_of(jobs), *texts, *(writer.path for writer in writers)]
        spare = [job.spare(index) for job in jobs for index in range(len(job.pictures))]
        _refuse_links([*files, *spare], output.folder)
        _refuse_own_yaml(texts, path, packs.all())
        if not overwrite:
            _refuse_existing([*files, *spare] if kind else files, output.folder)
        find_gpu(device)
        work.total = sum(len(job.pictures) for job in jobs)
        _log.info("decompress %s: %d frames in %d packs", printable(path), work.total, len(jobs))
        with writing(target):
            work.report(0)
            if output.is_clip:
                written = unpack_clips(jobs, shapes, work, rate)
            else:
                for job in jobs:
                    written += unpack(job, work)
                    _log.debug("%s: unpacked", printable(job.path))
            for writer in writers:
                writer.finish()
                work.warnings += writer.warnings
            for file, text in texts.items():
                write_text(file, text)
    return DecompressResult(
        source=str(path),
        out=str(target),
        packs=len(jobs),
        frames=written,
        failed_frames=work.total - written,
        seconds=0.0,
        warnings=tuple(work.warnings),
        failures=tuple(work.failures),
        lost_labels=(*work.lost_labels, *losses.messages()),
    )


class _Known(NamedTuple):
    """The facts about a pack before it is decoded: its frames, and whether they are labelled."""

    path: Path
    names: tuple[str, ...]
    labelled: list[bool]
    info: Mapping[str, str]


def _check_together(output: Output, labels: bool | str, fps: float | None) -> None:
    """Raise `RinrUsageError` for options that the output has no place for."""
    if labels and (output.is_clip or output.file is not None):
        what = "a video has" if output.is_clip else f"{output.file} has"
        raise RinrUsageError(f"`labels`: {what} no place for labels; write pictures to a folder")
    if fps is not None and not output.is_clip:
        raise RinrUsageError(
            "`fps` is for videos (`format` mp4 or gif); pictures have no frame rate"
        )


def _open_packs(packs: PackFiles, work: Unpacking, *, labelled: bool) -> dict[str, list[_Known]]:
    """Read the names of the frames of all packs; those that cannot be read are failures."""
    opened: dict[str, list[_Known]] = {}
    for split, paths in packs.splits.items():
        opened[split] = []
        for path in paths:
            try:
                with PackReader(path, limits=work.limits) as reader:
                    names = reader.names()
                    known = reader.labelled().tolist() if labelled else [True] * len(names)
                    opened[split].append(_Known(path, names, known, reader.info))
            except (RinrError, OSError) as error:
                work.failures.append(reason(path, error))
    return opened


def _make_jobs(
    packs: PackFiles,
    source: Path,
    output: Output,
    frames: int | slice | None,
    work: Unpacking,
    kind: LabelFormat | None,
    stack: ExitStack,
) -> tuple[list[Job], list[CocoWriter]]:
    """Decide every file name before anything is written."""
    opened = _open_packs(packs, work, labelled=kind is not None)
    total = sum(len(one.names) for known in opened.values() for one in known)
    if frames is not None and work.failures:
        raise RinrInputError(
            f"{work.failures[0]}: so it is not known which frames `frames` means; leave it out, or "
            "restore the pack"
        )
    chosen = chosen_numbers(frames, total)
    if output.file is not None and not output.is_clip and len(chosen) != 1:
        raise RinrUsageError(
            f"{output.file} is one picture, and {source} has {count(total, 'frame')}: choose one "
            f"with `frames=0`, or give a folder with `out`"
        )
    jobs: list[Job] = []
    writers: list[CocoWriter] = []
    before = 0
    for split, known in opened.items():
        flat = [name for one in known for name in one.names]
        wanted = [before + number in chosen for number in range(len(flat))]
        before += len(flat)
        if not any(wanted) and frames is not None:
            continue
        labelled = [one for part in known for one in part.labelled]
        images = output.folder / "images" / split if kind else output.folder
        unlabelled = output.folder / "unlabelled" / split
        if output.file is not None:
            pictures = [output.file] * len(flat)
        elif output.is_clip:
            pictures = clip_paths(output, split, flat, source, work)
        else:
            folders = [images if one else unlabelled for one in labelled]
            files = output_names(flat, f".{work.format}")
            _note_renamed(flat, files, wanted, work)
            pictures = [folder / name for folder, name in zip(folders, files, strict=True)]
        labels = _label_files(output.folder, split, flat, labelled, kind)
        coco = None
        if kind == "coco":
            file = output.folder / "annotations.json"
            if split:
                file = output.folder / "annotations" / f"{split}.json"
            coco = stack.enter_context(CocoWriter(file))
            writers.append(coco)
        lost = [n for n, one in enumerate(wanted) if one and not labelled[n]]
        if lost:
            work.lost_labels.append(
                f"{unlabelled}: {count(len(lost), 'frame')} whose "
                f"labels could not be understood, such as {flat[lost[0]]}: pictures "
                "without labels; do not train on them as background"
            )
        start = 0
        for one in known:
            numbers = [n for n in range(len(one.names)) if wanted[start + n]]
            if numbers or frames is None:
                jobs.append(
                    Job(
                        one.path,
                        numbers,
                        [pictures[start + n] for n in numbers],
                        [labels[start + n] for n in numbers] if labels else [],
                        one.info,
                        coco,
                        images,
                        unlabelled,
                    )
                )
            start += len(one.names)
    return jobs, writers


def _note_renamed(names: list[str], files: list[str], wanted: list[bool], work: Unpacking) -> None:
    """Warn of frames that cannot have their own name as a file."""
    renamed = [
        (name, file)
        for name, file, one in zip(names, files, wanted, strict=True)
        if one and PurePosixPath(f"{frame_stem(name)}.{work.format}") != PurePosixPath(file)
    ]
    if renamed:
        name, file = renamed[0]
        work.warnings.append(
            f"{count(len(renamed), 'frame')} got another file name, such as {file} for {name}: "
            "names must be valid, and no two files may have the same"
        )


def _label_files(
    out: Path, split: str, names: list[str], labelled: list[bool], kind: LabelFormat | None
) -> list[Path | None]:
    """Return the label file of each frame, where every frame has its own."""
    if kind is None or kind == "coco":
        return []
    folder, suffix = ("labels", ".txt") if kind == "yolo" else ("Annotations", ".xml")
    files = [out / folder / split / name for name in output_names(names, suffix)]
    return [file if one else None for file, one in zip(files, labelled, strict=True)]


def _files_of(jobs: list[Job]) -> Iterator[Path]:
    """Yield the paths of all pictures and labels that may be written."""
    for job in jobs:
        yield from (file for file in (*job.pictures, *job.labels) if file is not None)


def _refuse_links(files: list[Path], out: Path) -> None:
    """Raise `RinrUsageError` where writing would follow a link out of the output folder."""
    for file in files:
        problem = obstacle(file, out)
        if problem is not None:
            raise RinrUsageError(problem)


def _refuse_own_yaml(texts: Mapping[Path, str], source: Path, packs: Sequence[Path]) -> None:
    """Raise `RinrUsageError` where a data yaml of the output is the one that lists the packs."""
    for file in texts:
        if file.suffix != ".yaml" or file_or_folder(file) != "file":
            continue
        folder = _resolved(file.parent)
        if _resolved(file) == _resolved(source) or any(
            folder in _resolved(pack).parents for pack in packs
        ):
            raise RinrUsageError(
                f"{file} is of the packs that are decompressed, and the output has a file of this "
                "name; give another folder with `out`"
            )


def _resolved(path: Path) -> Path:
    return path.resolve() if storage_of(path).has_native_paths else path


def _refuse_existing(files: list[Path], out: Path) -> None:
    # One listing rather than a request for every frame.
    there = {str(file) for file, _ in files_below(out)} if storage_of(out).lists_at_once else None
    existing = [f for f in files if (os.path.lexists(f) if there is None else str(f) in there)]
    if existing:
        more = f" and {len(existing) - 1} more are" if len(existing) > 1 else " is"
        raise RinrUsageError(f"{existing[0]}{more} already there; `overwrite=True` replaces it")
