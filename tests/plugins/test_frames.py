"""What the plugins take of a pack: the frames with those that are damaged, and parts of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import rinrcodec
from rinrcodec.errors import RinrError
from rinrcodec.formats.schema import Kind
from rinrcodec.pack import Frame, Pack, merge_packs, select_frames
from rinrcodec.plugins._frames import decode_rgb, scan


@pytest.fixture
def file(pyramid_pack: Pack, tmp_path: Path) -> Path:
    path = tmp_path / "mixed.rinr"
    rinrcodec.save(pyramid_pack, path)
    return path


@pytest.mark.slow
def test_selected_and_merged_frames_are_the_same(pyramid_pack: Pack, file: Path) -> None:
    with rinrcodec.open(file) as source:
        parts = [select_frames(source, [4, 1]), select_frames(source, [0, 3]), pyramid_pack]
    merged = merge_packs(parts)
    # Grey and colour, however many packs there were; frames of one size may share a row.
    assert len(merged.groups) == 2
    rows = [len({frame.background for frame in part.frames}) for part in parts]
    assert sum(group.n_rows for group in merged.groups) == sum(rows)
    order = [4, 1, 0, 3, *range(5)]
    for number, index in enumerate(order):
        before, after = pyramid_pack.frames[index], merged.frames[number]
        assert after.name == before.name
        old = pyramid_pack.stacks[before.background.group].rows.coded[before.background.row]
        new = merged.stacks[after.background.group].rows.coded[after.background.row]
        assert new == old
        decoded = rinrcodec.decode(merged, number)
        assert torch.equal(
            torch.as_tensor(decoded), torch.as_tensor(rinrcodec.decode(pyramid_pack, index))
        )


def test_frames_for_yolo(file: Path, pyramid_pack: Pack) -> None:
    scanned = list(scan(file))
    assert [ref.path for ref, _ in scanned] == [str(file / f.name) for f in pyramid_pack.frames]
    for ref, frame in scanned:
        assert isinstance(frame, Frame)
        wanted = torch.as_tensor(rinrcodec.decode(pyramid_pack, ref.index)).permute(1, 2, 0).numpy()
        assert np.array_equal(decode_rgb(ref), wanted)


def test_a_frame_beside_damage_is_still_given(file: Path) -> None:
    """YOLO's scan says of every frame whether it can be used."""
    with rinrcodec.open(file) as source:
        directory = source.reader._directory
        run = directory.run(Kind.ROWS, 1)
        start, length = int(directory.offsets[run.first]), directory.record(run.first).stored
    data = bytearray(file.read_bytes())
    data[start + length - 1] ^= 1
    file.write_bytes(data)
    broken = [isinstance(frame, RinrError) for _, frame in scan(file)]
    assert broken == [False, True, False, True, False]  # the grey ones
