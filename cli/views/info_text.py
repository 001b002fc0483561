"""The output of `rinrcodec info`: text about folders and packs, from their JSON.

`say` escapes what a terminal would act on.
"""

from __future__ import annotations

import shlex
from typing import Any

from rinrcodec.errors import RinrInputError
from rinrcodec.families import find_family
from rinrcodec.families.interface import Family
from rinrcodec.printing import count
from rinrcodec.targets import target_text

__all__ = ["folder_as_text", "pack_as_text"]

_SHOWN = ("preset", "background", "objects", "steps", "gop", "shrink", "soften", "seed", "layout")
_SHOWN_CLASSES = 20


def folder_as_text(item: dict[str, Any], *, opened: bool = False) -> list[str]:
    """Format some lines about a folder, from its JSON.

    opened: its packs were opened, too, so not only its manifest was read.
    """
    state = "complete" if item["complete"] else "not complete"
    lines = [f"{item['folder']}: {count(len(item['runs']), 'run')}, {state}", f"  {_amount(item)}"]
    for run in item["runs"]:
        settings = run["settings"]
        shown = [f"{key} {settings[key]}" for key in _SHOWN if settings.get(key) is not None]
        if isinstance(target := settings.get("target"), dict) and (asked := target_text(target)):
            shown.append(f"target {asked}")
        version = settings.get("version", "?")
        line = f"run {run['key'][:8]} of rinrcodec {version}: {', '.join(shown)}"
        lines.append(f"  {_cut(line, 200)}")
        lines += [f"    {one['name']}: {_amount(one)}" for one in run["series"]]
    if not item["complete"]:
        lines.append("  the same compress command with --resume continues")
    if item["absent"]:
        lines.append(
            f"  {count(item['absent'], 'file')} of these missing or of another size; "
            "rinrcodec verify lists them"
        )
    if item["unlisted"]:
        lines.append(f"  and {count(item['unlisted'], 'pack')} that no run lists")
    if not opened:
        lines.append(f"  not checked for damage: rinrcodec verify {shlex.quote(item['folder'])}")
    return lines


def pack_as_text(item: dict[str, Any]) -> list[str]:
    """Format some lines about a pack, from its JSON."""
    first = item["first_frame"]
    per_frame = item["bytes"] / item["frames"]
    size = f"{first['width']}x{first['height']} {first['mode']}"
    lines = [
        item["file"],
        f"  {count(item['frames'], 'frame')}, the first {size}",
        f"  {item['bytes']:,} bytes ({per_frame:,.0f} a frame): rows {item['payload']:,}, "
        f"boxes {item['boxes']:,}, metadata {item['metadata']:,}, overhead {item['overhead']:,}",
    ]
    lines += [f"  {key}: {_cut(value, 100)}" for key, value in sorted(item["info"].items())]
    lines += [
        f"  group {number}: {_group_text(group)}, {group['spec']}{_missing(group['family'])}"
        for number, group in enumerate(item["groups"])
    ]
    if classes := item.get("class_boxes"):
        shown = [f"{_cut(name, 40)} {n:,}" for name, n in [*classes.items()][:_SHOWN_CLASSES]]
        shown += ["..."] if len(classes) > _SHOWN_CLASSES else []
        lines.append(f"  boxes of classes: {', '.join(shown)}")
    for frame in item.get("frame_list", ()):
        size = f"{frame['width']}x{frame['height']} {frame['mode']}"
        boxes = f"{count(frame['boxes'], 'box')}, {count(frame['object_inrs'], 'object')}"
        boxes += "" if frame["labelled"] else ", labels not understood"
        lines.append(f"  {frame['name']}: {size}, {boxes}")
    return lines


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _group_text(group: dict[str, Any]) -> str:
    if group["coded"]:
        rows = count(group["inrs"], "row")
        coded = _coded_rows(group["family"])
        each = group["raw_bytes"] / max(1, group["inrs"])
        return f"{rows} of {coded}, {group['raw_bytes']:,} bytes ({each:,.0f} a row)"
    inrs = f"{count(group['inrs'], 'INR')} of {group['weights']:,} weights, {group['bits']} bit"
    return f"{inrs}, {group['raw_bytes']:,} bytes before compression"


def _coded_rows(name: str) -> str:
    """Describe the coded bytes of a family, which may be missing or broken."""
    family = None if _missing(name) else find_family(name)
    return Family.coded_rows if family is None else family.coded_rows


def _missing(name: str) -> str:
    """Say that a family is missing or broken; nothing where it is there."""
    try:
        return "" if find_family(name) else ", family not installed"
    except RinrInputError:
        return ", family cannot be loaded"


def _amount(item: dict[str, Any]) -> str:
    """Describe the figures of a folder or series."""
    waiting = item["shards"] - item["done"] - item["failed"]
    parts = [
        count(item["shards"], "shard"),
        count(item["frames"], "frame"),
        f"{item['bytes']:,} bytes in {count(item['files'], 'file')}",
    ]
    parts += [f"{waiting:,} not done"] if waiting else []
    parts += [f"{item['failed']:,} failed"] if item["failed"] else []
    parts += [f"{count(item['unreadable'], 'picture')} unreadable"] if item["unreadable"] else []
    return ", ".join(parts)
