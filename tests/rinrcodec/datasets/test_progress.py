"""What callbacks, bars and the logger get of a call of the library."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rinrcodec
from rinrcodec.datasets.progress import Hint, Messages, Progress, reporting
from rinrcodec.display import live


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make the standard error a terminal; in a test itself, as pytest sets it between fixtures."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def after(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every look at the clock take so long."""
    times = iter(np.arange(0, 1e6, seconds))
    make = live.Meter.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        make(self, *args, **{**options, "clock": lambda: float(next(times))})

    monkeypatch.setattr(live.Meter, "__init__", init)


def test_auto_draws_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    after(2.0, monkeypatch)
    with reporting("auto", "reading", unit="files") as report:
        report(Progress("verifying", 1, 2))
        report(Progress("verifying", 2, 2))
    assert "verifying" in terminal.getvalue()
    assert "2/2 files" in terminal.getvalue()


def test_progress_can_be_none_or_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    seen: list[Progress] = []
    for given in (None, seen.append):
        with reporting(given, "reading") as report:
            report(Progress("fitting", 1, 2))
    assert seen == [Progress("fitting", 1, 2)]
    assert terminal.getvalue() == ""
    for wrong in (False, "bar"):
        with pytest.raises(rinrcodec.RinrUsageError, match='expected a function, "auto" or None'):
            rinrcodec.verify("x", on_progress=wrong)  # type: ignore[arg-type]
        with pytest.raises(rinrcodec.RinrInputError, match='expected a function, "auto" or None'):
            rinrcodec.encode([np.zeros((4, 4), np.uint8)], on_progress=wrong)  # type: ignore[arg-type]


def test_auto_logs_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rinrcodec")
    after(5.0, monkeypatch)
    with reporting("auto", "reading") as report:
        report(Progress("fitting", 1, 2, "train", failed=1))
    assert "train: 50.0 % of 2 frames, 1 failed, 0:00:05" in caplog.messages


def test_encode_draws_a_bar_if_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    pictures = [np.zeros((16, 16), np.uint8)] * 2
    rinrcodec.encode(pictures, steps=1, device="cpu", on_progress=None)
    assert terminal.getvalue() == ""
    after(2.0, monkeypatch)
    rinrcodec.encode(pictures, steps=1, device="cpu")
    assert "encoding" in terminal.getvalue()
    assert "2/2 frames" in terminal.getvalue()


def test_failures_are_counted_separately(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (16, 16)).save(tmp_path / f"in/{name}.png")
    (tmp_path / "in/c.png").write_text("no picture", encoding="utf-8")
    seen: list[Progress] = []
    quick: dict[str, Any] = {"labels": "none", "preset": "fast", "shard_size": 1}
    result = rinrcodec.compress(tmp_path / "in", tmp_path / "out", on_progress=seen.append, **quick)
    assert (seen[-1].done, seen[-1].total, seen[-1].failed) == (3, 3, 1)
    assert (result.failed_pictures, len(result.failures)) == (1, 1)
    pack = next((tmp_path / "out").glob("*0.rinr"))
    data = bytearray(pack.read_bytes())
    data[-1] ^= 1
    pack.write_bytes(data)
    found = rinrcodec.decompress(tmp_path / "out", tmp_path / "back", on_progress=seen.append)
    assert found.frames == 1
    assert repr(found).endswith(", 0 warnings, 1 failure>")


def test_messages_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rinrcodec")
    told: list[str] = []
    messages = Messages(told.append)
    messages("a note\x1b")
    messages("warning: odd")
    messages(Hint("how to resume"))
    messages.log(["odd", "bad"], ["bad"])
    assert told == ["a note\x1b", "warning: odd", "how to resume"]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "a note\\x1b"),
        ("WARNING", "odd"),
        ("WARNING", "how to resume"),
        ("WARNING", "bad"),
    ]


def test_skipped_files_are_warnings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rinrcodec")
    (tmp_path / "frames").mkdir()
    Image.new("RGB", (24, 16)).save(tmp_path / "frames" / "a.png")
    (tmp_path / "frames" / "b.png").write_bytes(b"no picture")
    packs = tmp_path / "packs"
    rinrcodec.compress(tmp_path / "frames", packs, background="siren", steps=2, device="cpu")
    (skipped,) = [record for record in caplog.records if "b.png: not" in record.getMessage()]
    assert skipped.levelno == logging.WARNING
    assert "compress" in caplog.messages[0]
    (pack,) = packs.glob("*.rinr")
    pack.write_bytes(pack.read_bytes()[:-1])
    caplog.clear()
    assert not rinrcodec.verify(packs).ok
    assert {record.levelname for record in caplog.records} == {"INFO", "WARNING"}


def test_a_program_without_logging_prints_nothing() -> None:
    code = "import logging, rinrcodec; logging.getLogger('rinrcodec.x').error('no')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b""
