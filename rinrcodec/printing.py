"""Text of files for people: one line that neither a terminal nor a page acts on.

Errors, warnings, tables and pages pass through `printable`. JSON does not: it has its own escapes.
"""

from __future__ import annotations

__all__ = ["count", "printable"]


def printable(text: object) -> str:
    r"""Return a text as one line, with escapes for all that cannot be seen.

    Control characters, line breaks, marks of the direction of writing, characters without width,
    and bytes of file names that are no Unicode become the escapes of Python.

    Args:
        text: A text, or anything that has one.

    Returns:
        The text; unchanged where all of it can be printed.

    Example:
        >>> print(printable("a\x1b[2J\n"), printable("caf\xe9"), printable("\u202egpj.exe"))
        a\x1b[2J\n café \u202egpj.exe
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def count(number: int, word: str) -> str:
    """Return a number and what it counts.

    Example:
        >>> print(count(1, "box"), count(2, "box"), count(3000, "frame"), sep=", ")
        1 box, 2 boxes, 3,000 frames
    """
    plural = "es" if word.endswith("x") else "s"
    return f"{number:,} {word}{plural if number != 1 else ''}"
