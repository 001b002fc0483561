"""XML of label files as JSON values: texts, and dicts and lists of them. Nothing is resolved.

An element with nothing but text is that text. Else it is a dict of its children; of children of
one name, a list. "@name" is an XML attribute, "#text" the text of an element that has more.

    <a v="1"><b>x</b><b>y</b></a>   ->   {"@v": "1", "b": ["x", "y"]}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from rinrcodec.errors import RinrInputError
from rinrcodec.text_limits import MOST_LABEL_BYTES, MOST_XML_DEPTH, MOST_XML_ELEMENTS

__all__ = ["holdable", "parse_xml", "xml_name", "xml_text"]

_NAME = re.compile(r"[^\W\d][\w.-]*(?::[^\W\d][\w.-]*)?")
# What XML 1.0 cannot have, not even as a reference.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TEXT = "#text"


class _Builder:
    """Makes the value of a document from what the parser reports."""

    def __init__(self) -> None:
        self.root: tuple[str, Any] = ("", "")
        self._open: list[tuple[str, dict[str, Any], list[str]]] = []
        self._count = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._count += 1 + len(attributes)
        if self._count > MOST_XML_ELEMENTS:
            raise RinrInputError(f"more than {MOST_XML_ELEMENTS:,} elements")
        if len(self._open) == MOST_XML_DEPTH:
            raise RinrInputError(f"elements inside each other at more than {MOST_XML_DEPTH} levels")
        self._open.append((name, {f"@{key}": value for key, value in attributes.items()}, []))

    def text(self, data: str) -> None:
        self._open[-1][2].append(data)

    def end(self, _: str) -> None:
        name, content, texts = self._open.pop()
        text = "".join(texts)
        if not text.strip():
            text = ""
        value: Any = text
        if content:
            value = content | ({_TEXT: text.strip()} if text else {})
        if not self._open:
            self.root = (name, value)
            return
        above = self._open[-1][1]
        if name not in above:
            above[name] = value
        elif isinstance(above[name], list):
            above[name].append(value)
        else:
            above[name] = [above[name], value]


def parse_xml(data: bytes) -> tuple[str, Any]:
    """Parse a document; return the name and value of the root element.

    Raises:
        RinrInputError: It is no XML, is too large, or declares a document type, which may
            name other files and grow without bound.

    Example:
        >>> parse_xml(b'<a v="1"><b>x</b><b>y</b><c/></a>')
        ('a', {'@v': '1', 'b': ['x', 'y'], 'c': ''})
    """
    if len(data) > MOST_LABEL_BYTES:
        raise RinrInputError(f"{len(data):,} bytes, at most {MOST_LABEL_BYTES:,}")
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise RinrInputError(f"not XML: {error}") from error
    except (LookupError, ValueError) as error:
        if isinstance(error, RinrInputError):
            raise
        raise RinrInputError(f"not XML: {error}") from error
    return builder.root


def xml_text(name: str, value: Any) -> str:
    """Format a document, the inverse of `parse_xml`; every child has a line.

    Example:
        >>> print(xml_text("a", {"@v": "1", "b": ["x", "y"]}), end="")
        <a v="1">
            <b>x</b>
            <b>y</b>
        </a>
    """
    return "\n".join(_lines(name, value, "")) + "\n"


def holdable(value: Any) -> bool:
    """Return whether `xml_text` and `parse_xml` preserve a value."""
    if isinstance(value, str):
        return not _FORBIDDEN.search(value) and (not value or bool(value.strip()))
    if isinstance(value, list):
        return len(value) > 1 and all(holdable(v) and not isinstance(v, list) for v in value)
    if not isinstance(value, dict) or not value or not all(map(holdable, value.values())):
        return False
    texts = {key: v for key, v in value.items() if key == _TEXT or key.startswith("@")}
    if list(value) == [_TEXT] or not all(isinstance(v, str) for v in texts.values()):
        return False
    text = texts.get(_TEXT, "x")
    if text != text.strip() or not text:
        return False
    return all(xml_name(key.removeprefix("@")) for key in value if key != _TEXT)


def xml_name(name: str) -> bool:
    """Return whether an element can have this name."""
    return bool(_NAME.fullmatch(name))


def _lines(name: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _lines(name, one, indent)
        return
    if not isinstance(value, dict):
        yield f"{indent}<{name}>{_escaped(str(value))}</{name}>"
        return
    attributes = "".join(
        f" {key[1:]}={quoteattr(_legal(str(v)), {chr(c): f'&#{c};' for c in (9, 10, 13)})}"
        for key, v in value.items()
        if key.startswith("@")
    )
    children = {key: v for key, v in value.items() if key[0] != "@" and key != _TEXT}
    text = _escaped(value.get(_TEXT, ""))
    if not children:
        yield f"{indent}<{name}{attributes}>{text}</{name}>"
        return
    yield f"{indent}<{name}{attributes}>{text}"
    for key, child in children.items():
        yield from _lines(key, child, f"{indent}    ")
    yield f"{indent}</{name}>"


def _escaped(text: str) -> str:
    return escape(_legal(text), {"\r": "&#13;"})


def _legal(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)


def _refuse(*_: Any) -> None:
    raise RinrInputError(
        "a document type (<!DOCTYPE ...>), which label files do not need; remove it"
    )
