"""The commands of docs/videos.md run, from first to last, on a tiny video."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from rinrcodec.cli.main import cli

from .conftest import QUICK, contents, video, write

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "videos.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video(tmp_path / "clip.mp4", 22, size=(64, 32))
    write(tmp_path / "predict/labels/clip_1.txt", "0 0.5 0.5 0.2 0.2\n")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    for line in "".join(blocks).splitlines():
        pipe, _, line = line.rpartition(" | ")
        command = shlex.split(line, comments=True)[1:]
        sent = (tmp_path / pipe.removeprefix("cat ")).read_bytes() if pipe else None
        # The page shows two ways to give labels to one output.
        options = QUICK if command[0] == "compress" else ()
        options += ("--overwrite",) if command[-1:] == ["predict/labels"] else ()
        result = CliRunner().invoke(cli, [*command, *options], input=sent)
        assert result.exit_code == 0, result.output
    assert contents(tmp_path / "back").keys() == {"clip.gif"}
    assert contents(tmp_path / "from-a-pipe").keys() == {"stream-00000.rinr"}
    assert not (tmp_path / "later").exists()
    with Image.open(tmp_path / "first.png") as image:
        assert image.size == (64, 32)
