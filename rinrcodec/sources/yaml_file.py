"""Read a data yaml within bounds: bytes, words, depth, aliases, digits, and one value for a key.

`data_yaml` calls `parse_yaml`. The bounds are checked before PyYAML makes a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from rinrcodec.errors import RinrInputError
from rinrcodec.text_limits import MOST_DIGITS, MOST_YAML_BYTES, MOST_YAML_DEPTH, MOST_YAML_NODES

__all__ = ["check_nodes", "parse_yaml"]

_MOST_SHOWN = 500  # characters of an error
_SHOWN_KEY = 60
_MERGE = "tag:yaml.org,2002:merge"
# What PyYAML raises, also for a date of month 13 and for tags such as `!!bool maybe`.
_YAML_ERRORS = (
    *(yaml.YAMLError, ValueError, TypeError, AttributeError),
    *(LookupError, ArithmeticError, RecursionError),
)


def parse_yaml(path: Path, text: bytes) -> tuple[dict[str, Any], object]:
    """Read the keys of a data yaml.

    Args:
        path: The file, for messages.
        text: What it holds.

    Returns:
        The keys, and the value of `names` with every word as text, as it is in the file.

    Raises:
        RinrInputError: It is no yaml of keys, or beyond a bound.
    """
    try:
        parser = _Loader(path, text.decode("utf-8-sig"))
        node = parser.get_single_node()
        # Aliases (*name) can make a short yaml say more than any memory holds.
        check_nodes(path, node, most=max(MOST_YAML_BYTES, 4 * len(text)))
        data = parser.construct_document(node) if node else None
    except RinrInputError:
        raise
    except _YAML_ERRORS as error:
        found = " ".join(str(error).split())[:_MOST_SHOWN]
        raise RinrInputError(f"{path}: not a yaml file: {found}") from error
    if node is None or not isinstance(data, dict):
        raise RinrInputError(f"{path}: expected the keys train, val, names of a YOLO data yaml")
    # PyYAML has put the keys of merged maps (<<) first, and those of this map override them.
    names = [value for key, value in node.value if key.value == "names"]
    return data, _words(names[-1]) if names else None


def check_nodes(path: Path, top: yaml.Node | None, *, most: int) -> None:
    """Check that a yaml is small once its aliases are expanded, before anything expands them.

    Args:
        path: the data yaml, for messages.
        top: the root node, None of an empty file.
        most: how many characters its values may have in all; each node counts one more.

    Raises:
        RinrInputError: it is larger, contains itself, gives a key twice, or has a number of over
            1,000 digits.
    """
    sizes: dict[int, int | None] = {}  # by identity: an alias is the same node again

    def size_of(node: yaml.Node) -> int:
        where = f"{path}:{node.start_mark.line + 1}"
        if id(node) in sizes:
            known = sizes[id(node)]
            if known is None:
                raise RinrInputError(f"{where}: a value contains itself")
            return known
        if isinstance(node, yaml.ScalarNode):
            if node.tag.endswith((":int", ":float")) and len(node.value) > MOST_DIGITS:
                raise RinrInputError(
                    f"{where}: a number of {len(node.value):,} digits, at most {MOST_DIGITS:,}"
                )
            size = len(node.value)
        else:
            sizes[id(node)] = None
            inside = node.value
            if isinstance(node, yaml.MappingNode):
                _check_keys(path, node)
                inside = [part for pair in inside for part in pair]
            size = sum(map(size_of, inside))
        if size > most:
            raise RinrInputError(
                f"{where}: more than {most:,} characters when its aliases "
                "(*name) are expanded; write the values out, or shorten them"
            )
        sizes[id(node)] = size + 1
        return size + 1

    if top is not None:
        size_of(top)


def _check_keys(path: Path, node: yaml.MappingNode) -> None:
    """Raise `RinrInputError` for a key that is given twice, of which PyYAML takes the last."""
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        if (key.tag, key.value) in seen:
            raise RinrInputError(
                f"{path}:{key.start_mark.line + 1}: the key {key.value[:_SHOWN_KEY]!r} is given "
                "twice; remove one"
            )
        seen.add((key.tag, key.value))


class _Loader(yaml.SafeLoader):
    """PyYAML's, which counts words and levels as it reads them."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(text)
        self._path = path
        self._count = 0
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._count += 1
        self._depth += 1
        if self._count > MOST_YAML_NODES:
            self._refuse(
                f"more than {MOST_YAML_NODES:,} words; name pictures in a list file (.txt)"
            )
        if self._depth > MOST_YAML_DEPTH:
            self._refuse(f"lists and maps inside each other at more than {MOST_YAML_DEPTH} levels")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _refuse(self, what: str) -> None:
        line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
        raise RinrInputError(f"{self._path}:{line}: {what}")


def _words(node: yaml.Node) -> object:
    """Return the texts of a node, in lists and maps."""
    if isinstance(node, yaml.SequenceNode):
        return list(map(_words, node.value))
    if isinstance(node, yaml.MappingNode):
        return dict(_pairs(node))
    return node.value


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[object, object]]:
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            yield key.value, _words(value)
