"""Devices: which one, and how much fits on it at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from rinrcodec.errors import RinrDeviceError
from rinrcodec.memory import memory_errors

__all__ = ["chunks_by_cost", "device_memory_errors", "resolve_device"]

_CPU_CHUNK_BYTES = 1 << 20
_CUDA_CHUNK_SHARE = 0.25


def resolve_device(device: str | torch.device) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU; `RinrDeviceError` for one that is absent."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise RinrDeviceError(f"device {device!r}: want auto, cpu, cuda or cuda:N") from error
    if resolved.type not in ("cpu", "cuda"):
        raise RinrDeviceError(f"device {device!r} is not supported: use cpu or cuda")
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise RinrDeviceError(
            f"device {device!r} is not there: torch {torch.__version__} sees {count} CUDA devices; "
            "use device='auto' or 'cpu'"
        )
    return resolved


@contextmanager
def device_memory_errors(tried: str) -> Iterator[None]:
    """Turn a lack of memory into `RinrDeviceError` on a GPU, and `RinrMemoryError` elsewhere.

    Args:
        tried: What is done inside, such as "decoding frame 3".
    """
    with memory_errors(tried):
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise RinrDeviceError(
                f"the device ran out of memory; take fewer frames at a time or device='cpu' "
                f"({error})"
            ) from error


def chunks_by_cost(
    pixels: Sequence[int],
    widest: int,
    kept: int,
    device: torch.device,
    *,
    grouped: bool = True,
) -> Iterator[tuple[int, int]]:
    """Cut INRs of rising pixel counts into ranges [start, end) that are computed together.

    A range is padded to its largest member, so its cost is members x largest. On a CPU the `widest`
    values per pixel of one layer are to stay in the cache; on a GPU the `kept` values per pixel of
    all layers are to fit in a quarter of what memory is free.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        budget, values = int(free * _CUDA_CHUNK_SHARE), kept
    else:
        budget, values = _CPU_CHUNK_BYTES, widest
    start = 0
    for end in range(1, len(pixels) + 1):
        full = end < len(pixels) and (end + 1 - start) * pixels[end] * values * 4 > budget
        if end == len(pixels) or full or not grouped:
            yield start, end
            start = end
