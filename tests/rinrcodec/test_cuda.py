"""Packs fitted and decoded on a CUDA device, of every family: the pixels are those of the CPU.

Networks are computed in another order on a GPU, so a value may round to the next one.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rinrcodec.boxes import Box
from rinrcodec.compute.devices import device_memory_errors
from rinrcodec.decoder import decode
from rinrcodec.encoder import encode
from rinrcodec.errors import RinrDeviceError
from rinrcodec.families import background_families
from rinrcodec.pack import Pack
from rinrcodec.sources.samples import sample_pictures

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
BOXES = [Box(0, 4, 6, 22, 20), Box(1, 30, 2, 39, 30)]


@pytest.fixture(scope="module", params=background_families())
def pack(request: pytest.FixtureRequest) -> Pack:
    crops = [sample_pictures()[0].pixels[y : y + 40, 64:112].copy() for y in (0, 8, 16)]
    return encode(
        crops,
        boxes=[BOXES] * 3,
        background=request.param,
        preset="fast",
        steps=20,
        device="cuda",
    )


def assert_close(device: Tensor, cpu: Tensor) -> None:
    assert device.is_cuda
    assert device.dtype == torch.uint8
    apart = (device.cpu().int() - cpu.int()).abs()
    assert apart.max() <= 1
    assert (apart > 0).float().mean() < 0.01


def test_pixels_are_those_of_the_cpu(pack: Pack) -> None:
    on_device, on_cpu = (decode(pack, [0, 1, 2], device=device) for device in ("cuda", "cpu"))
    assert isinstance(on_device, Tensor)
    assert isinstance(on_cpu, Tensor)
    assert_close(on_device, on_cpu)


def test_regions_and_scales_are_those_of_the_cpu(pack: Pack) -> None:
    for options in ({"region": (3, 5, 33, 31)}, {"scale": 0.5}):
        on_device, on_cpu = (decode(pack, 1, device=d, **options) for d in ("cuda", "cpu"))
        assert_close(on_device, on_cpu)


def test_a_frame_does_not_depend_on_the_batch(pack: Pack) -> None:
    together = decode(pack, [2, 0, 1, 2, 2], device="cuda")
    for place, index in enumerate([2, 0, 1, 2, 2]):
        assert torch.equal(together[place], decode(pack, index, device="cuda"))


def test_a_device_without_memory_is_a_clear_error() -> None:
    with (
        pytest.raises(RinrDeviceError, match="ran out of memory"),
        device_memory_errors("a test"),
    ):
        torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
