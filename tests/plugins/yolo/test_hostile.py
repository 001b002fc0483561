"""Names and data yamls from strangers, before Ultralytics sees them."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rinrcodec
from rinrcodec import Box
from rinrcodec.errors import RinrError, RinrInputError
from rinrcodec.picture import Picture


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    pictures = [
        Picture(f"{i}.jpg", np.full((32, 32, 3), 40 * i, np.uint8), (Box(0, 1, 1, 8, 8),))
        for i in range(3)
    ]
    made = rinrcodec.encode(pictures, background="siren", preset="fast", steps=1, device="cpu")
    names = ("a\x1b[2J\n.jpg", "s./nul.jpg", "d" * 300 + "/c.jpg")
    frames = tuple(
        replace(frame, name=name) for frame, name in zip(made.frames, names, strict=True)
    )
    rinrcodec.save(replace(made, frames=frames), tmp_path / "p.rinr")
    return tmp_path / "p.rinr"


def test_paths_of_frames_can_be_printed_and_written(pack: Path) -> None:
    from rinrcodec.plugins._frames import decode_rgb, scan

    refs = [ref for ref, _ in scan(pack)]
    names = [ref.path.removeprefix(f"{pack}/") for ref in refs]
    assert names[:2] == ["a_[2J_.jpg", "s._/nul_.jpg"]
    assert all(len(step) <= 255 for name in names for step in name.split("/"))
    assert {decode_rgb(ref).shape for ref in refs} == {(32, 32, 3)}


def test_log_lines_of_predictions(pack: Path, caplog: pytest.LogCaptureFixture) -> None:
    from rinrcodec.plugins._yolo_source import PackLoader

    damaged = bytearray(pack.read_bytes())
    damaged[-40:] = bytes(40)
    hostile = pack.with_name("h\x1b[2J.rinr")
    hostile.write_bytes(damaged)
    with caplog.at_level(logging.WARNING):
        loader = PackLoader(pack)
        lines = [line for _, _, texts in loader for line in texts]
        with pytest.raises(RinrError):
            list(PackLoader(hostile))
    assert len(lines) == 3
    assert not any("\x1b" in text or "\n" in text.strip() for text in lines)
    assert "\x1b" not in "".join(record.getMessage() for record in caplog.records)


def test_a_yaml_that_would_take_all_memory(tmp_path: Path) -> None:
    from rinrcodec.plugins.ultralytics_adapter import run_yolo

    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    file = tmp_path / "d.yaml"
    file.write_text("\n".join([*lines, "train: .", "val: .", "names: [*a11]", ""]))
    with pytest.raises(RinrInputError, match="when its aliases"):
        run_yolo(["detect", "val", f"data={file}"])
