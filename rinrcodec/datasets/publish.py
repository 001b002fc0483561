"""From fitted shards to the output: packs or single files, and the yaml that describes them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from rinrcodec.datasets.manifest import FileRecord
from rinrcodec.datasets.packs import yaml_text
from rinrcodec.datasets.plan import Plan
from rinrcodec.datasets.shards import Shard
from rinrcodec.datasets.work_folder import FittedShard, Work
from rinrcodec.formats import pack_bytes, read_pack
from rinrcodec.pack import Pack, select_frames
from rinrcodec.sources.source import Series
from rinrcodec.storage import map_stored, remove_file

__all__ = ["publish_series", "publish_yaml"]

# A reader of this file is about to give it to YOLO, whose own message would not help.
_YAML_COMMENT = """\
# Folders of .rinr files. YOLO reads them after rinrcodec.enable_ultralytics(),
# or as: rinrcodec yolo detect train data=data.yaml
"""


def publish_series(
    plan: Plan,
    work: Work,
    series: Series,
    fitted: Mapping[Shard, FittedShard],
    *,
    alone: bool,
) -> dict[Shard, dict[Path, FileRecord]]:
    """Write the output of one series from its fitted shards; return the files of each.

    alone: packs of other numbers, which an earlier run may have left, go: they would be read as
    part of this one.
    """
    if plan.layout == "files":
        return _publish_files(plan, work, series, fitted)
    packs = {shard: plan.pack_path(series, shard.number) for shard, f in fitted.items() if f.pack}
    map_stored(lambda shard: work.publish(shard, packs[shard]), packs, plan.folder)
    written = {
        shard: {packs[shard]: known.pack} if known.pack else {} for shard, known in fitted.items()
    }
    names = {path for files in written.values() for path in files}
    for path in plan.existing_packs(series) if alone else ():
        if path not in names:
            remove_file(path)
    return written


def publish_yaml(
    plan: Plan, work: Work, splits: Sequence[str], written: Mapping[Path, FileRecord]
) -> dict[Path, FileRecord]:
    """Write the `data.yaml` of the splits that hold packs, where the source is a data yaml.

    It keeps all keys of the source but `path` and its splits, whose paths are others here.
    written: what an earlier run wrote and is there; it is kept where it would be the same.
    """
    if plan.data_yaml is None:
        return {}
    data: dict[str, object] = {split: split for split in splits}
    if plan.source.names:
        data["names"] = dict(plan.source.names)
    text = (_YAML_COMMENT + yaml_text({**data, **plan.source.yaml_keys})).encode()
    record = FileRecord(len(text), hashlib.sha256(text).hexdigest())
    if written.get(plan.data_yaml) != record:
        work.publish_bytes(plan.data_yaml, text)
    return {plan.data_yaml: record}


def _publish_files(
    plan: Plan, work: Work, series: Series, fitted: Mapping[Shard, FittedShard]
) -> dict[Shard, dict[Path, FileRecord]]:
    if series.video is not None:
        parts = [part for known in fitted.values() for part in known.parts]
        names = [name for part in parts for name in part.names]
    else:
        names = [ref.name for ref in series.refs]
    paths = dict(zip(names, plan.file_paths(series, names), strict=True))
    written: dict[Shard, dict[Path, FileRecord]] = {}
    for shard, known in fitted.items():
        written[shard] = {}
        if known.pack is None:
            continue
        pack = read_pack(work.pack_path(shard), limits=work.limits)

        def publish(index: int, pack: Pack = pack) -> tuple[Path, FileRecord]:
            path = paths[pack.frames[index].name]
            data = pack_bytes(select_frames(pack, [index]), limits=work.limits)
            return path, work.publish_bytes(path, data)

        written[shard] = dict(map_stored(publish, range(len(pack.frames)), plan.folder))
    return written
