"""rinrcodec: frames in few bytes, with sharp objects, for detection data on slow links.

Everything here is loaded when it is first used: `import rinrcodec` needs neither torch nor Pillow.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rinrcodec.boxes import Box, Region
    from rinrcodec.datasets.compress import compress
    from rinrcodec.datasets.decompress import DecompressResult, decompress
    from rinrcodec.datasets.interruption import CompressInterrupted
    from rinrcodec.datasets.progress import Progress
    from rinrcodec.datasets.summary import CompressResult, SeriesSummary
    from rinrcodec.datasets.verify import VerifyResult, verify
    from rinrcodec.decoder import Decoder, decode
    from rinrcodec.encoder import encode
    from rinrcodec.errors import (
        MissingExtraError,
        RinrDeviceError,
        RinrError,
        RinrFormatError,
        RinrInputError,
        RinrLimitError,
        RinrMemoryError,
        RinrUsageError,
    )
    from rinrcodec.files import RinrFile, imread, open, save  # noqa: A004
    from rinrcodec.limits import Limits
    from rinrcodec.pack import Frame, Pack
    from rinrcodec.picture import Picture
    from rinrcodec.plugins.pillow_plugin import register_pillow
    from rinrcodec.plugins.torch_data import RinrDataset
    from rinrcodec.plugins.torch_loader import RinrLoader
    from rinrcodec.plugins.ultralytics_adapter import disable_ultralytics, enable_ultralytics
    from rinrcodec.presets import PRESETS, Preset
    from rinrcodec.sources.images import load_picture
    from rinrcodec.targets import Miss, Target, TargetWarning

_HOMES = {
    "Box": "boxes",
    "CompressInterrupted": "datasets.interruption",
    "CompressResult": "datasets.summary",
    "Decoder": "decoder",
    "DecompressResult": "datasets.decompress",
    "Frame": "pack",
    "Limits": "limits",
    "Miss": "targets",
    "MissingExtraError": "errors",
    "PRESETS": "presets",
    "Pack": "pack",
    "Picture": "picture",
    "Preset": "presets",
    "Progress": "datasets.progress",
    "Region": "boxes",
    "RinrDataset": "plugins.torch_data",
    "RinrDeviceError": "errors",
    "RinrError": "errors",
    "RinrFile": "files",
    "RinrFormatError": "errors",
    "RinrInputError": "errors",
    "RinrLimitError": "errors",
    "RinrMemoryError": "errors",
    "RinrLoader": "plugins.torch_loader",
    "RinrUsageError": "errors",
    "SeriesSummary": "datasets.summary",
    "Target": "targets",
    "TargetWarning": "targets",
    "VerifyResult": "datasets.verify",
    "compress": "datasets.compress",
    "decode": "decoder",
    "decompress": "datasets.decompress",
    "disable_ultralytics": "plugins.ultralytics_adapter",
    "enable_ultralytics": "plugins.ultralytics_adapter",
    "encode": "encoder",
    "imread": "files",
    "load_picture": "sources.images",
    "open": "files",
    "register_pillow": "plugins.pillow_plugin",
    "save": "files",
    "verify": "datasets.verify",
}

__all__ = [
    "PRESETS",
    "Box",
    "CompressInterrupted",
    "CompressResult",
    "Decoder",
    "DecompressResult",
    "Frame",
    "Limits",
    "Miss",
    "MissingExtraError",
    "Pack",
    "Picture",
    "Preset",
    "Progress",
    "Region",
    "RinrDataset",
    "RinrDeviceError",
    "RinrError",
    "RinrFile",
    "RinrFormatError",
    "RinrInputError",
    "RinrLimitError",
    "RinrLoader",
    "RinrMemoryError",
    "RinrUsageError",
    "SeriesSummary",
    "Target",
    "TargetWarning",
    "VerifyResult",
    "compress",
    "decode",
    "decompress",
    "disable_ultralytics",
    "enable_ultralytics",
    "encode",
    "imread",
    "load_picture",
    "open",
    "register_pillow",
    "save",
    "verify",
]

__version__ = "0.1.0"

# Where a program sets no logging up, nothing is printed.
logging.getLogger(__name__).addHandler(logging.NullHandler())


_MODULES = (
    "datasets",
    "evaluation",
    "families",
    "formats",
    "plugins",
    "presets",
    "sources",
    "storage",
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"rinrcodec.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'rinrcodec' has no attribute {name!r}")
    try:
        module = import_module(f"rinrcodec.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        from rinrcodec.errors import MissingExtraError

        raise MissingExtraError("torch", "torch") from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES, "__version__"])
