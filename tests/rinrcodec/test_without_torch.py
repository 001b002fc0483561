"""Without torch: what works, and that it gives the same bytes as with torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import rinrcodec
from rinrcodec import Box, MissingExtraError, Picture
from rinrcodec.compute.compose import to_pixels, to_signal

VECTORS = Path(__file__).parent
AV1 = VECTORS / "families" / "av1" / "vectors"
NETWORKS = VECTORS.parent / "formats" / "vectors" / "v1" / "decodable.rinr"

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
"""
# Regions and scales of frames of at least 40x30: every way to decode them.
WAYS: list[dict[str, Any]] = [
    {},
    {"objects": False},
    {"region": (3, 5, 30, 17)},
    {"region": (9, 2, 1, 26)},
    *({"scale": scale} for scale in (0.1, 0.5, 1.7)),
    {"scale": 0.6, "region": (2, 3, 31, 22)},
    {"scale": 0.01},
]


def run(code: str, folder: Path, *arguments: object, block: bool = True) -> str:
    """Run code in a process of its own, where torch cannot be imported."""
    command = [sys.executable, "-c", (BLOCK if block else "") + code, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_pixels_are_the_same_with_and_without_torch(tmp_path: Path) -> None:
    code = """
import json, numpy as np, rinrcodec
ways, *paths = map(json.loads, sys.argv[1:])
for path in paths:
    arrays = {}
    with rinrcodec.open(path) as file:
        for number, way in enumerate(ways):
            for k in range(len(file)):
                arrays[f"{number} {k}"] = file.pixels(k, **way)
        arrays["together"] = np.concatenate([p.ravel() for p in file.pixels(range(len(file)))])
    np.savez(path.rpartition("/")[2], **arrays)
"""
    paths = [AV1 / f"{name}.rinr" for name in ("frames", "objects", "shrunk")]
    run(code, tmp_path, json.dumps(WAYS), *(json.dumps(str(path)) for path in paths))
    for path in paths:
        with np.load(tmp_path / f"{path.name}.npz") as arrays, rinrcodec.open(path) as file:
            assert len(arrays) == len(WAYS) * len(file) + 1
            for number, way in enumerate(WAYS):
                for k in range(len(file)):
                    wanted = arrays[f"{number} {k}"]
                    assert np.array_equal(file.pixels(k, **way), wanted)
                    tensor = file.decode(k, **way)
                    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), wanted)
            together = np.concatenate([one.ravel() for one in file.pixels(range(len(file)))])
            assert np.array_equal(together, arrays["together"])


def test_commands_and_pillow_need_no_torch(tmp_path: Path) -> None:
    code = """
import json, rinrcodec
from PIL import Image
from rinrcodec.cli.main import main
rinrcodec.register_pillow()
with Image.open(sys.argv[1]) as image:
    image.seek(2)
    image.save("frame.png")
    small = Image.open(sys.argv[1])
    small.thumbnail((20, 20))
    small.save("small.png")
assert rinrcodec.imread(sys.argv[1], 2, bgr=True).shape[2] == 3
for words in (["info"], ["verify", "--decode"], ["decompress", "-o", "back", "--labels"]):
    sys.argv = ["rinrcodec", words[0], sys.argv[1], *words[1:]]
    path = sys.argv[2]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (words, end.code)
    sys.argv = ["", path]
assert not any(name.partition(".")[0] == "torch" for name in sys.modules)
"""
    path = AV1 / "objects.rinr"
    run(code, tmp_path, path)
    with rinrcodec.open(path) as file:
        pixels = file.pixels(2)
        with Image.open(tmp_path / "frame.png") as image:
            assert np.array_equal(np.asarray(image.convert("RGB")), pixels)
        for k, name in enumerate(file.names()):
            picture = (tmp_path / "back" / "images" / name).with_suffix(".png")
            with Image.open(picture) as image:
                assert np.array_equal(np.asarray(image.convert("RGB")), file.pixels(k))


def test_encoding_gives_the_same_bytes_without_torch(tmp_path: Path) -> None:
    code = """
import numpy as np, rinrcodec, sys
pixels = np.random.default_rng(3).integers(0, 256, (32, 40, 3), np.uint8)
pictures = [np.roll(pixels, k, 1) // 2 for k in range(2)]
boxes = [[rinrcodec.Box(0, 8, 9, 20, 17), rinrcodec.Box(1, 30, 3, 9.5, 9)]] * 2
pack = rinrcodec.encode(pictures, boxes=boxes, preset="fast", objects="av1", gop=1)
rinrcodec.save(pack, sys.argv[1])
"""
    run(code, tmp_path, "without")
    exec(code.replace("sys.argv[1]", repr(str(tmp_path / "with"))), {})
    assert (tmp_path / "without").read_bytes() == (tmp_path / "with").read_bytes()


def test_tensors_and_networks_say_what_to_install(tmp_path: Path) -> None:
    code = """
import rinrcodec
def message(function, *arguments, **options):
    try:
        function(*arguments, **options)
    except rinrcodec.MissingExtraError as error:
        print(error)
with rinrcodec.open(sys.argv[1]) as file:
    message(file.decode, 0)
    message(file.__getitem__, 0)
    message(file.pixels, 0, device="cuda")
with rinrcodec.open(sys.argv[2]) as file:
    message(file.pixels, 0)
for options in ({"background": "siren"}, {"objects": "siren"}):
    message(rinrcodec.encode, [sys.argv[3]], preset="fast", **options)
    message(rinrcodec.compress, sys.argv[3], "out", preset="fast", **options)
result = rinrcodec.verify(sys.argv[2])
print(result.ok, result.unchecked)
try:
    rinrcodec.RinrDataset
except ImportError as error:
    print(error)
"""
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    lines = run(code, tmp_path, AV1 / "frames.rinr", NETWORKS, tmp_path / "a.png").splitlines()
    hint = str(MissingExtraError("torch", "torch"))
    assert lines[:2] == [f"tensors, where `pixels` gives NumPy arrays without it: {hint}"] * 2
    assert lines[2] == hint
    assert lines[3].startswith("decoding ")
    assert lines[3].endswith(hint)
    assert lines[4:8] == [f"fitting networks: {hint}"] * 4
    assert not (tmp_path / "out").exists()
    assert lines[8].startswith("False")
    assert f"frames not checked, as {hint}" in lines[8]
    assert lines[9] == hint


def test_torch_is_not_loaded_where_nothing_needs_it(tmp_path: Path) -> None:
    code = """
import sys, rinrcodec
from PIL import Image
rinrcodec.register_pillow()
Image.open(sys.argv[1]).load()
with rinrcodec.open(sys.argv[1]) as file:
    file.pixels([0, 1], scale=0.5)
print("torch" in sys.modules)
"""
    assert run(code, tmp_path, AV1 / "objects.rinr", block=False) == "False"


@pytest.mark.parametrize("colours_last", [(), (1,), (3,)])
def test_signals_become_the_same_pixels_as_array_and_tensor(colours_last: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    signal = rng.normal(0, 1, (37, 41, *colours_last)).astype(np.float32)
    edges = np.arange(-1, 257, 0.5, dtype=np.float32) / np.float32(127.5) - 1
    signal.ravel()[: len(edges)] = edges
    signal.ravel()[-4:] = np.nan, np.inf, -np.inf, 3e38
    pixels = to_pixels(signal)
    assert np.array_equal(pixels, to_pixels(torch.from_numpy(signal)).numpy())
    assert pixels.ravel()[-4:].tolist() == [0, 255, 0, 255]
    assert np.array_equal(to_signal(pixels), to_signal(torch.from_numpy(pixels)).numpy())


def test_arrays_of_all_shapes() -> None:
    """A grey frame has three colours, a list where sizes differ, and one array where not."""
    grey = Picture("grey", np.arange(48 * 32, dtype=np.uint16).astype(np.uint8).reshape(32, 48))
    wide = Picture("wide", np.zeros((32, 64, 3), np.uint8), boxes=(Box(0, 2, 2, 9, 9),))
    pack = rinrcodec.encode([grey, wide], preset="fast", objects="none")
    decoder = rinrcodec.Decoder(pack)
    one, two = decoder.pixels([0, 1])
    assert (one.shape, two.shape) == ((32, 48, 3), (32, 64, 3))
    assert (one[..., :1] == one).all()
    assert decoder.pixels([1]).shape == (1, 32, 64, 3)
    assert decoder.pixels(1).flags.writeable
    assert decoder.pixels([0, 0]).shape == (2, 32, 48, 3)
    assert decoder.pixels([]) == []


@pytest.mark.parametrize("name", ["frames.rinr", "objects.rinr"])
def test_tensors_of_a_gpu_give_the_pixels_of_arrays(name: str) -> None:
    """The code for a GPU, with tensors on a CPU: equal, but for the rounding of other scales."""
    device = torch.device("cpu")
    with rinrcodec.open(AV1 / name) as file:
        decoder = rinrcodec.Decoder(file)
        decoder._gpu = device
        for group in range(len(file.groups)):
            decoder._reader(group).gpu = device
        for way in WAYS:
            exact = "scale" not in way
            for k in range(len(file)):
                got, wanted = decoder.decode(k, **way), file.pixels(k, **way)
                assert isinstance(got, torch.Tensor)
                difference = np.abs(got.permute(1, 2, 0).numpy().astype(int) - wanted)
                assert difference.max() <= (0 if exact else 1)
                assert np.array_equal(decoder.pixels(k, **way), got.permute(1, 2, 0).numpy())
