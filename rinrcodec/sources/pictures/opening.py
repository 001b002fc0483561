"""Which kinds of picture files are read, and how Pillow opens them.

`images` calls `open_picture` and `load_unmapped`, `picture_names` asks for `find_plugin`. A file is
opened as one of the kinds that are named here, or that the user adds: others of Pillow start
programs (EPS), and plugins of other packages may do anything.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
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

from rinrcodec.errors import RinrUsageError

__all__ = [
    "adding_formats",
    "check_formats",
    "count_pages",
    "find_plugin",
    "load_unmapped",
    "open_picture",
]

# The kinds that are read. Importing their plugins, above, registers them.
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "PPM", "JPEG2000", "AVIF")
# Suffix -> a module that can read it, and its function that registers it with Pillow ("": the
# import does).
_OPTIONAL = {
    **dict.fromkeys((".heic", ".heif", ".hif"), ("pillow_heif", "register_heif_opener")),
    ".jxl": ("pillow_jxl", ""),
}


# What a user may add of Pillow's own: the name -> its plugin. None of them starts a program.
_MORE = {
    name: f"PIL.{name.title()}ImagePlugin"
    for name in ("DDS", "MSP", "PCD", "PCX", "PSD", "QOI", "SGI", "SUN", "TGA", "XBM", "XPM")
}
_MOST_PAGES = 1000
# Those that the user has added, while pictures are looked for or read.
_added: ContextVar[tuple[str, ...]] = ContextVar("_added", default=())


class _TiffImageFile(TiffImagePlugin.TiffImageFile):
    """One without the limit of the whole process, which Pillow checks again when it loads."""

    def load_prepare(self) -> None:
        if self._im is None:
            self.im = Image.core.new(self.mode, self._tile_size)  # type: ignore[attr-defined]
        super().load_prepare()


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Return the names of formats that a user adds, as Pillow has them.

    Raises:
        RinrUsageError: A name that is unknown, or of a format that is never read.

    Example:
        >>> check_formats(["tga"])
        ('TGA',)
    """
    names = tuple(dict.fromkeys(str(name).strip().upper() for name in formats))
    known = (*_MORE, *(name for name in _foreign() if name not in _MORE))
    for name in names:
        if name not in known and name not in _FORMATS:
            raise RinrUsageError(
                f"formats: {name!r} is not one of {', '.join(known)}; those that are read without "
                f"being named are {', '.join(_FORMATS)}"
            )
    return tuple(name for name in names if name not in _FORMATS)


@contextmanager
def adding_formats(formats: Sequence[str]) -> Iterator[None]:
    """Read more kinds of pictures inside a block, in this thread; see `check_formats`."""
    before = _added.set(tuple(formats))
    try:
        yield
    finally:
        _added.reset(before)


def open_picture(data: bytes) -> Image.Image:
    """Open a picture with Pillow: reads its header.

    Not with `Image.open`, which refuses and warns by a limit of the whole process. Raises
    `UnidentifiedImageError` for a kind that is not read, and what Pillow raises for a damaged
    header.
    """
    prefix = data[:16]
    for name in (*_FORMATS, *_more()):
        if name not in Image.OPEN:
            continue
        factory, accept = Image.OPEN[name]
        if name in _FORMATS and _is_foreign(name):  # another package has put itself in its place
            continue
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


def count_pages(image: Image.Image) -> int:
    """Count the pictures of a file; 1,001 for a TIFF of more. This uses up the image."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(getattr(image, "n_frames", 1))
    # `n_frames` takes a time that grows with the square of their number.
    try:
        for number in range(1, _MOST_PAGES + 1):
            image.seek(number)
    except Exception:  # at its end, or where a page is damaged
        return number
    return _MOST_PAGES + 1


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


def find_plugin(suffix: str) -> bool:
    """Return whether a plugin that is not always used reads a picture of this suffix.

    A package known for the suffix is registered with Pillow where it is installed, once a picture
    is there for it.
    """
    suffix = suffix.lower()
    if suffix in _OPTIONAL and not _is_registered(suffix):
        module, function = _OPTIONAL[suffix]
        try:
            loaded: Any = importlib.import_module(module)
            if function:
                getattr(loaded, function)()
        except (ImportError, AttributeError):
            return False
    return Image.EXTENSION.get(suffix) in _more()


def _more() -> tuple[str, ...]:
    """Return the formats that are read besides `_FORMATS`.

    They are those of the packages above, and those added.
    """
    for name in _added.get():
        if name in _MORE:
            importlib.import_module(_MORE[name])
    optional = dict.fromkeys(Image.EXTENSION[s] for s in _OPTIONAL if _is_registered(s))
    return (*optional, *(name for name in _added.get() if name not in optional))


def _is_registered(suffix: str) -> bool:
    """Return whether another package reads this suffix."""
    name = Image.EXTENSION.get(suffix)
    return name in Image.OPEN and _is_foreign(name)


def _foreign() -> list[str]:
    """Return the formats that neither Pillow nor this package has registered."""
    return [name for name in Image.ID if name in Image.OPEN and _is_foreign(name)]


def _is_foreign(name: str) -> bool:
    module = getattr(Image.OPEN[name][0], "__module__", "")
    return not module.startswith(("PIL.", "rinrcodec."))
