"""`rinrcodec.verify`: results, reports and errors."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

import rinrcodec
from rinrcodec import Progress, RinrUsageError
from rinrcodec.datasets.inspection.describe import describe

from .conftest import QUICK, write


@pytest.fixture
def packs(dataset: Path, tmp_path: Path) -> Path:
    rinrcodec.compress(dataset, tmp_path / "packs", shard_size=1, **QUICK)
    return tmp_path / "packs"


def test_a_data_set_is_sound(packs: Path) -> None:
    result = rinrcodec.verify(packs)
    assert result.ok
    assert (result.packs, result.frames, result.bad) == (3, 3, {})
    (manifest,) = result.manifests
    assert (manifest.path, manifest.files, manifest.unreadable) == (packs / "manifest.json", 4, 0)
    (run,) = manifest.runs
    assert (run["complete"], run["shards"], run["frames"]) == (True, 3, 3)
    assert result.as_json()["runs"] == [run]
    assert pickle.loads(pickle.dumps(result)) == result
    json.dumps(result.as_json(), allow_nan=False)


def test_several_sources_and_text(packs: Path) -> None:
    files = sorted(map(str, packs.rglob("*.rinr")))
    assert rinrcodec.verify(*files, jobs=1).frames == 3
    assert rinrcodec.verify(files[0], str(packs), packs).packs == 3
    assert rinrcodec.verify(files[0]).manifests == ()


def test_progress_rises_to_the_total(packs: Path) -> None:
    reports: list[Progress] = []
    rinrcodec.verify(packs, jobs=2, on_progress=reports.append)
    assert [report.done for report in reports] == [0, 1, 2, 3, 4]
    assert {(report.stage, report.total) for report in reports} == {("verifying", 4)}


def test_damage_is_in_the_result(packs: Path, tmp_path: Path) -> None:
    pack = packs / "train/train-00001.rinr"
    pack.write_bytes(pack.read_bytes()[:-5])
    (packs / "val/val-00000.rinr").unlink()
    text = write(tmp_path / "text.rinr", "text")
    reports: list[Progress] = []
    result = rinrcodec.verify(packs, text, on_progress=reports.append)
    assert not result.ok
    assert (result.packs, result.frames) == (4, 1)
    assert "it is truncated" in result.bad[str(pack)]
    assert "it is missing" in result.bad[str(packs / "val/val-00000.rinr")]
    assert "it is not a .rinr file" in result.bad[str(text)]
    assert reports[-1].done == reports[-1].total


def test_a_source_that_is_absent_is_bad(packs: Path, tmp_path: Path) -> None:
    result = rinrcodec.verify(tmp_path / "nowhere.rinr", packs)
    assert list(result.bad) == [str(tmp_path / "nowhere.rinr")]
    assert result.frames == 3


def test_an_interrupted_run_is_bad(folder: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.done >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rinrcodec.compress(folder, tmp_path / "out", shard_size=2, on_progress=stop, **QUICK)
    (message,) = rinrcodec.verify(tmp_path / "out").bad.values()
    assert "a run is not finished" in message
    assert "`resume=True` continues" in message


def test_wrong_arguments_are_errors(packs: Path) -> None:
    with pytest.raises(RinrUsageError, match="nothing to verify") as caught:
        rinrcodec.verify()
    assert caught.value.exit_code == 2
    for jobs in (0, -1, "4", 1.5):
        with pytest.raises(RinrUsageError, match="expected a whole number, 1 or more"):
            rinrcodec.verify(packs, jobs=jobs)


def test_ctrl_c_raises_keyboard_interrupt(packs: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rinrcodec.verify(packs, on_progress=stop)


def test_a_data_set_behind_a_url_is_verified(packs: Path, remote: str, upload: Any) -> None:
    result = rinrcodec.verify(upload(packs, f"{remote}/packs"))
    assert (result.ok, result.packs, result.manifests[0].files) == (True, 3, 4)


def test_info_opens_packs_only_if_no_manifest_counts_them(packs: Path, opens: Any) -> None:
    with opens(packs) as opened:
        description = describe([packs])
    assert {name for name in opened if name.endswith(".rinr")} == set()
    (folder,) = description.folders
    assert (folder["complete"], folder["frames"], description.packs, description.bad) == (
        True,
        3,
        [],
        {},
    )
    description = describe([packs], frames=True)
    assert [pack["frame_list"][0]["name"] for pack in description.packs] == [
        "a.png",
        "b.png",
        "s/c.png",
    ]
    write(packs / "train/train-00000.rinr", "text")
    description = describe([packs], files=True)
    assert list(description.bad) == [str(packs / "train/train-00000.rinr")]
    assert len(description.packs) == 2
