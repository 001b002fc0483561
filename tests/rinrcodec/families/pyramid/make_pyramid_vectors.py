"""Write the golden files of the pyramid's start. Once released, they are never written again.

OMP_NUM_THREADS=1 python tests/rinrcodec/families/pyramid/make_pyramid_vectors.py
"""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data

import rinrcodec
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.encode import PyramidBackgrounds
from rinrcodec.families.pyramid.fit import fit_pyramid
from rinrcodec.families.pyramid.latents import DecodedFrames, decode_row
from rinrcodec.pack import Frame, Group, InrRef, Pack, Rows, Spec
from rinrcodec.presets import get_preset
from rinrcodec.targets import Target

VECTORS = Path(__file__).parent / "vectors"
WIDTH, HEIGHT = 53, 38


def checksum_of_latents(decoded: DecodedFrames) -> int:
    """CRC-32 of all latents as int16, little-endian: by component, the finest grid first."""
    grids = [grid for component in decoded.latents for grid in component]
    return zlib.crc32(b"".join(grid.cpu().numpy().astype("<i2").tobytes() for grid in grids))


def checksum_of_start(name: str) -> int:
    """CRC-32 of the weights of a start in units, as int16, in the order of coding."""
    spec = Spec.of("pyramid", out=3, start=name)
    crc = 0
    for key, weight in pyramid.start_weights(spec).items():
        units = (weight / pyramid.unit_of(key)).round().to(torch.int16).numpy()
        crc = zlib.crc32(key.encode() + units.astype("<i2").tobytes(), crc)
    return crc


def make(name: str) -> None:
    """A row of three frames, each predicted from the one before, of a window that moves."""
    settings = get_preset("fast", steps=40, background="pyramid").background
    assert isinstance(settings, PyramidBackgrounds)
    settings = replace(settings, start=name)
    picture = data.astronaut()[30:250:2, 150:330:2]
    frames = [picture[2 * k :, 3 * k :][:HEIGHT, :WIDTH].copy() for k in range(3)]
    spec = settings.spec(3)
    row = fit_pyramid(
        spec,
        [torch.tensor(frame) for frame in frames],
        [()] * 3,
        settings,
        target=Target(lmbda=1e-4),
        predicted=True,
        seed=0,
        device=torch.device("cpu"),
    )
    rows = Rows(np.zeros((1, 0), np.int8), np.zeros((1, 0), np.float32), (row,))
    made = tuple(
        Frame(f"{k}", WIDTH, HEIGHT, InrRef(0, 0), boxes=(), objects=(), time=float(k))
        for k in range(3)
    )
    pack = Pack(made, (Group(spec, 8, rows),), {})
    rinrcodec.save(pack, VECTORS / f"pyramid_{name}.rinr", overwrite=True)
    images = torch.as_tensor(rinrcodec.decode(pack, range(3))).permute(0, 2, 3, 1).numpy()
    Image.fromarray(np.concatenate(list(images))).save(VECTORS / f"pyramid_{name}.png")
    decoded = decode_row(spec, row, (WIDTH, HEIGHT), range(3), torch.device("cpu"))
    sums = {
        "latents_crc": f"{checksum_of_latents(decoded):08x}",
        "start_crc": f"{checksum_of_start(name):08x}",
    }
    (VECTORS / f"pyramid_{name}.json").write_text(json.dumps(sums) + "\n", encoding="utf-8")


if __name__ == "__main__":
    VECTORS.mkdir(exist_ok=True)
    for start in pyramid.STARTS:
        make(start)
