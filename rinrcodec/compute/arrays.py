"""Pixels and signals as NumPy arrays on a CPU, and as tensors on a GPU.

Most operations are spelled the same for both. These are the others, for code that runs on either.
Nothing here imports torch, unless a tensor is there already or a GPU is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "Array",
    "as_array",
    "as_float",
    "as_tensor",
    "contiguous",
    "copied",
    "empty",
    "is_array",
    "moved",
    "on_device",
    "torch_like",
]

# An array or a tensor: type checkers cannot follow operations that both have.
Array: TypeAlias = Any


def is_array(values: Array) -> bool:
    """Return whether these are a NumPy array, not a tensor."""
    return isinstance(values, np.ndarray)


def on_device(values: NDArray[Any], gpu: torch.device | None) -> Array:
    """Return an array as it is for the CPU (None), and as a tensor for a GPU."""
    if gpu is None:
        return values
    import torch

    return torch.from_numpy(values).to(gpu)


def as_tensor(values: Array) -> Tensor:
    """Return values as a tensor, which shares the memory of an array."""
    import torch

    return torch.from_numpy(values) if is_array(values) else values


def as_array(values: Array) -> NDArray[Any]:
    """Return values as an array: the memory of a tensor on a CPU, a copy of one on a GPU."""
    array: NDArray[Any] = values if is_array(values) else values.detach().cpu().numpy()
    return array


def torch_like(tensor: Tensor, values: NDArray[Any]) -> Tensor:
    """Return an array as a tensor on the device of another."""
    import torch

    return torch.from_numpy(values).to(tensor.device)


def as_float(values: Array) -> Array:
    """Return values as float32."""
    return values.astype(np.float32) if is_array(values) else values.float()


def copied(values: Array) -> Array:
    """Return a copy."""
    return values.copy("K") if is_array(values) else values.clone()


def contiguous(values: Array) -> Array:
    """Return values in order in memory; those that already are stay where they are."""
    return np.ascontiguousarray(values) if is_array(values) else values.contiguous()


def moved(values: Array, axes: Sequence[int]) -> Array:
    """Return a view with the axes in another order."""
    return values.transpose(axes) if is_array(values) else values.permute(*axes)


def empty(like: Array, shape: Sequence[int]) -> Array:
    """Return room for values of the same type on the same device."""
    return np.empty(shape, like.dtype) if is_array(like) else like.new_empty(tuple(shape))
