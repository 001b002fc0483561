"""Hosts over files that wait, never end or cannot be opened: named, and the rest is used."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from odd_files import ODD_KINDS, MakeOdd, in_time, make_odd
from PIL import Image, UnidentifiedImageError

import rinrcodec
from rinrcodec.plugins._frames import find_packs, scan

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without FIFOs")


@pytest.fixture(params=ODD_KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def odd(kind: str, monkeypatch: pytest.MonkeyPatch) -> MakeOdd:
    return make_odd(kind, monkeypatch)


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    made = rinrcodec.encode(
        [Image.new("RGB", (16, 8))], steps=1, background="siren", preset="fast", device="cpu"
    )
    (tmp_path / "packs").mkdir()
    rinrcodec.save(made, tmp_path / "packs/a.rinr")
    return tmp_path / "packs"


@pytest.mark.parametrize("skip_damaged", [False, True])
def test_a_dataset_of_a_folder(packs: Path, kind: str, odd: MakeOdd, skip_damaged: bool) -> None:
    odd(packs / "odd.rinr")
    with in_time(), pytest.warns(UserWarning, match=r"odd\.rinr: ") as caught:
        data = rinrcodec.RinrDataset(packs, skip_damaged=skip_damaged)
    assert ODD_KINDS[kind] in str(caught[0].message)
    assert caught[0].filename == __file__
    assert (len(data), data.files) == (1, [packs / "a.rinr"])
    assert data[0][0].shape == (3, 8, 16)
    assert len(pickle.loads(pickle.dumps(data))) == 1
    (packs / "a.rinr").unlink()
    warned = pytest.warns(UserWarning, match=r"odd\.rinr: ")
    with in_time(), warned, pytest.raises(rinrcodec.RinrInputError, match="no file is left"):
        rinrcodec.RinrDataset(packs, skip_damaged=skip_damaged)


def test_an_odd_manifest_is_ignored_with_a_warning(packs: Path, odd: MakeOdd) -> None:
    odd(packs / "manifest.json")
    with in_time(), pytest.warns(UserWarning, match=r"manifest\.json: ") as caught:
        assert len(rinrcodec.RinrDataset(packs)) == 1
    assert caught[0].filename == __file__


def test_odd_packs_given_by_name_are_errors(tmp_path: Path, kind: str, odd: MakeOdd) -> None:
    odd(path := tmp_path / "odd.rinr")
    for make in (rinrcodec.open, rinrcodec.RinrDataset, lambda one: next(scan(one))):
        with in_time(), pytest.raises((OSError, rinrcodec.RinrError), match=r"odd\.rinr"):
            make(path)
    if kind != "fifo":  # which Pillow itself opens, and waits for
        rinrcodec.register_pillow()
        with in_time(), pytest.raises((OSError, UnidentifiedImageError)):
            Image.open(path)


def test_packs_and_lists_for_hosts(packs: Path, odd: MakeOdd) -> None:
    odd(packs / "odd.rinr")
    (packs / "list.txt").write_text("./odd.rinr\n./a.rinr\nhttp://127.0.0.1:9/a.rinr\n")
    with in_time():
        assert list(find_packs(packs)) == [packs / "a.rinr", packs / "odd.rinr"]
        listed = list(find_packs(packs / "list.txt"))
        assert listed[:2] == [packs / "odd.rinr", packs / "a.rinr"]
        assert not listed[2].exists()
        assert [len(list(scan(pack))) for pack in listed[1:2]] == [1]
        for pack in (listed[0], listed[2]):
            with pytest.raises((OSError, rinrcodec.RinrError)):
                list(scan(pack))


def test_odd_lists_of_packs_are_errors(tmp_path: Path, kind: str, odd: MakeOdd) -> None:
    odd(path := tmp_path / "odd.txt")
    with in_time():
        if kind in {"endless", "locked"}:
            with pytest.raises((OSError, rinrcodec.RinrError), match=r"odd\.txt"):
                list(find_packs(path))
        else:
            assert not list(find_packs(path))
