"""The output of `compress` for runs that have no table: a stream, and a dry run."""

from __future__ import annotations

from pathlib import Path

from rinrcodec.cli.options import option_of
from rinrcodec.cli.output import print_errors, print_warnings, say, write_report
from rinrcodec.cli.progress import drawing
from rinrcodec.cli.signals import interrupted_code
from rinrcodec.cli.views.fog_table import duration, size_text
from rinrcodec.datasets.compress import prepare, warn
from rinrcodec.datasets.options import CompressOptions
from rinrcodec.datasets.progress import Hint, Progress
from rinrcodec.datasets.streaming.compress_stream import check_stream_options, compress_stream
from rinrcodec.evaluation.estimate import Estimate, estimate
from rinrcodec.printing import count
from rinrcodec.sources.live.stream import shown_name

__all__ = ["estimate_run", "stream_run"]


def estimate_run(
    source: Path,
    out: Path,
    options: CompressOptions,
    *,
    json_path: str | None,
    quiet: bool,
) -> int:
    """Print what would be done; return the exit code."""

    def tell(message: str) -> None:
        if not quiet or isinstance(message, Hint):
            say(message, err=True)

    with drawing("reading pictures and labels", quiet=quiet) as draw:
        plan, seen, devices = prepare(source, out, options)
        draw(Progress("encoding a sample", 0, 0))
        found = estimate(plan, out, options, devices, on_message=tell)
    if json_path is not None:
        write_report(json_path, "compress", found.as_json())
    warn(seen, plan.source, tell)
    failures = plan.source.failures
    print_errors(failures)
    if json_path != "-" and not quiet:
        say(
            f"would compress {count(found.frames, 'picture')} "
            f"({count(found.sequences, 'sequence')}, {size_text(found.source_bytes)}) to "
            f"{count(found.shards, 'pack')} in {out}",
            f"estimate: {size_text(found.bytes)}, "
            f"{size_text(found.sample_bytes / found.sample_frames)} a picture; "
            f"{duration(found.seconds)} with {count(found.processes, 'job')}",
            f"{_basis(found)} Nothing was written.",
        )
        if found.existing and not (options.resume or options.overwrite):
            files = count(found.existing, "file")
            say(f"{out} holds {files} already: add --resume or --overwrite, or give another -o")
    return 1 if failures else 0


def _basis(found: Estimate) -> str:
    """Describe the basis of the estimate, and its possible error."""
    pictures, seconds = count(found.sample_frames, "picture"), duration(found.sample_seconds)
    if found.sample_frames == found.frames:
        return f"Encoded all pictures ({found.frames:,}) in {seconds}."
    sizes = [size_text(place) for place in found.sample_places]
    if len(sizes) > 1:
        text = f"Estimated from {pictures} at two places, with {' and '.join(sizes)} each"
    else:
        text = f"Estimated from {pictures} at one place. Others may differ a lot"
    if found.is_short:
        text += ". Longer sequences take fewer bytes a picture"
    return f"{text}. The sample took {seconds}."


def stream_run(
    source: str,
    out: Path,
    options: CompressOptions,
    *,
    json_path: str | None,
    quiet: bool,
) -> int:
    """Compress a stream, print its figures, and return the exit code."""
    check_stream_options(options)

    def tell(message: str) -> None:
        if not quiet:
            say(message, err=True)

    with drawing(f"compressing {shown_name(source)}", quiet=quiet):
        result = compress_stream(source, out, options, on_message=tell)
    if json_path is not None:
        write_report(json_path, "compress", result.as_json())
    if not quiet and json_path != "-":
        say(
            f"frames: {result.frames}, packs: {len(result.packs)}, bytes: {result.bytes:,}, "
            f"seconds: {result.seconds:.1f}, in {out}"
        )
    errors = [miss.text(option_of(miss.field)) for miss in result.missed]
    if result.error:
        errors.append(result.error)
    if result.damaged:
        lost = f"{count(result.damaged, 'packet')} could not be decoded; their frames are missing"
        if source == "-":
            errors.append(f"{result.source}: {lost}")
        else:  # a camera is joined between two key frames
            print_warnings([f"{result.source}: {lost}"])
    print_errors(errors)
    if result.interrupted:
        dropped = f"; {count(result.dropped, 'frame')} after them dropped" if result.dropped else ""
        packs = f"{count(len(result.packs), 'pack')} with {count(result.frames, 'frame')} complete"
        say(f"interrupted; {packs}{dropped}", err=True)
        return interrupted_code()
    if not result.frames and not errors:
        print_errors([f"{result.source}: received no frame"])
        return 1
    return 1 if errors else 0
