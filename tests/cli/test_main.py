"""The command itself: quick help, exit codes, and errors of one line."""

from __future__ import annotations

import errno
import importlib
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from rinrcodec.cli.main import COMMANDS, cli
from rinrcodec.cli.options import json_option
from rinrcodec.cli.output import is_report
from rinrcodec.errors import MissingExtraError, RinrInputError
from rinrcodec.families import background_families
from rinrcodec.presets import PRESETS

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


def test_the_package_runs_as_a_module() -> None:
    for name in COMMANDS:
        assert name in python("-m", "rinrcodec", "--help").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_line_is_the_first_of_the_command(name: str) -> None:
    command = importlib.import_module(f"rinrcodec.cli.commands.{name}").command
    assert command.help.splitlines()[0] == COMMANDS[name]
    assert command.name == name


def test_choices_come_from_the_registry(run: Run) -> None:
    text = " ".join(run("compress", "--help").output.split())
    assert f"--background [{'|'.join(background_families())}]" in text
    assert f"--preset [{'|'.join(PRESETS)}]" in text
    result = run("compress", ".", "-o", "out", "--background", "jpeg", code=2)
    assert "'jpeg' is not one of 'siren', 'nerv', 'pyramid', 'av1'" in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (RinrInputError("a.jpg: is empty"), 1, "error: a.jpg: is empty"),
        (MissingExtraError("av", "video"), 3, "error: av is not installed; run: pip install"),
        (
            ModuleNotFoundError("x", name="torch.nn"),
            3,
            str(MissingExtraError("torch", "torch")),
        ),
        (OSError(errno.ENOSPC, "No space left"), 1, "error: the standard output cannot be written"),
        (
            OSError(errno.ENOSPC, "No space left", "x"),
            1,
            "error: x cannot be written: No space left",
        ),
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

    monkeypatch.setattr(
        importlib.import_module("rinrcodec.cli.commands.verify"), "command", command
    )
    result = run("verify", code=code)
    assert line in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("verify")
    def command() -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(
        importlib.import_module("rinrcodec.cli.commands.verify"), "command", command
    )
    with pytest.raises(KeyError, match="a bug"):
        cli(["verify"])


def test_wrong_use_is_exit_code_two(run: Run, tmp_path: Path) -> None:
    run("nonsense", code=2)
    run("compress", tmp_path, code=2)
    run("compress", tmp_path / "nowhere", "-o", tmp_path / "out", code=2)


@pytest.mark.slow
def test_without_torch_only_what_needs_it_fails(run: Run, folder: Path, tmp_path: Path) -> None:
    network = ("--background", "siren")
    run("compress", folder / "0.png", "-o", tmp_path / "a.rinr", *network, *QUICK)
    script = write(
        tmp_path / "without.py",
        "import sys\nsys.modules['torch'] = None\nfrom rinrcodec.cli.main import main\nmain()\n",
    )
    result = python(script, "verify", tmp_path / "a.rinr", code=4)
    assert "frames not checked, as torch is not installed; run: " in result.stderr
    python(script, "info", tmp_path / "a.rinr")
    result = python(script, "compress", folder, "-o", tmp_path / "b", *network, code=3)
    assert re.fullmatch(
        'error: fitting networks: torch is not installed; run: pip install "?torch.*\n',
        result.stderr,
    )
    assert not (tmp_path / "b").exists()


def test_figures_go_into_a_fifo_and_through_a_link(run: Run, folder: Path, tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no FIFO on this system")
    pack = tmp_path / "a.rinr"
    run("compress", folder / "0.png", "-o", pack, *QUICK)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        run("verify", pack, "--json", fifo)
        assert fifo.is_fifo()
        assert json.loads(os.read(reader, 10_000))["files"] == 1
    finally:
        os.close(reader)
    link, real = tmp_path / "link.json", tmp_path / "elsewhere/real.json"
    link.symlink_to(real)
    result = run("verify", pack, "--json", link, code=2)
    assert f"is a link to {real}, which does not exist; remove the link" in result.stderr
    assert not real.exists()
    write(real, '{"report_of": "rinrcodec verify", "old": true}')
    run("verify", pack, "--json", link)
    assert link.is_symlink()
    assert json.loads(real.read_text())["files"] == 1
    assert is_report(real)
    link.unlink()
    link.symlink_to(link)
    result = run("verify", pack, "--json", link, code=2)
    assert "which does not exist" in result.stderr


@pytest.mark.parametrize("command", ["verify", "info", "decompress"])
def test_an_empty_path_is_not_the_working_folder(run: Run, command: str) -> None:
    assert "the path is empty" in run(command, "", code=2).stderr


def test_figures_replace_nothing_but_figures(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("compress", folder, "-o", out, "--shard-size", 8, *QUICK)
    pack = next(iter(out.glob("*.rinr")))
    foreign = [pack, out / "manifest.json", folder / "0.png"]
    foreign.append(write(tmp_path / "notes.txt", "mine"))
    foreign.append(write(tmp_path / "coco.json", '{"images": [], "annotations": []}'))
    foreign.append(write(tmp_path / "list.json", "[]"))
    linked = tmp_path / "linked.json"
    linked.symlink_to(tmp_path / "coco.json")
    for file in (*foreign, linked):
        before = file.read_bytes()
        result = run("verify", pack, "--json", file, code=2)
        assert f"{file} exists, and --json did not write it; give another name" in result.stderr
        assert file.read_bytes() == before
    own = write(tmp_path / "own.json", "")
    for _ in range(2):
        run("verify", pack, "--json", own)
        assert json.loads(own.read_text())["report_of"] == "rinrcodec verify"


def test_a_device_that_takes_no_bytes_is_an_error_and_stays(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    full = tmp_path / "full"
    try:
        os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        full.open("w").close()
    except (AttributeError, PermissionError):
        pytest.skip("device files cannot be made here")
    run("compress", folder / "0.png", "-o", tmp_path / "a.rinr", *QUICK)
    result = run("verify", tmp_path / "a.rinr", "--json", full, code=1)
    assert result.stderr.startswith(f"error: {full} cannot be written: ")
    assert full.is_char_device()


def test_dev_stdout_is_the_standard_output() -> None:
    # Only the option: a mistake in a whole command could replace the system's own link.
    @click.command
    @json_option
    def command(json_path: str) -> None:
        click.echo(json_path)

    assert CliRunner().invoke(command, ["--json", "/dev/stdout"]).output == "-\n"


def test_a_full_standard_output_is_an_error() -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("no /dev/full on this system")
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-I", "-m", "rinrcodec", "--version"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr == (
        "error: the standard output cannot be written: No space left on device\n"
    )


def test_errors_of_writing_name_the_given_path(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = tmp_path / "a.rinr"
    run("compress", folder / "0.png", "-o", pack, *QUICK)
    out = tmp_path / "out"

    def refuse(self: Path, destination: Path) -> None:  # noqa: ARG001
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "replace", refuse)
    figures = tmp_path / "figures.json"
    for typed, *args in (
        (out, "compress", folder / "0.png", "-o", out, *QUICK),
        (out, "decompress", pack, "-o", out, "--device", "cpu"),
        (figures, "verify", pack, "--json", figures),
    ):
        result = run(*args, code=1)
        assert f"error: {typed}: Permission denied" in result.stderr
        assert ".rinr-" not in result.stderr
