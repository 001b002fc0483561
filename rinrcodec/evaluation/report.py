"""From measured figures to a report: codecs to choose from, a fog, advice, and JSON of it all.

`rinrcodec report` draws a page from it. In Python:

    figures = measure(pictures, get_preset("balanced"))
    report = make_report(figures, name="my frames", n_source_frames=len(pictures), bandwidth=2e6)
    print(report.advice.headline)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rinrcodec.evaluation.advice import Advice, Option, advise
from rinrcodec.evaluation.backgrounds import PackFigures
from rinrcodec.evaluation.comparison import OURS, Comparison, method_label
from rinrcodec.evaluation.fog import Codec, equal_devices
from rinrcodec.evaluation.measure import Figures
from rinrcodec.evaluation.scenario import Scenario, scenario_as_json
from rinrcodec.metrics import mean_db

__all__ = ["Report", "codec_options", "fog_scenario", "make_report", "report_as_json"]

# What every device of the fog holds, in frames like those measured; ratios do not depend on it.
FRAMES_A_DEVICE = 1000
# The keys of JSON for the parts of a comparison, as in that of `compress` and `bench`.
_PSNR = {"psnr": "psnr_frame", "background_psnr": "psnr_background", "object_psnr": "psnr_objects"}


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The contents of a report.

    name: of the source; `n_source_frames` is the number of its frames.
    others: the same frames with other backgrounds of ours, each of the size that its preset gives.
    scenario_methods: the methods of the scenario's codecs, in order.
    bandwidth: in bytes a second.
    made: how the figures were made, as pairs of words.
    """

    name: str
    n_source_frames: int
    figures: Figures
    others: tuple[PackFigures, ...]
    advice: Advice
    scenario: Scenario
    scenario_methods: tuple[str, ...]
    bandwidth: float
    made: Mapping[str, str]


def make_report(
    figures: Figures,
    *,
    name: str,
    n_source_frames: int,
    bandwidth: float,
    devices: int = 10,
    others: Sequence[PackFigures] = (),
    made: Mapping[str, str] | None = None,
    remarks: Sequence[str] = (),
) -> Report:
    """Return the report of some figures, with advice on the codec to use.

    Args:
        figures: As `measure` returns them.
        name: Name of the source of the frames.
        n_source_frames: How many frames the source has.
        bandwidth: Of the link, in bytes a second.
        devices: How many devices share such frames, 2 or more.
        others: The same frames with other backgrounds, to show beside those of the figures.
        made: How the figures were made, as pairs of words.
        remarks: Sentences to add to the reasons of the advice.
    """
    options = codec_options(figures)
    scenario, methods = fog_scenario(figures, options, devices=devices)
    advice = advise(
        list(options.values()), scenario.devices, bandwidth=bandwidth, source=scenario.source
    )
    advice = replace(advice, reasons=(*advice.reasons, *remarks))
    return Report(
        name,
        n_source_frames,
        figures,
        tuple(others),
        advice,
        scenario,
        methods,
        bandwidth,
        dict(made or {}),
    )


def codec_options(figures: Figures) -> dict[str, Option]:
    """Return every method as a codec to choose, by its means over the frames.

    Ours needs a fog node where it fits networks.
    """
    share = len(figures.frames) / figures.source_bytes
    options = {}
    for method, mean in figures.means().items():
        speed = figures.speeds[method]
        codec = Codec(method_label(method), mean.n_bytes * share, speed.encode, speed.decode)
        options[method] = Option(
            codec,
            mean.psnr,
            mean.background_psnr,
            mean.object_psnr,
            at_fog=method == OURS and figures.at_fog,
        )
    return options


def fog_scenario(
    figures: Figures, options: Mapping[str, Option], *, devices: int
) -> tuple[Scenario, tuple[str, ...]]:
    """Return ours through a fog beside the best other codec, and the methods of both."""
    others = {method: option for method, option in options.items() if method != OURS}
    best = max(others, key=lambda method: (others[method].inside, others[method].outside))
    mean_bytes = figures.source_bytes / len(figures.frames)
    scenario = Scenario(
        equal_devices(devices, n_bytes=mean_bytes * FRAMES_A_DEVICE, n_frames=FRAMES_A_DEVICE),
        options[OURS].codec,
        (others[best].codec,),
        source=Codec(figures.source, 1.0, decode_seconds=figures.source_speed.decode),
        at_fog=figures.at_fog,
    )
    return scenario, (OURS, best)


def report_as_json(report: Report) -> dict[str, Any]:
    """Return all figures of a report, ready for JSON.

    A PSNR of 100 dB means that and more, bandwidths are in bytes a second, and None as the end of a
    band of the advice means no end.
    """
    figures, advice = report.figures, report.advice
    return {
        "made": dict(report.made),
        "advice": {
            "bandwidth": report.bandwidth,
            "use": advice.use,
            "headline": advice.headline,
            "reasons": list(advice.reasons),
            "bands": [
                {"use": band.name, "below": None if band is advice.bands[-1] else band.below}
                for band in advice.bands
            ],
        },
        "preset": figures.preset,
        "other_backgrounds": [
            {
                "preset": other.preset,
                **_as_json(other.mean()),
                "seconds": asdict(other.speed),
            }
            for other in report.others
        ],
        "source": figures.source,
        "source_bytes": figures.source_bytes,
        "pack_bytes": figures.pack_bytes,
        "means": [_as_json(mean) for mean in figures.means().values()],
        "source_seconds": asdict(figures.source_speed),
        "seconds": {method: asdict(speed) for method, speed in figures.speeds.items()},
        "frames": [
            {
                "name": frame.picture.name,
                "width": frame.picture.width,
                "height": frame.picture.height,
                "boxes": len(frame.picture.boxes),
                "object_inrs": frame.object_inrs,
                "source_bytes": frame.source_bytes,
                "equal_bytes": [_as_json(one) for one in frame.comparisons],
            }
            for frame in figures.frames
        ],
        "curves": [_as_json(one) for curve in figures.curves.values() for one in curve],
        "fog": scenario_as_json(report.scenario, report.bandwidth),
    }


def _as_json(comparison: Comparison) -> dict[str, Any]:
    values = {key: value for key, value in asdict(comparison).items() if key not in _PSNR}
    # JSON has no infinity, which is the PSNR of a part without error.
    return values | {name: mean_db([getattr(comparison, part)]) for part, name in _PSNR.items()}
