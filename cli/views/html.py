"""HTML that cannot be broken by what a file is called: every text is escaped, markup is a type."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

__all__ = ["Html", "data_uri", "element", "join", "page", "table"]

_VOID = {"br", "img", "meta"}


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | int) -> Html:
    """`<tag attributes>children</tag>`; children that are no `Html` are escaped, values always.

    An attribute `class_` is `class`, and `_` in others is `-`.
    """
    head = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for name, value in attributes.items()
    )
    if tag in _VOID:
        return Html(f"<{tag}{head}>")
    return Html(f"<{tag}{head}>{join(children)}</{tag}>")


def join(parts: Sequence[str]) -> Html:
    """Parts one after the other; those that are no `Html` are escaped."""
    return Html("".join(part if isinstance(part, Html) else html.escape(part) for part in parts))


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, marked: Sequence[int] = ()
) -> Html:
    """A table that scrolls in its own box where it is too wide.

    The first column is text, the others are numbers. marked: the numbers of rows to point out.
    """
    head = element("tr", *(element("th", title, scope="col") for title in header))
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(element("td", cell) for cell in row[1:]),
            **({"class_": "marked"} if number in marked else {}),
        )
        for number, row in enumerate(rows)
    ]
    whole = element("table", element("thead", head), element("tbody", *body))
    return element("div", whole, class_="scroll", tabindex=0, role="region", aria_label=header[0])


def data_uri(data: bytes, kind: str) -> str:
    """Bytes of the media type `kind` as an address that needs no network."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def page(title: str, body: Sequence[str], *, style: str) -> str:
    """A whole page; its policy keeps a browser from fetching or running anything."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(style)),
    )
    whole = element("html", head, element("body", element("main", *body)), lang="en")
    return f"<!doctype html>\n{whole}\n"
