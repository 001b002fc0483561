"""A hook of the site: `make docs` lists the sentences that are too long for a reader in a hurry.

It only reports. `tests/test_words.py` refuses phrases, and mkdocs refuses dead links.
"""

from __future__ import annotations

import logging
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page

MOST_WORDS = 25
_LOG = logging.getLogger("mkdocs.hooks.words")
# Page -> the numbers of words of its sentences, and the longest one.
_FOUND: dict[str, tuple[list[int], str]] = {}
_CODE_BLOCK = re.compile(r"^```.*?^```|^(?: {4}|\t)[^\n]*$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[*-]|\d+\.)\s)|^\s*[#|].*$|:::.*$", re.MULTILINE)
_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?]\*\*))\s+(?=[\W_]*[A-Z])|:\s*\n")


def sentences(markdown: str) -> list[str]:
    """Return the sentences of a page, without headings, tables and code blocks.

    Args:
        markdown: The text of the page. Code inside a sentence counts as one word.
    """
    text = re.sub(r"`[^`]*`", "Code", _CODE_BLOCK.sub("\n\n", markdown))
    text = _LINK.sub(r"\1", text)
    found = (" ".join(one.split()) for block in _BLOCK.split(text) for one in _END.split(block))
    return [one for one in found if re.search(r"\w", one)]


def on_page_markdown(markdown: str, page: Page, **_: object) -> None:
    """Count the words of the sentences of a page."""
    every = sentences(markdown)
    if every:
        counts = [len(one.split()) for one in every]
        _FOUND[page.file.src_uri] = (counts, max(every, key=lambda one: len(one.split())))


def on_post_build(config: MkDocsConfig) -> None:
    """Print a line for each page with long sentences, the worst one first."""
    del config
    total = sum(len(counts) for counts, _ in _FOUND.values())
    rows = []
    for page, (counts, longest) in _FOUND.items():
        if long := sum(count > MOST_WORDS for count in counts):
            rows.append((long, page, len(counts), max(counts), longest))
    _LOG.info(
        "sentences of more than %d words: %d of %d", MOST_WORDS, sum(r[0] for r in rows), total
    )
    for long, page, n, most, longest in sorted(rows, reverse=True):
        _LOG.info("%s: %d of %d; %d words: %.60s...", page, long, n, most, longest)
    _FOUND.clear()
