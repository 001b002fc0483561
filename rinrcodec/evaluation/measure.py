"""Measure frames of a source in our backgrounds and in other codecs: one row for each recipe.

`rinrcodec report` shows the rows; `measure` gives them to Python as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import PurePosixPath
from typing import overload

from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.accuracy import Accuracy, Detector, as_rgb, average_precision, match
from rinrcodec.evaluation.backgrounds import measure_background, runs_around
from rinrcodec.evaluation.baselines import JPEG_SUFFIXES
from rinrcodec.evaluation.rivals import Rival, encode_rival, measure_rivals
from rinrcodec.evaluation.rows import AND, SOURCE, CodedFrame, Recipe, Row, output
from rinrcodec.evaluation.speed import Speed, mean_speed, time_codec
from rinrcodec.families import background_families_for
from rinrcodec.metrics import Quality
from rinrcodec.picture import Picture
from rinrcodec.sources.source import Source
from rinrcodec.sources.spread import iterate_pictures, read_pictures
from rinrcodec.targets import Tune

__all__ = ["Measured", "measure"]

# Frames whose pixels are kept for the page: more would make it too large to send around.
_SHOWN_FRAMES = 8
# A JPEG as a camera sends it, for pictures that come as something larger.
CAMERA_QUALITY = 95
# What the other codecs have of the comparison; the data as it is has the rest.
_RIVAL_SHARE = 0.95
# Of families that can be asked. The other codecs are tuned for PSNR, so they get the bytes of that.
_TUNES: tuple[Tune, ...] = ("psnr", "accuracy")


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Frames of a source, and all recipes that were tried on them.

    Attributes:
        pictures: the frames.
        rows: ours first, then the other codecs. Only the frames of `shown` have their pixels.
        anchor: which of ours the other codecs are compared with: they have about its bytes.
        source: the data as it is: the files of the source, or JPEGs where the files are larger.
        left_out: tunes that gave the frames of the tune before, by their names, and why they are no
            rows.
    """

    pictures: tuple[Picture, ...]
    rows: tuple[Row, ...]
    anchor: Row
    source: Row
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> range:
        """The numbers of the frames to show, at most 8, evenly spread."""
        return _shown(len(self.pictures))

    @property
    def has_accuracy(self) -> bool:
        """Whether a detector found any of the labels in the data as it is.

        One that finds none there ranks nothing.
        """
        accuracy = self.source.accuracy
        return accuracy is not None and accuracy.map50_95 > 0

    @property
    def has_objects(self) -> bool:
        """Whether any picture has a box with pixels."""
        return self.anchor.quality.objects is not None


def measure(
    source: Source,
    compared: Sequence[int],
    families: Sequence[str],
    *,
    effort: str = "balanced",
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    options: Sequence[str] = (),
    detector: Detector | None = None,
    on_progress: Callable[[float, float, str], None] = lambda *_: None,
) -> Measured:
    """Fit frames of a source, give the other codecs as many bytes, and time each of them.

    Args:
        source: As of `rinrcodec.sources.discover.open_source`.
        compared: The numbers of the frames, which rise through all its series. Families that join
            frames encode also those around them.
        families: The names of families of backgrounds. Those that can be tuned are fitted for
            PSNR, and again for accuracy. The first of all decides on the bytes of the other codecs.
        effort: The name of a preset that they all have.
        steps: Fitting steps in place of the preset's.
        seed: Seed of the fits.
        device: Where to fit and decode: "auto", "cpu", "cuda" or "cuda:N".
        options: More words for all commands, such as "--labels" and a folder.
        detector: What looks for the labelled objects in the frames of all rows.
        on_progress: Called with the work that is done, all work, and what is being done.

    Returns:
        The rows. `rinrcodec.evaluation.report` turns them into advice and JSON.

    Raises:
        RinrInputError: A frame cannot be read, or there is a detector and no labelled frame has a
            box.
        MissingExtraError: A package for one of the families is not installed.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from rinrcodec.families import DEFAULT_BACKGROUND
        >>> from rinrcodec.sources.discover import open_source
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (32, 24)).save(Path(folder) / "black.png")
        ...     found = measure(open_source(folder), [0], [DEFAULT_BACKGROUND], device="cpu")
        >>> [row.name for row in found.rows][2:4]
        ['JPEG', 'WebP']
    """
    pictures = read_pictures(source, compared)
    if detector is not None and not any(map(_has_truth, pictures)):
        raise RinrInputError(
            f"{source.path}: none of the {len(pictures)} frames that were taken has a box in "
            "labels that were understood in full, so there is nothing to detect; give labels, "
            "or leave the detector out"
        )
    lengths = [len(series) for series in source.series]
    tunable = background_families_for({"tune"})
    parts = [
        (family, tune, runs_around(family, compared, lengths))
        for family in families
        for tune in (_TUNES if family in tunable else (None,))
    ]
    work = sum(len(run) for _, _, runs in parts for run in runs) + len(compared)
    done = 0
    reached = 0.0
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    anchor: int | None = None

    def report(count: float, what: str) -> None:
        nonlocal reached
        reached = count
        on_progress(count, work, what)

    def finish(row: Row) -> Row:
        """Let the detector look at a row, then keep the pixels of the shown frames alone."""
        accuracy = None
        if detector is not None:
            accuracy = _accuracy(
                detector,
                pictures,
                row,
                lambda number: report(reached, f"detecting in {row.name}, frame {number}"),
            )
        shown = _shown(len(row.frames))
        frames = [
            frame if number in shown else frame.without_pixels()
            for number, frame in enumerate(row.frames)
        ]
        return replace(row, frames=tuple(frames), accuracy=accuracy)

    known = dict(zip(compared, pictures, strict=True))
    for family, tune, runs in parts:
        numbers = [number for run in runs for number in run]

        what = f"fitting {family}" if tune is None else f"fitting {family} for {tune}"

        def fitted(count: float, before: int = done, what: str = what) -> None:
            report(before + count, what)

        found = measure_background(
            _Frames(source, numbers, known),
            family,
            effort=effort,
            steps=steps,
            tune=tune,
            compared=[numbers.index(number) for number in compared],
            runs=[len(run) for run in runs],
            seed=seed,
            device=device,
            options=options,
            on_fitted=fitted,
            finish=finish,
        )
        if tune not in (None, _TUNES[0]) and _are_same(rows[-len(found) :], found):
            left_out[f"{family} for {tune}"] = f"the same frames as {rows[-1].name}"
        else:
            rows += found
        anchor = len(rows) - 1 if anchor is None else anchor
        done += len(numbers)
    assert anchor is not None
    rows += measure_rivals(
        pictures,
        rows[anchor].n_bytes,
        background_psnr=rows[anchor].outside,
        options=options,
        on_measured=lambda share, what: report(
            done + _RIVAL_SHARE * share * len(compared), f"comparing {what}"
        ),
        finish=finish,
    )
    as_it_is = finish(_source_row(source, pictures, options))
    report(work, f"comparing {as_it_is.name}")
    return Measured(tuple(pictures), tuple(rows), rows[anchor], as_it_is, left_out)


def _are_same(some: Sequence[Row], others: Sequence[Row]) -> bool:
    """Return whether rows have the same dB in each frame.

    Bytes differ by the tune that packs name.
    """

    def figures(rows: Sequence[Row]) -> list[Quality]:
        return [frame.quality for row in rows for frame in row.frames]

    return figures(some) == figures(others)


class _Frames(Sequence[Picture]):
    """Frames of a source, read slice by slice in order, so that few are in memory at a time.

    Single frames, and all where no other is needed, are taken from those that are known.
    """

    def __init__(
        self, source: Source, numbers: Sequence[int], known: Mapping[int, Picture]
    ) -> None:
        self._numbers, self._known = numbers, known
        self._unread = iterate_pictures(source, numbers)
        self._all_known = all(number in known for number in numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Picture]: ...
    def __getitem__(self, index: int | slice) -> Picture | Sequence[Picture]:
        if isinstance(index, int):
            return self._known[self._numbers[index]]
        numbers = self._numbers[index]
        if self._all_known:
            return [self._known[number] for number in numbers]
        return list(islice(self._unread, len(numbers)))


def _shown(count: int) -> range:
    """Return the numbers of at most 8 frames, evenly spread."""
    return range(0, count, max(1, -(-count // _SHOWN_FRAMES)))


def _has_truth(picture: Picture) -> bool:
    """Return whether a picture has something for a detector to find."""
    return picture.labelled and any(not box.crowd for box in picture.boxes)


def _accuracy(
    detector: Detector, pictures: Sequence[Picture], row: Row, on_frame: Callable[[int], None]
) -> Accuracy:
    """Measure a detector on the frames of a row, by the labels that were understood."""
    matches = []
    for number, (picture, frame) in enumerate(zip(pictures, row.frames, strict=True), start=1):
        on_frame(number)
        if picture.labelled:
            matches.append(match(detector([as_rgb(frame.pixels)])[0], picture.boxes))
    return average_precision(matches)


def _source_row(source: Source, pictures: Sequence[Picture], options: Sequence[str]) -> Row:
    """Return the row of the unchanged data.

    There is one if its files are known and no larger than good JPEGs.
    """
    rival = Rival("jpeg", CAMERA_QUALITY)
    coded = [encode_rival(picture, rival) for picture in pictures]
    sizes = [picture.source_bytes for picture in pictures]
    if source.kind == "video":
        total = sum(len(series) for series in source.series)
        sizes = [math.ceil(source.path.stat().st_size / total)] * len(pictures)
    from_jpeg = all(PurePosixPath(p.name).suffix.lower() in JPEG_SUFFIXES for p in pictures)
    speed = mean_speed(time_codec("jpeg", p.pixels, CAMERA_QUALITY) for p in pictures)
    is_known = all(sizes)
    if not is_known or (not from_jpeg and sum(sizes) > sum(len(one.data) for one in coded)):
        recipe = rival.recipe(options)
        frames = tuple(
            CodedFrame.of(picture, len(one.data), one.decode(picture.mode))
            for picture, one in zip(pictures, coded, strict=True)
        )
        name = f"JPEGs of quality {CAMERA_QUALITY}"
        return Row(Recipe(name, "", recipe.words), frames, speed)
    if source.kind == "video":
        recipe = Recipe("video file", "as it is", _copy(source))
        speed = Speed(0.0, 0.0)  # of which a share for a frame says little
    else:
        name = "JPEG files" if from_jpeg else "source files"
        recipe = Recipe(name, "as they are", _copy(source))
        speed = Speed(0.0, speed.decode)
    exact = [CodedFrame.of(p, size, p.pixels) for p, size in zip(pictures, sizes, strict=True)]
    return Row(recipe, tuple(exact), speed)


def _copy(source: Source) -> tuple[str, ...]:
    """Return the command that copies a source: SRC, or the folders of the pictures it lists."""
    if source.path.is_dir():
        return ("cp", "-RL", SOURCE, output("-copy"))
    if source.kind in ("image", "video"):
        return ("cp", SOURCE, output(f"-copy{source.path.suffix}"))
    folders = _picture_folders(source)
    if len(folders) == 1:
        return ("cp", "-RL", *folders, output("-copy"))
    words = ["mkdir", output("-copy")]
    for number, folder in enumerate(folders, start=1):
        words += [AND, "cp", "-RL", folder, output(f"-copy/{number}")]
    return tuple(words)


def _picture_folders(source: Source) -> list[str]:
    """Return the folders that hold the pictures of a source, without nested ones."""
    found = {ref.path.parent for series in source.series for ref in series.refs}
    whole = {folder.resolve(): folder for folder in sorted(found)}
    return [
        f"./{folder}" if str(folder).startswith("-") else str(folder)
        for path, folder in whole.items()
        if whole.keys().isdisjoint(path.parents)
    ]
