"""What INR grouping gains in decoding: grouped against one by one, part by part.

The same frames are written to two files. One has a group for every spec, as all packs do; in the
other every INR is a group of its own. So the same decoder reads, decompresses, dequantises and
computes each INR alone, as it would in a format without grouping. Both give the same pixels, which
is checked. Speed does not depend on what the weights are, so they are those with which a fit
starts; sizes, specs and boxes are real.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import rinrcodec
from harness.arguments import common_parser, setup
from harness.frames import load_frames, object_part
from harness.packs import box_area, fresh_pack, ungrouped
from harness.reports import markdown_table, write_report
from harness.stopwatch import PARTS, Clock, Stopwatch
from rinrcodec.compute import compose
from rinrcodec.compute.compose import paste_order
from rinrcodec.compute.devices import resolve_device
from rinrcodec.compute.grids import Grid
from rinrcodec.compute.parallel import without_torch_threads
from rinrcodec.decoder import Decoder
from rinrcodec.families import object_family
from rinrcodec.families.group_reader import GroupReader
from rinrcodec.families.interface import ObjectView
from rinrcodec.families.siren.encode import SirenObjects, SizeClass
from rinrcodec.pack import Pack, PackSource
from rinrcodec.picture import Picture
from rinrcodec.presets import Preset, get_preset

BATCHES = (1, 2, 4, 8, 16, 32, 64)
WAYS = ("grouped", "one by one")
Times = dict[str, dict[str, float]]  # seconds by way: of the total and of every part
Decode = Callable[[PackSource, Sequence[int], str], Callable[[], Any]]


def decode_frames(source: PackSource, frames: Sequence[int], device: str) -> Callable[[], Any]:
    """Return a call that decodes frames with their objects: uint8 [3, H, W] each."""
    return lambda: Decoder(source, device=device).decode(frames)


def decode_objects(source: PackSource, frames: Sequence[int], device: str) -> Callable[[], Any]:
    """Return a call that decodes only the objects of frames, onto blank backgrounds."""
    used = resolve_device(device)
    pastes: dict[int, list[tuple[ObjectView, Tensor]]] = {}
    signals = []
    for index in frames:
        frame = source.frame(index)
        grid = Grid.of_frame(frame.width, frame.height)
        blank = torch.zeros(len(frame.mode), frame.height, frame.width, device=used)
        signals.append(blank.permute(1, 2, 0))
        for region, inr in paste_order(frame):
            view = ObjectView(frame, inr, region, grid, grid.inside(region))
            pastes.setdefault(inr.inr.group, []).append((view, signals[-1]))

    @torch.no_grad()
    def work() -> list[Tensor]:
        with without_torch_threads(used):
            for group, members in pastes.items():
                family = object_family(source.groups[group].spec.family)
                reader = GroupReader(source, group, used)
                outputs = family.decode_objects(reader, [view for view, _ in members])
                for (view, signal), output in zip(members, outputs, strict=True):
                    # By the name that the stopwatch replaces.
                    pasted = compose.apply_object(signal[view.part], output, view.inr)
                    signal[view.part] = pasted
        return signals

    return work


def batch_times(
    paths: Mapping[str, Path], decode: Decode, n: int, *, batch: int, clock: Clock, repeats: int
) -> Times:
    """Return the seconds of all n frames in batches, for every way: in `total` and by part.

    The best of `repeats` rounds in which the ways take turns. A file is opened before the clock
    starts, anew for every round, since readers keep what they have decompressed.
    """
    best = {way: {"total": math.inf} for way in paths}
    for _ in range(repeats):
        for way, path in paths.items():
            times = _one_round(path, decode, n, batch, clock)
            best[way] = min(best[way], times, key=lambda seconds: seconds["total"])
    return best


def _one_round(path: Path, decode: Decode, n: int, batch: int, clock: Clock) -> dict[str, float]:
    with rinrcodec.open(path) as file:
        assert file.groups  # reads them
        batches = [range(start, min(n, start + batch)) for start in range(0, n, batch)]
        works = [decode(file.reader, frames, clock.device) for frames in batches]
        watch = Stopwatch(clock)
        with watch.running():
            start = clock.now()
            for work in works:
                work()
            total = clock.now() - start
    return {"total": total, **watch.seconds, "rest": total - sum(watch.seconds.values())}


def save_both(folder: Path, pack: Pack) -> dict[str, Path]:
    """Save a pack in both ways; return the files by way."""
    paths = {way: folder / f"{way}.rinr" for way in WAYS}
    rinrcodec.save(pack, paths[WAYS[0]])
    rinrcodec.save(ungrouped(pack), paths[WAYS[1]])
    return paths


def check_equal(paths: Mapping[str, Path], n: int, *, device: str) -> None:
    """Refuse to compare ways that do not decode to the same pixels."""
    grouped, one_by_one = (rinrcodec.open(paths[way]) for way in WAYS)
    allowed = 0 if device == "cpu" else 1  # a GPU may round another way in another batch
    for index, image in enumerate(grouped.decode(range(n), device=device)):
        alone = one_by_one.decode(index, device=device)
        if (image.int() - alone.int()).abs().max() > allowed:
            raise SystemExit(f"frame {index} decodes to other pixels one by one than grouped")


def by_class(
    pictures: Sequence[Picture], part: SirenObjects, *, most: int | None = None
) -> dict[SizeClass, list[Picture]]:
    """Sort boxes by size class, at most `most` of each, every one in a picture of its own."""
    by_size: dict[SizeClass, list[Picture]] = {size: [] for size in part.sizes}
    for picture in pictures:
        for box in picture.boxes:
            area = box_area(box, picture)
            if area:
                fits = (s for s in part.sizes if s.max_area is None or area <= s.max_area)
                by_size[next(fits)].append(replace(picture, boxes=(box,)))
    return {size: members[:most] for size, members in by_size.items() if members}


def batch_table(times: Mapping[int, Times], n: int) -> str:
    """Return milliseconds a frame of both ways and their parts, for every batch size."""
    rows = []
    for batch, ways in times.items():
        gain = ways[WAYS[1]]["total"] / ways[WAYS[0]]["total"]
        for way, seconds in ways.items():
            values = (f"{1e3 * value / n:.2f}" for value in seconds.values())
            rows.append((batch, way, *values, f"{gain:.2f}x" if way == WAYS[0] else ""))
    return markdown_table(["batch", "", "total", *PARTS, "rest", "gain"], rows)


def class_times(
    folder: Path, pictures: Sequence[Picture], preset: Preset, clock: Clock, options: Any
) -> list[dict[str, Any]]:
    """Time the objects of every size class, each class decoded as one batch."""
    measured = []
    classes = by_class(pictures, object_part(preset), most=options.class_objects)
    for size, members in classes.items():
        paths = save_both(folder, fresh_pack(members, preset, seed=options.seed))
        n = len(members)
        settings = {"batch": n, "clock": clock, "repeats": options.repeats}
        times = batch_times(paths, decode_objects, n, **settings)
        network = f"{size.depth} x {size.width}"
        measured.append({"class": _name(size), "network": network, "objects": n, "seconds": times})
    return measured


def class_table(classes: Sequence[dict[str, Any]]) -> str:
    """Return milliseconds an object of both ways, for every size class."""
    rows = []
    for entry in classes:
        together, alone = (1e3 * entry["seconds"][w]["total"] / entry["objects"] for w in WAYS)
        gain = f"{alone / together:.2f}x"
        names = (entry["class"], entry["network"], entry["objects"])
        rows.append((*names, f"{together:.3f}", f"{alone:.3f}", gain))
    header = ["pixels", "layers x width", "objects", "grouped, ms each", "one by one, ms each"]
    return markdown_table([*header, "gain"], rows)


def _name(size: SizeClass) -> str:
    return "more" if size.max_area is None else f"up to {size.max_area:,}"


def main() -> None:
    parser = common_parser(__doc__, frames=64)
    parser.add_argument("--preset", default="balanced", help="whose networks are decoded")
    parser.add_argument("--one-in", type=int, default=6, help="take one frame in so many")
    parser.add_argument("--repeats", type=int, default=15, help="rounds for objects")
    parser.add_argument("--frame-repeats", type=int, default=2, help="rounds for whole frames")
    parser.add_argument("--frame-batches", type=int, nargs="+", default=[1, 8, 64], help="sizes")
    parser.add_argument("--class-objects", type=int, default=32, help="most of one size class")
    parser.add_argument("--cpu-time", action="store_true", help="not the wall's, see the page")
    options = parser.parse_args()
    setup(options)
    clock = Clock(options.device, options.cpu_time)
    preset = get_preset(options.preset, background="siren", objects="siren")
    what, pictures = load_frames(options.frames, split="train", one_in=options.one_in)
    every, all_pictures = load_frames(1_000, split="train")
    n = len(pictures)
    objects: dict[int, Times] = {}
    frames: dict[int, Times] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = save_both(folder, fresh_pack(pictures, preset, seed=options.seed))
        sizes = {way: path.stat().st_size for way, path in paths.items()}
        check_equal(paths, n, device=options.device)
        for times, decode, batches, repeats in (
            (objects, decode_objects, BATCHES, options.repeats),
            (frames, decode_frames, options.frame_batches, options.frame_repeats),
        ):
            for batch in (b for b in batches if b <= n):
                times[batch] = batch_times(
                    paths, decode, n, batch=batch, clock=clock, repeats=repeats
                )
        classes = class_times(folder, all_pictures, preset, clock, options)
    counts = ", ".join(
        f"{len(members)} of {_name(size)}"
        for size, members in by_class(pictures, object_part(preset)).items()
    )
    rounds = f"{options.repeats} rounds for objects and {options.frame_repeats} for whole frames"
    of_clock = "by the wall clock"
    if options.cpu_time:
        of_clock = "of the CPU (with one thread about what an idle machine would take)"
    write_report(
        "grouping",
        options,
        title="INR grouping in decoding",
        body=f"""
On {what}, networks of the preset `{options.preset}`.
Their objects by pixels: {counts}.

*Grouped* is a pack as it is always written. *One by one* is a file of the same frames in which
every INR is a group of its own. The same decoder gets the same frames in the same calls. It then
reads, decompresses, dequantises and computes every INR alone. The pixels are equal. The grouped
file has {sizes[WAYS[0]]:,} bytes, the other {sizes[WAYS[1]]:,}.

All frames are decoded, in batches of the size in the first column. Times are milliseconds a frame
{of_clock}. They are
the best of {rounds}. The two ways take turns.
Times include reading the clock around every part. A file is opened anew for every round, before
the clock starts. *Read* is from the file to checked rows without *zstd*. *Forward* includes the
pixels' positions. *Round* is from floats to uint8.

## Objects, onto blank backgrounds

{batch_table(objects, n)}

## Frames with their objects

A background INR is large enough to keep a CPU core busy alone. If *forward* takes nearly all of
the time, differences of some percent between the two ways are noise.

{batch_table(frames, n)}

## Objects by size class

Boxes of {every}, at most {options.class_objects} of a class, every class as one batch.

{class_table(classes)}
""",
        data={
            "frames": what,
            "bytes": sizes,
            "objects_s": objects,
            "frames_s": frames,
            "classes": classes,
        },
    )


if __name__ == "__main__":
    main()
