"""The program in SPEC.md for people who have h5py alone prints what rinrcodec reads."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from sample_packs import PACKS, realistic

import rinrcodec.formats
from rinrcodec.compute.quantize import dequantize
from rinrcodec.families.av1.layout import row_spec
from rinrcodec.families.av1.stream import encode_still, encode_stills
from rinrcodec.families.siren.network import tensor_sizes
from rinrcodec.formats import write_pack
from rinrcodec.pack import Frame, Group, InrRef, Pack, Rows, Spec

SPEC = (Path(rinrcodec.formats.__file__).parent / "SPEC.md").read_text(encoding="utf-8")
VECTORS = Path(__file__).parent / "vectors" / "v1"
# The program runs as it is, but nothing of rinrcodec can be imported.
RUN = """
import runpy, sys
sys.modules["rinrcodec"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (text,) = re.findall(r"```python\n(.*?)```", SPEC, re.DOTALL)
    path = tmp_path_factory.mktemp("spec") / "read_pack.py"
    path.write_text(text, encoding="utf-8")
    return path


def run(
    program: Path, *args: object, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-X", "utf8", "-c", RUN, str(program), *map(str, args)]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=120, check=False, cwd=folder
    )


def output(program: Path, *args: object, folder: Path | None = None) -> list[str]:
    done = run(program, *args, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def described(pack: Pack) -> list[str]:
    lines = []
    for frame in pack.frames:
        lines.append(f"{frame.name} {frame.width} x {frame.height}")
        lines += [
            f"  class {box.class_id}, x {box.x}, y {box.y}, w {box.w}, h {box.h}"
            for box in frame.boxes
        ]
    return lines


def check_group(pack: Pack, number: int, lines: list[str]) -> None:
    group = pack.stacks[number]
    # Sizes do not depend on w0_first, which some of the golden specs lack.
    sizes = tensor_sizes(Spec.of("siren", **{**dict(group.spec.config), "w0_first": 30.0}))
    weights = dequantize(group.rows, sizes, torch.device("cpu")).numpy()
    printed = np.array([line.split() for line in lines], np.float32)
    np.testing.assert_array_equal(printed, weights)


@pytest.mark.parametrize("name", PACKS)
def test_frames_and_boxes(program: Path, name: str) -> None:
    assert output(program, VECTORS / f"{name}.rinr") == described(PACKS[name]())


@pytest.mark.parametrize(
    ("name", "number"), [("decodable", 0), ("decodable", 3), ("one_frame", 1), ("one_frame", 2)]
)
def test_weights_of_a_group(program: Path, name: str, number: int) -> None:
    pack, frames = PACKS[name](), described(PACKS[name]())
    lines = output(program, VECTORS / f"{name}.rinr", number)
    assert lines[: len(frames)] == frames
    check_group(pack, number, lines[len(frames) :])


def test_tables_and_groups_of_several_chunks(program: Path, tmp_path: Path) -> None:
    pack = realistic(300, boxes=2)
    path = tmp_path / "a.rinr"
    write_pack(path, pack)
    frames = described(pack)
    lines = output(program, path, 1)
    assert lines[: len(frames)] == frames
    check_group(pack, 1, lines[len(frames) :])


def test_rows_of_av1_become_files_that_players_read(program: Path, tmp_path: Path) -> None:
    pictures = [np.full((16, 24), 40 * k, np.uint8) for k in range(3)]
    rows = (
        encode_still(pictures[0], quality=50, speed=10),
        encode_stills(pictures[1:], quality=50, speed=10),
    )
    nothing = np.zeros((2, 0), np.int8), np.zeros((2, 0), np.float32)
    group = Group(row_spec(1, "400", 8), 8, Rows(*nothing, rows))
    frames = tuple(
        Frame(f"{k}", 24, 16, InrRef(0, row), mode="L", time=float(time))
        for k, (row, time) in enumerate(((0, 0), (1, 0), (1, 1)))
    )
    path, pack = tmp_path / "a.rinr", Pack(frames, (group,))
    write_pack(path, pack)
    files = ["group0_row0.obu", "group0_row1.obu"]
    assert output(program, path, 0, folder=tmp_path) == [*described(pack), *files]
    for name, row, n in zip(files, rows, (1, 2), strict=True):
        assert (tmp_path / name).read_bytes() == row
        with av.open(tmp_path / name) as video:
            assert len([*video.decode(video=0)]) == n
    again = run(program, path, 0, folder=tmp_path)
    assert again.returncode == 1
    assert "FileExistsError" in again.stderr


def test_a_group_of_another_family_is_named(program: Path, tmp_path: Path) -> None:
    rows = Rows(np.zeros((1, 0), np.int8), np.zeros((1, 0), np.float32), (b"x",))
    group = Group(Spec.of("toy", out=3), 8, rows)
    path = tmp_path / "a.rinr"
    write_pack(path, Pack((Frame("0", 8, 8, InrRef(0, 0)),), (group,)))
    done = run(program, path, 0)
    assert (done.returncode, done.stderr.strip()) == (1, "group 0 is toy, not siren or av1")
