"""Rows of several frames: loaders decode each frame once, and shuffle without decoding it more."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler

import rinrcodec
from rinrcodec.errors import RinrFormatError, RinrInputError
from rinrcodec.families.av1.stream import RowDecoder
from rinrcodec.formats import PackReader
from rinrcodec.pack import InrRef, Pack, merge_packs, select_frames
from rinrcodec.plugins import torch_loader
from rinrcodec.plugins._rows import row_starts
from rinrcodec.plugins._torch_order import EpochOrder, _shuffled
from rinrcodec.plugins.torch_data import RinrDataset, collate
from rinrcodec.plugins.torch_loader import RinrLoader

from .conftest import ROW, ROWS, clip_pack

# Python 3.12 and newer warn of every fork of a process with threads, such as a test runner's.
pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes"),
]


def order_of(loader: RinrLoader, wanted: list[torch.Tensor] | None = None) -> list[int]:
    """The items of an epoch, whose pixels are compared with those wanted."""
    order = []
    for images, targets in loader:
        for image, target in zip(images, targets, strict=True):
            order.append(target["image_id"])
            assert wanted is None or torch.equal(image.cpu(), wanted[target["image_id"]])
    return order


def check_reads(reads: list[int]) -> None:
    """Every frame once; of resident packs, the row that the last epoch ended with not at all."""
    counts = Counter(reads)
    assert set(counts.values()) in ({ROWS}, {ROWS - 1})
    assert len(counts) == ROW


# Decoding


@pytest.mark.parametrize("batch_size", [1, 4, 60])
@pytest.mark.parametrize("options", [{}, {"num_workers": 4}, {"resident": True}], ids=str)
def test_in_order_every_frame_is_decoded_once_an_epoch(
    clips: Path, clip_frames: Any, reads: list[int], options: Any, batch_size: int
) -> None:
    loader = RinrLoader(RinrDataset(clips), batch_size=batch_size, device="cpu", **options)
    for _ in range(2):
        reads.clear()
        assert order_of(loader, clip_frames) == list(range(60))
        check_reads(reads)


@pytest.mark.parametrize("buffer_size", [16, 256])
@pytest.mark.parametrize("options", [{}, {"num_workers": 4}, {"resident": True}], ids=str)
def test_shuffled_every_frame_is_decoded_once_an_epoch(
    clips: Path, clip_frames: Any, reads: list[int], options: Any, buffer_size: int
) -> None:
    loader = RinrLoader(
        RinrDataset(clips),
        batch_size=4,
        device="cpu",
        shuffle=True,
        buffer_size=buffer_size,
        **options,
    )
    for _ in range(2):
        reads.clear()
        order = order_of(loader, clip_frames)
        assert sorted(order) == list(range(60)) != order
        check_reads(reads)


def test_no_more_than_the_first_batch_needs_is_decoded_for_it(
    clips: Path, reads: list[int]
) -> None:
    next(iter(RinrLoader(RinrDataset(clips), batch_size=2, device="cpu")))
    assert reads == [*range(ROW)]


def test_frames_dropped_at_the_end_are_not_decoded(clips: Path, reads: list[int]) -> None:
    loader = RinrLoader(RinrDataset(clips), batch_size=16, device="cpu", drop_last=True)
    assert order_of(loader) == list(range(48))
    assert len(reads) == 48


def test_an_epoch_left_early_leaves_nothing_to_the_next(clips: Path, clip_frames: Any) -> None:
    loader = RinrLoader(RinrDataset(clips), batch_size=2, device="cpu", shuffle=True)
    first, second = iter(loader), iter(loader)
    next(first)
    for _ in range(3):
        next(second)
    assert sorted(order_of(loader, clip_frames)) == list(range(60))


@pytest.mark.parametrize("buffer_size", [1, 8, 60])
def test_a_full_shuffle_decodes_together_what_is_due_soon(
    clips: Path, clip_frames: Any, reads: list[int], buffer_size: int
) -> None:
    options: Any = {"batch_size": 4, "device": "cpu", "shuffle": "frames"}
    loader = RinrLoader(RinrDataset(clips), buffer_size=buffer_size, **options)
    order = order_of(loader, clip_frames)
    assert order == np.random.default_rng((0, 0)).permutation(60).tolist()
    if buffer_size == 1:
        assert len(reads) > 3 * 60
    elif buffer_size == 8:
        assert 60 < len(reads) < 3 * 60
    else:
        assert len(reads) == 60


def test_a_sampler_may_name_items_twice_and_from_the_end(
    clips: Path, clip_frames: Any, reads: list[int]
) -> None:
    dataset = RinrDataset(clips)
    sampler = [3, 59, 3, 0, -1, 57, 3]
    loader = RinrLoader(dataset, batch_size=2, device="cpu", sampler=sampler)
    images = [image for batch, _ in loader for image in batch]
    assert all(torch.equal(i, clip_frames[k]) for i, k in zip(images, sampler, strict=True))
    assert Counter(reads) == {0: 2, 1: 2, 2: 2, 3: 2, 4: 1, 5: 1}


def test_images_decoded_ahead_are_transformed_when_they_are_due(clips: Path) -> None:
    seen: list[int] = []

    def note(image: torch.Tensor, target: Any) -> Any:
        seen.append(target["image_id"])
        return image.zero_(), target

    loader = RinrLoader(RinrDataset(clips, transforms=note), batch_size=4, device="cpu")
    images, _ = next(iter(loader))
    assert seen == [0, 1, 2, 3]
    assert not images.any()


def test_few_frames_are_decoded_in_one_call(
    clips: Path, clip_frames: Any, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_loader, "_PIXELS_AT_ONCE", 48 * 32)
    sizes = []
    decode = rinrcodec.Decoder.decode
    monkeypatch.setattr(
        rinrcodec.Decoder, "decode", lambda *a, **k: sizes.append(len(a[1])) or decode(*a, **k)
    )
    loader = RinrLoader(RinrDataset(clips), batch_size=60, device="cpu", shuffle=True)
    assert sorted(order_of(loader, clip_frames)) == list(range(60))
    assert sizes == [ROW] * ROWS
    assert len(reads) == 60


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_waiting_frames_are_right_on_a_stream_of_their_own(clips: Path, clip_frames: Any) -> None:
    loader = RinrLoader(RinrDataset(clips), batch_size=4, device="cuda", shuffle=True)
    for _ in range(2):
        assert sorted(order_of(loader, clip_frames)) == list(range(60))


# Order


def test_one_seed_gives_one_order_for_any_number_of_workers(clips: Path) -> None:
    def epochs(seed: int, **options: Any) -> list[list[int]]:
        loader = RinrLoader(
            RinrDataset(clips),
            batch_size=4,
            device="cpu",
            shuffle=True,
            buffer_size=20,
            seed=seed,
            **options,
        )
        return [order_of(loader), order_of(loader)]

    made = epochs(1)
    assert made[0] != made[1]
    for options in ({"num_workers": 1}, {"num_workers": 4}, {"resident": True}):
        assert epochs(1, **options) == made
    assert epochs(2)[0] != made[0]


def test_buffers_hold_whole_rows_in_random_order() -> None:
    starts = np.arange(600) // ROW * ROW
    order = _shuffled(starts, 26, np.random.default_rng(3))
    assert sorted(order) == list(range(600))
    buffers = [order[k : k + 24] for k in range(0, 600, 24)]  # four rows are 24 frames
    rows = [sorted({item // ROW for item in buffer}) for buffer in buffers]
    assert all(len(row) == 4 for row in rows)
    assert [number for row in rows for number in row] != list(range(100))
    # Frames of different rows alternate, and no buffer keeps their order.
    assert all(buffer != sorted(buffer) for buffer in buffers)
    assert all(len({item // ROW for item in buffer[:8]}) > 1 for buffer in buffers)


def test_a_row_longer_than_the_buffer_fills_its_own_buffer() -> None:
    starts = np.array([0] * 9 + [9, 10, 11])
    order = _shuffled(starts, 3, np.random.default_rng(0))
    assert sorted(order) == list(range(12))
    places = [place for place, item in enumerate(order) if item < 9]
    assert places == list(range(places[0], places[0] + 9))


def test_single_frames_get_the_full_shuffle() -> None:
    order = _shuffled(np.arange(50), 4, np.random.default_rng((7, 2)))
    assert order == np.random.default_rng((7, 2)).permutation(50).tolist()


def test_every_order_of_a_small_set_is_as_likely() -> None:
    """Rows that fit into one buffer, and single frames among rows."""
    generator = np.random.default_rng(11)
    starts = np.array([0, 0, 2, 3])
    counts = Counter(tuple(_shuffled(starts, 4, generator)) for _ in range(4800))
    assert len(counts) == 24
    # Four standard deviations of a count with the mean 200.
    assert all(abs(count - 200) < 57 for count in counts.values())


def test_every_frame_is_as_likely_at_every_place() -> None:
    generator = np.random.default_rng(5)
    starts = np.array([0, 0, 0, 3, 4, 4, 6, 7])
    hits = np.zeros((8, 8))
    for _ in range(4000):
        hits[np.arange(8), _shuffled(starts, 4, generator)] += 1
    single = hits[:, [3, 6, 7]]
    assert np.all(abs(single.sum(1) / 3 - 500) < 120)
    assert np.all(hits > 300)


def test_shards_are_opened_once_and_only_if_rows_matter(
    clips: Path, tmp_path: Path, pack: Pack, opens: Any
) -> None:
    rinrcodec.save(pack, tmp_path / "still.rinr")
    rinrcodec.save(select_frames(pack, [0]), tmp_path / "one.rinr")
    (tmp_path / "clip.rinr").write_bytes((clips / "a.rinr").read_bytes())
    dataset = RinrDataset(tmp_path)
    with opens(tmp_path) as opened:
        order = RinrLoader(dataset, device="cpu", shuffle=True)._order
    assert opened == []
    with opens(tmp_path) as opened:
        iter(order)
    assert sorted(opened) == ["clip.rinr", "clip.rinr", "still.rinr"]
    with opens(tmp_path) as opened:
        iter(order)
    assert opened == []


def test_in_order_files_are_looked_at_when_they_are_near(clips: Path, opens: Any) -> None:
    options: Any = {"batch_size": 4, "shuffle": False, "seed": 0, "drop_last": False}
    order = EpochOrder(RinrDataset(clips), range(60), **options, buffer_size=12, sampler=None)
    steps = iter(order)
    with opens(clips) as opened:
        for _ in range(4):
            next(steps)
    assert set(opened) == {"a.rinr"}
    with opens(clips) as opened:
        assert len(list(steps)) == 11
    assert set(opened) == {"b.rinr"}


def test_a_damaged_frame_table_is_named(clips: Path, tmp_path: Path) -> None:
    data = bytearray((clips / "a.rinr").read_bytes())
    with PackReader(clips / "a.rinr") as reader:
        data[int(reader._directory.offsets[0]) + 5] ^= 0xFF
    (tmp_path / "a.rinr").write_bytes(data)
    for options in ({}, {"shuffle": True}, {"num_workers": 1}):
        loader = RinrLoader(RinrDataset(tmp_path), device="cpu", **options)
        with pytest.raises(RinrFormatError, match=r"a\.rinr: .*CRC-32"):
            list(loader)


@pytest.mark.parametrize("wrong", ["rows", None, 2, ""])
def test_other_shuffles_are_refused(clips: Path, wrong: Any) -> None:
    with pytest.raises(RinrInputError, match='expected True, False or "frames"'):
        RinrLoader(RinrDataset(clips), shuffle=wrong)


def test_other_options_are_refused(clips: Path) -> None:
    with pytest.raises(RinrInputError, match="buffer_size=0: expected at least 1"):
        RinrLoader(RinrDataset(clips), buffer_size=0)
    with pytest.raises(RinrInputError, match="shuffle and sampler"):
        RinrLoader(RinrDataset(clips), shuffle="frames", sampler=[0])


def test_a_distributed_sampler_decodes_together_what_is_due_soon(
    clips: Path, clip_frames: Any, reads: list[int]
) -> None:
    dataset = RinrDataset(clips)
    seen: list[int] = []
    for rank in range(2):
        sampler = DistributedSampler(dataset, num_replicas=2, rank=rank, shuffle=False)
        loader = RinrLoader(dataset, batch_size=4, device="cpu", sampler=sampler)
        seen += order_of(loader, clip_frames)
    assert sorted(seen) == list(range(60))
    # Each process has every second frame, and decodes those before it.
    assert len(reads) == ROWS * (5 + 6)


# Rows of files


def test_rows_of_a_file(sequence_pack: Pack, pack: Pack, tmp_path: Path) -> None:
    mixed = merge_packs([clip_pack(0, 4), select_frames(pack, [0]), clip_pack(4, 3, gop=1)])
    # Frames of a row need not be neighbours.
    order = [3, 4, 0, 5, 1, 2, 6, 7]
    mixed = replace(mixed, frames=tuple(mixed.frames[k] for k in order))
    expected = {
        "mixed": (mixed, [0, 1, 0, 3, 0, 0, 6, 7]),
        # A frame of nerv is computed without those before it.
        "nerv": (sequence_pack, list(range(5))),
        "siren": (pack, list(range(5))),
    }
    for name, (content, starts) in expected.items():
        rinrcodec.save(content, tmp_path / f"{name}.rinr")
        with PackReader(tmp_path / f"{name}.rinr") as reader:
            assert row_starts(reader).tolist() == starts
            groups, rows = reader.background_rows()
            refs = [InrRef(*pair) for pair in zip(groups.tolist(), rows.tolist(), strict=True)]
            assert refs == [frame.background for frame in content.frames]
            assert reader.specs == tuple(group.spec for group in content.groups)


# Other loaders


def items_of(dataset: RinrDataset, order: range | list[int]) -> Iterator[torch.Tensor]:
    return (dataset[index][0] for index in order)


def test_items_in_order_cost_one_decode_each(
    clips: Path, clip_frames: Any, reads: list[int]
) -> None:
    dataset = RinrDataset(clips)
    for index, image in enumerate(items_of(dataset, range(60))):
        assert torch.equal(image, clip_frames[index])
    assert len(reads) == 60
    reads.clear()
    # Any order costs the frames before each: (1 + 2 + ... + 6) for a row, from its end.
    list(items_of(dataset, [5, 11, 4, 10, 3, 9]))
    assert len(reads) > 20


@pytest.mark.parametrize(("batch_size", "cost"), [(ROW, 60), (2 * ROW, 60), (3, 90)])
def test_workers_of_a_data_loader_decode_rows_that_their_batches_hold_once(
    clips: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int, cost: int
) -> None:
    context = multiprocessing.get_context("fork")
    total = context.Value("i", 0)
    read = RowDecoder.read

    def counted(self: RowDecoder) -> Any:
        with total.get_lock():
            total.value += 1
        return read(self)

    monkeypatch.setattr(RowDecoder, "read", counted)
    loader = DataLoader(
        RinrDataset(clips),
        batch_size=batch_size,
        num_workers=2,
        collate_fn=collate,
        multiprocessing_context=context,
    )
    assert sum(len(targets) for _, targets in loader) == 60
    # With half a row in a batch, one of two workers begins each row, the other decodes it all.
    assert total.value == cost


@pytest.mark.parametrize("workers", [0, 1])
def test_packs_behind_a_url_have_the_order_of_the_folder(
    clips: Path, clip_frames: Any, reads: list[int], remote: str, upload: Any, workers: int
) -> None:
    far = RinrDataset(upload(clips, f"{remote}/clips"))
    options: Any = {"batch_size": 8, "device": "cpu", "shuffle": True, "buffer_size": 20}
    wanted = order_of(RinrLoader(RinrDataset(clips), **options))
    reads.clear()
    loader = RinrLoader(far, num_workers=workers, multiprocessing_context="fork", **options)
    assert order_of(loader, clip_frames) == wanted
    assert len(reads) == 60
