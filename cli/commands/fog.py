"""`rinrcodec fog`: what a fog node saves, and when it does not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rinrcodec.cli.options import ABOVE_0, Finite, LocalPath, json_option, writable
from rinrcodec.cli.suggestions import Choice

if TYPE_CHECKING:
    from rinrcodec.evaluation.fog import Codec
    from rinrcodec.evaluation.sizes import Sizes

__all__ = ["command", "other_codec"]

MB = 1e6
# The mean of 550 frames of DAC-SDC, 640x360.
FRAME_BYTES = 69_000.0
FRAMES = 1000
PLOT_KINDS = ("png", "svg", "pdf")

_SECONDS = Finite(min=0)
_PATH = LocalPath()


@click.command("fog")
@click.option("--jpeg", type=_PATH, metavar="DIR", help="The JPEG files of one device.")
@click.option("--rinr", type=_PATH, metavar="DIR", help="The packs of the same frames.")
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
    help="Another codec: bytes a frame (avif=5400), a share (avif=8%) or a folder of pictures or "
    "packs (avif=DIR); S: seconds to encode a frame.",
)  # fmt: skip
@click.option("--devices", type=click.IntRange(min=1), default=10, show_default=True, metavar="N")
@click.option(
    "--receivers", type=click.IntRange(min=0), metavar="R",
    help="How many devices need the data of a device.  [default: all others]",
)  # fmt: skip
@click.option(
    "--medium", type=Choice(["unicast", "broadcast"]), default="unicast", show_default=True,
    help="Whether one transmission reaches one receiver, or all.",
)  # fmt: skip
@click.option(
    "--bandwidth", type=ABOVE_0, default=2.0, show_default=True, metavar="MB/S",
    help="Bandwidth of the one link that all devices share.",
)  # fmt: skip
@click.option(
    "--fit-seconds", type=_SECONDS, default=0.0, metavar="S",
    help="Encoding at the fog, seconds a frame.  [default: 0, not counted]",
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

    Devices hold JPEG frames that other devices need. They send the frames to each other; or once to
    a fog node, which sends packs on; or they train at the fog. Give sizes as numbers, or folders of
    files: --jpeg and --rinr together. Packs without networks have a row "serverless", too, because
    devices can encode them. 1 MB is 10^6 bytes.
    """
    from rinrcodec.cli.output import say, write_report
    from rinrcodec.cli.views.fog_table import print_fog
    from rinrcodec.evaluation.fog import PUBLISHED_ALPHA, Codec, equal_devices
    from rinrcodec.evaluation.scenario import Scenario, scenario_as_json
    from rinrcodec.evaluation.sizes import Sizes, jpeg_sizes, pack_sizes
    from rinrcodec.storage.atomic import named_file, writing
    from rinrcodec.storage.replacing import replacing

    if (jpeg is None) != (rinr is None):
        raise click.UsageError("--jpeg and --rinr go together: the same frames in both")
    if jpeg is not None and (frames, frame_bytes, alpha) != (None, None, None):
        raise click.UsageError("--frames, --frame-bytes and --alpha follow from the folders")
    alpha_given = alpha
    kind = _plot_kind(plot)
    if plot is not None:
        from rinrcodec.cli.views.fog_plot import draw_fog
    if jpeg is not None and rinr is not None:
        sizes = jpeg_sizes(jpeg)
        packs = pack_sizes(rinr, sizes.frames)
        alpha, at_fog = packs.n_bytes / sizes.n_bytes, packs.at_fog
    else:
        count, at_fog = frames or FRAMES, True
        sizes = Sizes(count, count * (frame_bytes or FRAME_BYTES))
    ours = Codec("rinrcodec", alpha or PUBLISHED_ALPHA, fit_seconds, decode_seconds)
    scenario = Scenario(
        equal_devices(devices, n_bytes=sizes.n_bytes, n_frames=sizes.frames, n_receivers=receivers),
        ours,
        tuple(other_codec(text, sizes) for text in codecs),
        rounds=rounds,
        model_bytes=model_mb * MB,
        broadcast=medium == "broadcast",
        at_fog=at_fog,
    )
    if json_path != "-":
        print_fog(scenario, sizes, bandwidth * MB)
        if jpeg is None and (note := _assumed(frame_bytes, alpha_given)):
            say(note)
    if plot is not None:
        path = Path(plot)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(named_file(path)) as temporary:
                draw_fog(temporary, scenario, bandwidth=bandwidth * MB, kind=kind)
    if json_path is not None:
        write_report(json_path, "fog", scenario_as_json(scenario, bandwidth * MB))


def _assumed(frame_bytes: float | None, alpha: float | None) -> str:
    """Say which sizes are not the user's own."""
    from rinrcodec.evaluation.fog import PUBLISHED_ALPHA

    texts = []
    if alpha is None:
        texts.append(f"alpha {PUBLISHED_ALPHA:.4f} is the paper's")
    if frame_bytes is None:
        texts.append(f"{FRAME_BYTES:,.0f} bytes a frame are those of DAC-SDC")
    return f"Not your data: {', '.join(texts)}. Pass --jpeg DIR and --rinr DIR." if texts else ""


def other_codec(text: str, jpeg: Sizes) -> Codec:
    """Return the codec of `NAME=BYTES` (a frame), `NAME=SHARE%` (of the JPEG bytes) or `NAME=DIR`.

    `,SECONDS` behind it is the time to encode a frame. Raises `click.UsageError` for another text,
    `RinrInputError` for a folder of other frames.
    """
    from rinrcodec.evaluation.fog import Codec

    name, equals, value = text.partition("=")
    if not (name and equals and value.partition(",")[0]):
        raise click.UsageError(
            f"--codec {text!r}: expected NAME=BYTES a frame, NAME=SHARE% or NAME=FOLDER"
        )
    seconds = 0.0
    if "," in value and not Path(value).is_dir():
        value, _, last = value.rpartition(",")
        try:
            seconds = float(last)
        except ValueError:
            raise click.UsageError(
                f"--codec {text!r}: {last!r} is no number of seconds a frame"
            ) from None
    return Codec(name, _alpha(text, value, jpeg), encode_seconds=seconds)


def _alpha(text: str, value: str, jpeg: Sizes) -> float:
    from rinrcodec.evaluation.sizes import file_sizes

    if Path(value).is_dir():
        return file_sizes(Path(value), jpeg.frames).n_bytes / jpeg.n_bytes
    try:
        number = float(value.removesuffix("%"))
    except ValueError:
        raise click.UsageError(
            f"--codec {text!r}: {value} is neither a number nor a folder"
        ) from None
    if not (math.isfinite(number) and number > 0):
        raise click.UsageError(f"--codec {text!r}: expected a number above 0")
    return number / 100 if value.endswith("%") else number / jpeg.per_frame


def _plot_kind(plot: str | None) -> str:
    kind = Path(plot).suffix.lower().lstrip(".") if plot else "png"
    if kind not in PLOT_KINDS:
        raise click.UsageError(f"--plot {plot}: expected a file ending in {', '.join(PLOT_KINDS)}")
    return kind
