"""The output of `decompress`: a folder, or one file of a kind that it can write.

One picture goes to `x.png`, a video to `clip.mp4`. Any other name that looks like a file is refused
before any work, because nobody wants a folder of the name `x.zip`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from rinrcodec.datasets.names import file_suffix
from rinrcodec.errors import RinrUsageError
from rinrcodec.storage import file_or_folder, storage_of

__all__ = ["CLIP_FORMATS", "Format", "Output", "output_of"]

Format = Literal["png", "jpg", "webp", "npy", "mp4", "gif"]
CLIP_FORMATS = ("mp4", "gif")
_ALIASES = {"jpeg": "jpg"}


@dataclass(frozen=True, slots=True)
class Output:
    """Where `decompress` writes.

    folder: what all files are in. file: the one file to write; None where there may be many.
    format: one of `PICTURE_FORMATS` and `CLIP_FORMATS`.
    """

    folder: Path
    file: Path | None
    format: Format

    @property
    def is_clip(self) -> bool:
        """Whether frames become videos rather than pictures."""
        return self.format in CLIP_FORMATS


def output_of(out: Path, format: Format | None) -> Output:  # noqa: A002 (the option's name)
    """Decide what `decompress` writes, by the name of OUT and the format that was asked for.

    Raises `RinrUsageError` for a name of a file that is not written, or of another format.
    """
    if out.suffix.lower() == ".rinr" and file_or_folder(out) != "folder":
        raise RinrUsageError(f"{out}: decompress makes pictures of packs; give a folder with `out`")
    suffix = file_suffix(out)
    if not suffix:
        if file_or_folder(out) == "file":
            raise RinrUsageError(f"{out} is a file; give a folder for the output")
        return Output(out, None, format or "png")
    known = get_args(Format)
    named: Any = _ALIASES.get(suffix[1:], suffix[1:])
    if named not in known:
        raise RinrUsageError(
            f"{out}: decompress does not write {suffix} files; give a folder with `out`, or a file "
            f"that ends in .{', .'.join(known[:-1])} or .{known[-1]}"
        )
    if format not in (None, named):
        raise RinrUsageError(
            f"{out} ends in {suffix}, and `format` is {format}: leave `format` out, or give "
            "a folder with `out`"
        )
    if named in CLIP_FORMATS and not storage_of(out).has_native_paths:
        raise RinrUsageError(f"{out}: videos are written to local disks; give a local path")
    return Output(out.parent, out, named)
