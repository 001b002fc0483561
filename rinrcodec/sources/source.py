"""A source: series of pictures that are read one at a time, on request.

A source of any size needs the memory of a few pictures. `discover.open_source` makes sources.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rinrcodec.errors import RinrInputError
from rinrcodec.labels.model import LabelReader, Task
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.picture import Picture
from rinrcodec.sources.pictures.depth import DepthRange
from rinrcodec.sources.readings import YOLO, ImageRef, Reading, read_image, with_labels
from rinrcodec.sources.video_labels import VideoLabels
from rinrcodec.storage import stamp_of

__all__ = ["Series", "Source"]


@dataclass(frozen=True, slots=True)
class Series:
    """Pictures that go into one series of packs: a folder, a split of a data yaml, or a video.

    A video has no `refs`; its frames are counted, not listed, and the count is what the file
    declares. `labels` are those of a video. `stamp` is that of its file when it was found, ""
    where there is no video; `label_stamps` is a hash of those of its label files, "" where it has
    no labels. `reader` reads the labels. `formats` are kinds of pictures that the user has added.
    """

    name: str
    refs: tuple[ImageRef, ...] = ()
    video: Path | None = None
    labels: VideoLabels | None = None
    n_frames: int = 0
    stamp: str = ""
    reader: LabelReader = YOLO
    label_stamps: str = ""
    formats: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.n_frames if self.video else len(self.refs)

    def read(
        self,
        start: int = 0,
        *,
        jobs: int = 1,
        depth_range: DepthRange | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Iterator[Reading]:
        """Read the pictures from number `start` on, in order, `jobs` at a time.

        `depth_range` is that of `load_picture`; frames of videos have 8 bits.

        A picture that cannot be read is an item with an `error`, and the next one follows. So is
        one that has changed since the source was opened. Raises `RinrInputError` for a video that
        is gone or changes while it is read, `OSError` for one that the disk does not give.
        """
        if self.video is not None:
            yield from self._read_video(self.video, start, limits)
            return
        read = partial(read_image, reader=self.reader, depth_range=depth_range, limits=limits)
        if self.formats:
            read = partial(_with_formats, read, self.formats)
        with ThreadPoolExecutor(jobs) as pool:
            ahead: deque[Future[Reading]] = deque()
            for ref in self.refs[start:]:
                ahead.append(pool.submit(read, ref))
                if len(ahead) > jobs:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _read_video(self, video: Path, start: int, limits: Limits) -> Iterator[Reading]:
        from rinrcodec.sources.video import frame_name, read_video

        before = _video_stamp(video)
        if self.stamp and self.stamp != before:
            error = f"{video}: changed after this run began; wait until nothing writes to it"
            yield Reading(frame_name(video, start), error=f"{error} and run this again")
            return
        number, last = start, None
        for name, picture, problem in read_video(video, start, len(self), limits=limits):
            _check_unchanged(video, before)
            if last is not None:
                yield last
            label, stamp = self.labels.of_frame(number) if self.labels else (None, "")
            ref = ImageRef(name, video, label, label_stamp=stamp)
            if picture is None:
                last = Reading(name, error=problem)
            else:
                last = with_labels(picture, _pixel_bytes(picture), ref, self.reader, limits)
            number += 1
        if last is not None:
            _check_unchanged(video, before)
            # Only now is the number of frames known.
            late = self.labels.lost_after(number) if self.labels else ()
            yield replace(last, lost=(*last.lost, *late))


@dataclass(frozen=True, slots=True)
class Source:
    """All that one SRC argument names.

    names: class names by class id, from a data yaml or the labels. kpt_shape: of pose labels, the
    number of keypoints and of the numbers of each, from a data yaml. task: what the labels are for,
    where their format says it. info: more entries for `Pack.info`. warnings: oddities that concern
    no single picture. lost_labels: messages about labels that belong to no picture for sure, so
    that they are not used. failures: parts of the source that are not there. yaml_keys: the keys of
    a data yaml that its copies keep: all but `path`, `names` and the splits.
    """

    kind: Literal["image", "folder", "yaml", "video"]
    path: Path
    series: tuple[Series, ...]
    names: Mapping[int, str] = field(default_factory=dict)
    kpt_shape: tuple[int, int] | None = None
    task: Task = "detect"
    info: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    yaml_keys: Mapping[str, Any] = field(default_factory=dict)
    lost_labels: tuple[str, ...] = ()


def _with_formats(
    read: Callable[[ImageRef], Reading], formats: tuple[str, ...], ref: ImageRef
) -> Reading:
    from rinrcodec.sources.pictures.opening import adding_formats

    with adding_formats(formats):
        return read(ref)


def _video_stamp(video: Path) -> str:
    try:
        return stamp_of(video)
    except (FileNotFoundError, NotADirectoryError):
        raise RinrInputError(f"{video}: it is gone; was it moved or unmounted?") from None


def _check_unchanged(video: Path, stamp: str) -> None:
    if _video_stamp(video) != stamp:
        raise RinrInputError(
            f"{video}: changed while it was read; wait until nothing writes to it and run "
            "this again"
        )


def _pixel_bytes(picture: Picture) -> bytes:
    return f"{picture.pixels.shape}".encode() + picture.pixels.tobytes()
