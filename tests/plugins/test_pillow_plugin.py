"""Pillow opens, shows and saves packs like its own formats."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence, UnidentifiedImageError

import rinrcodec
import rinrcodec.decoder
from rinrcodec.errors import RinrFormatError, RinrLimitError
from rinrcodec.formats import pack_bytes
from rinrcodec.plugins.pillow_plugin import FORMAT, RinrImageFile
from rinrcodec.presets import Preset

from .conftest import pixels_of

rinrcodec.register_pillow()
HOSTILE = Path(__file__).parents[1] / "formats" / "hostile"


class CountingFile(io.BytesIO):
    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def test_opening_reads_the_user_block_only(pack):
    file = CountingFile(pack_bytes(pack))
    # Where all of Pillow's plugins are loaded, as by saving AVIF, some read more before ours.
    with Image.open(file, formats=["RINR"]) as image:
        assert (image.format, image.size, image.mode) == ("RINR", (48, 32), "RGB")
        assert (image.n_frames, image.is_animated, image.tell()) == (5, True, 0)
        # Pillow itself reads 16 bytes to choose a plugin.
        assert file.count <= 16 + 9 + 512
        assert image.info["name"] == "000000.jpg"
        assert file.count > 1000


@pytest.mark.parametrize("way", ["str", "path", "bytes", "file"])
def test_every_frame_is_what_the_decoder_gives(pack, pack_file, way):
    source = {
        "str": lambda: str(pack_file),
        "path": lambda: pack_file,
        "bytes": lambda: io.BytesIO(pack_file.read_bytes()),
        "file": lambda: pack_file.open("rb"),
    }[way]()
    with Image.open(source, formats=["RINR"]) as image:
        for index, frame in enumerate(ImageSequence.Iterator(image)):
            stored = pack.frames[index]
            assert (frame.mode, frame.size) == (stored.mode, (stored.width, stored.height))
            assert np.array_equal(np.asarray(frame), pixels_of(pack, index))
        assert index == 4
    if way == "file":
        source.close()


def test_seeking_goes_both_ways_and_ends(pack, pack_file):
    with Image.open(pack_file) as image:
        for index in (3, 0, 2, 2):
            image.seek(index)
            assert image.tell() == index
            assert np.array_equal(np.asarray(image), pixels_of(pack, index))
        for wrong in (5, -1):
            with pytest.raises(EOFError):
                image.seek(wrong)
        assert image.tell() == 2


def test_info_is_that_of_the_frame(pack, pack_file):
    with Image.open(pack_file) as image:
        assert image.info["boxes"] == pack.frames[0].boxes
        assert image.info["preset"] == "fast, av1, 8 steps"
        assert "exif" not in image.info
        assert dict(image.getexif()) == {}
        image.seek(1)
        assert image.info["boxes"] == pack.frames[1].boxes
        assert image.info["source_size"] == (40, 56)
        assert image.info["icc_profile"] == b"profile"
        assert image.info["xmp"] == b"<x:xmpmeta/>"
        assert image.getexif()[0x010E] == "a picture"
        image.seek(2)
        assert image.info["boxes"] == ()
        assert dict(image.getexif()) == {}
        image.info["mine"] = 1
        image.load()
        assert image.info["mine"] == 1


def test_a_loaded_single_frame_lets_go_of_its_file(one_frame):
    image = Image.open(one_frame)
    file = image.fp
    assert not file.closed
    image.load()
    assert file.closed
    assert len(image.info["boxes"]) == 3
    assert image.getpixel((3, 4)) == image.copy().getpixel((3, 4))


def test_a_closed_image_is_a_clear_error(pack_file):
    image = Image.open(pack_file)
    image.close()
    with pytest.raises(ValueError, match="closed"):
        image.load()


def test_draft_evaluates_a_coarser_grid(pack, pack_file):
    with Image.open(pack_file) as image:
        assert image.draft("L", (24, 10)) == ("RGB", (0, 0, 24.0, 16.0))
        assert image.size == (24, 16)
        wanted = rinrcodec.decode(pack, 0, scale=0.5).permute(1, 2, 0).numpy()
        assert np.array_equal(np.asarray(image), wanted)
        assert image.draft(None, (6, 4)) is None  # loaded: too late
        image.seek(2)
        assert image.size == (64, 24)
        assert image.draft(None, (64, 24)) is None
        assert image.draft(None, (1000, 1)) is None
        assert image.draft(None, None) is None
        assert image.draft(None, (0, 0)) is not None
        assert image.draft(None, (64, 1)) == ("RGB", (0, 0, 64.0, 24.0))


@pytest.mark.parametrize("size", [(7, 5), (20, 20), (33, 100)])
def test_a_draft_has_the_size_that_the_decoder_gives(pack_file, size):
    with Image.open(pack_file) as image:
        for index in range(image.n_frames):
            image.seek(index)
            whole = image.size
            image.draft(None, size)
            assert all(
                min(asked, full) <= drawn <= full
                for asked, full, drawn in zip(size, whole, image.size, strict=True)
            )
            image.load()  # raises where the decoder gives another number of pixels


def test_thumbnails_use_the_coarser_grid(pack_file, monkeypatch):
    scales = []
    decode = rinrcodec.decoder.Decoder.pixels

    def watched(self, frames, **options):
        scales.append(options["scale"])
        return decode(self, frames, **options)

    monkeypatch.setattr(rinrcodec.decoder.Decoder, "pixels", watched)
    with Image.open(pack_file) as image:
        whole = image.copy()
        image.seek(1)
        image.seek(0)
        image.thumbnail((12, 12))
        assert image.size == (12, 8)
        assert scales == [1.0, 0.75]  # at least 24 pixels on both axes
        whole.thumbnail((12, 12))
        difference = np.asarray(image).astype(int) - np.asarray(whole)
        assert abs(difference).mean() < 10


def test_a_copy_and_a_pickled_image_keep_pixels_and_info(pack, pack_file):
    with Image.open(pack_file) as image:
        image.seek(1)
        for other in (image.copy(), pickle.loads(pickle.dumps(image))):
            assert np.array_equal(np.asarray(other), pixels_of(pack, 1))
            assert other.info["boxes"] == pack.frames[1].boxes
        assert other.n_frames == 1


# Saving


# Wrong and damaged files


def test_another_kind_of_file_is_left_to_the_next_plugin():
    with pytest.raises(SyntaxError, match=r"not a \.rinr file"):
        RinrImageFile(io.BytesIO(b"\x89PNG\r\n\x1a\n" + bytes(600)))
    with Image.open(HOSTILE / "plain_hdf5.rinr") as image:
        assert image.format == "HDF5"
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"nothing known"), formats=[FORMAT])


@pytest.mark.parametrize("path", sorted(HOSTILE.glob("*.rinr")), ids=lambda path: path.stem)
def test_every_damaged_file_is_an_os_error(path):
    with pytest.raises(OSError, match=r"\S") as caught, Image.open(path, formats=["RINR"]) as image:
        image.verify()
    if not isinstance(caught.value, UnidentifiedImageError):
        assert str(path) in str(caught.value)
        assert isinstance(caught.value.__cause__, RinrFormatError | RinrLimitError)


def test_damage_shows_when_it_is_read(pack, tmp_path):
    data = bytearray(pack_bytes(pack))
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    path = tmp_path / "damaged.rinr"
    path.write_bytes(data)
    image = Image.open(path)
    assert image.size == (48, 32)
    with pytest.raises(OSError, match=r"damaged\.rinr: .*CRC-32"):
        [frame.load() for frame in ImageSequence.Iterator(image)]
    image.close()
    path.write_bytes(data[:-1])
    with Image.open(path) as image, pytest.raises(OSError, match="truncated"):
        _ = image.info
    path.write_bytes(data[:300])
    with pytest.raises(OSError, match="truncated") as caught:
        Image.open(path)
    assert not isinstance(caught.value, UnidentifiedImageError)


def test_verify_passes_a_sound_file(pack_file):
    image = Image.open(pack_file)
    image.verify()
    assert image.fp is None
    assert len(image.info["boxes"]) == 3


# Registration


def test_registration_is_idempotent():
    before = dict(Image.OPEN)
    rinrcodec.register_pillow()
    rinrcodec.register_pillow()
    assert Image.ID.count(FORMAT) == 1
    assert before == Image.OPEN
    assert Image.registered_extensions()[".rinr"] == FORMAT
    assert Image.MIME[FORMAT] == "image/x-rinr"


def run_python(code: str, *arguments: object) -> str:
    command = [sys.executable, "-I", "-W", "error", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("after", ["", "Image.init()"])
@pytest.mark.parametrize(
    "first", ["", "Image.init()", "Image.preinit()", "import rinrcodec.plugins.pillow_plugin"]
)
def test_order_of_registration_does_not_matter(one_frame, first, after):
    code = f"""
import sys, rinrcodec
from PIL import Image
{first}
rinrcodec.register_pillow()
{after}
with Image.open(sys.argv[1]) as image:
    image.info["boxes"], image.getexif()
    assert "torch" not in sys.modules, "torch was imported before pixels were asked for"
    print(image.format, image.size, image.get_format_mimetype())
Image.open(sys.argv[1]).verify()
assert "torch" not in sys.modules
"""
    assert run_python(code, one_frame) == "RINR (48, 32) image/x-rinr"


def test_without_registration_pillow_refuses_packs(one_frame):
    code = """
import sys, rinrcodec
from PIL import Image
try:
    Image.open(sys.argv[1])
except Image.UnidentifiedImageError:
    print("not registered")
"""
    assert run_python(code, one_frame) == "not registered"


def test_a_pack_given_as_a_picture_gets_advice(one_frame):
    code = """
import sys, rinrcodec
try:
    rinrcodec.load_picture(sys.argv[1])
except rinrcodec.RinrInputError as error:
    print(error)
"""
    message = run_python(code, one_frame)
    assert message.startswith(f"{one_frame}: ")
    assert "rinrcodec.register_pillow()" in message


def test_threads_load_the_same_file(pack, pack_file):
    wanted = [pixels_of(pack, index) for index in range(5)]

    def load(k: int) -> bool:
        with Image.open(pack_file) as image:
            image.seek(k % 5)
            return np.array_equal(np.asarray(image), wanted[k % 5])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(load, range(40)))


WORKERS = """
import hashlib, multiprocessing, sys
import rinrcodec
import torch
from PIL import Image

def load(item):
    path, index = item
    with Image.open(path) as image:
        image.seek(index)
        return hashlib.sha256(image.tobytes()).hexdigest()

if __name__ == "__main__":
    rinrcodec.register_pillow()
    # Torch's threads are at work before the fork, and a frame is large enough to want them.
    torch.set_num_threads(2)
    torch.rand(1000, 1000).exp().sum()
    items = [(path, 0) for path in sys.argv[2:]] * 2
    wanted = list(map(load, items))
    context = multiprocessing.get_context(sys.argv[1])
    few = 2 if sys.argv[1] == "fork" else 1  # others import torch first
    with context.Pool(few, initializer=rinrcodec.register_pillow) as pool:
        assert pool.map_async(load, items).get(timeout=90) == wanted
    print("equal")
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes_load(method, one_frame, tmp_path, quick: Preset):
    large = tmp_path / "large.rinr"
    image = Image.radial_gradient("L").resize((320, 240)).convert("RGB")
    image.save(large, preset=quick, steps=1)
    script = tmp_path / "workers.py"
    script.write_text(WORKERS, encoding="utf-8")
    command = [sys.executable, str(script), method, str(one_frame), str(large)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.stdout.strip() == "equal", done.stderr
