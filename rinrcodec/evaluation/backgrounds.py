"""Measure our backgrounds on some pictures: a row without objects, and one with them.

`rinrcodec demo` and `rinrcodec report` show them. Every background has the size that its preset
gives; `rinrcodec.evaluation.rivals` gives other codecs the bytes of one of them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path

import rinrcodec
from rinrcodec.errors import MissingExtraError
from rinrcodec.evaluation.rows import SOURCE, CodedFrame, Recipe, Row, output
from rinrcodec.evaluation.speed import Speed, best_seconds, decode_timed
from rinrcodec.families import background_families, background_family, family_of
from rinrcodec.metrics import frame_bytes
from rinrcodec.pack import Metadata, Pack, merge_packs
from rinrcodec.picture import Picture
from rinrcodec.presets import compared_backgrounds, get_preset
from rinrcodec.targets import Target, Tune

__all__ = ["measure_background", "runs_around", "suitable_backgrounds"]

# What a fit without objects has of the work of one with them, about, for the bar.
_BACKGROUND_SHARE = 0.7
# Tunes in the names of rows.
_PURPOSES: dict[Tune, str] = {"psnr": "PSNR", "accuracy": "accuracy"}


def suitable_backgrounds(effort: str, *, sequences: bool) -> tuple[list[str], dict[str, str]]:
    """Return the backgrounds to compare where none are given, and why the others are left out.

    Args:
        effort: A name of `rinrcodec.presets.PRESET_NAMES`.
        sequences: Include families that fit a network to a sequence.

    Returns:
        The names of families, at least one, and for each other family how to get it.

    Raises:
        MissingExtraError: All of them need a package that is not installed.

    Example:
        >>> from rinrcodec.families import DEFAULT_BACKGROUND
        >>> chosen, left_out = suitable_backgrounds("fast", sequences=False)
        >>> chosen[0] == DEFAULT_BACKGROUND, set(chosen) & set(left_out)
        (True, set())
    """
    chosen: list[str] = []
    left_out: dict[str, str] = {}
    missing: MissingExtraError | None = None
    for name in compared_backgrounds(effort, sequences=sequences):
        try:
            get_preset(effort, background=name).require_packages()
            chosen.append(name)
        except MissingExtraError as error:
            missing = error
            left_out[name] = str(error)
    if not chosen and missing is not None:
        raise missing
    for name, family in background_families().items():
        if name not in chosen and name not in left_out:
            able = effort in family.background_presets()
            how = f"add --background {name}" if able else f"it has no preset {effort!r}"
            left_out[name] = f"{family.summary}; {how}"
    return chosen, left_out


def runs_around(family: str, chosen: Sequence[int], lengths: Sequence[int]) -> list[Sequence[int]]:
    """Return the frames to encode, so that some have the bytes that they have in a whole pack.

    A family that codes frames alone needs no others. One that cuts sequences into groups needs a
    group around each frame. One that does not cut them needs all frames.

    Args:
        family: The name of the family of the backgrounds.
        chosen: The numbers of the frames that count, which rise.
        lengths: How many frames each series has; numbers rise through all series.

    Returns:
        The numbers of the frames to encode, in runs for one call of `encode` each.

    Example:
        >>> from rinrcodec.evaluation.backgrounds import runs_around
        >>> from rinrcodec.families import DEFAULT_BACKGROUND
        >>> runs_around(DEFAULT_BACKGROUND, [20, 90], [100])
        [range(12, 28), range(82, 98)]
    """
    known = background_family(family)
    if not known.joins_frames:
        return [chosen]
    if known.gop is None:
        return [range(sum(lengths))]
    ends = list(accumulate(lengths))
    series = [range(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    runs: list[range] = []
    for number in chosen:
        if runs and number in runs[-1]:
            continue
        inside = next(one for one in series if number in one)
        first = max(inside.start, min(number - known.gop // 2, inside.stop - known.gop))
        if runs:
            first = max(first, runs[-1].stop)
        runs.append(range(first, min(first + known.gop, inside.stop)))
    return [*runs]


def measure_background(
    pictures: Sequence[Picture],
    family: str,
    *,
    effort: str = "balanced",
    steps: int | None = None,
    tune: Tune | None = None,
    compared: Sequence[int] | None = None,
    runs: Sequence[int] | None = None,
    seed: int = 0,
    device: str = "auto",
    options: Sequence[str] = (),
    on_fitted: Callable[[float], None] = lambda _: None,
    finish: Callable[[Row], Row] = lambda row: row,
) -> list[Row]:
    """Encode pictures with one of our backgrounds, save them, and decode some of them.

    EXIF, ICC and XMP are left out, as in the measured files of other codecs.

    Args:
        pictures: The pictures with their boxes. A run is taken as one slice, when it is encoded;
            those of `compared` are taken one by one.
        family: The name of the family of the backgrounds.
        effort: The name of the preset.
        steps: Fitting steps in place of the preset's.
        tune: What bytes are spent on, for a family that can be asked; None leaves it to the family.
        compared: The numbers of the pictures to decode; None for all.
        runs: How many pictures to encode at a time, in order; None for all at once.
        seed: Seed of the fit.
        device: Where to fit and decode: "auto", "cpu", "cuda" or "cuda:N".
        options: More words for the commands of the rows.
        on_fitted: Called with the number of pictures that are fitted (a float).
        finish: Called with each row as soon as it is measured, and returns it, such as without the
            pixels that nobody needs.

    Returns:
        A row without objects, and one with them where there are boxes and the family takes
        objects. Both have the same backgrounds, which are fitted once.

    Example:
        >>> import numpy as np
        >>> from rinrcodec.families import DEFAULT_BACKGROUND
        >>> from rinrcodec.sources.images import picture_from_array
        >>> black = picture_from_array(np.zeros((24, 32, 3), np.uint8), name="black.png")
        >>> (row,) = measure_background([black], DEFAULT_BACKGROUND, effort="fast", device="cpu")
        >>> row.quality.frame > 30
        True
    """
    preset = get_preset(effort, steps=steps, background=family)
    chosen = tuple(range(len(pictures)) if compared is None else compared)
    counts = [len(pictures)] if runs is None else runs
    ends = list(accumulate(counts))
    with_objects = preset.objects is not None and any(pictures[index].boxes for index in chosen)
    target = None if tune is None else Target(tune=tune)
    fit = partial(rinrcodec.encode, seed=seed, device=device, target=target, on_progress=None)

    def reported(first: float, size: float, number: int) -> Callable[[float], None]:
        """Report a part of the work on one batch, from `first` on."""
        done = ends[number] - counts[number]
        return lambda share: on_fitted(done + counts[number] * (first + size * share))

    def row(packs: Sequence[Pack], seconds: float, *, objects: bool) -> Row:
        pack = merge_packs(packs)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "frames.rinr"
            shares = frame_bytes(pack, rinrcodec.save(pack, path))
            decoded, decode_seconds = decode_timed(path, pictures, chosen, device)
        frames = tuple(
            CodedFrame.of(pictures[index], shares[index], pixels)
            for index, pixels in zip(chosen, decoded, strict=True)
        )
        words = ["rinrcodec", "compress", SOURCE, "-o", output("-packs"), "--preset", effort]
        words += ["--background", family]
        words += [] if tune is None else ["--tune", tune]
        name = family if tune is None else f"{family} for {_PURPOSES[tune]}"
        if with_objects:
            name += " with objects" if objects else " without objects"
            words += [] if objects else ["--objects", "none"]
        words += [] if steps is None else ["--steps", str(steps)]
        words += ["--seed", str(seed)] if seed else []
        words += ["--device", device] if device != "auto" else []
        settings = [effort]
        settings += [] if steps is None else [f"{steps} steps"]
        settings += [] if tune is None else [f"tune {tune}"]
        return Row(
            Recipe(name, ", ".join(settings), (*words, *options)),
            frames,
            Speed(seconds / len(pictures), decode_seconds),
            is_ours=True,
            # Networks take a device too long, so it leaves them to a fog node.
            at_fog=any(family_of(group.spec.family).fits_networks for group in pack.groups),
            tune=tune,
        )

    first = _BACKGROUND_SHARE if with_objects else 1.0
    alone = replace(preset, objects=None) if preset.objects is not None else preset
    packs, rest = [], []
    seconds = more = 0.0
    for number, (end, count) in enumerate(zip(ends, counts, strict=True)):
        run = pictures[end - count : end]
        batch = [replace(picture, metadata=Metadata()) for picture in run]
        start = time.perf_counter()
        packs.append(fit(batch, preset=alone, on_progress=reported(0.0, first, number)))
        took = time.perf_counter() - start
        seconds += best_seconds(partial(fit, batch, preset=alone), took)
        if with_objects:
            on_top = partial(fit, batch, preset=preset, reuse=packs[-1])
            start = time.perf_counter()
            rest.append(on_top(on_progress=reported(first, 1 - first, number)))
            more += best_seconds(on_top, time.perf_counter() - start)
    rows = [finish(row(packs, seconds, objects=False))]
    if with_objects:
        rows.append(finish(row(rest, seconds + more, objects=True)))
    return rows
