"""Groups of frames: when they share a row, and how few frames are decoded to see one."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from av1_frames import decoded, encode, sequence, streams
from PIL import Image

import rinrcodec
from rinrcodec import Target
from rinrcodec.decoder import Decoder
from rinrcodec.errors import RinrInputError
from rinrcodec.families.av1.stream import RowDecoder
from rinrcodec.formats import pack_bytes
from rinrcodec.metrics import psnr
from rinrcodec.pack import Pack
from rinrcodec.picture import Picture


@pytest.fixture(scope="module")
def clip() -> Pack:
    return encode(sequence(8))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the frames that are decoded from now on."""
    numbers: list[int] = []
    read = RowDecoder.read

    def counted(self: RowDecoder) -> object:
        numbers.append(self.position)
        return read(self)

    monkeypatch.setattr(RowDecoder, "read", counted)
    return numbers


def rows_of(pack: Pack) -> list[tuple[int, int, float]]:
    return [(f.background.group, f.background.row, f.time) for f in pack.frames]


def mean_psnr(pictures: list[Picture], pack: Pack) -> float:
    return float(np.mean([psnr(p.pixels, decoded(pack, k)) for k, p in enumerate(pictures)]))


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("size", [(96, 64), (97, 65), (16, 9)])
def test_frames_that_follow_each_other_share_a_row(size: tuple[int, int], grey: bool) -> None:
    pictures = sequence(6, *size, grey=grey)
    pack, alone = encode(pictures), encode(pictures, gop=1)
    if size != (16, 9):  # where the headers decide, either may be smaller
        assert rows_of(pack) == [(0, 0, float(k)) for k in range(6)]
        assert pack.stacks[0].spec["chroma"] == "420"
        assert len(pack_bytes(pack)) < len(pack_bytes(alone))
    assert all(decoded(pack, k).shape == pictures[k].pixels.shape for k in range(6))
    assert mean_psnr(pictures, pack) >= mean_psnr(pictures, alone) - 1


def test_a_row_has_as_many_frames_as_gop_says() -> None:
    pack = encode(sequence(7), gop=3)
    assert [time for _, _, time in rows_of(pack)] == [0, 1, 2, 0, 1, 0, 1]
    assert len(set(rows_of(pack))) == 7


@pytest.mark.parametrize("gop", [0, 65, "4", 2.0])
def test_a_gop_out_of_range_is_refused(gop: object) -> None:
    with pytest.raises(RinrInputError, match=f"gop={gop!r}: expected 1 to 64"):
        encode(sequence(2), gop=gop)


def test_a_family_without_groups_refuses_a_gop() -> None:
    with pytest.raises(RinrInputError, match="'siren' have no groups of frames"):
        encode(sequence(1), gop=4, background="siren")


def test_frames_that_differ_are_coded_alone() -> None:
    rng = np.random.default_rng(1)
    pictures = [
        Picture(f"{k}", rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)) for k in range(3)
    ]
    pack = encode(pictures, target=Target(quality=40))
    assert {group.spec["chroma"] for group in pack.groups} == {"444"}
    assert [frame.time for frame in pack.frames] == [0, 0, 0]


@pytest.mark.parametrize("size", [(3, 9), (4, 4), (7, 40), (40, 7)])
def test_frames_too_small_for_a_sequence_are_coded_alone(size: tuple[int, int]) -> None:
    pack = encode(sequence(3, *size))
    assert {group.spec["chroma"] for group in pack.groups} == {"444"}


def test_sizes_and_modes_are_sequences_of_their_own() -> None:
    pictures = [*sequence(3), *sequence(3, 64, 64), *sequence(3, grey=True)]
    named = [Picture(f"{p.name}-{k}", p.pixels) for k, p in enumerate(pictures)]
    pack = encode(named)
    assert len(pack.frames) == 9
    for k, picture in enumerate(named):
        assert psnr(picture.pixels, decoded(pack, k)) > 25


def test_the_same_sequence_gives_the_same_bytes() -> None:
    pictures = sequence(6)
    assert pack_bytes(encode(pictures)) == pack_bytes(encode(pictures))


def test_the_psnr_of_a_sequence_is_reached() -> None:
    pictures = sequence(6)
    reached = mean_psnr(pictures, encode(pictures, target=Target(psnr=33)))
    assert 33 <= reached < 35


def test_reading_in_order_decodes_every_frame_once(
    clip: Pack, tmp_path: Path, reads: list[int]
) -> None:
    rinrcodec.save(clip, tmp_path / "clip.rinr")
    with rinrcodec.open(tmp_path / "clip.rinr") as file:
        for k in range(8):
            file.decode(k)
        assert reads == list(range(8))
        file.decode(7)
        file.decode(3)
        assert reads == list(range(8))


def test_an_open_file_pickles_after_it_has_decoded(clip: Pack, tmp_path: Path) -> None:
    rinrcodec.save(clip, tmp_path / "clip.rinr")
    with rinrcodec.open(tmp_path / "clip.rinr") as file:
        frame = file.decode(5)
        with pickle.loads(pickle.dumps(file)) as copy:
            assert torch.equal(copy.decode(5), frame)


def test_pillow_decodes_every_frame_once(clip: Pack, tmp_path: Path, reads: list[int]) -> None:
    rinrcodec.register_pillow()
    rinrcodec.save(clip, tmp_path / "clip.rinr")
    wanted = [decoded(clip, k) for k in range(8)]
    reads.clear()
    with Image.open(tmp_path / "clip.rinr") as image:
        for k in range(8):
            image.seek(k)
            assert np.array_equal(np.asarray(image), wanted[k])
    assert reads == list(range(8))


def test_a_batch_decodes_every_frame_once(clip: Pack, reads: list[int]) -> None:
    batch = rinrcodec.decode(clip, [5, 2, 5, 0])
    assert reads == list(range(6))
    for image, k in zip(batch, [5, 2, 5, 0], strict=True):
        assert torch.equal(image, rinrcodec.decode(clip, k))


def test_decoding_a_frame_decodes_none_after_it(clip: Pack, reads: list[int]) -> None:
    rinrcodec.decode(clip, 3)
    assert reads == [0, 1, 2, 3]


def test_frames_too_large_to_be_kept_are_decoded_again(
    clip: Pack, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rinrcodec.families.av1.decode._MOST_KEPT", 1)
    decoder = Decoder(clip)
    first = [decoder.decode(k) for k in (2, 2, 0)]
    assert reads == [0, 1, 2, 0]
    assert torch.equal(first[0], first[1])
    batch = decoder.decode([1, 0, 2, 1])
    assert torch.equal(batch[2], first[0])
    assert torch.equal(batch[0], batch[3])


def test_threads_may_share_an_open_file(clip: Pack, tmp_path: Path) -> None:
    rinrcodec.save(clip, tmp_path / "clip.rinr")
    wanted = rinrcodec.decode(clip, range(8))
    order = np.random.default_rng(0).integers(0, 8, 200).tolist()
    with rinrcodec.open(tmp_path / "clip.rinr") as file, ThreadPoolExecutor(8) as pool:
        for k, frame in zip(order, pool.map(file.decode, order), strict=True):
            assert torch.equal(frame, wanted[k])


def test_an_error_leaves_a_decoder_usable(clip: Pack) -> None:
    decoder = Decoder(clip)
    before = decoder.decode(1)
    with pytest.raises(RinrInputError):
        decoder.decode([2, 99])
    assert torch.equal(decoder.decode(1), before)


def test_a_tune_for_accuracy_changes_frames_alone_and_no_group(clip: Pack) -> None:
    for_psnr = encode(sequence(8), target=Target(tune="psnr"))
    assert streams(for_psnr) == streams(clip)
    # Frames without anything in common are coded alone, all of them with that tune.
    noise = np.random.default_rng(2).integers(0, 256, (4, 48, 64, 3), np.uint8)
    frames = [Picture(f"f{k}.png", pixels) for k, pixels in enumerate(noise)]
    alone = encode(frames, target=Target(tune="accuracy"))
    assert [time for _, _, time in rows_of(alone)] == [0, 0, 0, 0]
    single = encode(frames, target=Target(tune="accuracy"), gop=1)
    for_psnr = encode(frames, target=Target(tune="psnr"))
    assert streams(alone) != streams(for_psnr)
    for k in range(4):
        assert np.array_equal(decoded(alone, k), decoded(single, k))
