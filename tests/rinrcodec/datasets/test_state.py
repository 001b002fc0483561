"""Damaged and forged packs, manifests and work: found by their hashes, and fitted again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rinrcodec
from rinrcodec import RinrError, RinrMemoryError, RinrUsageError
from rinrcodec.formats import PackReader
from rinrcodec.storage.sealed import seal, unseal

from .conftest import (
    FIT,
    TWO,
    contents,
    expected_of,
    flip,
    packs_of,
    picture,
    put,
    write,
)

# Damaged output

DAMAGE: dict[str, Callable[[Path], object]] = {
    "one bit": flip,
    "one bit at the start": lambda path: flip(path, 0.0),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "only its start": lambda path: path.write_bytes(path.read_bytes()[:4]),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_resume_finds_a_damaged_pack_and_says_so(
    folder: Path, out: Path, damage: Callable[[Path], object]
) -> None:
    whole = contents(out)
    pack = packs_of(out)[1]
    stat = pack.stat()
    damage(pack)
    os.utime(pack, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    said: list[str] = []
    result = rinrcodec.compress(folder, out, resume=True, on_message=said.append, **TWO)
    assert f"warning: {pack}: damaged since compress wrote it; it is fitted again" in said
    assert (result.kept_shards, result.nothing_to_do) == (2, False)
    assert contents(out) == whole
    assert rinrcodec.compress(folder, out, resume=True, **TWO).nothing_to_do


def test_resume_finds_a_damaged_file_of_one_frame(folder: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "out", {**TWO, "layout": "files"}
    rinrcodec.compress(folder, out, **options)
    whole = contents(out)
    flip(out / "2.rinr")
    rinrcodec.compress(folder, out, resume=True, **options)
    assert contents(out) == whole


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_overwrite_replaces_damaged_packs(
    folder: Path, out: Path, damage: Callable[[Path], object]
) -> None:
    whole = contents(out)
    damage(packs_of(out)[0])
    rinrcodec.compress(folder, out, overwrite=True, **TWO)
    assert contents(out) == whole


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_a_lack_of_memory_is_no_damage(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    pack = packs_of(out)[0]
    pack.write_bytes(packs_of(out)[1].read_bytes())  # sound, and another than the manifest lists
    before = contents(out)

    def fail(*_: object) -> None:
        raise RinrMemoryError("reading it ran out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(PackReader, "verify", fail)
        with pytest.raises(RinrMemoryError):
            rinrcodec.compress(folder, out, **{how: True}, **TWO)
    assert contents(out) == before


def test_a_lack_of_memory_drops_no_work(
    folder: Path, unfinished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(unfinished)

    def fail(*_: object) -> None:
        raise RinrMemoryError("reading it ran out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(PackReader, "verify", fail)
        with pytest.raises(RinrMemoryError):
            rinrcodec.compress(folder, unfinished, resume=True, **TWO)
    assert contents(unfinished) == before


MANIFESTS: dict[str, Callable[[Path], object]] = {
    "one bit": lambda path: path.write_text(path.read_text().replace('"frames": 2', '"frames": 3')),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:200]),
    "empty": lambda path: path.write_bytes(b""),
    "another release": lambda path: path.write_bytes(
        seal({**unseal(path.read_bytes()), "version": 99}, indent=1)
    ),
    "too deep": lambda path: path.write_text(
        '{"kind": "rinrcodec manifest", "version": 1, "runs": ' + "[" * 99_999
    ),
}


@pytest.mark.parametrize("damage", MANIFESTS.values(), ids=MANIFESTS)
def test_resume_with_a_damaged_manifest_makes_another_and_says_so(
    folder: Path, out: Path, damage: Callable[[Path], object]
) -> None:
    whole = contents(out)
    damage(out / "manifest.json")
    with pytest.raises(RinrError, match=r"not a manifest of this .*compress with `resume=True`"):
        rinrcodec.compress(folder, out, **TWO)
    said: list[str] = []
    packs = {path: path.stat().st_mtime_ns for path in packs_of(out)}
    rinrcodec.compress(folder, out, resume=True, on_message=said.append, **TWO)
    (text,) = [text for text in said if "manifest.json: damaged, or of another release" in text]
    assert text.endswith("; all packs are fitted again")
    assert contents(out) == whole
    assert packs == {path: path.stat().st_mtime_ns for path in packs_of(out)}


def test_with_a_damaged_manifest_no_file_is_replaced(folder: Path, out: Path) -> None:
    packs = {path: path.read_bytes() for path in packs_of(out)}
    put(folder / "0.png", picture(55))
    (out / "manifest.json").write_bytes(b"")
    for how in ({"overwrite": True}, {"resume": True}):
        with pytest.raises(RinrUsageError, match=r"00000\.rinr: there already, and no manifest"):
            rinrcodec.compress(folder, out, **TWO, **how)
        assert {path: path.read_bytes() for path in packs_of(out) if path in packs} == packs
    # What is fitted is kept until the old pack is moved away.
    (out / "frames-00000.rinr").unlink()
    rinrcodec.compress(folder, out, resume=True, **TWO)
    assert rinrcodec.verify(out).ok


# Damaged work


def work_files(out: Path, pattern: str) -> list[Path]:
    return sorted(out.glob(f".rinr-work/*/{pattern}"))


RECORDS: dict[str, Callable[[Path], object]] = {
    "one bit": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "empty": lambda path: path.write_bytes(b""),
    "no Unicode": lambda path: path.write_bytes(b"\xff\xfe"),
    "too deep": lambda path: path.write_bytes(b"[" * 99_999),
    "an array": lambda path: path.write_bytes(b"[]"),
    "without its seal": lambda path: path.write_text(json.dumps(unseal(path.read_bytes()))),
}


@pytest.mark.parametrize("damage", RECORDS.values(), ids=RECORDS)
def test_a_damaged_record_of_a_shard_has_it_fitted_again(
    folder: Path, tmp_path: Path, unfinished: Path, damage: Callable[[Path], object]
) -> None:
    record = work_files(unfinished, "*.json")[1]
    damage(record)
    said: list[str] = []
    rinrcodec.compress(folder, unfinished, resume=True, on_message=said.append, **TWO)
    (text,) = [text for text in said if "is fitted again" in text]
    assert text.startswith(f"warning: {record}: damaged (")
    assert contents(unfinished) == expected_of(folder, tmp_path, TWO)


FORGERIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "no parts": lambda data: data.update(parts=[]),
    "parts of numbers": lambda data: data.update(parts=[1]),
    "a part twice": lambda data: data["parts"].append(data["parts"][0]),
    "names of numbers": lambda data: data["parts"][0].update(names=[1, 2]),
    "other names": lambda data: data["parts"][0].update(names=["x", "y"]),
    "no quality": lambda data: data["parts"][0].update(quality=[]),
    "quality as text": lambda data: data["parts"][0].update(quality=["abc", "abc"]),
    "a negative count": lambda data: data["parts"][0].update(count=-2),
    "a huge count": lambda data: data["parts"][0].update(count=2**70),
    "another start": lambda data: data["parts"][0].update(start=1),
    "seconds as text": lambda data: data["parts"][0].update(seconds="1"),
    "a strange miss": lambda data: data["parts"][0].update(missed=[{"field": 1}]),
    "one key more": lambda data: data.update(more=1),
    "one key less": lambda data: data.pop("inputs"),
    "another hash": lambda data: data["pack"].update(sha256="0" * 64),
    "no hash": lambda data: data["pack"].update(sha256="x"),
    "no pack": lambda data: data.update(pack=None),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_record_of_a_shard_has_it_fitted_again(
    folder: Path, tmp_path: Path, unfinished: Path, forge: Callable[[dict[str, Any]], object]
) -> None:
    record = work_files(unfinished, "*.json")[1]
    data = unseal(record.read_bytes())
    forge(data)
    record.write_bytes(seal(data))
    said: list[str] = []
    rinrcodec.compress(folder, unfinished, resume=True, on_message=said.append, **TWO)
    assert len([text for text in said if "is fitted again" in text]) == 1
    assert contents(unfinished) == expected_of(folder, tmp_path, TWO)


@pytest.mark.parametrize("is_forged", [True, False])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_pack_is_never_published(
    folder: Path,
    tmp_path: Path,
    unfinished: Path,
    damage: Callable[[Path], object],
    is_forged: bool,
) -> None:
    pack = work_files(unfinished, "*.rinr")[1]
    damage(pack)
    if is_forged:  # a program that changes a pack can change its record, too
        record = pack.with_suffix(".json")
        data = unseal(record.read_bytes())
        content = pack.read_bytes()
        data["pack"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        record.write_bytes(seal(data))
    said: list[str] = []
    rinrcodec.compress(folder, unfinished, resume=True, on_message=said.append, **TWO)
    (text,) = [text for text in said if "is fitted again" in text]
    assert text.startswith(f"warning: {pack}: damaged (")
    assert contents(unfinished) == expected_of(folder, tmp_path, TWO)


@pytest.mark.parametrize("suffix", [".json", ".rinr"])
@pytest.mark.parametrize("damage", [*DAMAGE.values(), Path.unlink], ids=[*DAMAGE, "gone"])
def test_damaged_parts_are_fitted_again(
    folder: Path, tmp_path: Path, half: Path, damage: Callable[[Path], object], suffix: str
) -> None:
    parts = work_files(half, f"*/*{suffix}")
    assert len(parts) == 3
    damage(parts[1])
    said: list[str] = []
    rinrcodec.compress(folder, half, resume=True, on_message=said.append, **FIT)
    assert len([text for text in said if "is fitted again" in text]) == 1
    assert contents(half) == expected_of(folder, tmp_path, FIT)


def test_other_files_in_the_work_of_a_shard_are_no_parts(
    folder: Path, tmp_path: Path, half: Path
) -> None:
    shard = work_files(half, "*/*.json")[0].parent
    for name in ("x.json", "1-2.json", ".rinr-0123456789abcdef.tmp", "0-.rinr", "-1-00000003.json"):
        write(shard / name, "{}")
    rinrcodec.compress(folder, half, resume=True, **FIT)
    assert contents(half) == expected_of(folder, tmp_path, FIT)
