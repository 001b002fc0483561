"""`rinrcodec.decompress`: results, reports and errors."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rinrcodec
from rinrcodec import Progress, RinrDeviceError, RinrInputError, RinrUsageError

from .conftest import LABELS, QUICK, contents, write


@pytest.fixture
def packs(dataset: Path, tmp_path: Path) -> Path:
    rinrcodec.compress(dataset, tmp_path / "packs", **QUICK)
    return tmp_path / "packs"


def test_a_data_set_comes_back(packs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = rinrcodec.decompress(packs, out)
    assert (result.source, result.out) == (str(packs), str(out))
    assert (result.packs, result.frames, result.failed_frames) == (2, 3, 0)
    assert (result.warnings, result.failures) == ((), ())
    assert result.seconds > 0
    for name, text in LABELS.items():
        assert (out / f"labels/{name}.txt").read_text() == text
    assert pickle.loads(pickle.dumps(result)) == result
    assert list(result.as_json()) == [
        "source", "out", "packs", "frames", "failed_frames", "seconds", "warnings", "failures",
        "lost_labels",
    ]  # fmt: skip
    json.dumps(result.as_json(), allow_nan=False)


def test_paths_may_be_text_and_labels_are_asked_for(packs: Path, tmp_path: Path) -> None:
    pack = str(packs / "val/val-00000.rinr")
    rinrcodec.decompress(pack, str(tmp_path / "bare"), format="npy")
    assert contents(tmp_path / "bare").keys() == {"s/c.npy"}
    rinrcodec.decompress(pack, tmp_path / "both", labels=True)
    assert contents(tmp_path / "both").keys() == {
        "images/s/c.png", "labels/s/c.txt", "data.yaml",
    }  # fmt: skip
    with rinrcodec.open(pack) as file:
        pixels = file.decode(0).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(np.load(tmp_path / "bare/s/c.npy"), pixels)
    with Image.open(tmp_path / "both/images/s/c.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_progress_rises_to_the_total(packs: Path, tmp_path: Path) -> None:
    reports: list[Progress] = []
    rinrcodec.decompress(packs, tmp_path / "out", on_progress=reports.append)
    done = [report.done for report in reports]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 3)
    assert {(report.stage, report.total) for report in reports} == {("decoding", 3)}


def test_damage_is_a_failure_of_the_result(packs: Path, tmp_path: Path) -> None:
    pack = packs / "train/train-00000.rinr"
    data = bytearray(pack.read_bytes())
    with rinrcodec.open(pack) as file:
        data[file.reader.header.data_start + 8] ^= 1
    pack.write_bytes(data)
    reports: list[Progress] = []
    result = rinrcodec.decompress(packs, tmp_path / "out", on_progress=reports.append)
    assert result.failures
    assert all("train-00000.rinr" in failure for failure in result.failures)
    assert result.frames == 1
    assert (tmp_path / "out/images/val/s/c.png").exists()
    assert reports[-1].done == reports[-1].total


def test_a_truncated_pack_does_not_stop_the_others(packs: Path, tmp_path: Path) -> None:
    pack = packs / "train/train-00000.rinr"
    pack.write_bytes(pack.read_bytes()[:-9])
    result = rinrcodec.decompress(packs, tmp_path / "out")
    (failure,) = result.failures
    assert "train-00000.rinr: it is truncated" in failure
    assert (result.packs, result.frames, result.failed_frames) == (1, 1, 0)


def test_files_in_the_way_are_kept_without_overwrite(packs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    mine = write(out / "images/train/b.png", "mine")
    with pytest.raises(
        RinrUsageError, match=r"b\.png is already there; `overwrite=True`"
    ) as caught:
        rinrcodec.decompress(packs, out)
    assert caught.value.exit_code == 2
    assert contents(out) == {"images/train/b.png": b"mine"}
    assert rinrcodec.decompress(packs, out, overwrite=True).frames == 3
    assert mine.read_bytes() != b"mine"


def test_wrong_arguments_are_errors(packs: Path, tmp_path: Path) -> None:
    unknown: Any = "tiff"
    with pytest.raises(RinrUsageError, match="format 'tiff': expected one of png, jpg, webp, npy"):
        rinrcodec.decompress(packs, tmp_path / "out", format=unknown)
    with pytest.raises(RinrUsageError, match="file is a file; give a folder for the output"):
        rinrcodec.decompress(packs, write(tmp_path / "file", ""))
    with pytest.raises(RinrInputError, match="nowhere: there is no such file or folder"):
        rinrcodec.decompress(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(RinrInputError, match=r"no \.rinr file in this folder or below it"):
        rinrcodec.decompress(tmp_path / "set/images", tmp_path / "out")
    with pytest.raises(RinrDeviceError, match="cuda:99"):
        rinrcodec.decompress(packs, tmp_path / "out", device="cuda:99")
    assert not (tmp_path / "out").exists()


def test_ctrl_c_raises_keyboard_interrupt(packs: Path, tmp_path: Path) -> None:
    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rinrcodec.decompress(packs, tmp_path / "out", on_progress=stop)
    assert contents(tmp_path / "out") == {} if (tmp_path / "out").exists() else True


def test_from_and_to_a_bucket(packs: Path, tmp_path: Path, remote: str, upload: Any) -> None:
    rinrcodec.decompress(packs, tmp_path / "near")
    result = rinrcodec.decompress(upload(packs, f"{remote}/packs"), f"{remote}/back")
    assert (result.source, result.out) == (f"{remote}/packs", f"{remote}/back")
    again = rinrcodec.decompress(f"{remote}/packs", tmp_path / "far")
    assert (result.frames, again.frames) == (3, 3)
    assert contents(tmp_path / "far") == contents(tmp_path / "near")
    with pytest.raises(RinrUsageError, match="and 6 more are already there"):
        rinrcodec.decompress(f"{remote}/packs", f"{remote}/back")
