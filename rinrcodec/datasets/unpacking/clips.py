"""`decompress --format mp4|gif`: one video for every folder of frames, or one file for all.

clip/000001.png, clip/000002.png   ->  OUT/clip.mp4
000001.png, in SRC "packs"         ->  OUT/packs.mp4, or OUT/train.mp4 of a split
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from rinrcodec.datasets.names import clip_names
from rinrcodec.datasets.unpack import OF_NAMES, Job, Unpacking, decoded_frames
from rinrcodec.datasets.unpacking.outputs import CLIP_FORMATS, Output
from rinrcodec.datasets.unpacking.video_files import DEFAULT_FPS, frame_rate_of, write_clip
from rinrcodec.errors import RinrError, RinrUsageError, reason
from rinrcodec.formats import PackReader
from rinrcodec.printing import count
from rinrcodec.storage import storage_of

__all__ = ["check_shapes", "clip_paths", "unpack_clips"]

Shape = tuple[int, int]


def clip_paths(
    output: Output, split: str, names: Sequence[str], source: Path, work: Unpacking
) -> list[Path]:
    """Return the video that each frame of a split goes to: one for every folder in their names."""
    # Not resolved: a link has the name that the user knows.
    whole = source.stem if source.suffix else storage_of(source).absolute(source).name
    folders = [
        "/".join(filter(None, (split, name.rpartition("/")[0]))) or whole or "frames"
        for name in names
    ]
    different = list(dict.fromkeys(folders))
    suffix = f".{output.format}"
    files = dict(zip(different, clip_names(different, suffix), strict=True))
    renamed = [
        folder
        for folder, file in files.items()
        if PurePosixPath(folder + suffix) != PurePosixPath(file)
    ]
    if renamed:
        work.warnings.append(
            f"{count(len(renamed), 'video')} got another file name, such as {files[renamed[0]]} "
            f"for {renamed[0]}: names must be valid, and no two files may have the same"
        )
    return [output.folder / files[folder] for folder in folders]


def check_shapes(jobs: Sequence[Job], work: Unpacking) -> dict[Path, Shape]:
    """Check the region against all frames; return the height and width of every video.

    Frames that cannot be read are passed over: decoding reports them.

    Raises:
        RinrUsageError: A region that leaves a frame, or a video of frames of several sizes.
    """
    is_clip = work.format in CLIP_FORMATS
    shapes: dict[Path, Shape] = {}
    if work.cutout.region is None and not is_clip:
        return shapes
    for job in jobs:
        for picture, name, shape in _shapes_of(job, work):
            if is_clip and shapes.setdefault(picture, shape) != shape:
                first, other = (f"{w}x{h}" for h, w in (shapes[picture], shape))
                raise RinrUsageError(
                    f"{picture}: a video has frames of one size, and these have "
                    f"{first} and {other} ({name}); choose some with `frames`, cut "
                    "all with `region`, or write pictures"
                )
    return shapes


def _shapes_of(job: Job, work: Unpacking) -> Iterator[tuple[Path, str, Shape]]:
    """Yield the output, name and shape of every frame that can be read."""
    try:
        reader = PackReader(job.path, limits=work.limits)
    except (RinrError, OSError):
        return
    with reader:
        for picture, number in zip(job.pictures, job.numbers, strict=True):
            try:
                frame = reader.frame(number)
                shape = work.cutout.shape(frame)
            except RinrUsageError:
                raise
            except (RinrError, OSError):
                continue
            yield picture, frame.name, shape


def unpack_clips(
    jobs: Sequence[Job], shapes: Mapping[Path, Shape], work: Unpacking, fps: Fraction | None
) -> int:
    """Write the frames of all jobs as videos; return how many frames they have.

    shapes: as of `check_shapes`. fps: None takes that of the packs.
    """
    members: defaultdict[Path, list[Job]] = defaultdict(list)
    for job in jobs:
        for path in dict.fromkeys(job.pictures):
            mine = [n for n, one in zip(job.numbers, job.pictures, strict=True) if one == path]
            members[path].append(Job(job.path, mine, [path] * len(mine), info=job.info))
    written = 0
    for path, parts in members.items():
        expected = sum(len(part.numbers) for part in parts)
        rate = frame_rate_of(parts[0].info) or DEFAULT_FPS if fps is None else fps
        # Where no frame can be read there is no shape, and `_pixels` gives none.
        shape = shapes.get(path, (0, 0))
        try:
            done = write_clip(
                path,
                _pixels(parts, work, shape),
                kind=work.format,
                fps=rate,
                shape=shape,
                count=expected,
                limits=work.limits,
            )
        except RinrError as error:
            work.failures.append(reason(path, error))
            continue
        except OSError as error:
            if error.errno not in OF_NAMES:
                raise
            work.failures.append(f"{path} cannot be written: {error.strerror}")
            continue
        written += done
        if 0 < done < expected:
            work.failures.append(f"{path}: lacks {count(expected - done, 'frame')}, see above")
    return written


def _pixels(parts: Sequence[Job], work: Unpacking, shape: Shape) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels of all frames of this shape; PyAV would stretch others to it."""
    for part in parts:
        try:
            reader = PackReader(part.path, limits=work.limits)
        except (RinrError, OSError) as error:
            work.failures.append(reason(part.path, error))
        else:
            with reader:
                for index, frame, array in decoded_frames(reader, part, work):
                    if array.shape[:2] == shape:
                        work.written += 1
                        yield array
                    else:
                        height, width = array.shape[:2]
                        work.failures.append(
                            f"{part.path}: {frame.name}: {width}x{height} pixels, and the video "
                            f"has {shape[1]}x{shape[0]}; the frame is left out"
                        )
                    work.report(index + 1)
        work.done += len(part.numbers)
    work.report(0)
