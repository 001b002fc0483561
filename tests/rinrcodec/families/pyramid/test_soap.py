"""SOAP on problems whose minimum is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rinrcodec.families.pyramid.soap import Soap


def skewed(rows: int, columns: int, seed: int = 0) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """A quadratic of a matrix whose axes are turned and of very different curvature."""
    generator = torch.Generator().manual_seed(seed)
    left, right, optimum = (
        torch.randn(*shape, generator=generator)
        for shape in ((rows, rows), (columns, columns), (rows, columns))
    )
    left = torch.linalg.qr(left)[0] * torch.logspace(0, -1.5, rows)
    right = torch.linalg.qr(right)[0] * torch.logspace(0, -1.5, columns)

    def loss(x: Tensor) -> Tensor:
        return (left.T @ (x - optimum) @ right).square().sum()

    return loss, optimum


def descend(
    loss: Callable[[Tensor], Tensor], shape: tuple[int, ...], steps: int, rate: float, how: str
) -> float:
    x = torch.zeros(shape, requires_grad=True)
    soap = Soap([x])
    adam = torch.optim.Adam([x], lr=rate, betas=(0.95, 0.95))
    for k in range(steps):
        loss(x).backward()  # type: ignore[no-untyped-call]
        now = rate * (1 - k / steps)
        if how == "soap":
            soap.step(now)
        elif how == "adam":
            adam.param_groups[0]["lr"] = now
            adam.step()
            adam.zero_grad()
        else:
            with torch.no_grad():
                assert x.grad is not None
                x -= now * x.grad
                x.grad = None
    return loss(x.detach()).item()


def test_a_skewed_quadratic_is_minimised_faster_than_by_others() -> None:
    loss, _ = skewed(8, 6)
    soap = descend(loss, (8, 6), 200, 0.1, "soap")
    # The largest curvature is 2, so descent diverges with a rate of 1.
    gradient = min(descend(loss, (8, 6), 200, rate, "descent") for rate in (0.2, 0.5, 0.9))
    adam = min(descend(loss, (8, 6), 200, rate, "adam") for rate in (0.03, 0.1, 0.3))
    assert soap < 0.2 * gradient
    assert soap < adam


@pytest.mark.parametrize(
    "shape", [(5,), (1,), (4, 3), (1, 7), (7, 1), (3, 2, 3, 3), (2, 6, 4), (16, 40)]
)
def test_tensors_of_every_shape(shape: tuple[int, ...]) -> None:
    optimum = torch.randn(shape, generator=torch.Generator().manual_seed(1))

    def loss(x: Tensor) -> Tensor:
        return (x - optimum).square().sum()

    start = loss(torch.zeros(shape)).item()
    assert descend(loss, shape, 300, 0.1, "soap") < 1e-3 * start


def test_vectors_are_stepped_as_adam_does() -> None:
    optimum = torch.tensor([3.0, -2.0, 0.5])

    def loss(x: Tensor) -> Tensor:
        return ((x - optimum) * torch.tensor([1.0, 0.1, 5.0])).square().sum()

    soap = descend(loss, (3,), 50, 0.05, "soap")
    assert soap == pytest.approx(descend(loss, (3,), 50, 0.05, "adam"), rel=1e-4)


def test_steps_are_bounded_in_directions_without_gradient() -> None:
    """Gradients of low rank leave most of a basis to rounding: a step of Adam bounds every step."""
    generator = torch.Generator().manual_seed(2)
    x = torch.zeros(2, 35, requires_grad=True)
    soap = Soap([x])
    column = torch.randn(2, 1, generator=generator)
    for _ in range(20):
        before = x.detach().clone()
        x.grad = column * torch.randn(1, 35, generator=generator).abs()
        soap.step(1.0)
        assert float((x.detach() - before).norm()) <= 70**0.5 + 1e-3


def test_tensors_without_gradient_do_not_change() -> None:
    one, other = torch.ones(2, 2, requires_grad=True), torch.ones(2, 2, requires_grad=True)
    soap = Soap([one, other])
    for _ in range(3):
        one.square().sum().backward()  # type: ignore[no-untyped-call]
        soap.step(0.1)
        assert one.grad is None
    assert torch.equal(other, torch.ones(2, 2))
    assert not torch.equal(one, torch.ones(2, 2))


def test_gradients_of_zero_change_no_tensor() -> None:
    x = torch.ones(3, 4, requires_grad=True)
    soap = Soap([x])
    for _ in range(3):
        x.grad = torch.zeros(3, 4)
        soap.step(0.1)
    assert torch.equal(x.detach(), torch.ones(3, 4))
    for _ in range(50):
        (x - 2).square().sum().backward()  # type: ignore[no-untyped-call]
        soap.step(0.05)
    assert torch.isfinite(x).all()
    assert float((x.detach() - 2).abs().max()) < 1
