"""From one pack to picture and label files: the work of `decompress`."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rinrcodec.datasets.batches import batches
from rinrcodec.datasets.picture_files import picture_bytes, write_picture
from rinrcodec.datasets.progress import OnProgress, Progress
from rinrcodec.datasets.unpacking.outputs import Format
from rinrcodec.datasets.unpacking.selection import WHOLE, Cutout
from rinrcodec.decoder import Decoder
from rinrcodec.errors import RinrError, RinrInputError, RinrMemoryError, frame_reason, reason
from rinrcodec.formats import PackReader
from rinrcodec.labels.coco_writer import CocoWriter
from rinrcodec.labels.info import classes_of, kpt_shape_of, task_of
from rinrcodec.labels.losses import Losses
from rinrcodec.labels.voc_writer import voc_text
from rinrcodec.labels.yolo import Layout, format_labels
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.memory import memory_errors
from rinrcodec.pack import Frame
from rinrcodec.storage import remove_file, storage_of, text_of
from rinrcodec.storage.atomic import write_text

__all__ = ["OF_NAMES", "Job", "Unpacking", "decoded_frames", "unpack"]

# Errors of one file, whose name is not possible there or taken by something else.
OF_NAMES = frozenset(
    {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EISDIR, errno.ENOTDIR, errno.EEXIST}
    | {errno.ELOOP}
)


@dataclass(frozen=True, slots=True)
class Job:
    """One pack, and the picture and label file of each of its frames that are wanted.

    numbers: of these frames, in the pack. info: that of the pack. coco: the file of all pictures
    below `root`, where there is one for all. Frames whose labels could not be understood have no
    label file. unlabelled: where a picture goes, as below `root`, if its labels cannot be written.
    """

    path: Path
    numbers: list[int] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    labels: list[Path | None] = field(default_factory=list)
    info: Mapping[str, str] = field(default_factory=dict)
    coco: CocoWriter | None = None
    root: Path = Path()
    unlabelled: Path = Path()

    def spare(self, index: int) -> Path:
        """Return the path for the picture of a frame if its labels cannot be written."""
        picture = self.pictures[index]
        if self.unlabelled in picture.parents:
            return picture
        return self.unlabelled / _name_below(self.root, picture)


@dataclass(slots=True)
class Unpacking:
    """One call: what it writes and on which device, how far it is, and what went wrong so far."""

    format: Format
    device: str
    on_progress: OnProgress
    failures: list[str]
    losses: Losses
    limits: Limits = DEFAULT_LIMITS
    cutout: Cutout = WHOLE
    warnings: list[str] = field(default_factory=list)
    lost_labels: list[str] = field(default_factory=list)
    total: int = 0
    done: int = 0  # frames of the packs before
    written: int = 0  # frames of all packs so far

    def report(self, within: int) -> None:
        """Report the frames done, of which `within` are of the pack at hand."""
        done = self.done + within
        self.on_progress(Progress("decoding", done, self.total, failed=max(0, done - self.written)))


def unpack(job: Job, work: Unpacking) -> int:
    """Write the frames of a pack that can be read, with their labels; return how many."""
    written = 0
    try:
        reader = PackReader(job.path, limits=work.limits)
    except (RinrError, OSError) as error:
        work.failures.append(reason(job.path, error))
    else:
        with reader:
            written = _write_frames(reader, job, work)
    work.done += len(job.pictures)
    work.report(0)
    return written


def _write_frames(reader: PackReader, job: Job, work: Unpacking) -> int:
    written = 0
    for index, frame, array in decoded_frames(reader, job, work):
        done = _write_frame(reader.info, job, index, frame, array, work)
        written += done
        work.written += done
        work.report(index + 1)
    return written


def decoded_frames(
    reader: PackReader, job: Job, work: Unpacking
) -> Iterator[tuple[int, Frame, NDArray[np.uint8]]]:
    """Decode the frames of a job; the failures of `work` get a message for each that cannot be.

    Yields:
        The place of a frame in the job, the frame as it is in the pack, and its pixels.
    """
    frames = _readable(reader, job, work)
    for batch in batches(frames, lambda item: item[1].width * item[1].height):
        for index, frame, pixels in _decoded(reader, job, batch, work):
            yield index, frame, pixels[..., 0] if frame.mode == "L" else pixels


def _write_frame(
    info: Mapping[str, str],
    job: Job,
    index: int,
    frame: Frame,
    array: NDArray[np.uint8],
    work: Unpacking,
) -> bool:
    """Write the picture and the labels of a frame; return whether the picture is there.

    A picture without its labels would be taken for background, so both are made before either is
    written, and the labels are written first.
    """
    picture = job.pictures[index]
    put = done = _nothing
    stale: list[Path] = []
    try:
        try:
            put, done = _label_of(info, job, index, frame, work)
        except RinrError as error:
            picture = job.spare(index)
            # What an earlier run wrote would be taken for labels of this frame, or for background.
            stale = [job.pictures[index], *filter(None, job.labels[index : index + 1])]
            work.failures.append(
                f"{picture}: not in {job.root}, as its labels cannot be written: {job.path}: "
                f"{error}"
            )
        with memory_errors(f"{picture}: writing the picture"):
            data, warnings = picture_bytes(picture, array, frame.metadata, kind=work.format)
        put()
        with _without_label(job, index):
            write_picture(picture, data)
    except (RinrInputError, RinrMemoryError) as error:
        work.failures.append(str(error))
        return False
    except OSError as error:
        if error.errno not in OF_NAMES:
            raise
        work.failures.append(f"{picture} cannot be written: {error.strerror}")
        return False
    for file in stale:
        if file != picture:
            remove_file(file)
    done()
    work.warnings += warnings
    return True


def _label_of(
    info: Mapping[str, str], job: Job, index: int, frame: Frame, work: Unpacking
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Make the labels of a frame in the format that was asked for.

    Returns what writes them to a file of their own, and what is to be called once the picture is
    there.
    """
    picture = job.pictures[index]
    label = job.labels[index] if job.labels else None
    if job.coco is None and label is None:
        return _nothing, _nothing
    frame = work.cutout.moved(frame)
    count = partial(work.losses.count, frame, task_of(info))
    if job.coco is not None and frame.labelled:
        record = job.coco.record(frame, _name_below(job.root, picture), info)
        return _nothing, partial(_take, job.coco, record, count)
    if label is None:
        return _nothing, _nothing
    if label.suffix == ".xml":
        text = voc_text(frame, picture.name, classes_of(info))
    else:
        classes_of(info)  # numbers alone would get the names of other packs
        layout = Layout(task_of(info), kpt_shape_of(info))
        text = format_labels(frame.boxes, width=frame.width, height=frame.height, layout=layout)
    return partial(write_text, label, text, durable=False), count


def _nothing() -> None:
    """Write no labels."""


def _take(coco: CocoWriter, record: bytes, count: Callable[[], None]) -> None:
    coco.take(record)
    count()


@contextmanager
def _without_label(job: Job, index: int) -> Iterator[None]:
    """Remove the labels of a picture that cannot be written."""
    try:
        yield
    except OSError:
        label = job.labels[index] if job.labels else None
        if label is not None:
            remove_file(label)
        raise


def _name_below(root: Path, picture: Path) -> str:
    return storage_of(picture).relative_name(picture, text_of(root))


def _readable(reader: PackReader, job: Job, work: Unpacking) -> Iterator[tuple[int, Frame]]:
    """Yield frames with their places in the job; unreadable frames become failures."""
    for index, number in enumerate(job.numbers):
        try:
            frame = reader.frame(number)
        except (RinrError, OSError) as error:
            work.failures.append(f"{job.pictures[index]} cannot be made: {reason(job.path, error)}")
        else:
            yield index, frame


def _decoded(
    reader: PackReader, job: Job, batch: list[tuple[int, Frame]], work: Unpacking
) -> Iterator[tuple[int, Frame, NDArray[np.uint8]]]:
    """Yield a batch with its pixels: decoded together or, where one is damaged, each by itself."""
    try:
        decoder = Decoder(reader, device=work.device, limits=work.limits)
        decoded = decoder.pixels(
            [job.numbers[index] for index, _ in batch],
            region=work.cutout.region,
            scale=work.cutout.scale,
        )
    except (RinrError, OSError) as error:
        if len(batch) == 1:
            index, frame = batch[0]
            why = f"{job.path}: {frame_reason(job.path, frame.name, error)}"
            work.failures.append(f"{job.pictures[index]} cannot be made: {why}")
            return
        for item in batch:
            yield from _decoded(reader, job, [item], work)
    else:
        for (index, frame), pixels in zip(batch, decoded, strict=True):
            yield index, frame, pixels
