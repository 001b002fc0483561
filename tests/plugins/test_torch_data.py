"""The torch dataset and loader: the same frames in the same order, however they are read."""

from __future__ import annotations

import pickle
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler

import rinrcodec
from rinrcodec import families
from rinrcodec.errors import RinrDeviceError, RinrFormatError, RinrInputError, RinrLimitError
from rinrcodec.limits import Limits
from rinrcodec.pack import Pack, select_frames
from rinrcodec.plugins import torch_data, torch_loader
from rinrcodec.plugins._torch_order import Step
from rinrcodec.plugins.torch_data import RinrDataset, collate, find_files
from rinrcodec.plugins.torch_loader import RinrLoader

from .conftest import BOXES

# Python 3.12 and newer warn of every fork of a process with threads, such as a test runner's.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()


@pytest.fixture
def folder(tmp_path: Path, pack: Pack) -> Path:
    """Eleven frames in three files of a folder tree, and files that do not count."""
    root = tmp_path / "train"
    (root / "deep").mkdir(parents=True)
    (root / ".unfinished").mkdir()
    rinrcodec.save(pack, root / "b.rinr")
    rinrcodec.save(select_frames(pack, [1]), root / "a.rinr")
    rinrcodec.save(pack, root / "deep" / "c.rinr")
    (root / ".unfinished" / "d.rinr").write_bytes(b"half")
    (root / "notes.txt").write_text("not a pack", encoding="utf-8")
    return root


def flat(loader: RinrLoader) -> list[tuple[int, torch.Tensor, torch.Tensor, torch.Tensor]]:
    return [
        (target["image_id"], image.cpu(), target["boxes"].cpu(), target["labels"].cpu())
        for images, targets in loader
        for image, target in zip(images, targets, strict=True)
    ]


def assert_equal(items, wanted):
    assert [item[0] for item in items] == [item[0] for item in wanted]
    for one, other in zip(items, wanted, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one[1:], other[1:], strict=True))


# Dataset


def test_items_are_frames_in_the_order_of_the_files(folder, pack):
    dataset = RinrDataset(folder)
    assert [path.name for path in dataset.files] == ["a.rinr", "b.rinr", "c.rinr"]
    assert len(dataset) == 11
    wanted = [1, *range(5), *range(5)]
    for index, number in enumerate(wanted):
        image, target = dataset[index]
        assert image.dtype == torch.uint8
        assert torch.equal(image, rinrcodec.decode(pack, number))
        assert target["image_id"] == index
        assert target["name"] == pack.frames[number].name
    assert torch.equal(dataset[-1][0], dataset[10][0])
    assert dataset[-1][1]["image_id"] == 10
    for wrong in (11, -12):
        with pytest.raises(IndexError, match="the dataset has 11"):
            dataset[wrong]
    assert isinstance(dataset[torch.tensor(2)][1]["image_id"], int)
    with pytest.raises(TypeError, match="'slice' object cannot be interpreted as an integer"):
        dataset[0:2]


def test_targets_follow_torchvision(pack_file):
    _, target = RinrDataset(pack_file)[0]
    assert target["boxes"].dtype == torch.float32
    assert target["boxes"].tolist() == [[3, 4, 13, 13], [20.5, 5.25, 38, 25.25], [30, 20, 70, 44]]
    assert target["labels"].dtype == torch.int64
    assert target["labels"].tolist() == [0, 1, 7]
    _, target = RinrDataset(pack_file)[2]
    assert target["boxes"].shape == (0, 4)
    assert target["labels"].shape == (0,)


def test_files_and_folders_may_be_mixed(folder):
    dataset = RinrDataset([folder / "deep", str(folder / "a.rinr")])
    assert [path.name for path in dataset.files] == ["c.rinr", "a.rinr"]
    assert all(path.is_absolute() for path in find_files(folder / "a.rinr"))


def test_transforms_get_image_and_target_and_may_change_them_in_place(pack_file):
    def darken(image, target):
        image.div_(2, rounding_mode="floor")
        return image, {**target, "labels": target["labels"] + 1}

    image, target = RinrDataset(pack_file, transforms=darken)[0]
    plain, _ = RinrDataset(pack_file)[0]
    assert torch.equal(image, plain // 2)
    assert target["labels"].tolist() == [1, 2, 8]
    loader = RinrLoader(RinrDataset(pack_file, transforms=darken), batch_size=2, device="cpu")
    images, targets = next(iter(loader))
    assert torch.equal(images[0], plain // 2)
    assert targets[0]["labels"].tolist() == [1, 2, 8]


def test_images_can_be_trained_on(pack_file):
    images, _ = next(iter(RinrLoader(RinrDataset(pack_file), batch_size=1, device="cpu")))
    weight = torch.ones(1, requires_grad=True)
    (images.float() * weight).sum().backward()
    assert weight.grad == images.sum()


def test_a_dataset_pickles_without_open_files(folder):
    dataset = RinrDataset(folder)
    wanted = dataset[3][0]
    again = pickle.loads(pickle.dumps(dataset))
    assert again._open._files == {}
    assert torch.equal(again[3][0], wanted)


def test_files_open_when_needed_and_not_too_many_stay_open(folder, monkeypatch):
    monkeypatch.setattr(torch_data, "_OPEN_FILES", 2)
    dataset = RinrDataset(folder)
    assert len(dataset._open._files) == 0
    for index in (0, 1, 6, 2, 7):
        dataset[index]
    assert [path.name for path in dataset._open._files] == ["b.rinr", "c.rinr"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_plain_data_loader_reads_a_dataset(folder, method):
    dataset = RinrDataset(folder)
    loader = DataLoader(
        dataset,
        batch_size=4,
        num_workers=2 if method == "fork" else 1,  # others import torch first
        collate_fn=collate,
        multiprocessing_context=method,
    )
    images = [image for images, _ in loader for image in images]
    assert len(images) == 11
    for index, image in enumerate(images):
        assert torch.equal(image, dataset[index][0])


def test_paths_without_packs_are_reported(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RinrInputError, match=r"empty: no \.rinr file .* rinrcodec compress"):
        RinrDataset(tmp_path / "empty")
    with pytest.raises(RinrInputError, match="absent: there is no such file or folder"):
        RinrDataset([folder, tmp_path / "absent"])
    with pytest.raises(RinrInputError, match="no paths given"):
        RinrDataset([])
    with pytest.raises(RinrFormatError, match=r"notes\.txt: it is not a \.rinr file"):
        RinrDataset(folder / "notes.txt")
    with pytest.raises(RinrLimitError, match=r"b\.rinr"):
        RinrDataset(folder / "b.rinr", limits=Limits(max_frames=4))


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_is_named(folder, workers):
    damage(folder / "b.rinr")
    dataset = RinrDataset(folder)
    loader = RinrLoader(dataset, batch_size=11, device="cpu", num_workers=workers)
    with pytest.raises(RinrFormatError, match=r"b\.rinr: .*CRC-32"):
        list(loader)


def test_damaged_files_can_be_left_out(folder):
    damage(folder / "b.rinr")
    (folder / "deep" / "e.rinr").write_bytes(b"")
    with pytest.warns(UserWarning, match="left out of the dataset") as caught:
        dataset = RinrDataset(folder, skip_damaged=True)
    assert [path.name for path in dataset.files] == ["a.rinr", "c.rinr"]
    assert len(caught) == 2
    assert {warning.filename for warning in caught} == {__file__}
    assert len(flat(RinrLoader(dataset, device="cpu"))) == 6


def test_files_of_a_family_that_is_not_known_are_left_out(folder, monkeypatch):
    monkeypatch.setattr(families, "_BUILT_IN", {})
    monkeypatch.setattr(families, "_loaded", {})
    with (
        pytest.warns(UserWarning, match=r"left out .*\.rinr: the family 'av1' is not installed"),
        suppress(RinrInputError),  # none is left
    ):
        RinrDataset(folder, skip_damaged=True)


def test_a_dataset_of_damaged_files_only_is_refused(folder):
    damage(folder / "b.rinr")
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(RinrInputError, match=r"b\.rinr: no file is left, all 1 are damaged"),
    ):
        RinrDataset(folder / "b.rinr", skip_damaged=True)


# Undecoded frames


def test_undecoded_frames_make_one_pack_in_order(folder, pack):
    dataset = RinrDataset(folder)
    indices = [7, 0, 3, 2, 10]
    undecoded = dataset.read(indices)
    assert len(undecoded.groups) <= len(pack.groups)
    used = {
        (file, ref)
        for file, number in map(dataset.locate, indices)
        for frame in [rinrcodec.open(dataset.files[file]).frame(number)]
        for ref in (frame.background, *(inr.inr for inr in frame.objects if inr))
    }
    assert sum(group.n_rows for group in undecoded.groups) == len(used)
    assert all(frame.metadata.exif == b"" for frame in undecoded.frames)
    for position, index in enumerate(indices):
        assert torch.equal(rinrcodec.decode(undecoded, position), dataset[index][0])
    again = pickle.loads(pickle.dumps(undecoded))
    assert torch.equal(rinrcodec.decode(again, 1), dataset[0][0])


def test_selecting_from_an_open_file_equals_selecting_from_memory(pack, pack_file):
    with rinrcodec.open(pack_file) as file:
        selected = select_frames(file, [3, 0])
    wanted = select_frames(pack, [3, 0])
    assert selected.frames == wanted.frames
    assert selected.groups == wanted.groups
    assert (selected.info, wanted.info) == ({}, pack.info)
    for position in range(2):
        pixels = rinrcodec.decode(selected, position)
        assert torch.equal(pixels, rinrcodec.decode(wanted, position))


# Loader


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("device", DEVICES)
def test_the_same_seed_gives_the_same_for_any_number_of_workers(folder, device):
    dataset = RinrDataset(folder)

    def epochs(seed, **options):
        made = RinrLoader(dataset, batch_size=4, shuffle=True, seed=seed, device=device, **options)
        return [flat(made), flat(made)]

    wanted = epochs(5)
    orders = [[item[0] for item in epoch] for epoch in wanted]
    assert all(sorted(order) == list(range(11)) for order in orders)
    assert orders[0] != orders[1] != list(range(11))
    others = [
        {"num_workers": 1},
        {"num_workers": 4, "prefetch": 1},
        {"num_workers": 1, "multiprocessing_context": "spawn"},
        {"num_workers": 1, "multiprocessing_context": "forkserver"},
        {"resident": True},
    ]
    for options in others:
        for items, epoch in zip(epochs(5, **options), wanted, strict=True):
            assert_equal(items, epoch)
    assert [item[0] for item in epochs(6)[0]] != orders[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_can_be_resumed_and_left_early(folder, workers):
    dataset = RinrDataset(folder)
    options = {"batch_size": 2, "shuffle": True, "device": "cpu", "num_workers": workers}
    wanted = RinrLoader(dataset, **options)
    epochs = [[item[0] for item in flat(wanted)] for _ in range(3)]
    loader = RinrLoader(dataset, **options)
    next(iter(loader))
    assert [item[0] for item in flat(loader)] == epochs[1]
    loader.set_epoch(0)
    assert [item[0] for item in flat(loader)] == epochs[0]
    loader.set_epoch(2)
    assert [item[0] for item in flat(loader)] == epochs[2]


@pytest.mark.parametrize("device", DEVICES)
def test_images_of_one_size_are_stacked(pack_file, device):
    loader = RinrLoader(
        RinrDataset(pack_file), batch_size=5, device=device, sampler=[0, 3, 4, 2, 1]
    )
    assert len(loader) == 1
    images, targets = next(iter(loader))
    assert isinstance(images, list)
    assert [target["image_id"] for target in targets] == [0, 3, 4, 2, 1]
    loader = RinrLoader(
        RinrDataset(pack_file), batch_size=3, device=device, sampler=[0, 3, 4, 2, 1]
    )
    stacked, listed = (batch[0] for batch in loader)
    assert stacked.shape == (3, 3, 32, 48)
    assert stacked.device.type == targets[0]["boxes"].device.type == device
    assert isinstance(listed, list)


def test_a_distributed_sampler_shares_the_items(folder):
    dataset = RinrDataset(folder)
    shares = []
    for rank in range(2):
        sampler = DistributedSampler(dataset, num_replicas=2, rank=rank, seed=1)
        loader = RinrLoader(dataset, batch_size=4, device="cpu", sampler=sampler)
        epochs = []
        for epoch in range(2):
            sampler.set_epoch(epoch)
            epochs.append([item[0] for item in flat(loader)])
        assert epochs[0] != epochs[1]
        assert len(loader) == 2
        shares.append(epochs[0])
    assert len(shares[0]) == len(shares[1]) == 6  # one item fills up the last share
    assert {*shares[0], *shares[1]} == set(range(11))


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [4, 4, 3]), (True, [4, 4])])
def test_the_last_batch_may_be_smaller_or_dropped(folder, drop_last, sizes):
    loader = RinrLoader(RinrDataset(folder), batch_size=4, device="cpu", drop_last=drop_last)
    assert [len(targets) for _, targets in loader] == sizes
    assert len(loader) == len(sizes)


def test_resident_weights_are_read_once(folder, monkeypatch):
    reads = []
    read = RinrDataset.read
    monkeypatch.setattr(RinrDataset, "read", lambda *a: reads.append(len(a[1])) or read(*a))
    loader = RinrLoader(
        RinrDataset(folder), batch_size=4, device="cpu", resident=True, num_workers=2
    )
    assert len(flat(loader)) == len(flat(loader)) == 11
    assert reads == [11]


def test_options_that_make_no_sense_are_refused(pack_file):
    dataset = RinrDataset(pack_file)
    for options in ({"batch_size": 0}, {"num_workers": -1}, {"prefetch": 0}):
        with pytest.raises(RinrInputError, match="expected at least 1, 0 and 1"):
            RinrLoader(dataset, **options)
    with pytest.raises(RinrInputError, match="a Subset of one, found 'packs'"):
        RinrLoader("packs")
    with pytest.raises(RinrInputError, match="shuffle and sampler"):
        RinrLoader(dataset, shuffle=True, sampler=[0])
    with pytest.raises(RinrDeviceError):
        RinrLoader(dataset, device="cuda:99")


def test_workers_hand_over_weights_not_pixels(folder, pack):
    batch = torch_loader._Reading(RinrDataset(folder))[Step(range(2), [0, 1], [1, 5])]
    rows = [len(group.rows.codes.tobytes()) for group in batch.source.stacks]
    assert len(pickle.dumps(batch)) < sum(rows) + 6_000
    assert batch.frames == [0, 1]
    assert batch.source.frames[0].boxes == pack.frames[0].boxes


def test_a_dataset_needs_no_extra(pack_file):
    code = (
        "import sys, rinrcodec\n"
        "rinrcodec.RinrDataset(sys.argv[1])[0]\n"
        "print(sorted({'PIL', 'torchvision', 'ultralytics', 'h5py'} & set(sys.modules)))"
    )
    command = [sys.executable, "-I", "-c", code, str(pack_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def pyramid_file(pyramid_pack: Pack, tmp_path: Path) -> Path:
    path = tmp_path / "latents.rinr"
    rinrcodec.save(pyramid_pack, path)
    return path


@pytest.mark.parametrize("resident", [False, True])
def test_batches_of_coded_latents_in_any_order_and_more_than_one_epoch(
    pyramid_file: Path, *, resident: bool
) -> None:
    dataset = RinrDataset(pyramid_file)
    loader = RinrLoader(dataset, batch_size=2, device="cpu", shuffle=True, resident=resident)
    for _ in range(2):
        seen = set()
        for images, targets in loader:
            for image, target in zip(images, targets, strict=True):
                seen.add(target["image_id"])
                assert torch.equal(image, dataset[target["image_id"]][0])
                assert len(target["boxes"]) == len(BOXES[target["image_id"]])
        assert seen == set(range(5))
