"""Commands name files that wait, never end or cannot be opened, and process the others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from odd_files import ODD_KINDS, MakeOdd, in_time, make_odd

import rinrcodec

from .conftest import QUICK, Run, picture, put, write

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without FIFOs")

FIT = (*QUICK, "--background", "siren")
LABEL = "0 0.5 0.5 0.2 0.2\n"
VOC = (
    "<annotation><size><width>24</width><height>16</height></size><object><name>x</name><bndbox>"
    "<xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
)
COCO = (
    '{"images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "odd.png"}],'
    '"annotations": [], "categories": [{"id": 1, "name": "x"}]}'
)


@pytest.fixture(params=ODD_KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def odd(kind: str, monkeypatch: pytest.MonkeyPatch) -> MakeOdd:
    return make_odd(kind, monkeypatch)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "a.rinr"
    made = rinrcodec.encode([picture(1)], steps=2, background="siren", preset="fast", device="cpu")
    rinrcodec.save(made, path)
    return path


def odd_picture(top: Path, odd: MakeOdd) -> tuple[Any, ...]:
    put(top / "a.png", picture(1))
    odd(top / "odd.png")
    return (top,)


def odd_listed(top: Path, odd: MakeOdd) -> tuple[Any, ...]:
    put(top / "images/a.png", picture(1))
    odd(top / "images/odd.png")
    write(top / "list.txt", "images/a.png\nimages/odd.png\n")
    return (write(top / "data.yaml", "train: list.txt\nval: images\n"),)


def odd_list(top: Path, odd: MakeOdd) -> tuple[Any, ...]:
    put(top / "images/a.png", picture(1))
    odd(top / "odd.txt")
    return (write(top / "data.yaml", "train: images\nval: odd.txt\n"),)


def odd_coco_picture(top: Path, odd: MakeOdd) -> tuple[Any, ...]:
    put(top / "a.png", picture(1))
    odd(top / "odd.png")
    return (write(top / "c.json", COCO),)


def odd_label(top: Path, odd: MakeOdd) -> tuple[Any, ...]:
    for name in ("a", "odd"):
        put(top / f"images/{name}.png", picture(1))
    write(top / "labels/a.txt", LABEL)
    odd(top / "labels/odd.txt")
    return (top / "images",)


def odd_label_next_to_it(top: Path, odd: MakeOdd) -> tuple[Any, ...]:
    for name in ("a", "odd"):
        put(top / f"{name}.png", picture(1))
    write(top / "a.txt", LABEL)
    odd(top / "odd.txt")
    return (top,)


def odd_voc(top: Path, odd: MakeOdd) -> tuple[Any, ...]:
    for name in ("a", "odd"):
        put(top / f"images/{name}.png", picture(1))
    write(top / "xml/a.xml", VOC)
    odd(top / "xml/odd.xml")
    return (top / "images", "--labels", top / "xml")


def named(name: str) -> Callable[[Path, MakeOdd], tuple[Any, ...]]:
    def make(top: Path, odd: MakeOdd) -> tuple[Any, ...]:
        odd(top / name)
        return (top / name,)

    return make


def as_labels(name: str) -> Callable[[Path, MakeOdd], tuple[Any, ...]]:
    def make(top: Path, odd: MakeOdd) -> tuple[Any, ...]:
        put(top / "images/a.png", picture(1))
        odd(top / name)
        return (top / "images", "--labels", top / name)

    return make


def odd_class_list(top: Path, odd: MakeOdd) -> tuple[Any, ...]:
    put(top / "images/a.png", picture(1))
    write(top / "odd/a.xml", VOC)
    odd(top / "odd/classes.txt")
    return (top / "images", "--labels", top / "odd")


# A picture that cannot be read fails, and the others are done.
@pytest.mark.parametrize("build", [odd_picture, odd_listed, odd_list, odd_coco_picture])
def test_compress_skips_and_reports_odd_pictures(
    tmp_path: Path, run: Run, kind: str, odd: MakeOdd, build: Any
) -> None:
    (top := tmp_path / "in").mkdir()
    args = build(top, odd)
    with in_time():
        output = run("compress", *args, "-o", tmp_path / "out", *FIT, code=1).output
    assert "odd" in output
    if build is odd_picture:
        assert f"error: {top}/odd.png: " in output
        assert ODD_KINDS[kind] in output
    with rinrcodec.open(next((tmp_path / "out").rglob("*.rinr"))) as file:
        assert file.names() == ("a.png",)


# A label that cannot be read is lost, and its picture is no negative.
@pytest.mark.parametrize("build", [odd_label, odd_label_next_to_it, odd_voc])
def test_compress_reports_odd_label_files(
    tmp_path: Path, run: Run, kind: str, odd: MakeOdd, build: Any
) -> None:
    (top := tmp_path / "in").mkdir()
    args = build(top, odd)
    with in_time():
        output = run("compress", *args, "-o", tmp_path / "out", *FIT).output
    assert "1 label cannot be understood" in output
    assert ODD_KINDS[kind] in output
    with rinrcodec.open(next((tmp_path / "out").rglob("*.rinr"))) as file:
        assert [(file.frame(i).name, file.frame(i).labelled) for i in (0, 1)] == [
            ("a.png", True),
            ("odd.png", False),
        ]


COMMANDS = [
    ("compress", named("odd.png")),
    ("compress", named("odd.yaml")),
    ("compress", named("odd.json")),
    ("compress", named("odd.mp4")),
    ("compress", named("odd.avi")),
    ("compress", as_labels("odd.json")),
    ("compress", odd_class_list),
    ("decompress", named("odd.rinr")),
    ("decompress", named("odd.yaml")),
    ("report", named("odd.png")),
    ("report", named("odd.mkv")),
    ("bench ladder", named("odd.png")),
    ("bench ladder", named("odd.yaml")),
    ("info", named("odd.rinr")),
    ("info", named("odd.yaml")),
    ("info", named("odd")),
    ("verify", named("odd.rinr")),
    ("verify", named("odd.yaml")),
    ("verify", named("odd")),
    ("fog --jpeg", named("odd.jpg")),
]


@pytest.mark.parametrize(("command", "build"), COMMANDS)
def test_odd_files_given_by_name_are_errors(
    tmp_path: Path, kind: str, odd: MakeOdd, command: str, build: Any
) -> None:
    from click.testing import CliRunner

    from rinrcodec.cli.main import cli

    if command == "fog --jpeg" and kind == "locked":
        pytest.skip("fog asks for sizes only")
    args = [*command.split(), *map(str, build(tmp_path, odd))]
    if command == "fog --jpeg":
        args += ["--rinr", str(tmp_path)]
    elif command in {"compress", "decompress", "bench ladder", "report"}:
        args += ["-o", str(tmp_path / ("page.html" if command == "report" else "out"))]
    with in_time():
        result = CliRunner().invoke(cli, args)
    assert isinstance(result.exception, SystemExit), result.exception
    # Click says of a link to itself that it does not exist.
    assert result.exit_code in ({1, 2} if kind == "loop" else {1}), result.output
    assert "odd" in result.output
    if kind != "locked" or command != "fog --jpeg":
        assert ODD_KINDS[kind] in result.output


@pytest.mark.parametrize("name", ["odd.rinr", "manifest.json", "data.yaml"])
@pytest.mark.parametrize("command", ["info", "verify", "decompress"])
def test_the_other_packs_of_a_folder_are_read(
    tmp_path: Path, run: Run, pack: Path, kind: str, odd: MakeOdd, command: str, name: str
) -> None:
    (top := tmp_path / "packs").mkdir()
    shutil.copy(pack, top / "a.rinr")
    odd(top / name)
    args = ("-o", tmp_path / "out") if command == "decompress" else ()
    fine = (command, name) == ("decompress", "manifest.json")  # it takes no counts from it
    # There is no such file, for those who ask for one name alone.
    fine |= kind == "loop" and name == "data.yaml"
    with in_time():
        output = run(command, top, *args, code=0 if fine else 1).output
        assert rinrcodec.verify(top).frames == 1
    if not fine:
        assert f"{top}/{name}: " in output
    if command == "info":
        assert f"{top}/a.rinr\n  1 frame" in output
    if command == "decompress":
        assert "1 of 1" in output


@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0", "-"])
@pytest.mark.slow
@pytest.mark.parametrize("command", ["info", "verify", "compress"])
def test_pipes_are_not_read(tmp_path: Path, command: str, name: str) -> None:
    """As `cat a.rinr | rinrcodec info /dev/stdin`; "-" is a file of that name, but to compress."""
    args = ["-o", str(tmp_path / "out")] if command == "compress" else []
    done = subprocess.run(
        [sys.executable, "-m", "rinrcodec", command, name, *args],
        input="bytes", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if (command, name) == ("compress", "-"):
        assert done.returncode == 1
        assert done.stderr.startswith("error: the standard input: ")
    elif name == "-":
        assert done.returncode == 2
        assert done.stderr == "error: -: there is no such file or folder\n"
    else:
        assert done.returncode == 1
        assert f"{name}: " in done.stderr
        assert "a FIFO or pipe, not a regular file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_link_to_a_picture_is_read(tmp_path: Path, run: Run) -> None:
    put(tmp_path / "far/a.png", picture(1))
    (tmp_path / "in").mkdir()
    (tmp_path / "in/b.png").symlink_to("../far/a.png")
    (tmp_path / "in/c.png").symlink_to("b.png")
    run("compress", tmp_path / "in", "-o", tmp_path / "out", *FIT)
