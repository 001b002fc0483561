"""The network for sequences: its layers, its sizes, and malformed specs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from rinrcodec.errors import RinrFormatError
from rinrcodec.families import object_family
from rinrcodec.families.nerv import network as nerv
from rinrcodec.families.nerv.decode import frames_at_once
from rinrcodec.families.nerv.encode import NervBackgrounds
from rinrcodec.pack import Spec
from rinrcodec.presets import get_preset

Pixels = NDArray[np.uint8]
CPU = torch.device("cpu")
TINY = Spec.of(
    "nerv",
    grid_width=3,
    grid_height=2,
    strides="5,2",
    widths="6,4",
    stem=8,
    features=5,
    levels=6,
    base=1.25,
    out=3,
)


def settings(**changes: object) -> NervBackgrounds:
    background = get_preset("fast", background="nerv").background
    assert isinstance(background, NervBackgrounds)
    return replace(background, **changes)  # type: ignore[arg-type]


def test_the_paper_s_network_has_its_number_of_parameters() -> None:
    preset = get_preset("paper", background="nerv").background
    assert isinstance(preset, NervBackgrounds)
    spec = preset.spec(640, 360, 900, 3)
    assert (spec["grid_width"], spec["grid_height"]) == (16, 9)
    assert (spec["strides"], spec["widths"]) == ("5,2,2,2", "16,96,96,96")
    assert sum(nerv.tensor_sizes(spec)) == 1_391_155  # 1.39 M in the paper


def plain_network(spec: Spec, weights: torch.Tensor) -> Callable[[float], torch.Tensor]:
    """The same network made of torch's own layers."""
    sizes = nerv.tensor_sizes(spec)
    parts = list(weights.split(sizes))
    width, height = int(spec["grid_width"]), int(spec["grid_height"])
    features, stem = int(spec["features"]), int(spec["stem"])
    layers: list[nn.Module] = []

    def take(layer: nn.Module, transposed: bool = False) -> nn.Module:
        for name, parameter in (("weight", layer.weight), ("bias", layer.bias)):
            values = parts.pop(0)
            if name == "weight" and transposed:
                values = values.view(parameter.shape[::-1]).T
            parameter.data = values.reshape(parameter.shape).clone()
        return layer

    layers += [take(nn.Linear(2 * int(spec["levels"]), stem), True), nn.SiLU()]
    layers += [take(nn.Linear(stem, features * height * width), True), nn.SiLU()]
    layers += [nn.Unflatten(1, (features, height, width))]
    inputs = features
    strides, widths = str(spec["strides"]).split(","), str(spec["widths"]).split(",")
    for stride, outputs in zip(map(int, strides), map(int, widths), strict=True):
        layers += [take(nn.Conv2d(inputs, outputs * stride**2, 3, padding=1))]
        layers += [nn.PixelShuffle(stride), nn.SiLU()]
        inputs = outputs
    layers += [take(nn.Conv2d(inputs, int(spec["out"]), 1)), nn.Sigmoid()]
    network = nn.Sequential(*layers)
    assert not parts

    def frame(time: float) -> torch.Tensor:
        angles = [float(spec["base"]) ** i * math.pi * time for i in range(int(spec["levels"]))]
        encoded = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        output: torch.Tensor = network(torch.tensor([encoded]))
        return output[0] * 2 - 1

    return frame


@pytest.mark.parametrize("out", [1, 3])
def test_outputs_equal_those_of_the_paper_s_network(out: int) -> None:
    spec = Spec(TINY.family, tuple({**dict(TINY.config), "out": out}.items()))
    weights = nerv.init(spec, 1, torch.Generator().manual_seed(3))[0]
    weights += torch.rand(len(weights), generator=torch.Generator().manual_seed(4)) * 0.1
    frames = nerv.forward(spec, weights, torch.tensor([0.0, 0.4, 0.9]))
    assert frames.shape == (3, out, 20, 30)
    plain = plain_network(spec, weights)
    for frame, time in zip(frames, (0.0, 0.4, 0.9), strict=True):
        torch.testing.assert_close(frame, plain(time), atol=1e-5, rtol=1e-4)
    assert not torch.equal(frames[0], frames[1])


def test_initial_weights_keep_the_variance_of_their_inputs() -> None:
    weights = nerv.init(TINY, 2, torch.Generator().manual_seed(0))
    assert weights.shape == (2, sum(nerv.tensor_sizes(TINY)))
    assert not torch.equal(weights[0], weights[1])
    first = weights[:, : 12 * 8]
    assert float(first.std()) == pytest.approx(12**-0.5, rel=0.15)
    assert not weights[:, 12 * 8 : 12 * 8 + 8].any()


@pytest.mark.parametrize(
    ("size", "strides", "grid"),
    [
        ((640, 360), "5,2,2,2", (16, 9)),
        ((360, 640), "5,2,2,2", (9, 16)),
        ((360, 240), "5,2,2,2", (9, 6)),
        ((352, 288), "5,2,2,2", (9, 8)),
        ((1280, 720), "5,2,2,2,2", (16, 9)),
        ((641, 361), "5,2,2,2,2", (9, 5)),
        ((45, 45), "5", (9, 9)),
        ((1, 1), "5", (1, 1)),
        ((4000, 1), "5", (800, 1)),
    ],
)
def test_grid_and_strides_adapt_to_the_frame(
    size: tuple[int, int], strides: str, grid: tuple[int, int]
) -> None:
    spec = settings().spec(*size, 10, 3)
    assert spec["strides"] == strides
    assert (spec["grid_width"], spec["grid_height"]) == grid
    width, height = nerv.size(spec)
    assert width >= size[0]
    assert height >= size[1]


def test_a_larger_sequence_gets_a_larger_network() -> None:
    counts = [
        sum(nerv.tensor_sizes(settings().spec(640, 360, n, 3)))
        for n in (1, 8, 20, 60, 100, 200, 450)
    ]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize(
    ("n_frames", "area", "chunks"),
    [
        (100, 1_000, [100]),
        (256, 1_000, [256]),
        (257, 1_000, [129, 128]),
        (1_000, 1_000, [250] * 4),
        (5, 2**27, [1] * 5),
        (5, 2**28, [1] * 5),
        (7, 2**26, [2, 2, 2, 1]),
    ],
)
def test_long_sequences_are_cut_evenly(n_frames: int, area: int, chunks: list[int]) -> None:
    lengths = []
    while n_frames:
        lengths.append(settings().chunk(n_frames, area))
        n_frames -= lengths[-1]
    assert lengths == chunks


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stem": 0}, "stem=0: expected a whole number from 1 to 4096"),
        ({"features": 1.5}, "features=1.5"),
        ({"grid_width": "3"}, "grid_width='3'"),
        ({"levels": 129}, "levels=129"),
        ({"base": 3.0}, "base=3.0: expected a number from 1 to 2"),
        ({"base": "e"}, "base='e'"),
        ({"out": 4}, "out=4: expected 3 for RGB or 1 for grey"),
        ({"strides": "5,x"}, "strides='5,x': expected 1 to 8 whole numbers"),
        ({"strides": "5,02"}, "strides='5,02'"),
        ({"strides": ""}, "strides=''"),
        ({"strides": 5}, "strides=5"),
        ({"strides": "5,17"}, "strides='5,17'"),
        ({"widths": "6"}, "2 strides but 1 widths"),
        ({"widths": "6,0"}, "widths='6,0'"),
        ({"widths": ",".join(["4"] * 9)}, "1 to 8"),
        ({"widths": "6," + "9" * 5_000}, "1 to 8"),
        ({"more": 1}, "nerv takes"),
        ({"grid_width": 4096, "grid_height": 4096}, "expected at most 268,435,456"),
        ({"grid_width": 4096, "grid_height": 64, "features": 4096}, "layers of 1,073,741,824"),
    ],
)
def test_malformed_specs_are_refused(change: dict[str, int | float | str], message: str) -> None:
    spec = Spec.of("nerv", **{**dict(TINY.config), **change})
    with pytest.raises(RinrFormatError) as caught:
        nerv.check(spec)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_spec_that_lacks_something() -> None:
    config = {key: value for key, value in TINY.config if key != "widths"}
    with pytest.raises(RinrFormatError, match="lacks 'widths'"):
        nerv.check(Spec.of("nerv", **config))


def test_nerv_codes_no_objects() -> None:
    with pytest.raises(RinrFormatError, match="codes backgrounds only"):
        object_family("nerv")


def test_the_largest_layer_is_known_before_it_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    silu = nn.functional.silu

    def watch(values: torch.Tensor, **options: bool) -> torch.Tensor:
        seen.append(values.numel())
        return silu(values, **options)

    monkeypatch.setattr(nn.functional, "silu", watch)
    for change in ({}, {"features": 400}):
        spec = Spec.of("nerv", **{**dict(TINY.config), **change})
        seen.clear()
        nerv.forward(spec, nerv.init(spec, 1, torch.Generator())[0], torch.zeros(1))
        assert nerv.largest(spec) == max(seen)


def test_a_gpu_gets_fewer_frames_at_once_where_they_are_large() -> None:
    cuda = torch.device("cuda")
    assert frames_at_once(TINY, CPU) == 1
    assert frames_at_once(TINY, cuda) == 8
    paper = get_preset("paper", background="nerv").background
    assert isinstance(paper, NervBackgrounds)
    for size in ((640, 360), (1280, 720), (1920, 1080)):
        spec = paper.spec(*size, 100, 3)
        count = frames_at_once(spec, cuda)
        assert count == 1 or count * nerv.largest(spec) <= 2**28
