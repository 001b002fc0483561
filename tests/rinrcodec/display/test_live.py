"""Progress: bars in notebooks and on terminals, lines and records elsewhere, and never an error."""

from __future__ import annotations

import io
import logging
import sys
import threading
import types
from itertools import pairwise
from typing import Any

import pytest

from rinrcodec.display import live
from rinrcodec.display.live import Lines, Meter, Records, Silent, State, best_view, metering


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken:
    """A view whose terminal is gone."""

    shown = 0

    def show(self, state: State) -> None:  # noqa: ARG002
        Broken.shown += 1
        raise BrokenPipeError

    def close(self) -> None:
        raise AssertionError


def test_a_state_is_one_line() -> None:
    assert str(State("a\x1b[2J\nb", seconds=75)) == r"a\x1b[2J\nb: 0:01:15"
    assert str(State("train", 12.4, 40, "files", 3661)) == "train: 31.0 % of 40 files, 1:01:01"
    assert str(State("train", 0, 0)) == "train: 0:00:00"
    nearly = str(State("train", 1999.9, 2000, failed=1500))
    assert nearly == "train: 99.9 % of 2,000 frames, 1,500 failed, 0:00:00"


def test_lines_come_at_least_every_ten_seconds_without_any_report() -> None:
    """As in the first fit, which may take minutes: nothing is reported, and the clock ticks."""
    clock, lines = Clock(), []
    meter = Meter(
        lambda: Lines(lambda line: lines.append((clock.now, line))), label="x", clock=clock
    )
    for _ in range(200):
        meter.tick()
        clock.now += 0.5
    times = [100.0, *(when for when, _ in lines), 200.0]
    assert max(after - before for before, after in pairwise(times)) < 10
    assert len(lines) < 20
    assert lines[0][1] == "x: 0:00:03"


def test_reports_change_the_lines_and_make_no_more_of_them() -> None:
    clock, lines = Clock(), []
    meter = Meter(lambda: Lines(lines.append), label="reading", unit="files", clock=clock)
    for done in range(1000):
        meter.report(done / 10, 100, "train")
        clock.now += 0.02
    meter.report(100)
    clock.now += 9
    meter.tick()  # there may be more to do, such as publishing
    meter.close()
    assert [line.split(",")[0] for line in lines] == [
        f"train: {share} % of 100 files" for share in ("15.1", "45.2", "75.3", "100.0")
    ]


def test_short_work_shows_nothing() -> None:
    clock, made = Clock(), []

    def make() -> Silent:
        made.append(clock.now)
        return Silent()

    meter = Meter(make, label="x", after=1.0, clock=clock)
    meter.report(1, 3)
    meter.tick()
    assert made == []
    clock.now += 1
    meter.report(2, 3)
    assert made == [101.0]


def test_a_broken_display_does_not_stop_the_work() -> None:
    meter = Meter(Broken, label="x")
    meter.report(1, 3)
    meter.report(2, 3)
    meter.close()
    assert Broken.shown == 1

    def fail() -> Silent:
        raise ValueError

    meter = Meter(fail, label="x")
    meter.report(1, 3)
    meter.close()


def test_a_thread_ticks_until_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_LOOK_S", 0.001)
    ticked = threading.Event()
    meter = Meter(Silent, label="x")
    monkeypatch.setattr(meter, "tick", ticked.set)
    before = threading.active_count()

    def work() -> None:
        with metering(meter):
            assert ticked.wait(60)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert threading.active_count() == before


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", terminal)
    clock = Clock()
    meter = Meter(best_view("files", Silent), label="[red]reading", unit="files", clock=clock)
    assert terminal.getvalue() == ""
    clock.now += 2
    meter.tick()  # before it is known how much there is
    meter.report(3, 3)
    assert "[red]reading" in terminal.getvalue()
    assert "3/3 files" in terminal.getvalue()
    drawn = terminal.getvalue()
    meter.report(3, 3)
    meter.close()
    assert terminal.getvalue() == drawn


@pytest.mark.parametrize("stream", [io.StringIO(), None, Terminal()])
def test_without_a_terminal_the_given_display_is_used(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None
) -> None:
    monkeypatch.setenv("TERM", "dumb")  # which cannot redraw a line
    monkeypatch.setattr(sys, "stderr", stream)
    assert best_view("files", Silent) is Silent


def test_threads_draw_no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    found = []
    thread = threading.Thread(target=lambda: found.append(best_view("files", Silent)))
    thread.start()
    thread.join()
    assert found == [Silent]
    assert best_view("files", Silent) is not Silent


def test_a_notebook_gets_html(monkeypatch: pytest.MonkeyPatch) -> None:
    cells: list[str] = []

    class ZMQInteractiveShell:
        pass

    class Handle:
        def update(self, html: str) -> None:
            cells[-1] = html

    def display(html: str, *, display_id: bool) -> Handle:
        assert display_id
        cells.append(html)
        return Handle()

    ipython: Any = types.ModuleType("IPython")
    ipython.get_ipython = ZMQInteractiveShell
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.display, ipython.display.HTML = display, str
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    clock = Clock()
    meter = Meter(best_view("frames", Silent), label="<b>x", clock=clock)
    clock.now += 2
    meter.tick()
    assert cells == ["<progress></progress> &lt;b&gt;x: 0:00:02"]
    meter.report(1, 4)
    assert "</progress> &lt;b&gt;x: 0:00:02" in cells[0]  # not so soon
    meter.close()
    assert cells == ['<progress value="0.2500"></progress> &lt;b&gt;x: 25.0 % of 4 frames, 0:00:02']


def test_records_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rinrcodec")
    clock = Clock()
    meter = Meter(Records, label="x", clock=clock)
    meter.report(1, 4)
    assert caplog.messages == []
    clock.now += 5
    meter.report(2, 4)
    assert caplog.messages == ["x: 50.0 % of 4 frames, 0:00:05"]
