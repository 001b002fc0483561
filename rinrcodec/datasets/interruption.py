"""A `compress` that ends early: what is kept, what is removed, and how to resume."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rinrcodec.datasets.progress import Hint, OnMessage
from rinrcodec.datasets.run import Run
from rinrcodec.datasets.work_folder import Work
from rinrcodec.errors import RinrError, RinrInputError

__all__ = ["CompressInterrupted", "resumable"]


class CompressInterrupted(KeyboardInterrupt):
    """Ctrl-C during `compress`; the message says what is kept and how to resume.

    Example:
        >>> from rinrcodec import CompressInterrupted
        >>> issubclass(CompressInterrupted, KeyboardInterrupt)
        True
    """


@contextmanager
def resumable(
    work: Work, run: Run, out: Path, *, kept: str, keep: bool, on_message: OnMessage
) -> Iterator[None]:
    """Say how to resume a run that ends early; remove all of it where nothing is fitted.

    Args:
        work: the work folder of the run.
        run: the run.
        out: the output, for messages.
        kept: when fitted work is kept, in words.
        keep: keep the work folder in any case, as the sign that earlier outputs are to be replaced.
        on_message: gets the hint, before an error that is not Ctrl-C is raised.

    Raises:
        CompressInterrupted: in place of `KeyboardInterrupt`, with the hint.
        RinrInputError: for an output that is gone, such as an unmounted disk.
    """
    instead = " in place of `overwrite=True`" if keep else ""
    hint = f"what is fitted is kept; the same command with `resume=True`{instead} continues"
    try:
        yield
    except BaseException as error:
        if isinstance(error, (OSError, RinrError)) and not work.is_there():
            raise RinrInputError(
                f"{out}: not there any more; was it moved, removed or unmounted? Bring it back, "
                f"and the same command with `resume=True`{instead} continues"
            ) from error
        if run.is_complete:
            if isinstance(error, KeyboardInterrupt):
                raise CompressInterrupted("interrupted; the output is complete") from None
            raise
        fitted = work.started
        if not fitted and not keep:
            run.forget()
            work.drop()
        if isinstance(error, KeyboardInterrupt):
            nothing = f"nothing was kept yet, as work is kept {kept}. Run the same command again"
            raise CompressInterrupted(f"interrupted; {hint if fitted else nothing}") from None
        if fitted:
            on_message(Hint(hint))
        raise
