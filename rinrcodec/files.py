"""`.rinr` files on disk and behind URLs: `open` and `save`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box, Region
from rinrcodec.errors import RinrFormatError, RinrInputError
from rinrcodec.formats import PackReader, write_pack
from rinrcodec.formats.checks import naming
from rinrcodec.formats.header import BytesLike
from rinrcodec.labels.info import classes_of, task_of
from rinrcodec.labels.model import Task
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import Frame, GroupInfo, Pack, Rows, frame_number
from rinrcodec.printing import count
from rinrcodec.storage import files_below

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from rinrcodec.decoder import Decoder
    from rinrcodec.display.sheet import Look

__all__ = ["RinrFile", "imread", "open", "packs_below", "save"]


def save(
    pack: Pack,
    path: str | PathLike[str],
    *,
    overwrite: bool = True,
    limits: Limits = DEFAULT_LIMITS,
) -> int:
    """Write a pack to a file, whole or not at all.

    The same pack gives the same bytes.

    Args:
        pack: What `encode` returned.
        path: The file, or its URL such as "s3://bucket/a.rinr". Its folder must be there.
        overwrite: Replace an older file. With False, an older file is an error.
        limits: Refuse what a reader with these limits would refuse.

    Returns:
        The size of the file in bytes.

    Raises:
        FileExistsError: The file is there, and `overwrite` is False.
        RinrLimitError: The pack is over the limits.
        OSError: The file cannot be written.
        MissingExtraError: The path is a URL, and the extra `remote` is not installed.

    Example:
        >>> import numpy as np, rinrcodec
        >>> pack = rinrcodec.encode([np.zeros((24, 32, 3), np.uint8)])
        >>> size = rinrcodec.save(pack, "one.rinr")
    """
    return write_pack(path, pack, overwrite=overwrite, limits=limits)


def open(  # noqa: A001
    source: BytesLike, *, limits: Limits = DEFAULT_LIMITS
) -> RinrFile:
    """Open a `.rinr` file. Only its index is read; frames are read when they are asked for.

    Args:
        source: A path, a URL such as "s3://bucket/a.rinr", a seekable binary file, or the bytes of
            a file. These are `bytes`, a bytearray, memoryview, memory map or uint8 array, and are
            not copied. Close the result before a memory map.
        limits: Bounds on the file and on decoding.

    Returns:
        The open file. Close it, or use it in a `with` statement.

    Raises:
        RinrFormatError: The file is damaged, or is no `.rinr` file.
        RinrLimitError: It is over the limits.
        RinrInputError: The object holds no bytes, or the path is a folder.
        FileNotFoundError: There is no such file.
        OSError: The disk or store cannot be read.
        MissingExtraError: The path is a URL, and the extra `remote` is not installed.

    Example:
        >>> import numpy as np, rinrcodec
        >>> pack = rinrcodec.encode([np.zeros((24, 32, 3), np.uint8)])
        >>> size = rinrcodec.save(pack, "one.rinr")
        >>> with rinrcodec.open("one.rinr") as file:
        ...     print(file, file.pixels(0).shape)
        <RinrFile 'one.rinr': 1 frame> (24, 32, 3)
    """
    return RinrFile(source, limits=limits)


def imread(
    path: str | PathLike[str], frame: int = 0, *, bgr: bool = False, limits: Limits = DEFAULT_LIMITS
) -> NDArray[np.uint8]:
    """Read one frame of a `.rinr` file as a NumPy array, in place of `cv2.imread`.

    To read several frames, open the file once: `with rinrcodec.open(path) as file: file[3]`.

    Args:
        path: The file, or its URL.
        frame: Its number, from 0; negative numbers count from the end.
        bgr: Return blue, green and red, the order of OpenCV, instead of red, green and blue.
        limits: Bounds on the file and on decoding.

    Returns:
        uint8 [H, W, 3], contiguous and writable. Grey frames have three equal channels.

    Raises:
        IndexError: The file has no such frame.
        RinrFormatError: The file is damaged, or is none of ours.
        RinrLimitError: The frame takes more than `limits` to decode.
        FileNotFoundError: There is no such file.

    Example:
        >>> import numpy as np, rinrcodec
        >>> image = np.zeros((32, 48, 3), np.uint8)
        >>> size = rinrcodec.save(rinrcodec.encode([image], steps=1), "one.rinr")
        >>> rinrcodec.imread("one.rinr", bgr=True).shape
        (32, 48, 3)
    """
    with RinrFile(path, limits=limits) as file:
        pixels = file.pixels(file._existing(frame))
    return np.ascontiguousarray(pixels[:, :, ::-1] if bgr else pixels)


def packs_below(folder: Path, *, unlisted: list[OSError] | None = None) -> list[Path]:
    """List the `.rinr` files in a folder and below it, sorted by path as text.

    Hidden folders are passed over: they hold the unfinished parts of a `compress`. A folder behind
    a URL takes one listing. `unlisted` is as in `Storage.files_below`.
    """
    files = files_below(folder, unlisted=unlisted)
    return [path for path, _ in files if path.suffix.lower() == ".rinr"]


class RinrFile:
    """Read an open `.rinr` file: its frames, boxes and pixels. `rinrcodec.open` returns one.

    `file[3]` decodes frame 3 to a tensor, `file[2:5]` three frames, and iterating gives all, one
    after the other. `pixels` gives NumPy arrays. It pickles as its path or URL.

    Args:
        source: As of `rinrcodec.open`.
        limits: As of `rinrcodec.open`.

    Example:
        >>> import numpy as np, rinrcodec
        >>> pack = rinrcodec.encode([np.zeros((24, 32, 3), np.uint8)], classes=["car"])
        >>> size = rinrcodec.save(pack, "one.rinr")
        >>> with rinrcodec.open("one.rinr") as file:
        ...     len(file), list(file.names()), file.classes
        (1, ['000000'], {0: 'car'})
    """

    def __init__(self, source: BytesLike, *, limits: Limits = DEFAULT_LIMITS) -> None:
        try:
            self.reader = PackReader(source, limits=limits)
        except IsADirectoryError as error:
            folder = error.filename
            raise RinrInputError(
                f"{folder} is a folder: open one of the .rinr files in it"
            ) from error
        # One for each device: they remember what families keep between calls.
        self._decoders: dict[str, Decoder] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"reader": self.reader, "_decoders": {}}

    def __repr__(self) -> str:
        return f"<RinrFile {self.reader.name!r}: {count(len(self), 'frame')}>"

    def _repr_html_(self) -> str:
        """Show some frames with their boxes, in notebooks."""
        from rinrcodec.display.sheet import contact_sheet, html_or_text

        def make() -> str:
            return contact_sheet(repr(self), len(self), self.look)

        return html_or_text(make, repr(self))

    def look(self, index: int) -> Look:
        """Return what a contact sheet shows of a frame.

        Args:
            index: The number of the frame.
        """
        from rinrcodec.decoder import Decoder
        from rinrcodec.display.sheet import MOST_WORK, Look

        frame = self.frame(index)

        def decode(scale: float) -> NDArray[np.uint8]:
            most = min(MOST_WORK, self.reader.limits.max_work)
            limits = replace(self.reader.limits, max_work=most)
            return Decoder(self.reader, limits=limits).pixels(index, scale=scale)

        size = frame.width, frame.height
        return Look(frame.name, size, frame.boxes, self.classes, decode)

    def __len__(self) -> int:
        return self.reader.n_frames

    @overload
    def __getitem__(self, index: SupportsIndex) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> Tensor | list[Tensor]: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Tensor | list[Tensor]:
        """Decode one frame or a slice to tensors on the CPU, as `decode` does.

        Raises `IndexError` for a number outside of the file; negative ones count from its end.
        """
        if isinstance(index, slice):
            return self.decode(range(*index.indices(len(self))))
        return self.decode(self._existing(index))

    def _existing(self, index: SupportsIndex) -> int:
        """Return the number of a frame, checked against the file."""
        number = frame_number(index)
        if not -len(self) <= number < len(self):
            raise IndexError(
                f"there is no frame {number}: the file has {count(len(self), 'frame')}"
            )
        return number

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))

    @property
    def n_frames(self) -> int:
        """How many frames the file holds."""
        return self.reader.n_frames

    @property
    def info(self) -> Mapping[str, str]:
        """The notes of the encoder: preset, target, seed, class names."""
        return self.reader.info

    @property
    def classes(self) -> dict[int, str]:
        """The names of the classes by their ids; empty where the source had none.

        Raises:
            RinrFormatError: The file holds something else.
        """
        with naming(self.reader.name):
            return classes_of(self.info)

    @property
    def task(self) -> Task:
        """The task of the labels: "detect", "segment", "pose" or "obb".

        Raises:
            RinrFormatError: The file holds something else.
        """
        with naming(self.reader.name):
            return task_of(self.info)

    @property
    def groups(self) -> Sequence[GroupInfo]:
        """The groups of rows, without the rows."""
        return self.reader.groups

    def read_rows(self, group: int, rows: Sequence[int]) -> Rows:
        """Read rows of a group: quantised weights or coded bytes.

        Args:
            group: The number of the group in `groups`.
            rows: The numbers of the rows, in the order to return them.

        Raises:
            RinrFormatError: The file is damaged there.
        """
        return self.reader.read_rows(group, rows)

    def frame(self, index: int) -> Frame:
        """Read the name, size, boxes and metadata of a frame, but not its pixels.

        Args:
            index: From 0; negative indices count from the end.

        Raises:
            RinrInputError: There is no such frame, or the index is a name or a fraction.
            RinrFormatError: The file is damaged there.
        """
        return self.reader.frame(index)

    def names(self) -> Sequence[str]:
        """Return the names of all frames, in order."""
        return self.reader.names()

    def boxes(self, index: int) -> tuple[Box, ...]:
        """Return the boxes of a frame, exactly as they were given.

        Args:
            index: As of `frame`.
        """
        return self.reader.frame(index).boxes

    @overload
    def decode(
        self,
        frames: SupportsIndex,
        *,
        device: str | torch.device = ...,
        region: Region | tuple[int, int, int, int] | None = ...,
        scale: float = ...,
        objects: bool = ...,
    ) -> Tensor: ...

    @overload
    def decode(
        self,
        frames: Sequence[int],
        *,
        device: str | torch.device = ...,
        region: Region | tuple[int, int, int, int] | None = ...,
        scale: float = ...,
        objects: bool = ...,
    ) -> Tensor | list[Tensor]: ...

    def decode(
        self,
        frames: SupportsIndex | Sequence[int],
        *,
        device: str | torch.device = "cpu",
        region: Region | tuple[int, int, int, int] | None = None,
        scale: float = 1.0,
        objects: bool = True,
    ) -> Tensor | list[Tensor]:
        """Decode frames to uint8 RGB tensors, as `rinrcodec.decode` does.

        Args:
            frames: The index of one frame, or several.
            device: Where to decode, and where the result is.
            region: As of `rinrcodec.decode`.
            scale: As of `rinrcodec.decode`.
            objects: As of `rinrcodec.decode`.

        Returns:
            [3, H, W], [n, 3, H, W] or a list, as `rinrcodec.decode` does.

        Raises:
            RinrError: As of `rinrcodec.decode`.
        """
        decoder = self._decoder(device)
        return decoder.decode(frames, region=region, scale=scale, objects=objects)

    @overload
    def pixels(
        self,
        frames: SupportsIndex,
        *,
        device: str | torch.device = ...,
        region: Region | tuple[int, int, int, int] | None = ...,
        scale: float = ...,
        objects: bool = ...,
    ) -> NDArray[np.uint8]: ...

    @overload
    def pixels(
        self,
        frames: Sequence[int],
        *,
        device: str | torch.device = ...,
        region: Region | tuple[int, int, int, int] | None = ...,
        scale: float = ...,
        objects: bool = ...,
    ) -> NDArray[np.uint8] | list[NDArray[np.uint8]]: ...

    def pixels(
        self,
        frames: SupportsIndex | Sequence[int],
        *,
        device: str | torch.device = "cpu",
        region: Region | tuple[int, int, int, int] | None = None,
        scale: float = 1.0,
        objects: bool = True,
    ) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
        """Decode frames to NumPy arrays, with the same pixels as `decode`.

        Only frames that hold networks need torch.

        Args:
            frames: The index of one frame, or several.
            device: Where to decode, as of `rinrcodec.decode`; the arrays are copied from a GPU.
            region: As of `rinrcodec.decode`.
            scale: As of `rinrcodec.decode`.
            objects: As of `rinrcodec.decode`.

        Returns:
            For one index, uint8 RGB [H, W, 3]. For a sequence, [n, H, W, 3], or a list where sizes
            differ. Grey frames have three equal channels.

        Raises:
            MissingExtraError: A frame holds networks, and torch is not installed.
            RinrError: As of `rinrcodec.decode`.

        Example:
            >>> import numpy as np, rinrcodec
            >>> pack = rinrcodec.encode([np.zeros((24, 32, 3), np.uint8)], preset="fast")
            >>> from rinrcodec.formats import pack_bytes
            >>> with rinrcodec.open(pack_bytes(pack)) as file:
            ...     file.pixels(0).shape
            (24, 32, 3)
        """
        decoder = self._decoder(device)
        return decoder.pixels(frames, region=region, scale=scale, objects=objects)

    def _decoder(self, device: str | torch.device) -> Decoder:
        from rinrcodec.decoder import Decoder

        if str(device) not in self._decoders:
            decoder = Decoder(self.reader, device=device, limits=self.reader.limits)
            self._decoders[str(device)] = decoder
        return self._decoders[str(device)]

    def verify(self) -> None:
        """Read and check the whole file, and check that its frames can be decoded here.

        Coded rows are decoded and dropped; networks are not computed.

        Raises:
            RinrFormatError: It is damaged, or of a family that is not installed.
            RinrLimitError: It takes more than its limits to read or to decode.
        """
        from rinrcodec.decodable import check_file

        unknown = check_file(self.reader)
        if unknown:
            raise RinrFormatError(f"{self.reader.name}: {'; '.join(unknown.values())}")

    def check_damage(self) -> None:
        """Read and check the whole file as `verify` does, but decode none of its rows.

        Raises:
            RinrFormatError: It is damaged, or of a family that is not installed.
        """
        from rinrcodec.families import check_group

        self.reader.verify()
        with naming(self.reader.name):
            for group in self.groups:
                check_group(group)

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        self._decoders.clear()
        self.reader.close()

    def __enter__(self) -> RinrFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
