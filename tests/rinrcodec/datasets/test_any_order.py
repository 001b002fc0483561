"""`--resume` gives the bytes of a new run after anything, in any order: changes of pictures and
labels, interruptions, kills, and damage to packs, manifest and work folder.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import rinrcodec
from rinrcodec import CompressInterrupted
from rinrcodec.datasets import batches, fitter

from .conftest import contents, picture, put, write

SIZE = 3
FIT: dict[str, Any] = {
    "preset": "fast",
    "background": "siren",
    "steps": 1,
    "device": "cpu",
    "shard_size": SIZE,
}
ORIGINAL = fitter.Fitter._fit
LABELS = ("", "0 0.5 0.5 0.5 0.5\n", "1 0.5 0.5 0.5 0.5\n")


class KilledError(OSError):
    """Nothing is written or removed any more, as after `kill -9`."""


def killed_after(moment: int, patch: pytest.MonkeyPatch) -> None:
    """Have every call fail that changes files, from the one of this number on."""
    calls = itertools.count(1)

    def dying(original: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            if next(calls) >= moment:
                raise KilledError(errno.EIO, "killed")
            return original(*args, **options)

        return call

    for owner, name in (
        *((Path, name) for name in ("replace", "unlink", "mkdir", "rmdir")),
        (shutil, "rmtree"),
    ):
        patch.setattr(owner, name, dying(getattr(owner, name)))


def damage(path: Path, place: int) -> None:
    """Flip a bit, or cut the file where `place` is negative."""
    data = bytearray(path.read_bytes())
    if place < 0:
        path.write_bytes(data[: len(data) // 2])
    elif data:
        data[place % len(data)] ^= 1
        path.write_bytes(data)


class Updated(RuleBasedStateMachine):
    """A folder whose files change in any way, and an output that is resumed, killed and damaged."""

    @initialize(layout=st.sampled_from(["pack", "files"]))
    def begin(self, layout: str) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(batches, "BATCH_FRAMES", 2)
        self.source, self.out = self.root / "images", self.root / "out"
        self.options = {**FIT, "layout": layout}
        self.clock = itertools.count(1_000_000_000)
        self.seeds = itertools.count()
        self.new_names = itertools.count()
        self.is_stale = False
        for name in ("a0.png", "a1.png", *(f"b{i}.png" for i in range(0, 12, 3))):
            self.draw(name)
        rinrcodec.compress(self.source, self.out, **self.options)

    def stamp(self, path: Path) -> None:
        time = next(self.clock)
        os.utime(path, (time, time))
        self.is_stale = True

    def draw(self, name: str) -> None:
        self.stamp(put(self.source / name, picture(next(self.seeds), 8, 8)))

    def name(self, number: int) -> str:
        # The second one always stays as the sign that it is the same data set.
        names = sorted(path.name for path in self.source.glob("*.png") if path.name != "a1.png")
        return names[number % len(names)]

    @rule(number=st.integers(0, 20))
    def touch(self, number: int) -> None:
        self.stamp(self.source / self.name(number))

    @rule(number=st.integers(0, 20))
    def change(self, number: int) -> None:
        self.draw(self.name(number))

    @rule()
    def spoil(self) -> None:
        self.stamp(write(self.source / "a0.png", "no picture"))

    @rule()
    def fix(self) -> None:
        self.draw("a0.png")

    @rule(number=st.integers(0, 12), suffix=st.sampled_from(["png", "bmp"]))
    def add(self, number: int, suffix: str) -> None:
        self.draw(f"b{number}.{suffix}")

    @precondition(lambda self: len(list(self.source.iterdir())) > SIZE + 1)
    @rule(number=st.integers(0, 20))
    def remove(self, number: int) -> None:
        (self.source / self.name(number)).unlink()
        self.is_stale = True

    @rule(number=st.integers(0, 20), text=st.sampled_from(LABELS))
    def label(self, number: int, text: str) -> None:
        name = Path(self.name(number)).with_suffix(".txt").name
        self.stamp(write(self.root / "labels" / name, text))

    @rule(number=st.integers(0, 20))
    def lose_label(self, number: int) -> None:
        name = Path(self.name(number)).with_suffix(".txt").name
        (self.root / "labels" / name).unlink(missing_ok=True)
        self.is_stale = True

    @precondition(lambda self: self.is_stale)
    @rule(batches=st.integers(0, 3))
    def interrupt(self, batches: int) -> None:
        """Ctrl-C after so many batches."""
        left = itertools.count(batches, -1)

        def fit(*args: Any) -> Any:
            if next(left) <= 0:
                raise KeyboardInterrupt
            return ORIGINAL(*args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fitter.Fitter, "_fit", fit)
            try:
                rinrcodec.compress(self.source, self.out, resume=True, **self.options)
            except CompressInterrupted:
                return
        self.is_stale = False

    @precondition(lambda self: self.is_stale)
    @rule(moment=st.integers(1, 60))
    def kill(self, moment: int) -> None:
        """End a run before that change of a file; it may be complete by then."""
        with pytest.MonkeyPatch.context() as patch:
            killed_after(moment, patch)
            try:
                rinrcodec.compress(self.source, self.out, resume=True, **self.options)
            except (OSError, rinrcodec.RinrInputError):
                return
        self.is_stale = False

    @rule(number=st.integers(0, 20), place=st.integers(-1, 5_000))
    def damage_a_pack(self, number: int, place: int) -> None:
        packs = sorted(self.out.glob("*.rinr"))
        if packs:
            damage(packs[number % len(packs)], place)
            self.is_stale = True
            assert not rinrcodec.verify(self.out).ok

    @precondition(lambda self: not self.is_stale)
    @rule(place=st.integers(-1, 5_000))
    def damage_the_manifest(self, place: int) -> None:
        """After its first bytes, which say that it is one."""
        damage(self.out / "manifest.json", place + 64 if place >= 0 else place)
        self.is_stale = True
        self.resume()

    @rule(number=st.integers(0, 20), place=st.integers(-1, 5_000))
    def damage_the_work(self, number: int, place: int) -> None:
        files = [path for path in self.out.glob(".rinr-work/*/**/*") if path.is_file()]
        if files:
            damage(sorted(files)[number % len(files)], place)

    @precondition(lambda self: self.is_stale)
    @rule()
    def resume(self) -> None:
        fresh = Path(tempfile.mkdtemp(dir=self.root))
        expected = rinrcodec.compress(self.source, fresh, **self.options)
        for _ in range(2):
            result = rinrcodec.compress(self.source, self.out, resume=True, **self.options)
            assert contents(self.out) == contents(fresh)
            assert sorted(result.failures) == sorted(expected.failures)
            warnings = [text for text in result.warnings if "is fitted again" not in text]
            assert sorted(warnings) == sorted(expected.warnings)
        assert result.nothing_to_do
        assert rinrcodec.verify(self.out).ok
        shutil.rmtree(fresh)
        self.is_stale = False

    def teardown(self) -> None:
        if hasattr(self, "root"):
            if self.is_stale:
                self.resume()
            shutil.rmtree(self.root)
            self.patch.undo()


TestUpdated = pytest.mark.timeout(1200)(pytest.mark.slow(Updated.TestCase))
TestUpdated.settings = settings(
    max_examples=6, stateful_step_count=12, deadline=None, derandomize=True
)
