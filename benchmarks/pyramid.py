"""The family `pyramid` measured: rates, a pack, sharp objects, sequences; one a run.

--gate 1: pictures of Kodak, each in a file of its own, at several lambdas: BD-rate against AVIF,
          WebP and JPEG.
--gate 2: frames of DAC-SDC in one pack, likewise.
--gate 3: the same frames with their objects, against AVIF frames with crops pasted in.
--gate 5: sequences in chunks, against their frames alone and x265.

The report is called pyramid_GATE. Interrupted? Rerun the same command to continue: finished rows
are in the JSON file of the report.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from harness.arguments import common_parser, setup
from harness.ledger import Ledger
from rinrcodec.evaluation.baselines import available_codecs

LAMBDAS = [4e-4, 1e-3, 2.5e-3, 6e-3]


@dataclass(frozen=True)
class Gate:
    """A function of a module, and the options that it has, with their defaults."""

    module: str
    function: str
    options: Mapping[str, Any]

    def run(self, options: argparse.Namespace, ledger: Ledger) -> None:
        # Loaded here, as only the sequences need PyAV.
        work: Callable[..., None] = getattr(import_module(self.module), self.function)
        work(options, ledger)


GATES = {
    1: Gate(
        "pyramid_gates.rates",
        "alone",
        {"frames": 6, "steps": 10_000, "lambdas": LAMBDAS, "size": [640, 360]},
    ),
    2: Gate("pyramid_gates.rates", "pack", {"frames": 32, "steps": None, "lambdas": LAMBDAS}),
    3: Gate(
        "pyramid_gates.objects", "objects", {"frames": 32, "steps": None, "psnr": [30.0, 36.0]}
    ),
    5: Gate(
        "pyramid_gates.sequences",
        "sequences",
        {
            "frames": 24,
            "steps": None,
            "lambdas": LAMBDAS,
            "sequences": ["otb_crossing", "uav123_person11", "vot_bag"],
        },
    ),
}


def main() -> None:
    parser = common_parser(__doc__, frames=0)
    parser.set_defaults(frames=None)
    parser.add_argument(
        "--gate",
        type=int,
        choices=GATES,
        required=True,
        help="1 frames alone, 2 a pack, 3 objects, 5 sequences",
    )
    parser.add_argument("--preset", default="balanced", help="our preset")
    parser.add_argument("--steps", type=int, help="fit this many steps in place of the preset's")
    parser.add_argument("--lambdas", type=float, nargs="+", help="what a bit per pixel is worth")
    parser.add_argument("--size", type=int, nargs=2, help="width and height (gate 1)")
    parser.add_argument("--psnr", type=float, nargs=2, help="of background and objects (gate 3)")
    parser.add_argument("--sequences", nargs="+", help="folders of data/sequences (gate 5)")
    options = parser.parse_args()
    gate = GATES[options.gate]
    for name in sorted({name for other in GATES.values() for name in other.options}):
        if getattr(options, name) is None:
            setattr(options, name, gate.options.get(name))
        elif name not in gate.options:
            parser.error(f"gate {options.gate} has no --{name}")
    if "avif" not in available_codecs():
        raise SystemExit("error: the installed Pillow has no AVIF, which all is compared with")
    setup(options)
    gate.run(options, Ledger(f"pyramid_{options.gate}", "pyramid", options))


if __name__ == "__main__":
    main()
