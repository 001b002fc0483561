"""The words that people read: no phrase that native readers stumble over, and no dead reference.

`make lint` runs codespell, and `make docs` lists long sentences.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from house_rules import FOLDERS, ROOT, walk

SUFFIXES = {".css", ".html", ".j2", ".js", ".md", ".py", ".sh", ".yml"}
# Records, which stay as they were written: pages of benchmarks.
RECORDS = ("docs/results/",)
# Phrase -> what to write.
PHRASES = {
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\bmade good\b": "fixed",
    r"\b(goes|gone|went) on with\b": "continues",
    r"\bwhat (came|comes) of\b": "the result of",
    r"\b(lie|lies|lay)\b": "is, are",
    r"\bstands?\b(?! alone)": "is, means, replaces",
    r"\bbeside\b": "next to, against",
    r"\bof before\b": "earlier",
    r"\b(is|are|was|were) told\b": "gets, reads",
    r"\bwho(so)?ever\b|\bwhatever\b": "anyone who, any",
    r"\bwants? \d": "expected",
    r"\bas ever\b": "as before",
    r"\band (that|those) alone\b": "only",
    r"\bit is that\b": "the reason is that",
    r"\bwhat sets (it|them) apart\b": "the difference",
}


def texts() -> Iterator[str]:
    """Yield the names of files that people read: the code, its templates, the docs."""
    yield from (file.name for file in ROOT.glob("*.md"))
    yield from ("Makefile", "mkdocs.yml")
    for top in (*FOLDERS, "benchmarks", "docs"):
        for _, files in walk(top):
            yield from (file.as_posix() for file in files if file.suffix in SUFFIXES)


def faults(text: str) -> Iterator[str]:
    for phrase, better in PHRASES.items():
        for found in re.finditer(phrase.replace(" ", r"[\s#]+"), text, re.IGNORECASE):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{line}: {found[0]!r}: write {better}"


def test_plain_words() -> None:
    found = [
        f"{name}:{fault}"
        for name in texts()
        if not name.startswith(RECORDS)
        for fault in faults((ROOT / name).read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "The chunk lies in a section.",
        "The file beside\nthe list.",
        "# as\n# ever",
        "Packs are fitted again, and those alone.",
        "flat wants 3 weights",
    ],
)
def test_a_phrase_is_found(text: str) -> None:
    assert len(list(faults(text))) == 1


def test_good_words_are_no_phrase() -> None:
    assert not list(faults("A standard client lists the recommended layout. It can stand alone."))


def test_long_sentences_are_counted() -> None:
    """By the hook of the site."""
    path = ROOT / "docs" / "site_words.py"
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed")
    spec = importlib.util.spec_from_file_location("site_words", path)
    assert spec is not None
    assert spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    page = (
        "# A heading\n\nOne [link](x.md) here. `two` words:\n\n    code. More code.\n\n"
        "| a | table. Row |\n\n* **Bold.** The item\n  goes on.\n* Last\n"
    )
    assert hook.sentences(page) == [
        "One link here.", "Code words:", "* **Bold.**", "The item goes on.", "* Last",
    ]  # fmt: skip


def test_files_of_docs_that_code_names_exist() -> None:
    """Docstrings, messages and comments name pages as `docs/yolo.md`."""
    missing = [
        f"{name}: {page}"
        for name in texts()
        if not name.endswith(".md")
        for page in re.findall(
            r"\b(?:docs|formats)/[\w/-]+\.md\b", (ROOT / name).read_text(encoding="utf-8")
        )
        if not Path(ROOT / page).is_file()
    ]
    assert missing == []
