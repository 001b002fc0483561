"""Pillow saves packs: frames, boxes, metadata and targets, also over the file that it reads."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

import rinrcodec
import rinrcodec.decoder
from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError
from rinrcodec.formats import PackReader
from rinrcodec.formats.schema import Kind
from rinrcodec.pack import Pack, merge_packs

from .conftest import coarse_picture, pixels_of

rinrcodec.register_pillow()


def test_saving_encodes_as_encode_does(tmp_path, quick):
    image = Image.effect_mandelbrot((24, 16), (-2, -1.5, 1, 1.5), 40).convert("RGB")
    boxes = [Box(4, 2, 3, 8, 7)]
    path = tmp_path / "m.rinr"
    image.save(path, preset=quick, boxes=boxes, seed=3, device="cpu")
    wanted = rinrcodec.encode([image], boxes=[boxes], preset=quick, seed=3, device="cpu")
    with Image.open(path) as back:
        assert back.info["boxes"] == tuple(boxes)
        assert back.info["name"] == "m"
        assert back.info["seed"] == "3"
        assert np.array_equal(np.asarray(back), pixels_of(wanted, 0))


def test_a_blur_without_boxes_warns_and_saves(tmp_path: Path) -> None:
    image = Image.effect_noise((64, 48), 60)
    options = {"preset": "fast", "objects": "none", "soften": 2, "device": "cpu"}
    image.save(tmp_path / "boxed.rinr", boxes=[Box(0, 8, 8, 8, 8)], **options)
    with pytest.warns(UserWarning, match="^soften: the picture has no boxes"):
        image.save(tmp_path / "bare.rinr", **options)
    path, boxes = tmp_path / "both.rinr", [[Box(0, 8, 8, 8, 8)], []]
    with pytest.warns(UserWarning, match="^soften: 1 of 2 pictures has no boxes"):
        image.save(path, save_all=True, append_images=[image], boxes=boxes, **options)
    frames = {}
    for name in ("boxed", "bare", "both"):
        with Image.open(tmp_path / f"{name}.rinr") as back:
            frames[name] = getattr(back, "n_frames", 1)
    assert frames == {"boxed": 1, "bare": 1, "both": 2}


def test_saving_all_takes_frames_of_every_image(tmp_path, pack, pack_file, quick):
    buffer = io.BytesIO()
    extra = Image.new("L", (9, 5), 77)
    boxes = [list(frame.boxes) for frame in pack.frames] + [[Box(5, 1, 1, 3, 3)]]
    with Image.open(pack_file) as image:
        image.seek(2)
        image.save(
            buffer, "RINR", save_all=True, append_images=[extra], boxes=boxes, preset=quick, steps=2
        )
        assert image.tell() == 2
    with Image.open(buffer) as back:
        assert back.n_frames == 6
        shown = [(f.size, f.mode, list(f.info["boxes"])) for f in ImageSequence.Iterator(back)]
    assert [item[2] for item in shown] == boxes
    assert [item[:2] for item in shown[-2:]] == [((48, 32), "RGB"), ((9, 5), "L")]
    path = tmp_path / "two.rinr"
    extra.save(path, save_all=True, append_images=[extra], preset=quick, steps=1)
    with Image.open(path) as back:
        names = [frame.info["name"] for frame in ImageSequence.Iterator(back)]
    assert names == ["two-000000", "two-000001"]


@pytest.mark.parametrize(
    ("options", "family"),
    [({}, "av1"), ({"background": "siren"}, "siren"), ({"preset": "paper"}, "siren")],
)
def test_the_background_is_the_default_or_the_one_that_is_asked_for(tmp_path, options, family):
    path = tmp_path / "x.rinr"
    Image.new("RGB", (16, 12), (200, 30, 60)).save(path, steps=1, **options)
    with rinrcodec.open(path) as file:
        assert [group.spec.family for group in file.groups] == [family]


def test_a_sequence_is_saved_with_one_network():
    frames = [Image.new("RGB", (20, 12), (40 * i, 90, 9)) for i in range(4)]
    buffer = io.BytesIO()
    options = {"preset": "fast", "background": "nerv", "steps": 1}
    frames[0].save(buffer, "RINR", save_all=True, append_images=frames[1:], **options)
    with rinrcodec.open(buffer) as file:
        assert len({file.frame(i).background for i in range(4)}) == 1


def test_one_frame_is_saved_unless_all_are_asked_for(pack_file, quick):
    buffer = io.BytesIO()
    with Image.open(pack_file) as image:
        image.seek(1)
        image.save(buffer, "RINR", preset=quick, steps=1)
    with Image.open(buffer) as back:
        assert (back.n_frames, back.size, back.mode) == (1, (40, 56), "L")
        # Metadata stay; boxes may not fit any more, so they stay only when they are passed.
        assert back.getexif()[0x010E] == "a picture"
        assert back.info["icc_profile"] == b"profile"
        assert back.info["xmp"] == b"<x:xmpmeta/>"
        assert back.info["boxes"] == ()


@pytest.fixture
def many(tmp_path: Path, pack: Pack) -> Path:
    """A pack so large that frames are read one by one."""
    path = tmp_path / "many.rinr"
    merged = merge_packs([pack] * 40)
    frames = tuple(replace(frame, name=f"{i}.jpg") for i, frame in enumerate(merged.frames))
    rinrcodec.save(replace(merged, frames=frames), path)
    return path


@pytest.mark.parametrize("way", ["path", "link", "bytes", "file"])
def test_a_pack_may_be_saved_over_itself(many, tmp_path, pack, way):
    link = tmp_path / "link.rinr"
    link.symlink_to(many)
    destination = {"path": many, "link": link, "bytes": os.fsencode(many), "file": str(many)}[way]
    with many.open("rb") as file, Image.open(file if way == "file" else many) as image:
        image.seek(1)
        image.save(destination, save_all=True, preset="fast", steps=1)
        assert image.tell() == 1
        # The image is still that which was opened.
        assert np.array_equal(np.asarray(image), pixels_of(pack, 1))
    assert link.is_symlink()
    with Image.open(many) as back:
        assert (back.n_frames, back.info["name"]) == (200, "many-000000")
        back.verify()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("options", [{"preset": "fastest"}, {"steps": 1, "save_all": True}])
def test_a_pack_stays_where_saving_over_it_fails(many, options):
    data = bytearray(many.read_bytes())
    with PackReader(many) as reader:
        directory = reader._directory
        run = directory.run(Kind.ROWS, reader.frame(1).background.group)
        data[directory.offsets[run.first]] ^= 0xFF
    many.write_bytes(data)
    with Image.open(many) as image:
        image.load()
        with pytest.raises((OSError, RinrInputError), match=r"many\.rinr: .*CRC-32|'fastest'"):
            image.save(many, **options)
    assert many.read_bytes() == data


def test_one_frame_stays_where_saving_over_it_fails(one_frame):
    data = one_frame.read_bytes()
    with Image.open(one_frame) as image:
        image.load()  # lets go of its file
        with pytest.raises(RinrInputError, match="fastest"):
            image.save(one_frame, preset="fastest")
        assert one_frame.read_bytes() == data
        image.save(one_frame, preset="fast", steps=1)
    assert one_frame.read_bytes() != data


def test_metadata_can_be_given_or_dropped(pack_file, quick):
    exif = Image.Exif()
    exif[0x010E] = "another"
    buffer = io.BytesIO()
    with Image.open(pack_file) as image:
        image.seek(1)
        image.save(buffer, "RINR", preset=quick, steps=1, exif=exif, icc_profile=None, xmp=b"<y/>")
        assert image.getexif()[0x010E] == "a picture"
    with Image.open(buffer) as back:
        assert back.getexif()[0x010E] == "another"
        assert "icc_profile" not in back.info
        assert back.info["xmp"] == b"<y/>"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "fastest"}, "unknown preset 'fastest'"),
        ({"steps": 0}, "steps=0"),
        ({"boxes": [(0, 1, 1, 2, 2)]}, r"got \(0, 1, 1, 2, 2\); expected a list of rinrcodec.Box"),
        ({"boxes": [[Box(0, 1, 1, 2, 2)]]}, r"got \[Box\(.*expected a list of rinrcodec.Box"),
        ({"boxes": Box(0, 1, 1, 2, 2)}, r"got Box\(.*expected a list of rinrcodec.Box"),
        ({"boxes": 5, "save_all": True}, "got 5; expected a list of rinrcodec.Box"),
        ({"boxes": [Box(0, 1, 1, 2, 2)], "save_all": True}, r"got Box\(.*for every frame"),
        ({"boxes": [], "save_all": True}, "0 lists of boxes for 1 pictures"),
    ],
)
def test_wrong_options_leave_no_file(tmp_path, options, message):
    path = tmp_path / "x.rinr"
    with pytest.raises(RinrInputError, match=message):
        Image.new("RGB", (8, 8)).save(path, **options)
    assert not path.exists()


def test_pillow_saves_smaller_backgrounds(tmp_path: Path) -> None:
    image, path = coarse_picture(48, 32, 1), tmp_path / "a.rinr"
    image.save(path, preset="fast", shrink=2)
    with rinrcodec.open(path) as source, Image.open(path) as opened:
        assert source.groups[0].spec["shrink"] == 2
        assert opened.size == (48, 32)
        assert np.array_equal(np.asarray(opened), source.decode(0).permute(1, 2, 0))


@pytest.mark.usefixtures("few_rounded")
def test_pillow_saves_for_a_target(tmp_path: Path) -> None:
    image, boxes = coarse_picture(24, 16, 1), [Box(0, -3, 2, 9, 20)]
    target = rinrcodec.Target(lmbda=0.1, objects_psnr=10)
    options = {"preset": "fast", "background": "pyramid", "steps": 8, "device": "cpu"}
    path = tmp_path / "a.rinr"
    image.save(path, boxes=boxes, target=target, **options)
    wanted = rinrcodec.encode([image], boxes=[boxes], target=target, **options)  # type: ignore[arg-type]
    with rinrcodec.open(path) as source:
        assert source.boxes(0) == tuple(boxes)
        assert source.read_rows(0, [0]).coded == wanted.stacks[0].rows.coded
    with Image.open(path) as opened:
        opened.thumbnail((8, 8))
        assert opened.size == (8, 5)
    with pytest.raises(RinrInputError, match="use pyramid"):
        image.save(tmp_path / "b.rinr", target=target, steps=8)
