"""A whole sequence: one network for all frames, against pictures coded alone and a video codec.

Ours is a pack of all frames with its objects. JPEG, WebP and AVIF code every frame alone, at the
lowest quality of theirs whose background is as good as ours, and x265 the whole sequence, with a
key frame every so many frames, as good as ours too. What a video saves is paid for when one frame
is wanted: all from the key frame before it is read and decoded. Ours reads the network.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from unittest.mock import patch

import rinrcodec
from harness.arguments import common_parser, setup
from harness.frames import load_sequence, object_part
from harness.reports import db, markdown_table, write_report
from harness.video import Pixels, Video, encode_video
from rinrcodec.boxes import Box
from rinrcodec.compute.compose import to_array
from rinrcodec.evaluation.baselines import QUALITIES, QualityScan, available_codecs
from rinrcodec.metrics import Quality, frame_quality, mean_quality
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset

KEY_FRAMES = (1, 8, 250)
LARGEST_CRF = 510  # in tenths


@dataclass(frozen=True)
class Result:
    """A method on a whole sequence; `opened` is what one frame, chosen at random, takes to open."""

    method: str
    setting: str
    bytes_a_frame: float
    quality: Quality
    seconds: float
    opened_frames: float
    opened_bytes: float
    opened_ms: float


@dataclass(frozen=True)
class Clip:
    """The frames, and the numbers of those that are opened alone."""

    pictures: Sequence[Picture]
    alone: Sequence[int]

    def quality(self, decoded: Sequence[Pixels]) -> Quality:
        """Return the mean over the frames."""
        pairs = zip(self.pictures, decoded, strict=True)
        return mean_quality([frame_quality(p.pixels, pixels, p.boxes) for p, pixels in pairs])

    def background(self, decoded: Sequence[Pixels]) -> float:
        quality = self.quality(decoded)
        return quality.frame if quality.background is None else quality.background

    def opened_ms(self, open_one: Callable[[int], object]) -> float:
        """Return the milliseconds to open one frame: the median."""
        times = []
        for index in self.alone:
            start = time.perf_counter()
            open_one(index)
            times.append(time.perf_counter() - start)
        return 1e3 * statistics.median(times)


def our_results(clip: Clip, options: argparse.Namespace) -> list[Result]:
    """Measure the backgrounds alone, and the pack with its object INRs."""
    preset = get_preset(options.preset, steps=options.steps, background="nerv", objects="siren")
    if options.object_steps:
        objects = object_part(preset)
        recipe = replace(objects.recipe, steps=options.object_steps)
        preset = replace(preset, objects=replace(objects, recipe=recipe))
    if options.bits:
        preset = replace(preset, background=preset.background.with_bits(options.bits))
    fit = {"preset": preset, "seed": options.seed, "device": options.device}
    rows: list[Result] = []
    backgrounds = None
    for name in ("background", "background and object INRs"):
        start = time.perf_counter()
        none: list[list[Box]] = [[] for _ in clip.pictures]
        boxes = none if backgrounds is None else None
        pack = rinrcodec.encode(clip.pictures, boxes=boxes, reuse=backgrounds, **fit)
        seconds = time.perf_counter() - start + (rows[0].seconds if rows else 0)
        backgrounds = pack
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sequence.rinr"
            rinrcodec.save(pack, path)
            with rinrcodec.open(path) as file:
                # A frame at a time, which gives the bits of any batch and takes less memory.
                decoded = [
                    to_array(file.decode(i, device=options.device), picture.mode)
                    for i, picture in enumerate(clip.pictures)
                ]

            def open_one(index: int, path: Path = path) -> object:
                with rinrcodec.open(path) as file:
                    return file.decode(index, device=options.device).cpu()

            size = path.stat().st_size
            rows.append(
                Result(
                    f"nerv, {name}",
                    options.preset,
                    size / len(clip.pictures),
                    clip.quality(decoded),
                    seconds,
                    1,
                    statistics.mean(bytes_read(open_one, index) for index in clip.alone),
                    clip.opened_ms(open_one),
                )
            )
    return rows


def bytes_read(open_one: Callable[[int], object], index: int) -> int:
    """Return the bytes that opening a frame reads from its pack, with the index."""
    sizes: list[int] = []

    def counted(*arguments: int) -> bytes:
        data = pread(*arguments)
        sizes.append(len(data))
        return data

    pread = os.pread
    with patch("os.pread", counted):
        open_one(index)
    return sum(sizes)


def still_result(clip: Clip, codec: str, least: float) -> Result:
    """Measure a codec at the lowest quality whose background is `least` dB or better."""
    scans = [QualityScan(codec, picture.pixels) for picture in clip.pictures]

    def decoded(quality: int) -> list[Pixels]:
        return [scan.at_quality(quality).pixels for scan in scans]

    low, high = QUALITIES[0], QUALITIES[-1]
    while low < high:
        middle = (low + high) // 2
        if clip.background(decoded(middle)) >= least:
            high = middle
        else:
            low = middle + 1
    start = time.perf_counter()
    coded = [QualityScan(codec, picture.pixels).at_quality(low) for picture in clip.pictures]
    seconds = time.perf_counter() - start
    size = statistics.mean(item.n_bytes for item in coded)
    quality = clip.quality([item.pixels for item in coded])
    opened = clip.opened_ms(lambda i: scans[i].at_quality(low))
    return Result(codec, f"quality {low}", size, quality, seconds, 1, size, opened)


def video_result(clip: Clip, key_frame: int, least: float) -> Result:
    """Measure x265 at the highest rate factor whose background is `least` dB or better."""

    def coded(tenths: int) -> Video:
        return encode_video(clip.pictures, crf=tenths / 10, key_frame=key_frame)

    low, high = 0, LARGEST_CRF
    while high - low > 1:
        middle = (low + high) // 2
        if clip.background(list(coded(middle).decode())) >= least:
            low = middle
        else:
            high = middle
    start = time.perf_counter()
    video = coded(low)
    seconds = time.perf_counter() - start
    opened = [video.open(index) for index in clip.alone]
    return Result(
        f"x265, key frame every {key_frame}" if key_frame > 1 else "x265, key frames only",
        f"crf {low / 10}",
        video.n_bytes / len(clip.pictures),
        clip.quality(list(video.decode())),
        seconds,
        statistics.mean(frames for frames, _ in opened),
        statistics.mean(size for _, size in opened),
        clip.opened_ms(video.open),
    )


def table(rows: Sequence[Result]) -> str:
    """Return the rows as Markdown."""
    return markdown_table(
        [
            *("method", "setting", "bytes a frame", "background dB", "objects dB", "s to encode"),
            *("frames decoded for one", "bytes read for one", "ms to open one"),
        ],
        [
            (
                row.method,
                row.setting,
                f"{row.bytes_a_frame:,.0f}",
                db(row.quality.background),
                db(row.quality.objects),
                f"{row.seconds:,.1f}",
                f"{row.opened_frames:.1f}",
                f"{row.opened_bytes:,.0f}",
                f"{row.opened_ms:.1f}",
            )
            for row in rows
        ],
    )


def verdict(rows: Sequence[Result]) -> str:
    """Name what takes fewer bytes than our background alone, and why; `rows` begin with our two."""
    ours = rows[0].bytes_a_frame
    smaller = [row for row in rows[2:] if row.bytes_a_frame < ours]
    if not smaller:
        return "No other takes fewer bytes than our background alone."
    names = "; ".join(f"{row.method} ({ours / row.bytes_a_frame:.1f} times)" for row in smaller)
    text = f"Our background alone takes more bytes than: {names}."
    if not any(row.method.startswith("x265, key frame every") for row in smaller):
        return text
    return (
        f"{text} A video codec describes the motion between frames, and codes only the rest. Our "
        "network knows nothing of motion, and has one set of weights for all frames. Compare "
        "also what one frame costs to open."
    )


def main() -> None:
    parser = common_parser(__doc__, frames=0)
    parser.add_argument("--sequence", default="otb_crossing", help="a folder of data/sequences")
    parser.add_argument("--preset", default="balanced", help="our preset")
    parser.add_argument("--steps", type=int, help="epochs, and steps of the object INRs")
    parser.add_argument("--object-steps", type=int, help="other steps of the object INRs")
    parser.add_argument("--bits", type=int, help="bits of the background, in place of the preset's")
    options = parser.parse_args()
    setup(options)
    what, pictures = load_sequence(options.sequence, options.frames)
    count = min(20, len(pictures))
    alone = random.Random(options.seed).sample(range(len(pictures)), count)
    clip = Clip(pictures, alone)
    rows = our_results(clip, options)
    quality = rows[0].quality
    least = quality.frame if quality.background is None else quality.background
    for codec in available_codecs():
        rows.append(still_result(clip, codec, least))
        print(table(rows[-1:]), flush=True)
    for key_frame in KEY_FRAMES:
        rows.append(video_result(clip, key_frame, least))
        print(table(rows[-1:]), flush=True)
    body = (
        f"On {what}. All other methods have the lowest of their qualities whose background is as "
        "good as ours. Bytes are those of whole files, of x265 those of the stream without a "
        "container. *For one* is what it takes to open a frame alone: the mean (of ms: the median) "
        f"of {count} frames chosen at random. Ours reads the network of its chunk and the index of "
        "the pack. A video reads everything from the key frame before.\n\n"
        f"{table(rows)}\n\n{verdict(rows)}"
    )
    write_report(
        "sequences",
        options,
        title=f"A sequence: {options.sequence}",
        body=body,
        data={"frames": what, "rows": [asdict(row) for row in rows]},
    )


if __name__ == "__main__":
    main()
