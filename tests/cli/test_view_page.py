"""`rinrcodec view -o`: one page with some frames inside, which needs no server."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from view_packs import folder_of, many, saved, small_pack, with_broken_frame

from rinrcodec.datasets.viewing import pictures

from .conftest import Run, write


def embedded(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    result: dict[str, Any] = json.loads(data)
    return result


def test_the_page_is_one_file(run: Run, pack_file: Path, tmp_path: Path) -> None:
    source = folder_of(small_pack(), tmp_path / "frames")
    out = tmp_path / "new" / "page.html"
    done = run("view", pack_file, "-o", out, "--source", source)
    assert done.stdout == f"page: {out}: 3 of 3 frames\n"
    text = out.read_text(encoding="utf-8")
    assert "connect-src 'none'" in html.unescape(text)
    assert "img-src data:;" in text
    assert "left out" not in text
    data = embedded(out)
    assert [item["name"] for item in data["items"]] == ["0.png", "1.png", "2.png"]
    for item in data["items"]:
        assert item["pictures"].keys() == set(pictures.MODES)
        for address in item["pictures"].values():
            kind, _, code = address.removeprefix("data:image/").partition(";base64,")
            with Image.open(io.BytesIO(base64.b64decode(code))) as image:
                assert image.format == kind.upper()
                assert image.size == (item["width"], item["height"])
    run("view", pack_file, "-o", out, "--quiet")  # it is replaced
    assert embedded(out)["items"][0]["pictures"].keys() == {"objects", "background"}


def test_the_page_says_how_many_frames_it_leaves_out(run: Run, tmp_path: Path) -> None:
    path = saved(many(small_pack(), 1000), tmp_path / "a.rinr")
    out = tmp_path / "page.html"
    done = run("view", path, "-o", out, "--frames", 4)
    assert done.stdout == f"page: {out}: 4 of 1,000 frames, 996 left out (--frames N takes more)\n"
    assert "996 more are left out" in out.read_text(encoding="utf-8")
    assert [item["number"] for item in embedded(out)["items"]] == [125, 375, 625, 875]
    run("view", path, "-o", out)
    assert len(embedded(out)["items"]) == 12


def test_a_page_of_damaged_frames_is_written_and_ends_with_1(run: Run, tmp_path: Path) -> None:
    path = saved(with_broken_frame(small_pack()), tmp_path / "a.rinr")
    out = tmp_path / "page.html"
    done = run("view", path, "-o", out, code=1)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {path}: broken.png: ")
    assert line.count("broken.png") == line.count("a.rinr") == 1
    *good, bad = embedded(out)["items"]
    assert all(item["pictures"]["objects"].startswith("data:") for item in good)
    assert "nosuch" in bad["pictures"]["objects"]["problem"]
    back = run("decompress", path, "-o", tmp_path / "back", "--device", "cpu", code=1)
    (line,) = [line for line in back.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {tmp_path}/back/broken.png cannot be made: {path}: ")
    assert line.count("broken.png") == line.count("a.rinr") == 1
    for sources in ([path, tmp_path / "frames"], [write(tmp_path / "b.rinr", "x")]):
        (tmp_path / "frames").mkdir(exist_ok=True)
        assert "error: " in run("view", *sources, "-o", tmp_path / "c.html", code=1).stderr
    missing = run(
        "view", path, "-o", out, "--source", folder_of(small_pack(), tmp_path / "s"), code=1
    )
    sources = tmp_path / "s"
    assert f"{path}: broken.png: {sources} has no picture of that name" in missing.stderr


def test_the_commands_of_the_page_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "view.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```bash\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "packs").mkdir()
    saved(small_pack(), tmp_path / "packs" / "a.rinr")
    folder_of(small_pack(), tmp_path / "frames")
    monkeypatch.chdir(tmp_path)
    for line in block.splitlines():
        run(*line.split()[1:])
    assert len(embedded(tmp_path / "view.html")["items"]) == 3
    assert embedded(tmp_path / "few.html")["items"][0]["pictures"].keys() == set(pictures.MODES)
    for name in re.findall(r"\]\((images/[^)]+)\)", page):
        assert (Path(__file__).parents[2] / "docs" / name).stat().st_size < 120_000
