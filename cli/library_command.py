"""The click command of everything that calls the library."""

from __future__ import annotations

from typing import Any

import click

from rinrcodec.errors import RinrUsageError

__all__ = ["LibraryCommand"]


class LibraryCommand(click.Command):
    """A command that says of the library's usage errors what click says of its own."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; raises `click.UsageError` in place of `RinrUsageError`."""
        try:
            return super().invoke(ctx)
        except RinrUsageError as error:
            raise click.UsageError(str(error), ctx) from error
