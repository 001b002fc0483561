"""The ladder: what every step of the method is worth, on the same frames and against other codecs.

Its rungs are those of Residual-INR (ICCAD 2024), for one family of background INRs:

    BS   baseline size: a larger background INR alone, 16 bit
    BE   the background INR alone, 16 bit
    DE   BE, and object INRs of the raw RGB (mode `direct`), 16 bit
    RE   BE, and object INRs of the residual, 16 bit
    QRE  RE with the background INR in 8 bit

and those of JPEG, WebP, AVIF and AVIF with pasted crops (`composite`) at the bytes of QRE, frame by
frame. A family that no rung of the paper has can be added, at about the bytes of QRE.
DE and RE have the very same backgrounds, specs and recipe, and keep every object INR, also
one that gains nothing, so that they differ in the mode alone. Bytes are those of whole files.

The sizes of the paper's BS cannot be recovered. Its talk shows one INR of 45 KB,
and a background and an object INR of 24 + 6 KB. So our BS is as much larger than RE: the
background's networks are made wider until the file has about 1.5 times the bytes of RE's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rinrcodec.compute.compose import to_array
from rinrcodec.encoder import encode, encode_pictures
from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.rungs import OnProgress, Rung, codec_rungs, measure_frame
from rinrcodec.families import DEFAULT_BACKGROUND, background_families, background_family
from rinrcodec.families.interface import BackgroundEncoder
from rinrcodec.files import open as open_file
from rinrcodec.formats import pack_bytes
from rinrcodec.metrics import frame_bytes, row_bytes, stored_bytes
from rinrcodec.pack import Pack
from rinrcodec.picture import Picture
from rinrcodec.presets import Preset, for_psnr, get_preset
from rinrcodec.storage.atomic import write_whole
from rinrcodec.targets import Target

__all__ = [
    "BASELINE_SIZE",
    "background_rung",
    "default_preset",
    "enlarged",
    "family_rungs",
    "rung_presets",
]

# BS over RE in bytes: 45 KB over 24 + 6 KB.
BASELINE_SIZE = 1.5


def rung_presets(preset: Preset) -> dict[str, Preset]:
    """Return the presets of BE, DE, RE and QRE; they differ in bits and `object_mode` alone.

    min_gain is minus infinity: an object INR that gains nothing is kept too. Raises
    `RinrInputError` for a family whose backgrounds have no bits or widths to choose.
    """
    family = preset.background.family
    if not background_family(family).resizable:
        able = [name for name, one in background_families().items() if one.resizable]
        raise RinrInputError(
            f"the preset {preset.name!r}: the ladder compares the paper's families, give a "
            f"background of {' or '.join(able)}"
        )
    residual = replace(preset.for_ladder(16), object_mode="residual")
    presets = {
        "BE": residual,
        "DE": replace(residual, object_mode="direct"),
        "RE": residual,
        "QRE": preset.for_ladder(8),
    }
    return {name: replace(rung, name=f"{preset.name}, {name}") for name, rung in presets.items()}


def default_preset(name: str, *, steps: int | None = None, alone: bool) -> Preset:
    """Return the preset of the default background for a rung next to those of the preset `name`.

    Args:
        name: The preset of the other rungs; where the default background lacks it, "best".
        steps: As of `get_preset`.
        alone: Whether the pictures are separate frames, and not a sequence.
    """
    known = background_family(DEFAULT_BACKGROUND).background_presets()
    effort = name if name in known else "best"
    preset = get_preset(effort, steps=steps, background=DEFAULT_BACKGROUND)
    return replace(preset, background=preset.background.alone()) if alone else preset


def family_rungs(
    pictures: Sequence[Picture],
    preset: Preset,
    *,
    folder: Path,
    other: Preset | None = None,
    measured: Sequence[int] | None = None,
    seed: int = 0,
    device: str = "auto",
    on_progress: OnProgress | None = None,
) -> Iterator[Rung]:
    """Yield the rungs of the family of `preset`, each as soon as it is measured.

    They are BE, DE, RE, QRE and BS, then the plain codecs, the composite and `other` at the bytes
    of QRE. Every rung of INRs encodes all pictures into one pack, saves it as FAMILY-NAME.rinr and
    measures that file.

    Args:
        pictures: The pictures with their boxes.
        preset: The family and the recipe; bits and `object_mode` are those of the rung.
        folder: Where the packs go; it must exist.
        other: The preset of one more family, for `background_rung`; None for no such rung.
        measured: Which pictures are decoded and compared; None for all. The bytes and seconds of a
            frame are the means over all that were encoded.
        seed: Seed of every fit.
        device: Where to fit and decode: "auto", "cpu", "cuda" or "cuda:N".
        on_progress: Called with the name of a rung of INRs and the share of its work that is done,
            and with "codecs" and the share of theirs.
    """
    measured = range(len(pictures)) if measured is None else measured
    for rung in _inr_rungs(pictures, preset, folder, measured, seed, device, on_progress):
        yield rung
        if rung.name == "QRE":
            equal = rung
    yield from codec_rungs([pictures[i] for i in measured], equal, on_progress)
    if other is not None:
        yield background_rung(
            pictures, other, equal, folder=folder, measured=measured, seed=seed, device=device
        )


def background_rung(
    pictures: Sequence[Picture],
    preset: Preset,
    equal: Rung,
    *,
    folder: Path,
    measured: Sequence[int] | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Rung:
    """Return the rung of another family, at the highest quality within the bytes of `equal`.

    Backgrounds and objects share the bytes as `Target.n_bytes` says. Where even the lowest quality
    takes more, that is the rung.

    Args:
        pictures: Those that `equal` encoded, with their boxes.
        preset: The family and the effort. The family must take a size (`Target.n_bytes`).
        equal: The rung whose bytes it gets; its family and this one name the pack.
        folder: Where the pack goes; it must exist.
        measured: Which pictures are decoded and compared; None for all.
        seed: Seed of the fit.
        device: Where to fit and decode: "auto", "cpu", "cuda" or "cuda:N".
    """
    family = preset.background.family
    path = folder / f"{family}-at-{equal.family}-{equal.name}.rinr"
    target = for_psnr(family, Target(n_bytes=max(1, int(equal.n_bytes))))
    start = time.perf_counter()
    pack, _ = encode_pictures(pictures, preset, target=target, seed=seed, device=device)
    seconds = time.perf_counter() - start
    chosen = range(len(pictures)) if measured is None else measured
    rung = _measure(path, pack, pictures, chosen, seconds, device)
    return replace(rung, family=equal.family, name=family)


def enlarged(
    encoder: BackgroundEncoder, factor: float, pictures: Sequence[Picture]
) -> BackgroundEncoder:
    """Return the settings with wider networks, for `factor` times the weights of such pictures.

    All size classes are widened by the same share, as near as whole widths allow.
    """
    wanted = factor * encoder.n_weights(pictures)
    shares = (1 + step / 100 for step in range(math.ceil(100 * factor)))
    wider = (encoder.widened(share) for share in shares)
    return min(wider, key=lambda one: abs(one.n_weights(pictures) - wanted))


def _inr_rungs(
    pictures: Sequence[Picture],
    preset: Preset,
    folder: Path,
    measured: Sequence[int],
    seed: int,
    device: str,
    on_progress: OnProgress | None,
) -> Iterator[Rung]:
    presets = rung_presets(preset)
    bare = [replace(picture, boxes=()) for picture in pictures]

    def fit(name: str, preset: Preset, backgrounds: Pack | None = None) -> tuple[Pack, float]:
        alone = name in ("BS", "BE")
        start = time.perf_counter()
        pack = encode(
            bare if alone else pictures,
            preset=preset,
            seed=seed,
            device=device,
            reuse=backgrounds,
            on_progress=None if on_progress is None else lambda share: on_progress(name, share),
        )
        seconds = time.perf_counter() - start
        return _with_boxes(pack, pictures) if alone else pack, seconds

    def rung(name: str, pack: Pack, seconds: float) -> Rung:
        path = folder / f"{preset.background.family}-{name}.rinr"
        return replace(_measure(path, pack, pictures, measured, seconds, device), name=name)

    backgrounds, background_seconds = fit("BE", presets["BE"])
    alone = rung("BE", backgrounds, background_seconds)
    yield alone
    for name in ("DE", "RE"):
        pack, seconds = fit(name, presets[name], backgrounds)
        with_objects = rung(name, pack, background_seconds + seconds)
        yield with_objects
    yield rung("QRE", *fit("QRE", presets["QRE"]))
    # The loop left RE. What is not weights stays as it is in a larger file.
    weights = sum(group.n_rows * row_bytes(group) for group in backgrounds.groups) / len(pictures)
    factor = 1 + (BASELINE_SIZE * with_objects.n_bytes - alone.n_bytes) / weights
    background = enlarged(presets["BE"].background, factor, pictures)
    larger = replace(presets["BE"], name=f"{preset.name}, BS", background=background)
    yield rung("BS", *fit("BS", larger))


def _with_boxes(pack: Pack, pictures: Sequence[Picture]) -> Pack:
    """Return a pack of backgrounds with the boxes, as the other rungs have them."""
    frames = tuple(
        replace(frame, boxes=picture.boxes, objects=(None,) * len(picture.boxes))
        for frame, picture in zip(pack.frames, pictures, strict=True)
    )
    return replace(pack, frames=frames)


def _measure(
    path: Path,
    pack: Pack,
    pictures: Sequence[Picture],
    measured: Sequence[int],
    seconds: float,
    device: str,
) -> Rung:
    """Save a pack, decode the file, and compare; the rung has the name of the file."""
    family = pack.stacks[pack.frames[0].background.group].spec.family
    data = pack_bytes(pack)
    write_whole(path, data)  # Unlike `save`, this replaces a link.
    n_bytes = len(data)
    shares = frame_bytes(pack, n_bytes)
    frames = []
    with open_file(path) as file:
        for index in measured:
            picture = pictures[index]
            mode = picture.mode
            decoded = to_array(file.decode(index, device=device), mode)
            frames.append(measure_frame(picture, decoded, shares[index]))
    objects = {item.inr for frame in pack.frames for item in frame.objects if item}
    return Rung(
        family,
        path.stem,
        tuple(frames),
        n_bytes / len(pictures),
        sum(stored_bytes(pack, ref) for ref in objects) / len(pictures),
        seconds / len(pictures),
        path,
    )
