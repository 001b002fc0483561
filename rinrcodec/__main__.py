"""The command `rinrcodec`, also as `python -m rinrcodec`."""

from __future__ import annotations

from rinrcodec.cli.signals import exit_on_interrupt

__all__ = ["main"]


def main() -> None:
    """Run the command line with the arguments of this process."""
    exit_on_interrupt()  # until the command line, which takes a moment to import, answers signals
    from rinrcodec.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
