"""Messages of the library name options as Python does, and commands print them as options."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Command
from house_rules import ROOT

import rinrcodec
from rinrcodec.cli import spelling
from rinrcodec.cli.commands import compress, decompress, verify
from rinrcodec.cli.spelling import as_options

from .conftest import Run, pack_file

__all__ = ["pack_file"]

FOLDERS = ("datasets", "labels", "sources", "storage")
PAIRS = (
    (compress.command, rinrcodec.compress),
    (decompress.command, rinrcodec.decompress),
    (verify.command, rinrcodec.verify),
)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("`overwrite=True` replaces it", "--overwrite replaces it"),
        ("`labels='a b/c.json'`; `jobs`", "--labels a b/c.json; --jobs"),
        ("`depth_range=(7000, 8020)`", "--depth-range 7000:8020"),
        ("give another `out`", "give another -o"),
        ("`a` of `overwrite.png`, overwrite=True", "`a` of `overwrite.png`, overwrite=True"),
    ],
)
def test_keywords_become_options(message: str, shown: str) -> None:
    assert as_options(message) == shown


def options_of(command: Command) -> set[str]:
    return {name for param in command.params for name in param.opts}


def test_every_keyword_is_one_of_a_function_and_an_option_of_its_command() -> None:
    for name in spelling._KEYWORDS:
        option = as_options(f"`{name}`")
        assert any(
            option in options_of(command) and name in inspect.signature(function).parameters
            for command, function in PAIRS
        ), name


def messages() -> Iterator[tuple[Path, str]]:
    """The texts of the library that may be part of a message: no docstrings."""
    for folder in FOLDERS:
        for path in (ROOT / "rinrcodec" / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            nodes = list(ast.walk(tree))
            alone = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
            texts = (node for node in nodes if isinstance(node, ast.Constant))
            for node in texts:
                if isinstance(node.value, str) and id(node) not in alone:
                    yield path, node.value


def test_messages_of_the_library_name_no_command_option() -> None:
    found = list(messages())
    assert sum("`overwrite=True`" in text for _, text in found) > 3
    for path, text in found:
        others = text.replace("ray start --head", "")
        assert not re.search(r"(^|[ (])(--[a-z]|-o\b)", others), f"{path}: {text}"
        for name in re.findall(r"`(\w+)", text):
            assert name in spelling._KEYWORDS, f"{path}: {text}"


def test_messages_name_keywords_in_python_and_options_in_commands(
    run: Run, pack_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    rinrcodec.decompress(pack_file, out)
    with pytest.raises(rinrcodec.RinrUsageError, match="already there; `overwrite=True` replaces"):
        rinrcodec.decompress(pack_file, out)
    error = run("decompress", pack_file, "-o", out, code=2).stderr
    assert error.endswith("already there; --overwrite replaces it\n")
    with pytest.raises(rinrcodec.RinrUsageError, match="give a folder with `out`"):
        rinrcodec.decompress(pack_file, tmp_path / "x.zip")


def test_messages_in_json_name_command_options(run: Run, tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    manifest = tmp_path / "packs/manifest.json"
    manifest.write_text('{"kind": "rinrcodec manifest"')
    bad = rinrcodec.verify(tmp_path / "packs").bad
    assert "compress with `resume=True` makes another" in bad[str(manifest)]
    shown = run("verify", tmp_path / "packs", "--json", "-", code=1)
    assert "compress with --resume makes another" in shown.stdout
    assert "compress with --resume makes another" in shown.stderr
