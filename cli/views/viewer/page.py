"""The page of `rinrcodec view` as HTML: for the server, or with some frames inside."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from rinrcodec.cli.spelling import as_options
from rinrcodec.cli.views.viewer.gallery import BLOCK, Gallery
from rinrcodec.datasets.viewing.pictures import ERROR_GAIN
from rinrcodec.errors import RinrError, plain
from rinrcodec.printing import printable

__all__ = ["content_policy", "one_file_page", "served_page"]

# The sides of a picture inside the page: two or four for each frame have to stay small.
_SIDE = 800
_MODES = {
    "objects": "With objects",
    "background": "Background",
    "source": "Source",
    "error": f"Error \N{MULTIPLICATION SIGN}{ERROR_GAIN}",
}


def served_page(gallery: Gallery) -> str:
    """Return the page that asks its server for frames."""
    return _page(gallery, {"total": len(gallery)}, policy=None)


def one_file_page(
    gallery: Gallery,
    numbers: Sequence[int],
    *,
    on_frame: Callable[[int], object] = lambda _: None,
) -> tuple[str, list[str]]:
    """Return a page with the frames of these numbers inside, and what was wrong with some.

    Args:
        gallery: The frames.
        numbers: Which of them.
        on_frame: Called with how many are done.
    """
    items: list[dict[str, Any]] = []
    problems: list[str] = []
    for done, number in enumerate(numbers, 1):
        item = gallery.frame(number)
        if "problem" in item:
            problems.append(item["problem"])
        else:
            pictures: dict[str, str | dict[str, str]] = {}
            item["pictures"] = pictures
            for mode in gallery.modes:
                try:
                    picture = gallery.picture(number, mode, side=_SIDE, lossless=False)
                except (RinrError, OSError) as error:
                    pictures[mode] = {"problem": printable(as_options(plain(str(error))))}
                    problems.append(gallery.problem(number, item["name"], error))
                    continue
                pictures[mode] = picture.uri
        items.append(item)
        on_frame(done)
    text = _page(gallery, {"total": len(items), "items": items}, policy=_policy("data:"))
    # What all pictures of a frame lack is one problem.
    return text, list(dict.fromkeys(problems))


def content_policy() -> str:
    """Return what a browser may do with the served page: run its script, and ask its server."""
    return f"{_policy('data: ' + _SELF, connect=_SELF)}; frame-ancestors 'none'"


_SELF = "'self'"


def _policy(images: str, connect: str = "'none'") -> str:
    return (
        f"default-src 'none'; script-src {_hash(_script())}; style-src {_hash(_style())}; "
        f"img-src {images}; connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _page(gallery: Gallery, data: dict[str, Any], *, policy: str | None) -> str:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_resource("viewer.html.j2"))
    modes = [[mode, _MODES[mode]] for mode in gallery.modes]
    text = json.dumps({**data, "block": BLOCK, "modes": modes}, separators=(",", ":"))
    # No "</script>" in it, and no "<!--".
    text = text.replace("<", "\\u003c")
    left_out = len(gallery) - data["total"]
    return template.render(
        policy=policy,
        style=Markup(_style()),
        script=Markup(_script()),
        data=Markup(text),
        title=gallery.title,
        left_out=f"{left_out:,}" if left_out else "",
        shown=f"{data['total']:,}",
        bad=[printable(message) for message in gallery.bad.values()],
        modes=modes,
    )


def _style() -> str:
    base = files("rinrcodec.cli.views").joinpath("base.css").read_text(encoding="utf-8")
    return base + _resource("viewer.css")


def _script() -> str:
    return _resource("viewer.js")


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
