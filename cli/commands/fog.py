"""`rinrcodec fog`: what a fog node saves, and when it does not."""

from __future__ import annotations

from pathlib import Path

import click

from rinrcodec.cli.options import ABOVE_0, Finite, json_option, writable

__all__ = ["command"]

MB = 1e6
# The mean of 550 frames of DAC-SDC, 640x360; and the published alpha.
FRAME_BYTES = 69_000.0
FRAMES = 1000
ALPHA = 1 / 12.09
PLOT_KINDS = ("png", "svg", "pdf")


_SECONDS = Finite(min=0)
_PLACE = click.Path(exists=True, path_type=Path)


@click.command("fog")
@click.option("--jpeg", type=_PLACE, metavar="DIR", help="The JPEG files of one device.")
@click.option("--rinr", type=_PLACE, metavar="DIR", help="The packs of the same frames.")
@click.option(
    "--frames", type=click.IntRange(min=1), metavar="N",
    help=f"Without folders: frames on each device.  [default: {FRAMES}]",
)  # fmt: skip
@click.option(
    "--frame-bytes", type=ABOVE_0, metavar="B",
    help=f"Without folders: bytes of a JPEG frame.  [default: {FRAME_BYTES:.0f}]",
)  # fmt: skip
@click.option(
    "--alpha", type=ABOVE_0, metavar="A",
    help="Without folders: .rinr bytes / JPEG bytes.  [default: 0.0827, the published one]",
)  # fmt: skip
@click.option(
    "--codec", "codecs", multiple=True, metavar="NAME=SIZE[,S]",
    help="Another codec: bytes a frame (avif=5400), a share (avif=8%) or a folder (avif=DIR); "
    "S: seconds to encode a frame.",
)  # fmt: skip
@click.option("--devices", type=click.IntRange(min=1), default=10, show_default=True, metavar="N")
@click.option(
    "--receivers", type=click.IntRange(min=0), metavar="R",
    help="How many want the data of a device.  [default: all other devices]",
)  # fmt: skip
@click.option(
    "--medium", type=click.Choice(["unicast", "broadcast"]), default="unicast", show_default=True,
    help="Whether one transmission reaches one receiver, or all.",
)  # fmt: skip
@click.option(
    "--bandwidth", type=ABOVE_0, default=2.0, show_default=True, metavar="MB/S",
    help="Of the one link that all share.",
)  # fmt: skip
@click.option(
    "--fit-seconds", type=_SECONDS, default=0.0, metavar="S",
    help="Fitting at the fog, seconds a frame.  [default: 0, not counted]",
)  # fmt: skip
@click.option(
    "--decode-seconds", type=_SECONDS, default=0.0, metavar="S",
    help="Decoding at a device, seconds a frame beyond what JPEG takes.",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(min=1), default=1, show_default=True, metavar="K",
    help="Training at the fog: how often the model is sent to all devices.",
)  # fmt: skip
@click.option(
    "--model", "model_mb", type=ABOVE_0, default=98.8, show_default=True, metavar="MB",
    help="Its size; the default is YOLOv8m.",
)  # fmt: skip
@json_option
@click.option(
    "--plot", metavar="FILE", callback=writable,
    help="Draw data and time against devices, alpha and bandwidth: png, svg or pdf.",
)  # fmt: skip
def command(
    jpeg: Path | None,
    rinr: Path | None,
    frames: int | None,
    frame_bytes: float | None,
    alpha: float | None,
    codecs: tuple[str, ...],
    devices: int,
    receivers: int | None,
    medium: str,
    bandwidth: float,
    fit_seconds: float,
    decode_seconds: float,
    rounds: int,
    model_mb: float,
    json_path: str | None,
    plot: str | None,
) -> None:
    """Show what a fog node saves, and when it does not.

    Devices hold JPEG frames that others want. They send them to each other, or once to a fog node
    that sends packs on, or train at the fog. Sizes are numbers, or those of files in folders:
    --jpeg and --rinr together. MB are 10^6 bytes.
    """
    from rinrcodec.cli.fog_codecs import other_codec
    from rinrcodec.cli.output import json_text, write_report
    from rinrcodec.cli.views.fog_table import fog_as_json, print_fog
    from rinrcodec.datasets.inspection.sizes import Sizes, jpeg_sizes, pack_sizes
    from rinrcodec.evaluation.fog import Codec, Scenario, equal_devices
    from rinrcodec.storage.atomic import replacing, writing

    if (jpeg is None) != (rinr is None):
        raise click.UsageError("--jpeg and --rinr go together: the same frames in both")
    if jpeg is not None and (frames, frame_bytes, alpha) != (None, None, None):
        raise click.UsageError("--frames, --frame-bytes and --alpha follow from the folders")
    kind = _plot_kind(plot)
    if plot is not None:
        from rinrcodec.cli.views.fog_plot import draw_fog
    if jpeg is not None and rinr is not None:
        sizes = jpeg_sizes(jpeg)
        alpha = pack_sizes(rinr, sizes.frames).n_bytes / sizes.n_bytes
    else:
        count = frames or FRAMES
        sizes = Sizes(count, count * (frame_bytes or FRAME_BYTES))
    ours = Codec("rinrcodec", alpha or ALPHA, fit_seconds, decode_seconds)
    scenario = Scenario(
        equal_devices(devices, n_bytes=sizes.n_bytes, n_frames=sizes.frames, n_receivers=receivers),
        ours,
        tuple(other_codec(text, sizes) for text in codecs),
        rounds=rounds,
        model_bytes=model_mb * MB,
        broadcast=medium == "broadcast",
    )
    if json_path != "-":
        print_fog(scenario, sizes, bandwidth * MB)
    if plot is not None:
        target = Path(plot)
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target.resolve()) as temporary:
                draw_fog(temporary, scenario, bandwidth=bandwidth * MB, kind=kind)
    if json_path is not None:
        write_report(json_path, json_text(fog_as_json(scenario, bandwidth * MB)))


def _plot_kind(plot: str | None) -> str:
    kind = Path(plot).suffix.lower().lstrip(".") if plot else "png"
    if kind not in PLOT_KINDS:
        raise click.UsageError(f"--plot {plot}: want a file ending in {', '.join(PLOT_KINDS)}")
    return kind
