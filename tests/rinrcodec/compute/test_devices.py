"""The device `auto`: torch is imported only where a GPU may be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import ctypes, sys
def open_library(name):
    {opened}
from rinrcodec.compute import devices
ctypes.CDLL = open_library
devices.require_torch = lambda: sys.exit("torch")
print(devices.find_gpu("auto"))
"""


@pytest.mark.parametrize(("opened", "asked"), [("raise OSError", False), ("pass", True)])
def test_torch_is_loaded_only_if_there_is_a_gpu_driver(opened: str, asked: bool) -> None:
    if not asked and Path("/dev/kfd").exists():
        pytest.skip("a GPU of AMD is here")
    code = CODE.format(opened=opened)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (("", "torch\n") if asked else ("None\n", ""))
