"""Decoding takes no more memory than is allowed, and as much as families declare.

Packs are made here: networks and latents that no fit has made.
"""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from siren_specs import siren_spec

import rinrcodec
from rinrcodec import Box, Decoder, RinrLimitError, RinrMemoryError
from rinrcodec.compute import compose
from rinrcodec.families import family_of
from rinrcodec.families.av1.layout import row_spec
from rinrcodec.families.av1.stream import encode_stills
from rinrcodec.families.interface import Cost
from rinrcodec.families.nerv import network as nerv
from rinrcodec.families.pyramid.latents import PyramidRow, encode_row
from rinrcodec.families.pyramid.network import grid_sizes
from rinrcodec.families.siren import network as siren
from rinrcodec.formats import pack_bytes
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import Frame, Group, InrRef, ObjectInr, Pack, Rows, Spec
from rinrcodec.plugins.torch_data import RinrDataset
from rinrcodec.plugins.torch_loader import RinrLoader

PYRAMID = Spec.of("pyramid", out=3, start="a")


def weights_group(spec: Spec, n: int = 1) -> Group:
    sizes = (siren if spec.family == "siren" else nerv).tensor_sizes(spec)
    return Group(
        spec, 8, Rows(np.ones((n, sum(sizes)), np.int8), np.full((n, len(sizes)), 2**-8, "f4"))
    )


def coded_group(spec: Spec, *rows: bytes) -> Group:
    none = np.zeros((len(rows), 0), np.int8), np.zeros((len(rows), 0), np.float32)
    return Group(spec, 8, Rows(*none, tuple(rows)))


def nerv_spec(**changes: Any) -> Spec:
    config: dict[str, Any] = {
        "grid_width": 16, "grid_height": 16, "features": 8, "stem": 4, "levels": 2, "base": 1.25,
        "out": 3, "strides": "5,4", "widths": "16,16",
    }  # fmt: skip
    return Spec.of("nerv", **{**config, **changes})


def pyramid_row(width: int = 1, height: int = 1) -> bytes:
    latents = [[np.zeros(size, np.int32) for size in grids] for grids in grid_sizes(width, height)]
    return encode_row(PYRAMID, PyramidRow({}, np.zeros((1, 2, 7), np.int32), [latents]))


def memory_of(decoder: Decoder) -> int:
    """The bytes that the first frame of a pack may take, as declared."""
    (task,) = decoder._tasks([0], None, 1.0, objects=True)
    return task.memory


def pyramid_pack(width: int, height: int) -> Pack:
    return pack_of(coded_group(PYRAMID, pyramid_row(width, height)), width, height)


def pack_of(group: Group, width: int, height: int, n_frames: int = 1, **frame: Any) -> Pack:
    frames = [Frame(f"{k}", width, height, InrRef(0, 0), **frame) for k in range(n_frames)]
    return Pack(tuple(frames), (group,))


def still(width: int, height: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3))
    return encode_stills(
        [np.kron(pixels, np.ones((8, 8, 1))).astype(np.uint8)], quality=20, speed=10
    )


TOO_MUCH: dict[str, Callable[[], Pack]] = {
    "latents of a large frame": lambda: pack_of(
        coded_group(PYRAMID, pyramid_row()), 8192, 8191
    ),
    "latents of a frame of one line": lambda: pack_of(
        coded_group(PYRAMID, pyramid_row()), 2**26, 1
    ),
    "latents of a frame of one column": lambda: pack_of(
        coded_group(PYRAMID, pyramid_row()), 1, 2**25
    ),
    "a network of whole frames, for two pixels": lambda: pack_of(
        weights_group(nerv_spec(grid_width=400, grid_height=400, strides="16", widths="4")), 2, 1
    ),
    "a grid that is large before it is enlarged": lambda: pack_of(
        weights_group(nerv_spec(grid_width=700, grid_height=700, strides="1", widths="400",
                                features=2, stem=1)), 3, 3
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOO_MUCH)
def test_a_small_file_cannot_ask_for_all_memory(name: str) -> None:
    data = pack_bytes(TOO_MUCH[name]())
    assert len(data) < 40_000
    file = rinrcodec.open(data)
    with pytest.raises(RinrLimitError, match=r"bytes of \w+ to decode 0: [\d,]+ is over") as one:
        file.decode(0)
    assert "Limits(max_memory=...)" in str(one.value)
    for options in ({"region": (0, 0, 1, 1)}, {"scale": 0.01}, {"objects": False}):
        with pytest.raises(RinrLimitError):
            file.decode([0], **options)


def test_loaders_have_the_same_limits(tmp_path: Path) -> None:
    path = tmp_path / "x.rinr"
    rinrcodec.save(TOO_MUCH["a network of whole frames, for two pixels"](), path)
    with pytest.raises(RinrLimitError, match="max_memory"):
        RinrDataset(path)[0]
    for resident in (False, True):
        with pytest.raises(RinrLimitError, match="max_memory"):
            next(iter(RinrLoader(RinrDataset(path), resident=resident)))


def test_a_result_has_a_limit_before_positions_are_made() -> None:
    pack = pack_of(weights_group(siren_spec(1, 4)), 2**20, 2, 30)
    limits = Limits(max_result_bytes=3 * 30 * 2 * 1000)
    rinrcodec.decode(pack, range(30), region=(0, 0, 1000, 2), limits=limits)
    with pytest.raises(RinrLimitError, match=r"decode fewer at a time.*max_result_bytes"):
        rinrcodec.decode(pack, range(30), region=(0, 0, 1001, 2), limits=limits)
    with pytest.raises(RinrLimitError, match="max_result_bytes"):
        rinrcodec.decode(pack, [0], region=(0, 0, 500, 2), scale=16, limits=limits)
    with pytest.raises(RinrLimitError, match="bytes of memory to decode 0"):
        rinrcodec.decode(pack, [0], region=(0, 0, 2**19, 2), scale=16)
    wide = pack_of(weights_group(siren_spec(1, 4)), 2**26, 1)
    with pytest.raises(RinrLimitError, match="bytes of positions to decode 0"):
        rinrcodec.decode(wide, 0, scale=16, limits=Limits(max_result_bytes=2**60))


def test_frames_are_decoded_together_while_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = pack_of(weights_group(siren_spec(2, 8), 1), 100, 80, 12)
    expected = rinrcodec.decode(pack, range(12))
    decoder = Decoder(pack)
    one = memory_of(decoder)
    seen: list[int] = []
    decode_part = Decoder._decode_part

    def watch(self: Decoder, tasks: Sequence[Any]) -> Any:
        seen.append(len(tasks))
        return decode_part(self, tasks)

    monkeypatch.setattr(Decoder, "_decode_part", watch)
    for limits, sizes in (
        (Limits(max_memory=one), [1] * 12),
        (Limits(max_memory=6 * one - 1), [5, 5, 2]),
        (Limits(), [12]),
    ):
        seen.clear()
        assert torch.equal(rinrcodec.decode(pack, range(12), limits=limits), expected)
        assert seen == sizes
    with pytest.raises(RinrLimitError, match=f"0: {one:,} is over the limit max_memory"):
        rinrcodec.decode(pack, 0, limits=Limits(max_memory=one - 1))


def test_objects_count_and_those_of_a_row_once() -> None:
    """What boxes add to a frame: their pixels as far as they are decoded together."""
    spec = siren_spec(2, 8)
    group = weights_group(spec)

    def memory(n: int) -> int:
        boxes = (Box(0, 0, 0, 1000, 1000),) * n
        objects = (ObjectInr(InrRef(0, 0)),) * n
        frame = Frame("x", 1000, 1000, InrRef(0, 0), boxes=boxes, objects=objects)
        return memory_of(Decoder(Pack((frame,), (group,))))

    assert memory(0) < memory(1) < memory(3)
    assert memory(100) - memory(40) == 60 * 2048  # of boxes
    assert memory(40) < memory(0) + 2**29


def test_a_lack_of_memory_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    file = rinrcodec.open(pack_bytes(pack_of(weights_group(siren_spec(1, 4)), 9, 7)))

    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 805306368 bytes. Error code 12 (Cannot allocate memory)"
        )

    monkeypatch.setattr("rinrcodec.decoder.as_rgb", full)
    with pytest.raises(RinrMemoryError, match=r"frame 0 ran out of memory .*805,306,368") as one:
        file.decode(0)
    assert isinstance(one.value, MemoryError)
    assert "machine with more memory" in str(one.value)


def test_other_errors_keep_their_type(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = pack_of(weights_group(siren_spec(1, 4)), 9, 7)

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr("rinrcodec.decoder.as_rgb", fail)
    with pytest.raises(RuntimeError, match="something else"):
        rinrcodec.decode(pack, 0)


def test_rounding_takes_no_second_signal() -> None:
    signal = torch.linspace(-1.5, 1.5, 3 * 40 * 30).view(40, 30, 3)
    expected = compose.to_pixels(signal)
    assert torch.equal(expected, ((signal + 1) * 127.5).round().clamp(0, 255).to(torch.uint8))
    channels_first = signal.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    pixels = compose.to_pixels(channels_first)
    assert torch.equal(pixels, expected)
    assert compose.as_rgb(pixels).data_ptr() == pixels.data_ptr()
    assert compose.to_pixels(torch.full((2, 2, 1), torch.nan)).tolist() == [[[0]] * 2] * 2


STATUS = Path("/proc/self/status")
SLACK = 32 * 2**20  # libraries that the first call loads, and pools that are filled
MMAP_THRESHOLD, MIN_MAPPED = -3, 2**17  # of malloc.h; bytes that go back as soon as they are freed


def resident(key: str) -> int:
    lines = STATUS.read_text(encoding="ascii").splitlines()
    (line,) = (line for line in lines if line.startswith(key))
    return 1024 * int(line.split()[1])


def peak_of(call: Callable[[], Any]) -> int:
    """By how many bytes the process grows at most; skips where the system does not say."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(MMAP_THRESHOLD, MIN_MAPPED)  # else freed memory stays with each thread
        gc.collect()
        libc.malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = resident("VmRSS")
    except (OSError, ValueError):
        pytest.skip("this system does not measure the peak of a process")
    call()
    return resident("VmHWM") - before


LARGE: dict[str, Callable[[], Pack]] = {
    "siren": lambda: pack_of(weights_group(siren_spec(3, 20)), 2400, 2000),
    "siren of grey": lambda: pack_of(weights_group(siren_spec(1, 6, out=1)), 2400, 2000, mode="L"),
    "a wide siren": lambda: pack_of(weights_group(siren_spec(5, 1024)), 40, 30),
    "nerv": lambda: pack_of(weights_group(nerv_spec(grid_width=40, grid_height=40)), 800, 800),
    "nerv of many inner channels": lambda: pack_of(
        weights_group(nerv_spec(strides="16,1", widths="90,4")), 250, 256
    ),
    "pyramid": lambda: pyramid_pack(900, 800),
    "pyramid of one line": lambda: pyramid_pack(250_000, 1),
    "pyramid of one column": lambda: pyramid_pack(1, 250_000),
    "av1": lambda: pack_of(coded_group(row_spec(3, "444", 8), still(2400, 2000)), 2400, 2000),
    "av1 of half the size": lambda: pack_of(
        coded_group(row_spec(3, "444", 8, 2), still(1200, 1000)), 2400, 2000
    ),
    "av1 of a quarter of the size": lambda: pack_of(
        coded_group(row_spec(3, "444", 8, 4), still(600, 496)), 2400, 1984
    ),
}  # fmt: skip


# What other tests leave in a process (caches, threads and their memory) would be measured, too.
IS_SHARED = "PYTEST_XDIST_WORKER" in os.environ
in_a_process_of_its_own = pytest.mark.skipif(IS_SHARED, reason="test_peaks_of_memory runs it")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not IS_SHARED, reason="the tests that it starts run here")
def test_peaks_of_memory() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            __file__,
            "-m",
            "slow",
        ],
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{2 * len(LARGE) + 3} passed" in done.stdout


@pytest.mark.slow
@in_a_process_of_its_own
@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("threads", [1, 4])
def test_declared_memory_is_close_to_the_peak(name: str, threads: int) -> None:
    pack = LARGE[name]()
    info = pack.groups[0]
    decoder = Decoder(pack)
    declared = memory_of(decoder)
    assert isinstance(
        family_of(info.spec.family).background_cost(info, decoder._view(0, None, 1.0)), Cost
    )
    small = Frame("small", 16, 16, InrRef(0, 0), mode=pack.frames[0].mode)
    if not info.coded:
        rinrcodec.decode(Pack((small,), pack.stacks), 0)  # loads what it takes
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        peak = peak_of(lambda: decoder.decode(0))
    finally:
        torch.set_num_threads(before)
    assert peak <= 1.2 * declared + SLACK
    assert declared <= 4 * peak + SLACK


@pytest.mark.slow
@in_a_process_of_its_own
@pytest.mark.parametrize("name", ["nerv", "pyramid", "siren"])
def test_threads_share_the_memory_of_a_call(name: str) -> None:
    pack = LARGE[name]()
    (frame,) = pack.frames
    frames = tuple(
        Frame(f"{k}", frame.width, frame.height, InrRef(0, k), time=0.0) for k in range(4)
    )
    rows = pack.stacks[0].rows.take([0] * 4)
    pack = Pack(frames, (Group(pack.stacks[0].spec, 8, rows),))
    one = memory_of(Decoder(pack))
    result = 4 * 3 * frame.width * frame.height
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        limits = Limits(max_memory=int(2.5 * one))
        peak = peak_of(lambda: rinrcodec.decode(pack, range(4), limits=limits))
    finally:
        torch.set_num_threads(before)
    assert peak <= 2.5 * one + result + SLACK
    assert one < DEFAULT_LIMITS.max_memory
