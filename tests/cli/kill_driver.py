"""Kill `compress` at every moment that matters, and see what `--resume` makes of it.

Run as a process: `kill_driver.py SIGNAL STRIDE OUT ARGS...`. Every change that a run makes visible
is a rename, so for every STRIDEth rename a child process runs `compress ARGS -o OUT/k` and sends
SIGNAL to itself just before it; then another child runs it with `--resume`. One JSON line per
moment records the result. The children are forks, so that torch is imported once.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path

import torch

from rinrcodec.cli.main import cli
from rinrcodec.datasets import run as run_module

# Without a pool of threads a process can be forked after it used torch.
torch.set_num_threads(1)
# Or the moments would depend on how fast the machine is.
run_module.SAVE_S = float("inf")


def child(work: Callable[[], None], log: Path) -> int:
    """Run `work` in a forked process; return its exit code, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            try:
                work()
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def dying(args: list[str], number: int, moment: int) -> Callable[[], None]:
    original = Path.replace
    renames = 0

    def replace(self: Path, destination: Path) -> Path:
        nonlocal renames
        renames += 1
        if renames == moment:
            os.kill(os.getpid(), number)
        return original(self, destination)

    def work() -> None:
        Path.replace = replace  # type: ignore[method-assign,assignment]
        cli(args)

    return work


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().hex()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def main() -> None:
    number = getattr(signal, sys.argv[1])
    stride, root, args = int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]
    root.mkdir()
    log = root / "log.txt"
    whole = root / "whole"
    with suppress(SystemExit), redirect_stdout(sys.stderr):
        cli([*args, "-o", str(whole)])
    expected = contents(whole)
    for moment in itertools.count(1, stride):
        out = root / str(moment)
        command = [*args, "-o", str(out)]
        code = child(dying(command, number, moment), log)
        said = log.read_text()
        # The manifest says how far the run is, so it is whole, but another one.
        visible = {
            name: data
            for name, data in contents(out).items()
            if not name.startswith(".") and name != "manifest.json"
        }
        if code == 0:
            break
        resumed = child(lambda command=command: cli([*command, "--resume"]), log)  # type: ignore[misc]
        result = {
            "code": code,
            "said": said,
            "whole_or_absent": all(expected.get(name) == visible[name] for name in visible),
            "resumed": resumed,
            "resume_said": log.read_text(),
            "same": contents(out) == expected,
        }
        print(json.dumps(result), flush=True)
        shutil.rmtree(out)


main()
