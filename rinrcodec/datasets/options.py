"""The options of `compress`, checked before anything is read or written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any, Literal, get_args

from rinrcodec.errors import RinrInputError, RinrUsageError
from rinrcodec.labels.model import TASKS, Task
from rinrcodec.presets import PRESET_NAMES, Preset, default_background, get_preset, target_problem
from rinrcodec.sources.pictures.depth import DepthRange, check_depth_range
from rinrcodec.targets import Target

__all__ = [
    "CompressOptions",
    "Executor",
    "Layout",
    "check_choice",
    "check_whole",
    "choose_devices",
    "default_background_of",
    "kind_of",
]

Layout = Literal["pack", "files"]
Executor = Literal["local", "ray"]

_MOST_SEED = 2**31 - 1
# Fields of a target that manifests of earlier versions lack.
_LATER = ("quality", "objects_quality", "tune")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressOptions:
    """The options of one `compress`; the attributes are documented there.

    Raises `RinrUsageError` for options that contradict each other or do not exist.
    """

    preset: str
    background: str
    objects: str | None
    steps: int | None
    gop: int | None
    target: Target | None
    layout: Layout
    shard_size: int
    device: str
    seed: int
    jobs: int | None
    executor: Executor
    ray_address: str | None
    resume: bool
    overwrite: bool
    depth_range: DepthRange | None = None
    max_pixels: int | None = None
    formats: tuple[str, ...] = ()
    shrink: int | None = None
    soften: float | None = None
    labels: str | PathLike[str] = "auto"
    task: Task | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.labels, (str, PathLike)):
            raise RinrUsageError(
                f'labels={self.labels!r}: expected "auto", "none", a folder or a file'
            )
        if self.task is not None:
            check_choice("task", self.task, TASKS)
        if self.resume and self.overwrite:
            raise RinrUsageError(
                "`resume=True` continues, `overwrite=True` starts again: give one of them"
            )
        if not isinstance(self.preset, str):
            raise RinrUsageError(
                f"preset {self.preset!r}: expected one of {', '.join(PRESET_NAMES)}"
            )
        if self.target is not None and not isinstance(self.target, Target):
            raise RinrUsageError(f"target {self.target!r}: expected a rinrcodec.Target")
        check_choice("layout", self.layout, get_args(Layout))
        check_choice("executor", self.executor, get_args(Executor))
        check_whole("shard_size", self.shard_size, least=1)
        check_whole("seed", self.seed, least=0, most=_MOST_SEED)
        if self.depth_range is not None:
            try:
                check_depth_range(self.depth_range)
            except RinrInputError as error:
                raise RinrUsageError(str(error)) from error
        if self.soften and self.labels == "none":
            raise RinrUsageError(
                "`soften` with `labels='none'`: frames are blurred outside of their boxes; without "
                "labels there are none"
            )
        if self.max_pixels is not None:
            check_whole("max_pixels", self.max_pixels, least=1)
        if self.jobs is not None:
            check_whole("jobs", self.jobs, least=1)
        if self.ray_address and self.executor != "ray":
            raise RinrUsageError("`ray_address` needs `executor='ray'`")
        self.recipe()
        self._check_target()

    def recipe(self) -> Preset:
        """Look up the preset, with the steps, the families and the layout that were asked for."""
        try:
            preset = get_preset(
                self.preset,
                steps=self.steps,
                background=self.background,
                objects=self.objects,
                gop=self.gop,
                shrink=self.shrink,
                soften=self.soften,
            )
            if self.layout == "files":
                # A row of several frames would go whole into the file of each.
                preset = preset.alone()
        except RinrInputError as error:
            raise RinrUsageError(str(error)) from error
        return preset

    def _check_target(self) -> None:
        if self.target is None:
            return
        problem = target_problem(
            self.target, self.background, self.objects, soften=bool(self.soften)
        )
        if problem:
            raise RinrUsageError(problem)

    def target_as_json(self) -> dict[str, Any] | None:
        """Give the target as a manifest and `--json` have it."""
        if self.target is None:
            return None
        fields = asdict(self.target)
        for name in _LATER:
            if fields[name] is None:
                del fields[name]
        # 30 and 30.0 are the same target, so they are to give the same manifest.
        return {
            name: float(value)
            if name in ("lmbda", "psnr", "objects_psnr") and value is not None
            else value
            for name, value in fields.items()
        }


def default_background_of(preset: str) -> str:
    """Return the family of the backgrounds of a preset; `RinrUsageError` for an unknown one."""
    try:
        return default_background(preset)
    except RinrInputError as error:
        raise RinrUsageError(str(error)) from error


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise `RinrUsageError` for a value that is none of `choices`."""
    if value not in choices:
        raise RinrUsageError(f"{name} {value!r}: expected one of {', '.join(choices)}")


def check_whole(name: str, value: int, *, least: int, most: int | None = None) -> None:
    """Raise `RinrUsageError` for what is no whole number from `least` to `most`."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        to = "or more" if most is None else f"to {most}"
        raise RinrUsageError(f"{name}={value!r}: expected a whole number, {least} {to}")


def choose_devices(device: str, executor: Executor) -> list[str]:
    """Give the device of each process: `auto`, `cpu`, `cuda:1`, or several as `cuda:0,cuda:1`.

    Raises `RinrUsageError` for devices that do not go together, `RinrDeviceError` for one that is
    absent here. Ray chooses devices on its own, and `cuda` need not be on this machine then.
    """
    from rinrcodec.compute.devices import find_gpu

    if executor == "ray" and device == "cuda":
        return [device]
    devices = [str(find_gpu(name.strip()) or "cpu") for name in device.split(",")]
    kinds = {kind_of(name) for name in devices}
    if len(kinds) > 1 or (len(devices) > 1 and kinds == {"cpu"}):
        raise RinrUsageError(
            f"`device='{device}'`: several devices must be CUDA devices, such as cuda:0,cuda:1"
        )
    if executor == "ray" and ("," in device or ":" in device):
        raise RinrUsageError(f"`device='{device}'`: Ray chooses them itself, so give cpu or cuda")
    return devices


def kind_of(device: str) -> str:
    """Give the kind of a device: `cuda` of `cuda:1`."""
    return device.split(":")[0]
