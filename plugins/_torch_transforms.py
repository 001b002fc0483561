"""Transforms of torchvision, by which boxes move with their pixels or an error is raised.

`transforms.v2` moves what has a type of `torchvision.tv_tensors`, and passes other tensors through.
So items get these types before a transform is called, and plain targets lose them afterwards:

    image [3, H, W]        Image                                    image
    boxes [n, 4]           BoundingBoxes                            boxes
    keypoints [n, k, 3]    KeyPoints [n, k, 2], visibility [n, k]   keypoints
    corners [n, 8]         BoundingBoxes, rotated                   corners
    masks [n, H, W]        Mask                                     masks

`RinrDataset` and `RinrLoader` call `finish_item`. torchvision is imported for `target="tv"` alone;
where nothing has imported it, no transform can be one of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rinrcodec.errors import MissingExtraError, RinrInputError
from rinrcodec.plugins._torch_targets import PER_BOX, Annotations, TargetOptions

__all__ = ["check_transforms", "finish_item", "tv_tensors"]

_POINTS = ("keypoints", "corners")  # which only newer releases move


def tv_tensors() -> Any:
    """Import `torchvision.tv_tensors`; raise `MissingExtraError` if it is missing."""
    try:
        from torchvision import tv_tensors as module
    except ImportError as error:
        raise MissingExtraError("torchvision", "torchvision") from error
    return module


def check_transforms(transforms: Any) -> None:
    """Raise `RinrInputError` for transforms that cannot take an image and its target."""
    if transforms is None:
        return
    for part, direct in _parts(transforms):
        # Classes that inherit from one may take a target, as in torchvision's reference scripts.
        if direct and _version(type(part)) == 1:
            name = type(part).__name__
            raise RinrInputError(
                f"transforms has {name} of torchvision.transforms (v1), which changes the image "
                f"and leaves its boxes as they are: use torchvision.transforms.v2.{name}"
            )
    if not callable(transforms):
        raise RinrInputError(f"transforms={transforms!r}: expected a callable (image, target)")


def finish_item(
    image: Tensor,
    target: Annotations,
    transforms: Callable[..., Any] | None,
    options: TargetOptions,
) -> Any:
    """Call transforms with an image and its target, and give both the types that were asked for.

    Args:
        image: uint8 [3, H, W].
        target: The plain target of `target_of`, on the device of the image.
        transforms: Those of the data set.
        options: Those of the data set.

    Returns:
        What the transforms return, or the image and target.

    Raises:
        RinrInputError: The transforms left behind some of the labels.
    """
    if transforms is None:
        if options.tv:
            image, target = _to_tv(image, target, points=True)
        return image, _without_degenerate(image, target) if options.drop_degenerate else target
    knows_tv = any(2 in map(_version, type(part).__mro__) for part, _ in _parts(transforms))
    if options.tv or knows_tv:
        if knows_tv:
            _check_points(target)
        image, target = _to_tv(image, target, points=True)
    elif "torchvision.tv_tensors" in sys.modules:
        # A function may call torchvision's, whose boxes have to move, too.
        image, target = _to_tv(image, target, points=False)
    shape = (image.shape[-2], image.shape[-1])
    # Transforms may change tensors in place.
    given = {
        name: value.clone() if isinstance(value, Tensor) and name != "masks" else value
        for name, value in target.items()
    }
    number = torch.arange(len(target["labels"]), device=target["labels"].device)
    target["labels"] = _Numbered.of(target["labels"], number)
    result = transforms((image, target)) if _is_chain(transforms) else transforms(image, target)
    match result:
        case (image, dict(target)):
            _check_size(image, given, target, shape)
            target = _settled(given, target)
            if options.drop_degenerate:
                target = _without_degenerate(image, target)
            return (image, target) if options.tv else _to_plain(image, target)
    return result


def _is_chain(transforms: Any) -> bool:
    """Return whether a transform takes an image and its target as one value."""
    return isinstance(transforms, nn.Sequential)


def _parts(transforms: Any) -> Iterator[tuple[Any, bool]]:
    """Yield a transform and those inside it, as far as can be seen from outside.

    With each: whether it is called with the image and its target, not as the code of another wants.
    """
    waiting, seen = [(transforms, True)], set()
    while waiting:
        part, direct = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part, direct
        direct = direct and (isinstance(part, nn.Sequential) or _version(type(part)) > 0)
        if isinstance(part, nn.Module):
            waiting += [(child, direct) for child in part.children()]
        inside = getattr(part, "transforms", ())
        if isinstance(inside, (list, tuple)):
            waiting += [(child, direct) for child in inside]
        # Of `functools.partial` and of methods.
        for name in ("func", "__self__"):
            if hasattr(part, name):
                waiting.append((getattr(part, name), False))


def _version(kind: type) -> int:
    """Return the version of torchvision's transforms that a class is from; 0 for none."""
    module = kind.__module__
    if not module.startswith("torchvision.transforms."):
        return 0
    return 2 if module.startswith("torchvision.transforms.v2") else 1


def _check_points(target: Annotations) -> None:
    """Raise `RinrInputError` for labels that this torchvision cannot move."""
    found = [name for name in _POINTS if name in target]
    if found and not hasattr(tv_tensors(), "KeyPoints"):
        import torchvision

        raise RinrInputError(
            f"{target['name']}: its {found[0]} cannot be moved by the transforms of torchvision "
            f"{torchvision.__version__}; run: pip install 'torchvision>=0.23'"
        )


def _to_tv(image: Tensor, target: Annotations, *, points: bool) -> tuple[Tensor, Annotations]:
    """Give an image and its plain target the types of torchvision.

    points: also keypoints and corners, where this torchvision has types for them.
    """
    tv = tv_tensors()
    size = (image.shape[-2], image.shape[-1])
    result = dict(target)
    result["boxes"] = tv.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=size)
    if "masks" in target:
        result["masks"] = tv.Mask(target["masks"])
    if points and "keypoints" in target:
        values = target["keypoints"]
        result["keypoints"] = values[..., :2].contiguous()
        result["visibility"] = values[..., 2]
    if points and hasattr(tv, "KeyPoints"):
        if "keypoints" in target:
            result["keypoints"] = tv.KeyPoints(result["keypoints"], canvas_size=size)
        if "corners" in target:
            rotated = tv.BoundingBoxes(target["corners"], format="XYXYXYXY", canvas_size=size)
            result["corners"] = rotated
    return tv.Image(image), result


def _to_plain(image: Any, target: Annotations) -> tuple[Any, Annotations]:
    """Reverse `_to_tv`; values to which transforms gave other types stay."""
    result = {name: _plain(value) for name, value in target.items()}
    if "visibility" in result and "keypoints" in result:
        visibility = result.pop("visibility")[..., None].to(result["keypoints"])
        # COCO has (0, 0) for keypoints that are not labelled.
        points = result["keypoints"].masked_fill(visibility == 0, 0)
        result["keypoints"] = torch.cat([points, visibility], -1)
    return _plain(image), result


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor) and type(value).__module__.startswith("torchvision.tv_tensors"):
        return value.as_subclass(Tensor)
    return value


class _Numbered(Tensor):
    """Labels that know which box each is of, however a transform selects some of them.

    SanitizeBoundingBoxes removes boxes, labels and masks, and no other entry.
    """

    rows: Tensor

    @classmethod
    def of(cls, labels: Tensor, rows: Tensor) -> _Numbered:
        result = labels.as_subclass(cls)
        result.rows = rows
        return result

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: tuple[type[Tensor], ...],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
            first = next((value for value in args if isinstance(value, cls)), None)
            if first is None or not isinstance(result, Tensor) or result.ndim != 1:
                return result
            if func is Tensor.__getitem__ and args[0] is first:
                return cls.of(result, first.rows[args[1]])
            return cls.of(result, first.rows) if len(result) == len(first) else result


def _settled(given: Annotations, target: Annotations) -> Annotations:
    """Remove what belongs to boxes that transforms removed, and adapt areas.

    given: the target before the transforms.
    """
    labels = target.get("labels")
    rows: Tensor | None = getattr(labels, "rows", None)
    target = dict(target)
    if isinstance(labels, _Numbered):
        target["labels"] = labels.as_subclass(Tensor)
    boxes = target.get("boxes")
    if not isinstance(boxes, Tensor):
        return target
    all_rows = len(given["labels"])
    if rows is not None and len(rows) != len(boxes):
        rows = None
    _check_moved(given, target, slice(None) if rows is None else rows)
    for name in PER_BOX:
        value = target.get(name)
        if name not in given or not isinstance(value, Tensor) or len(value) == len(boxes):
            continue
        if rows is None or len(value) != all_rows:
            raise RinrInputError(
                f"{given['name']}: transforms returned {len(boxes)} boxes, but {name!r} has "
                f"{len(value)} rows. Select the same rows of all of them, as SanitizeBoundingBoxes "
                "does with its default labels_getter, or remove that entry."
            )
        target[name] = _selected(value, rows)
    if rows is not None and isinstance(target.get("area"), Tensor):
        area = given["area"][rows]
        if torch.equal(area, target["area"]):
            old, new = _areas(given["boxes"])[rows], _areas(boxes)
            scaled = torch.where(old > 0, area * new / old, new)
            target["area"] = torch.where(new == old, area, scaled)
    return target


def _selected(value: Tensor, rows: Tensor) -> Tensor:
    if type(value) is Tensor:
        return value[rows]
    wrapped: Tensor = tv_tensors().wrap(value[rows], like=value)
    return wrapped


def _check_moved(given: Annotations, target: Annotations, rows: Tensor | slice) -> None:
    """Raise `RinrInputError` where a function moved boxes and left points where they were."""
    if torch.equal(_xyxy(given["boxes"])[rows], _xyxy(target["boxes"])):
        return
    for name in _POINTS:
        now = target.get(name)
        # What has a type of torchvision was moved with the boxes.
        if type(now) is Tensor and name in given and torch.equal(now, given[name]):
            raise RinrInputError(
                f"{given['name']}: transforms moved the boxes and left {name!r} as they were. "
                "Pass the transform of torchvision itself, not a function that calls it, or move "
                f"{name!r}, too."
            )


def _check_size(
    image: Any, given: Annotations, target: Annotations, shape: tuple[int, int]
) -> None:
    """Raise `RinrInputError` where the image got another size without its boxes.

    shape: height and width of the image before.
    """
    old, boxes = given["boxes"], target.get("boxes")
    if not isinstance(boxes, Tensor) or not isinstance(image, Tensor) or not len(old):
        return
    if image.ndim != 3 or image.shape[0] not in (1, 3) or not torch.equal(old, boxes):
        return
    size = getattr(boxes, "canvas_size", None)
    (height, width), plain = image.shape[-2:], _xyxy(old)
    # A transform of torchvision got the image alone, or boxes end where no pixels are any more.
    alone = size not in (None, (height, width)) and type(image).__name__ == "Image"
    right, bottom = plain[:, 2], plain[:, 3]
    outside = (right > width) & (right <= shape[1]) | (bottom > height) & (bottom <= shape[0])
    if alone or bool(outside.any()):
        raise RinrInputError(
            f"{given['name']}: transforms made the image {width} x {height}, and left its boxes "
            f"in one of {shape[1]} x {shape[0]}. Pass image and target to the transform together."
        )


def _xyxy(boxes: Tensor) -> Tensor:
    """Return boxes as plain (x1, y1, x2, y2), which those without a format have already."""
    kind = getattr(boxes, "format", None)
    if kind is None:
        return boxes
    if kind.value != "XYXY":
        from torchvision.transforms.v2.functional import convert_bounding_box_format

        boxes = convert_bounding_box_format(boxes, new_format="XYXY")
    return boxes.as_subclass(Tensor)


def _areas(boxes: Tensor) -> Tensor:
    left, top, right, bottom = _xyxy(boxes).unbind(-1)
    return (right - left) * (bottom - top)


def _without_degenerate(image: Any, target: Annotations) -> Annotations:
    """Leave out boxes that have no area inside the image."""
    boxes = target.get("boxes")
    if not isinstance(boxes, Tensor):
        return target
    height, width = getattr(boxes, "canvas_size", None) or image.shape[-2:]
    left, top, right, bottom = _xyxy(boxes).unbind(-1)
    inside = (right > left) & (right > 0) & (left < width)
    rows = torch.nonzero(inside & (bottom > top) & (bottom > 0) & (top < height))[:, 0]
    if len(rows) == len(boxes):
        return target
    selected = {name: _selected(target[name], rows) for name in PER_BOX if name in target}
    return {**target, **selected}
