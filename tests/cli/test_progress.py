"""A bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from rinrcodec.cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "quiet", "shows"),
    [(Terminal(), False, True), (Terminal(), True, False), (io.StringIO(), False, False)],
)
def test_the_bar_is_for_terminals(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, quiet: bool, shows: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", stream)
    with progress("fitting", 40, quiet=quiet) as bar:
        bar.update(10.5, label="train")
        bar.update(40)
    if shows:
        assert "40/40 frames" in stream.getvalue()
        assert "train" in stream.getvalue()
    else:
        assert stream.getvalue() == ""


def test_the_bar_takes_labels_as_they_are_and_says_what_it_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("[red]mark", 3, unit="files") as bar:
        bar.update(3)
    assert "3/3 files" in terminal.getvalue()
    assert "[red]mark" in terminal.getvalue()
