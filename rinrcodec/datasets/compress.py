"""`rinrcodec.compress`: a whole data set to `.rinr` files, as `rinrcodec compress` does it."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
from collections.abc import Sequence
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from rinrcodec.datasets.batches import BATCH_FRAMES
from rinrcodec.datasets.fitter import Fitter
from rinrcodec.datasets.interruption import resumable
from rinrcodec.datasets.manifest import Manifest
from rinrcodec.datasets.options import (
    CompressOptions,
    Executor,
    Layout,
    choose_devices,
    default_background_of,
    kind_of,
)
from rinrcodec.datasets.packs import yaml_text
from rinrcodec.datasets.plan import Plan, check_name, check_output, make_plan
from rinrcodec.datasets.progress import Hint, Messages, OnMessage, OnProgress, reporting
from rinrcodec.datasets.resuming.earlier import earlier_run, other_names, other_series
from rinrcodec.datasets.resuming.published import Published
from rinrcodec.datasets.run import Run
from rinrcodec.datasets.shards import make_entry, shards_of
from rinrcodec.datasets.summary import CompressResult, SeriesSummary, joined_misses, total
from rinrcodec.datasets.work_folder import FittedPart, Work, check_work
from rinrcodec.errors import RinrInputError, RinrUsageError
from rinrcodec.families import background_family
from rinrcodec.labels.model import Task
from rinrcodec.limits import limits_for
from rinrcodec.memory import memory_errors
from rinrcodec.printing import count, printable
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.pictures.opening import adding_formats, check_formats
from rinrcodec.sources.source import Source
from rinrcodec.sources.survey import Survey, label_info, survey
from rinrcodec.storage import file_or_folder, to_path
from rinrcodec.storage.atomic import writing
from rinrcodec.storage.lock import locked
from rinrcodec.storage.own_paths import obstacle
from rinrcodec.targets import Target

__all__ = ["compress", "compress_with", "prepare", "warn"]

_log = logging.getLogger(__name__)
_SHOWN_LOST = 20
_SHOWN = 200  # letters of a setting that a person reads


def compress(
    source: str | PathLike[str],
    out: str | PathLike[str],
    *,
    labels: str | PathLike[str] = "auto",
    depth_range: tuple[float, float] | None = None,
    max_pixels: int | None = None,
    formats: Sequence[str] = (),
    task: Task | None = None,
    strict: bool = False,
    preset: str = "balanced",
    background: str | None = None,
    objects: str | None = None,
    steps: int | None = None,
    gop: int | None = None,
    shrink: int | None = None,
    soften: float | None = None,
    target: Target | None = None,
    layout: Layout = "pack",
    shard_size: int = 1000,
    device: str = "auto",
    seed: int = 0,
    jobs: int | None = None,
    executor: Executor = "local",
    ray_address: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_progress: OnProgress | Literal["auto"] | None = "auto",
    on_message: OnMessage | None = None,
) -> CompressResult:
    """Turn an image, a folder, a YOLO data yaml, a COCO file or a video into `.rinr` files.

    Writes the same bytes as `rinrcodec compress` with the same options, on any number of processes
    and after `resume`. With `jobs` above 1, guard the call with `if __name__ == "__main__":`.

    Args:
        source: a path or URL; a video must be a local file.
        out: the output folder or its URL; for all but a data yaml also one `.rinr` file.
        labels: "auto" looks for YOLO labels where YOLO does, "none" skips labels. Else a folder of
            YOLO or Pascal VOC labels that mirrors the pictures, or a COCO file (docs/labels.md).
        task: what YOLO labels are for: "detect", "segment", "pose" or "obb"; None finds out from
            their columns.
        strict: raise an error, before anything is fitted, where a label cannot be understood. Else
            its frame is stored as one that is not `labelled`.
        depth_range: of greys of 16 or 32 bits, the values that become black and white, 0 and 255;
            others are clipped. None takes all of 16 bits. Packs hold it in their `info`.
        max_pixels: the most pixels of a picture, by default those of `rinrcodec.limits.Limits`.
        formats: more kinds of pictures to read, by their names in Pillow, such as `["TGA"]`. They
            may be those of a plugin that is registered in this process.
        preset: a name of `rinrcodec.PRESETS`.
        background: the family of the backgrounds (`rinrcodec.families`); None takes that of
            `rinrcodec.presets.default_background`.
        objects: the family of the objects on top; None takes the default.
        steps: fitting steps in place of the preset's.
        gop: frames of a sequence that share a row at most, for a background that joins a few.
        shrink: divide width and height of backgrounds by 2 or 4, as of `encode`.
        soften: blur frames outside of their boxes before they are encoded, as of `encode`.
        target: the quality or size to fit backgrounds for, where their family can.
        layout: "pack" for packs of many frames, "files" for one file per frame.
        shard_size: most frames in one pack.
        device: "auto", "cpu", "cuda", or several such as "cuda:0,cuda:1".
        seed: of the fit, 0 to 2**31 - 1.
        jobs: packs that are fitted at a time; by default one per device, with Ray all it can run.
        executor: "local", or "ray" (the extra `cluster`).
        ray_address: the Ray to use, by default RAY_ADDRESS or one on this machine.
        resume: continue an interrupted run, or update a finished one. Only packs that are missing,
            or whose pictures or labels changed, are fitted again.
        overwrite: replace the output of earlier runs.
        on_progress: called with a `Progress`, in the calling thread. "auto" draws a bar or logs;
            None is silent.
        on_message: called with notes for people; they are also logged (docs/notebooks.md).

    Returns:
        The figures, warnings and failures. Pictures that cannot be read are failures of the
        result; the others are compressed.

    Raises:
        RinrUsageError: options that contradict each other, or output that is in the way.
        RinrInputError: a source that cannot be read, an output that another run writes to, or with
            `strict` a label that cannot be understood.
        RinrDeviceError: a device that is absent or out of memory.
        CompressInterrupted: Ctrl-C; the message says how to resume.
        OSError: a disk or store that fails; `on_message` gets a hint how to resume.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> from rinrcodec import compress
        >>> with TemporaryDirectory() as folder:
        ...     Image.new("RGB", (32, 24)).save(Path(folder, "frame.png"))
        ...     result = compress(folder, f"{folder}/packs", steps=2, device="cpu")
        >>> result.total.frames, result.failures
        (1, ())
    """
    options = CompressOptions(
        preset=preset,
        background=background or default_background_of(preset),
        objects=objects,
        steps=steps,
        gop=gop,
        shrink=shrink,
        soften=soften,
        target=target,
        layout=layout,
        shard_size=shard_size,
        device=device,
        seed=seed,
        jobs=jobs,
        executor=executor,
        ray_address=ray_address,
        resume=resume,
        overwrite=overwrite,
        depth_range=depth_range,
        max_pixels=max_pixels,
        formats=check_formats(formats),
        labels=labels,
        task=task,
        strict=strict,
    )
    return compress_with(
        to_path(source), to_path(out), options, on_progress=on_progress, on_message=on_message
    )


def compress_with(
    path: Path,
    folder: Path,
    options: CompressOptions,
    *,
    on_progress: OnProgress | Literal["auto"] | None = "auto",
    on_message: OnMessage | None = None,
) -> CompressResult:
    """Do what `compress` does, with options that are checked already."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # As Python's own check does it: this process is still importing the script that began it.
        raise RinrUsageError(
            "this script calls compress again in each of its processes; put the call under "
            'if __name__ == "__main__":'
        )
    say = Messages(on_message)
    with reporting(on_progress, "reading pictures and labels") as report:
        plan, seen, devices = prepare(path, folder, options)

        with memory_errors(f"{path}: compressing it"):
            result = _compress(plan, folder, options, devices, report, say, seen)
    say.log(result.warnings, result.lost_labels, result.failures)
    return result


def prepare(path: Path, folder: Path, options: CompressOptions) -> tuple[Plan, Survey, list[str]]:
    """Look at the source and the output, as of `compress`, and write nothing.

    Returns the plan, what the labels are, and the devices to fit on.
    """
    if path.suffix.lower() == ".rinr" and file_or_folder(path) == "file":
        raise RinrUsageError(
            f"{path} is compressed already; rinrcodec decompress makes pictures of it"
        )
    check_name(folder)
    with memory_errors(f"{path}: reading its labels"), adding_formats(options.formats):
        opened = open_source(path, labels=options.labels, formats=options.formats)
        limits = limits_for(options.max_pixels)
        seen = survey(opened, task=options.task, sizes=options.strict, limits=limits)
    if options.strict:
        _refuse_lost(seen)
    warnings = (*seen.source.warnings, *seen.warnings, *seen.refused, *seen.sharp(options.soften))
    opened = replace(seen.source, warnings=warnings)
    plan = make_plan(opened, folder, layout=options.layout, shard_size=options.shard_size)
    # Before anything is written.
    options.recipe().require_packages()
    return plan, seen, choose_devices(options.device, options.executor)


def _refuse_lost(seen: Survey) -> None:
    """Raise `RinrInputError` for labels that cannot be understood."""
    if not seen.unread:
        return
    if not seen.lost:
        raise RinrInputError(
            f"{seen.unlisted}. Add records or files, also empty ones, or run without `strict`."
        )
    lines = list(seen.unread[:_SHOWN_LOST])
    if len(seen.unread) > len(lines):
        lines.append(f"and {len(seen.unread) - len(lines):,} more")
    lost = count(len(seen.lost), "label")
    error = RinrInputError(f"{lost} cannot be understood. Correct them, or run without `strict`.")
    error.details = tuple(lines)
    raise error


def warn(seen: Survey, source: Source, on_message: OnMessage) -> None:
    """Say what is wrong with the source before anything is fitted."""
    if seen.lost:
        lost = count(len(seen.lost), "label")
        on_message(Hint(f"warning: {seen.lost[0]}"))
        on_message(
            Hint(
                f"warning: {lost} cannot be understood; such frames are stored, and training "
                "leaves them out"
            )
        )
    if seen.unlisted:
        on_message(
            Hint(
                f"warning: {seen.unlisted}; they are stored as unlabelled, and training leaves "
                "them out"
            )
        )
    for text in source.lost_labels:
        on_message(Hint(f"warning: {text}"))
    for text in source.warnings:
        message = f"warning: {text}"
        on_message(Hint(message) if text in seen.refused else message)


def _compress(
    plan: Plan,
    out: Path,
    options: CompressOptions,
    devices: list[str],
    on_progress: OnProgress,
    on_message: OnMessage,
    seen: Survey,
) -> CompressResult:
    source = plan.source
    recipe = options.recipe()
    shards = shards_of(source, plan.shard_size)
    _log.info(
        "compress %s: %d pictures in %d packs, background %s, preset %s, on %s",
        printable(source.path),
        sum(map(len, source.series)),
        len(shards),
        options.background,
        options.preset,
        ", ".join(devices),
    )
    entry = make_entry(_settings(plan, options, devices), recipe, shards)
    many = max(options.jobs or 1, len(devices))
    if plan.shard_size and many > len(shards):
        few = "one pack" if len(shards) == 1 else f"{len(shards)} packs"
        on_message(f"{few} for {many} processes: a smaller `shard_size` makes more")

    def say_anyway(text: str) -> None:
        on_message(Hint(text))

    with writing(out), locked(plan.work, out, on_message=say_anyway) as check_lock:
        check_work(plan.work)
        damage: list[str] = []
        manifest = _manifest(plan, options, damage)
        before = earlier_run(manifest.runs, entry) if manifest and options.resume else None
        if before is not None:
            entry.key = before.key
        limits = limits_for(options.max_pixels)
        named = plan.single if manifest else plan.pack_path(source.series[0], 0)
        published = Published(
            plan.folder, manifest, named=named, is_blind=bool(damage), limits=limits
        )
        check_output(
            plan,
            entry,
            manifest,
            before,
            published,
            resume=options.resume,
            overwrite=options.overwrite,
        )
        if manifest and before is None and (others := other_series(manifest, entry)):
            on_message(f"{out} already holds a run of {others}; this one is added")
        warn(seen, source, on_message)
        for text in damage:
            say_anyway(f"warning: {text}; all packs are fitted again")
        clashes = other_names(plan.folder, manifest.runs.values() if manifest else (), entry)
        for text in clashes:
            say_anyway(f"warning: {text}")
        source = replace(source, warnings=(*source.warnings, *clashes))
        work = Work(plan.work, entry.key, limits=limits)
        work.begin(fresh=options.overwrite)
        fitter = Fitter(
            work,
            recipe,
            options.target,
            options.seed,
            devices[0],
            {**label_info(source), **_picture_info(options)},
            single=plan.layout == "files",
            depth_range=options.depth_range,
            limits=limits,
        )
        run = Run(
            plan,
            shards,
            entry,
            manifest,
            before,
            fitter,
            check_lock,
            published,
            overwrite=options.overwrite,
        )
        with resumable(
            work, run, out, kept=_kept(options, plan), keep=options.overwrite, on_message=on_message
        ):
            run.fit(
                options.executor,
                jobs=options.jobs,
                devices=devices,
                address=options.ray_address,
                on_progress=on_progress,
                on_message=on_message,
            )
            series = run.publish()
    return _result(source, out, options, devices, series, len(shards), run)


def _manifest(plan: Plan, options: CompressOptions, damage: list[str]) -> Manifest | None:
    """Read the manifest of the output.

    A damaged one counts as empty, if it may be replaced.

    damage: gets a message then.
    """
    if plan.manifest is None:
        return None
    problem = obstacle(plan.manifest, plan.folder)
    if problem is not None:  # before it is read
        raise RinrUsageError(problem)
    may_replace = options.resume or options.overwrite
    return Manifest(plan.manifest, on_damage=damage.append if may_replace else None)


def _kept(options: CompressOptions, plan: Plan) -> str:
    """Describe when finished work is kept."""
    family = background_family(options.background)
    most = (options.gop or family.gop) if family.joins_frames else BATCH_FRAMES
    if most is None:
        return "after every sequence"
    most = min(most, plan.shard_size or most)
    return f"every {most} frames" if most > 1 else "after every frame"


def _settings(plan: Plan, options: CompressOptions, devices: list[str]) -> dict[str, Any]:
    """Return what decides the bytes of a run, apart from its pictures, for the manifest."""
    keys = plan.source.yaml_keys
    return {
        "preset": options.preset,
        "background": options.background,
        "objects": options.objects,
        "steps": options.steps,
        "gop": options.gop,
        # Manifests of earlier versions lack these.
        **({"shrink": int(options.shrink or 1)} if (options.shrink or 1) > 1 else {}),
        **({"soften": float(options.soften)} if options.soften else {}),
        "target": options.target_as_json(),
        "seed": options.seed,
        "device": kind_of(devices[0]),
        "layout": plan.layout,
        "shard_size": plan.shard_size,
        "names": {str(key): name for key, name in plan.source.names.items()},
        **_reading(plan.source),
        # As text: YAML has values that JSON has not, such as dates.
        **({"yaml_keys": yaml_text(keys)} if keys else {}),
        **_picture_settings(options),
    }


def _picture_settings(options: CompressOptions) -> dict[str, Any]:
    """Return the options for reading pictures that differ from the defaults."""
    given: dict[str, Any] = {}
    if options.depth_range is not None:
        given["depth_range"] = [float(value) for value in options.depth_range]
    if options.max_pixels is not None:
        given["max_pixels"] = options.max_pixels
    if options.formats:
        given["formats"] = sorted(options.formats)
    return given


def _picture_info(options: CompressOptions) -> dict[str, str]:
    """Return the entries of `Pack.info` about the pixels: the values that became 0 and 255."""
    if options.depth_range is None:
        return {}
    return {"depth_range": json.dumps([float(value) for value in options.depth_range])}


def _reading(source: Source) -> dict[str, Any]:
    """Describe as JSON how labels are read, which decides what packs keep of them."""
    readers = {
        json.dumps({"format": one.reader.format, **_short(asdict(one.reader))}, sort_keys=True)
        for one in source.series
    }
    info = {key: text for key, text in source.info.items() if key != "frame_rate"}
    return {
        "labels": [json.loads(text) for text in sorted(readers)],
        **({"label_info": _short(info)} if info else {}),
    }


def _short(value: dict[str, Any]) -> dict[str, Any]:
    """Return a value, or the hash of one that is too long for messages."""
    text = json.dumps(value, sort_keys=True)
    if len(text) <= _SHOWN:
        return value
    return {"sha256": hashlib.sha256(text.encode()).hexdigest()[:16]}


def _result(
    source: Source,
    out: Path,
    options: CompressOptions,
    devices: list[str],
    series: list[tuple[SeriesSummary, list[FittedPart]]],
    shards: int,
    run: Run,
) -> CompressResult:
    parts = [part for _, its_parts in series for part in its_parts]
    failures, warnings, lost = run.messages
    failures += [text for part in parts for text in part.failures]
    warnings += [text for part in parts for text in part.warnings]
    lost += [text for part in parts for text in part.lost]
    missed = run.missed + [miss for part in parts for miss in part.missed]
    if run.did_nothing:
        series = []
    return CompressResult(
        source=str(source.path),
        out=str(out),
        options=options,
        devices=tuple(devices),
        series=tuple(one for one, _ in series),
        total=total(series),
        shards=shards,
        kept_shards=len(run.kept),
        changed_shards=len(run.changed),
        removed_files=run.removed,
        failed_shards=len(run.failures),
        failed_pictures=len(failures),
        warnings=(*source.warnings, *warnings),
        lost_labels=(*source.lost_labels, *lost),
        failures=(*source.failures, *failures, *run.failures),
        missed=joined_misses(missed),
        nothing_to_do=run.did_nothing,
    )
