"""SOAP: Adam in the eigenbasis of Shampoo's statistics (Vyas et al., arXiv 2409.11321)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Soap"]


@dataclass(slots=True)
class _State:
    momentum: Tensor
    variance: Tensor
    statistics: tuple[Tensor, Tensor] | None
    bases: tuple[Tensor, Tensor] | None


class Soap:
    """Steps for small tensors: matrices, kernels taken as matrices, and, as plain Adam, vectors.

    parameters: float32 leaves whose `grad` is read; every `every` steps the bases are renewed, by a
    power iteration and a QR decomposition.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        *,
        betas: tuple[float, float] = (0.95, 0.95),
        every: int = 2,
        epsilon: float = 1e-10,
    ) -> None:
        self._parameters = list(parameters)
        self._states: list[_State | None] = [None] * len(self._parameters)
        self._betas = betas
        self._every = every
        self._epsilon = epsilon
        self._count = 0

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move the parameters by their gradients, and forget these."""
        self._count += 1
        first, second = self._betas
        for k, parameter in enumerate(self._parameters):
            if parameter.grad is None:
                continue
            shape = parameter.shape
            grad = parameter.grad.reshape(shape[0], -1)
            if len(shape) == 1:
                grad = grad.T
            state = self._states[k]
            if state is None:
                state = self._states[k] = _begin(grad)
            state.momentum.lerp_(grad, 1 - first)
            turned, momentum = grad, state.momentum
            if state.bases is not None:
                left, right = state.bases
                turned, momentum = left.T @ grad @ right, left.T @ momentum @ right
            state.variance.lerp_(turned.square(), 1 - second)
            deviation = (state.variance / (1 - second**self._count)).sqrt_().add_(self._epsilon)
            update = momentum / (1 - first**self._count) / deviation
            # No more than Adam with equal betas can move by. Where a basis has turned, and where a
            # gradient is nothing but rounding, the two moments do not belong together.
            update.clamp_(-1, 1)
            if state.bases is not None:
                update = state.bases[0] @ update @ state.bases[1].T
            parameter.sub_(update.reshape(shape), alpha=learning_rate)
            parameter.grad = None
            self._renew(state, grad)

    def _renew(self, state: _State, grad: Tensor) -> None:
        if state.statistics is None or state.bases is None:
            return
        weight = 1 - self._betas[1]
        state.statistics[0].lerp_(grad @ grad.T, weight)
        state.statistics[1].lerp_(grad.T @ grad, weight)
        if self._count % self._every == 0 or self._count == 1:
            left, right = map(_scaled, state.statistics)
            state.bases = (
                torch.linalg.qr(left @ state.bases[0])[0],
                torch.linalg.qr(right @ state.bases[1])[0],
            )


def _scaled(matrix: Tensor) -> Tensor:
    """Scale a matrix to a largest value of 1; float32 cannot decompose tiny gradients."""
    return matrix / matrix.abs().max().clamp_min(1e-30)


def _begin(grad: Tensor) -> _State:
    zeros = torch.zeros_like(grad)
    if min(grad.shape) == 1:
        return _State(zeros, zeros.clone(), None, None)
    left, right = grad @ grad.T, grad.T @ grad
    bases = (torch.linalg.eigh(_scaled(left))[1], torch.linalg.eigh(_scaled(right))[1])
    return _State(zeros, zeros.clone(), (left, right), bases)
