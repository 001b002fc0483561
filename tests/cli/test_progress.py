"""A bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from rinrcodec import Progress
from rinrcodec.cli.progress import drawing, progress


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


@pytest.mark.parametrize("quiet", [False, True])
def test_reports_of_the_library_are_drawn(monkeypatch: pytest.MonkeyPatch, quiet: bool) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with drawing(unit="files", quiet=quiet) as draw:
        assert terminal.getvalue() == ""  # until there is something to show
        draw(Progress("verifying", 0, 3))
        draw(Progress("verifying", 3, 3, "train"))
        drawn = terminal.getvalue()
        draw(Progress("verifying", 3, 3, "again"))
        assert terminal.getvalue() == drawn  # the last report has ended it
    if quiet:
        assert drawn == ""
    else:
        assert "verifying" in drawn
        assert "train" in drawn
        assert "3/3 files" in drawn


def test_a_call_without_reports_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with drawing():
        pass
    assert terminal.getvalue() == ""
