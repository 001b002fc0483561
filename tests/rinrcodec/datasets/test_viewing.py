"""What `rinrcodec view` shows: the frames of many packs, their pictures, and where bytes go."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image
from view_packs import folder_of, many, small_pack, with_broken_frame

import rinrcodec
from rinrcodec.datasets.viewing.album import Album
from rinrcodec.datasets.viewing.parts import PackParts
from rinrcodec.datasets.viewing.pictures import ERROR_GAIN, decoded, error_of
from rinrcodec.datasets.viewing.sources import SourcePictures
from rinrcodec.display.thumbnails import encode_picture
from rinrcodec.errors import RinrFormatError, RinrInputError, RinrLimitError
from rinrcodec.formats import PackReader
from rinrcodec.limits import Limits

from .conftest import picture, put, video, write

VECTORS = Path(__file__).parents[2] / "formats/vectors/v1"


def test_frames_are_numbered_through_all_packs(pack_file: Path, tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.rinr", "no pack")
    paths = [pack_file, bad, VECTORS / "one_frame.rinr", pack_file, tmp_path / "gone.rinr"]
    with Album(paths) as album:
        assert len(album) == 4
        assert [album.at(n) for n in range(4)] == [(0, 0), (0, 1), (0, 2), (1, 0)]
        assert [album.file(n).frame(0).name for n in range(2)] == ["0.png", "val/cam 0/000001.jpg"]
        assert [pack.n_frames for pack in album.packs] == [3, 1]
        assert album.packs[0].n_bytes == pack_file.stat().st_size
        assert album.bad.keys() == {str(bad), str(tmp_path / "gone.rinr")}
        assert "no such file" in album.bad[str(tmp_path / "gone.rinr")]
        for number in (-1, 4):
            with pytest.raises(IndexError):
                album.at(number)
    with pytest.raises(IndexError):
        album.at(0)


def test_few_files_stay_open(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.rinr" for i in range(12)]
    for i, path in enumerate(paths):
        rinrcodec.save(many(small_pack(), i + 1), path)
    with Album(paths) as album:
        files = [album.file(i) for i in range(12)]
        for file in files[:4]:
            with pytest.raises((ValueError, OSError)):
                file.frame(0)
        assert [len(file) for file in files] == [*range(1, 13)]
        assert album.file(11).frame(11).name == "00011.png"
        assert album.file(11) is files[11]


def test_the_parts_of_a_pack_are_its_bytes(pack_file: Path) -> None:
    for path in (pack_file, *(VECTORS / f"{name}.rinr" for name in ("cells", "features"))):
        with PackReader(path) as reader:
            parts = PackParts(reader)
            summed = parts.background + parts.objects + parts.boxes + parts.metadata + parts.other
            assert summed == parts.file == path.stat().st_size
            frames = [parts.of_frame(reader, frame) for frame in reader.all_frames()]
        assert sum(one.boxes for one in frames) == pytest.approx(parts.boxes)
        assert 0 < sum(one.background for one in frames) < parts.background + 1e-6
        # Cells and the lengths of rows belong to no frame.
        assert sum(one.objects for one in frames) < parts.objects + 1e-6


def test_shared_bytes_count_in_equal_parts(tmp_path: Path) -> None:
    pack = small_pack()
    rinrcodec.save(pack, tmp_path / "a.rinr")
    rinrcodec.save(many(pack, 30), tmp_path / "b.rinr")
    shares = []
    for name in ("a", "b"):
        with PackReader(tmp_path / f"{name}.rinr") as reader:
            shares.append(PackParts(reader).of_frame(reader, reader.frame(0)))
    alone, shared = shares
    assert (alone.background_frames, shared.background_frames) == (1, 10)
    assert shared.background == pytest.approx(alone.background / 10)
    assert shared.objects == pytest.approx(alone.objects / 10)


@pytest.mark.slow
def test_a_group_may_serve_backgrounds_and_objects(tmp_path: Path) -> None:
    frames = [np.asarray(picture(i, 32, 24)) for i in range(2)]
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    frames[0] = frames[0].copy()
    frames[0][4:16, 8:24] = noise
    target = rinrcodec.Target(quality=1, objects_quality=95)
    pack = rinrcodec.encode(
        frames,
        boxes=[[rinrcodec.Box(0, 8, 4, 16, 12)], []],
        preset="fast",
        target=target,
        device="cpu",
    )
    assert len(pack.stacks) == 1
    rinrcodec.save(pack, tmp_path / "a.rinr")
    with PackReader(tmp_path / "a.rinr") as reader:
        parts = PackParts(reader)
        first, second = (parts.of_frame(reader, frame) for frame in reader.all_frames())
    assert 0 < first.objects <= parts.objects
    assert second.objects == 0
    assert first.background + second.background <= parts.background < parts.objects


def test_the_table_of_objects_is_read_within_bounds(pack_file: Path) -> None:
    with PackReader(pack_file) as reader:
        group, row = reader.object_rows()
        assert list(zip(group.tolist(), row.tolist(), strict=True)) == [
            (2, 0), (2, 0), (2, 1), (2, 1), (3, 0), (3, 0)
        ]  # fmt: skip
        assert reader.n_boxes == 6
    limits = Limits(max_verify_bytes=-32 * pack_file.stat().st_size)
    with PackReader(pack_file, limits=limits) as reader, pytest.raises(RinrLimitError):
        reader.object_rows()


def test_pictures_of_a_frame(pack_file: Path) -> None:
    with rinrcodec.open(pack_file) as file:
        whole = decoded(file, 0)
        assert whole.shape == (12, 20, 3)
        assert (whole == file.decode(0).numpy().transpose(1, 2, 0)).all()
        assert (whole != decoded(file, 0, objects=False)).any()
        assert decoded(file, 0, side=10).shape == (6, 10, 3)
        assert decoded(file, 2).shape == (14, 20, 3)  # grey
    for lossless, compact, kind in (
        (True, False, "png"),
        (True, True, "webp"),
        (False, False, "webp"),
    ):
        encoded = encode_picture(whole, lossless=lossless, compact=compact)
        assert encoded.media_type == f"image/{kind}"
        with Image.open(io.BytesIO(encoded.data)) as image:
            assert image.size == (20, 12)
            assert image.format == kind.upper()
            assert (np.asarray(image) == whole).all() == lossless
    with Image.open(io.BytesIO(encode_picture(whole, side=5).data)) as image:
        assert image.size == (5, 3)
    image = Image.fromarray(whole)
    encode_picture(image, side=5)
    assert image.size == (20, 12)  # the caller's own is left alone


def test_the_error_is_amplified_and_does_not_wrap() -> None:
    source = np.array([[[0, 10, 255], [7, 0, 200]]], np.uint8)
    other = np.array([[[1, 5, 0], [7, 255, 201]]], np.uint8)
    expected = np.minimum(np.abs(source.astype(int) - other) * ERROR_GAIN, 255)
    assert (error_of(source, other) == expected).all()
    with pytest.raises(RinrInputError, match="2x1 pixels, the frame 1x2"):
        error_of(source, other.reshape(2, 1, 3))


def test_sources_are_found_by_name(tmp_path: Path) -> None:
    folder = folder_of(small_pack(), tmp_path / "frames")
    put(folder / "grey.png", Image.new("I;16", (4, 2), 7510))
    sources = SourcePictures(folder)
    info: dict[str, str] = {}
    assert sources.pixels("0.png", Path("a.rinr"), info).shape == (12, 20, 3)
    with pytest.raises(RinrInputError, match="frames has no picture of that name"):
        sources.pixels("9.png", Path("a.rinr"), info)
    advice = f"; give the folder that contains it, such as {folder}$"
    with pytest.raises(RinrInputError, match=advice):
        SourcePictures(tmp_path).pixels("0.png", Path("a.rinr"), info)
    # As the pack was made, or as by default where its note is none.
    ranged = {"depth_range": json.dumps([7000, 8020])}
    assert sources.pixels("grey.png", Path("a.rinr"), ranged)[0, 0].tolist() == [128] * 3
    for note in ("[1]", "nonsense", "{}"):
        dark = sources.pixels("grey.png", Path("a.rinr"), {"depth_range": note})
        assert dark[0, 0].tolist() == [29] * 3
    write(folder / "0.png", "no picture any more")
    with pytest.raises(RinrInputError, match=r"0\.png"):
        sources.pixels("0.png", Path("a.rinr"), info)


def test_splits_may_have_pictures_of_one_name(tmp_path: Path) -> None:
    for split, seed in (("train", 0), ("val", 1)):
        put(tmp_path / f"images/{split}/a.png", picture(seed))
    text = "train: images/train\nval: images/val\nnames: [car]\n"
    sources = SourcePictures(write(tmp_path / "data.yaml", text))
    for split, seed in (("train", 0), ("val", 1)):
        pixels = sources.pixels("a.png", Path(f"{split}-00003.rinr"), {})
        assert (pixels == np.asarray(picture(seed))).all()
    with pytest.raises(RinrInputError, match="has 2 pictures of that name"):
        sources.pixels("a.png", Path("other.rinr"), {})


def test_a_video_has_no_picture_files(tmp_path: Path) -> None:
    with pytest.raises(RinrInputError, match="is a video"):
        SourcePictures(video(tmp_path / "film.avi", 3))


def test_a_frame_of_an_unknown_family_does_not_stop_others(tmp_path: Path) -> None:
    pack = with_broken_frame(small_pack())
    rinrcodec.save(replace(pack, info=MappingProxyType({})), tmp_path / "a.rinr")
    with Album([tmp_path / "a.rinr"]) as album:
        assert decoded(album.file(0), 2).shape == (14, 20, 3)
        with pytest.raises(RinrFormatError, match="nosuch"):
            decoded(album.file(0), 3)
