"""Text for people: nothing that a terminal or a page would act on."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rinrcodec.errors import MissingExtraError, RinrFormatError, RinrInputError, RinrUsageError
from rinrcodec.printing import printable

# Surrogates, too: bytes of file names that are no Unicode.
ANY_TEXT = st.text(st.characters(codec=None, categories=None))
SEEN = {"L", "M", "N", "P", "S"}


@given(ANY_TEXT)
def test_only_what_can_be_seen_is_left(text: str) -> None:
    shown = printable(text)
    assert all(unicodedata.category(one)[0] in SEEN or one == " " for one in shown)
    assert printable(shown) == shown
    shown.encode()


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "M"])))
def test_printable_characters_are_kept(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31m", r"\x9b31m"),
        ("a\rb\nc\td", r"a\rb\nc\td"),
        ("\u2028\u202e\u2066\u200b\u200d\ufeff", r"\u2028\u202e\u2066\u200b\u200d\ufeff"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
        ("[red]a[/red] :smile: é 猫", "[red]a[/red] :smile: é 猫"),
    ],
)
def test_unprintable_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("kind", [RinrInputError, RinrFormatError, RinrUsageError])
def test_errors_are_printable(kind: type[Exception]) -> None:
    assert str(kind("a\x1b[2J.rinr:\nnot a file")) == r"a\x1b[2J.rinr:\nnot a file"
    assert str(MissingExtraError("x\x07", "y")).startswith(r"x\x07 is not installed")


def test_details_of_an_error_are_lines_of_their_own() -> None:
    error = RinrInputError("two are wrong")
    error.details = ("a\nb", "c")
    assert str(error).split("\n") == ["two are wrong", r"  a\nb", "  c"]
