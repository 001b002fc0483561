"""The family `pyramid` measured at equal PSNR: frames, sharp objects, sequences; one a run.

--part frames:    frames of DAC-SDC in one pack, at several lambdas: BD-rate against AVIF, WebP and
                  JPEG.
--part objects:   such frames with their objects, against AVIF frames with crops pasted in.
--part sequences: sequences in chunks, against their frames alone and x265.

The report is called pyramid_PART. Interrupted? Rerun the same command to continue: finished rows
are in the JSON file of the report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from harness.arguments import common_parser, parse_part, setup
from harness.ledger import Ledger
from rinrcodec.evaluation.baselines import available_codecs

# By part, which is a function in a module of this name, the options that it has, with their
# defaults.
PARTS: dict[str, Mapping[str, Any]] = {
    "frames": {"frames": 6, "lambdas": [1.5e-3, 5e-3]},
    "objects": {"frames": 4, "psnr": [30.0, 36.0]},
    "sequences": {"frames": 8, "lambdas": [1e-3, 4e-3], "sequences": ["otb_crossing"]},
}


def main() -> None:
    parser = common_parser(__doc__, frames=0)
    parser.add_argument("--preset", default="balanced", help="our preset")
    parser.add_argument("--steps", type=int, help="fit this many steps in place of the preset's")
    parser.add_argument(
        "--lambdas", type=float, nargs="+", help="what a bit per pixel is worth (frames, sequences)"
    )
    parser.add_argument("--psnr", type=float, nargs=2, help="of background and objects (objects)")
    parser.add_argument("--sequences", nargs="+", help="folders of data/sequences (sequences)")
    options = parse_part(parser, PARTS)
    if "avif" not in available_codecs():
        raise SystemExit("error: the installed Pillow has no AVIF, which all is compared with")
    setup(options)
    # Loaded here, as only the sequences need PyAV.
    work: Callable[..., None] = getattr(
        import_module(f"pyramid_parts.{options.part}"), options.part
    )
    work(options, Ledger(f"pyramid_{options.part}", "pyramid", options))


if __name__ == "__main__":
    main()
