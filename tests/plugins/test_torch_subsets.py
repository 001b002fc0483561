"""The loader takes a Subset of a data set, as `random_split` makes them, like the data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset, Dataset, DistributedSampler, Subset, random_split

from rinrcodec.errors import RinrInputError
from rinrcodec.plugins.torch_data import RinrDataset
from rinrcodec.plugins.torch_loader import RinrLoader

from .conftest import ROW

# Python 3.12 and newer warn of every fork of a process with threads, such as a test runner's.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


def order_of(loader: RinrLoader, wanted: list[torch.Tensor]) -> list[int]:
    order = []
    for images, targets in loader:
        for image, target in zip(images, targets, strict=True):
            order.append(target["image_id"])
            assert torch.equal(image, wanted[target["image_id"]])
    return order


@pytest.mark.parametrize("options", [{}, {"num_workers": 1}, {"resident": True}], ids=str)
@pytest.mark.parametrize("shuffle", [False, True, "frames"])
def test_a_split_has_each_of_its_items_once(
    clips: Path, clip_frames: Any, options: Any, shuffle: Any
) -> None:
    dataset = RinrDataset(clips)
    train, val = random_split(dataset, [45, 15], generator=torch.Generator().manual_seed(1))
    for part in (train, val):
        loader = RinrLoader(part, batch_size=4, device="cpu", shuffle=shuffle, **options)
        assert loader.dataset is part
        assert len(loader) == -(-len(part) // 4)
        orders = [order_of(loader, clip_frames) for _ in range(2)]
        assert [sorted(order) for order in orders] == [sorted(part.indices)] * 2
        assert (orders[0] == orders[1] == list(part.indices)) is not bool(shuffle)


def test_whole_rows_of_a_subset_are_decoded_once(
    clips: Path, clip_frames: Any, reads: list[int]
) -> None:
    rows = [0, 4, 9]
    items = [row * ROW + k for row in rows for k in range(ROW)]
    loader = RinrLoader(Subset(RinrDataset(clips), items), device="cpu", shuffle=True, batch_size=4)
    assert sorted(order_of(loader, clip_frames)) == items
    assert sorted(reads) == sorted([*range(ROW)] * 3)


def test_only_files_of_the_subset_are_looked_at(clips: Path, opens: Any) -> None:
    subset = Subset(RinrDataset(clips), range(30))
    with opens(clips) as opened:
        list(RinrLoader(subset, device="cpu", shuffle=True))
    assert set(opened) == {"a.rinr"}


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_subsets_of_subsets_in_any_order(clips: Path, clip_frames: Any, data: Any) -> None:
    indices = data.draw(st.lists(st.integers(-60, 59), min_size=1, max_size=20))
    inner = data.draw(st.lists(st.integers(0, len(indices) - 1), min_size=1, max_size=12))
    subset = Subset(Subset(RinrDataset(clips), indices), inner)
    expected = [indices[k] % 60 for k in inner]
    options = {"batch_size": 3, "device": "cpu"}
    assert order_of(RinrLoader(subset, **options), clip_frames) == expected
    shuffle = data.draw(st.sampled_from([True, "frames"]))
    resident = data.draw(st.booleans())
    loader = RinrLoader(subset, shuffle=shuffle, resident=resident, **options)
    assert sorted(order_of(loader, clip_frames)) == sorted(expected)


def test_indices_may_be_arrays(clips: Path, clip_frames: Any) -> None:
    for indices in (np.array([5, 7]), torch.tensor([5, 7]), range(5, 8, 2)):
        loader = RinrLoader(Subset(RinrDataset(clips), indices), device="cpu")
        assert order_of(loader, clip_frames) == [5, 7]


def test_the_whole_as_a_subset_has_the_order_of_the_data_set(clips: Path, clip_frames: Any) -> None:
    dataset = RinrDataset(clips)
    options: Any = {"batch_size": 8, "device": "cpu", "shuffle": True, "buffer_size": 20, "seed": 3}
    whole = RinrLoader(Subset(dataset, range(60)), **options)
    assert order_of(whole, clip_frames) == order_of(RinrLoader(dataset, **options), clip_frames)


def test_a_sampler_counts_from_the_start_of_the_subset(clips: Path, clip_frames: Any) -> None:
    subset = Subset(RinrDataset(clips), range(40, 60))
    loader = RinrLoader(subset, device="cpu", sampler=[3, 0, 19])
    assert order_of(loader, clip_frames) == [43, 40, 59]
    assert len(loader) == 1
    shares = []
    for rank in range(2):
        sampler = DistributedSampler(subset, num_replicas=2, rank=rank)
        shares += order_of(RinrLoader(subset, device="cpu", sampler=sampler), clip_frames)
    assert sorted(shares) == list(range(40, 60))


def test_other_data_sets_are_refused(clips: Path) -> None:
    class Other(Dataset[int]):
        pass

    dataset = RinrDataset(clips)
    for other in (Other(), Subset(Other(), [0]), ConcatDataset([dataset, dataset]), [dataset]):
        with pytest.raises(RinrInputError, match="RinrLoader takes a RinrDataset or a Subset"):
            RinrLoader(other)
    with pytest.raises(RinrInputError, match="a Subset has item 60, but its dataset has 60 items"):
        RinrLoader(Subset(dataset, [3, 60]))
