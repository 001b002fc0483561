"""The rules of the house: links for tools, the size of folders, and tests that interrupt.

What is installed is in `test_packaging`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from house_rules import FOLDERS, MOST_LINES, MOST_MODULES, ROOT, walk


@pytest.mark.parametrize("name", FOLDERS[1:])
def test_tools_find_the_folders_in_the_package(name: str) -> None:
    """Or, where git makes no links, a file that holds the path."""
    link = ROOT / "rinrcodec" / name
    path = link.readlink().as_posix() if link.is_symlink() else link.read_text(encoding="utf-8")
    assert path == f"../{name}"


def test_folders_have_few_modules() -> None:
    full = {
        folder.as_posix()
        for top in [*FOLDERS, "benchmarks"]
        for folder, files in walk(top)
        if sum(file.suffix == ".py" for file in files) > MOST_MODULES
    }
    assert not full


def test_modules_are_short() -> None:
    long = {
        str(file): lines
        for top in [*FOLDERS, "benchmarks", "tests"]
        for _, files in walk(top)
        for file in files
        if file.suffix == ".py"
        and (lines := len((ROOT / file).read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert long == {}


def interrupting() -> dict[Path, bool]:
    """Return the test modules that name SIGINT, and whether they have tests marked so."""
    modules = {}
    for _, files in walk("tests"):
        for file in files:
            if file.name.startswith("test_") and file.name != Path(__file__).name:
                text = (ROOT / file).read_text(encoding="utf-8")
                if "SIGINT" in text:
                    modules[file] = "@pytest.mark.interrupts\n" in text
    return modules


def test_tests_that_interrupt_are_marked() -> None:
    modules = interrupting()
    assert Path("tests/rinrcodec/compute/test_parallel.py") in modules
    assert all(modules.values()), modules


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="ignores a signal")
def test_interruptions_reach_tests_that_began_in_the_background() -> None:
    """As in `make test &` of a script, where the shell has the job ignore SIGINT."""
    # -I: or the root, whose folders are not the packages, would be on the path.
    command = [sys.executable, "-I", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = subprocess.Popen(
            [*command, "-m", "interrupts", *map(str, interrupting())],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        said, _ = process.communicate()
    assert process.returncode == 0, said
