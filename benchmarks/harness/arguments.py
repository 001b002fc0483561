"""Options that every script has."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch

from harness.reports import current_commit
from rinrcodec.compute.devices import resolve_device
from rinrcodec.errors import RinrDeviceError

__all__ = ["common_parser", "setup"]


def common_parser(description: str | None, *, frames: int) -> argparse.ArgumentParser:
    """Return a parser with the options of every script; `frames` is the default of --frames."""
    parser = argparse.ArgumentParser(
        description=(description or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--frames", type=int, default=frames, help="how many frames")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder of the reports")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads")
    parser.add_argument("--seed", type=int, default=0, help="seed of every fit")
    return parser


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
