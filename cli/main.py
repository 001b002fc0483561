"""The command `rinrcodec`: finds a subcommand, runs it, and turns errors into one line.

Exit codes: 0 fine, 1 data error, 2 usage, 3 a missing package, 130 interrupted (SIGTERM: 143,
SIGHUP: 129).
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
import warnings
from typing import Any

import click

from rinrcodec.cli.output import say
from rinrcodec.cli.signals import answer_signals, interrupted_code
from rinrcodec.cli.spelling import as_options
from rinrcodec.cli.suggestions import SuggestingGroup, usage_error_lines
from rinrcodec.errors import MissingExtraError, RinrError, plain
from rinrcodec.memory import is_out_of_memory, memory_error
from rinrcodec.printing import printable

__all__ = ["COMMANDS", "cli", "main"]

# Command -> its line in the help. Modules are imported when a command runs, so that the help
# waits for none of them. `rinrcodec.cli.commands.NAME` holds the click command `command`.
COMMANDS = {
    "compress": "Turn pictures into .rinr files.",
    "decompress": "Turn .rinr files back into pictures and labels.",
    "info": "Show what .rinr files hold.",
    "view": "Look at the frames of .rinr files in a browser.",
    "verify": "Check that .rinr files are undamaged and decode.",
    "bench": "Measure the codec on your own pictures.",
    "yolo": "Train, validate and predict with YOLO from .rinr files.",
    "report": "Write a page: which codec to use for your own pictures, and why.",
    "fog": "Show what a fog node saves, and when it does not.",
    "demo": "Show what the codec does, on four pictures.",
}


# Its message is the whole help; click 8.1 prints that by itself.
_NO_ARGS: tuple[type[click.UsageError], ...] = tuple(
    filter(None, [getattr(click.exceptions, "NoArgsIsHelpError", None)])
)


class _LazyGroup(SuggestingGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"rinrcodec.cli.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:
        """Run as click's group does, with our exit codes and one line for each expected error."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **options)  # type: ignore[call-overload]
        try:
            result = super().main(*args, standalone_mode=False, **options)  # type: ignore[call-overload]
        except (Exception, KeyboardInterrupt) as error:
            code = _report(error)
            _forget_output()
            sys.exit(code)
        sys.exit(result if isinstance(result, int) else 0)


def _report(error: BaseException) -> int:
    """Say in one line what went wrong, and return the exit code; re-raise what is a bug."""
    if isinstance(error, click.UsageError) and not isinstance(error, _NO_ARGS):
        say(*"\n".join(usage_error_lines(error)).split("\n"), err=True)
        return error.exit_code
    if isinstance(error, click.ClickException):
        shown = io.StringIO()
        error.show(shown)
        say(*shown.getvalue().rstrip("\n").split("\n"), err=True)
        return error.exit_code
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        say("interrupted", err=True)
        return interrupted_code()
    if isinstance(error, RinrError):
        say(*f"error: {plain(str(error))}".split("\n"), err=True)
        return error.exit_code
    if is_out_of_memory(error):
        say(f"error: {memory_error(error, 'this command')}", err=True)
        return 1
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.split(".")[0]
        if package == "rinrcodec":
            raise error
        missing = MissingExtraError(package, package)  # torch; others are no extra of theirs
        say(f"error: {missing}", err=True)
        return missing.exit_code
    if isinstance(error, OSError):
        say(f"error: {_os_error(error)}", err=True)
        return 1
    raise error


def _forget_output() -> None:
    """Drop what the standard output cannot take, which Python would try again at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _os_error(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        # All code that writes a file gives its name.
        path = error.filename or "the standard output"
        return f"{path} cannot be written: {error.strerror}"
    if error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="rinrcodec", prog_name="rinrcodec")
def cli() -> None:
    """Frames in few bytes, with sharp objects: AV1 or small neural networks (INRs).

    Exit codes: 0 fine, 1 data error, 2 usage, 3 a package is missing, 4 verify could not
    check all frames, 130 interrupted (by SIGTERM 143, by SIGHUP 129).
    """


def main() -> None:
    """Run the command line with the arguments of this process."""
    shown = warnings.formatwarning

    def one_line(
        message: Warning | str, category: type[Warning], *others: Any, **options: Any
    ) -> str:
        text = as_options(printable(message))
        if category is UserWarning:  # ours: the line of code helps no one
            return f"warning: {text}\n"
        return shown(text, category, *others, **options)

    warnings.formatwarning = one_line
    answer_signals()
    # Pillow warns of every odd tag of a picture, of which a file may have thousands.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    cli(prog_name="rinrcodec")
