"""Devices: which one, and how much fits on it at a time.

A CPU computes with NumPy, or with torch where networks are. Where a device may be `None`, that is
the CPU, without torch. So nothing here imports torch before it is needed.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rinrcodec.errors import MissingExtraError, RinrDeviceError
from rinrcodec.memory import memory_errors

if TYPE_CHECKING:
    import torch

__all__ = [
    "chunks_by_cost",
    "device_memory_errors",
    "find_gpu",
    "require_torch",
    "resolve_device",
    "torch_device",
]

_CPU_CHUNK_BYTES = 1 << 20
_CUDA_CHUNK_SHARE = 0.25


def require_torch(why: str = "") -> None:
    """Import torch.

    Args:
        why: As of `MissingExtraError`.

    Raises:
        MissingExtraError: torch is not installed.
    """
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch", "torch", why) from error


def find_gpu(device: str | torch.device) -> torch.device | None:
    """Return the GPU of that name, or None for the CPU, for which torch is not imported.

    `auto` does not import torch either where no driver of GPUs is installed.

    Args:
        device: As of `resolve_device`.

    Raises:
        RinrDeviceError: As `resolve_device`.
        MissingExtraError: A GPU is asked for by name, and torch is not installed.
    """
    if device == "cpu":
        return None
    if device == "auto":
        if not _may_have_gpu():
            return None
        try:
            require_torch()
        except MissingExtraError:
            return None
    resolved = resolve_device(device)
    return None if resolved.type == "cpu" else resolved


def _may_have_gpu() -> bool:
    """Return whether a GPU driver is installed; importing torch to find out takes seconds."""
    if "torch" in sys.modules:
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return Path("/dev/kfd").exists()  # of ROCm, which torch calls CUDA, too
    return True


def torch_device(gpu: torch.device | None) -> torch.device:
    """Return the device of torch for a GPU, or for None, the CPU."""
    require_torch()
    import torch

    return torch.device("cpu") if gpu is None else gpu


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device of that name; `auto` is CUDA where there is one, else the CPU.

    Raises `RinrDeviceError` if the device is not available.
    """
    require_torch()
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise RinrDeviceError(f"device {device!r}: expected auto, cpu, cuda or cuda:N") from error
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
        except RuntimeError as error:
            torch = sys.modules.get("torch")
            if torch is None or not isinstance(error, torch.OutOfMemoryError):
                raise
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
        import torch

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
