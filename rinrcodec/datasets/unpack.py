"""From one pack to picture and label files: the work of `decompress`."""

from __future__ import annotations

from collections.abc import Iterator
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
from rinrcodec.labels.info import kpt_shape_of, task_of
from rinrcodec.labels.yolo import Layout, format_labels
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import Frame
from rinrcodec.storage.atomic import write_text

__all__ = ["Format", "Job", "Unpacking", "unpack"]

Format = Literal["png", "jpg", "webp", "npy"]


@dataclass(frozen=True, slots=True)
class Job:
    """One pack, and the picture and label file of each of its frames."""

    path: Path
    pictures: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)


@dataclass(slots=True)
class Unpacking:
    """One call: what it writes and on which device, how far it is, and what went wrong so far."""

    format: Format
    device: str
    on_progress: OnProgress
    failures: list[str]
    limits: Limits = DEFAULT_LIMITS
    warnings: list[str] = field(default_factory=list)
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
    layout = Layout(task_of(reader.info), kpt_shape_of(reader.info))
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
            if job.labels:
                text = format_labels(
                    frame.boxes, width=frame.width, height=frame.height, layout=layout
                )
                write_text(job.labels[index], text, durable=False)
            work.report(index + 1)
    return written


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
