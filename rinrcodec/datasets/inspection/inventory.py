"""The work of `verify`: the packs that are there, and those that manifests say must be there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rinrcodec.datasets.inspection.runs import read_manifests, unfinished
from rinrcodec.datasets.manifest import FileRecord, Manifest
from rinrcodec.datasets.packs import find_packs
from rinrcodec.errors import RinrError, RinrInputError, reason
from rinrcodec.storage import files_below, size_in, storage_of

__all__ = ["Inventory", "ListedFile", "take_inventory"]


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file that is to be checked.

    record, n_frames and manifest: what it must be and who says so, None where no run does. size:
    in bytes as a store lists it, None where that is to be asked.
    """

    path: Path
    record: FileRecord | None = None
    n_frames: int | None = None
    manifest: Path | None = None
    size: int | None = None

    @property
    def is_pack(self) -> bool:
        """Whether it is to be read as a pack; all that people name themselves is."""
        return self.record is None or self.path.suffix.lower() == ".rinr"


@dataclass(slots=True)
class Inventory:
    """Files, sorted within each source; manifests; and by name what is wrong with the sources."""

    files: dict[str, ListedFile] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)


def take_inventory(sources: Sequence[Path]) -> Inventory:
    """List the files of sources and of all manifests in them, each file once; opens no pack."""
    inventory = Inventory()
    for source in sources:
        listed: dict[str, ListedFile] = {}
        manifests: list[Manifest] = []
        try:
            manifests, bad = read_manifests(source)
            inventory.bad.update(bad)
            for manifest in manifests:  # that which is nearest to a file comes last
                listed.update(_listed(manifest))
            packs = find_packs(source)
            inventory.bad.update({failure: failure for failure in packs.failures})
            for pack in packs.all():
                listed.setdefault(str(pack), ListedFile(pack))
        except (RinrError, OSError) as error:
            # That there is no pack at all says less than which are missing.
            if not (manifests and isinstance(error, RinrInputError)):
                inventory.bad[str(source)] = reason(source, error)
        for name in sorted(listed):
            # A source may be given twice, or be inside another one.
            if name not in inventory.files or listed[name].record is not None:
                inventory.files[name] = listed[name]
        for manifest in manifests:
            if str(manifest.path) not in inventory.manifests:
                inventory.manifests[str(manifest.path)] = manifest
                inventory.bad.update({message: message for message in unfinished(manifest)})
    return inventory


def _listed(manifest: Manifest) -> dict[str, ListedFile]:
    """Return the files of all runs, by their whole names."""
    sizes = {}
    if storage_of(manifest.folder).lists_at_once:
        sizes = {str(path): size_in(stamp) for path, stamp in files_below(manifest.folder)}
    files = {}
    for run in manifest.runs.values():
        frames = {name: shard.frames_of_a_file for shard in run.shards for name in shard.files}
        for name, record in run.all_files().items():
            path = manifest.folder / name
            files[str(path)] = ListedFile(
                path, record, frames.get(name), manifest.path, sizes.get(str(path))
            )
    return files
