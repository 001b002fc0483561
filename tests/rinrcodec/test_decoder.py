"""Decode packs, in memory: frames, regions, scales and batches, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from siren_specs import siren_spec

from rinrcodec.boxes import Box
from rinrcodec.decoder import Decoder, decode
from rinrcodec.encoder import encode
from rinrcodec.errors import RinrDeviceError, RinrFormatError, RinrInputError
from rinrcodec.families.siren import network as siren
from rinrcodec.families.siren.evaluate import evaluate
from rinrcodec.pack import Pack, Spec
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset

from .conftest import BOXES, QUICK, MakePicture


def mse(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(((a.astype(float) - b.astype(float)) ** 2).mean())


def as_array(image: torch.Tensor) -> NDArray[np.uint8]:
    return image.permute(1, 2, 0).numpy()


def test_decoded_frames_resemble_their_pictures(mixed: tuple[list[Picture], Pack]) -> None:
    pictures, pack = mixed
    decoded = decode(pack, range(pack.n_frames))
    assert isinstance(decoded, list)
    for picture, image in zip(pictures, decoded, strict=True):
        assert image.dtype == torch.uint8
        assert image.shape == (3, *picture.pixels.shape[:2])
        pixels = picture.pixels if picture.pixels.ndim == 3 else picture.pixels[:, :, None]
        flat = np.broadcast_to(pixels.mean((0, 1)).round().astype(np.uint8), pixels.shape)
        assert mse(as_array(image), pixels) <= mse(flat, pixels) * 0.5 + 4


def test_a_frame_does_not_depend_on_the_batch(mixed: tuple[list[Picture], Pack]) -> None:
    _, pack = mixed
    together = decode(pack, list(range(pack.n_frames)) * 3)
    for index, image in enumerate(together):
        assert torch.equal(image, decode(pack, index % pack.n_frames))


def test_equal_sizes_come_stacked(mixed: tuple[list[Picture], Pack]) -> None:
    _, pack = mixed
    stacked = decode(pack, [0, 2])
    assert isinstance(stacked, torch.Tensor)
    assert stacked.shape == (2, 3, 32, 48)


def test_a_box_is_refused_as_region(mixed: tuple[list[Picture], Pack]) -> None:
    with pytest.raises(RinrInputError, match=r"give box\.region\("):
        decode(mixed[1], 0, region=Box(0, 1, 2, 3.5, 4))  # type: ignore[call-overload]


@pytest.mark.parametrize("region", [(9, 5, 20, 11), (0, 0, 1, 1), (47, 31, 1, 1), (12, 0, 3, 32)])
def test_a_region_equals_the_same_part_of_the_frame(
    mixed: tuple[list[Picture], Pack], region: tuple[int, int, int, int]
) -> None:
    _, pack = mixed
    x, y, w, h = region
    whole = decode(pack, 0)[:, y : y + h, x : x + w].int()
    part = decode(pack, 0, region=region).int()
    # Another chunk of pixels may round another way, once in a great while.
    assert (whole - part).abs().max() <= 1
    assert (whole != part).float().mean() < 0.01


@pytest.mark.parametrize(("scale", "shape"), [(0.5, (3, 16, 24)), (2.0, (3, 64, 96))])
def test_scale_decodes_the_same_picture_on_another_grid(
    mixed: tuple[list[Picture], Pack], scale: float, shape: tuple[int, ...]
) -> None:
    _, pack = mixed
    scaled = decode(pack, 0, scale=scale)
    assert scaled.shape == shape
    resized = torch.nn.functional.interpolate(
        decode(pack, 0)[None].float(), size=shape[1:], mode="area"
    )[0]
    assert (scaled.float() - resized).abs().mean() < 8


def test_resident_weights_give_the_same_pixels(mixed: tuple[list[Picture], Pack]) -> None:
    _, pack = mixed
    decoder = Decoder(pack, resident=True)
    for _ in range(2):
        for index in (4, 0, 1):
            assert torch.equal(decoder.decode(index), decode(pack, index))


def test_direct_objects_replace_the_background(make_picture: MakePicture) -> None:
    preset = replace(QUICK, object_mode="direct", min_gain=-100.0)
    pack = encode([Picture("p", make_picture(40, 30), BOXES[:1])], preset=preset, device="cpu")
    (residual,) = pack.frames[0].objects
    assert residual is not None
    assert (residual.mode, residual.gain) == ("direct", 1.0)
    silent = replace(
        pack.stacks[0], rows=replace(pack.stacks[0].rows, codes=pack.stacks[0].rows.codes * 0)
    )
    without_background = replace(pack, stacks=(silent, *pack.stacks[1:]))
    inside = (slice(None), *BOXES[0].region(40, 30).slices)
    assert torch.equal(decode(pack, 0)[inside], decode(without_background, 0)[inside])
    assert not torch.equal(decode(pack, 0), decode(without_background, 0))


def test_small_boxes_lie_on_top_of_larger_ones(make_picture: MakePicture) -> None:
    preset = replace(get_preset("fast", steps=30), min_gain=-100.0)
    small, large = BOXES[0], BOXES[3]
    picture = Picture("p", make_picture(48, 32), (small, large))
    pack = encode([picture], preset=preset, device="cpu")
    frame = pack.frames[0]
    assert None not in frame.objects

    def decoded(order: slice, boxes: slice = slice(None)) -> torch.Tensor:
        chosen = replace(
            frame, boxes=frame.boxes[order][boxes], objects=frame.objects[order][boxes]
        )
        return decode(replace(pack, frames=(chosen,)), 0)

    both = decoded(slice(None))
    assert torch.equal(both, decoded(slice(None, None, -1)))
    inside = (slice(None), *small.region(frame.width, frame.height).slices)
    assert torch.equal(both[inside], decoded(slice(None), slice(1))[inside])
    assert not torch.equal(both[inside], decoded(slice(None), slice(1, 2))[inside])


def test_many_objects_are_pasted_in_runs_of_bounded_size(
    mixed: tuple[list[Picture], Pack], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pack = mixed
    expected = decode(pack, range(pack.n_frames))
    monkeypatch.setattr("rinrcodec.decoder.BYTES_OF_OBJECTS", 100)
    monkeypatch.setattr("rinrcodec.decoding.tasks.BYTES_OF_OBJECTS", 100)
    for one, other in zip(decode(pack, range(pack.n_frames)), expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("out", [1, 3])
@pytest.mark.parametrize("width", [6, 17])
@pytest.mark.parametrize(
    "counts", [(1, 3, 4, 25, 90), (5, 9_000, 4_096, 4_097, 8_192, 129)], ids=str
)
def test_the_same_floats_alone_and_in_a_batch(
    out: int, width: int, counts: tuple[int, ...]
) -> None:
    spec = siren_spec(2, width, out=out)
    weights = siren.init(spec, len(counts), torch.Generator().manual_seed(0))
    coords = [torch.rand(n, 2) for n in counts]
    together = evaluate(spec, weights, coords)
    for i, values in enumerate(together):
        assert torch.equal(values, evaluate(spec, weights[i : i + 1], coords[i : i + 1])[0])
        plain = siren.forward(spec, weights[i : i + 1].double(), coords[i][None].double())[0]
        torch.testing.assert_close(values, plain.float(), atol=1e-4, rtol=1e-4)


def test_a_smaller_inr_is_not_computed_to_the_end_of_a_larger_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = siren_spec(2, 24)
    weights = siren.init(spec, 2, torch.Generator().manual_seed(0))
    forward, computed = siren.forward, []

    def counting(spec: Spec, weights: torch.Tensor, coords: torch.Tensor) -> torch.Tensor:
        computed.append(len(weights) * coords.shape[1])
        return forward(spec, weights, coords)

    monkeypatch.setattr(siren, "forward", counting)
    counts = (5_000, 20_000)
    evaluate(spec, weights, [torch.rand(n, 2) for n in counts])
    assert sum(counts) <= sum(computed) < 1.2 * sum(counts)


def test_an_inr_of_other_channels_than_the_picture_is_refused(
    mixed: tuple[list[Picture], Pack],
) -> None:
    _, pack = mixed
    grey = replace(pack.frames[0], mode="L")
    with pytest.raises(RinrFormatError, match="3 channels for a picture of mode L"):
        decode(replace(pack, frames=(grey,)), 0)
    (background,) = {pack.frames[1].background}
    colour_object = replace(pack.frames[0], mode="L", background=background, width=40, height=56)
    with pytest.raises(RinrFormatError, match="3 channels for a picture of mode L"):
        decode(replace(pack, frames=(colour_object,)), 0)


def test_frames_are_chosen_by_any_integers(mixed: tuple[list[Picture], Pack]) -> None:
    _, pack = mixed
    one = decode(pack, 2)
    assert torch.equal(decode(pack, np.int64(2)), one)
    assert torch.equal(decode(pack, torch.tensor(2)), one)
    for several in (np.array([2, 0]), torch.tensor([2, 0]), range(2, -1, -2), (2, 0)):
        assert torch.equal(decode(pack, several)[0], one)


def test_wrong_requests_to_the_decoder_are_refused(mixed: tuple[list[Picture], Pack]) -> None:
    _, pack = mixed
    assert torch.equal(decode(pack, -1), decode(pack, pack.n_frames - 1))
    for index in (pack.n_frames, -pack.n_frames - 1):
        with pytest.raises(RinrInputError, match="5 frames"):
            decode(pack, index)
    with pytest.raises(RinrInputError, match=r"expected \(x, y, width, height\)"):
        decode(pack, 0, region=(0, 0, 1))
    with pytest.raises(RinrInputError, match="region"):
        decode(pack, 0, region=(0, 0, 49, 3))
    with pytest.raises(RinrDeviceError, match="expected auto"):
        decode(pack, 0, device="gpu")
    with pytest.raises(RinrDeviceError):
        decode(pack, 0, device="cuda:99")


def test_weights_that_do_not_fit_their_spec_are_refused(mixed: tuple[list[Picture], Pack]) -> None:
    _, pack = mixed
    wrong = replace(
        pack.stacks[0], spec=Spec.of("siren", **{**dict(pack.stacks[0].spec.config), "width": 9})
    )
    with pytest.raises(RinrFormatError, match="parameters"):
        decode(replace(pack, stacks=(wrong, *pack.stacks[1:])), 0)
