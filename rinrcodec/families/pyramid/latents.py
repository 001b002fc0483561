"""The coded bytes of a `pyramid` row: networks, quantisation steps and latents of its frames.

`formats/SPEC.md` has the layout. Everything that decides how the next value is read is an integer,
or a float64 that holds one exactly, so that all machines read the same latents.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rinrcodec.errors import RinrFormatError, RinrInputError
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.entropy import LARGEST, N_SCALES, LatentDecoder, LatentEncoder
from rinrcodec.families.pyramid.limits import MOST_FRAMES, MOST_PREDICTED
from rinrcodec.families.pyramid.ops import PASSES
from rinrcodec.pack import Spec

__all__ = ["Change", "PyramidRow", "code_latents", "decode_row", "encode_row", "is_predicted"]

FINEST_CHANGE = 10  # changes are multiples of 2 ** -10, so that context weights stay exact
_PREDICTED = 0x80
_STEPS_PER_OCTAVE = 8
# A mean, and a scale of the tables: of exponents plus one, 0 for a tensor without a change; of the
# scales of changes; of the differences between the steps of a row; and of those of a frame to them.
_EXPONENTS = (6, 28)
_SCALES = (40, 36)
_STEPS = (0, 30)
_STEPS_OF_FRAME = (0, 24)
_HIDDEN_CENTER = 64  # added to the first step's code, which is one unsigned byte

Grids = list[list[Tensor]]


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """The difference of a tensor from the start: codes * 2 ** -exponent.

    codes: int32 [n], row by row; scale: the table they are coded with.
    """

    exponent: int
    scale: int
    codes: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class PyramidRow:
    """A row as it is stored.

    changes: by name, those of the tensors that have any; step_codes: int32 [n, 2, LEVELS], of every
    frame, in eighths of an octave; latents: for every frame its grids as `code_latents` takes them,
    int32 arrays [h, w]; where `predicted`, those of a frame but the first are what it differs by
    from the frame before.
    """

    changes: Mapping[str, Change]
    step_codes: NDArray[np.int32]
    latents: Sequence[Sequence[Sequence[NDArray[np.int32]]]]
    predicted: bool = False


def changed(start: Tensor, change: Change | None) -> Tensor:
    """Add its change to a tensor of the start."""
    if change is None:
        return start
    codes = torch.from_numpy(change.codes.astype(np.float32)) * 2.0**-change.exponent
    return start + codes.view(start.shape).to(start.device)


def changed_weights(spec: Spec, changes: Mapping[str, Change]) -> dict[str, Tensor]:
    """Return the networks of a row, float32 on the host."""
    start = pyramid.start_weights(spec)
    return {name: changed(tensor, changes.get(name)) for name, tensor in start.items()}


def steps_of(codes: NDArray[np.int32]) -> Tensor:
    """Return the quantisation steps, float32, for their codes."""
    return torch.from_numpy(2.0 ** (codes / _STEPS_PER_OCTAVE)).float()


def step_codes(log_steps: Tensor) -> NDArray[np.int32]:
    """Return the codes nearest to the (natural) logarithms of quantisation steps."""
    codes = (log_steps.detach().cpu().numpy() * (_STEPS_PER_OCTAVE / math.log(2))).round()
    result: NDArray[np.int32] = np.clip(codes, -_HIDDEN_CENTER, _HIDDEN_CENTER - 1).astype(np.int32)
    return result


Coder = Callable[[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]], NDArray[np.int32]]


@torch.no_grad()
def code_latents(weights: Mapping[str, Tensor], latents: Grids, coder: Coder) -> None:
    """Go through the latents of a frame in the order of coding, and replace them.

    weights: float64 context networks; latents: by component, the finest grid first, float64
    [1, h, w]. `coder(values, means, scales)` gets the values of a pass, which a decoder does not
    know yet and ignores, and returns the true ones.
    """
    for level in range(pyramid.LEVELS - 1, -1, -1):
        for component, first in enumerate(pyramid.COMPONENTS):
            if level < first:
                continue
            grid = latents[component][level - first]
            for number, one in enumerate(PASSES[component]):
                sites = one.of(grid[0])
                if not sites.numel():
                    continue
                means, scales = pyramid.pass_tables(weights, component, level, number, latents)
                values = sites.flatten().to(torch.int32).cpu().numpy()
                decoded = torch.from_numpy(coder(values, means, scales)).to(grid)
                sites.copy_(decoded.view(sites.shape))


def encode_row(spec: Spec, row: PyramidRow) -> bytes:
    """Encode a row; raise `RinrInputError` for too many frames or too large values."""
    most = MOST_PREDICTED if row.predicted else MOST_FRAMES
    if not 1 <= len(row.latents) <= most:
        raise RinrInputError(f"a row of {len(row.latents)} frames: expected 1 to {most}")
    weights = changed_weights(spec, row.changes)
    head = bytearray([len(row.latents) | (_PREDICTED if row.predicted else 0)])
    coder = LatentEncoder()
    changes = [row.changes.get(name) for name in weights]
    coder.put(*_tabled([0 if one is None else one.exponent + 1 for one in changes], *_EXPONENTS))
    present = [one for one in changes if one is not None]
    coder.put(*_tabled([one.scale for one in present], *_SCALES))
    for one in present:
        coder.put(*_tabled(one.codes, 0, one.scale))
    middle = row.step_codes.mean(0).round().astype(np.int32)
    head.append(int(middle[0, 0]) + _HIDDEN_CENTER)
    coder.put(*_tabled(np.diff(middle.flatten()), *_STEPS))
    streams = [coder.bytes()]
    exact = {name: weight.double() for name, weight in weights.items()}
    for frame, steps in zip(row.latents, row.step_codes, strict=True):
        streams.append(_encode_frame(exact, frame, steps - middle))
    for stream in streams[:-1]:
        head += _variable(len(stream))
    return bytes(head) + b"".join(streams)


def _encode_frame(
    weights: Mapping[str, Tensor],
    frame: Sequence[Sequence[NDArray[np.int32]]],
    steps: NDArray[np.int32],
) -> bytes:
    coder = LatentEncoder()
    coder.put(*_tabled(steps.flatten(), *_STEPS_OF_FRAME))

    def put(
        values: NDArray[np.int32], means: NDArray[np.int32], scales: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        coder.put(values, means, scales)
        return values

    grids = [[torch.from_numpy(grid).double()[None] for grid in grids] for grids in frame]
    code_latents(weights, grids, put)
    return coder.bytes()


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrames:
    """The inputs of `synthesize` for some frames of a row, on the requested device."""

    weights: Mapping[str, Tensor]
    steps: Tensor  # [n, 2, LEVELS]
    latents: Grids  # float32 [n, h, w]


def decode_row(
    spec: Spec,
    data: bytes,
    size: tuple[int, int],
    frames: Sequence[int],
    device: torch.device,
) -> DecodedFrames:
    """Decode frames of a row, by their numbers in it; size: their width and height.

    Raises `RinrFormatError` where the bytes cannot be those of a row.
    """
    try:
        return _decode_row(spec, data, size, frames, device)
    except IndexError as error:
        raise RinrFormatError("a row of a pyramid ends too early") from error


def is_predicted(data: bytes) -> bool:
    """Return whether the frames of a row are predicted, each from the one before."""
    return bool(data and data[0] & _PREDICTED)


def _decode_row(
    spec: Spec, data: bytes, size: tuple[int, int], frames: Sequence[int], device: torch.device
) -> DecodedFrames:
    start = pyramid.start_weights(spec)
    count, predicted = data[0] & ~_PREDICTED, bool(data[0] & _PREDICTED)
    most = MOST_PREDICTED if predicted else MOST_FRAMES
    if not 1 <= count <= most:
        kind = "predicted frames" if predicted else "frames"
        raise RinrFormatError(f"a row of a pyramid has {count} {kind}: expected 1 to {most}")
    if not all(0 <= frame < count for frame in frames):
        raise RinrFormatError(f"frames {list(frames)} of a pyramid row that has {count}")
    at = 1
    first_step = data[at] - _HIDDEN_CENTER
    at += 1
    lengths = []
    for _ in range(count):
        length, at = _read_variable(data, at)
        lengths.append(length)
    lengths.append(len(data) - at - sum(lengths))
    if lengths[-1] < 0:
        raise RinrFormatError("a row of a pyramid ends too early")
    ends = at + np.cumsum(lengths)
    streams = [data[end - length : end] for end, length in zip(ends, lengths, strict=True)]
    coder = LatentDecoder(streams[0])
    exponents = coder.take(*_tables(len(start), *_EXPONENTS)) - 1
    if not -1 <= exponents.min() <= exponents.max() <= FINEST_CHANGE:
        raise RinrFormatError(
            f"weights of a pyramid with exponents from {exponents.min()} to {exponents.max()}: "
            f"expected -1 to {FINEST_CHANGE}"
        )
    names = [name for name, exponent in zip(start, exponents, strict=True) if exponent >= 0]
    scales = coder.take(*_tables(len(names), *_SCALES))
    changes = {}
    for name, exponent, scale in zip(names, exponents[exponents >= 0], scales, strict=True):
        if not 0 <= scale < N_SCALES:
            raise RinrFormatError(
                f"weights of a pyramid with scale {scale}: expected 0 to {N_SCALES - 1}"
            )
        codes = coder.take(*_tables(start[name].numel(), 0, int(scale)))
        changes[name] = Change(int(exponent), int(scale), codes)
    n_steps = 2 * pyramid.LEVELS
    differences = coder.take(*_tables(n_steps - 1, *_STEPS))
    middle = np.cumsum(np.concatenate([[first_step], differences]))
    weights = {name: w.to(device) for name, w in changed_weights(spec, changes).items()}
    exact = {name: w.double() for name, w in weights.items() if name.startswith("context")}
    wanted = range(max(frames) + 1) if predicted else sorted(set(frames))
    decoded: dict[int, Grids] = {}
    step_codes: dict[int, NDArray[np.int32]] = {}
    before: Grids | None = None
    for frame in wanted:
        coder = LatentDecoder(streams[1 + frame])
        codes = middle + coder.take(*_tables(n_steps, *_STEPS_OF_FRAME))
        if np.abs(codes).max() > 2 * _HIDDEN_CENTER:
            raise RinrFormatError(
                f"quantisation steps of a pyramid with codes from {codes.min()} to {codes.max()}: "
                f"expected {-2 * _HIDDEN_CENTER} to {2 * _HIDDEN_CENTER}"
            )
        step_codes[frame] = codes.reshape(2, -1)
        grids = _decode_grids(exact, coder, size, device)
        if predicted and before is not None:
            for component, component_before in zip(grids, before, strict=True):
                for grid, grid_before in zip(component, component_before, strict=True):
                    grid += grid_before
        before = grids
        if frame in frames:
            decoded[frame] = grids
    latents = [
        [torch.cat(parts).float() for parts in zip(*components, strict=True)]
        for components in zip(*(decoded[frame] for frame in frames), strict=True)
    ]
    steps = steps_of(np.stack([step_codes[frame] for frame in frames]))
    return DecodedFrames(weights, steps.to(device), latents)


def _decode_grids(
    weights: Mapping[str, Tensor],
    coder: LatentDecoder,
    size: tuple[int, int],
    device: torch.device,
) -> Grids:
    grids = [
        [torch.zeros(1, *shape, dtype=torch.float64, device=device) for shape in sizes]
        for sizes in pyramid.grid_sizes(*size)
    ]
    code_latents(weights, grids, lambda _, means, scales: coder.take(means, scales))
    return grids


def best_scale(codes: NDArray[np.int32]) -> int:
    """Find the table that codes integers in the fewest bits, judging by their mean magnitude."""
    spread = max(float(np.abs(codes).mean()), 1e-3)
    return int(np.clip(round((math.log(spread) + 3) * 8), 0, N_SCALES - 1))


def clip_codes(codes: Tensor) -> NDArray[np.int32]:
    """Round values to the integers that can be coded."""
    rounded = codes.detach().round().clamp(-LARGEST, LARGEST)
    result: NDArray[np.int32] = rounded.to(torch.int32).cpu().numpy()
    return result


def _tables(count: int, mean: int, scale: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return means, in eighths, and scales of values that share one table."""
    return np.full(count, 8 * mean, np.int32), np.full(count, scale, np.int32)


def _tabled(
    values: Sequence[int] | NDArray[np.int32], mean: int, scale: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Return values with their tables."""
    array = np.asarray(values, np.int32)
    return array, *_tables(len(array), mean, scale)


def _variable(number: int) -> bytes:
    """Encode a number as LEB128: seven bits a byte, the lowest first."""
    result = bytearray()
    while number > 0x7F:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*result, number])


def _read_variable(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift >= 28:
            raise RinrFormatError("a row of a pyramid has a length of over 28 bits")
