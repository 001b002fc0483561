"""Rows that were written with a start of the package stay readable; `make_pyramid_vectors` writes
the files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from make_pyramid_vectors import VECTORS, checksum_of_latents, checksum_of_start
from PIL import Image

import rinrcodec
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.latents import decode_row


@pytest.mark.parametrize("name", pyramid.STARTS)
def test_rows_of_every_start_stay_readable(name: str) -> None:
    sums = json.loads((VECTORS / f"pyramid_{name}.json").read_text(encoding="utf-8"))
    assert f"{checksum_of_start(name):08x}" == sums["start_crc"]
    with rinrcodec.open(VECTORS / f"pyramid_{name}.rinr") as file:
        file.verify()
        first = file.frame(0)
        row = file.read_rows(0, [0]).coded[0]
        size, n = (first.width, first.height), file.n_frames
        decoded = decode_row(file.groups[0].spec, row, size, range(n), torch.device("cpu"))
        assert f"{checksum_of_latents(decoded):08x}" == sums["latents_crc"]
        assert any(grid.abs().max() > 2 for component in decoded.latents for grid in component)
        images = torch.as_tensor(file.decode(range(n))).permute(0, 2, 3, 1).numpy()
    with Image.open(VECTORS / f"pyramid_{name}.png") as picture:
        expected = np.asarray(picture)
    assert abs(np.concatenate(list(images)).astype(int) - expected).max() <= 1
    assert expected.std() > 20
