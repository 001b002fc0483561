"""Pillow opens and saves `.rinr` files once this module is imported.

`rinrcodec.register_pillow()` does the same and may be called any number of times. Opening reads
the user block; the rest of the file is read when pixels, `info` or another frame are asked for, and
torch is imported for the pixels of networks.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, TypeAlias, TypeGuard, cast

from PIL import Image, ImageFile, ImageSequence

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrError, RinrInputError, RinrMemoryError
from rinrcodec.formats import MAGIC, Header, PackReader, pack_bytes, read_header
from rinrcodec.limits import DEFAULT_LIMITS, Limits, limits_for
from rinrcodec.memory import memory_errors
from rinrcodec.pack import Frame
from rinrcodec.storage.atomic import named_file, write_whole, writing
from rinrcodec.storage.fork_lock import ForkSafeLock
from rinrcodec.targets import Target

if TYPE_CHECKING:
    from PIL._imaging import PixelAccess

    from rinrcodec.decoder import Decoder
    from rinrcodec.picture import Picture

__all__ = ["FORMAT", "MIME", "SUFFIX", "RinrImageFile", "register_pillow"]

FORMAT = "RINR"
SUFFIX = ".rinr"
MIME = "image/x-rinr"
_Path: TypeAlias = "str | bytes | os.PathLike[str] | os.PathLike[bytes]"
# Option of `save` -> its field of `Target`.
_TARGETS = {
    "quality": "quality",
    "objects_quality": "objects_quality",
    "target_psnr": "psnr",
    "objects_psnr": "objects_psnr",
    "target_bytes": "n_bytes",
    "tune": "tune",
}
_ANY_SIZE = limits_for(2**40)
_METADATA = ("exif", "icc_profile", "xmp")  # Pillow's names of what `Metadata` holds


class RinrImageFile(ImageFile.ImageFile):
    """An open pack, one of its frames at a time: mode "L" or "RGB".

    `info` holds `boxes` (a tuple of `Box`, in pixels of the whole frame also after `draft`),
    `name`, `source_size`, what the encoder wrote down (`preset`, `seed`, ...), and, where the frame
    has them, `exif`, `icc_profile` and `xmp` as bytes.

    A file of another kind raises `SyntaxError`, as Pillow wants it; a `.rinr` file that is damaged
    or over the `Limits` raises `OSError` with the cause, when the damaged part is first read.
    """

    format = FORMAT
    format_description = "Frames and residual objects (.rinr)"

    # What an image that was pickled and came back has: pixels and `info`, but no file.
    _header: Header | None = None
    _reader: PackReader | None = None
    _decoder: Decoder | None = None
    _number = 0
    _whole = (0, 0)
    _scale = 1.0
    _info_unread = False
    _lock = ForkSafeLock()

    def _open(self) -> None:
        assert self.fp is not None
        # Threads that share the image take turns: the first one decodes for all of them.
        self._lock = ForkSafeLock()
        self.fp.seek(0)
        if not _accept(self.fp.read(len(MAGIC))):
            raise SyntaxError("not a .rinr file")
        self.fp.seek(0)
        with _as_os_error():
            self._header = read_header(cast(BinaryIO, self.fp), limits=_limits())
        self._show(0, self._header.width, self._header.height, self._header.mode)
        self._info_unread = True

    @property
    def n_frames(self) -> int:
        """How many frames the pack holds."""
        return self._header.n_frames if self._header else 1

    @property
    def is_animated(self) -> bool:
        """Whether there is more than one frame."""
        return self.n_frames > 1

    @property
    def info(self) -> dict[str | tuple[int, int], Any]:
        """Boxes and metadata of the frame; the first use reads them."""
        if self._info_unread:
            with self._lock:
                self._read_info()
        return self._info

    @info.setter
    def info(self, value: dict[str | tuple[int, int], Any]) -> None:
        self._info = value
        self._info_unread = False

    def tell(self) -> int:
        """Return the number of the frame that is shown, from 0."""
        return self._number

    def seek(self, frame: int) -> None:
        """Show another frame, which may have another size and mode; `EOFError` past the last."""
        with self._lock:
            if not self._seek_check(frame):
                return
            reader = self._source()
            with _as_os_error():
                stored = reader.frame(frame)
            self._show(frame, stored.width, stored.height, stored.mode)
            self._keep_info(reader, stored)

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Have `load` evaluate a coarser grid, of at least `size` pixels; `mode` is not changed.

        Unlike a JPEG's, the grid may have any size. Has no effect once pixels are loaded.
        """
        del mode
        if not self.tile or size is None:
            return None
        width, height = self._whole
        scale = min(1.0, max(max(1, size[0]) / width, max(1, size[1]) / height))
        coarse = (max(1, round(width * scale)), max(1, round(height * scale)))
        if coarse == self.size:
            return None
        self._scale, self._size = scale, coarse
        return self.mode, (0, 0, float(coarse[0]), float(coarse[1]))

    def load(self) -> PixelAccess | None:
        """Decode the frame on the CPU if that has not happened yet."""
        if self.tile:
            with self._lock:
                if self.tile:
                    self._decode()
        return Image.Image.load(self)

    def _decode(self) -> None:
        reader = self._source()
        self._read_info()
        with _as_os_error():
            from rinrcodec.decoder import Decoder

            if self._decoder is None or self._decoder.source is not reader:
                self._decoder = Decoder(reader, limits=reader.limits)
            pixels = self._decoder.pixels(self._number, scale=self._scale)
        with memory_errors("loading the image"):
            self.load_prepare()
            self.frombytes((pixels[..., 0] if self.mode == "L" else pixels).tobytes())
        self.tile = []  # last: another thread may look at it without the lock
        self.readonly = 0
        if self.n_frames == 1:
            self._release()

    def load_read(self, read_bytes: int) -> bytes:
        """Read from the file. `PIL.ImageFile.Parser` takes this as: wait for the whole file."""
        assert self.fp is not None
        return self.fp.read(read_bytes)

    def verify(self) -> None:
        """Read and check the whole file, pixels aside; afterwards it has to be opened again."""
        reader = self._source()
        with _as_os_error():
            self._keep_info(reader, reader.frame(self._number))
            reader.verify()
        self._reader = None
        super().verify()

    def _show(self, number: int, width: int, height: int, mode: str) -> None:
        self._number, self._whole, self._scale = number, (width, height), 1.0
        self._size, self._mode = (width, height), mode
        self._im = None
        self._exif = None
        # A placeholder for pixels that are to be decoded; nothing looks inside.
        self.tile = [ImageFile._Tile("rinr", (0, 0, width, height))]

    def _read_info(self) -> None:
        if self._info_unread:
            reader = self._source()
            with _as_os_error():
                self._keep_info(reader, reader.frame(self._number))

    def _keep_info(self, reader: PackReader, frame: Frame) -> None:
        info: dict[str | tuple[int, int], Any] = {}
        info.update(reader.info.items())
        metadata = frame.metadata
        for key, block in zip(_METADATA, (metadata.exif, metadata.icc, metadata.xmp), strict=True):
            if block:
                info[key] = block
        info |= {"boxes": frame.boxes, "name": frame.name, "source_size": frame.source_size}
        self.info = info

    def _source(self) -> PackReader:
        if self._reader is None:
            if self.fp is None:
                raise ValueError("Operation on closed image")
            with _as_os_error():
                # Through the open file, not its name: the name may lead elsewhere by now.
                self._reader = PackReader(cast(BinaryIO, self.fp), limits=_limits())
        return self._reader

    def _release(self) -> None:
        """Let go of the file as other images do once their only frame is loaded."""
        if self._exclusive_fp and self.fp is not None:
            self.fp.close()
        self.fp = None
        self._reader = self._decoder = None


def register_pillow() -> None:
    """Let Pillow open and save `.rinr` files in this process. A second call changes nothing.

    Pillow empties a file before it asks a plugin to write it. `Image.save` therefore gets a
    wrapper that encodes a pack first and then replaces the file; other formats are not affected.
    docs/pillow.md has more.

    Example:
        >>> import numpy as np, rinrcodec
        >>> from PIL import Image
        >>> rinrcodec.register_pillow()
        >>> Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save("one.rinr")
        >>> Image.open("one.rinr").size
        (32, 24)
    """
    if not hasattr(Image.Image.save, "_replaces_packs"):
        Image.Image.save = _replacing_packs(Image.Image.save)  # type: ignore[method-assign]
    Image.register_open(FORMAT, RinrImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_save_all(FORMAT, _save_all)
    Image.register_extension(FORMAT, SUFFIX)
    Image.register_mime(FORMAT, MIME)


def _limits() -> Limits:
    """Return the limits of the reader, with Pillow's own limit on pixels if that is higher."""
    limits = _ANY_SIZE
    if Image.MAX_IMAGE_PIXELS is not None:
        limits = limits_for(max(2 * Image.MAX_IMAGE_PIXELS, DEFAULT_LIMITS.max_pixels))
    # It is about pixels: a small frame may take no more memory for it.
    return replace(limits, max_memory=DEFAULT_LIMITS.max_memory)


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _replacing_packs(save: Callable[..., None]) -> Callable[..., None]:
    """Wrap Pillow's `save`: what is there under a pack's name stays until the new pack is whole."""

    @functools.wraps(save)
    def save_whole(
        self: Image.Image,
        fp: _Path | IO[bytes],
        format: str | None = None,  # noqa: A002 (Pillow's name)
        **params: Any,
    ) -> None:
        if not _is_whole(fp, self, format):
            save(self, fp, format, **params)
            return
        named = Path(os.fsdecode(fp))
        path = named_file(named)
        buffer = _NamedBuffer(str(path))
        save(self, buffer, format or FORMAT, **params)
        with writing(named):
            write_whole(path, buffer.getvalue())

    save_whole._replaces_packs = True  # type: ignore[attr-defined]
    return save_whole


def _is_whole(
    file: _Path | IO[bytes],
    image: Image.Image,
    format: str | None,  # noqa: A002
) -> TypeGuard[_Path]:
    """Return whether saving to this path writes a pack, or replaces the pack that it reads."""
    if not isinstance(file, (str, bytes, os.PathLike)):
        return False
    suffix = Path(os.fsdecode(file)).suffix.lower()
    if (format or Image.EXTENSION.get(suffix, "")).upper() == FORMAT:
        return True
    if not isinstance(image, RinrImageFile):
        return False
    return _leads_to(file, image.filename or getattr(image.fp, "name", ""))


class _NamedBuffer(io.BytesIO):
    """Takes what is saved; Pillow chooses the format by `name`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def _leads_to(file: _Path, name: str | bytes) -> bool:
    """Return whether this path leads to the file of that name, perhaps by another name."""
    try:
        return os.path.samefile(file, name)  # noqa: PTH121 (Path.samefile takes no bytes)
    except OSError:  # one of them is not there
        return False


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except RinrMemoryError:  # which Pillow, too, raises as a MemoryError
        raise
    except RinrError as error:
        raise OSError(str(error)) from error


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Save the frame that is shown, for `image.save(...)`; `boxes` are its boxes."""
    boxes = image.encoderinfo.get("boxes")
    _encode(image, [image], file, filename, None if boxes is None else [boxes])


def _save_all(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Save all frames of it and of `append_images`, for `image.save(..., save_all=True)`.

    `boxes` has one sequence of boxes for every frame.
    """
    shown = image.tell()
    images = [image, *image.encoderinfo.get("append_images", ())]
    try:
        frames = (frame for one in images for frame in ImageSequence.Iterator(one))
        _encode(image, frames, file, filename, image.encoderinfo.get("boxes"))
    finally:
        image.seek(shown)


def _encode(
    image: Image.Image,
    frames: Iterator[Image.Image] | list[Image.Image],
    file: IO[bytes],
    filename: str | bytes,
    boxes: Sequence[Sequence[Box]] | None,
) -> None:
    from rinrcodec.encoder import encode
    from rinrcodec.picture import limits_of
    from rinrcodec.presets import get_preset

    options = image.encoderinfo
    preset = get_preset(
        options.get("preset", "balanced"),
        steps=options.get("steps"),
        background=options.get("background"),
        objects=options.get("objects"),
        gop=options.get("gop"),
        shrink=options.get("shrink"),
        soften=options.get("soften"),
    )
    pictures = [_picture(frame, options, f"{i:06d}") for i, frame in enumerate(frames)]
    stem = Path(os.fsdecode(filename)).stem if filename else ""
    if stem:
        pictures = [
            replace(picture, name=f"{stem}-{picture.name}" if len(pictures) > 1 else stem)
            for picture in pictures
        ]
    pack = encode(
        pictures,
        boxes=None if boxes is None else _checked(boxes),
        preset=preset,
        target=_target(options),
        seed=options.get("seed", 0),
        device=options.get("device", "auto"),
        on_progress=None,
    )
    # In one go and only when all is done: a file object of the caller has no half of a pack.
    file.write(pack_bytes(pack, limits=limits_of(pictures)))
    file.flush()


def _target(options: Mapping[str, Any]) -> Target | None:
    """Build the target from options of `save`: `target`, or its fields by name."""
    given = {
        field: options[option]
        for option, field in _TARGETS.items()
        if options.get(option) is not None
    }
    target: Target | None = options.get("target")
    if target is not None and given:
        raise RinrInputError(
            f"target and {' and '.join(given)} both say which quality: give one of them"
        )
    return Target(**given) if given else target


def _picture(frame: Image.Image, options: dict[str, Any], name: str) -> Picture:
    """Return the frame with its own metadata, or with that from the caller of `save`."""
    from rinrcodec.sources.images import picture_from_pil

    if not options.keys().isdisjoint(_METADATA):
        frame = frame.copy()
        for key in _METADATA:
            value = options.get(key, frame.info.get(key))
            frame.info[key] = value.tobytes() if isinstance(value, Image.Exif) else value
    return picture_from_pil(frame, name=name, limits=_ANY_SIZE)


def _checked(boxes: Sequence[Sequence[Box]]) -> Sequence[Sequence[Box]]:
    """Check that these are the boxes of every frame, and return them."""
    for given in boxes if isinstance(boxes, Sequence) else [boxes]:
        inside = given if isinstance(given, Sequence) else []
        wrong = [box for box in inside if not isinstance(box, Box)]
        if wrong or inside is not given:
            raise RinrInputError(
                f"boxes: got {wrong[0] if wrong else given!r}; expected a list of "
                "rinrcodec.Box(class_id, x, y, w, h), in pixels; with save_all one for every frame"
            )
    return boxes


register_pillow()
