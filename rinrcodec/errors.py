"""Every error that rinrcodec raises on purpose.

    RinrError
    ├── RinrInputError(ValueError)      pictures, labels or options that cannot be used
    │   ├── RinrSourceError             pictures or labels whose disk or store fails
    │   └── RinrUsageError              options that contradict each other, output in the way
    ├── RinrFormatError(ValueError)     a .rinr file that is damaged, hostile or not one
    ├── RinrLimitError(ValueError)      more frames, pixels or bytes than `Limits` allow
    ├── RinrMemoryError(MemoryError)    this machine has too little memory for what was asked
    ├── RinrDeviceError(RuntimeError)   a device that is not there or ran out of memory
    └── MissingExtraError(ImportError)  an optional package; the message has the pip command

A message names the file, what was found, what was expected and what to do about it. Options are
keywords of Python in backticks, such as `overwrite=True`; commands print `--overwrite` for that.
"""

from __future__ import annotations

import re
from pathlib import Path

from rinrcodec.printing import printable

__all__ = [
    "MissingExtraError",
    "RinrDeviceError",
    "RinrError",
    "RinrFormatError",
    "RinrInputError",
    "RinrLimitError",
    "RinrMemoryError",
    "RinrSourceError",
    "RinrUsageError",
    "frame_reason",
    "plain",
    "reason",
]

# The hints of `Limits.check`, for functions that take `limits`; others take `max_pixels`.
_PIXELS_HINT = re.compile(r"; pass limits=Limits\(max_pixels=\.\.\.\)[^;]*")
_MEMORY_HINT = re.compile(r"; pass limits=Limits\(max_memory=\.\.\.\)[^;]*")
_LIMITS_HINT = re.compile(r"; pass limits=Limits\(\w+=\.\.\.\)[^;]*")


class RinrError(Exception):
    """Root of all errors of this package; `exit_code` is what the command line ends with.

    details: further lines of the message.
    """

    exit_code = 1
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        # Messages hold names from files, and tracebacks and logs print them.
        return "\n  ".join(map(printable, (super().__str__(), *self.details)))


class RinrInputError(RinrError, ValueError):
    """A picture, label or option that cannot be used as given."""


class RinrSourceError(RinrInputError):
    """A picture or label that cannot be read at the moment, as its disk or store fails."""


class RinrUsageError(RinrInputError):
    """Options that contradict each other or do not exist, or output that is in the way."""

    exit_code = 2


class RinrFormatError(RinrError, ValueError):
    """A file that is damaged, hostile or no `.rinr` file, or needs a family that is not installed.

    Such a family is missed when frames are decoded; opening the file works.
    """


class RinrLimitError(RinrError, ValueError):
    """A file or request that is larger than the `Limits` in force."""


class RinrMemoryError(RinrError, MemoryError):
    """This machine, or this process, has too little memory for what was asked of it."""


class RinrDeviceError(RinrError, RuntimeError):
    """A device that is not available or has too little memory."""


class MissingExtraError(RinrError, ImportError):
    """A package of an optional extra is not installed.

    Args:
        package: The package.
        extra: The extra of rinrcodec that installs it.
        why: What needs it, such as "fitting networks"; the message ends in the pip command.
    """

    exit_code = 3

    def __init__(self, package: str, extra: str, why: str = "") -> None:
        self.package = package
        self.extra = extra
        self._why = why
        missing = f"{package} is not installed; run: {_pip_command(package, extra)}"
        super().__init__(f"{why}: {missing}" if why else missing)

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        return type(self), (self.package, self.extra, self._why)


def _pip_command(package: str, extra: str) -> str:
    """Return the command that installs an extra, with the names of its packages.

    `rinrcodec[extra]` is on no index.
    """
    from importlib.metadata import PackageNotFoundError, requires

    try:
        needed = requires("rinrcodec") or []
    except PackageNotFoundError:  # run from the sources
        needed = []
    of_extra = re.compile(rf"""\bextra\s*==\s*["']{re.escape(extra)}["']""")
    lines = (line.partition(";") for line in needed)
    packages = [name.strip() for name, _, marker in lines if of_extra.search(marker)]
    if not any(re.match(rf"{re.escape(package)}(?![\w.-])", name, re.I) for name in packages):
        packages = [package]
    # Quotes that all shells take, of which some redirect to a file at a bare ">".
    return "pip install " + " ".join(f'"{name}"' if ">" in name else name for name in packages)


def plain(message: str) -> str:
    """Return a message with advice for functions that take `max_pixels` instead of `limits`."""
    message = _PIXELS_HINT.sub("; allow more with `max_pixels`, or cut it into tiles", message)
    message = _MEMORY_HINT.sub("; `max_pixels=N` allows 128 N bytes", message)
    return _LIMITS_HINT.sub("", message)


def reason(path: Path, error: Exception) -> str:
    """Explain why a file cannot be read, beginning with its name."""
    if isinstance(error, OSError):
        return f"{path}: {error.strerror or error}"
    return plain(str(error))


def frame_reason(path: Path, name: str, error: Exception) -> str:
    """Explain why a frame cannot be decoded, for a message that names pack and frame itself."""
    return reason(path, error).removeprefix(f"{path}: ").removeprefix(f"{name}: ")
