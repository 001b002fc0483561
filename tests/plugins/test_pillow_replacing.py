"""`Image.save` over packs that are there: they stay until the new one is whole."""

from __future__ import annotations

import importlib
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import rinrcodec
from rinrcodec.errors import RinrInputError
from rinrcodec.plugins import pillow_plugin

rinrcodec.register_pillow()
FAST = {"preset": "fast", "background": "siren", "steps": 1}


def format_of(file: Path | io.BytesIO) -> str | None:
    with Image.open(file) as opened:
        return opened.format


@pytest.fixture
def image() -> Image.Image:
    return Image.linear_gradient("L").resize((12, 8)).convert("RGB")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.rinr"
    Image.new("L", (9, 7), 50).save(path, **FAST)
    return path


@pytest.mark.parametrize(
    "save",
    [
        lambda image, path: image.save(path, preset="fastest"),
        lambda image, path: image.save(str(path), "rinr", boxes=[3]),
        lambda image, path: image.save(os.fsencode(path), format="RINR", steps=0),
        lambda image, path: image.save(path, append_images=[image], boxes=[[]], **FAST),
        lambda image, path: image.save(path, append=True, preset="fastest"),
        lambda image, path: Image.Image.save(image, path, preset="fastest"),
    ],
)
def test_a_save_that_fails_leaves_the_pack(
    image: Image.Image, old: Path, save: Callable[[Image.Image, Path], None]
) -> None:
    data = old.read_bytes()
    with pytest.raises(RinrInputError):
        save(image, old)
    assert old.read_bytes() == data
    assert [path.name for path in old.parent.iterdir()] == ["old.rinr"]


def test_a_save_that_is_interrupted_leaves_the_pack(
    image: Image.Image, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    data = old.read_bytes()
    monkeypatch.setattr("rinrcodec.encoder.encode", interrupted)
    for path in (old, tmp_path / "new.rinr"):
        with pytest.raises(KeyboardInterrupt):
            image.save(path)
    assert old.read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["old.rinr"]


def test_a_full_disk_leaves_the_pack_and_names_it(
    image: Image.Image, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    data = old.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        image.save(old, **FAST)
    assert caught.value.filename == str(old)
    assert old.read_bytes() == data
    assert [path.name for path in old.parent.iterdir()] == ["old.rinr"]


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_modes_and_links_stay(image: Image.Image, old: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.rinr"
    link.symlink_to("old.rinr")
    for path in (old, link):
        data = old.read_bytes()
        old.chmod(0o600)
        image.save(path, **FAST, seed=len(data))
        assert stat.S_IMODE(old.stat().st_mode) == 0o600
        assert old.read_bytes() != data
    assert link.is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_special_files_are_refused_before_encoding(
    image: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rinrcodec.encoder.encode", None)
    (tmp_path / "a.rinr").mkdir()
    os.mkfifo(tmp_path / "b.rinr")
    (tmp_path / "c.rinr").symlink_to("gone")
    for name, words in (("a", "a folder"), ("b", "a FIFO"), ("c", "does not exist")):
        with pytest.raises(OSError, match=words):
            image.save(tmp_path / f"{name}.rinr")
    with pytest.raises(FileNotFoundError, match="its folder does not exist"):
        image.save(tmp_path / "no/a.rinr")


def test_other_formats_and_file_objects_are_saved_by_pillow_alone(
    image: Image.Image, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pillow_plugin, "write_whole", None)
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.rinr", "PNG")
    buffer = io.BytesIO()
    image.save(buffer, "RINR", **FAST)
    with Image.open(old) as opened:
        opened.save(tmp_path / "c.png")
    assert [format_of(tmp_path / name) for name in ("a.png", "b.rinr", "c.png")] == ["PNG"] * 3
    assert format_of(buffer) == "RINR"
    with pytest.raises(ValueError, match="unknown file extension"):
        image.save(tmp_path / "a.unknown")


def test_registering_again_wraps_once() -> None:
    save = Image.Image.save
    for _ in range(2):
        rinrcodec.register_pillow()
    importlib.reload(pillow_plugin)
    assert Image.Image.save is save
    assert save.__doc__ is not None
    assert save.__name__ == "save"


def test_a_pack_becomes_a_picture_of_another_format_under_its_name(old: Path) -> None:
    with Image.open(old) as opened:
        opened.save(old, "PNG")
    assert format_of(old) == "PNG"
