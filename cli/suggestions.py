"""Suggestions for commands, options and choices that are misspelt."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _StringChoice = click.Choice[str]
else:  # click 8.1 has no [str]
    _StringChoice = click.Choice

__all__ = ["Choice", "SuggestingGroup", "did_you_mean", "usage_error_lines"]

_MOST = 2
_OUTPUTS = {"compress": "packs", "decompress": "pictures"}  # examples of -o
_LIKENESS = 0.6  # of 1; "av2" is as like "av1"


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """Return what ends a message about an unknown name: the most similar ones, or nothing.

    Example:
        >>> did_you_mean("compres", ["compress", "decompress"])
        '; did you mean compress?'
        >>> did_you_mean("x", ["compress"])
        ''
    """
    best = get_close_matches(text, list(known), n=_MOST, cutoff=_LIKENESS)
    return f"; did you mean {' or '.join(best)}?" if best else ""


class Choice(_StringChoice):
    """One of some names; a misspelt one is answered with the most similar."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name as it is listed."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            message = error.message.rstrip(".") + did_you_mean(str(value), self.choices)
            raise click.BadParameter(message, ctx, param) from error


class SuggestingGroup(click.Group):
    """A group that answers a misspelt command with the most similar ones."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve as click's group does; raise `click.UsageError` for an unknown command."""
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing and name[:1] != "-":
            known = self.list_commands(ctx)
            guess = did_you_mean(name, known) or f"; commands: {', '.join(known)}"
            raise click.UsageError(f"no such command: {name}{guess}", ctx)
        return super().resolve_command(ctx, args)


def _usage_hint(error: click.UsageError) -> str:
    """Return what ends a message about too many paths, or about no output."""
    command = error.ctx.command if error.ctx else None
    if isinstance(error, click.MissingParameter):
        out = _OUTPUTS.get(command.name or "") if command else None
        is_out = error.param is not None and error.param.name == "out"
        return f" Give one, such as -o {out}." if out and is_out else ""
    arguments = [param for param in command.params if param.nargs == 1] if command else []
    one_path = [param for param in arguments if isinstance(param, click.Argument)]
    if one_path and error.message.startswith("Got unexpected extra argument"):
        return f". {one_path[-1].metavar} is one path: give the folder"
    return ""


def usage_error_lines(error: click.UsageError) -> list[str]:
    """Return the lines to print for a wrong command line.

    They name the fault, and where its options are listed.
    """
    message = error.format_message()
    if isinstance(error, click.NoSuchOption):
        options = error.ctx.command.params if error.ctx else []
        known = [name for param in options for name in param.opts if name.startswith("--")]
        name = error.option_name
        message = f"no such option: {name}{did_you_mean(name, known)}"
    message += _usage_hint(error)
    lines = [f"error: {message}"]
    if error.ctx is not None:
        lines.append(f"see {error.ctx.command_path} --help")
    return lines
