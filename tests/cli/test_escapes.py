"""Names, classes and settings of files do not reach the terminal with their control characters."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from click.testing import CliRunner
from house_rules import ROOT
from PIL import Image

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.cli.main import cli
from rinrcodec.cli.output import json_text, print_errors, print_table, say
from rinrcodec.evaluation.report import Report

EVIL = "\x1b]0;owned\x07\x9b2J\u202egpj\u2028\r[red]x[/red] :bomb:<img src=x onerror=alert(1)>"
FORBIDDEN = ("\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\r")


@pytest.fixture(scope="module")
def evil_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack with such a text wherever it may hold one."""
    path = tmp_path_factory.mktemp("evil") / "evil.rinr"
    pixels = np.full((8, 12, 3), 90, np.uint8)
    options = {"background": "siren", "preset": "fast", "steps": 1, "device": "cpu"}
    pack = rinrcodec.encode([pixels], boxes=[[Box(3, 1, 1, 4, 4)]], **options)  # type: ignore[arg-type]
    frame = replace(pack.frames[0], name=f"{EVIL}.png", attributes={EVIL: EVIL}, labelled=False)
    info = {**pack.info, "names": json.dumps([EVIL]), EVIL: EVIL, "preset": EVIL}
    rinrcodec.save(replace(pack, frames=(frame,), info=MappingProxyType(info)), path)
    return path


def clean(text: str) -> bool:
    return not any(mark in text for mark in FORBIDDEN)


def test_info_verify_and_decompress(evil_pack: Path, tmp_path: Path) -> None:
    for args in (
        ["info", str(evil_pack), "--frames"],
        ["verify", str(evil_pack)],
        ["decompress", str(evil_pack), "-o", str(tmp_path / "a")],
        ["decompress", str(evil_pack), "-o", str(tmp_path / "b"), "--labels", "voc"],
    ):
        result = CliRunner().invoke(cli, args)
        assert clean(result.output), args
    shown = CliRunner().invoke(cli, ["info", str(evil_pack), "--frames"]).output
    assert r"\x1b]0;owned\x07\x9b2J\u202egpj\u2028\r[red]x[/red] :bomb:<img" in shown


def test_json_is_exact(evil_pack: Path) -> None:
    result = CliRunner().invoke(cli, ["info", str(evil_pack), "--frames", "--json"])
    assert clean(result.output)
    (item,) = json.loads(result.output)
    assert item["frame_list"][0]["name"] == f"{EVIL}.png"
    assert item["info"][EVIL] == EVIL


def test_names_of_files_in_errors(tmp_path: Path) -> None:
    folder = tmp_path / "frames\x1b[31m"
    folder.mkdir()
    (folder / "a\nerror: b\x1b[2J.png").write_text("no picture")
    Image.new("RGB", (8, 8)).save(folder / "c.png")
    args = ["compress", str(folder), "-o", str(tmp_path / "o"), "--steps", "1"]
    result = CliRunner().invoke(cli, [*args, "--background", "siren", "--preset", "fast"])
    assert result.exit_code == 1
    assert clean(result.output)
    assert r"a\nerror: b\x1b[2J.png: not a picture" in result.output


def test_a_usage_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["info", str(tmp_path / "a\x1b[31m\u202e")])
    assert result.exit_code == 2
    assert clean(result.output)


def test_python_warnings_of_a_command() -> None:
    code = (
        "import warnings, rinrcodec.cli.main as main\n"
        "main.cli = lambda **_: warnings.warn('a\\x1b[2J\\nb')\n"
        "main.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "warning: a\\x1b[2J\\nb\n"


def test_tables_have_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["a", "b"], [["[red]x[/red] :bomb:", "1"], ["\x1b[2J", "2"]], title="[bold]t")
    shown = capsys.readouterr().out
    assert "[red]x[/red] :bomb:" in shown
    assert "[bold]t" in shown
    assert r"\x1b[2J" in shown
    assert "\x1b" not in shown


def test_line_breaks_in_texts_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    say("a", "b\nc")
    assert capsys.readouterr().out == "a\nb\\nc\n"
    print_errors(str(number) for number in range(1500))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1001
    assert lines[-1] == "error: and 500 more"


def test_all_output_passes_through_one_module() -> None:
    allowed = {"cli/output.py": {"echo", "Console", "print"}, "cli/progress.py": {"Console"}}
    # Of click's own messages, which `_report` has escaped.
    allowed["cli/commands/compress.py"] = {"echo"}
    for path in sorted((ROOT / "cli").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func
                word = getattr(called, "attr", None) or getattr(called, "id", None)
                printed = word in {"echo", "secho", "print", "Console"}
                assert not printed or word in allowed.get(name, set()), f"{name}:{node.lineno}"


def test_the_report_escapes_names(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    from rinrcodec.cli.views.report import page

    monkeypatch.setattr(page, "_resource", lambda _: "<h1>{{ name }}</h1>{{ style }}")
    monkeypatch.setattr(page, "_view", lambda _: {"name": EVIL})
    html = page.report_page(Report.__new__(Report))
    assert clean(html)
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert html.endswith("{{ name }}</h1>{{ style }}")


def test_json_keeps_every_character() -> None:
    name = "a\x1b\u202e\udcff"
    text = json_text({"name": name})
    assert text.isascii()
    assert json.loads(text)["name"] == name
