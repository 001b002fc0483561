"""Encoding pictures: check what is given, fit a pack, and compare it with its target."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box
from rinrcodec.compute.devices import device_memory_errors, find_gpu
from rinrcodec.display.live import Meter, Records, best_view, metering
from rinrcodec.encoding.fit import Encoding, Progress
from rinrcodec.encoding.reached import misses
from rinrcodec.encoding.size import TRIES, encode_for_size, without_overhead
from rinrcodec.encoding.soften import sharp_warning
from rinrcodec.errors import RinrInputError
from rinrcodec.families import background_family
from rinrcodec.families.interface import FitContext
from rinrcodec.formats.checks import check_name
from rinrcodec.labels.arrays import BoxFormat, boxes_of_pictures
from rinrcodec.labels.info import info_of
from rinrcodec.labels.model import TASKS, Task, far_outside
from rinrcodec.limits import DEFAULT_LIMITS
from rinrcodec.pack import Pack, select_frames
from rinrcodec.picture import Picture
from rinrcodec.presets import Preset, get_preset, target_problem
from rinrcodec.printing import printable
from rinrcodec.sources.images import load_picture, picture_from_array, picture_from_pil
from rinrcodec.targets import EXCLUSIVE_OF_OBJECTS, Miss, Target, TargetWarning
from rinrcodec.text_limits import MOST_CLASSES

if TYPE_CHECKING:
    from os import PathLike

    import torch
    from PIL.Image import Image

    PictureLike = Picture | NDArray[np.uint8] | Image | str | PathLike[str]

__all__ = ["encode", "encode_pictures"]


def encode(
    images: Sequence[PictureLike],
    *,
    boxes: Sequence[Sequence[Box] | NDArray[Any]] | None = None,
    class_ids: Sequence[Sequence[int | str] | NDArray[Any]] | None = None,
    box_format: BoxFormat = "xywh",
    classes: Mapping[int, str] | Sequence[str] = (),
    bgr: bool = False,
    task: Task = "detect",
    preset: str | Preset = "balanced",
    background: str | None = None,
    objects: str | None = None,
    steps: int | None = None,
    gop: int | None = None,
    shrink: int | None = None,
    soften: float | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    reuse: Pack | None = None,
    target: Target | None = None,
    on_progress: Callable[[float], None] | Literal["auto"] | None = "auto",
) -> Pack:
    """Encode pictures to a pack, which `save` writes.

    The same pictures, preset and seed give the same pack, bit for bit, on one CPU machine. For
    whole folders, data sets and videos, `compress` does the reading and writing, too.

    Args:
        images: Paths, Pillow images, `Picture`s, or uint8 arrays [H, W] (grey) or [H, W, 3] (RGB).
            Pictures of which something was lost, such as 16 bits with few greys, give a warning.
        boxes: The objects of every picture, in pixels: a list of `Box`, or an array. An array
            [n, 5] has class id and rectangle, an array [n, 4] rectangles, with `class_ids`. None
            takes those of the `Picture`s. A box that leaves the picture by up to half of it is kept
            as it is. One that leaves it by more, or misses it, is refused, as in label files.
        class_ids: For each picture, the classes of the rows of its array [n, 4]: ids, or names of
            `classes`.
        box_format: The rectangles of arrays: "xywh" (top-left corner and size), "xyxy" (two
            corners, as supervision and Ultralytics have them) or "cxcywh" (centre and size).
        classes: The names of the classes: a list, or a map from id to name, such as `model.names`
            of Ultralytics. `RinrFile.classes` returns them.
        bgr: Arrays [H, W, 3] are in the order blue, green, red, as OpenCV reads them. Other images
            are not affected.
        task: What the boxes are for: "detect", "segment" (polygons), "pose" (keypoints) or "obb"
            (polygons of four corners). `RinrFile.task` returns it.
        preset: The effort: "fast", "balanced", "best", "paper", or a `Preset`.
        background: The family of the backgrounds, a name of `rinrcodec.families`. None takes that
            of `rinrcodec.presets.default_background`. Some code a sequence together: pictures of
            one folder of their names, size and mode, in the given order. A `Preset` has its own.
        objects: The family of the objects. "auto" takes for each object the one of the fewest
            bytes, "none" leaves objects out. None is "auto". A `Preset` has its own.
        steps: Fitting steps (for a sequence: epochs) in place of the preset's, for a quick look.
        gop: The most frames of a sequence that share a row, where the family cuts sequences into
            such groups. With 1, every frame is read alone.
        shrink: Divide width and height of backgrounds by 2 or 4, where the family supports it.
            Decoding enlarges them. Objects keep their size. 1, the default, keeps that of
            backgrounds, too.
        soften: Blur frames outside of their boxes before they are encoded, with this standard
            deviation in pixels. What is outside takes fewer bytes. Pictures without boxes are not
            blurred, and give a warning.
        seed: Of all random numbers, from 0.
        device: Where networks are fitted: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:N".
            A CPU fits one chunk on each core at a time.
        reuse: A pack of the same pictures. Its backgrounds are kept, and only objects are fitted.
        target: The quality or size to reach in place of the preset's. A target that is missed gives
            a `TargetWarning`.
        on_progress: Called with the share of the work done, from 0 to 1, by one thread at a time.
            "auto" draws a bar in notebooks and on terminals if the work takes more than a second.
            None is silent.

    Returns:
        The pack.

    Raises:
        RinrInputError: Pictures, boxes or options cannot be used. The message names the picture.
        RinrLimitError: A picture has more pixels than `Limits` allow.
        RinrMemoryError: Memory runs out.
        RinrDeviceError: There is no such device.
        MissingExtraError: Networks are to be fitted, and torch is not installed.

    Example:
        >>> import numpy as np, rinrcodec
        >>> frames = [np.zeros((48, 64, 3), np.uint8)] * 2
        >>> boxes = [np.array([[0, 8, 8, 20, 12]])] * 2  # class id, x, y, width, height
        >>> pack = rinrcodec.encode(frames, boxes=boxes, classes=["car"], preset="fast")
        >>> pack.n_frames, pack.info["names"]
        (2, '["car"]')
    """
    if not isinstance(images, Sequence) or isinstance(images, str):
        raise RinrInputError(
            f"images: expected a list, got {type(images).__name__}; to encode one image, pass "
            "[image]"
        )
    names = _class_names(classes)
    pictures = [_as_picture(image, f"{i:06d}", bgr=bgr) for i, image in enumerate(images)]
    if boxes is not None:
        given = boxes_of_pictures(
            boxes, len(pictures), class_ids=class_ids, classes=names, box_format=box_format
        )
        pictures = [replace(p, boxes=mine) for p, mine in zip(pictures, given, strict=True)]
        _check_boxes(pictures)
    elif class_ids is not None:
        raise RinrInputError("class_ids without boxes: expected boxes=, one array for each picture")
    _check_pictures(pictures)
    for picture in pictures:
        for note in picture.notes:
            warnings.warn(printable(f"{picture.name}: {note}"), stacklevel=2)
    backgrounds = None if reuse is None else _backgrounds_of(reuse, pictures)
    chosen = get_preset(
        preset,
        steps=steps,
        background=background,
        objects=objects,
        gop=gop,
        shrink=shrink,
        soften=soften,
    )
    if reuse is not None and chosen.objects is None:
        raise RinrInputError(
            f"reuse with the preset {chosen.name!r}: it has no objects to fit, as its background "
            "keeps them sharp itself; choose another background (whose objects go on top of any "
            "pack), or no reuse"
        )
    of_backgrounds = (("soften", chosen.soften, 0.0), ("shrink", chosen.background.shrink, 1))
    for option, value, usual in of_backgrounds:
        if reuse is not None and value != usual:
            raise RinrInputError(
                f"reuse with {option}={value:g}: the backgrounds are kept as they are; give one of "
                "the two"
            )
    if reuse is not None and target is not None:
        of_objects = (*EXCLUSIVE_OF_OBJECTS, "tune")
        others = [name for name in target.given if name not in of_objects]
        if others:
            raise RinrInputError(
                f"reuse with a target of {' and '.join(others)}: the backgrounds are kept "
                "as they are; ask for objects_psnr or objects_quality alone"
            )
    if sharp := sharp_warning(pictures, chosen.soften):
        warnings.warn(sharp, stacklevel=2)
    with _reporting(on_progress, len(pictures)) as report:
        pack, missed = encode_pictures(
            pictures,
            chosen,
            target=target,
            seed=seed,
            device=device,
            backgrounds=backgrounds,
            info=_label_info(pictures, names, task),
            on_progress=report,
        )
    for miss in missed:
        warnings.warn(printable(miss.text()), TargetWarning, stacklevel=2)
    return pack


def encode_pictures(
    pictures: Sequence[Picture],
    preset: Preset,
    *,
    target: Target | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    backgrounds: Pack | None = None,
    info: Mapping[str, str] = MappingProxyType({}),
    on_progress: Callable[[float], None] | None = None,
) -> tuple[Pack, tuple[Miss, ...]]:
    """Encode pictures with a preset, and say which targets the pack misses.

    Args:
        pictures: At least one, of different names.
        preset: The settings.
        target: As of `encode`.
        seed: As of `encode`.
        device: As of `encode`.
        backgrounds: A pack of the same frames without objects, whose backgrounds are kept.
        info: More entries for `Pack.info`, such as the names of classes.
        on_progress: As of `encode`.

    Raises:
        RinrInputError: Pictures, seed or target cannot be used.
    """
    _check_pictures(pictures)
    if not 0 <= seed < 2**31:
        raise RinrInputError(f"seed={seed}: expected 0 to {2**31 - 1}")
    _check_target(target, preset)
    preset.require_packages()
    wanted = target or Target()
    if asked := wanted.text:
        info = {"target": asked, **info}
    searched = wanted.n_bytes is not None and not background_family(
        preset.background.family
    ).targets >= {"n_bytes"}
    progress = Progress(
        pictures,
        preset,
        on_progress,
        backgrounds=backgrounds is None,
        tries=TRIES if searched and backgrounds is None else 1,
    )
    with device_memory_errors(f"encoding {pictures[0].name} and {len(pictures) - 1} more"):
        context = FitContext(seed, find_gpu(device), wanted, progress.counted)
        if backgrounds is not None:
            pack = Encoding(pictures, preset, context, info).run(backgrounds)
        elif searched:
            pack = encode_for_size(pictures, preset, context, info)
        else:
            context = without_overhead(pictures, context, info)
            pack = Encoding(pictures, preset, context, info).run(None)
        missed = misses(pack, pictures, wanted, context.gpu or "cpu")
    if on_progress is not None:
        on_progress(1.0)
    return pack, missed


@contextmanager
def _reporting(
    on_progress: Callable[[float], None] | Literal["auto"] | None, n_pictures: int
) -> Iterator[Callable[[float], None] | None]:
    """Give what to call with the share of the work that is done."""
    if on_progress is None or callable(on_progress):
        yield on_progress
    elif on_progress != "auto":
        raise RinrInputError(f'on_progress={on_progress!r}: expected a function, "auto" or None')
    else:
        meter = Meter(best_view("frames", Records), label="encoding", after=1.0)
        with metering(meter):
            yield lambda share: meter.report(share * n_pictures, n_pictures)


def _class_names(classes: Mapping[int, str] | Sequence[str]) -> dict[int, str]:
    names = dict(classes) if isinstance(classes, Mapping) else dict(enumerate(classes))
    if isinstance(classes, str) or not all(isinstance(name, str) for name in names.values()):
        raise RinrInputError(
            f"classes={classes!r}: expected a list of names, or a map from id to name"
        )
    if not all(isinstance(key, int) and 0 <= key < MOST_CLASSES for key in names):
        raise RinrInputError(f"classes={classes!r}: expected ids of 0 to {MOST_CLASSES - 1}")
    return names


def _label_info(
    pictures: Sequence[Picture], names: Mapping[int, str], task: Task
) -> dict[str, str]:
    """Return the entries of `Pack.info` about the labels."""
    if task not in TASKS:
        raise RinrInputError(f"task={task!r}: expected one of {', '.join(TASKS)}")
    points = (box.keypoints for picture in pictures for box in picture.boxes)
    shapes = {(len(one), len(one[0])) for one in points if one} if task == "pose" else set()
    if len(shapes) > 1:
        raise RinrInputError(f"boxes with different keypoints, (number, numbers each): {shapes}")
    return info_of(names, task, next(iter(shapes), None))


def _check_target(target: Target | None, preset: Preset) -> None:
    """Raise `RinrInputError` for a target that the background cannot be fitted for."""
    if target is None:
        return
    if not isinstance(target, Target):
        raise RinrInputError(
            f"target={target!r}: expected a rinrcodec.Target, such as Target(psnr=30)"
        )
    problem = target_problem(
        target,
        preset.background.family,
        preset.objects.family if preset.objects else "none",
        soften=bool(preset.soften),
    )
    if problem:
        raise RinrInputError(problem)


def _check_pictures(pictures: Sequence[Picture]) -> None:
    """Refuse now what could not be saved after all the work."""
    if not pictures:
        raise RinrInputError("no pictures to encode")
    names = set()
    for picture in pictures:
        check_name(picture.name, DEFAULT_LIMITS)
        if picture.name in names:
            raise RinrInputError(
                f"two pictures have the name {picture.name!r}: a pack needs different ones; "
                "load_picture(path, name=...) gives a picture another name"
            )
        names.add(picture.name)


def _check_boxes(pictures: Sequence[Picture]) -> None:
    """Refuse boxes that cannot be meant, as of labels of a file."""
    for number, picture in enumerate(pictures):
        width, height = picture.width, picture.height
        for row, box in enumerate(picture.boxes):
            if far_outside(box, width, height):
                raise RinrInputError(
                    f"boxes of picture {number}, row {row}: a box of {box.w:g} x {box.h:g} pixels "
                    f"at {box.x:g}, {box.y:g}, far outside the picture of {width} x {height}"
                )


def _backgrounds_of(pack: Pack, pictures: Sequence[Picture]) -> Pack:
    """Return the pack without its objects, its frames with the boxes of the pictures."""
    stored = [(frame.name, frame.width, frame.height, frame.mode) for frame in pack.frames]
    wanted = [(p.name, p.width, p.height, p.mode) for p in pictures]
    if stored != wanted:
        raise RinrInputError(
            f"reuse: its {len(stored)} frames are not the {len(wanted)} pictures: expected those "
            "of the same names, sizes and colours, in the same order"
        )
    frames = tuple(
        replace(
            frame,
            boxes=picture.boxes,
            objects=(None,) * len(picture.boxes),
            labelled=picture.labelled,
            attributes=picture.attributes,
        )
        for frame, picture in zip(pack.frames, pictures, strict=True)
    )
    return select_frames(replace(pack, frames=frames), range(len(frames)))


def _as_picture(image: PictureLike, name: str, *, bgr: bool) -> Picture:
    if isinstance(image, Picture):
        return image
    if isinstance(image, np.ndarray):
        if bgr and image.ndim == 3:
            image = image[:, :, ::-1]
        return picture_from_array(image, name=name)
    if isinstance(image, (str, os.PathLike)):
        return load_picture(image)
    if not hasattr(image, "getexif"):
        raise RinrInputError(
            f"cannot encode a {type(image).__name__}: expected a path, a Pillow image, a "
            "Picture or a "
            "uint8 array [H, W] or [H, W, 3]"
        )
    try:
        return picture_from_pil(image, name=name)
    except OSError as error:
        file = getattr(image, "filename", "") or name
        raise RinrInputError(
            f"{file}: Pillow cannot load the image ({error}); pass its path instead: JPEGs that "
            "lack nothing but their end marker are read from paths"
        ) from error
