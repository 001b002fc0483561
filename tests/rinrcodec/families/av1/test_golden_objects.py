"""A stored pack with `av1` objects decodes to its stored pixels, in any order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import rinrcodec
from rinrcodec.formats import PackReader

VECTORS = Path(__file__).parent / "vectors"
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device"
))]  # fmt: skip


@pytest.fixture(params=[1, 8])
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def wanted() -> list[torch.Tensor]:
    frames = []
    for name, n in (("stills", 3), ("track", 4)):
        with Image.open(VECTORS / f"objects-{name}.png") as png:
            frames += list(torch.from_numpy(np.array(png)).permute(2, 0, 1).chunk(n, 1))
    return frames


def test_the_file_has_what_it_should() -> None:
    with rinrcodec.open(VECTORS / "objects.rinr") as file:
        rows = [
            {(o.inr, o.cell.time) for o in file.frame(k).objects if o} for k in range(len(file))
        ]
    assert [len(its) for its in rows] == [1] * 7
    (first, *_), (grey, *_) = rows[0], rows[2]
    assert rows[1] == {first}
    assert grey[0] != first[0]
    assert [time for its in rows[3:] for _, time in its] == [0, 1, 2, 3]
    assert len({inr for its in rows[3:] for inr, _ in its}) == 1


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("device", DEVICES)
def test_the_stored_frames_are_decoded_exactly(device: str, wanted: list[torch.Tensor]) -> None:
    with rinrcodec.open(VECTORS / "objects.rinr") as file:
        together = file.decode(range(len(file)), device=device)
        for got, pixels in zip(together, wanted, strict=True):
            assert torch.equal(got.cpu(), pixels)
        for k in reversed(range(len(file))):
            assert torch.equal(file.decode(k, device=device).cpu(), wanted[k])


def test_objects_change_the_pixels_inside_their_boxes_alone(wanted: list[torch.Tensor]) -> None:
    with PackReader(VECTORS / "objects.rinr") as file:
        for k, pixels in enumerate(wanted):
            without = rinrcodec.decode(file, k, objects=False)
            frame = file.frame(k)
            outside = torch.ones(frame.height, frame.width, dtype=torch.bool)
            for box in frame.boxes:
                region = box.region(frame.width, frame.height)
                inside = (slice(None), *region.slices)
                assert not torch.equal(without[inside], pixels[inside])
                outside[region.slices] = False
            assert torch.equal(without[:, outside], pixels[:, outside])
