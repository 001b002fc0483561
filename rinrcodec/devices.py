"""Devices: which one, and how much fits on it at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from rinrcodec.errors import RinrDeviceError

__all__ = ["chunks_by_cost", "resolve_device"]

_CPU_CHUNK_BYTES = 1 << 20
_CUDA_CHUNK_SHARE = 0.25


def resolve_device(device: str | torch.device) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU; `RinrDeviceError` for one that is absent."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise RinrDeviceError(f"device {device!r}: want auto, cpu, cuda or cuda:N") from error
    if found.type not in ("cpu", "cuda"):
        raise RinrDeviceError(f"device {device!r} is not supported: use cpu or cuda")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise RinrDeviceError(
            f"device {device!r} is not there: torch {torch.__version__} sees {count} CUDA devices; "
            "use device='auto' or 'cpu'"
        )
    return found


def chunks_by_cost(
    pixels: Sequence[int],
    widest: int,
    device: torch.device,
    *,
    grouped: bool = True,
    layers: int = 1,
) -> Iterator[tuple[int, int]]:
    """Cut INRs of rising pixel counts into ranges [start, end) that are computed together.

    A range is padded to its largest member, so its cost is members x largest. On a CPU one layer's
    activations are to stay in the cache; on a GPU `layers` of them are to fit in free memory.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        budget = int(free * _CUDA_CHUNK_SHARE) // layers
    else:
        budget = _CPU_CHUNK_BYTES
    start = 0
    for end in range(1, len(pixels) + 1):
        full = end < len(pixels) and (end + 1 - start) * pixels[end] * widest * 4 > budget
        if end == len(pixels) or full or not grouped:
            yield start, end
            start = end
