"""From fitted shards to the output: packs or single files, and the yaml that describes them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from rinrcodec.datasets.manifest import FileRecord
from rinrcodec.datasets.packs import yaml_text
from rinrcodec.datasets.plan import Plan
from rinrcodec.datasets.resuming.published import Published
from rinrcodec.datasets.shards import Shard
from rinrcodec.datasets.work_folder import FittedShard, Work
from rinrcodec.formats import pack_bytes, read_pack
from rinrcodec.pack import Pack, select_frames
from rinrcodec.sources.source import Series
from rinrcodec.storage import map_stored

__all__ = ["planned_files", "publish_series", "sha256_of", "yaml_file"]

# A reader of this file is about to give it to YOLO, whose own message would not help.
_YAML_COMMENT = """\
# Folders of .rinr files. YOLO reads them after rinrcodec.enable_ultralytics(),
# or as: rinrcodec yolo detect train data=data.yaml
"""


def planned_files(
    plan: Plan, work: Work, series: Series, fitted: Mapping[Shard, FittedShard]
) -> dict[Shard, dict[Path, FileRecord]]:
    """Return the content of the files of one series, by shard, before any is written."""
    if plan.layout == "pack":
        return {
            shard: {plan.pack_path(series, shard.number): known.pack} if known.pack else {}
            for shard, known in fitted.items()
        }
    paths = _frame_paths(plan, series, fitted)
    planned: dict[Shard, dict[Path, FileRecord]] = {}
    for shard, known in fitted.items():
        pack = read_pack(work.pack_path(shard), limits=work.limits) if known.pack else None
        planned[shard] = {}
        for index, frame in enumerate(pack.frames if pack is not None else ()):
            assert pack is not None
            data = _frame_bytes(pack, index, work)
            planned[shard][paths[frame.name]] = FileRecord(len(data), sha256_of(data))
    return planned


def publish_series(
    plan: Plan,
    work: Work,
    published: Published,
    planned: Mapping[Shard, Mapping[Path, FileRecord]],
) -> None:
    """Write the output of one series from its fitted shards, as `planned_files` gave it.

    What an earlier run, which was killed, has published already is not written again. Raises
    `RinrUsageError` for a file in the way that is not one of ours.
    """
    if plan.layout == "files":
        _publish_files(plan, work, published, planned)
        return

    def publish(shard: Shard) -> None:
        for path, record in planned[shard].items():
            if not published.holds(path, record):
                published.check([path])
                work.publish(shard, path)
                published.forget(path)

    map_stored(publish, planned, plan.folder)


def yaml_file(plan: Plan, splits: Sequence[str]) -> bytes:
    """Return the `data.yaml` of the splits that hold packs, b"" if the source is no data yaml.

    It keeps all keys of the source but `path` and its splits, whose paths are others here.
    """
    if plan.data_yaml is None:
        return b""
    data: dict[str, object] = {split: split for split in splits}
    if plan.source.names:
        data["names"] = dict(plan.source.names)
    return (_YAML_COMMENT + yaml_text({**data, **plan.source.yaml_keys})).encode()


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of bytes as a manifest has it."""
    return hashlib.sha256(data).hexdigest()


def _frame_paths(
    plan: Plan, series: Series, fitted: Mapping[Shard, FittedShard]
) -> dict[str, Path]:
    if series.video is not None:
        parts = [part for known in fitted.values() for part in known.parts]
        names = [name for part in parts for name in part.names]
    else:
        names = [ref.name for ref in series.refs]
    return dict(zip(names, plan.file_paths(series, names), strict=True))


def _frame_bytes(pack: Pack, index: int, work: Work) -> bytes:
    return pack_bytes(select_frames(pack, [index]), limits=work.limits)


def _publish_files(
    plan: Plan,
    work: Work,
    published: Published,
    planned: Mapping[Shard, Mapping[Path, FileRecord]],
) -> None:
    for shard, files in planned.items():
        if not files:
            continue
        pack = read_pack(work.pack_path(shard), limits=work.limits)

        def publish(item: tuple[int, tuple[Path, FileRecord]], pack: Pack = pack) -> None:
            index, (path, record) = item
            if not published.holds(path, record):
                published.check([path])
                work.publish_bytes(path, _frame_bytes(pack, index, work))
                published.forget(path)

        map_stored(publish, enumerate(files.items()), plan.folder)
