"""Names of frames become names of files on any file system, and never two alike."""

from __future__ import annotations

import errno
import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rinrcodec
from rinrcodec import Box
from rinrcodec.datasets import unpack
from rinrcodec.datasets.names import fit_name, output_names, safe_name
from rinrcodec.errors import RinrError
from rinrcodec.formats.checks import check_name
from rinrcodec.limits import DEFAULT_LIMITS
from rinrcodec.picture import Picture
from rinrcodec.sources.picture_names import frame_stem

from .conftest import contents

SUFFIXES = (".png", ".jpg", ".webp", ".npy", ".txt", ".xml", ".rinr")
WORDS = st.sampled_from(
    [
        *("a", "A", "b", "é", "e\u0301", "É", "ß", "ss", "ﬁ", "fi", "CON", "nul", "Com1", "aux."),
        *("a.png", "a.jpg", "a.PNG", "a~2", "a~2.png", "a.txt", "b.jpg", "..jpg", ".jpg", "a."),
        *("a ", " ", ".", "-rf", ".rinr-work", "a\nb", "a\x1b", "\u2028", "\x85", "a:b", "a\\b"),
        *("x" * 250, "x" * 251, "x" * 256, "ü" * 140, "y." + "z" * 300),
    ]
)
NAMES = st.lists(
    st.one_of(
        st.lists(WORDS, min_size=1, max_size=4).map("/".join),
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
        st.integers(200, 400).map(lambda n: "/".join("d" * 3 for _ in range(n))),
    ),
    max_size=12,
)


def accepted(name: str) -> bool:
    try:
        check_name(name, DEFAULT_LIMITS)
    except RinrError:
        return False
    return True


def key(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


@settings(max_examples=40)
@given(NAMES)
def test_any_names(names: list[str]) -> None:
    names = [name for name in names if accepted(name)]
    by_suffix = {suffix: output_names(names, suffix) for suffix in SUFFIXES}
    stems = {tuple(path.removesuffix(s) for path in paths) for s, paths in by_suffix.items()}
    assert len(stems) == 1, "pictures and labels have the same stems"
    files = {key(path) for paths in by_suffix.values() for path in paths}
    assert len(files) == len(names) * len(SUFFIXES), "no two are alike"
    for path in by_suffix[".png"]:
        steps = path.split("/")
        assert len(path.encode()) <= 1400
        assert not {"", ".", ".."} & set(steps)
        assert all(len(step.encode()) <= 255 for step in steps)
        assert not any(unicodedata.category(one) in ("Cc", "Zl", "Zp") for one in path)
        assert not any(
            step.split(".")[0].strip().lower() in ("con", "nul", "com1") for step in steps
        )
        assert not any(step.startswith(".rinr-") or step[-1] in ". " for step in steps[:-1])
        for number in range(1, len(steps)):
            assert key("/".join(steps[:number])) not in files, "a folder has the name of a file"


@settings(max_examples=40)
@given(NAMES)
def test_names_are_stable(names: list[str]) -> None:
    names = [name for name in names if accepted(name)]
    assert output_names(names, ".png") == output_names(names, ".png")
    for name in names:
        assert safe_name(safe_name(name)) == safe_name(name)


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["-rf.jpg", "12:30.png", "ä b.bmp"], ["-rf.png", "12:30.png", "ä b.png"]),
        (["é.jpg", "e\u0301.png"], ["é.jpg.png", "e\u0301.png.png"]),
        (["é.jpg", "e\u0301.jpg"], ["é.jpg.png", "e\u0301.jpg~2.png"]),
        (["a.jpg", "a.png/b.jpg", "a/b.jpg"], ["a.png", "a.png_/b.png", "a/b.png"]),
        (["PRN.jpg", "x/lpt9.tar.png"], ["PRN_.png", "x/lpt9_.tar.png"]),
        (["d./a.jpg", "d /a.jpg"], ["d._/a.png", "d _/a.png"]),
        (["a\n.jpg", "a\t.jpg"], ["a_.jpg.png", "a_.jpg~2.png"]),
        ([".rinr-work/a.png"], ["_.rinr-work/a.png"]),
        (["..jpg", "...jpg"], ["..jpg.png", "...jpg.png"]),
    ],
)
def test_examples(names: list[str], files: list[str]) -> None:
    assert output_names(names, ".png") == files


def test_many_equal_names_take_no_time() -> None:
    paths = output_names(["a.jpg"] * 20_000, ".png")
    assert len(set(paths)) == 20_000
    assert paths[-1] == "a~20000.png"


def test_a_long_suffix_is_cut_too() -> None:
    assert len(fit_name("a." + "b" * 300)) == 255
    assert fit_name("a" * 300 + ".rinr").endswith(".rinr")
    assert frame_stem("a/..jpg") == "a/."


def pack(path: Path, names: Sequence[str]) -> Path:
    pictures = [
        Picture(name, np.full((8, 8, 3), 20 * i, np.uint8), (Box(0, 1, 1, 4, 4),))
        for i, name in enumerate(names)
    ]
    made = rinrcodec.encode(pictures, preset="fast", steps=1, background="siren", device="cpu")
    rinrcodec.save(made, path)
    return path


ODD = ["A.jpg", "a.png", "a.png/x.jpg", "nul.jpg", "n" * 240 + "é.jpg", "d" * 260 + "/b.jpg"]
ODD += ["s\n/c\x1b.jpg", "e\u0301.jpg", "é.jpg", "f./g.jpg", "q/" * 600 + "h.jpg", "-x.jpg"]


@pytest.mark.parametrize("labels", ["yolo", "voc", "coco"])
@pytest.mark.parametrize("kind", ["png", pytest.param("webp", marks=pytest.mark.slow)])
def test_decompress_writes_every_frame(tmp_path: Path, labels: str, kind: str) -> None:
    source = pack(tmp_path / "p.rinr", ODD)
    options = {"labels": labels, "format": kind, "device": "cpu"}
    result = rinrcodec.decompress(source, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert (result.frames, result.failures) == (len(ODD), ())
    found = contents(tmp_path / "out")
    pictures = {
        name.removeprefix("images/").removesuffix(f".{kind}")
        for name in found
        if name.startswith("images/")
    }
    assert len(pictures) == len(ODD)
    if labels == "coco":
        images = json.loads(found["annotations.json"])["images"]
        listed = {one["file_name"].removesuffix(f".{kind}") for one in images}
    else:
        folder, suffix = {"yolo": ("labels/", ".txt"), "voc": ("Annotations/", ".xml")}[labels]
        texts = [name for name in found if name.startswith(folder)]
        listed = {name.removeprefix(folder).removesuffix(suffix) for name in texts}
    assert listed == pictures


@pytest.mark.parametrize("labels", [False, "yolo", "voc", "coco"])
def test_a_frame_that_cannot_be_written_does_not_stop_the_others(
    tmp_path: Path, labels: str | bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pack(tmp_path / "p.rinr", ["a.jpg", "b.jpg", "s/c.jpg", "d.jpg"])
    out = tmp_path / "out"
    images = out / "images" if labels else out
    write = unpack.write_picture

    def short_names_only(path: Path, data: bytes) -> None:
        if path.stem in {"b", "c"}:
            raise OSError(errno.ENAMETOOLONG, "File name too long", str(path))
        write(path, data)

    monkeypatch.setattr(unpack, "write_picture", short_names_only)
    options = {"labels": labels, "device": "cpu", "overwrite": True}
    result = rinrcodec.decompress(source, out, **options)  # type: ignore[arg-type]
    assert (result.frames, result.failed_frames) == (2, 2)
    assert [text.partition(" cannot be written: ")[0] for text in result.failures] == [
        str(images / "b.png"),
        str(images / "s/c.png"),
    ]
    found = contents(out)
    stems = {Path(name).stem for name in found if name.endswith((".png", ".txt", ".xml"))}
    assert stems <= {"a", "d", "classes"}
    if labels == "coco":
        listed = [one["file_name"] for one in json.loads(found["annotations.json"])["images"]]
        assert listed == ["a.png", "d.png"]


def test_compress_to_a_file_for_each_picture(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "frames"
    for name in ("a.png", "A.png", "con.png", "g/a.rinr/b.png", "n" * 250 + ".png"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(file)
    Image.new("RGB", (8, 8)).save(folder / "bad\\..\\c.png")
    options = {"background": "siren", "preset": "fast", "steps": 1, "device": "cpu"}
    result = rinrcodec.compress(folder, tmp_path / "o", layout="files", **options)  # type: ignore[arg-type]
    (failure,) = result.failures
    assert "'..'" in failure
    names = sorted(name for name in contents(tmp_path / "o") if name.endswith(".rinr"))
    assert len(names) == 5
    assert {"A.png.rinr", "a.png~2.rinr", "con_.rinr", "g/a.rinr_/b.rinr"} <= set(names) | {
        "a.png.rinr",
        "A.png~2.rinr",
    }


def test_packs_of_folders_and_pictures_with_odd_names(tmp_path: Path) -> None:
    from PIL import Image

    options = {"background": "siren", "preset": "fast", "steps": 1, "device": "cpu"}
    folder = tmp_path / "odd\n\x1b"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "nul.png")
    rinrcodec.compress(folder, tmp_path / "a", **options)  # type: ignore[arg-type]
    rinrcodec.compress(folder / "nul.png", tmp_path / "b", **options)  # type: ignore[arg-type]
    found = [sorted(one.name for one in (tmp_path / o).glob("*.rinr")) for o in "ab"]
    assert found == [["odd__-00000.rinr"], ["nul_.rinr"]]
    again = rinrcodec.compress(folder, tmp_path / "a", resume=True, **options)  # type: ignore[arg-type]
    assert again.nothing_to_do
