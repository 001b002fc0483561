"""The rules of the house: what is installed, how large folders are, and tests that interrupt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "rinrcodec": "rinrcodec",
    "formats": "rinrcodec.formats",
    "plugins": "rinrcodec.plugins",
    "cli": "rinrcodec.cli",
}
MOST_MODULES = 20  # in a folder
MOST_LINES = 500  # in a module


def walk(top: str) -> Iterator[tuple[Path, list[Path]]]:
    """Yield every folder at and below `top`, relative to the root, with its files.

    The links from rinrcodec/ to other folders are not followed, and are no files.
    """
    for name, folders, files in os.walk(ROOT / top):
        folders[:] = sorted(folder for folder in folders if not folder.startswith((".", "__")))
        folder = Path(name).relative_to(ROOT)
        # Where git makes no links, they are files of one line.
        yield folder, [folder / file for file in sorted(files) if file not in PACKAGES]


def package_of(folder: Path) -> str:
    return ".".join([PACKAGES[folder.parts[0]], *folder.parts[1:]])


def folder_of(package: str, package_dir: Mapping[str, str]) -> str:
    """Return the folder from which setuptools takes a package."""
    parts = package.split(".")
    for n in range(len(parts), 0, -1):
        if (prefix := ".".join(parts[:n])) in package_dir:
            return "/".join([package_dir[prefix], *parts[n:]])
    return "/".join(parts)


@pytest.fixture(scope="module")
def declared() -> dict[str, Any]:
    """The section of setuptools in pyproject.toml."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section: dict[str, Any] = tomllib.loads(text)["tool"]["setuptools"]
    return section


def test_every_folder_of_code_is_an_installed_package(declared: dict[str, Any]) -> None:
    folders = [
        folder
        for top in PACKAGES
        for folder, files in walk(top)
        if any(file.suffix == ".py" for file in files)
    ]
    assert sorted(declared["packages"]) == sorted(map(package_of, folders))
    for folder in folders:
        assert (ROOT / folder / "__init__.py").exists(), folder
        assert folder_of(package_of(folder), declared["package-dir"]) == folder.as_posix()


def test_every_other_file_is_installed(declared: dict[str, Any]) -> None:
    for top in PACKAGES:
        for folder, files in walk(top):
            patterns = declared["package-data"].get(package_of(folder), [])
            left = [str(f) for f in files if f.suffix != ".py" and not any(map(f.match, patterns))]
            assert left == [], f"add {left} to package-data in pyproject.toml"


def test_the_rule_of_setuptools() -> None:
    package_dir = {"a": "x", "a.b": "y"}
    assert folder_of("a", package_dir) == "x"
    assert folder_of("a.c.d", package_dir) == "x/c/d"
    assert folder_of("a.b.c", package_dir) == "y/c"


@pytest.mark.parametrize("name", sorted(set(PACKAGES) - {"rinrcodec"}))
def test_tools_find_the_folders_in_the_package(name: str) -> None:
    """Or, where git makes no links, a file that holds the path."""
    link = ROOT / "rinrcodec" / name
    path = link.readlink().as_posix() if link.is_symlink() else link.read_text(encoding="utf-8")
    assert path == f"../{name}"


def test_folders_have_few_modules() -> None:
    full = {
        folder.as_posix()
        for top in [*PACKAGES, "benchmarks"]
        for folder, files in walk(top)
        if sum(file.suffix == ".py" for file in files) > MOST_MODULES
    }
    assert not full


def test_modules_are_short() -> None:
    long = {
        str(file): lines
        for top in [*PACKAGES, "benchmarks", "tests"]
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
