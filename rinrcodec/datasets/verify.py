"""`rinrcodec.verify`: read every byte of `.rinr` files and of whole data sets, and check it.

docs/verify.md says what that proves.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from rinrcodec.datasets.inspection.check import check_files
from rinrcodec.datasets.inspection.inventory import take_inventory
from rinrcodec.datasets.inspection.runs import run_as_json
from rinrcodec.datasets.manifest import Manifest
from rinrcodec.datasets.options import check_whole
from rinrcodec.datasets.progress import Messages, OnProgress, Progress, reporting
from rinrcodec.errors import RinrUsageError
from rinrcodec.limits import limits_for
from rinrcodec.printing import count, printable
from rinrcodec.storage import to_path

__all__ = ["VerifiedManifest", "VerifyResult", "verify"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VerifiedManifest:
    """A manifest that was checked.

    Attributes:
        path: of the manifest.
        runs: its runs, as JSON: settings, series, counts of shards, frames, files and bytes.
        files: how many files it lists.
        unreadable: how many pictures its runs could not read.
    """

    path: Path
    runs: tuple[dict[str, Any], ...]
    files: int
    unreadable: int


@dataclass(frozen=True, slots=True, repr=False)
class VerifyResult:
    """Hold the result of `verify`.

    Attributes:
        packs: How many `.rinr` files were checked, damaged ones included.
        frames: How many frames the undamaged ones hold.
        bad: A message for everything that is wrong, by the file or source it is about.
        manifests: The manifests among the sources.
        unchecked: A message for every file that needs a family that is not installed or cannot
            be loaded. It is undamaged, but whether its frames decode is not known.

    Example:
        >>> import numpy as np, rinrcodec
        >>> pack = rinrcodec.encode([np.zeros((24, 32, 3), np.uint8)])
        >>> size = rinrcodec.save(pack, "one.rinr")
        >>> rinrcodec.verify("one.rinr").ok
        True
    """

    packs: int
    frames: int
    bad: Mapping[str, str] = field(default_factory=dict)
    manifests: tuple[VerifiedManifest, ...] = ()
    unchecked: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"<VerifyResult: {'ok' if self.ok else 'not ok'}, {count(self.packs, 'file')}, "
            f"{count(self.frames, 'frame')}, {len(self.bad)} bad, {len(self.unchecked)} unchecked>"
        )

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong, and everything was checked."""
        return not self.bad and not self.unchecked

    def as_json(self) -> dict[str, Any]:
        """Give the figures as `--json` writes them."""
        return {
            "files": self.packs,
            "frames": self.frames,
            "bad": dict(self.bad),
            "unchecked": dict(self.unchecked),
            "runs": [run for manifest in self.manifests for run in manifest.runs],
        }


def verify(
    *sources: str | PathLike[str],
    jobs: int | None = None,
    decode: bool = False,
    max_pixels: int | None = None,
    on_progress: OnProgress | Literal["auto"] | None = "auto",
) -> VerifyResult:
    """Check `.rinr` files and whole data sets for damage, and that their frames decode.

    Reads every byte, and decodes coded rows without computing pixels (docs/verify.md). Where
    `compress` left a manifest.json, in a folder or below it, all files that it lists must be
    present and unmodified. All its runs must be complete.

    Args:
        *sources: `.rinr` files, folders of them, or data yamls that `compress` wrote; paths or
            URLs.
        jobs: files that are read at a time, by default one for each core.
        decode: compute the pixels of all frames, too, which takes as long as reading them.
        max_pixels: the most pixels of a frame, by default those of `rinrcodec.limits.Limits`.
        on_progress: called with a `Progress` that counts files, in the calling thread. With
            `decode`, fractions of files count. "auto" draws a bar in a notebook and on a terminal,
            and logs elsewhere; None is silent.

    Returns:
        The counts, and a message for everything that is wrong; a bad file is no exception.

    Raises:
        RinrUsageError: no source, or `jobs` or `max_pixels` below 1.
        MissingExtraError: a URL without the extra `remote`.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> from rinrcodec import compress, verify
        >>> with TemporaryDirectory() as folder:
        ...     Image.new("RGB", (32, 24)).save(Path(folder, "frame.png"))
        ...     _ = compress(folder, f"{folder}/packs", steps=2, device="cpu")
        ...     result = verify(f"{folder}/packs")
        >>> result.ok, result.packs, result.frames
        (True, 1, 1)
    """
    if not sources:
        raise RinrUsageError("nothing to verify: give a .rinr file, a folder or a data.yaml")
    if jobs is not None:
        check_whole("jobs", jobs, least=1)
    if max_pixels is not None:
        check_whole("max_pixels", max_pixels, least=1)
    with reporting(on_progress, "reading packs", unit="files") as report:
        result = _verify([to_path(source) for source in sources], jobs, decode, max_pixels, report)
    Messages().log(result.bad.values(), result.unchecked.values())
    return result


def _verify(
    sources: list[Path], jobs: int | None, decode: bool, max_pixels: int | None, report: OnProgress
) -> VerifyResult:
    inventory = take_inventory(sources)
    files, bad = list(inventory.files.values()), inventory.bad
    frames, unchecked = 0, {}
    _log.info("verify %d files", len(files))
    report(Progress("verifying", 0, len(files)))
    limits, jobs = limits_for(max_pixels), jobs or os.cpu_count() or 1
    shown, failed = 0.0, 0

    def show(done: float) -> None:
        nonlocal shown
        shown = max(shown, done)
        report(Progress("verifying", shown, len(files), failed=failed))

    on_share = show if decode else None
    with closing(
        check_files(files, jobs=jobs, decode=decode, limits=limits, on_share=on_share)
    ) as checked:
        for number, one in enumerate(checked, start=1):
            _log.debug("%s: %s", printable(one.path), "bad" if one.error else "read")
            if one.error is None:
                frames += one.n_frames
            else:
                failed += 1
                bad[str(one.path)] = one.error
            if one.unchecked is not None:
                unchecked[str(one.path)] = one.unchecked
            show(number)
    return VerifyResult(
        packs=sum(file.is_pack for file in files),
        frames=frames,
        bad=bad,
        manifests=tuple(map(_verified, inventory.manifests.values())),
        unchecked=unchecked,
    )


def _verified(manifest: Manifest) -> VerifiedManifest:
    runs = manifest.runs.values()
    return VerifiedManifest(
        path=manifest.path,
        runs=tuple(run_as_json(manifest, run) for run in runs),
        files=sum(len(run.all_files()) for run in runs),
        unreadable=sum(shard.unreadable for run in runs for shard in run.shards),
    )
