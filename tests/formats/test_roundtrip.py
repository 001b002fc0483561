"""What goes into a pack comes out of its file, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_packs import PACKS, many_frames, same_content

from rinrcodec.boxes import Box
from rinrcodec.formats import PackReader, pack_bytes, schema
from rinrcodec.pack import Frame, Group, InrRef, Metadata, ObjectInr, Pack, Rows, Spec, code_dtype

U32 = st.integers(0, 2**32 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0/\\:")
NAMES = st.text(CHARACTERS, min_size=1).filter(lambda name: name != "..")
SPECS = st.builds(
    lambda family, config: Spec(family, tuple(sorted(config.items()))),
    st.text(max_size=8),
    st.dictionaries(
        st.text(max_size=8).filter(lambda key: key != "family"),
        st.integers(-(2**62), 2**62) | st.floats(-1e18, 1e18) | st.text(max_size=8),
        max_size=4,
    ),
)


@st.composite
def groups(draw: st.DrawFn) -> Group:
    bits = draw(st.integers(2, 16))
    n, params, scales = draw(st.integers(1, 5)), draw(st.integers(0, 40)), draw(st.integers(0, 4))
    coded = draw(st.just(()) | st.tuples(*[st.binary(max_size=30)] * n))
    scales = scales if params or coded else max(1, scales)
    rng = np.random.default_rng(draw(U32))
    codes = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (n, params)).astype(code_dtype(bits))
    halves = rng.integers(0, 2**16, (n, scales), np.uint32)
    floats = (halves << 16).view(np.float32)
    floats[~np.isfinite(floats)] = 0
    return Group(draw(SPECS), bits, Rows(codes, floats, coded), draw(st.binary(max_size=30)))


@st.composite
def frames(draw: st.DrawFn, name: str, stacks: list[Group]) -> Frame:
    def ref() -> InrRef:
        group = draw(st.integers(0, len(stacks) - 1))
        return InrRef(group, draw(st.integers(0, len(stacks[group].rows.codes) - 1)))

    width, height = draw(st.integers(1, 8192)), draw(st.integers(1, 8192))
    boxes, objects = [], []
    sizes = st.floats(0, allow_infinity=False)
    places = st.floats(allow_nan=False, allow_infinity=False)
    for _ in range(draw(st.integers(0, 4))):
        box = Box(draw(U32), draw(places), draw(places), draw(sizes), draw(sizes))
        if draw(st.booleans()):
            box = Box(
                box.class_id, draw(st.floats(0, width - 1)), draw(st.floats(0, height - 1)), 2, 1
            )
        boxes.append(box)
        inr = ObjectInr(ref(), draw(st.sampled_from(["residual", "direct"])), draw(FLOAT32))
        covers = box.region(width, height).area > 0
        objects.append(inr if covers and draw(st.booleans()) else None)
    return Frame(
        name=name,
        width=width,
        height=height,
        background=ref(),
        mode=draw(st.sampled_from(["L", "RGB"])),
        boxes=tuple(boxes),
        objects=tuple(objects),
        time=draw(places),
        source_size=(draw(U32), draw(U32)),
        source_bytes=draw(st.integers(0, 2**63 - 1)),
        metadata=Metadata(*draw(st.tuples(*[st.binary(max_size=20)] * 3))),
    )


@st.composite
def packs(draw: st.DrawFn) -> Pack:
    stacks = draw(st.lists(groups(), min_size=1, max_size=3))
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    info = draw(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), NAMES))
    return Pack(tuple(draw(frames(name, stacks)) for name in names), tuple(stacks), info)


@settings(max_examples=60, deadline=None)
@given(packs())
def test_any_pack(pack: Pack) -> None:
    data = pack_bytes(pack)
    file = PackReader(data)
    file.verify()
    assert same_content(file, pack)
    assert file.info == pack.info
    assert file.names() == tuple(frame.name for frame in pack.frames)
    assert sum((file.sizes().payload, file.sizes().boxes, file.sizes().metadata)) < len(data)
    assert pack_bytes(file) == data


@pytest.mark.parametrize("n", [1, 255, 256, 257, 1000])
def test_rows_on_both_sides_of_chunk_borders(n: int) -> None:
    pack = many_frames(n, boxes=5)
    file = PackReader(pack_bytes(pack))
    file.verify()
    assert same_content(file, pack)


def test_rows_come_in_the_order_asked_for_and_may_repeat() -> None:
    pack = many_frames(900, boxes=3)
    file = PackReader(pack_bytes(pack))
    wanted = [899, 0, 0, 450, 17, 898, 450]
    rows, expected = file.read_rows(0, wanted), pack.read_rows(0, wanted)
    assert np.array_equal(rows.codes, expected.codes)
    assert np.array_equal(rows.scales, expected.scales)
    assert file.read_rows(0, []).codes.shape == (0, 60)


def test_rows_read_are_the_callers_own() -> None:
    file = PackReader(pack_bytes(many_frames()))
    file.read_rows(0, [3]).codes[:] = 0
    assert np.array_equal(file.read_rows(0, [3]).codes, many_frames().read_rows(0, [3]).codes)


def test_rows_of_coded_groups() -> None:
    pack = PACKS["features"]()
    file = PackReader(pack_bytes(pack))
    assert file.read_rows(1, [5, 2, 5]).coded == pack.read_rows(1, [5, 2, 5]).coded


def test_large_rows_and_blocks_get_chunks_of_their_own() -> None:
    codes = np.arange(3 * 100_000, dtype=np.int64).astype(np.int16).reshape(3, -1)
    scales = np.ones((3, 1), np.float32)
    stacks = (Group(Spec.of("siren"), 16, Rows(codes, scales)),)
    blocks = [bytes([i]) * 100_000 for i in range(3)]
    pack = Pack(
        tuple(
            Frame(f"{i}", 8, 8, InrRef(0, i), metadata=Metadata(exif=blocks[i])) for i in range(3)
        ),
        stacks,
    )
    file = PackReader(pack_bytes(pack))
    assert file.header.n_chunks == 1 + 3 + 3
    assert same_content(file, pack)


@pytest.mark.parametrize("index", [-1, -12, 0, 11])
def test_frame_numbers_count_from_both_ends(index: int) -> None:
    assert PackReader(pack_bytes(many_frames())).frame(index) == many_frames().frames[index]


@pytest.mark.parametrize("index", [12, -13, 10**12])
def test_no_such_frame(index: int) -> None:
    with pytest.raises(IndexError, match=f"<bytes>: there is no frame {index}, frames are 0 to 11"):
        PackReader(pack_bytes(many_frames())).frame(index)


@pytest.mark.parametrize("group", [-1, 2])
def test_no_such_group(group: int) -> None:
    with pytest.raises(IndexError, match=f"<bytes>: there is no group {group}, groups are 0 to 1"):
        PackReader(pack_bytes(many_frames())).read_rows(group, [0])


@pytest.mark.parametrize("rows", [[12], [-1], [0, 99]])
def test_no_such_row(rows: list[int]) -> None:
    with pytest.raises(IndexError, match="which has 12"):
        PackReader(pack_bytes(many_frames())).read_rows(0, rows)


def test_equal_metadata_is_stored_once() -> None:
    block = bytes(range(256)) * 200
    frames = many_frames(50).frames
    pack = Pack(
        tuple(
            Frame(f.name, 8, 8, f.background, metadata=Metadata(icc=block, xmp=block))
            for f in frames
        ),
        many_frames(50).stacks,
    )
    assert PackReader(pack_bytes(pack)).sizes().metadata < len(block)


def test_bfloat16_is_exact_or_refused() -> None:
    exact = np.array([0.0, -0.0, 1.5, 3.0e38, 1e-40], np.float32)
    exact = (exact.view(np.uint32) & 0xFFFF0000).view(np.float32)
    assert schema.to_float32(schema.to_bfloat16(exact)).tobytes() == exact.tobytes()
    with pytest.raises(ValueError, match="not exact in bfloat16"):
        schema.to_bfloat16(np.array([0.1], np.float32))
