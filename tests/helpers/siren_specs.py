"""Specs of SIRENs, for tests."""

from __future__ import annotations

from rinrcodec.families.siren.network import check
from rinrcodec.pack import Spec

__all__ = ["siren_spec"]


def siren_spec(
    depth: int, width: int, *, out: int = 3, w0: float = 30, w0_first: float = 30
) -> Spec:
    """Return a SIREN of `depth` hidden layers of `width`; `out` is 3 for RGB, 1 for grey."""
    spec = Spec.of(
        "siren", depth=depth, width=width, out=out, w0=float(w0), w0_first=float(w0_first)
    )
    check(spec)
    return spec
