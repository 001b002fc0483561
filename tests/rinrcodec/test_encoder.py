"""Encode pictures, in memory: what is kept, what is refused, and that bytes repeat."""

from __future__ import annotations

import math
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.decoder import Decoder, decode
from rinrcodec.encoder import encode
from rinrcodec.encoding.fit import Encoding
from rinrcodec.errors import RinrError, RinrInputError
from rinrcodec.formats import pack_bytes
from rinrcodec.pack import ObjectMode, Pack, Rows
from rinrcodec.picture import Picture
from rinrcodec.presets import PRESETS, compared_backgrounds, default_background, get_preset
from rinrcodec.sources.images import load_picture
from rinrcodec.targets import Target

from .conftest import BOXES, QUICK, MakePicture


def mse(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(((a.astype(float) - b.astype(float)) ** 2).mean())


def as_array(image: torch.Tensor) -> NDArray[np.uint8]:
    return image.permute(1, 2, 0).numpy()


def test_frames_keep_names_sizes_modes_and_boxes(mixed: tuple[list[Picture], Pack]) -> None:
    pictures, pack = mixed
    for picture, frame in zip(pictures, pack.frames, strict=True):
        assert (frame.name, frame.boxes) == (picture.name, picture.boxes)
        assert (frame.height, frame.width) == picture.pixels.shape[:2]
        assert frame.mode == ("L" if picture.pixels.ndim == 2 else "RGB")
    assert pack.frames[1].objects[1:] == (None, None)
    assert pack.info == {
        "encoder": f"rinrcodec {rinrcodec.__version__}",
        "preset": "balanced, siren, 200 steps",
        "seed": "0",
    }


def test_kept_objects_lower_the_error_in_their_box(mixed: tuple[list[Picture], Pack]) -> None:
    pictures, pack = mixed
    kept = 0
    for index, (picture, frame) in enumerate(zip(pictures, pack.frames, strict=True)):
        for box, residual in zip(frame.boxes, frame.objects, strict=True):
            if residual is None:
                continue
            kept += 1
            alone = replace(frame, boxes=(box,), objects=(residual,))
            lone_pack = replace(pack, frames=(alone,))
            inside = box.region(frame.width, frame.height).slices
            pixels = picture.pixels if picture.pixels.ndim == 3 else picture.pixels[:, :, None]
            with_object = as_array(decode(lone_pack, 0))[inside]
            without = as_array(decode(pack, index, objects=False))[inside]
            assert mse(with_object, pixels[inside]) < mse(without, pixels[inside])
    assert kept >= 3


def test_labels_of_any_kind_go_through_a_file(make_picture: MakePicture) -> None:
    points = ((3.5, 4.0, 2.0), (0.0, 0.0, 0.0))
    box = Box(1, 2, 3, 8, 9, keypoints=points, track_id=5, attributes={"id": 17})
    pictures = [
        Picture("a", make_picture(24, 20), (box,), attributes={"license": 3}),
        Picture("b", make_picture(24, 20), (BOXES[0],), labelled=False),
    ]
    options = {"preset": get_preset("fast", steps=5, background="siren"), "device": "cpu"}
    pack = encode(pictures, classes=["car", "person"], task="pose", **options)  # type: ignore[arg-type]
    with rinrcodec.open(pack_bytes(pack)) as file:
        assert file.classes == {0: "car", 1: "person"}
        assert file.task == "pose"
        assert file.info["kpt_shape"] == "[2,3]"
        assert file.boxes(0) == (box,)
        assert (file.frame(0).labelled, file.frame(0).attributes) == (True, {"license": 3})
        assert (file.frame(1).labelled, file.frame(1).attributes) == (False, {})
    again = encode(pictures, reuse=pack, **options)  # type: ignore[arg-type]
    assert [frame.labelled for frame in again.frames] == [True, False]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"task": "classify"}, "expected one of detect, segment, pose, obb"),
        ({"classes": "car"}, "expected a list of names"),
        ({"classes": [1]}, "expected a list of names"),
        ({"classes": {-1: "a"}}, "expected ids"),
        ({"classes": {10**9: "a"}}, "expected ids"),
    ],
)
def test_wrong_classes_and_tasks_are_refused(
    make_picture: MakePicture, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RinrInputError, match=reason):
        encode([Picture("a", make_picture(24, 20))], preset="fast", steps=1, **options)


def test_same_seed_same_bytes(make_picture: MakePicture) -> None:
    picture = Picture("p", make_picture(24, 20), BOXES[:1])
    preset = get_preset("fast", steps=20, background="siren")
    first, again, other = (
        encode([picture], preset=preset, seed=seed, device="cpu") for seed in (1, 1, 2)
    )
    for a, b in zip(first.stacks, again.stacks, strict=True):
        assert np.array_equal(a.rows.codes, b.rows.codes)
        assert np.array_equal(a.rows.scales, b.rows.scales)
    assert first.frames == again.frames
    assert not np.array_equal(first.stacks[0].rows.codes, other.stacks[0].rows.codes)


def test_objects_are_fitted_on_the_backgrounds_of_another_pack(
    mixed: tuple[list[Picture], Pack],
) -> None:
    pictures, pack = mixed
    reports: list[float] = []
    again = encode(pictures, preset=QUICK, reuse=pack, device="cpu", on_progress=reports.append)
    assert pack_bytes(again) == pack_bytes(pack)
    assert len(reports) > 2
    assert reports == sorted(reports)
    # The objects are all there is to do; a box without a pixel in its picture counts nothing.
    assert reports[-2:] == [pytest.approx(1, abs=1e-6), 1.0]
    assert reports[0] < 0.9

    other = [replace(picture, boxes=picture.boxes[:1]) for picture in pictures]
    fewer = encode(other, preset=QUICK, reuse=pack, device="cpu")
    assert [frame.boxes for frame in fewer.frames] == [picture.boxes for picture in other]
    for i in range(len(pictures)):
        whole = decode(pack, i, objects=False)
        assert torch.equal(decode(fewer, i, objects=False), whole)


@pytest.mark.parametrize("mode", ["direct", "residual"])
def test_all_objects_are_kept_also_where_the_background_is_exact(mode: ObjectMode) -> None:
    picture = Picture("p", np.zeros((12, 16, 3), np.uint8), (Box(0, 2, 2, 5, 5),))
    flat = replace(QUICK.with_steps(2), object_mode=mode, min_gain=-math.inf)
    pack = encode([replace(picture, boxes=())], preset=flat, device="cpu")
    # Nothing but the last bias, which is blacker than black.
    rows = pack.stacks[0].rows
    codes, scales = np.zeros_like(rows.codes), np.ones_like(rows.scales)
    codes[:, -3:] = -2
    black = replace(pack, stacks=(replace(pack.stacks[0], rows=Rows(codes, scales)),))
    assert not torch.as_tensor(decode(black, 0)).any()
    kept = encode([picture], preset=flat, reuse=black, device="cpu")
    assert kept.frames[0].objects[0] is not None
    useful = encode([picture], preset=replace(flat, min_gain=0), reuse=black, device="cpu")
    assert useful.frames[0].objects == (None,)


def test_pixels_between_objects_are_not_kept(
    make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a sequence, the pixels between objects of all frames would be kept at once."""
    held = []
    make_tasks = Encoding._object_tasks

    def watch(self: Encoding, decoder: Decoder) -> Any:
        tasks = make_tasks(self, decoder)
        held.extend((t.background.base is None, t.background.nbytes) for t in tasks)
        return tasks

    monkeypatch.setattr(Encoding, "_object_tasks", watch)
    corners = (Box(0, 0, 0, 4, 4), Box(0, 36, 26, 4, 4))
    encode([Picture("p", make_picture(40, 30), corners)], preset=QUICK, device="cpu")
    assert held == [(True, 4 * 4 * 3 * 4)] * 2  # arrays of their own, no views


def test_backgrounds_of_other_pictures_are_refused(mixed: tuple[list[Picture], Pack]) -> None:
    pictures, pack = mixed
    renamed = [replace(pictures[0], name="z.png"), *pictures[1:]]
    grey = [replace(pictures[0], pixels=pictures[0].pixels[:, :, 0]), *pictures[1:]]
    for wrong in (pictures[:2], pictures[::-1], renamed, grey):
        with pytest.raises(RinrInputError, match="its 5 frames are not the"):
            encode(wrong, preset=QUICK, reuse=pack, device="cpu")


def test_a_pyramid_is_a_background_to_reuse_but_fits_no_objects(make_picture: MakePicture) -> None:
    picture = Picture("p", make_picture(40, 30), BOXES[:2])
    pyramid = get_preset("fast", steps=8, background="pyramid")
    bare = encode([picture], preset=pyramid, device="cpu")
    assert bare.frames[0].objects == (None, None)
    for pack in (bare, encode([picture], preset=QUICK.with_steps(2), device="cpu")):
        with pytest.raises(RinrInputError, match="its background keeps them sharp itself"):
            encode([picture], preset=pyramid, reuse=pack, device="cpu")
    kept = replace(QUICK.with_steps(2), min_gain=-math.inf)
    pack = encode([picture], preset=kept, reuse=bare, device="cpu")
    assert [group.spec.family for group in pack.groups] == ["pyramid", "siren"]
    assert pack.stacks[0].rows.coded == bare.stacks[0].rows.coded
    pack_bytes(pack)
    assert torch.equal(decode(pack, 0, objects=False), torch.as_tensor(decode(bare, 0)))
    assert not torch.equal(torch.as_tensor(decode(pack, 0)), torch.as_tensor(decode(bare, 0)))


def test_backgrounds_and_objects_of_one_spec_are_one_group(make_picture: MakePicture) -> None:
    picture = Picture("p", make_picture(40, 30), BOXES[:1])
    preset = get_preset("fast", background="av1", objects="av1")
    pack = encode([picture], preset=preset, target=Target(quality=0), device="cpu")
    (group,) = pack.groups
    (frame,) = pack.frames
    (kept,) = frame.objects
    assert kept is not None
    assert (group.n_rows, frame.background.row, kept.inr.row) == (2, 0, 1)
    bare = encode([replace(picture, boxes=())], preset=preset, target=Target(quality=0))
    assert pack.stacks[0].rows.coded[:1] == bare.stacks[0].rows.coded


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs a signal to a thread")
def test_ctrl_c_ends_the_fit_of_large_frames_at_once(make_picture: MakePicture) -> None:
    """Frames of two sizes on two threads, neither of which is fitted to its end."""
    threads = torch.get_num_threads()
    main = threading.main_thread().ident
    assert main == threading.get_ident()
    shares: list[float] = []

    def interrupt(share: float) -> None:
        shares.append(share)
        if len(shares) == 1:
            signal.pthread_kill(main, signal.SIGINT)

    pictures = [make_picture(8, 6), make_picture(6, 8)]
    preset = get_preset("fast", steps=1_000, background="pyramid")
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyboardInterrupt):
            encode(pictures, preset=preset, device="cpu", on_progress=interrupt)
    finally:
        torch.set_num_threads(threads)
    assert max(shares) < 0.5


def test_a_useless_object_inr_is_dropped(make_picture: MakePicture) -> None:
    preset = replace(QUICK, min_gain=200.0)
    pack = encode([Picture("p", make_picture(40, 30), BOXES[:2])], preset=preset, device="cpu")
    assert pack.frames[0].objects == (None,) * 2
    assert len(pack.stacks) == 1


def test_pictures_that_cannot_be_saved_are_refused_early(picture: NDArray[np.uint8]) -> None:
    with pytest.raises(RinrInputError, match="two pictures have the name 'a'"):
        encode([Picture("a", picture), Picture("a", picture)])
    with pytest.raises(RinrError, match=r"\.\."):
        encode([Picture("../a", picture)])
    with pytest.raises(RinrInputError, match="seed=-1"):
        encode([picture], seed=-1)
    with pytest.raises(RinrInputError, match="seed="):
        encode([picture], seed=2**31)


def test_arrays_pillow_images_and_boxes_are_taken(picture: NDArray[np.uint8]) -> None:
    image_module = pytest.importorskip("PIL.Image")
    reports: list[float] = []
    pack = encode(
        [picture, image_module.fromarray(picture)],
        boxes=[[BOXES[0]], []],
        preset=get_preset("fast", steps=10),
        device="cpu",
        on_progress=reports.append,
    )
    assert [frame.name for frame in pack.frames] == ["000000", "000001"]
    assert [frame.boxes for frame in pack.frames] == [(BOXES[0],), ()]
    assert reports == sorted(reports)
    assert reports[-1] == 1.0


def test_arrays_of_opencv_and_of_detectors_are_taken(picture: NDArray[np.uint8]) -> None:
    grey = picture[:, :, 1]
    options: dict[str, Any] = {"preset": "fast", "device": "cpu"}
    expected = encode([picture, grey], boxes=[[Box(1, 4, 5, 20, 10)], []], **options)
    images = [picture[:, :, ::-1], grey]
    corners = [np.array([[4, 5, 24, 15]], np.float32), np.zeros((0, 4), np.float32)]
    pack = encode(
        images,
        boxes=corners,
        class_ids=[["person"], []],
        box_format="xyxy",
        classes=["car", "person"],
        bgr=True,
        **options,
    )
    assert [frame.boxes for frame in pack.frames] == [frame.boxes for frame in expected.frames]
    assert pack.info["names"] == '["car","person"]'
    for index in range(2):
        assert torch.equal(decode(pack, index), decode(expected, index))
    with pytest.raises(RinrInputError, match="class_ids without boxes"):
        encode(images, class_ids=[[1], []])


def test_wrong_arguments_are_refused(picture: NDArray[np.uint8]) -> None:
    with pytest.raises(RinrInputError, match="no pictures"):
        encode([])
    with pytest.raises(RinrInputError, match="2 lists of boxes for 1 pictures"):
        encode([picture], boxes=[[], []])
    for images in ("a.jpg", picture, 3):
        with pytest.raises(RinrInputError, match=r"expected a list, got \w+; .* pass \[image\]"):
            encode(images)
    for wrong in (3, torch.zeros(3, 4, 4)):
        with pytest.raises(RinrInputError, match="cannot encode a"):
            encode([wrong])
    for boxes in ([BOXES[0]], [[BOXES[0], (0, 1, 2, 3, 4)]], BOXES[0], 5):
        with pytest.raises(RinrInputError, match=r"one list of rinrcodec\.Box"):
            encode([picture], boxes=boxes)
    with pytest.raises(RinrInputError, match="class_id"):
        Box("car", 1, 2, 3, 4)
    with pytest.raises(RinrInputError, match="unknown preset 'x'"):
        encode([picture], preset="x")
    with pytest.raises(RinrInputError, match="unknown preset 5"):
        get_preset(5)
    for steps in (0, 1.5, "10"):
        with pytest.raises(RinrInputError, match=f"steps={steps!r}: expected a whole number"):
            get_preset("fast", steps=steps)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_a_network_for_every_area(name: str) -> None:
    preset = get_preset(name, background="siren", objects="siren")
    for part in (preset.background, preset.objects):
        widths = [part.spec(area, 3)["width"] for area in (1, 1_000, 1_001, 10**9)]
        assert widths == sorted(widths)
        assert part.spec(5, 1)["out"] == 1


@pytest.mark.parametrize(
    ("name", "background"),
    [("fast", "av1"), ("balanced", "av1"), ("best", "av1"), ("paper", "siren")],
)
def test_the_default_background_is_av1_and_siren_for_the_paper(name: str, background: str) -> None:
    assert default_background(name) == background
    assert get_preset(name) == get_preset(name, background=background) == PRESETS[name]
    assert get_preset(name).name == f"{name}, {background}"
    assert get_preset(name, steps=7).name == f"{name}, {background}, 7 steps"


@pytest.mark.parametrize("background", ["av1", "pyramid"])
def test_the_preset_paper_refuses_other_families(background: str) -> None:
    with pytest.raises(
        RinrInputError, match=f"'paper' has no {background} background: expected one of"
    ):
        get_preset("paper", background=background)


def test_without_a_background_encode_takes_that_of_the_preset(picture: NDArray[np.uint8]) -> None:
    families = {
        name: encode([picture], preset=name, steps=1, device="cpu").groups[0].spec.family
        for name in ("fast", "paper")
    }
    assert families == {"fast": "av1", "paper": "siren"}


@pytest.mark.parametrize(
    ("name", "sequences", "names"),
    [
        ("fast", False, ["av1", "siren"]),
        ("best", True, ["av1", "siren", "nerv"]),
        ("paper", False, ["siren"]),
    ],
)
def test_the_default_is_compared_with_the_paper(
    name: str, sequences: bool, names: list[str]
) -> None:
    assert compared_backgrounds(name, sequences=sequences) == names
    for background in names:
        get_preset(name, background=background)


def test_large_pictures_are_encoded_and_decoded_on_several_threads(
    make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads are used from about 10 ms of work on; here, for any work."""
    picture = Picture("p", make_picture(90, 70), (Box(0, 0, 0, 90, 70), Box(0, 5, 5, 60, 50)))
    preset = get_preset("fast", steps=10, background="siren")
    preset = replace(preset, min_gain=-100.0)
    before = torch.get_num_threads()
    expected = encode([picture], preset=preset, device="cpu")
    pixels = decode(expected, 0)
    monkeypatch.setattr("rinrcodec.families.siren.evaluate._WORTH_THREADS", 0)
    monkeypatch.setitem(sys.modules["rinrcodec.families.siren.evaluate"]._TILE_PIXELS, "cpu", 1_024)
    try:
        torch.set_num_threads(2)
        pack = encode([picture], preset=preset, device="cpu")
        assert torch.equal(decode(pack, 0), pixels)
    finally:
        torch.set_num_threads(before)
    for one, other in zip(pack.stacks, expected.stacks, strict=True):
        assert np.array_equal(one.rows.codes, other.rows.codes)


def test_a_number_is_refused_as_target() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(RinrInputError, match=r"target=30: expected a rinrcodec\.Target"):
        rinrcodec.encode([pixels], background="pyramid", target=30)  # type: ignore[arg-type]


def test_losses_of_a_conversion_are_warnings(tmp_path: Path) -> None:
    thermal = Image.fromarray((np.arange(600).reshape(20, 30) + 7000).astype(np.uint16))
    path = tmp_path / "t.png"
    thermal.save(path)
    for image in (path, thermal, load_picture(path)):
        with pytest.warns(UserWarning, match=r"7000 to 7599 leave . of 256 greys"):
            rinrcodec.encode([image], preset="fast", steps=1, background="siren")
    mapped = load_picture(path, depth_range=(7000, 7599))
    rinrcodec.encode([mapped], preset="fast", steps=1, background="siren")


def test_boxes_far_outside_of_their_picture_are_refused(make_picture: MakePicture) -> None:
    picture = make_picture(30, 20)
    for box in (Box(0, 50, 4, 6, 6), Box(0, 4, -40, 6, 6), Box(0, -20, 0, 40, 9)):
        with pytest.raises(RinrInputError, match=r"picture 1, row 1: a box of .* far outs"):
            encode([picture, picture], boxes=[[], [Box(0, 1, 1, 3, 3), box]], preset="fast")
    partly = Box(0, -3, 15, 12, 9)
    pack = encode([picture], boxes=[[partly]], preset="fast", device="cpu")
    assert pack.frames[0].boxes == (partly,)
    assert repr(pack) == "<Pack of 1 frame, 1 box: av1>"
    assert "1 box, " in repr(pack.frames[0])


@pytest.mark.filterwarnings("ignore::rinrcodec.TargetWarning")
@pytest.mark.parametrize(
    ("target", "text"),
    [
        (Target(quality=30, objects_psnr=36.5), "objects_psnr=36.5, quality=30"),
        (Target(n_bytes=900), "n_bytes=900"),
        (Target(psnr=20.0, tune="accuracy"), "psnr=20, tune=accuracy"),
        (Target(tune="psnr"), "tune=psnr"),
        *[(Target(tune="accuracy"), None), (Target(psnr=20, tune="psnr"), "psnr=20"), (None, None)],
    ],
)
def test_a_pack_says_what_was_asked_for(target: Target | None, text: str | None) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 24, 3), np.uint8)
    pack = encode([pixels], boxes=[[Box(0, 2, 2, 9, 9)]], preset="fast", target=target)
    assert pack.info.get("target") == text
