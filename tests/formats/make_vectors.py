"""Write the golden files of this version. Once released, they are never written again."""

from __future__ import annotations

from pathlib import Path

from sample_packs import PACKS

from rinrcodec.formats import write_pack

if __name__ == "__main__":
    for name, build in PACKS.items():
        write_pack(Path(__file__).parent / "vectors" / "v1" / f"{name}.rinr", build())
