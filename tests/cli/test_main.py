"""The command itself: quick help, exit codes, and errors of one line."""

from __future__ import annotations

import errno
import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest

from rinrcodec.cli._options import PRESETS
from rinrcodec.cli.main import COMMANDS, cli
from rinrcodec.errors import MissingExtraError, RinrInputError
from rinrcodec.presets import PRESETS as KNOWN_PRESETS

from .conftest import QUICK, Run, write


def python(*args: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", *map(str, args)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stderr
    return result


def test_help_and_version_load_nothing_heavy() -> None:
    for option in ("--help", "--version"):
        result = python(
            "-c",
            "import sys\n"
            "from rinrcodec.cli.main import cli\n"
            f"cli(['{option}'], standalone_mode=False)\n"
            "heavy = {'torch', 'h5py', 'PIL', 'numpy', 'rich', 'yaml', 'av'} & set(sys.modules)\n"
            "assert not heavy, heavy\n",
        )
        assert result.stdout


def test_it_runs_as_a_module() -> None:
    for name in COMMANDS:
        assert name in python("-m", "rinrcodec", "--help").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_line_is_the_first_of_the_command(name: str) -> None:
    command = importlib.import_module(f"rinrcodec.cli.{name}").command
    assert command.help.splitlines()[0] == COMMANDS[name]
    assert command.name == name


def test_the_presets_offered_are_those_there_are() -> None:
    assert set(PRESETS) == set(KNOWN_PRESETS)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (RinrInputError("a.jpg: is empty"), 1, "error: a.jpg: is empty"),
        (MissingExtraError("av", "video"), 3, "error: av is not installed; run: pip install"),
        (ModuleNotFoundError("x", name="torch.nn"), 3, "run: pip install torch"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "error: the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 1, "error: x: Permission denied"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_are_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, line: str
) -> None:
    @click.command("verify")
    def command() -> None:
        raise error

    monkeypatch.setattr(importlib.import_module("rinrcodec.cli.verify"), "command", command)
    result = run("verify", code=code)
    assert line in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("verify")
    def command() -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(importlib.import_module("rinrcodec.cli.verify"), "command", command)
    with pytest.raises(KeyError, match="a bug"):
        cli(["verify"])


def test_wrong_use_is_exit_code_two(run: Run, tmp_path: Path) -> None:
    run("nonsense", code=2)
    run("compress", tmp_path, code=2)
    run("compress", tmp_path / "nowhere", "-o", tmp_path / "out", code=2)


def test_without_torch_only_what_needs_it_fails(run: Run, folder: Path, tmp_path: Path) -> None:
    run("compress", folder / "0.png", "-o", tmp_path / "a.rinr", *QUICK)
    script = write(
        tmp_path / "without.py",
        "import sys\nsys.modules['torch'] = None\nfrom rinrcodec.cli.main import main\nmain()\n",
    )
    python(script, "verify", tmp_path / "a.rinr")
    python(script, "info", tmp_path / "a.rinr")
    result = python(script, "compress", folder, "-o", tmp_path / "b", code=3)
    assert result.stderr == "error: torch is not installed; run: pip install torch\n"
    assert not (tmp_path / "b").exists()
