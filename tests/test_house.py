"""The rules of the house: links for tools, and the size of folders and modules.

What is installed is in `test_packaging`.
"""

from __future__ import annotations

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
