"""From a stream to packs that appear one by one, while the stream goes on.

    frames -> batch of a row -> encoded -> pack of shard_size frames -> OUT/NAME-00000.rinr

There is no manifest and no work folder: a stream cannot be read again, so nothing can be resumed.
A pack is written whole. Memory holds the frames of one batch, and the coded bytes of one pack.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from rinrcodec.datasets.batches import BATCH_FRAMES, BATCH_PIXELS
from rinrcodec.datasets.names import file_suffix, fit_name, safe_name
from rinrcodec.datasets.options import CompressOptions, choose_devices
from rinrcodec.datasets.progress import OnMessage, ignore
from rinrcodec.errors import RinrSourceError, RinrUsageError
from rinrcodec.families import background_family
from rinrcodec.formats import pack_bytes
from rinrcodec.limits import Limits, limits_for
from rinrcodec.memory import memory_errors
from rinrcodec.pack import Pack, merge_packs
from rinrcodec.picture import Picture
from rinrcodec.printing import count
from rinrcodec.sources.live.stream import Damage, Opened, open_stream, read_stream, shown_name
from rinrcodec.storage import file_or_folder, make_folder, names_in, read_file
from rinrcodec.storage.atomic import create_file, writing
from rinrcodec.targets import Miss

__all__ = ["STREAM_SHARD_SIZE", "StreamResult", "check_stream_options", "compress_stream"]

STREAM_SHARD_SIZE = 250


@dataclass(slots=True)
class StreamResult:
    """The result of `compress_stream`.

    Attributes:
        source, out: what was read, without a password, and the folder.
        frames, bytes: of the packs that were written.
        packs: their paths, as text.
        damaged: how many packets could not be decoded, whose frames are missing.
        dropped: how many frames after the last pack were read and not encoded.
        interrupted: whether Ctrl-C ended it.
        error: why the stream broke off, "" where it ended as it should.
        seconds: from the call to its end.
        missed: the targets that some frames miss.
    """

    source: str
    out: str
    frames: int = 0
    bytes: int = 0
    packs: list[str] = field(default_factory=list)
    damaged: int = 0
    dropped: int = 0
    interrupted: bool = False
    error: str = ""
    seconds: float = 0.0
    missed: list[Miss] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Give the figures as `--json` writes them."""
        return asdict(self)


def check_stream_options(options: CompressOptions) -> None:
    """Raise `RinrUsageError` for options that a stream has no use for."""
    refused = {
        "`resume`: a stream cannot be read again; begin with a new `out`": options.resume,
        "`overwrite`: a stream goes to an empty folder; begin with a new `out`": options.overwrite,
        "`labels`: a stream has no labels": options.labels not in ("auto", "none"),
        "`task` and `strict` are about labels, and a stream has none": (
            options.strict or options.task is not None
        ),
        "`soften`: a stream has no labels, so where its objects are is not known": bool(
            options.soften
        ),
        "`layout='files'`: a stream is written to packs only": options.layout == "files",
        "`jobs` and `executor`: one process reads a stream": (
            (options.jobs or 1) > 1 or options.executor != "local"
        ),
        "`depth_range` and `formats` are about pictures": bool(
            options.depth_range or options.formats
        ),
    }
    for message, given in refused.items():
        if given:
            raise RinrUsageError(message)


def compress_stream(
    source: str,
    out: Path,
    options: CompressOptions,
    *,
    on_message: OnMessage = ignore,
    stdin: BinaryIO | None = None,
) -> StreamResult:
    """Encode a stream until it ends or Ctrl-C ends it; packs are complete when they appear.

    After Ctrl-C, the pack at hand is written with the frames that are encoded. Where a camera
    breaks off, all frames that came are encoded and written, and `error` of the result says why.

    Args:
        source: As of `is_stream`.
        out: A folder that is empty or not there, or its URL.
        options: Those of `compress`; `check_stream_options` has looked at them.
        on_message: Gets a line for every pack.
        stdin: Replaces the standard input.

    Raises:
        RinrUsageError: An output that is in the way.
        RinrInputError: There is no video, or the camera cannot be opened.
    """
    if out.suffix.lower() == ".rinr" or file_suffix(out) or file_or_folder(out) == "file":
        raise RinrUsageError(f"{out}: a stream becomes packs, one by one; give a folder with `out`")
    if names_in(out):
        raise RinrUsageError(f"{out}: not empty; a stream needs a new folder, give another `out`")
    devices = choose_devices(options.device, options.executor)
    if len(devices) > 1:
        raise RinrUsageError(f"`device='{options.device}'`: one device reads a stream")
    where = shown_name(source)
    result = StreamResult(where, str(out))
    began = time.monotonic()
    with memory_errors(f"{where}: compressing it"), writing(out):
        _run(source, out, options, devices[0], result, on_message, stdin)
    result.seconds = time.monotonic() - began
    return result


def _run(
    source: str,
    out: Path,
    options: CompressOptions,
    device: str,
    result: StreamResult,
    on_message: OnMessage,
    stdin: BinaryIO | None,
) -> None:
    limits = limits_for(options.max_pixels)
    shard: _Shard | None = None
    try:
        with open_stream(source, stdin=stdin) as opened:
            shard = _Shard(out, opened.name, opened.frame_rate, options, device, result, on_message)
            for item in _until_it_breaks(opened, result, limits):
                if isinstance(item, Damage):
                    result.damaged += 1
                else:
                    shard.add(item)
        shard.encode()
    except KeyboardInterrupt:
        result.interrupted = True
    finally:
        if shard is not None:
            shard.publish()
            result.dropped = len(shard.waiting)


def _until_it_breaks(
    opened: Opened, result: StreamResult, limits: Limits
) -> Iterator[Picture | Damage]:
    """Yield what comes. A stream that breaks off ends; the result says why."""
    try:
        yield from read_stream(opened, result.source, limits=limits)
    except RinrSourceError as error:
        result.error = str(error)


class _Shard:
    """The pack at hand: frames that wait for their batch, and batches that are encoded."""

    def __init__(
        self,
        out: Path,
        name: str,
        frame_rate: str,
        options: CompressOptions,
        device: str,
        result: StreamResult,
        on_message: OnMessage,
    ) -> None:
        self.waiting: list[Picture] = []
        self._out, self._name = out, safe_name(name)
        self._info = {"frame_rate": frame_rate} if frame_rate else {}
        self._options, self._recipe, self._device = options, options.recipe(), device
        self._limits = limits_for(options.max_pixels)
        self._result, self._say = result, on_message
        self._parts: list[Pack] = []
        self._begun: Path | None = None

    @property
    def _encoded(self) -> int:
        return sum(part.n_frames for part in self._parts)

    def add(self, picture: Picture) -> None:
        """Take in a frame; encode and publish where it fills a batch and the pack."""
        last = self.waiting[-1] if self.waiting else picture
        if last.pixels.shape != picture.pixels.shape:
            self.encode()  # a row has frames of one size
        self.waiting.append(picture)
        left = self._options.shard_size - self._encoded
        if len(self.waiting) >= self._batch(left, picture.width * picture.height):
            self.encode()
        if self._encoded >= self._options.shard_size:
            self.publish()

    def _batch(self, left: int, pixels: int) -> int:
        encoder = self._recipe.background
        if not background_family(encoder.family).joins_frames:
            return min(left, BATCH_FRAMES, max(1, BATCH_PIXELS // pixels))
        return min(left, encoder.chunk(left, pixels))

    def encode(self) -> None:
        """Encode the frames that wait."""
        from rinrcodec.encoder import encode_pictures

        if not self.waiting:
            return
        pack, missed = encode_pictures(
            self.waiting,
            self._recipe,
            target=self._options.target,
            seed=self._options.seed,
            device=self._device,
            info=self._info,
        )
        # As in `publish`: no call, so that Ctrl-C leaves no frame in both.
        self._parts += [pack]
        self.waiting = []
        self._result.missed += missed

    def publish(self) -> None:
        """Write what is encoded as the next pack; after Ctrl-C in here, another call ends it."""
        if not self._parts:
            return
        number = len(self._result.packs)
        path = self._out / fit_name(f"{self._name}-{number:05d}.rinr")
        data = pack_bytes(merge_packs(self._parts), limits=self._limits)
        make_folder(self._out)
        begun, self._begun = self._begun, path
        if not create_file(path, data) and not (begun == path and read_file(path) == data):
            raise RinrUsageError(f"{path}: another program wrote it meanwhile; give another `out`")
        name, frames, size = str(path), self._encoded, len(data)
        # No call in these lines: Python acts on Ctrl-C where it calls, so all are done or none.
        self._result.packs += [name]
        self._result.frames += frames
        self._result.bytes += size
        self._parts = []
        self._say(f"{path}: {count(frames, 'frame')}, {count(size, 'byte')}")
