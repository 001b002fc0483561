"""Other codecs with one recipe each: its command gives the same files."""

from __future__ import annotations

import doctest
import os
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from PIL.ImageCms import ImageCmsProfile, createProfile

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError, RinrUsageError
from rinrcodec.evaluation import rival_files as rival_files_module
from rinrcodec.evaluation import rivals as rivals_module
from rinrcodec.evaluation import rows as rows_module
from rinrcodec.evaluation.baselines import CROP_HEADER_BYTES, available_codecs
from rinrcodec.evaluation.rival_files import SUFFIXES, write_rival
from rinrcodec.evaluation.rivals import Rival, encode_rival, measure_rivals
from rinrcodec.evaluation.rows import SOURCE, Recipe, shell_line
from rinrcodec.metrics import frame_quality
from rinrcodec.picture import Picture
from rinrcodec.sources.discover import open_source


@pytest.fixture(scope="module")
def pictures(make_picture):
    boxes = (Box(0, 20, 8, 30, 24), Box(0, 900, 0, 5, 5), Box(1, 40, 20, 16, 12))
    noise = np.random.default_rng(0).integers(-25, 25, (2, 64, 96, 1))
    smooth = np.stack([make_picture(96, 64, i) for i in range(2)])
    pixels = np.clip(smooth + noise, 0, 255).astype(np.uint8)
    return [Picture(f"{i}.png", pixels[i], boxes) for i in range(2)]


@pytest.fixture(scope="module")
def rows(pictures):
    notes = []
    rows = measure_rivals(
        pictures, 1500, options=["--labels", "l"], on_measured=lambda *note: notes.append(note)
    )
    assert [share for share, _ in notes] == sorted(share for share, _ in notes)
    for i, row in enumerate(rows):
        # Every picture is counted, so that the progress moves.
        tries = [what for share, what in notes if share == i / len(rows) and ", " in what]
        assert tries == [f"{row.name}, {n} tries" for n in range(1, len(tries) + 1)]
        assert len(tries) > 20
        assert ((i + 1) / len(rows), row.name) in notes
    return rows


def rival_of(row):
    """The rival that the command of a row asks for."""
    words = dict(zip(row.recipe.words[6::2], row.recipe.words[7::2], strict=True))
    crops = (words["--crops"], int(words["--crops-quality"])) if "--crops" in words else None
    return Rival(words["--codec"], int(words["--quality"]), int("--subsampling" in words), crops)


def test_every_codec_has_about_the_wanted_bytes(rows):
    *plain, composite = rows
    assert [row.name for row in plain] == ["JPEG", "WebP", "AVIF"]
    assert composite.name == "AVIF + crops"
    for row in rows:
        assert row.n_bytes == pytest.approx(1500, rel=0.15)
        assert not row.is_ours
        assert not row.at_fog
        assert row.speed.encode > 0 < row.speed.decode
        assert row.recipe.words[-2:] == ("--labels", "l")


def test_the_recipe_gives_the_frames_of_the_row(rows, pictures):
    for row in rows:
        rival = rival_of(row)
        for picture, frame in zip(pictures, row.frames, strict=True):
            coded = encode_rival(picture, rival)
            crops = sum(CROP_HEADER_BYTES + len(data) for _, data in coded.crops)
            assert frame.n_bytes == len(coded.data) + crops
            assert (coded.decode("RGB") == frame.pixels).all()
            assert frame.quality == frame_quality(picture.pixels, frame.pixels, picture.boxes)
    assert len(encode_rival(pictures[0], rival_of(rows[-1])).crops) == 2  # one box has no pixels


def test_a_line_is_the_same_codec_at_other_qualities(rows):
    for row in rows[:-1]:
        sizes = [point.n_bytes for point in row.line]
        assert len(sizes) >= 2
        assert sizes == sorted(sizes)
        assert sizes[0] < row.n_bytes < sizes[-1]
    assert rows[-1].line == ()


def test_crops_are_as_sharp_as_a_good_enough_background_allows(pictures):
    free, bound = (
        measure_rivals(pictures, 1500, background_psnr=least)[-1] for least in (None, 99.0)
    )
    assert free.inside > bound.inside
    assert free.outside < bound.outside


def test_without_boxes_there_are_no_crops_and_grey_stays_grey(make_picture):
    grey = np.ascontiguousarray(make_picture(48, 32)[..., 0])
    rows = measure_rivals([Picture("a.png", grey)], 400)
    assert len(rows) == len(available_codecs())
    assert all(row.frames[0].pixels.shape == (32, 48) for row in rows)


@pytest.fixture
def source(tmp_path, pictures):
    for name, picture in zip(("a/x.png", "a/x.webp"), pictures, strict=True):
        path = tmp_path / "frames" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.pixels).save(path, lossless=True)
        path.with_suffix(".txt").write_text("0 0.5 0.5 0.25 0.5\n", encoding="utf-8")
    return open_source(tmp_path / "frames")


def test_files_are_those_of_the_recipe(source, pictures, tmp_path):
    counts = []
    rival = Rival("webp", 40)
    size = write_rival(source, tmp_path / "out", rival, on_written=counts.append)
    files = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert [str(file.relative_to(tmp_path / "out")) for file in files] == [
        "a/x.png.webp", "a/x.webp.webp",
    ]  # fmt: skip
    assert [file.read_bytes() for file in files] == [
        encode_rival(picture, rival).data for picture in pictures
    ]
    assert size == sum(file.stat().st_size for file in files)
    assert counts == [1, 2]


def test_crops_can_be_pasted_where_their_names_say(source, pictures, tmp_path):
    rival = Rival("jpeg", 20, crops=("webp", 80))
    write_rival(source, tmp_path / "out", rival)
    name = "a/x.png"
    pixels = np.asarray(Image.open(tmp_path / f"out/frames/{name}.jpg")).copy()
    (crop,) = (tmp_path / f"out/crops/{name}").iterdir()
    assert crop.name == "000_36_16.webp"
    part = np.asarray(Image.open(crop))
    pixels[16 : 16 + part.shape[0], 36 : 36 + part.shape[1]] = part
    wanted = Picture(name, pictures[0].pixels, (Box(0, 36, 16, 24, 32),))
    assert (pixels == encode_rival(wanted, rival).decode("RGB")).all()


@pytest.mark.parametrize("codec", sorted(SUFFIXES))
def test_files_keep_the_profile_of_their_pictures(tmp_path, pictures, codec):
    profile = ImageCmsProfile(createProfile("sRGB")).tobytes()
    Image.fromarray(pictures[0].pixels).save(tmp_path / "x.png", icc_profile=profile)
    write_rival(open_source(tmp_path / "x.png"), tmp_path / "out", Rival(codec, 50))
    with Image.open(tmp_path / f"out/x{SUFFIXES[codec]}") as image:
        assert image.info["icc_profile"] == profile


def test_files_are_written_whole_or_not_at_all(source, tmp_path):
    out = tmp_path / "out"
    source.series[0].refs[1].path.write_bytes(b"no picture")
    with pytest.raises(RinrInputError, match=r"x\.webp"):
        write_rival(open_source(source.path), out, Rival("jpeg", 20))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames"]
    out.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RinrUsageError, match="out exists; give a new name"):
        write_rival(source, out, Rival("jpeg", 20))
    assert not (tmp_path / "elsewhere").exists()


def test_files_do_not_become_part_of_their_source(source):
    inside = source.path / "webp"
    with pytest.raises(RinrUsageError, match="would become part of the source"):
        write_rival(source, inside, Rival("webp", 20))
    assert not inside.exists()


@pytest.mark.parametrize(
    ("name", "codec"), [("new/x.avif", "avif"), ("X.JPEG", "jpeg"), ("x.webp", "webp")]
)
def test_one_image_is_written_to_a_file(source, tmp_path, name, codec):
    image = open_source(source.path / "a/x.png")
    counts = []
    size = write_rival(image, tmp_path / name, Rival(codec, 40), on_written=counts.append)
    with Image.open(tmp_path / name) as written:
        assert written.format == codec.upper()
    assert (tmp_path / name).stat().st_size == size
    assert counts == [1]


@pytest.mark.parametrize(
    ("name", "kind", "crops"),
    [
        ("x.png", "a/x.png", None),
        ("x.rinr", "a/x.png", None),
        ("x.avif", "", None),
        ("x.avif", "a/x.png", ("webp", 80)),
    ],
)
def test_names_of_other_files_are_refused(source, tmp_path, name, kind, crops):
    with pytest.raises(
        RinrUsageError, match=rf"{name}: expected the name of a folder, .* ends in .avif"
    ):
        write_rival(open_source(source.path / kind), tmp_path / name, Rival("avif", 40, 0, crops))
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_every_codec_has_a_suffix():
    assert sorted(SUFFIXES) == sorted(rivals_module.CODECS)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("a b", "cp 'a b'"),
        ("-x;rm", "cp './-x;rm'"),
        ("it's", """cp 'it'"'"'s'"""),
        ("a\nb'", "cp $'a\\x0ab\\x27'"),
        ("fr\udcff\u202e", "cp $'fr\\xff\\xe2\\x80\\xae'"),
    ],
)
def test_commands_can_be_pasted(source, line):
    assert Recipe("x", "", ("cp", SOURCE)).command(source) == line
    assert line.isprintable()


@pytest.mark.parametrize("name", ["a b", "it's", "a\nb'\\", "fr\udcff", "\u202e$(x)`y`"])
def test_a_shell_reads_the_words_that_were_written(name):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    line = shell_line(["printf", "%s", name])
    done = subprocess.run([bash, "-c", line], capture_output=True, check=True)
    assert done.stdout == os.fsencode(name)


@pytest.mark.parametrize("module", [rival_files_module, rivals_module, rows_module])
def test_the_examples_run(module):
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0
