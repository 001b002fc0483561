"""Transforms of torchvision move boxes with their pixels, however they are passed."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError
from rinrcodec.pack import Pack, select_frames
from rinrcodec.plugins import _torch_transforms
from rinrcodec.plugins.torch_data import RinrDataset, collate
from rinrcodec.plugins.torch_loader import RinrLoader

v1 = pytest.importorskip("torchvision.transforms")
v2 = pytest.importorskip("torchvision.transforms.v2")
tv = pytest.importorskip("torchvision.tv_tensors")

# Python 3.12 and newer warn of every fork of a process with threads, such as a test runner's.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
WIDTH, HEIGHT = 48, 32
KEYPOINTS = hasattr(tv, "KeyPoints")
needs_keypoints = pytest.mark.skipif(not KEYPOINTS, reason="torchvision is older than 0.23")
BOXES = [
    Box(0, 2, 3, 10, 12, track_id=5),
    Box(1, 30, 20, 30, 20, crowd=True),
    Box(2, 20, 1, 4, 2, attributes={"area": 4}),
]
FLIPPED = [[36, 3, 46, 15], [-12, 20, 18, 40], [24, 1, 28, 3]]


def flip_with_target(image: Any, target: Any) -> Any:
    return v2.RandomHorizontalFlip(p=1.0)(image, target)


class Augment:
    def __init__(self) -> None:
        self.inner = v2.Compose([v2.RandomHorizontalFlip(p=1.0)])

    def __call__(self, image: Any, target: Any) -> Any:
        return self.inner(image, target)

    def method(self, image: Any, target: Any) -> Any:
        return self.inner(image, target)


class Module(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = v2.RandomHorizontalFlip(p=1.0)

    def forward(self, image: Any, target: Any) -> Any:
        return self.inner(image, target)


FLIPS: dict[str, Callable[[], Any]] = {
    "alone": lambda: v2.RandomHorizontalFlip(p=1.0),
    "compose": lambda: v2.Compose([v2.RandomHorizontalFlip(p=1.0)]),
    "nested": lambda: v2.Compose([v2.RandomApply([v2.RandomHorizontalFlip(p=1.0)], p=1.0)]),
    "chosen": lambda: v2.RandomChoice([v2.RandomHorizontalFlip(p=1.0)]),
    "chain": lambda: nn.Sequential(nn.Sequential(v2.RandomHorizontalFlip(p=1.0))),
    "function": lambda: flip_with_target,
    "lambda": lambda: lambda image, target: flip_with_target(image, target),
    "partial": lambda: functools.partial(flip_with_target),
    "object": Augment,
    "method": lambda: Augment().method,
    "call": lambda: v2.RandomHorizontalFlip(p=1.0).forward,
    "module": Module,
}


@pytest.fixture
def write(pack: Pack, tmp_path: Path) -> Callable[..., Path]:
    def write(boxes: list[Box] = BOXES, **info: str) -> Path:
        made = select_frames(pack, [0, 4])
        first, second = made.frames
        frames = (
            replace(first, boxes=tuple(boxes), objects=(None,) * len(boxes)),
            replace(second, boxes=(), objects=()),
        )
        rinrcodec.save(replace(made, frames=frames, info=info), tmp_path / "a.rinr")
        return tmp_path / "a.rinr"

    return write


def both(path: Path, transforms: Any, **options: Any) -> tuple[Any, Any]:
    """The first item, which the loader gives, too."""
    dataset = RinrDataset(path, transforms=transforms, **options)
    image, target = dataset[0]
    images, targets = next(iter(RinrLoader(dataset, batch_size=2, device="cpu")))
    assert torch.equal(images[0], image)
    assert targets[0].keys() == target.keys()
    for name, value in target.items():
        other = targets[0][name]
        assert type(other) is type(value)
        same = torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other
        assert same, name
    return image, target


@pytest.mark.parametrize("target", ["plain", "tv"])
@pytest.mark.parametrize("name", FLIPS)
def test_boxes_are_flipped_with_the_image(write: Any, name: str, target: Any) -> None:
    path = write()
    before, _ = RinrDataset(path)[0]
    image, made = both(path, FLIPS[name](), target=target)
    assert torch.equal(image, before.flip(-1))
    assert made["boxes"].tolist() == FLIPPED
    expected = (tv.Image, tv.BoundingBoxes) if target == "tv" else (torch.Tensor, torch.Tensor)
    assert (type(image), type(made["boxes"])) == expected
    assert type(made["labels"]) is torch.Tensor
    assert made["area"].tolist() == [120, 600, 4]


@pytest.mark.parametrize("name", ["alone", "compose", "chain", "module"])
@needs_keypoints
def test_keypoints_corners_and_masks_move_too(write: Any, name: str) -> None:
    boxes = [Box(0, 2, 3, 10, 12, keypoints=((4, 5, 2), (0, 0, 0)))]
    _, made = both(write(boxes, task="pose", kpt_shape="[2,3]"), FLIPS[name](), masks=True)
    assert type(made["keypoints"]) is torch.Tensor
    # torchvision counts keypoints from the centres of pixels.
    assert made["keypoints"].tolist() == [[[WIDTH - 1 - 4, 5, 2], [0, 0, 0]]]
    assert "visibility" not in made
    assert made["masks"][0, :, 36:46].sum() == made["masks"].sum() == 120
    diamond = (20.0, 4.0, 28.0, 12.0, 20.0, 20.0, 12.0, 12.0)
    boxes = [Box(0, 12, 4, 16, 16, polygons=(diamond,))]
    _, made = both(write(boxes, task="obb"), FLIPS[name]())
    corners = made["corners"].reshape(4, 2)
    expected = {(WIDTH - x, y) for x, y in torch.tensor(diamond).reshape(4, 2).tolist()}
    assert {tuple(corner) for corner in corners.tolist()} == expected


def test_boxes_that_are_dropped_take_all_their_entries_along(write: Any) -> None:
    boxes = [replace(box, keypoints=((box.x, box.y, 2),)) for box in BOXES] if KEYPOINTS else BOXES
    chain = v2.Compose(
        [
            v2.Resize((2 * HEIGHT, 2 * WIDTH)),
            v2.ClampBoundingBoxes(),
            v2.SanitizeBoundingBoxes(min_size=9),
        ]
    )
    image, made = both(write(boxes), chain, masks=True)
    assert image.shape == (3, 64, 96)
    assert made["boxes"].tolist() == [[4, 6, 24, 30], [60, 40, 96, 64]]
    assert made["labels"].tolist() == [0, 1]
    assert made["track_id"].tolist() == [5, -1]
    assert made["iscrowd"].tolist() == [0, 1]
    # What was given as 600 is four times as large, of which 36 x 24 are in the image.
    assert made["area"].tolist() == [480, 36 * 24]
    assert made["masks"].shape == (2, 64, 96)
    assert not KEYPOINTS or made["keypoints"].shape == (2, 1, 3)


def test_the_area_of_a_label_follows_its_box(write: Any) -> None:
    _, made = both(write(), v2.Resize((HEIGHT, 2 * WIDTH)))
    assert made["area"].tolist() == [240, 1200, 8]
    # Boxes that a crop leaves without area have none.
    _, made = both(write(), v2.Compose([FixedCrop(), v2.ClampBoundingBoxes()]))
    assert made["area"].tolist() == [120, 0, 0]


class FixedCrop(v2.Transform):  # type: ignore[misc]
    def transform(self, inpt: Any, params: Any) -> Any:  # noqa: ARG002
        return v2.functional.crop(inpt, 0, 0, 16, 16)


def test_degenerate_boxes_go_after_the_transforms(write: Any) -> None:
    _, made = both(write(), FixedCrop(), drop_degenerate=True)
    assert made["boxes"].tolist() == [[2, 3, 12, 15]]
    assert made["track_id"].tolist() == [5]
    chain = v2.Compose([FixedCrop(), v2.ConvertBoundingBoxFormat("CXCYWH")])
    _, made = both(write(), chain, drop_degenerate=True)
    assert made["boxes"].tolist() == [[7, 9, 10, 12]]


def test_functions_may_select_rows(write: Any) -> None:
    def keep_first(image: Any, target: Any) -> Any:
        keep = target["labels"] < 1
        return image, {**target, "boxes": target["boxes"][keep], "labels": target["labels"][keep]}

    _, made = both(write(), keep_first)
    assert made["boxes"].tolist() == [[2, 3, 12, 15]]
    assert made["track_id"].tolist() == [5]
    assert made["area"].tolist() == [120]

    def lookup(image: Any, target: Any) -> Any:
        target["labels"] = torch.tensor([7, 8, 9])[target["labels"]]
        return v2.SanitizeBoundingBoxes(min_size=9)(*flip_with_target(image, target))

    _, made = both(write(), lookup)
    assert made["labels"].tolist() == [7]
    assert made["iscrowd"].tolist() == [0]


def test_rows_that_do_not_agree_are_an_error(write: Any) -> None:
    sanitize = v2.SanitizeBoundingBoxes(min_size=9, labels_getter=None)
    message = r"transforms returned 1 boxes, but 'labels' has 3 rows\. Select the same rows"
    with pytest.raises(RinrInputError, match=message):
        RinrDataset(write(), transforms=sanitize)[0]


def test_a_getter_of_all_entries_works(write: Any) -> None:
    sanitize = v2.SanitizeBoundingBoxes(
        min_size=9, labels_getter=lambda item: (item[1]["labels"], item[1]["area"])
    )
    _, made = both(write(), v2.Compose([v2.ClampBoundingBoxes(), sanitize]))
    assert made["area"].tolist() == [120, 18 * 12]
    assert made["track_id"].tolist() == [5, -1]


@pytest.mark.parametrize(
    "transforms",
    [
        v1.RandomHorizontalFlip(1.0),
        v1.Compose([v1.RandomHorizontalFlip(1.0)]),
        v2.Compose([v1.RandomHorizontalFlip(1.0)]),
        nn.Sequential(v1.RandomHorizontalFlip(1.0)),
    ],
    ids=lambda transforms: type(transforms).__name__,
)
def test_transforms_of_v1_are_refused(write: Any, transforms: Any) -> None:
    with pytest.raises(RinrInputError, match=r"\(v1\), .* use torchvision\.transforms\.v2\."):
        RinrDataset(write(), transforms=transforms)


def test_classes_with_parts_of_v1_are_taken(write: Any) -> None:
    """As those of torchvision's reference scripts, which pass targets on."""

    class Flip(v1.RandomHorizontalFlip):  # type: ignore[misc]
        def forward(self, image: Any, target: Any) -> Any:
            target["boxes"][:, [0, 2]] = WIDTH - target["boxes"][:, [2, 0]]
            return super().forward(image), target

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.jitter = v1.ColorJitter(0.1)

        def forward(self, image: Any, target: Any) -> Any:
            return self.jitter(image), target

    _, made = both(write(), Flip(1.0))
    assert made["boxes"].tolist() == FLIPPED
    assert len(RinrDataset(write(), transforms=Both())[0][1]["boxes"]) == 3


def test_colours_alone_leave_boxes_alone(write: Any) -> None:
    image, made = both(write(), lambda image, target: (v2.functional.invert(image), target))
    before, expected = RinrDataset(write())[0]
    assert torch.equal(image, 255 - before)
    assert torch.equal(made["boxes"], expected["boxes"])


def test_an_image_that_is_resized_without_its_boxes_is_an_error(write: Any) -> None:
    def wrong(image: Any, target: Any) -> Any:
        return v2.functional.resize(image, [16, 24]), target

    with pytest.raises(
        RinrInputError, match=r"image 24 x 16, .*in one of 48 x 32\. Pass image and"
    ):
        RinrDataset(write(), transforms=wrong)[0]
    assert RinrDataset(write(), transforms=wrong)[1][0].shape == (3, 16, 24)  # it has no boxes


def test_points_that_a_function_leaves_behind_are_an_error(write: Any) -> None:
    path = write([replace(BOXES[0], keypoints=((4, 5, 2),))])
    with pytest.raises(RinrInputError, match="moved the boxes and left 'keypoints' as they were"):
        RinrDataset(path, transforms=flip_with_target)[0]

    def move_all(image: Any, target: Any) -> Any:
        image, target = flip_with_target(image, target)
        target["keypoints"][..., 0] = WIDTH - target["keypoints"][..., 0]
        return image, target

    assert RinrDataset(path, transforms=move_all)[0][1]["keypoints"].tolist() == [[[44, 5, 2]]]


def test_old_releases_say_that_they_cannot_move_keypoints(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write([replace(BOXES[0], keypoints=((4, 5, 2),))])
    monkeypatch.delattr(tv, "KeyPoints", raising=False)
    assert _torch_transforms.tv_tensors() is tv
    with pytest.raises(RinrInputError, match=r"keypoints cannot be moved .* 'torchvision>=0\.23'"):
        RinrDataset(path, transforms=v2.RandomHorizontalFlip())[0]
    assert type(RinrDataset(path, target="tv")[0][1]["keypoints"]) is torch.Tensor


@pytest.mark.parametrize("target", ["plain", "tv"])
def test_random_crops_of_training_pipelines(write: Any, target: Any) -> None:
    chain = v2.Compose(
        [
            v2.RandomPhotometricDistort(),
            v2.RandomZoomOut(),
            v2.RandomIoUCrop(),
            v2.RandomHorizontalFlip(),
            v2.SanitizeBoundingBoxes(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    dataset = RinrDataset(write(), transforms=chain, target=target, masks=True)
    torch.manual_seed(0)
    for _ in range(10):
        image, made = dataset[0]
        assert image.dtype == torch.float32
        rows = {len(made[name]) for name in ("boxes", "labels", "area", "iscrowd", "masks")}
        assert len(rows) == 1
        assert made["masks"].shape[1:] == image.shape[1:]
        again = pickle.loads(pickle.dumps(made))
        assert torch.equal(again["boxes"], made["boxes"])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("target", ["plain", "tv"])
def test_workers_of_a_data_loader_give_the_same(write: Any, method: str, target: Any) -> None:
    flip = v2.RandomHorizontalFlip(p=1.0)
    dataset = RinrDataset(write(), transforms=flip, target=target)
    loader = DataLoader(
        dataset, batch_size=2, num_workers=1, collate_fn=collate, multiprocessing_context=method
    )
    ((images, targets),) = list(loader)
    assert type(images[0]) is (tv.Image if target == "tv" else torch.Tensor)
    assert targets[0]["boxes"].tolist() == FLIPPED
    assert targets[1]["boxes"].shape == (0, 4)
    if target == "tv":
        assert targets[0]["boxes"].canvas_size == (HEIGHT, WIDTH)


def halved(image: Any, target: Any) -> Any:
    return nn.functional.interpolate(image[None].float(), size=(16, 24))[0], target


@pytest.mark.parametrize("target", ["plain", "tv"])
def test_a_function_that_leaves_boxes_outside_of_its_image_is_refused(
    target: Any, tmp_path: Path
) -> None:
    rinrcodec.save(
        rinrcodec.encode(
            [torch.zeros(HEIGHT, WIDTH, dtype=torch.uint8).numpy()],
            boxes=[[Box(0, 2, 3, 10, 12), Box(0, 40, 20, 8, 12)]],
            preset="fast",
            background="siren",
            steps=1,
        ),
        tmp_path / "a.rinr",
    )

    def dataset(transforms: Any) -> RinrDataset:
        return RinrDataset(tmp_path / "a.rinr", target=target, transforms=transforms)

    with pytest.raises(
        RinrInputError, match=r"made the image 24 x 16, and left its boxes in .* 48"
    ):
        dataset(halved)[0]
    # Room at the right and at the bottom moves no box; nor does another layout or type.
    padded = dataset(lambda image, target: (nn.functional.pad(image, (0, 9, 0, 9)), target))
    assert padded[0][0].shape == (3, HEIGHT + 9, WIDTH + 9)
    last = dataset(lambda image, target: (image.permute(1, 2, 0), target))
    assert last[0][0].shape == (HEIGHT, WIDTH, 3)
    scaled = dataset(lambda i, t: (halved(i, t)[0], {**t, "boxes": t["boxes"] * 0.5}))
    assert scaled[0][1]["boxes"][1].tolist() == [20, 10, 24, 16]
