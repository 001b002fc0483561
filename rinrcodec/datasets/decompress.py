"""`rinrcodec.decompress`: `.rinr` files back to pictures and labels."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, get_args

from rinrcodec.compute.devices import resolve_device
from rinrcodec.datasets.names import output_names
from rinrcodec.datasets.options import check_choice, check_whole
from rinrcodec.datasets.packs import PackFiles, find_packs, yaml_text
from rinrcodec.datasets.progress import OnProgress, ignore
from rinrcodec.datasets.unpack import Format, Job, Unpacking, unpack
from rinrcodec.errors import RinrError, RinrInputError, RinrUsageError, reason
from rinrcodec.formats import PackReader
from rinrcodec.limits import limits_for
from rinrcodec.sources.yaml_keys import other_keys
from rinrcodec.storage import file_or_folder, files_below, storage_of, to_path
from rinrcodec.storage.atomic import write_text, writing

__all__ = ["DecompressResult", "decompress"]


@dataclass(frozen=True, slots=True)
class DecompressResult:
    """The result of `decompress`.

    Attributes:
        source, out: the paths or URLs, as text.
        packs: how many files were opened.
        frames: how many pictures were written.
        failed_frames: how many frames could not be decoded or written.
        seconds: from the call to its end.
        warnings, failures: one message each.
    """

    source: str
    out: str
    packs: int
    frames: int
    failed_frames: int
    seconds: float
    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Give the figures as `--json` writes them."""
        return asdict(self)


def decompress(
    source: str | PathLike[str],
    out: str | PathLike[str],
    *,
    format: Format = "png",  # noqa: A002 (the option's name)
    labels: bool = False,
    device: str = "auto",
    overwrite: bool = False,
    max_pixels: int | None = None,
    on_progress: OnProgress | None = None,
) -> DecompressResult:
    """Turn `.rinr` files back into pictures and labels.

    Pictures keep their names, with a new suffix. With `labels`, or from a data yaml, pictures go
    to OUT/images and YOLO labels to OUT/labels.

    Args:
        source: a `.rinr` file, a folder of them, or the data.yaml that `compress` wrote; a path
            or URL.
        out: the output folder, or its URL.
        format: "png", "webp" (lossless), "jpg" (quality 95) or "npy" (a uint8 array).
        labels: write label files too.
        device: "auto", "cpu", "cuda" or "cuda:N".
        overwrite: replace files that are there.
        max_pixels: the most pixels of a frame, by default those of `rinrcodec.limits.Limits`.
        on_progress: called with a `Progress`, in the calling thread.

    Returns:
        The figures, warnings and failures. Frames that cannot be decoded are failures of the
        result; the others are written.

    Raises:
        RinrUsageError: an unknown format, or files that are in the way.
        RinrInputError: a source without `.rinr` files.
        RinrDeviceError: a device that is absent or out of memory.
        OSError: a disk or store that fails.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> from rinrcodec import compress, decompress
        >>> with TemporaryDirectory() as folder:
        ...     Image.new("RGB", (32, 24)).save(Path(folder, "frame.png"))
        ...     _ = compress(folder, f"{folder}/packs", steps=2, device="cpu")
        ...     result = decompress(f"{folder}/packs", f"{folder}/back", device="cpu")
        ...     print(result.frames, [path.name for path in Path(folder, "back").iterdir()])
        1 ['frame.png']
    """
    began = time.monotonic()
    check_choice("format", format, get_args(Format))
    path, folder = to_path(source), to_path(out)
    if file_or_folder(path) is None:
        raise RinrInputError(f"{path}: there is no such file or folder")
    if file_or_folder(folder) == "file":
        raise RinrUsageError(f"{folder} is a file; give a folder for the output")
    if max_pixels is not None:
        check_whole("max_pixels", max_pixels, least=1)
    packs = find_packs(path)
    work = Unpacking(
        format,
        device,
        on_progress or ignore,
        failures=list(packs.failures),
        limits=limits_for(max_pixels),
    )
    jobs = _make_jobs(packs, folder, work, labels=labels or packs.data is not None)
    if not overwrite:
        _refuse_existing(jobs, packs, folder)
    resolve_device(device)
    work.total = sum(len(job.pictures) for job in jobs)
    written = 0
    with writing(folder):
        work.report(0)
        for job in jobs:
            written += unpack(job, work)
        if packs.data is not None:
            _write_data_yaml(packs, packs.data, folder)
    return DecompressResult(
        source=str(path),
        out=str(folder),
        packs=len(jobs),
        frames=written,
        failed_frames=work.total - written,
        seconds=time.monotonic() - began,
        warnings=tuple(work.warnings),
        failures=tuple(work.failures),
    )


def _make_jobs(packs: PackFiles, out: Path, work: Unpacking, *, labels: bool) -> list[Job]:
    """Decide every file name before anything is written."""
    jobs = []
    for split, paths in packs.splits.items():
        readable: list[tuple[Path, tuple[str, ...]]] = []
        for path in paths:
            try:
                with PackReader(path, limits=work.limits) as reader:
                    readable.append((path, reader.names()))
            except (RinrError, OSError) as error:
                work.failures.append(reason(path, error))
        flat = [name for _, names in readable for name in names]
        images = out / "images" / split if labels else out
        pictures = [images / name for name in output_names(flat, f".{work.format}")]
        texts = [out / "labels" / split / name for name in output_names(flat, ".txt")]
        start = 0
        for path, names in readable:
            stop = start + len(names)
            jobs.append(Job(path, pictures[start:stop], texts[start:stop] if labels else []))
            start = stop
    return jobs


def _refuse_existing(jobs: list[Job], packs: PackFiles, out: Path) -> None:
    files = [file for job in jobs for file in (*job.pictures, *job.labels)]
    if packs.data is not None:
        files.append(out / "data.yaml")
    # One listing rather than a request for every frame.
    there = {str(file) for file, _ in files_below(out)} if storage_of(out).lists_at_once else None
    existing = [f for f in files if (f.exists() if there is None else str(f) in there)]
    if existing:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise RinrUsageError(f"{existing[0]}{more} already there; --overwrite replaces it")


def _write_data_yaml(packs: PackFiles, source_data: dict[str, Any], out: Path) -> None:
    data: dict[str, Any] = {split: f"images/{split}" for split in packs.splits}
    if source_data.get("names"):
        data["names"] = source_data["names"]
    write_text(out / "data.yaml", yaml_text({**data, **other_keys(source_data)}))
