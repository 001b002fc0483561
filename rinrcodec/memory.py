"""Running out of memory: how Python and the libraries below it say so, and what we make of it.

The decoder, the encoder, the readers of pictures and the command line call this, so that a lack of
memory is a `RinrMemoryError` and never taken for a damaged file. Imports no library.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from rinrcodec.errors import RinrError, RinrMemoryError

__all__ = ["is_out_of_memory", "memory_error", "memory_errors"]

# Of errors that are no `MemoryError`: torch, its libraries, Pillow, FFmpeg, Python's threads.
_SIGNS = re.compile(
    r"can't allocate memory|not enough memory|alloc_cpu|std::bad_alloc|out of memory"
    r"|cannot allocate memory|failed to allocate|can't start new thread"
    r"|could not create a (primitive|memory)",
    re.IGNORECASE,
)
_BYTES = re.compile(r"tried to allocate (\d+) bytes")
_ADVICE = "take fewer or smaller frames at a time, or a machine with more memory"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of any library says that memory ran out.

    Example:
        >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
        True
    """
    if isinstance(error, RinrError):
        return isinstance(error, MemoryError)
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    known = isinstance(error, (RuntimeError, OSError, ImportError))
    return known and _SIGNS.search(str(error)) is not None


def memory_error(error: BaseException, tried: str, advice: str = _ADVICE) -> RinrMemoryError:
    """Return the error to raise for one that `is_out_of_memory` knows.

    Args:
        error: What was raised.
        tried: What ran out of memory, such as "decoding frame 3".
        advice: What to do.
    """
    if isinstance(error, RinrMemoryError):
        return error
    found = _BYTES.search(str(error))
    size = f" (there was no room for {int(found[1]):,} more bytes)" if found else ""
    return RinrMemoryError(f"{tried} ran out of memory{size}; {advice}")


@contextmanager
def memory_errors(tried: str, advice: str = _ADVICE) -> Iterator[None]:
    """Turn a lack of memory into `RinrMemoryError`.

    Args:
        tried: What is done inside, such as "decoding frame 3".
        advice: What to do.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, RinrError) or not is_out_of_memory(error):
            raise
        raise memory_error(error, tried, advice) from error
