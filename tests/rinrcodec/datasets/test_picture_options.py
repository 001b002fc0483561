"""`max_pixels` and `depth_range` of whole data sets: in workers, manifests and packs."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rinrcodec
from rinrcodec.datasets import batches, fitter
from rinrcodec.errors import RinrLimitError, RinrUsageError
from rinrcodec.limits import DEFAULT_LIMITS, Limits, limits_for
from rinrcodec.sources.images import load_picture

QUICK: dict[str, Any] = {"preset": "fast", "steps": 1, "background": "siren", "device": "cpu"}


@pytest.fixture
def thermal(tmp_path: Path) -> Path:
    folder = tmp_path / "t"
    folder.mkdir()
    for number in range(3):
        values = np.arange(20 * 30).reshape(20, 30) + 7000 + number
        Image.fromarray(values.astype(np.uint16)).save(folder / f"{number}.png")
    return folder


def packs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.rinr"))}


def test_a_depth_range_is_in_the_packs_and_the_manifest(thermal: Path, tmp_path: Path) -> None:
    result = rinrcodec.compress(thermal, tmp_path / "p", depth_range=(7000, 7602), **QUICK)
    (warning,) = result.warnings
    assert warning.startswith(f"{thermal}: no labels were found (looked in labels/")
    with rinrcodec.open(tmp_path / "p" / "t-00000.rinr") as file:
        assert json.loads(file.info["depth_range"]) == [7000.0, 7602.0]
    (run,) = json.loads((tmp_path / "p" / "manifest.json").read_text())["runs"]
    assert run["settings"]["depth_range"] == [7000.0, 7602.0]


def test_without_the_options_nothing_is_added(thermal: Path, tmp_path: Path) -> None:
    result = rinrcodec.compress(thermal, tmp_path / "p", **QUICK)
    assert sum("`depth_range=" in text for text in result.warnings) == 3
    with rinrcodec.open(tmp_path / "p" / "t-00000.rinr") as file:
        assert "depth_range" not in file.info
    (run,) = json.loads((tmp_path / "p" / "manifest.json").read_text())["runs"]
    assert run["settings"].keys().isdisjoint({"depth_range", "max_pixels"})


@pytest.mark.slow
def test_workers_get_the_options(thermal: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {**QUICK, "shard_size": 1, "depth_range": (7000, 7602)}
    options["max_pixels"] = 600
    rinrcodec.compress(thermal, tmp_path / "one", **options)
    result = rinrcodec.compress(thermal, tmp_path / "two", jobs=2, **options)
    assert result.failures == ()
    assert packs(tmp_path / "one") == packs(tmp_path / "two")
    rinrcodec.compress(thermal, tmp_path / "other", **{**options, "depth_range": None})
    assert packs(tmp_path / "one") != packs(tmp_path / "other")


def test_another_range_is_another_run(thermal: Path, tmp_path: Path) -> None:
    rinrcodec.compress(thermal, tmp_path / "p", depth_range=(7000, 7602), **QUICK)
    changed = r"`depth_range` was \[7000.0, 7602.0\] and is \[1.0, 2"
    with pytest.raises(RinrUsageError, match=changed):
        rinrcodec.compress(thermal, tmp_path / "p", depth_range=(1, 2), resume=True, **QUICK)
    same = rinrcodec.compress(
        thermal, tmp_path / "p", depth_range=(7000.0, 7602.0), resume=True, **QUICK
    )
    assert same.nothing_to_do


def floats(folder: Path) -> Path:
    for path in folder.iterdir():
        values = np.asarray(Image.open(path), dtype=np.float32)
        Image.fromarray(values).save(path.with_suffix(".tif"))
        path.unlink()
    return folder


def touch(folder: Path) -> None:
    for path in folder.iterdir():
        os.utime(path, (1_000_000_000, 1_000_000_000))


@pytest.mark.parametrize("change", [floats, lambda folder: folder])
def test_a_touched_source_is_read_with_the_range_of_the_fit(
    thermal: Path, tmp_path: Path, change: Callable[[Path], Path]
) -> None:
    options: dict[str, Any] = {**QUICK, "depth_range": (7000, 7602), "labels": "none"}
    rinrcodec.compress(change(thermal), tmp_path / "p", **options)
    before = packs(tmp_path / "p")
    touch(thermal)
    for _ in range(2):
        again = rinrcodec.compress(thermal, tmp_path / "p", resume=True, **options)
        assert (again.failures, again.warnings, again.changed_shards) == ((), (), 0)
        assert again.kept_shards == 1
    rinrcodec.compress(thermal, tmp_path / "new", **options)
    assert packs(tmp_path / "p") == before == packs(tmp_path / "new")


def test_a_change_among_floats_is_found(thermal: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {**QUICK, "depth_range": (7000, 7602), "shard_size": 1}
    rinrcodec.compress(floats(thermal), tmp_path / "p", **options)
    touch(thermal)
    Image.fromarray(np.full((20, 30), 7300, np.float32)).save(thermal / "1.tif")
    again = rinrcodec.compress(thermal, tmp_path / "p", resume=True, **options)
    assert (again.failures, again.changed_shards, again.kept_shards) == ((), 1, 2)
    rinrcodec.compress(thermal, tmp_path / "new", **options)
    assert packs(tmp_path / "p") == packs(tmp_path / "new")


def test_parts_of_an_ended_run_are_read_with_the_options_of_the_fit(
    thermal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {**QUICK, "depth_range": (7000, 7602), "labels": "none"}
    floats(thermal)
    rinrcodec.compress(thermal, tmp_path / "whole", **options)
    monkeypatch.setattr(batches, "BATCH_FRAMES", 1)
    fit, starts = fitter.Fitter._fit, []

    def fit_two(self: Any, shard: Any, start: int, *rest: Any) -> Any:
        starts.append(start)
        if len(starts) == 3:
            raise KeyboardInterrupt
        return fit(self, shard, start, *rest)

    monkeypatch.setattr(fitter.Fitter, "_fit", fit_two)
    with pytest.raises(rinrcodec.CompressInterrupted):
        rinrcodec.compress(thermal, tmp_path / "p", **options)
    touch(thermal)
    again = rinrcodec.compress(thermal, tmp_path / "p", resume=True, **options)
    assert (again.failures, again.total.frames, starts) == ((), 3, [0, 1, 2, 2])


@pytest.mark.parametrize("value", [(5, 5), (9, 1), (0, float("nan")), "7", (1, 2, 3), 7])
def test_malformed_depth_ranges_are_refused(thermal: Path, tmp_path: Path, value: Any) -> None:
    with pytest.raises(RinrUsageError, match="depth_range"):
        rinrcodec.compress(thermal, tmp_path / "p", depth_range=value, **QUICK)
    assert not (tmp_path / "p").exists()


@pytest.fixture
def large(tmp_path: Path) -> Any:
    folder = tmp_path / "large"
    folder.mkdir()
    Image.new("L", (40, 30), 90).save(folder / "ortho.png")
    before = DEFAULT_LIMITS.max_pixels
    object.__setattr__(DEFAULT_LIMITS, "max_pixels", 1000)
    yield folder
    object.__setattr__(DEFAULT_LIMITS, "max_pixels", before)


def test_pictures_over_the_limit(large: Path, tmp_path: Path) -> None:
    result = rinrcodec.compress(large, tmp_path / "p", **QUICK)
    (failure,) = result.failures
    assert failure == (
        f"{large / 'ortho.png'}: 40x30 pixels: 1,200 is over the limit max_pixels = 1,000; "
        "allow more with `max_pixels`, or cut it into tiles"
    )


def test_a_touched_source_is_read_with_the_limit_of_the_fit(large: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {**QUICK, "max_pixels": 1200, "labels": "none"}
    rinrcodec.compress(large, tmp_path / "p", **options)
    touch(large)
    again = rinrcodec.compress(large, tmp_path / "p", resume=True, **options)
    assert (again.failures, again.warnings, again.kept_shards) == ((), (), 1)
    assert rinrcodec.compress(large, tmp_path / "p", resume=True, **options).nothing_to_do
    rinrcodec.compress(large, tmp_path / "new", **options)
    assert packs(tmp_path / "p") == packs(tmp_path / "new")


def test_the_earlier_run_is_found_with_the_limit_of_the_fit(large: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {**QUICK, "max_pixels": 1200, "labels": "none"}
    for name in ("a", "z"):
        shutil.copy(large / "ortho.png", large / f"{name}.png")
    rinrcodec.compress(large, tmp_path / "p", **options)
    (large / "a.png").rename(large / "b.png")
    (large / "z.png").rename(large / "y.png")  # ortho.png alone says that it is the same run
    assert rinrcodec.compress(large, tmp_path / "p", resume=True, **options).changed_shards == 1


def test_every_command_takes_the_option(large: Path, tmp_path: Path) -> None:
    out, back = tmp_path / "p", tmp_path / "b"
    rinrcodec.compress(large, out, max_pixels=1200, **QUICK)
    (pack,) = out.glob("*.rinr")
    assert not rinrcodec.verify(out).ok
    assert rinrcodec.verify(out, max_pixels=1200).ok
    assert rinrcodec.decompress(out, back, device="cpu").frames == 0
    assert rinrcodec.decompress(out, back, max_pixels=1200, device="cpu").frames == 1
    with pytest.raises(RinrLimitError, match="or cut it into tiles"):
        rinrcodec.open(pack)
    assert len(rinrcodec.open(pack, limits=Limits(max_pixels=1200))) == 1


def test_packs_in_python(large: Path, tmp_path: Path) -> None:
    limits = limits_for(1200)
    picture = load_picture(large / "ortho.png", limits=limits)
    pack = rinrcodec.encode([picture], preset="fast", steps=1, background="siren", device="cpu")
    with pytest.raises(RinrLimitError):
        rinrcodec.save(pack, tmp_path / "a.rinr")
    rinrcodec.save(pack, tmp_path / "a.rinr", limits=limits)
    assert rinrcodec.open(tmp_path / "a.rinr", limits=limits)[0].sum() != 0


def test_pillows_own_limit_neither_stops_nor_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for suffix in ("png", "jpg", "tif", "gif", "bmp", "avif"):
        path = tmp_path / f"a.{suffix}"
        Image.new("RGB", (40, 30)).save(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert load_picture(path).width == 40
    assert Image.MAX_IMAGE_PIXELS == 100


def test_limits_for_scales_the_limits_that_depend_on_pixels() -> None:
    assert limits_for(None) is DEFAULT_LIMITS
    assert limits_for(5).max_work == DEFAULT_LIMITS.max_work
    wide = limits_for(3 * DEFAULT_LIMITS.max_pixels)
    assert wide.max_pixels == 3 * DEFAULT_LIMITS.max_pixels
    assert wide.max_work == 3 * DEFAULT_LIMITS.max_work
    assert wide.max_chunk_bytes == 3 * DEFAULT_LIMITS.max_chunk_bytes
