"""From one pack to picture and label files: the work of `decompress`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor

from rinrcodec.compute.compose import to_array
from rinrcodec.datasets.batches import batches
from rinrcodec.datasets.picture_files import write_picture
from rinrcodec.datasets.progress import OnProgress, Progress
from rinrcodec.decoder import decode
from rinrcodec.errors import RinrError, RinrInputError, reason
from rinrcodec.formats import PackReader
from rinrcodec.labels.coco_writer import CocoWriter
from rinrcodec.labels.info import classes_of, kpt_shape_of, task_of
from rinrcodec.labels.losses import Losses
from rinrcodec.labels.voc_writer import voc_text
from rinrcodec.labels.yolo import Layout, format_labels
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import Frame
from rinrcodec.storage import storage_of, text_of
from rinrcodec.storage.atomic import write_text

__all__ = ["Format", "Job", "Unpacking", "unpack"]

Format = Literal["png", "jpg", "webp", "npy"]


@dataclass(frozen=True, slots=True)
class Job:
    """One pack, and the picture and label file of each of its frames.

    Frames whose labels could not be understood have no label file. info: that of the pack. coco:
    the file of all pictures below `root`, where there is one for all.
    """

    path: Path
    pictures: list[Path] = field(default_factory=list)
    labels: list[Path | None] = field(default_factory=list)
    info: Mapping[str, str] = field(default_factory=dict)
    coco: CocoWriter | None = None
    root: Path = Path()


@dataclass(slots=True)
class Unpacking:
    """One call: what it writes and on which device, how far it is, and what went wrong so far."""

    format: Format
    device: str
    on_progress: OnProgress
    failures: list[str]
    losses: Losses
    limits: Limits = DEFAULT_LIMITS
    warnings: list[str] = field(default_factory=list)
    lost_labels: list[str] = field(default_factory=list)
    total: int = 0
    done: int = 0  # frames of the packs before

    def report(self, within: int) -> None:
        """Report the frames done, of which `within` are of the pack at hand."""
        self.on_progress(Progress("decoding", self.done + within, self.total))


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
    frames = _readable(reader, job, work)
    for batch in batches(frames, lambda item: item[1].width * item[1].height):
        for index, frame, pixels in _decoded(reader, job, batch, work):
            array = to_array(pixels, frame.mode)
            try:
                work.warnings += write_picture(
                    job.pictures[index], array, frame.metadata, kind=work.format
                )
                written += 1
            except RinrInputError as error:
                work.failures.append(str(error))
            try:
                _write_label(reader, job, index, frame, work)
            except RinrError as error:
                work.failures.append(f"{job.pictures[index]}: its labels are lost: {error}")
            work.report(index + 1)
    return written


def _write_label(reader: PackReader, job: Job, index: int, frame: Frame, work: Unpacking) -> None:
    """Write the labels of a frame in the format that was asked for, if any."""
    info, picture = reader.info, job.pictures[index]
    label = job.labels[index] if job.labels else None
    if job.coco is not None and frame.labelled:
        job.coco.add(frame, storage_of(picture).relative_name(picture, text_of(job.root)), info)
    elif label is not None and label.suffix == ".xml":
        text = voc_text(frame, picture.name, classes_of(info))
        write_text(label, text, durable=False)
    elif label is not None:
        layout = Layout(task_of(info), kpt_shape_of(info))
        text = format_labels(frame.boxes, width=frame.width, height=frame.height, layout=layout)
        write_text(label, text, durable=False)
    else:
        return
    work.losses.count(frame, task_of(info))


def _readable(reader: PackReader, job: Job, work: Unpacking) -> Iterator[tuple[int, Frame]]:
    """Frames with their numbers; those in a damaged part of the table go to the failures."""
    for index in range(reader.n_frames):
        try:
            frame = reader.frame(index)
        except (RinrError, OSError) as error:
            work.failures.append(f"{job.pictures[index]} cannot be made: {reason(job.path, error)}")
        else:
            yield index, frame


def _decoded(
    reader: PackReader, job: Job, batch: list[tuple[int, Frame]], work: Unpacking
) -> Iterator[tuple[int, Frame, Tensor]]:
    """A batch with its pixels: decoded together or, where one is damaged, each by itself."""
    try:
        numbers = [index for index, _ in batch]
        decoded = decode(reader, numbers, device=work.device, limits=work.limits)
    except (RinrError, OSError) as error:
        if len(batch) == 1:
            index = batch[0][0]
            work.failures.append(f"{job.pictures[index]} cannot be made: {reason(job.path, error)}")
            return
        for item in batch:
            yield from _decoded(reader, job, [item], work)
    else:
        for (index, frame), pixels in zip(batch, decoded, strict=True):
            yield index, frame, pixels
