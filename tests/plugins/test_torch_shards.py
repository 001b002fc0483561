"""A data set of many shards: what is opened, and what a manifest is believed."""

from __future__ import annotations

import json
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import rinrcodec
from rinrcodec.datasets.manifest import counted_packs
from rinrcodec.errors import RinrFormatError, RinrInputError, RinrLimitError
from rinrcodec.formats import pack_bytes
from rinrcodec.limits import Limits
from rinrcodec.pack import Pack, select_frames
from rinrcodec.plugins import torch_data
from rinrcodec.plugins.torch_data import RinrDataset
from rinrcodec.plugins.torch_loader import RinrLoader

# Python 3.12 and newer warn of every fork of a process with threads, such as a test runner's.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
PutRun = Callable[..., Path]


@pytest.fixture(scope="module")
def two(pack: Pack) -> bytes:
    """A file of two frames."""
    return pack_bytes(select_frames(pack, [0, 1]))


@pytest.fixture(scope="module")
def three(pack: Pack) -> bytes:
    return pack_bytes(select_frames(pack, [0, 1, 2]))


@pytest.mark.parametrize("below", ["", "train/"])
@pytest.mark.parametrize("n", [5, 200])
def test_opening_is_flat_in_the_number_of_shards(
    tmp_path: Path, two: bytes, put_run: PutRun, opens: Any, n: int, below: str
) -> None:
    put_run(tmp_path / "out", [two] * n, n_frames=2, below=below)
    with opens(tmp_path / "out") as opened:
        dataset = RinrDataset(tmp_path / "out" / below)
        assert len(dataset) == 2 * n
    assert opened == ["manifest.json"]
    with opens(tmp_path / "out") as opened:
        dataset[5]
        dataset[4]
        pickle.loads(pickle.dumps(dataset))
    assert opened == [f"{below}train-00002.rinr"]


def test_without_a_manifest_every_pack_is_opened(
    tmp_path: Path, two: bytes, put_run: PutRun, opens: Any
) -> None:
    put_run(tmp_path, [two] * 5, n_frames=2).unlink()
    with opens(tmp_path) as opened:
        assert len(RinrDataset(tmp_path)) == 10
    assert len([name for name in opened if name.endswith(".rinr")]) == 5


def test_few_files_stay_open(
    tmp_path: Path, two: bytes, put_run: PutRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not tell which files are open")
    monkeypatch.setattr(torch_data, "_OPEN_FILES", 4)
    put_run(tmp_path, [two] * 30, n_frames=2)
    dataset = RinrDataset(tmp_path)

    def held() -> int:
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return sum(str(tmp_path) in str(link.readlink()) for link in links)

    for index in range(0, 60, 2):
        dataset[index]
        assert 1 <= held() <= 4
    dataset.read(range(60))
    assert held() <= 4


@pytest.mark.parametrize("n", [5, 200])
def test_opening_a_bucket_is_flat_too(
    s3: str,
    upload: Any,
    tmp_path: Path,
    two: bytes,
    put_run: PutRun,
    s3_requests: list[str],
    n: int,
) -> None:
    put_run(tmp_path, [two] * n, n_frames=2, below="train/")
    upload(tmp_path, s3)
    # The stamp of the manifest, its bytes, and its stamp again.
    manifest = ["head_object", "get_object", "head_object"]
    for url, is_folder in (
        (s3, ["head_bucket"]),
        (f"{s3}/train", ["head_object", "list_objects_v2"]),
    ):
        s3_requests.clear()
        dataset = RinrDataset(url)
        assert len(dataset) == 2 * n
        assert s3_requests == [*is_folder, "list_objects_v2", *manifest]
        s3_requests.clear()
        image, target = dataset[5]
        assert target["image_id"] == 5
        assert s3_requests == ["head_object"] + ["get_object"] * 8
        assert torch.equal(image, RinrDataset(tmp_path)[5][0])


def test_a_url_gives_the_frames_of_the_folder(
    remote: str, upload: Any, tmp_path: Path, two: bytes, three: bytes, put_run: PutRun
) -> None:
    put_run(tmp_path, [two] * 2, n_frames=2, below="train/")
    put_run(tmp_path, [three], n_frames=3, series="val", below="val/")
    (tmp_path / "val/alone.rinr").write_bytes(two)
    near, far = RinrDataset(tmp_path), RinrDataset(upload(tmp_path, f"{remote}/a b"))
    assert len(near) == len(far) == 9
    assert [str(file) for file in far.files] == [
        f"{remote}/a b/{file.relative_to(tmp_path).as_posix()}" for file in near.files
    ]
    loader = RinrLoader(far, batch_size=9, device="cpu")
    ((images, targets),) = list(loader)
    for index, image in enumerate(images):
        assert torch.equal(image, near[index][0])
        assert targets[index]["name"] == near[index][1]["name"]
    if remote.startswith("s3"):
        for method in ("fork", "spawn"):
            ((images, _),) = RinrLoader(
                far, batch_size=9, device="cpu", num_workers=1, multiprocessing_context=method
            )
            assert torch.equal(images[8], near[8][0])
    one = RinrDataset([f"{remote}/a b/val/alone.rinr", f"{remote}/a b/val"])
    assert len(one) == 7
    with pytest.raises(RinrInputError, match="nowhere: there is no such file or folder"):
        RinrDataset(f"{remote}/nowhere")


def test_packs_that_no_run_lists_are_opened(
    tmp_path: Path, two: bytes, three: bytes, put_run: PutRun, opens: Any
) -> None:
    put_run(tmp_path, [two] * 3, n_frames=2)
    put_run(tmp_path, [three], n_frames=3, series="val", complete=False)
    (tmp_path / "alone.rinr").write_bytes(two)
    # Of another size than the manifest says, and gone.
    (tmp_path / "train-00001.rinr").write_bytes(three)
    (tmp_path / "train-00002.rinr").unlink()
    gone = r"train-00002\.rinr: not there, although .*manifest\.json lists it"
    with opens(tmp_path) as opened, pytest.warns(UserWarning, match=gone):
        assert len(RinrDataset(tmp_path)) == 2 + 2 + 3 + 3
    looked_at = [name for name in opened if name != "manifest.json"]
    assert looked_at == ["alone.rinr", "train-00001.rinr", "val-00000.rinr"]


def test_hidden_packs_are_not_missed(tmp_path: Path, two: bytes, put_run: PutRun) -> None:
    """A listing passes them over; warnings are errors in tests."""
    put_run(tmp_path, [two], n_frames=2)
    put_run(tmp_path, [two], n_frames=2, series=".val")
    assert len(RinrDataset(tmp_path)) == 2


def test_files_override_the_manifest(tmp_path: Path, two: bytes, put_run: PutRun) -> None:
    manifest = put_run(tmp_path, [two, two], n_frames=3)
    dataset = RinrDataset(tmp_path)
    assert len(dataset) == 6
    wanted = (
        f"{tmp_path}/train-00001.rinr: has 2 frames, and {manifest} says 3: one of them was "
        f"replaced; rinrcodec verify {tmp_path} finds all such files"
    )
    for index in (3, 5):
        with pytest.raises(RinrFormatError) as raised:
            dataset[index]
        assert str(raised.value) == wanted
    for workers in (0, 1):
        with pytest.raises(RinrFormatError, match="has 2 frames, and"):
            list(RinrLoader(dataset, batch_size=2, device="cpu", num_workers=workers))
    with (
        pytest.warns(UserWarning, match="left out of the dataset: .* has 2 frames, and"),
        pytest.raises(RinrInputError, match="no file is left"),
    ):
        RinrDataset(tmp_path, skip_damaged=True)


def test_a_file_that_was_replaced_meanwhile_is_refused(
    tmp_path: Path, two: bytes, three: bytes
) -> None:
    (tmp_path / "a.rinr").write_bytes(two)
    dataset = RinrDataset(tmp_path)
    (tmp_path / "a.rinr").write_bytes(three)
    with pytest.raises(RinrFormatError, match=r"a\.rinr: has 3 frames, and had 2 when the dataset"):
        dataset[0]


@pytest.mark.parametrize("text", ["[]", '{"name": "a web app"}', "{", "\0", "[" * 100_000])
def test_a_manifest_of_another_kind_is_ignored(
    tmp_path: Path, two: bytes, put_run: PutRun, text: str
) -> None:
    put_run(tmp_path, [two] * 2, n_frames=5).write_text(text)
    dataset = RinrDataset(tmp_path)
    assert len(dataset) == 4
    assert dataset[3][1]["name"] == rinrcodec.open(dataset.files[0]).names()[1]


def test_a_manifest_cannot_promise_more_than_the_limits(
    tmp_path: Path, two: bytes, put_run: PutRun
) -> None:
    put_run(tmp_path, [two], n_frames=2**60)
    assert len(RinrDataset(tmp_path)) == 2
    with pytest.raises(RinrLimitError, match=r"train-00000\.rinr"):
        RinrDataset(tmp_path, limits=Limits(max_frames=1))


def test_a_name_that_leads_elsewhere_is_not_followed(
    tmp_path: Path, two: bytes, put_run: PutRun
) -> None:
    manifest = put_run(tmp_path / "out", [two], n_frames=2)
    (tmp_path / "out/b.rinr").write_bytes(two)
    data = json.loads(manifest.read_text())
    (files,) = [shard["files"] for shard in data["runs"][0]["shards"]]
    files["../out/b.rinr"] = files.pop("train-00000.rinr")
    del data["sha256"]
    manifest.write_text(json.dumps(data))
    with pytest.warns(UserWarning, match="is no name of a file in its folder"):
        assert {pack.manifest for pack in counted_packs(tmp_path / "out")} == {None}
    with pytest.warns(
        UserWarning, match=r"manifest\.json: damaged, .*; it is not used, and frames"
    ):
        assert len(RinrDataset(tmp_path / "out")) == 4


FRAMES = '"frames": 2'
CHANGES = {
    "none": lambda text: text.replace(FRAMES, '"frames": 0'),
    "fewer": lambda text: text.replace(FRAMES, '"frames": 1'),
    "written again": lambda text: json.dumps({**json.loads(text), "runs": []}),
    "cut": lambda text: text[:-100],
    "empty": lambda text: "",  # noqa: ARG005
    "zeros": lambda text: text[:80] + "\0" * 500,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_damaged_manifest_hides_no_frames(
    tmp_path: Path, two: bytes, put_run: PutRun, change: Callable[[str], str]
) -> None:
    manifest = put_run(tmp_path, [two] * 2, n_frames=2)
    (tmp_path / "own.rinr").write_bytes(two)
    manifest.write_text(change(manifest.read_text()))
    with pytest.warns(UserWarning, match=rf"^{manifest}: damaged, or of another release"):
        dataset = RinrDataset(tmp_path)
    assert len(dataset) == 6


@pytest.mark.parametrize("frames", [0, 1])
def test_counts_of_a_manifest_without_its_sha256_are_not_taken(
    tmp_path: Path, two: bytes, put_run: PutRun, frames: int
) -> None:
    manifest = put_run(tmp_path, [two] * 2, n_frames=2)
    data = json.loads(manifest.read_text())
    del data["sha256"]
    for shard in data["runs"][0]["shards"]:
        shard["frames"] = frames
    manifest.write_text(json.dumps(data))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(RinrDataset(tmp_path)) == 4
    assert len(caught) == (frames == 0)  # no pack has no frames, so the file is damaged


def test_the_nearest_manifest_counts(
    tmp_path: Path, two: bytes, three: bytes, put_run: PutRun
) -> None:
    outer = put_run(tmp_path, [two], n_frames=2, below="a/")
    put_run(tmp_path / "b", [three], n_frames=3)
    inner = put_run(tmp_path / "a", [two], n_frames=2)
    (tmp_path / "a/alone.rinr").write_bytes(two)
    packs = counted_packs(tmp_path)
    assert [(p.path.relative_to(tmp_path).as_posix(), p.n_frames, p.manifest) for p in packs] == [
        ("a/alone.rinr", None, None),
        ("a/train-00000.rinr", 2, inner),
        ("b/train-00000.rinr", 3, tmp_path / "b/manifest.json"),
    ]
    inner.unlink()
    assert counted_packs(tmp_path / "a")[1].manifest == outer
    shutil.copytree(tmp_path / "a", tmp_path / "elsewhere/deep/a")
    assert counted_packs(tmp_path / "elsewhere/deep/a")[1].manifest is None


def test_a_relative_folder(
    tmp_path: Path, two: bytes, put_run: PutRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_run(tmp_path, [two] * 2, n_frames=2, below="train/")
    for here, there in ((tmp_path, "train"), (tmp_path / "train", ".")):
        monkeypatch.chdir(here)
        dataset = RinrDataset(there)
        assert {pack.manifest for pack in dataset._counts} == {tmp_path / "manifest.json"}
        monkeypatch.chdir("/")
        assert torch.equal(dataset[3][0], dataset[1][0])
