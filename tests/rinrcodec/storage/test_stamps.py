"""Stamps: their size, what stores call a checksum or time, and messages about changes."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from rinrcodec.errors import RinrInputError, RinrLimitError
from rinrcodec.storage.stamps import (
    check_size,
    check_stamp,
    local_stamp,
    object_stamp,
    size_in,
)

TIME = datetime(2024, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("info", "stamp"),
    [
        ({"size": 3, "ETag": '"ab-2"', "LastModified": TIME}, "3-ab-2"),
        ({"size": 3, "ETag": "", "md5Hash": "x"}, "3-x"),
        ({"size": 3, "LastModified": TIME}, f"3-{TIME.timestamp()}"),
        ({"size": 3, "mtime": TIME.timestamp()}, f"3-{TIME.timestamp()}"),
        ({"size": None}, "0-"),
    ],
)
def test_stamps_of_objects(info: dict[str, Any], stamp: str) -> None:
    assert object_stamp(info) == stamp
    assert size_in(stamp) == (info["size"] or 0)


def test_stamps_of_files(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"123")
    stamp = local_stamp(path.stat())
    assert stamp == f"3-{path.stat().st_mtime_ns}"
    assert size_in(stamp) == 3


def test_other_sizes_and_stamps_are_errors() -> None:
    path = Path("a.png")
    check_size(path, 5, 5)
    with pytest.raises(RinrLimitError, match="5 bytes, at most 4"):
        check_size(path, 5, 4)
    check_stamp(path, "", "3-1", "now")
    check_stamp(path, "3-1", "3-1", "now")
    with pytest.raises(RinrInputError, match=r"^a\.png: changed now; wait"):
        check_stamp(path, "3-1", "3-2", "now")
    with pytest.raises(RinrInputError, match=r"^a\.png: was removed now; wait"):
        check_stamp(path, "3-1", "", "now")
