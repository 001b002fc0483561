"""Every relative link of every page leads to a file, and every anchor to a heading.

`make docs` checks the site; here is also what a repository shows, such as README.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from functools import cache

import pytest
from house_rules import ROOT, walk

PAGES = sorted(
    [file.name for file in ROOT.glob("*.md")]
    + [
        file.as_posix()
        for top in ("docs", "formats")
        for _, files in walk(top)
        for file in files
        if file.suffix == ".md"
    ]
)


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```|^ {4}[^\n]*|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)


@cache
def anchors(page: str) -> set[str]:
    """The anchors of a page: its headings, as GitHub and mkdocs name them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", one.lower()).replace(" ", "-") for one in headings}


def links(text: str) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        if not re.match(r"[a-z]+:", target):
            yield target


def dead(page: str, text: str) -> list[str]:
    found = []
    for target in links(text):
        path, _, anchor = target.partition("#")
        file = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
        is_dead = not (ROOT / file).exists()
        if is_dead or (anchor and anchor not in anchors(file)):
            found.append(target)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_targets_of_links_exist(page: str) -> None:
    assert dead(page, (ROOT / page).read_text(encoding="utf-8")) == []


def test_dead_links_are_found() -> None:
    text = (
        "[a](yolo.md#speed) [b](yolo.md#nothing) [c](none.md) [d](#none) `[e](x.md)` [f](https://x)"
    )
    assert dead("docs/av1.md", text) == ["yolo.md#nothing", "none.md", "#none"]
