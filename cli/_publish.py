"""From fitted parts to the output: packs or single files, and the yaml that describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from rinrcodec.cli._files import yaml_text
from rinrcodec.cli._plan import Plan
from rinrcodec.cli._work import FittedPart, Work
from rinrcodec.formats import PackReader
from rinrcodec.model import Group, Pack, merge_packs, select_frames
from rinrcodec.sources import Series

__all__ = ["load_pack", "publish_series", "publish_yaml"]

# A reader of this file is about to give it to YOLO, whose own message would not help.
_YAML_COMMENT = """\
# Folders of .rinr files. YOLO reads them after rinrcodec.enable_ultralytics(),
# or as: rinrcodec yolo detect train data=data.yaml
"""


def publish_series(plan: Plan, work: Work, series: Series, parts: list[FittedPart]) -> list[Path]:
    """Write the output of one series from its parts; return the files, in order."""
    if plan.layout == "files":
        return _publish_files(plan, work, series, parts)
    numbers: dict[int, list[int]] = {}
    for number, part in enumerate(parts):
        if part.names:
            shard = part.start // plan.shard_size if plan.shard_size else 0
            numbers.setdefault(shard, []).append(number)
    written: list[Path] = []
    for members in numbers.values():
        packs = [load_pack(work.pack_path(series, number)) for number in members]
        path = plan.pack_path(series, len(written))
        work.publish(path, _with_names(merge_packs(packs), plan.source.names))
        written.append(path)
    # An earlier run may have left packs with higher numbers; they would be read as part of this.
    for path in plan.existing_packs(series):
        if path not in written:
            path.unlink()
    return written


def publish_yaml(plan: Plan, work: Work, written: Mapping[str, list[Path]]) -> None:
    """Write the `data.yaml` beside the splits, where the source is one."""
    if plan.data_yaml is None:
        return
    data: dict[str, object] = {split: split for split, paths in written.items() if paths}
    if plan.source.names:
        data["names"] = dict(plan.source.names)
    work.publish_text(plan.data_yaml, _YAML_COMMENT + yaml_text(data))


def _publish_files(plan: Plan, work: Work, series: Series, parts: list[FittedPart]) -> list[Path]:
    if series.video is not None:
        names = [name for part in parts for name in part.names]
    else:
        names = [ref.name for ref in series.refs]
    targets = dict(zip(names, plan.file_paths(series, names), strict=True))
    written = []
    for number, part in enumerate(parts):
        if not part.names:
            continue
        pack = load_pack(work.pack_path(series, number))
        for index, frame in enumerate(pack.frames):
            path = targets[frame.name]
            single = select_frames(pack, [index])
            work.publish(path, _with_names(single, plan.source.names))
            written.append(path)
    return written


def load_pack(path: Path) -> Pack:
    """All of a file in memory."""
    with PackReader(path) as reader:
        frames = tuple(reader.frame(index) for index in range(reader.n_frames))
        stacks = tuple(
            Group(group.spec, group.bits, reader.read_rows(i, range(group.n_rows)), group.shared)
            for i, group in enumerate(reader.groups)
        )
        return Pack(frames, stacks, dict(reader.info))


def _with_names(pack: Pack, names: Mapping[int, str]) -> Pack:
    if not names:
        return pack
    listed = [names.get(i, f"class_{i}") for i in range(max(names) + 1)]
    text = json.dumps(listed, ensure_ascii=False, separators=(",", ":"))
    return replace(pack, info=MappingProxyType({**pack.info, "names": text}))
