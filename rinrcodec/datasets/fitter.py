"""From the pictures of a shard to its pack, batch by batch."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rinrcodec.datasets.batches import batches, sequence_batches
from rinrcodec.datasets.manifest import FileRecord
from rinrcodec.datasets.resuming.contents import usable_parts
from rinrcodec.datasets.shards import Shard
from rinrcodec.datasets.work_folder import FittedPart, Work
from rinrcodec.errors import RinrInputError, plain
from rinrcodec.families import background_family
from rinrcodec.formats import pack_bytes, read_pack
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.memory import memory_errors
from rinrcodec.pack import Pack, merge_packs
from rinrcodec.presets import Preset
from rinrcodec.printing import printable
from rinrcodec.sources.pictures.depth import DepthRange
from rinrcodec.sources.readings import Reading
from rinrcodec.storage import file_or_folder
from rinrcodec.storage.atomic import write_whole
from rinrcodec.targets import Miss, Target

if TYPE_CHECKING:
    from rinrcodec.picture import Picture

__all__ = ["Fitter", "measure"]

_log = logging.getLogger(__name__)

# Threads of a worker that read pictures while it fits those before.
_READ_AHEAD = 2
_FEWER_JOBS = "take fewer `jobs`, or a machine with more memory, and rerun with `resume=True`"


@dataclass(frozen=True, slots=True)
class Fitter:
    """Fits shards into a work folder; one is handed to every worker.

    info: what every pack holds about the labels, as entries of `Pack.info`.
    single: every frame goes to a file of its own. depth_range and limits: of the pictures, as of
    `load_picture`.
    """

    work: Work
    preset: Preset
    target: Target | None
    seed: int
    device: str
    info: Mapping[str, str]
    single: bool = False
    depth_range: DepthRange | None = None
    limits: Limits = DEFAULT_LIMITS

    @memory_errors("fitting a shard", _FEWER_JOBS)
    def fit(self, shard: Shard, on_progress: Callable[[float], None] = lambda _: None) -> None:
        """Fit what is left of a shard; `on_progress` gets the number of pictures done."""
        if self.work.fitted(shard) is not None:
            return
        self.work.begin_shard(shard)
        parts = usable_parts(self.work, shard, depth_range=self.depth_range, limits=self.limits)
        position = parts[-1].stop if parts else 0
        on_progress(position)
        began = time.monotonic()
        for batch in self._batches(shard, position):
            _check_source(shard, position, batch)

            def report(fraction: float, position: int = position, size: int = len(batch)) -> None:
                on_progress(position + fraction * size)

            part = self._fit(shard, position, batch, began, report)
            parts.append(part)
            position = part.stop
            on_progress(position)
            began = time.monotonic()
        packs = [
            read_pack(self.work.part_path(shard, part.start, part.stop), limits=self.limits)
            for part in parts
            if part.names
        ]
        self.work.complete(shard, parts, merge_packs(packs) if packs else None)

    def _batches(self, shard: Shard, position: int) -> Iterator[list[Reading]]:
        readings = shard.read(
            position, jobs=_READ_AHEAD, depth_range=self.depth_range, limits=self.limits
        )
        encoder = self.preset.background
        if not background_family(encoder.family).joins_frames:
            return batches(readings, _pixels)
        return sequence_batches(
            readings, _pixels, encoder.chunk, folders=shard.folders(), start=position
        )

    def _fit(
        self,
        shard: Shard,
        start: int,
        batch: list[Reading],
        began: float,
        report: Callable[[float], None],
    ) -> FittedPart:
        pictures = [reading.picture for reading in batch if reading.picture is not None]
        quality: list[tuple[float, float | None, float | None]] = []
        objects = 0
        missed: tuple[Miss, ...] = ()
        record = None
        if pictures:
            pack, missed = self._encode(pictures, report)
            path = self.work.part_path(shard, start, start + len(batch))
            data = pack_bytes(pack, limits=self.limits)
            write_whole(path, data)
            record = FileRecord(len(data), hashlib.sha256(data).hexdigest())
            quality = measure(path, pictures, device=self.device, limits=self.limits)
            objects = sum(inr is not None for frame in pack.frames for inr in frame.objects)
        part = FittedPart(
            start=start,
            count=len(batch),
            names=[picture.name for picture in pictures],
            boxes=sum(len(picture.boxes) for picture in pictures),
            object_inrs=objects,
            pixels=sum(picture.width * picture.height for picture in pictures),
            source_bytes=sum(picture.source_bytes for picture in pictures),
            quality=quality,
            seconds=time.monotonic() - began,
            failures=[plain(reading.error) for reading in batch if reading.error is not None],
            warnings=[warning for reading in batch for warning in reading.warnings],
            lost=[text for reading in batch for text in reading.lost],
            unlabelled=sum(not picture.labelled for picture in pictures),
            digests=[reading.digest for reading in batch],
            missed=[asdict(miss) for miss in missed],
            shard_names=shard.names,
            stamps=shard.stamps_of(start, start + len(batch)),
            pack=record,
        )
        self.work.add(shard, part)
        _log.debug(
            "%s: pictures %d to %d took %.1f s",
            printable(shard.label),
            start,
            part.stop - 1,
            part.seconds,
        )
        return part

    def _encode(
        self, pictures: list[Picture], report: Callable[[float], None]
    ) -> tuple[Pack, tuple[Miss, ...]]:
        """Encode pictures; one by one where each file has to have a size, container included."""
        from rinrcodec.encoder import encode_pictures

        sized = self.single and self.target is not None and self.target.n_bytes is not None
        parts = [[picture] for picture in pictures] if sized else [pictures]
        packs: list[Pack] = []
        missed: list[Miss] = []
        for number, part in enumerate(parts):

            def on_progress(share: float, number: int = number) -> None:
                report((number + share) / len(parts))

            pack, misses = encode_pictures(
                part,
                self.preset,
                target=self.target,
                seed=self.seed,
                device=self.device,
                info=self.info,
                on_progress=on_progress,
            )
            packs.append(pack)
            missed += misses
        return merge_packs(packs), tuple(missed)


def _check_source(shard: Shard, position: int, batch: list[Reading]) -> None:
    """Raise `RinrInputError` where the source is gone, rather than call all its pictures bad."""
    if shard.series.video is not None or all(reading.picture is not None for reading in batch):
        return
    # Also of pictures that were read ahead, while the source was still there.
    refs = shard.series.refs[position : position + len(batch)]
    paths = [ref.path for ref in refs] + ([refs[0].path.parent] if len(refs) < 2 else [])
    if any(file_or_folder(path) for path in paths):
        return
    raise RinrInputError(
        f"{refs[0].path}: not there any more, nor are the {len(refs) - 1} pictures after it; "
        "was the source moved or unmounted?"
    )


def measure(
    path: Path, pictures: list[Picture], *, device: str, limits: Limits = DEFAULT_LIMITS
) -> list[tuple[float, float | None, float | None]]:
    """Measure the PSNR of each frame of a file against its picture.

    Each item is (frame, background, objects), in dB.
    """
    from rinrcodec.decoder import Decoder
    from rinrcodec.formats import PackReader
    from rinrcodec.metrics import frame_quality

    result = []
    with PackReader(path, limits=limits) as reader:
        # A few at a time: those of a sequence are many.
        for members in batches(range(len(pictures)), lambda i: pictures[i].pixels.size):
            decoded = Decoder(reader, device=device, limits=limits).pixels(members)
            for i, pixels in zip(members, decoded, strict=True):
                array = pixels[..., 0] if pictures[i].mode == "L" else pixels
                quality = frame_quality(pictures[i].pixels, array, pictures[i].boxes)
                result.append((quality.frame, quality.background, quality.objects))
    return result


def _pixels(reading: Reading) -> int:
    return 0 if reading.picture is None else reading.picture.width * reading.picture.height
