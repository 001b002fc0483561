"""SIGTERM, SIGHUP and Ctrl-C end every command alike: an exit code, one line, nothing left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rinrcodec.cli import signals

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = [signal.getsignal(number) for number in NUMBERS]
    signals._received.clear()
    yield
    signals._received.clear()
    for number, handler in zip(NUMBERS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_the_first_signal_interrupts_and_the_next_do_not(number: signal.Signals, code: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    signals.answer_signals()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    for again in (number, signal.SIGTERM):
        signals._answer(again, None)
    assert signals.interrupted_code() == code


def test_a_signal_long_after_another_interrupts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(signals.time, "monotonic", lambda: now)
    with pytest.raises(KeyboardInterrupt):
        signals._answer(signal.SIGTERM, None)
    now += 4.9
    signals._answer(signal.SIGTERM, None)
    now += 0.2
    with pytest.raises(KeyboardInterrupt):
        signals._answer(signal.SIGINT, None)
    assert signals.interrupted_code() == 143


def test_ignored_signals_stay_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals.answer_signals()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signals.interrupted_code() == 130


# Ctrl-C comes while the command line imports its first package.
EARLY = """
import os, signal, sys
class Interrupts:
    def find_spec(self, name, *_):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.{handler})
sys.meta_path.insert(0, Interrupts())
sys.argv = ["rinrcodec", "--version"]
from rinrcodec.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("handler", "code", "said"), [("default_int_handler", 130, "interrupted\n"), ("SIG_IGN", 0, "")]
)
def test_ctrl_c_while_the_command_line_is_imported(handler: str, code: int, said: str) -> None:
    script = EARLY.format(handler=handler)
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (code, said)


COMMANDS = {
    "compress": "compress {src} -o {out}/packs --preset best --background siren --labels none",
    "workers": "compress {src} -o {out}/packs --preset best --background siren --labels none"
    " --jobs 2 --shard-size 2",
    "report": "report {src} -o {out}/page.html --background siren --preset best --frames 2",
    "bench": "bench ladder {src} -o {out}/bench --background siren --preset best",
    "demo": "demo -o {out}/demo --background siren --preset best",
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", COMMANDS)
def test_commands_end_cleanly(tmp_path: Path, name: str) -> None:
    number = signal.SIGHUP if name == "workers" else signal.SIGTERM
    source, out = tmp_path / "src", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 255, (96, 128, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(source / f"{i}.png")
        (source / f"{i}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    words = COMMANDS[name].format(src=source, out=out).split()
    device = ["--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "rinrcodec", *words, *device],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        began = time.monotonic()
        while not loaded(process.pid) and time.monotonic() < began + 120:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        for _ in range(2):  # the second one comes while the first is answered
            os.killpg(process.pid, number)
        _, said = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 128 + number, said
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1].startswith("interrupted")
    assert not list(tmp_path.rglob(".rinr-*.tmp"))
    end = time.monotonic() + 20
    while (left := in_session(process.pid)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left


def loaded(pid: int) -> bool:
    """Whether torch is loaded: from then on, commands work."""
    try:
        return "libtorch_cpu" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return not Path("/proc").exists()


def in_session(session: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found
