"""Which kinds of picture files are read, and how Pillow opens them.

`images` calls `open_picture` and `load_unmapped`, `picture_names` asks for `plugin_suffixes`.
"""

from __future__ import annotations

import importlib
import struct
from io import BytesIO
from typing import Any

from PIL import (  # noqa: F401 (importing a plugin registers it)
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

__all__ = ["find_plugin", "load_unmapped", "open_picture", "plugin_suffixes"]

# The kinds that are read. Importing their plugins, above, registers them.
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "PPM", "JPEG2000", "AVIF")
# Suffix -> a module that can read it, and its function that registers it with Pillow ("": the
# import does).
_OPTIONAL = {
    **dict.fromkeys((".heic", ".heif", ".hif"), ("pillow_heif", "register_heif_opener")),
    ".jxl": ("pillow_jxl", ""),
}


class _TiffImageFile(TiffImagePlugin.TiffImageFile):
    """One without the limit of the whole process, which Pillow checks again when it loads."""

    def load_prepare(self) -> None:
        if self._im is None:
            self.im = Image.core.new(self.mode, self._tile_size)  # type: ignore[attr-defined]
        super().load_prepare()


def open_picture(data: bytes) -> Image.Image:
    """Open a picture with Pillow: reads its header.

    Not with `Image.open`, which refuses and warns by a limit of the whole process, and which has
    formats that run programs. Raises `UnidentifiedImageError` for a kind that is not read, and what
    Pillow raises for a damaged header.
    """
    prefix = data[:16]
    for name in (*_FORMATS, *_foreign()):
        if name not in Image.OPEN:
            continue
        factory, accept = Image.OPEN[name]
        factory = _TiffImageFile if name == "TIFF" else factory
        accepted = accept is None or accept(prefix)
        if not accepted or isinstance(
            accepted, str
        ):  # a text: Pillow was built without its library
            continue
        try:
            return factory(BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error):  # it is of another kind
            continue
    raise UnidentifiedImageError("cannot identify the picture")


def load_unmapped(image: Image.Image) -> None:
    """Load the pixels of an image; Pillow maps a TIFF that is turned by 90 degrees wrongly."""
    file = getattr(image, "filename", "")
    if not file or not isinstance(image, TiffImagePlugin.TiffImageFile):
        image.load()
        return
    # Pillow maps files that have a name, and gives them the width of the upright picture.
    image.filename = ""
    try:
        image.load()
    finally:
        image.filename = file


def plugin_suffixes() -> frozenset[str]:
    """The suffixes of pictures that plugins of other packages read in this process."""
    names = set(_foreign())
    return frozenset(suffix for suffix, name in Image.EXTENSION.items() if name in names)


def find_plugin(suffix: str) -> bool:
    """Whether a picture of this suffix is read by a plugin of another package.

    A package known for the suffix is registered with Pillow where it is installed, once a picture
    is there for it.
    """
    suffix = suffix.lower()
    if suffix not in plugin_suffixes() and suffix in _OPTIONAL:
        module, function = _OPTIONAL[suffix]
        try:
            loaded: Any = importlib.import_module(module)
            if function:
                getattr(loaded, function)()
        except (ImportError, AttributeError):
            return False
    return suffix in plugin_suffixes()


def _foreign() -> list[str]:
    """The formats that neither Pillow nor this package has registered."""
    own = ("PIL.", "rinrcodec.")
    return [
        name
        for name in Image.ID
        if not getattr(Image.OPEN[name][0], "__module__", "").startswith(own)
    ]
