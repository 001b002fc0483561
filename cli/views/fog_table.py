"""The fog in words and as a table."""

from __future__ import annotations

import math

from rinrcodec.cli.output import print_table, say
from rinrcodec.evaluation.fog import break_even_alpha, break_even_rounds, pays_below
from rinrcodec.evaluation.scenario import Scenario
from rinrcodec.evaluation.sizes import Sizes

__all__ = ["duration", "explain", "print_fog", "size_text"]

MB = 1e6


def print_fog(scenario: Scenario, sizes: Sizes, bandwidth: float) -> None:
    """Print a scenario to the standard output: its table, and what it means."""
    count, wanted = len(scenario.devices), scenario.devices[0].n_receivers
    say(
        f"{_number(count, 'device')} with {_number(sizes.frames, 'JPEG frame')} each "
        f"({size_text(sizes.n_bytes)}), needed by {_number(wanted, 'receiver')}; "
        f"{'broadcast' if scenario.broadcast else 'unicast'} at {bandwidth / MB:g} MB/s"
    )
    direct = scenario.direct().n_bytes
    alphas = {codec.name: f"{codec.alpha:.3f}" for codec in (scenario.codec, *scenario.others)}
    print_table(
        ("codec", "way", "alpha", "sent", "times less", "time"),
        [
            (
                way.codec,
                way.way,
                alphas.get(way.codec, ""),
                size_text(way.n_bytes),
                _times(direct / way.n_bytes) if way.n_bytes else "-",
                duration(way.seconds(bandwidth)),
            )
            for way in scenario.transfers()
        ],
        n_texts=2,
    )
    say(*explain(scenario, bandwidth))


def explain(scenario: Scenario, bandwidth: float) -> list[str]:
    """Explain the figures in sentences: when the fog pays, and what would be better."""
    direct, fog = scenario.direct(), scenario.fog()
    codec = scenario.codec
    lines = []
    if scenario.broadcast:
        lines.append(
            "One transmission reaches all receivers, so JPEG is sent once. A fog only adds bytes."
        )
    else:
        even = break_even_alpha(scenario.devices)
        verdict = "saves" if fog.n_bytes < direct.n_bytes else "does not save"
        lines.append(
            f"The fog saves bytes if alpha is below {even:.3f}. {codec.name} has "
            f"{codec.alpha:.3f}: it {verdict} bytes."
            if even
            else "With so few receivers the fog sends more bytes than JPEG, with any codec."
        )
    if fog.n_bytes < direct.n_bytes:
        lines.append(_time_line(scenario, bandwidth, pays_below(fog, direct)))
    rounds = break_even_rounds(
        scenario.devices, fog, model_bytes=scenario.model_bytes, broadcast=scenario.broadcast
    )
    lines.append(_rounds_line(rounds, scenario))
    best = min(scenario.transfers(), key=lambda way: way.n_bytes)
    what = best.way if best.way.startswith("train") else f"{best.codec}, {best.way}"
    lines.append(f"Fewest bytes: {what}, {size_text(best.n_bytes)}.")
    return lines


def _time_line(scenario: Scenario, bandwidth: float, below: float) -> str:
    if math.isfinite(below):
        return (
            "With the time to encode and decode, the fog is faster if the link is slower than "
            f"{below / MB:.3g} MB/s."
        )
    frames = sum(device.n_frames for device in scenario.devices)
    spare = (scenario.direct().n_bytes - scenario.fog().n_bytes) / bandwidth / frames
    return (
        f"The time to encode is not counted (--fit-seconds). At {bandwidth / MB:g} MB/s the fog is "
        f"faster if a frame takes less than {spare:.3g} s."
    )


def _rounds_line(rounds: float, scenario: Scenario) -> str:
    what = f"sending {scenario.codec.name} through it"
    if rounds < 1:
        return (
            f"Training at the fog sends more bytes than {what}, even with one round "
            f"(break-even at {rounds:.2f})."
        )
    return f"Training at the fog sends fewer bytes than {what}, for up to {rounds:.2f} rounds."


def duration(seconds: float) -> str:
    """Format a time for people: `0.21 s`, `8.4 min`, `3.2 h`, `5.1 days`."""
    for size, name in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {name}"
    return f"{seconds:.3g} s"


def size_text(n_bytes: float) -> str:
    """Format a number of bytes for people: `640 B`, `7.14 kB`, `1.20 GB`."""
    for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= size:
            return f"{n_bytes / size:,.2f} {name}"
    return f"{n_bytes:.0f} B"


def _times(value: float) -> str:
    # Two figures behind the point, or the first two that are not 0.
    return f"{value:.2f}x" if value >= 0.1 or not value else f"{value:.2g}x"


def _number(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
