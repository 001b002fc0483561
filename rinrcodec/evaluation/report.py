"""From measured rows to a report: a fog, advice, the command that does it, and JSON of it all.

`rinrcodec report` draws a page from it. In Python:

    source = open_source("frames")
    measured = measure(source, range(4), [DEFAULT_BACKGROUND])
    report = make_report(measured, path="frames", n_source_frames=4, bandwidth=2e6)
    print(report.advice.headline, report.command(report.advice.row))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rinrcodec.evaluation.advice import Advice, advise, codec_of, comparable
from rinrcodec.evaluation.fog import equal_devices
from rinrcodec.evaluation.measure import Measured
from rinrcodec.evaluation.rows import Row
from rinrcodec.evaluation.scenario import Scenario, scenario_as_json
from rinrcodec.metrics import Quality, mean_db

__all__ = ["Report", "fog_scenario", "make_report", "report_as_json"]

# What every device of the fog holds, in frames like those measured; ratios do not depend on it.
FRAMES_A_DEVICE = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The contents of a report.

    Attributes:
        path: of the source, as the user gave it; commands have it.
        n_source_frames: how many frames the source has.
        measured: the frames and the rows.
        scenario: the fog; `fog_rows` are the rows of its codecs, in order.
        bandwidth: in bytes a second.
        left_out: backgrounds that were not tried, and how to get each of them.
        made: how the figures were made, as pairs of words.
    """

    path: str
    n_source_frames: int
    measured: Measured
    advice: Advice
    scenario: Scenario
    fog_rows: tuple[Row, ...]
    bandwidth: float
    left_out: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the source."""
        return Path(self.path).name or self.path

    def command(self, row: Row) -> str:
        """Return the command that codes the whole source as a row does."""
        return row.recipe.command(self.path)


def make_report(
    measured: Measured,
    *,
    path: str,
    n_source_frames: int,
    bandwidth: float,
    devices: int = 10,
    left_out: Mapping[str, str] | None = None,
    made: Mapping[str, str] | None = None,
) -> Report:
    """Return the report of some rows, with advice on the recipe to use.

    Args:
        measured: As `measure` returns it.
        path: The path of the source, as commands should have it.
        n_source_frames: How many frames the source has.
        bandwidth: The bandwidth of the link, in bytes a second.
        devices: How many devices share such frames, 2 or more.
        left_out: Backgrounds that were not tried, and how to get each of them.
        made: How the figures were made, as pairs of words.

    Returns:
        The report. `Report.command` gives the command of its advice, `report_as_json` its figures.

    Raises:
        RinrInputError: The bandwidth is not above 0.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> from rinrcodec.evaluation.measure import measure
        >>> from rinrcodec.families import DEFAULT_BACKGROUND
        >>> from rinrcodec.sources.discover import open_source
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (32, 24)).save(Path(folder) / "black.png")
        ...     measured = measure(open_source(folder), [0], [DEFAULT_BACKGROUND], device="cpu")
        >>> report = make_report(measured, path="frames", n_source_frames=1, bandwidth=2e6)
        >>> report.advice.headline.startswith("At 2 MB/s, ")
        True
    """
    scenario, rows = fog_scenario(measured, devices=devices)
    advice = advise(
        measured.rows,
        scenario.devices,
        bandwidth=bandwidth,
        source=measured.source,
        most_bytes=measured.anchor.n_bytes,
    )
    advice = replace(advice, reasons=(*advice.reasons, *_of_detector(measured)))
    return Report(
        path,
        n_source_frames,
        measured,
        advice,
        scenario,
        rows,
        bandwidth,
        {**measured.left_out, **(left_out or {})},
        dict(made or {}),
    )


def fog_scenario(measured: Measured, *, devices: int) -> tuple[Scenario, tuple[Row, ...]]:
    """Return a fog with ours and the best other codec, and the rows of both."""
    ours, source = measured.anchor, measured.source
    rivals = (row for row in measured.rows if not row.is_ours)
    best = max(rivals, key=lambda row: (row.inside, row.outside))
    scenario = Scenario(
        equal_devices(devices, n_bytes=source.n_bytes * FRAMES_A_DEVICE, n_frames=FRAMES_A_DEVICE),
        codec_of(ours, source),
        (codec_of(best, source),),
        source=codec_of(source, source),
        at_fog=ours.at_fog,
    )
    return scenario, (ours, best)


def _of_detector(measured: Measured) -> list[str]:
    """Name the recipe that costs a detector the least, among those of about the same bytes."""
    before = measured.source.accuracy
    if before is None:
        tuned = [row.name for row in measured.rows if row.tune == "accuracy"]
        return [
            f"{name} keeps what detectors need, which PSNR does not show: --detector MODEL "
            "measures it."
            for name in tuned[-1:]
        ]
    if not measured.has_accuracy:
        return [
            "The detector found nothing in the originals, so it does not rank the recipes. Check "
            "that its class ids match the labels."
        ]
    found = {
        row: row.accuracy.map50_95
        for row in comparable(measured.rows, measured.anchor.n_bytes)
        if row.accuracy is not None
    }
    best = max(found, key=lambda row: found[row])
    return [
        f"The detector finds most in {best.name}: mAP50-95 {found[best]:.3f} at "
        f"{best.n_bytes:,.0f} bytes a frame, in the {measured.source.name} {before.map50_95:.3f}."
    ]


def report_as_json(report: Report) -> dict[str, Any]:
    """Return all figures of a report, ready for JSON.

    A PSNR of 100 dB means that and more, bandwidths are in bytes a second, and None as the end of a
    band of the advice means no end.
    """
    measured, advice = report.measured, report.advice
    return {
        "made": dict(report.made),
        "advice": {
            "bandwidth": report.bandwidth,
            "use": advice.row.name,
            "command": report.command(advice.row),
            "headline": advice.headline,
            "reasons": list(advice.reasons),
            "bands": [
                {"use": band.row.name, "below": None if band is advice.bands[-1] else band.below}
                for band in advice.bands
            ],
        },
        "source_frames": report.n_source_frames,
        "frames": [
            {
                "name": picture.name,
                "width": picture.width,
                "height": picture.height,
                "boxes": len(picture.boxes),
            }
            for picture in measured.pictures
        ],
        "anchor": measured.anchor.name,
        "rows": [_row_as_json(report, row) for row in measured.rows],
        "source": _row_as_json(report, measured.source),
        "left_out": dict(report.left_out),
        "fog": scenario_as_json(report.scenario, report.bandwidth),
    }


def _row_as_json(report: Report, row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "settings": row.recipe.settings,
        "tune": row.tune,
        "command": report.command(row),
        "n_bytes": row.n_bytes,
        "bpp": row.bpp,
        **_psnr(row.quality),
        "seconds": asdict(row.speed),
        "accuracy": None if row.accuracy is None else asdict(row.accuracy),
        "frames": [{"n_bytes": one.n_bytes, **_psnr(one.quality)} for one in row.frames],
        "other_settings": [{"n_bytes": one.n_bytes, **_psnr(one.quality)} for one in row.line],
    }


def _psnr(quality: Quality) -> dict[str, float | None]:
    """Return the JSON keys that `compress` and `bench` use too; JSON has no infinity."""
    return {
        "psnr_frame": mean_db([quality.frame]),
        "psnr_background": mean_db([quality.background]),
        "psnr_objects": mean_db([quality.objects]),
    }
