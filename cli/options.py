"""Options that several commands share, and how they are checked."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rinrcodec.cli.spelling import TARGET_FIELDS as _TARGET_FIELDS
from rinrcodec.cli.suggestions import Choice, did_you_mean
from rinrcodec.families import (
    DEFAULT_OBJECTS,
    OBJECT_CHOICES,
    background_families,
    background_families_for,
    background_family,
    object_families,
)
from rinrcodec.limits import DEFAULT_LIMITS
from rinrcodec.presets import MOST_SOFTEN, PRESET_NAMES, default_background
from rinrcodec.targets import EXCLUSIVE, EXCLUSIVE_OF_OBJECTS, TUNES, Target, out_of_range

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from rinrcodec.families.interface import Family
    from rinrcodec.presets import Preset

    StringType = click.ParamType[str]
else:  # click 8.1 has no [str]
    StringType = click.ParamType

__all__ = [
    "ABOVE_0",
    "FamilyChoice",
    "Finite",
    "LocalPath",
    "PathOrUrl",
    "StringType",
    "background_option",
    "depth_range_option",
    "device_option",
    "family_help",
    "formats_option",
    "gop_option",
    "json_option",
    "labels_option",
    "max_pixels_option",
    "objects_option",
    "option_of",
    "preset_of",
    "preset_option",
    "quiet_option",
    "seed_option",
    "shrink_option",
    "soften_option",
    "steps_option",
    "target_of",
    "target_options",
    "writable",
]


class Finite(click.FloatRange):
    """A number that is none of nan and inf, which a range lets through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class PathOrUrl(click.Path):
    """A local path, or a URL that fsspec knows.

    Args:
        exists: refuse a path where there is nothing.
        file_okay: False refuses a local file.
    """

    def __init__(self, *, exists: bool, file_okay: bool = True) -> None:
        super().__init__(exists=exists, file_okay=file_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from rinrcodec.errors import RinrInputError, RinrUsageError
        from rinrcodec.storage import file_or_folder, storage_of, to_path

        if value == "":  # which would be the working folder, such as of an unset variable
            self.fail("the path is empty.", param, ctx)
        try:
            path = to_path(value)
            is_local = storage_of(path).has_native_paths
            if not self.exists:
                there = True
            else:  # a device or FIFO is there, too, and is refused where it is read
                there = path.exists() if is_local else file_or_folder(path) is not None
        except FileNotFoundError as error:
            raise RinrUsageError(f"{path}: {error.strerror}") from error
        except RinrInputError as error:
            self.fail(f"{error}.", param, ctx)
        if not there:
            raise RinrUsageError(f"{path}: there is no such file or folder")
        return super().convert(str(path), param, ctx) if is_local else path


class LocalPath(click.Path):
    """A local path where there is something."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from rinrcodec.errors import RinrUsageError

        if not Path(value).exists():
            raise RinrUsageError(f"{value}: there is no such file or folder")
        return super().convert(value, param, ctx)


class FamilyChoice(StringType):
    """The name of a registered family of backgrounds or of objects."""

    name = "family"

    def __init__(
        self, families: Callable[[], Mapping[str, Family]], *, more: Sequence[str] = ()
    ) -> None:
        self._families = families
        self._more = more

    def get_metavar(self, *_: Any, **__: Any) -> str:
        """Show the names as a choice does."""
        return f"[{'|'.join(self._names())}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value not in self._names():
            names = ", ".join(map(repr, self._names()))
            guess = did_you_mean(str(value), self._names())
            self.fail(f"{value!r} is not one of {names}{guess}", param, ctx)
        return value

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Complete a name in the shell."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in self._names() if name.startswith(incomplete)]

    def _names(self) -> list[str]:
        return [*self._more, *self._families()]


class _DepthRange(StringType):
    """Two numbers, LOW:HIGH."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from rinrcodec.errors import RinrInputError
        from rinrcodec.sources.pictures.depth import check_depth_range

        if not isinstance(value, str):
            return value
        try:
            return check_depth_range(value.split(":"))
        except RinrInputError:
            self.fail(f"{value!r} is not LOW:HIGH with LOW below HIGH, as 7000:8020.", param, ctx)


class _Names(StringType):
    """Names with commas between them."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002
        return tuple(filter(None, value.split(","))) if isinstance(value, str) else value


ABOVE_0 = Finite(min=0, min_open=True)


def writable(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:  # noqa: ARG001
    """Refuse a file that cannot be written before the work whose figures it is to hold."""
    if value in {"-", "/dev/stdout"}:
        return "-"
    if value is None:
        return None
    path = Path(value)
    if path.is_dir():
        raise click.BadParameter(f"{path} is a folder; give a file")
    if path.exists() and not path.is_file():  # a device or FIFO, which is written into
        if not os.access(path, os.W_OK):
            raise click.BadParameter(f"{path} cannot be written")
        return value
    if path.is_symlink():
        from rinrcodec.storage.replacing import writable_target

        try:
            writable_target(path)
        except OSError as error:
            raise click.BadParameter(f"{path}: {error.strerror}") from None
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise click.BadParameter(f"{path} cannot be written: {folder} is no folder to write to")
    return value


def writable_json(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Check as `writable` does; also refuse to replace a file that `--json` did not write."""
    from rinrcodec.cli.output import is_report

    value = writable(ctx, param, value)
    if value is None or value == "-" or not Path(value).is_file():
        return value
    if not is_report(Path(value)):
        raise click.BadParameter(
            f"{value} exists, and --json did not write it; give another name or remove the file"
        )
    return value


preset_option = click.option(
    "--preset", type=Choice(PRESET_NAMES), default="balanced", show_default=True,
    is_eager=True,  # the default of --background depends on it
    help="Effort. paper has the settings of the paper, for its backgrounds only.",
)  # fmt: skip


def _summaries() -> str:
    """Describe every family of backgrounds: "NAME: its summary; ..."."""
    families = background_families().items()
    return "; ".join(f"{name}: {family.summary}" for name, family in families)


def family_help() -> str:
    """Return the paragraphs that families have for the help of `compress`."""
    return "\n\n".join(one.help for one in background_families().values() if one.help)


def _step_units() -> str:
    """Name the families with other units of steps: " (of NAME: epochs)"."""
    families = background_families().items()
    units = [f"of {name}: {one.steps}" for name, one in families if one.steps != "steps"]
    return f" ({', '.join(units)})" if units else ""


def _shrinks() -> str:
    """Say which families have smaller backgrounds."""
    families = background_families().items()
    able = (
        f"{name}: {' or '.join(map(str, one.shrinks))}" for name, one in families if one.shrinks
    )
    return f"[only {', '.join(able)}; default: 1]"


def _gops() -> str:
    """Name the families that cut sequences into groups of frames: "[default of NAME: 16]"."""
    families = background_families().items()
    return ", ".join(f"[default of {name}: {one.gop}]" for name, one in families if one.gop)


def _qualities(families: Mapping[str, Family], field: str) -> str:
    """Name the quality of each family where none is asked for: "[default of NAME: 20]"."""
    found = ((name, getattr(family, field)) for name, family in families.items())
    return ", ".join(f"[default of {name}: {value}]" for name, value in found if value is not None)


def _able(field: str) -> str:
    """Name the families that can encode for a field of a target."""
    return " and ".join(background_families_for({field}))


def _background(ctx: click.Context, param: click.Parameter, value: str | None) -> str:  # noqa: ARG001
    return value or default_background(ctx.params["preset"])


background_option = click.option(
    "--background", type=FamilyChoice(background_families), callback=_background,
    help=f"Family of the backgrounds. {_summaries()}. [default: {default_background('balanced')}; "
    f"of --preset paper: {default_background('paper')}]",
)  # fmt: skip
objects_option = click.option(
    "--objects", type=FamilyChoice(object_families, more=OBJECT_CHOICES),
    help="Family of the objects on top of the backgrounds; auto takes the one with the fewest "
    f"bytes for each object. [default: {DEFAULT_OBJECTS}]",
)  # fmt: skip


def _one_place(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> str:  # noqa: ARG001
    if len(values) > 1:
        raise click.BadParameter(
            f"given {len(values)} times, but takes one value; merge COCO files first "
            "(docs/labels.md)",
            param_hint="--labels",
        )
    return values[0]


labels_option = click.option(
    "--labels", default=("auto",), show_default="auto", metavar="auto|none|DIR|FILE", multiple=True,
    callback=_one_place,
    help="YOLO labels where YOLO finds them, none, a folder or URL of YOLO or Pascal VOC labels "
    "that mirrors the pictures, or a COCO file.",
)  # fmt: skip
gop_option = click.option(
    "--gop", type=click.IntRange(min=1), metavar="N",
    help=f"Largest number of frames of a sequence in a row; 1 codes every frame alone. {_gops()}",
)  # fmt: skip
shrink_option = click.option(
    "--shrink", type=int, metavar="N",
    help="Divide width and height of backgrounds by N; decoding enlarges them, and objects stay "
    f"sharp. The default --quality is then higher. {_shrinks()}",
)  # fmt: skip


def _soften(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:  # noqa: ARG001
    # Not `FloatRange`, which lets NaN pass.
    if value is not None and not 0 <= value <= MOST_SOFTEN:
        raise click.BadParameter(f"{value:g} is not from 0 to {MOST_SOFTEN} pixels.")
    return value


soften_option = click.option(
    "--soften", type=float, callback=_soften, metavar="SIGMA",
    help="Blur frames outside of their boxes, by a Gaussian of SIGMA pixels. [default: no blur]",
)  # fmt: skip
steps_option = click.option(
    "--steps", type=click.IntRange(min=1), metavar="N",
    help=f"Fitting steps{_step_units()} in place of the preset's, for a quick look.",
)  # fmt: skip


def _in_range(ctx: click.Context, param: click.Parameter, value: Any) -> Any:  # noqa: ARG001
    if value is not None and (expected := out_of_range(_TARGET_FIELDS[param.opts[0]], value)):
        shown = f"{value:g}" if isinstance(value, float) else value
        raise click.BadParameter(f"{shown} is not {expected}.")
    return value


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `target_of`: the quality or size that backgrounds are fitted for."""
    for option in (
        click.option(
            "--lambda", "lmbda", type=float, callback=_in_range, metavar="X",
            help=f"Of {_able('lmbda')}: price of a bit a pixel in squared error.",
        ),
        click.option(
            "--objects-psnr", type=float, callback=_in_range, metavar="DB",
            help="PSNR inside the boxes. Objects that are as good without any bytes get none.",
        ),
        click.option(
            "--objects-quality", type=int, callback=_in_range, metavar="Q",
            help="Quality inside the boxes, from 0 to 100, the best. "
            f"{_qualities(object_families(), 'objects_quality')}",
        ),
        click.option(
            "--target-bytes", type=int, callback=_in_range, metavar="N",
            help=f"Of {_able('n_bytes')}: bytes of a frame on average, with all that is in a file.",
        ),
        click.option(
            "--target-psnr", type=float, callback=_in_range, metavar="DB",
            help=f"Of {_able('psnr')}: PSNR of the background of a frame.",
        ),
        click.option(
            "--quality", type=int, callback=_in_range, metavar="Q",
            help=f"Of {_able('quality')}: quality of the background, from 0 to 100, the best. "
            f"{_qualities(background_families(), 'quality')}",
        ),
        click.option(
            "--tune", type=Choice(TUNES),
            help=f"Of {_able('tune')}: spend bytes on what detectors need (accuracy), or on the "
            "least error (psnr). [default: psnr with a PSNR to reach, otherwise accuracy]",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def target_of(options: dict[str, Any]) -> Target | None:
    """Take those of `target_options` out of the options of a command, and make a target of them.

    Returns:
        The target, None where no option asks for one.

    Raises:
        click.UsageError: They exclude each other, or the families do not support them.
    """
    values = {option: options.pop(_parameter(option)) for option in _TARGET_FIELDS}
    background, objects = options["background"], options["objects"]
    given = {option: value for option, value in values.items() if value is not None}
    if not given:
        return None
    fields = {_TARGET_FIELDS[option]: value for option, value in given.items()}
    for names in (EXCLUSIVE, EXCLUSIVE_OF_OBJECTS):
        rivals = [option for option in given if _TARGET_FIELDS[option] in names]
        if len(rivals) > 1:
            raise click.UsageError(f"{' and '.join(rivals)} exclude each other: give one of them")
    of_objects = [option for option in given if _TARGET_FIELDS[option] in EXCLUSIVE_OF_OBJECTS]
    if of_objects and objects == "none" and background_family(background).takes_objects:
        raise click.UsageError(
            f"{of_objects[0]}: with --objects none there are no objects; leave out one of the two"
        )
    if background not in background_families_for(fields.keys(), objects):
        raise click.UsageError(_not_of(background, objects, given))
    return Target(**fields)


def _not_of(background: str, objects: str | None, given: Mapping[str, object]) -> str:
    """Explain that families do not support the given options of a target."""
    fields = {option: _TARGET_FIELDS[option] for option in given}
    if background in background_families_for(set(fields.values())):
        names = " and ".join(given)
        return f"{names}: --objects {objects} does not support that; use --objects auto"
    alone = [
        option
        for option, field in fields.items()
        if background not in background_families_for({field})
    ]
    options = alone or list(fields)
    able = background_families_for({fields[option] for option in options})
    if not able:
        return f"{' and '.join(options)}: no background supports that"
    what = "is an option" if len(options) == 1 else "are options"
    out = "it" if len(options) == 1 else "them"
    families = " or ".join(able)
    return (
        f"{' and '.join(options)} {what} of {families}; leave {out} out, or use --background "
        f"{families} instead of {background}"
    )


def _parameter(option: str) -> str:
    return "lmbda" if option == "--lambda" else option.removeprefix("--").replace("-", "_")


def preset_of(
    name: str, *, steps: int | None, background: str, objects: str | None = None
) -> Preset:
    """Return the preset of a name; raise `click.UsageError` if the background has none such."""
    from rinrcodec.errors import RinrInputError
    from rinrcodec.presets import get_preset

    try:
        return get_preset(name, steps=steps, background=background, objects=objects)
    except RinrInputError as error:
        raise click.UsageError(str(error)) from error


device_option = click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda")
max_pixels_option = click.option(
    "--max-pixels", type=click.IntRange(min=1), metavar="N",
    help=f"Most pixels of a picture. [default: {DEFAULT_LIMITS.max_pixels:,}]",
)  # fmt: skip
depth_range_option = click.option(
    "--depth-range", type=_DepthRange(), metavar="LOW:HIGH",
    help="Values of 16- and 32-bit greys that become black and white. [default: 0:65535]",
)  # fmt: skip
formats_option = click.option(
    "--formats", type=_Names(), metavar="NAME,...", default=(),
    help="Kinds of pictures to read besides the usual ones, by their names in Pillow, such as "
    "TGA,PSD.",
)  # fmt: skip
seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, metavar="N",
    help="Seed of the fit.",
)  # fmt: skip
json_option = click.option(
    "--json", "json_path", metavar="FILE", callback=writable_json,
    help="Write the figures as JSON; - for stdout.",
)  # fmt: skip
quiet_option = click.option("--quiet", is_flag=True, help="Print errors only.")


def option_of(field: str) -> str:
    """Return the option that sets a field of a target."""
    return next(option for option, name in _TARGET_FIELDS.items() if name == field)
