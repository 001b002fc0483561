"""`rinrcodec info`: what a `.rinr` file holds and where its bytes go, and what runs made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rinrcodec.cli.options import PathOrUrl
from rinrcodec.errors import RinrError

if TYPE_CHECKING:
    from rinrcodec.formats import PackReader

__all__ = ["command"]


@click.command("info")
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=PathOrUrl(exists=True))
@click.option(
    "--files", "each", is_flag=True, help="Open every file, also of a folder with a manifest."
)
@click.option("--frames", is_flag=True, help="List the frames of every file, too.")
@click.option(
    "--json", "as_json", is_flag=True,
    help="Print JSON: a list with an item for every file, or folder with a manifest.",
)  # fmt: skip
def command(sources: tuple[Path, ...], each: bool, frames: bool, as_json: bool) -> int:
    """Show what .rinr files hold.

    SRC is a .rinr file, a folder of them, or a data.yaml that compress wrote, also by its URL.
    Where compress left a manifest.json, in a folder or below it, this shows its runs, shards and
    frames without opening a file.
    """
    from rinrcodec.cli.output import json_text
    from rinrcodec.datasets.packs import list_packs
    from rinrcodec.datasets.runs import (
        by_manifest,
        folder_as_json,
        folder_as_text,
        read_manifests,
    )
    from rinrcodec.errors import reason
    from rinrcodec.formats import PackReader

    files: dict[str, Path] = {}
    folders: dict[str, dict[str, Any]] = {}
    bad: dict[str, str] = {}
    for source in sources:
        found, problems = list_packs([source])
        try:
            manifests, unusable = read_manifests(source)
            bad.update(unusable)
            inside, outside = by_manifest(manifests, found)
            for manifest in manifests:
                packs = inside[str(manifest.path)]
                folders[str(manifest.path)] = folder_as_json(manifest, packs)
        except OSError as error:
            manifests, outside = [], found
            problems[str(source)] = reason(source, error)
        if manifests:
            problems.pop(str(source), None)  # that there is no pack says less
        files.update({str(file): file for file in (found if each or frames else outside)})
        bad.update(problems)
    described = []
    for file in files.values():
        try:
            with PackReader(file) as reader:
                described.append(_describe(reader, file, frames=frames))
        except (RinrError, OSError) as error:
            bad[str(file)] = reason(file, error)
    if as_json:
        items = described if each or frames else [*folders.values(), *described]
        click.echo(json_text(items), nl=False)
    elif folders or described:
        blocks = [*map(folder_as_text, folders.values()), *map(_as_text, described)]
        click.echo("\n\n".join(blocks))
    for message in bad.values():
        click.echo(f"error: {message}", err=True)
    return 1 if bad else 0


def _describe(reader: PackReader, file: Path, *, frames: bool) -> dict[str, Any]:
    header, sizes = reader.header, reader.sizes()
    description: dict[str, Any] = {
        "file": str(file),
        "bytes": sizes.file,
        "payload": sizes.payload,
        "boxes": sizes.boxes,
        "metadata": sizes.metadata,
        "overhead": sizes.overhead,
        "frames": reader.n_frames,
        "first_frame": {"width": header.width, "height": header.height, "mode": header.mode},
        "info": dict(reader.info),
        "groups": [
            {
                "spec": group.spec.to_json(),
                "family": group.spec.family,
                "bits": group.bits,
                "inrs": group.n_rows,
                "weights": group.n_params,
                "coded": group.coded,
                "raw_bytes": reader.row_bytes(number) + len(group.shared),
            }
            for number, group in enumerate(reader.groups)
        ],
    }
    if frames:
        description["frame_list"] = [_frame(reader, index) for index in range(reader.n_frames)]
    return description


def _frame(reader: PackReader, index: int) -> dict[str, Any]:
    frame = reader.frame(index)
    return {
        "name": frame.name,
        "width": frame.width,
        "height": frame.height,
        "mode": frame.mode,
        "boxes": len(frame.boxes),
        "object_inrs": sum(inr is not None for inr in frame.objects),
    }


def _as_text(item: dict[str, Any]) -> str:
    from rinrcodec.datasets.names import shown_name
    from rinrcodec.datasets.runs import count

    first = item["first_frame"]
    per_frame = item["bytes"] / item["frames"]
    size = f"{first['width']}x{first['height']} {first['mode']}"
    lines = [
        item["file"],
        f"  {count(item['frames'], 'frame')}, the first {size}",
        f"  {item['bytes']:,} bytes ({per_frame:,.0f} a frame): weights {item['payload']:,}, "
        f"boxes {item['boxes']:,}, metadata {item['metadata']:,}, overhead {item['overhead']:,}",
    ]
    lines += [f"  {key}: {value[:100]}" for key, value in sorted(item["info"].items())]
    lines += [
        f"  group {number}: {_group_text(group)}, {group['spec']}"
        for number, group in enumerate(item["groups"])
    ]
    for frame in item.get("frame_list", ()):
        size = f"{frame['width']}x{frame['height']} {frame['mode']}"
        boxes = f"{count(frame['boxes'], 'box')}, {count(frame['object_inrs'], 'object INR')}"
        lines.append(f"  {shown_name(frame['name'])}: {size}, {boxes}")
    return "\n".join(lines)


def _group_text(group: dict[str, Any]) -> str:
    from rinrcodec.datasets.runs import count

    if group["coded"]:
        rows = count(group["inrs"], "row")
        each = group["raw_bytes"] / max(1, group["inrs"])
        return f"{rows} of entropy-coded latents, {group['raw_bytes']:,} bytes ({each:,.0f} a row)"
    inrs = f"{count(group['inrs'], 'INR')} of {group['weights']:,} weights, {group['bits']} bit"
    return f"{inrs}, {group['raw_bytes']:,} bytes before compression"
