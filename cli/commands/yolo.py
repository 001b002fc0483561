"""`rinrcodec yolo`: the command of Ultralytics, over packs."""

from __future__ import annotations

import click

from rinrcodec.errors import RinrInputError

__all__ = ["command"]


@click.command("yolo", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", metavar="[ARGUMENTS]...", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Train, validate and predict with YOLO from .rinr files.

    This is the command yolo of Ultralytics with the same arguments. Here, data= may also name the
    data.yaml that compress wrote, and source= a pack or a folder of packs:

    \b
      rinrcodec yolo detect train model=yolov8n.yaml data=packs/data.yaml epochs=100
      rinrcodec yolo detect val model=best.pt data=packs/data.yaml
      rinrcodec yolo detect predict model=best.pt source=packs/val

    "rinrcodec yolo help" shows its arguments.
    """  # noqa: D301 (click needs the character itself)
    from rinrcodec.plugins.ultralytics_adapter import run_yolo

    try:
        run_yolo(arguments)
    except SyntaxError as error:  # what the command raises for a word that it does not know
        raise click.UsageError(str(error)) from error
    except RuntimeError as error:
        # What it says of a data yaml that is not there or cannot be used; others may be bugs.
        if not str(error).startswith("Dataset "):
            raise
        raise RinrInputError(str(error)) from error
