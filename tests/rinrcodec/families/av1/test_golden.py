"""Stored packs of `av1` decode to their stored pixels, and colours follow their formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import rinrcodec
from rinrcodec.families.av1.colour import to_planes, to_rgb

VECTORS = Path(__file__).parent / "vectors"
WIDTH, HEIGHT = 47, 33  # of every stored frame
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device"
))]  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
def test_the_stored_frames_are_decoded_exactly(device: str) -> None:
    with rinrcodec.open(VECTORS / "frames.rinr") as file, Image.open(VECTORS / "frames.png") as png:
        wanted = torch.from_numpy(np.asarray(png).copy()).permute(2, 0, 1)
        assert {str(group.spec["chroma"]) for group in file.groups} == {"400", "420", "444"}
        frames = file.decode(range(len(file)), device=device)
        assert torch.equal(torch.cat(list(frames), 1).cpu(), wanted)
        # Alone, and from the last to the first.
        alone = [file.decode(k, device=device) for k in reversed(range(len(file)))]
        assert torch.equal(torch.cat(alone[::-1], 1).cpu(), wanted)


@pytest.mark.parametrize("threads", [1, 8])
def test_threads_batches_and_order_change_no_pixel(threads: int) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with (
            rinrcodec.open(VECTORS / "frames.rinr") as file,
            Image.open(VECTORS / "frames.png") as png,
        ):
            frames = np.asarray(png).reshape(len(file), HEIGHT, WIDTH, 3)
            wanted = torch.from_numpy(frames.copy()).permute(0, 3, 1, 2)
            rng = np.random.default_rng(threads)
            for size in (1, 1, 1, 1, 2, 3, 5, 8, 12):
                batch = rng.integers(0, len(file), size).tolist()
                assert torch.equal(torch.stack(list(file.decode(batch))), wanted[batch])
    finally:
        torch.set_num_threads(before)


def exact(y: int, u: int, v: int, bits: int) -> list[int]:
    """The colour of one sample by the formula in fractions of 2^-16."""
    k, half = 255 / (2**bits - 1), 2 ** (bits - 1)
    factors = [round(c * k * 2**16) for c in (1, 1.402, 0.344136, 0.714136, 1.772)]
    luma, red, green_u, green_v, blue = factors
    u, v = u - half, v - half
    sums = [luma * y + red * v, luma * y - green_u * u - green_v * v, luma * y + blue * u]
    return [min(255, max(0, (value + 2**15) // 2**16)) for value in sums]


@pytest.mark.parametrize("bits", [8, 10])
def test_colours_follow_the_formula(bits: int) -> None:
    rng = np.random.default_rng(bits)
    dtype = np.uint8 if bits == 8 else np.uint16
    planes = [rng.integers(0, 2**bits, (20, 30)).astype(dtype) for _ in range(3)]
    for plane, value in zip(planes, (2**bits - 1, 0, 2**bits - 1), strict=True):
        plane[0, 0] = value
    pixels = to_rgb(planes, channels=3, bits=bits)
    for y, x in np.ndindex(20, 30):
        values = (int(plane[y, x]) for plane in planes)
        assert pixels[y, x].tolist() == exact(*values, bits)
    grey = to_rgb(planes, channels=1, bits=bits)
    assert grey.shape == (20, 30, 1)
    assert grey[0, 0, 0] == 255


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 4), (4, 7)])
def test_chroma_of_half_the_size_is_sampled_between_pixels(size: tuple[int, int]) -> None:
    height, width = size
    rng = np.random.default_rng(height)
    small = ((height + 1) // 2, (width + 1) // 2)
    y = np.full(size, 512, np.uint16)
    u, v = (rng.integers(400, 620, small).astype(np.uint16) for _ in range(2))
    pixels = to_rgb([y, u, v], channels=3, bits=10)

    def sample(plane: NDArray[np.uint16], row: int, column: int) -> float:
        total = 0
        for i, a in ((row // 2, 3), (row // 2 + (1 if row % 2 else -1), 1)):
            for j, b in ((column // 2, 3), (column // 2 + (1 if column % 2 else -1), 1)):
                at = min(max(i, 0), small[0] - 1), min(max(j, 0), small[1] - 1)
                total += a * b * int(plane[at])
        return total / 16 - 512

    for row, column in np.ndindex(*size):
        du, dv = sample(u, row, column), sample(v, row, column)
        k = 255 / 1023
        luma = 512 * k
        wanted = [
            luma + k * 1.402 * dv,
            luma - k * (0.344136 * du + 0.714136 * dv),
            luma + k * 1.772 * du,
        ]
        assert np.abs(pixels[row, column] - np.array(wanted)).max() <= 0.51


COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (9, 9, 9)]


@pytest.mark.parametrize("colour", COLOURS)
def test_planes_and_back_give_the_same_colour(colour: tuple[int, ...]) -> None:
    pixels = np.full((5, 7, 3), colour, np.uint8)
    back = to_rgb(to_planes(pixels), channels=3, bits=10)
    assert np.abs(back.astype(int) - pixels).max() <= 1
