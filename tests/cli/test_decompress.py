"""Packs become pictures and labels again, under their old names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import rinrcodec
from rinrcodec.datasets.names import output_names
from rinrcodec.decoder import decode
from rinrcodec.formats import PackReader, read_pack, write_pack
from rinrcodec.formats.header import SECTIONS
from rinrcodec.pack import merge_packs, select_frames

from .conftest import LABELS, QUICK, Run, picture, put, write


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


@pytest.fixture
def packs(run: Run, dataset: Path, tmp_path: Path) -> Path:
    run("compress", dataset, "-o", tmp_path / "packs", *QUICK)
    return tmp_path / "packs"


@pytest.mark.parametrize("layout", ["pack", "files"])
@pytest.mark.parametrize("source", ["data.yaml", ""])
def test_a_data_set_comes_back_with_its_labels(
    run: Run, dataset: Path, tmp_path: Path, layout: str, source: str
) -> None:
    run("compress", dataset, "-o", tmp_path / "packs", "--layout", layout, *QUICK)
    out = tmp_path / "out"
    run("decompress", tmp_path / "packs" / source, "-o", out, "--device", "cpu")
    assert files(out) == sorted(
        ["data.yaml"]
        + [f"images/{name}.png" for name in LABELS]
        + [f"labels/{name}.txt" for name in LABELS]
    )
    for name, text in LABELS.items():
        assert (out / f"labels/{name}.txt").read_text() == text
        assert opened(out / f"images/{name}.png").size == (24, 16)
    assert yaml.safe_load((out / "data.yaml").read_text()) == {
        "train": "images/train",
        "val": "images/val",
        "names": {0: "person", 1: "car", 2: "bus"},
    }
    # What came back is a data set that can be compressed again.
    run("compress", out / "data.yaml", "-o", tmp_path / "again", *QUICK)


def test_pixels_are_those_of_the_decoder(run: Run, packs: Path, tmp_path: Path) -> None:
    pack = packs / "train/train-00000.rinr"
    with rinrcodec.open(pack) as file:
        expected = [pixels.permute(1, 2, 0).numpy() for pixels in file.decode([0, 1])]
    for kind in ("png", "webp", "npy"):
        out = tmp_path / kind
        run("decompress", pack, "-o", out, "--format", kind, "--device", "cpu")
        assert files(out) == [f"a.{kind}", f"b.{kind}"]
        for name, pixels in zip("ab", expected, strict=True):
            path = out / f"{name}.{kind}"
            written = np.load(path) if kind == "npy" else np.asarray(opened(path))
            np.testing.assert_array_equal(written, pixels)


def test_grey_comes_back_grey(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "grey.png", picture(1).convert("L"))
    run("compress", tmp_path / "grey.png", "-o", tmp_path / "grey.rinr", *QUICK)
    for kind in ("png", "jpg", "npy"):
        run("decompress", tmp_path / "grey.rinr", "-o", tmp_path / kind, "--format", kind)
    assert opened(tmp_path / "png/grey.png").mode == "L"
    assert opened(tmp_path / "jpg/grey.jpg").mode == "L"
    assert np.load(tmp_path / "npy/grey.npy").shape == (16, 24)


def test_metadata_comes_back(run: Run, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif[0x0112] = 3
    xmp = "<x:xmpmeta>ünï</x:xmpmeta>".encode()
    put(tmp_path / "a.jpg", picture(1), exif=exif, icc_profile=b"a profile", xmp=xmp)
    run("compress", tmp_path / "a.jpg", "-o", tmp_path / "a.rinr", *QUICK)
    original = opened(tmp_path / "a.jpg").info["exif"]
    # The picture is upright now, and its tag says so. Every other byte is unchanged.
    at = original.index(b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x03") + 9
    upright = original[:at] + b"\x01" + original[at + 1 :]
    for kind in ("png", "jpg", "webp"):
        run("decompress", tmp_path / "a.rinr", "-o", tmp_path / kind, "--format", kind)
        info = opened(tmp_path / kind / f"a.{kind}").info
        assert info["exif"].removeprefix(b"Exif\0\0") == upright.removeprefix(b"Exif\0\0")
        assert info["icc_profile"] == b"a profile"
        assert info["xmp"] == xmp


def test_metadata_too_large_for_a_jpeg_is_a_warning(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "a.png", picture(1), exif=b"Exif\0\0II*\0" + bytes(70_000))
    run("compress", tmp_path / "a.png", "-o", tmp_path / "a.rinr", *QUICK)
    out = tmp_path / "out"
    result = run("decompress", tmp_path / "a.rinr", "-o", out, "--format", "jpg")
    assert "EXIF is too large for a JPEG" in result.stderr
    assert "exif" not in opened(out / "a.jpg").info


def test_labels_of_a_plain_pack(run: Run, packs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("decompress", packs / "val/val-00000.rinr", "-o", out, "--labels")
    assert files(out) == ["data.yaml", "images/s/c.png", "labels/s/c.txt"]
    assert (out / "labels/s/c.txt").read_text() == LABELS["val/s/c"]


def test_existing_files_are_kept_without_overwrite(run: Run, packs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out / "images/train/b.png", "mine")
    result = run("decompress", packs, "-o", out, code=2)
    assert "b.png is already there; --overwrite replaces it" in result.stderr
    assert files(out) == ["images/train/b.png"]
    assert (out / "images/train/b.png").read_text() == "mine"
    run("decompress", packs, "-o", out, "--overwrite")
    assert opened(out / "images/train/b.png").size == (24, 16)


def test_a_damaged_pack_does_not_stop_the_others(run: Run, packs: Path, tmp_path: Path) -> None:
    pack = packs / "train/train-00000.rinr"
    pack.write_bytes(pack.read_bytes()[:-9])
    out = tmp_path / "out"
    result = run("decompress", packs, "-o", out, "--json", "-", code=1)
    assert "train-00000.rinr" in result.stderr
    assert files(out) == ["data.yaml", "images/val/s/c.png", "labels/val/s/c.txt"]
    assert len(json.loads(result.stdout)["failures"]) == 1


@pytest.fixture
def half_damaged(run: Run, folder: Path, tmp_path: Path) -> Path:
    """A pack of two frames; the weights of the second cannot be read."""
    parts = []
    for number, preset in enumerate(("paper", "fast")):
        path = tmp_path / f"{preset}.rinr"
        run("compress", folder / f"{number}.png", "-o", path, *QUICK, "--preset", preset)
        parts.append(read_pack(path))
    path = tmp_path / "half/both.rinr"
    path.parent.mkdir()
    write_pack(path, merge_packs(parts))
    with PackReader(path) as reader:
        assert len(reader.groups) == 2
        lengths = reader.header.sections[: SECTIONS.index("weights") + 1]
        end_of_weights = reader.header.data_start + sum(lengths)
    data = bytearray(path.read_bytes())
    data[end_of_weights - 1] ^= 1
    path.write_bytes(data)
    return path


def test_sound_frames_of_a_damaged_pack_are_written(
    run: Run, half_damaged: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = run("decompress", half_damaged, "-o", out, "--labels", "--json", "-", code=1)
    assert files(out) == ["images/0.png", "labels/0.txt"]
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {out / 'images/1.png'} cannot be made: {half_damaged}")
    figures = json.loads(result.stdout)
    assert (figures["frames"], figures["failed_frames"]) == (1, 1)
    result = run("decompress", half_damaged, "-o", out, "--overwrite", code=1)
    assert "frames: 1 of 2" in result.stdout


@pytest.mark.parametrize("command", ["decompress", "info", "verify"])
def test_a_pack_that_cannot_be_opened_does_not_stop_the_others(
    run: Run, packs: Path, tmp_path: Path, command: str
) -> None:
    (packs / "train/train-00000.rinr").unlink()
    (packs / "train/train-00000.rinr").symlink_to(tmp_path / "gone")
    (packs / "data.yaml").unlink()
    (packs / "manifest.json").unlink()
    out = tmp_path / "out"
    result = run(command, packs, *(["-o", out] if command == "decompress" else []), code=1)
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert "train-00000.rinr" in line
    assert "No such file" in line or "no such file" in line
    if command == "decompress":
        assert files(out) == ["s/c.png"]
        assert f", in {out}" in result.stdout
    if command == "info":
        assert "val-00000.rinr" in result.stdout


def test_a_split_without_packs_is_an_error(run: Run, packs: Path, tmp_path: Path) -> None:
    (packs / "val/val-00000.rinr").unlink()
    for command in ("info", "verify"):
        result = run(command, packs / "data.yaml", code=1)
        assert "val: no .rinr file in val" in result.stderr
    assert run("info", tmp_path / "set", code=1).stdout == ""


def test_folders_without_packs_are_an_error(run: Run, tmp_path: Path) -> None:
    result = run("decompress", tmp_path, "-o", tmp_path / "out", code=1)
    assert "no .rinr file in this folder" in result.stderr
    result = run(
        "decompress", write(tmp_path / "x.yaml", "train: gone\n"), "-o", tmp_path / "o", code=1
    )
    assert "no .rinr file in gone" in result.stderr


def test_two_packs_with_the_same_names(run: Run, folder: Path, tmp_path: Path) -> None:
    for subfolder in ("x", "y"):
        run("compress", folder / "0.png", "-o", tmp_path / "in" / subfolder, *QUICK)
    result = run("decompress", tmp_path / "in", "-o", tmp_path / "out")
    assert files(tmp_path / "out") == ["0.png", "0~2.png"]
    assert "warning: 1 frame got another file name, such as 0~2.png for 0.png" in result.stderr
    result = run("decompress", tmp_path / "in/x", "-o", tmp_path / "one")
    assert "another file name" not in result.stderr


def test_output_names_never_collide() -> None:
    assert output_names(["a.jpg", "b/a.png", "v1.2", "x"], ".png") == [
        "a.png",
        "b/a.png",
        "v1.2.png",
        "x.png",
    ]
    assert output_names(["000.jpg", "000.png"], ".png") == ["000.jpg.png", "000.png.png"]
    assert output_names(["a.jpg", "A.jpg", "a.jpg"], ".txt") == [
        "a.jpg.txt",
        "A.jpg~2.txt",
        "a.jpg~3.txt",
    ]
    (long,) = output_names(["ü" * 125 + ".jpg"], ".webp")
    assert len(long.encode()) == 255
    assert output_names(["n" * 300, "n" * 301], ".png")[0] != output_names(["n" * 301], ".png")[0]


def test_pictures_too_large_for_a_format_are_listed(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "in/thin.png", picture(1, width=16_400, height=1))
    put(tmp_path / "in/zero.png", picture(2))
    run("compress", tmp_path / "in", "-o", tmp_path / "p", *QUICK)
    out = tmp_path / "out"
    result = run("decompress", tmp_path / "p", "-o", out, "--format", "webp", code=1)
    assert "at most 16,383 a side: use --format png" in result.stderr
    assert files(out) == ["zero.webp"]


def test_info_and_verify(run: Run, packs: Path, tmp_path: Path) -> None:
    pack = packs / "train/train-00000.rinr"
    text = run("info", packs, "--frames").stdout
    group = "group 0: 2 rows of AV1 temporal units"
    for word in ("preset: fast, av1", "seed: 0", group, "overhead", "a.png"):
        assert word in text
    first, second = json.loads(run("info", packs, "--files", "--json").stdout)
    assert first["file"] == str(pack)
    assert second["frames"] == 1
    parts = ("payload", "boxes", "metadata", "overhead")
    assert first["bytes"] == pack.stat().st_size == sum(first[part] for part in parts)
    assert "2 files are sound" in run("verify", packs).stdout
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    write(tmp_path / "text.rinr", "text")
    result = run("verify", packs, tmp_path / "text.rinr", tmp_path / "set", code=1)
    bad = result.stderr.splitlines()
    assert len(bad) == 3
    assert any(line.startswith(f"error: {pack}") for line in bad)
    report = json.loads(run("verify", packs, "--json", "-", code=1).stdout)
    assert report["files"] == 2
    assert list(report["bad"]) == [str(pack)]
    run("info", tmp_path / "text.rinr", code=1)


def test_merged_packs_decode_as_their_parts(packs: Path, tmp_path: Path) -> None:
    parts = [read_pack(path) for path in sorted(packs.rglob("*.rinr"))]
    merged = merge_packs(parts)
    write_pack(tmp_path / "m.rinr", merged)
    with PackReader(tmp_path / "m.rinr") as reader:
        assert [reader.frame(i).name for i in range(3)] == ["a.png", "b.png", "s/c.png"]
    single = select_frames(merged, [2])
    np.testing.assert_array_equal(decode(single, 0).numpy(), decode(parts[1], 0).numpy())
    assert single.frames[0].boxes == parts[1].frames[0].boxes


@pytest.mark.parametrize(
    ("args", "made"),
    [
        (["--labels", "{}"], "labels"),
        (["{}", "--labels"], "labels"),
        (["--labels", "--quiet", "{}"], "labels"),
        (["--labels", "yolo", "{}"], "labels"),
        (["--labels", "coco", "{}"], "annotations.json"),
        (["{}", "--labels=voc"], "Annotations"),
        (["{}", "--labels", "voc"], "Annotations"),
    ],
)
def test_labels_have_a_format_or_none(
    run: Run, packs: Path, tmp_path: Path, args: list[str], made: str
) -> None:
    out = tmp_path / "out"
    pack = packs / "train/train-00000.rinr"
    run("decompress", "-o", out, *(arg.format(pack) for arg in args))
    names = {"labels": {"data.yaml"}, "Annotations": {"classes.txt"}}.get(made, set())
    assert {path.name for path in out.iterdir()} == {"images", made} | names


def test_an_unknown_label_format_is_a_usage_error(run: Run, packs: Path, tmp_path: Path) -> None:
    for args in (["--labels", "labelme", packs], [packs, "--labels", "labelme"]):
        result = run("decompress", *args, "-o", tmp_path / "out", code=2)
        assert "'labelme' is no format of labels (yolo, coco, voc), and no file" in result.output
    result = run("decompress", packs, "--labels=labelme", "-o", tmp_path / "out", code=2)
    assert "'labelme' is not one of 'yolo', 'coco', 'voc'" in result.output


def test_quiet_still_reports_lost_labels(run: Run, packs: Path, tmp_path: Path) -> None:
    pack = read_pack(packs / "val/val-00000.rinr")
    crowd = replace(pack.frames[0].boxes[0], crowd=True)
    frame = replace(pack.frames[0], boxes=(crowd, *pack.frames[0].boxes[1:]))
    write_pack(tmp_path / "a.rinr", replace(pack, frames=(frame,)))
    result = run("decompress", tmp_path / "a.rinr", "-o", tmp_path / "out", "--labels", "--quiet")
    lost = "YOLO labels cannot hold crowds, which are left out (1 box)"
    assert result.output == f"warning: {lost}; --labels coco keeps them\n"


def test_a_pack_without_a_readable_frame_leaves_no_folder(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "bad.rinr", "no pack")
    result = run("decompress", tmp_path / "bad.rinr", "-o", tmp_path / "out", code=1)
    assert result.stdout.startswith("frames: 0 of 0, packs: 0, seconds: ")
    assert ", in " not in result.stdout
    assert not (tmp_path / "out").exists()
