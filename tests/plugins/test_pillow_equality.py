"""A frame decodes to the same picture in every way, and in every batch, on one device."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageSequence

import rinrcodec

# Python 3.12 and newer warn of every fork of a process with threads, such as a test runner's.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
rinrcodec.register_pillow()


@pytest.mark.parametrize(
    ("kind", "workers"),
    [
        ("pack", 0),
        ("pack", 2),
        ("siren_pack", 0),
        ("sequence_pack", 2),
        ("pyramid_pack", 0),
        ("pyramid_pack", 2),
    ],
)
def test_every_way_gives_the_same_bits(request, tmp_path, kind, workers):
    pack_file = tmp_path / "mixed.rinr"
    rinrcodec.save(request.getfixturevalue(kind), pack_file)
    out = tmp_path / "png"
    assert rinrcodec.decompress(pack_file, out, device="cpu").frames == 5
    dataset = rinrcodec.RinrDataset(pack_file)
    loader = rinrcodec.RinrLoader(dataset, batch_size=3, device="cpu", num_workers=workers)
    loaded = [image.numpy() for images, _ in loader for image in images]
    sizes = set()
    with Image.open(pack_file) as packed:
        assert packed.n_frames == len(dataset) == len(loaded) == 5
        for index, frame in enumerate(ImageSequence.Iterator(packed)):
            with Image.open(out / f"{index:06d}.png") as png:
                assert png.mode == frame.mode
                wanted = np.asarray(png.convert("RGB")).transpose(2, 0, 1)
            assert np.array_equal(np.asarray(frame.convert("RGB")).transpose(2, 0, 1), wanted)
            assert np.array_equal(dataset[index][0].numpy(), wanted)
            assert np.array_equal(loaded[index], wanted)
            sizes.add((frame.size, frame.mode))
    assert len({size for size, _ in sizes}) == 3
    assert {mode for _, mode in sizes} == {"L", "RGB"}
