"""Which frames of a file are decoded together, because their row is a chain of frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rinrcodec.families import background_family
from rinrcodec.formats import PackReader
from rinrcodec.formats.checks import naming
from rinrcodec.formats.header import SHARED_ROWS, Header

__all__ = ["may_share_rows", "row_starts"]


def may_share_rows(header: Header) -> bool:
    """Return whether frames of a file may share rows, by its user block alone."""
    return header.n_frames > 1 and bool(header.required & SHARED_ROWS)


def row_starts(reader: PackReader) -> NDArray[np.int64]:
    """Return for every frame the first frame of the file with the same row, int64 [n_frames].

    A frame that is decoded without others has its own number, also where its family shares rows
    but does not chain frames. Reads the directory and the frame table alone.

    Args:
        reader: An open file.

    Raises:
        RinrFormatError: The table is damaged, or names a group whose family is unknown.
    """
    starts = np.arange(reader.n_frames)
    if not may_share_rows(reader.header):
        return starts
    groups, rows = reader.background_rows()
    for number, spec in enumerate(reader.specs):
        members = np.flatnonzero(groups == number)
        with naming(reader.name):
            if len(members) and background_family(spec.family).chained:
                _, first, of_row = np.unique(rows[members], return_index=True, return_inverse=True)
                starts[members] = members[first[of_row]]
    return starts
