"""The tree and the layers of docs/architecture.md: what they say of the repository is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from house_rules import FOLDERS, LAYERS, MOST_MODULES, ROOT, walk

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
STEP = 2  # spaces by which what is in a folder is indented


def entries(page: str) -> list[tuple[Path, bool]]:
    """Return the paths in the tree of a page, and whether each is a folder.

    A line has names with one space between them, two spaces or more, and a few words. A name that
    ends in "/" is a folder. What is in it follows, with a deeper indent.
    """
    (tree,) = re.findall(r"^```tree\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    above: list[Path] = []
    named: list[tuple[Path, bool]] = []
    for line in tree.splitlines():
        match = re.fullmatch(r"( *)(\S+(?: \S+)*) {2,}\S.*", line)
        assert match, f"not a line of the tree: {line!r}"
        indent, names = len(match[1]), match[2].split(" ")
        depth = indent // STEP
        assert indent % STEP == 0, f"wrong indent: {line!r}"
        assert depth <= len(above), f"not in a folder: {line!r}"
        folders = [name for name in names if name.endswith("/")]
        assert not folders or len(names) == 1, f"a folder has a line of its own: {line!r}"
        del above[depth:]
        inside = above[-1] if above else Path()
        named += [(inside / name, name.endswith("/")) for name in names]
        if folders:
            above.append(inside / folders[0])
    return named


def code_folders() -> set[Path]:
    """Return the folders with modules, and `tests/`, whose folders mirror the others."""
    folders = {
        folder
        for top in [*FOLDERS, "benchmarks"]
        for folder, files in walk(top)
        if any(file.suffix == ".py" for file in files)
    }
    return folders | {Path("tests")}


def tree_faults(page: str) -> list[str]:
    """Return what is wrong with the tree of a page."""
    named = entries(page)
    paths = [path for path, _ in named]
    faults = [f"{path} is there twice" for path in sorted(set(paths)) if paths.count(path) > 1]
    for path, is_folder in named:
        exists = (ROOT / path).is_dir() if is_folder else (ROOT / path).is_file()
        if not exists:
            faults.append(f"{path} does not exist")
    listed = {path for path, is_folder in named if is_folder}
    return faults + [f"{folder} is missing" for folder in sorted(code_folders() - listed)]


def layer_table(page: str) -> list[list[str]]:
    """Return the modules of each layer in the table of a page, in its order."""
    _, _, rest = page.partition("| layer | modules |")
    table = rest.partition("\n\n")[0]
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", table, flags=re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    return [re.findall(r"`(\w+)`", modules) for _, modules in rows]


def test_the_tree_is_that_of_the_repository() -> None:
    assert tree_faults(PAGE) == []


def test_the_layers_are_those_of_the_import_rules() -> None:
    rules = [[module.removeprefix("rinrcodec.") for module in layer] for layer in LAYERS]
    assert [sorted(layer) for layer in layer_table(PAGE)] == [sorted(layer) for layer in rules]


def test_the_numbers_of_the_page_are_those_of_the_rules() -> None:
    assert f"at {MOST_MODULES} modules at most" in PAGE


@pytest.mark.parametrize(
    ("line", "wrong", "fault"),
    [
        ("  nerv/ ", "  nerve/ ", "rinrcodec/families/nerve does not exist"),
        ("  nerv/ ", "  nerve/ ", "rinrcodec/families/nerv is missing"),
        (
            "interface.py group",
            "contract.py group",
            "rinrcodec/families/contract.py does not exist",
        ),
        ("formats/  ", "formats    ", "formats does not exist"),
        ("plugins/  ", "formats/   ", "formats is there twice"),
        ("  harness/ ", "harness/   ", "benchmarks/harness is missing"),
    ],
)
def test_a_wrong_tree_is_seen(line: str, wrong: str, fault: str) -> None:
    assert fault not in tree_faults(PAGE)
    assert fault in tree_faults(PAGE.replace(line, wrong, 1))


@pytest.mark.parametrize(
    "line", ["no words", "   odd.py  an odd indent", "    deep.py  in no folder"]
)
def test_a_malformed_tree_is_refused(line: str) -> None:
    with pytest.raises(AssertionError, match=r"tree|indent|folder"):
        entries(f"```tree\n{line}\n```\n")


def test_a_wrong_layer_is_seen() -> None:
    assert layer_table(PAGE) != layer_table(PAGE.replace("`errors`, ", "`pack`, ", 1))
