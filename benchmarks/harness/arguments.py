"""Options that every script has."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from harness.reports import current_commit
from rinrcodec.compute.devices import resolve_device
from rinrcodec.errors import RinrDeviceError

__all__ = ["common_parser", "parse_part", "setup"]


def common_parser(description: str | None, *, frames: int) -> argparse.ArgumentParser:
    """Return a parser with the options of every script; `frames` is the default of --frames."""
    parser = argparse.ArgumentParser(
        description=(description or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument(
        "--frames", type=_count, default=frames, help="how many; 0: all, in most scripts"
    )
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder of the reports")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads")
    parser.add_argument("--seed", type=int, default=0, help="seed of every fit")
    return parser


def _count(text: str) -> int:
    """Return a whole number of 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of 0 or more, not {text!r}")
    return int(text)


def parse_part(
    parser: argparse.ArgumentParser, parts: Mapping[str, Mapping[str, Any]]
) -> argparse.Namespace:
    """Return the options of a script that makes one of several reports, chosen by --part.

    parts: by part, the options that it has, with their defaults. Options of other parts are None;
    those that are given for a part without them are refused.
    """
    parser.set_defaults(frames=None)
    parser.add_argument("--part", choices=parts, required=True, help="which report")
    options = parser.parse_args()
    defaults = parts[options.part]
    for name in sorted({name for other in parts.values() for name in other}):
        if getattr(options, name) is None:
            setattr(options, name, defaults.get(name))
        elif name not in defaults:
            parser.error(f"--part {options.part} has no --{name.replace('_', '-')}")
    return options


def setup(options: argparse.Namespace) -> None:
    """Apply the options of the whole process; exit with a message if one cannot be met."""
    try:
        resolve_device(options.device)
    except RinrDeviceError as error:
        raise SystemExit(f"error: {error}") from None
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    current_commit()
