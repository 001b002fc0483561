"""From what was measured to codecs that can be chosen from, to a fog, and to JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rinrcodec.cli.views.fog_table import fog_as_json
from rinrcodec.cli.views.report_words import label
from rinrcodec.evaluation.advice import Advice, Option
from rinrcodec.evaluation.comparison import Row
from rinrcodec.evaluation.fog import Codec, Scenario, equal_devices
from rinrcodec.evaluation.measure import OURS, Figures
from rinrcodec.metrics import mean_db

__all__ = ["Report", "codec_options", "figures_as_json", "fog_scenario"]

# What every device of the fog holds, in frames like those measured; ratios do not depend on it.
FRAMES_A_DEVICE = 1000
# What the parts of a row are called in JSON, as in that of `compress` and `bench`.
_PSNR = {"psnr": "psnr_frame", "background_psnr": "psnr_background", "object_psnr": "psnr_objects"}


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """All that a page tells. scenario_methods: the methods of the scenario's codecs, in order.

    made: how, as pairs of words; bandwidth: in bytes a second.
    """

    name: str
    n_source_frames: int
    figures: Figures
    advice: Advice
    scenario: Scenario
    scenario_methods: tuple[str, ...]
    bandwidth: float
    made: Mapping[str, str]


def codec_options(figures: Figures) -> dict[str, Option]:
    """Every method as a codec to choose, by its means over the frames."""
    share = len(figures.frames) / figures.source_bytes
    options = {}
    for method, row in figures.means().items():
        speed = figures.speeds[method]
        codec = Codec(label(method), row.n_bytes * share, speed.encode, speed.decode)
        options[method] = Option(
            codec, row.psnr, row.background_psnr, row.object_psnr, at_fog=method == OURS
        )
    return options


def fog_scenario(
    figures: Figures, options: Mapping[str, Option], *, devices: int
) -> tuple[Scenario, tuple[str, ...]]:
    """Ours through a fog beside the best codec that needs none, and the methods of both."""
    others = {method: option for method, option in options.items() if not option.at_fog}
    best = max(others, key=lambda method: (others[method].inside, others[method].outside))
    mean_bytes = figures.source_bytes / len(figures.frames)
    scenario = Scenario(
        equal_devices(devices, n_bytes=mean_bytes * FRAMES_A_DEVICE, n_frames=FRAMES_A_DEVICE),
        options[OURS].codec,
        (others[best].codec,),
        source=Codec(figures.source, 1.0, decode_seconds=figures.source_speed.decode),
    )
    return scenario, (OURS, best)


def figures_as_json(
    figures: Figures,
    advice: Advice,
    scenario: Scenario,
    *,
    bandwidth: float,
    made: Mapping[str, str],
) -> dict[str, Any]:
    """All figures of a report. A PSNR of 100 dB stands for that and more; bandwidths in bytes/s.

    `null` as the end of a band of the advice stands for no end.
    """
    return {
        "made": dict(made),
        "advice": {
            "bandwidth": bandwidth,
            "use": advice.use,
            "headline": advice.headline,
            "reasons": list(advice.reasons),
            "bands": [
                {"use": band.name, "below": None if band is advice.bands[-1] else band.below}
                for band in advice.bands
            ],
        },
        "source": figures.source,
        "source_bytes": figures.source_bytes,
        "pack_bytes": figures.pack_bytes,
        "means": [_row(row) for row in figures.means().values()],
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
                "equal_bytes": [_row(row) for row in frame.rows],
            }
            for frame in figures.frames
        ],
        "curves": [_row(row) for rows in figures.curves.values() for row in rows],
        "fog": fog_as_json(scenario, bandwidth),
    }


def _row(row: Row) -> dict[str, Any]:
    values = {key: value for key, value in asdict(row).items() if key not in _PSNR}
    # JSON has no infinity, which is the PSNR of a part without error.
    return values | {name: mean_db([getattr(row, part)]) for part, name in _PSNR.items()}
