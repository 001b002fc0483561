"""`-v` and `-vv`: what the library logs, on the standard error."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import click

from rinrcodec.cli.output import say

__all__ = ["verbose_option"]

_LIBRARY = "rinrcodec"


class _Shown(logging.Handler):
    """Prints records, but for those that commands print in any case."""

    def filter(self, record: logging.LogRecord) -> bool:
        from rinrcodec.datasets.progress import MESSAGES

        return record.levelno < logging.WARNING and record.name != MESSAGES

    def emit(self, record: logging.LogRecord) -> None:
        say(f"{record.levelname.lower()}: {record.getMessage()}", err=True)


def _show(ctx: click.Context, param: click.Parameter, count: int) -> None:  # noqa: ARG001
    """Show the steps from now on, and with a count of 2 the details, until the command ends."""
    if not count:
        return
    logger = logging.getLogger(_LIBRARY)
    handler, level = _Shown(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if count == 1 else logging.DEBUG)

    def stop() -> None:
        logger.removeHandler(handler)
        logger.setLevel(level)

    ctx.call_on_close(stop)


def verbose_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-v`, which may be repeated."""
    return click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_show,
        help="Print the steps; -vv prints details, too.",
    )(command)
