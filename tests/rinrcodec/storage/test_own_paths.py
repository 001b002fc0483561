"""Nothing is written or removed through a link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rinrcodec.storage.own_paths import obstacle


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.rinr").write_bytes(b"a")
    out = tmp_path / "out"
    (out / "train").mkdir(parents=True)
    (out / "train/a.rinr").write_bytes(b"a")
    return out


@pytest.mark.parametrize("name", ["train/a.rinr", "train/b.rinr", "new/b.rinr", "a/b/c/d.rinr"])
def test_regular_files_and_new_ones(out: Path, name: str) -> None:
    assert obstacle(out / name, out) is None


def test_the_output_may_be_a_link_or_a_relative_path(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (out.parent / "link").symlink_to(out)
    assert obstacle(out.parent / "link/train/a.rinr", out.parent / "link") is None
    monkeypatch.chdir(out)
    assert obstacle(Path("train/a.rinr"), Path()) is None
    Path("other").symlink_to("train")
    assert (obstacle(Path("other/a.rinr"), Path()) or "").startswith("other is a link")


def test_a_name_too_long_to_exist_is_no_obstacle(out: Path) -> None:
    assert obstacle(out / ("x" * 300) / "a.rinr", out) is None


@pytest.mark.parametrize(
    ("name", "target", "problem"),
    [
        ("val/a.rinr", "../elsewhere", "val is a link"),
        ("val/deep/new.rinr", "../elsewhere", "val is a link"),
        ("val/a.rinr", "absent", "val is a link"),
        ("val", "../elsewhere/a.rinr", "val is a link"),
        ("val", "absent", "val is a link"),
        ("val", "train/a.rinr", "val is a link"),
        ("train/a.rinr/b.rinr", "", "train/a.rinr is not a folder"),
        ("train", "", "train is not a regular file"),
    ],
)
def test_links_and_other_kinds(out: Path, name: str, target: str, problem: str) -> None:
    if target:
        (out / "val").symlink_to(target)
    assert (obstacle(out / name, out) or "").startswith(f"{out}/{problem}")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe(out: Path) -> None:
    os.mkfifo(out / "a.rinr")
    assert (obstacle(out / "a.rinr", out) or "").startswith(f"{out}/a.rinr is not a regular file")


def test_a_store_has_no_links(memory: str) -> None:
    from rinrcodec.storage import to_path

    assert obstacle(to_path(f"{memory}/a/b.rinr"), to_path(memory)) is None
