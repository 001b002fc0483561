"""A scenario of the fog: who wants what over which medium, every way to send it, and JSON of it.

`rinrcodec fog` and the report compare the ways; the model of one way is `rinrcodec.evaluation.fog`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.fog import (
    JPEG,
    Codec,
    Device,
    Transfer,
    break_even_alpha,
    break_even_rounds,
    pays_below,
    serverless,
    through_fog,
    train_at_fog,
)

__all__ = ["Scenario", "scenario_as_json"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Who wants what, over which medium, and which codecs replace JPEG.

    codec: what the fog encodes; only it can, if `at_fog`. others: what every device could encode by
        itself, too.
    rounds, model_bytes: of training at the fog. source: the data as it is, of alpha 1.
    """

    devices: tuple[Device, ...]
    codec: Codec
    others: tuple[Codec, ...] = ()
    rounds: int = 1
    model_bytes: float = 98.8e6  # YOLOv8m, as in the paper
    broadcast: bool = False
    source: Codec = JPEG
    at_fog: bool = True

    def __post_init__(self) -> None:
        names = [codec.name for codec in (self.source, self.codec, *self.others)]
        for name in names:
            if names.count(name) > 1:
                raise RinrInputError(f"two codecs are called {name!r}: give them different names")

    def direct(self) -> Transfer:
        """Return JPEG from device to device: the reference for everything else."""
        return serverless(self.devices, self.source, broadcast=self.broadcast)

    def fog(self) -> Transfer:
        """Return the cost of the codec through the fog."""
        return through_fog(self.devices, self.codec, broadcast=self.broadcast)

    def training(self) -> Transfer:
        """Return the cost of training at the fog instead of on the devices."""
        return train_at_fog(
            self.devices,
            rounds=self.rounds,
            model_bytes=self.model_bytes,
            broadcast=self.broadcast,
        )

    def transfers(self) -> list[Transfer]:
        """Return all ways: direct, every codec both ways, training.

        If `at_fog`, `codec` goes through the fog only.
        """
        both = [
            way(self.devices, codec, broadcast=self.broadcast)
            for codec in (self.codec, *self.others)
            for way in (through_fog, serverless)
        ]
        if self.at_fog:
            del both[1]
        return [self.direct(), *both, self.training()]


def scenario_as_json(scenario: Scenario, bandwidth: float) -> dict[str, Any]:
    """Return a scenario, the cost of every way, and the break-even points, ready for JSON.

    Args:
        scenario: The devices, the medium and the codecs.
        bandwidth: Of the link that all share, in bytes a second.

    Returns:
        A dict of numbers, strings and lists. A break-even bandwidth of None means "at any".
    """
    direct, fog = scenario.direct(), scenario.fog()
    below = pays_below(fog, direct)
    return {
        "devices": [
            {"bytes": item.n_bytes, "frames": item.n_frames, "receivers": item.n_receivers}
            for item in scenario.devices
        ],
        "medium": "broadcast" if scenario.broadcast else "unicast",
        "bandwidth": bandwidth,
        "rounds": scenario.rounds,
        "model_bytes": scenario.model_bytes,
        "codecs": [
            {
                "name": codec.name,
                "alpha": codec.alpha,
                "encode_seconds": codec.encode_seconds,
                "decode_seconds": codec.decode_seconds,
            }
            for codec in (scenario.codec, *scenario.others)
        ],
        "transfers": [
            {
                "way": way.way,
                "codec": way.codec,
                "bytes": way.n_bytes,
                "times_less": direct.n_bytes / way.n_bytes if way.n_bytes else None,
                "seconds": way.seconds(bandwidth),
            }
            for way in scenario.transfers()
        ],
        "break_even": {
            "alpha": break_even_alpha(scenario.devices, broadcast=scenario.broadcast),
            "rounds": break_even_rounds(
                scenario.devices,
                fog,
                model_bytes=scenario.model_bytes,
                broadcast=scenario.broadcast,
            ),
            "bandwidth": None if math.isinf(below) else below,
        },
    }
