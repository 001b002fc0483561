"""How the command line answers mistakes, and narrow terminals."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rinrcodec.cli.main import COMMANDS
from rinrcodec.cli.output import print_table

from .conftest import Run

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("args", "message", "command"),
    [
        ("compres x", "no such command: compres; did you mean compress or decompress?", ""),
        ("x", f"no such command: x; commands: {', '.join(COMMANDS)}", ""),
        ("bench lader", "no such command: lader; did you mean ladder?", " bench"),
        ("verify . --jsno -", "no such option: --jsno; did you mean --json or --jobs?", " verify"),
        ("verify . -x", "no such option: -x", " verify"),
        ("verify . --zzz", "no such option: --zzz", " verify"),
        ("compress . -o x --preset fats", "'best'; did you mean fast?", " compress"),
        ("compress . -o x --background av2", "'av1'; did you mean av1?", " compress"),
        ("decompress . -o x --format jpgg", "did you mean jpg?", " decompress"),
        ("fog --medium unicats", "did you mean unicast?", " fog"),
        (
            "compress . -o x --objects none --objects-quality 50",
            "with --objects none there are no objects; leave out one of the two",
            " compress",
        ),
    ],
)
def test_misspelt_commands_and_options_get_a_suggestion(
    run: Run, args: str, message: str, command: str
) -> None:
    lines = run(*shlex.split(args), code=2).stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert lines[0].endswith(message)
    assert lines[1:] == [f"see rinrcodec{command} --help"]


@pytest.mark.parametrize(
    "args",
    [
        "verify nosuch.rinr",
        "info nosuch.rinr",
        "decompress nosuch.rinr -o out",
        "compress nosuch -o out",
        "bench ladder nosuch",
        "report nosuch -o page.html",
        "fog --jpeg nosuch --rinr .",
    ],
)
def test_missing_paths_are_exit_code_two(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*args.split(), code=2)
    assert re.fullmatch(r"error: nosuch\S*: there is no such file or folder\n", result.stderr)


def test_labels_that_do_not_exist_are_exit_code_two(run: Run, folder: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    result = run("compress", folder, "-o", tmp_path / "out", "--labels", gone, code=2)
    assert result.stderr.startswith(f"error: {gone}: no such folder of labels, nor a file; ")


def test_a_server_that_does_not_answer_is_no_missing_file(run: Run) -> None:
    pytest.importorskip("aiohttp")
    result = run("verify", "http://127.0.0.1:9/a.rinr", code=1)
    assert "http://127.0.0.1:9/a.rinr: the server cannot be reached" in result.stderr
    assert "no such file" not in result.stderr


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    result = run(code=2)
    assert "Usage: rinrcodec" in result.output
    assert "compress" in result.output


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_numbers_are_never_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    numbers = ["1,234,567", "12,345 kB", "98.76543x", "123.456", "33.29"]
    name = "a name that is longer than the others"
    headings = ("", "frames", "source", "ratio", "bpp", "background\nPSNR dB")
    print_table(headings, [(name, *numbers), ("b", *numbers)], title="A title", bold=[1])
    printed = capsys.readouterr().out
    for number in numbers:
        assert printed.count(number) == 2
    assert "…" not in printed
    if columns >= 40:
        assert max(map(len, printed.splitlines())) <= columns
    is_table = "─" in printed
    assert is_table == (columns >= 80)
    if columns in (40, 60):
        assert "background PSNR dB: 33.29" in printed


def test_the_completion_of_the_page_is_a_script_of_bash(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-euc", f"{block}\ncomplete -p rinrcodec"],
        env={"PATH": path, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "rinrcodec_completion" in done.stdout
