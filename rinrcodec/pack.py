"""The parts of a pack: plain data, NumPy only.

A `Pack` is the in-memory form of a `.rinr` file. The container (`rinrcodec.formats`) writes and
reads it, the encoder makes it, the decoder turns it into pixels. The decoder needs only the
`PackSource` protocol, which `Pack` and the file reader both satisfy, so decoding from memory and
from a file is one code path.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrFormatError, RinrInputError
from rinrcodec.printing import count
from rinrcodec.strict_json import parse_json

__all__ = [
    "WHOLE",
    "Cell",
    "Frame",
    "Group",
    "GroupInfo",
    "InrRef",
    "Metadata",
    "ObjectInr",
    "Pack",
    "PackSource",
    "Rows",
    "Spec",
    "code_dtype",
    "frame_number",
    "join_rows",
    "merge_packs",
    "select_frames",
]

_LETTERS = 80  # of a name, in the text of an object

ObjectMode = Literal["residual", "direct"]
ColorMode = Literal["L", "RGB"]


@dataclass(frozen=True, slots=True)
class Spec:
    """One architecture of one family: the key by which rows are grouped.

    `config` holds the family's own parameters, sorted by name, as `Spec.of` makes it.
    """

    family: str
    config: tuple[tuple[str, int | float | str], ...]

    @classmethod
    def of(cls, family: str, **config: int | float | str) -> Spec:
        """Build a spec from keywords: `Spec.of("name", depth=10, width=28)`."""
        return cls(family, tuple(sorted(config.items())))

    def __getitem__(self, key: str) -> int | float | str:
        for name, value in self.config:
            if name == key:
                return value
        raise RinrFormatError(f"the spec {self.to_json()} lacks {key!r}, which its family needs")

    def to_json(self) -> str:
        """Format the spec as canonical JSON: one string per spec, as in a file."""
        return json.dumps(
            {"family": self.family, **dict(self.config)}, sort_keys=True, separators=(",", ":")
        )

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Parse the output of `to_json`; raise `RinrFormatError` for anything else."""
        try:
            value = parse_json(text, most_depth=2)  # one more, for the sentence about its values
        except ValueError as error:
            raise RinrFormatError(f"a group's spec is not JSON: {text[:80]!r}") from error
        if not isinstance(value, dict) or not isinstance(value.get("family"), str):
            raise RinrFormatError(f"a group's spec names no family: {text[:80]!r}")
        family = value.pop("family")
        for key, item in value.items():
            number = isinstance(item, (int, float)) and not isinstance(item, bool)
            if not (isinstance(item, str) or (number and abs(item) < 2**63)):  # nor NaN
                raise RinrFormatError(
                    f"a group's spec has {key}={item!r}: expected a number or text"
                )
        return cls(family, tuple(sorted(value.items())))


def code_dtype(bits: int) -> type[np.int8] | type[np.int16]:
    """Return the integer type that holds quantised weights of `bits` (2 to 16) bits."""
    if not 2 <= bits <= 16:
        raise RinrFormatError(f"weights of {bits} bits: expected 2 to 16")
    return np.int8 if bits <= 8 else np.int16


@dataclass(frozen=True, slots=True, repr=False)
class GroupInfo:
    """The facts about a group, without its weights.

    One INR has `n_params` integers and `n_scales` scales; `shared` are bytes that serve all
    rows (weights of a shared network, in the family's own layout); `coded` says that every row
    also has entropy-coded bytes.
    """

    spec: Spec
    bits: int
    n_rows: int
    n_params: int
    n_scales: int
    shared: bytes = b""
    coded: bool = False

    def __repr__(self) -> str:
        return (
            f"GroupInfo({self.spec.family}, {count(self.bits, 'bit')}, {count(self.n_rows, 'row')} "
            f"of {count(self.n_params, 'weight')}{', coded' if self.coded else ''})"
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rows:
    """Some rows of one group: the quantised weights of an INR each, or coded bytes.

    codes: int8 (up to 8 bits) or int16, shape [n, n_params]; weight = code * scale of its tensor.
    scales: float32, shape [n, n_scales]; every value is exact in bfloat16, as it is stored.
    coded: entropy-coded bytes, one item per row; empty where the group has none.
    """

    codes: NDArray[np.int8] | NDArray[np.int16]
    scales: NDArray[np.float32]
    coded: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        n_bytes = self.codes.nbytes + self.scales.nbytes + sum(map(len, self.coded))
        return f"Rows({count(len(self.codes), 'row')}, {count(n_bytes, 'byte')})"

    def take(self, rows: Sequence[int]) -> Rows:
        """Return the given rows, in the given order."""
        index = list(rows)
        coded = tuple(self.coded[i] for i in index) if self.coded else ()
        return Rows(self.codes[index], self.scales[index], coded)


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Join the rows of all parts, which are of one group, in order."""
    return Rows(
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.scales for part in parts]),
        tuple(item for part in parts for item in part.coded),
    )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Group:
    """All rows of one spec and bit depth, stacked: weights, or coded bytes (`Group.of_bytes`).

    spec: the architecture, which names the family.
    bits: of a quantised weight, 2 to 16; 8 in a group without weights.
    rows: the weights and coded bytes.
    shared: bytes that serve all rows, in the family's own layout.
    """

    spec: Spec
    bits: int
    rows: Rows
    shared: bytes = b""

    @classmethod
    def of_bytes(cls, spec: Spec, coded: Sequence[bytes], *, shared: bytes = b"") -> Group:
        """Build a group of rows that have coded bytes and no weights.

        Args:
            spec: The architecture, which names the family.
            coded: The bytes of each row.
            shared: Bytes that serve all rows.

        Raises:
            RinrInputError: There is no row.

        Example:
            >>> from rinrcodec.pack import Group, Spec
            >>> Group.of_bytes(Spec.of("toygrid", size=8), [b"first", b"second"])
            Group(toygrid, 8 bits, 2 rows of 0 weights, coded)
        """
        if not coded:
            raise RinrInputError(f"a group of the spec {spec.to_json()} without rows")
        none = np.zeros((len(coded), 0), np.int8), np.zeros((len(coded), 0), np.float32)
        return cls(spec, 8, Rows(*none, tuple(coded)), shared)

    def __post_init__(self) -> None:
        codes, scales, coded = self.rows.codes, self.rows.scales, self.rows.coded
        if codes.ndim != 2 or scales.ndim != 2 or len(codes) != len(scales):
            raise RinrFormatError(
                f"codes {codes.shape} and scales {scales.shape} do not describe the same INRs"
            )
        if codes.dtype != code_dtype(self.bits):
            raise RinrFormatError(f"{self.bits}-bit weights are {codes.dtype}")
        if coded and len(coded) != len(codes):
            raise RinrFormatError(f"{len(coded)} coded rows for {len(codes)} INRs")

    def __repr__(self) -> str:
        return repr(self.info).replace("GroupInfo", "Group", 1)

    @property
    def info(self) -> GroupInfo:
        """The group without its weights."""
        n, params = self.rows.codes.shape
        return GroupInfo(
            self.spec,
            self.bits,
            n,
            params,
            self.rows.scales.shape[1],
            self.shared,
            coded=bool(self.rows.coded),
        )


@dataclass(frozen=True, slots=True)
class InrRef:
    """Where an INR's weights are: group number and row in it."""

    group: int
    row: int


class Cell(NamedTuple):
    """Which part of its row an object is, where a row holds several objects.

    time: the picture of the row, from 0. x, y: the top-left pixel of the object in that picture.
    """

    time: int = 0
    x: int = 0
    y: int = 0


WHOLE = Cell()  # of an object that has a row to itself


@dataclass(frozen=True, slots=True)
class ObjectInr:
    """An object: its row, how its output is used, and the factor on its output.

    `residual` adds to the background inside the box, `direct` replaces it. `gain` (float32) is the
    largest magnitude of the residual, by which it was divided for fitting (Residual-INR, sec. 3).
    `cell` is the object's part of the row, where several objects share one.
    """

    inr: InrRef
    mode: ObjectMode = "residual"
    gain: float = 1.0
    cell: Cell = WHOLE


@dataclass(frozen=True, slots=True, repr=False)
class Metadata:
    """Metadata bytes of the source; the orientation in `exif` is 1, as pixels are upright."""

    exif: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""

    def __repr__(self) -> str:
        sizes = {"exif": len(self.exif), "icc": len(self.icc), "xmp": len(self.xmp)}
        texts = [f"{name}: {count(size, 'byte')}" for name, size in sizes.items() if size]
        return f"Metadata({', '.join(texts)})"


@dataclass(frozen=True, slots=True, repr=False)
class Frame:
    """Describe one frame of a pack: its name, size, boxes, and where its weights are.

    `RinrFile.frame(index)` and `Pack.frames` give these; `decode` gives the pixels.

    Attributes:
        name: Relative path of the source picture, with "/" between folders.
        width: Pixels.
        height: Pixels.
        background: The row that holds the background.
        mode: "RGB", or "L" for grey.
        boxes: The labelled objects, in pixels of the frame.
        objects: One entry for each box; None where the box has no object of its own.
        time: Where the frame is in a row that holds several frames.
        source_size: Width and height of the source picture; (0, 0) where unknown.
        source_bytes: Size of the source file; 0 where unknown.
        metadata: EXIF, ICC and XMP of the source.
        labelled: False where the labels could not be understood in full. `boxes` then holds what
            could be understood, and the frame must not be used as one without objects.
        attributes: Other fields of its labels, as JSON values by name, such as COCO's image record.

    Raises:
        RinrFormatError: `boxes` and `objects` differ in length.

    Example:
        >>> import numpy as np, rinrcodec
        >>> pack = rinrcodec.encode([np.zeros((24, 32), np.uint8)])
        >>> pack.frames[0]
        Frame('000000', 32x24 L, 0 boxes, 0 objects)
    """

    name: str
    width: int
    height: int
    background: InrRef
    mode: ColorMode = "RGB"
    boxes: tuple[Box, ...] = ()
    objects: tuple[ObjectInr | None, ...] = ()
    time: float = 0.0
    source_size: tuple[int, int] = (0, 0)
    source_bytes: int = 0
    metadata: Metadata = Metadata()
    labelled: bool = True
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if len(self.boxes) != len(self.objects):
            raise RinrFormatError(
                f"{self.name!r}: {len(self.boxes)} boxes but {len(self.objects)} object entries"
            )

    def __repr__(self) -> str:
        objects = sum(one is not None for one in self.objects)
        known = "" if self.labelled else ", not labelled"
        return (
            f"Frame({self.name[:_LETTERS]!r}, {self.width}x{self.height} {self.mode}, "
            f"{count(len(self.boxes), 'box')}, {count(objects, 'object')}{known})"
        )

    def _repr_html_(self) -> str:
        """Show where the boxes are, in notebooks; a frame has no pixels without its file."""
        from rinrcodec.display.sheet import Look, contact_sheet, html_or_text

        def look(_: int) -> Look:
            return Look(self.name, (self.width, self.height), self.boxes, {})

        return html_or_text(lambda: contact_sheet(repr(self), 1, look), repr(self))


class PackSource(Protocol):
    """The interface of the decoder's input: a `Pack` in memory or an open file."""

    @property
    def n_frames(self) -> int: ...

    @property
    def groups(self) -> Sequence[GroupInfo]: ...

    def frame(self, index: int) -> Frame: ...

    def read_rows(self, group: int, rows: Sequence[int]) -> Rows: ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pack:
    """Hold encoded frames in memory, as `encode` returns them and `save` writes them.

    Attributes:
        frames: The frames, in order.
        stacks: The groups: rows of one spec and bit depth, which decode together.
        info: Text about the pack by key: `preset`, `seed`, `encoder`, `names` (JSON list of class
            names), `task`, `kpt_shape`, and `frame_rate` (of a video, "30000/1001"). `coco` is the
            JSON of what a COCO file says of the whole data set.

    Example:
        >>> import numpy as np, rinrcodec
        >>> pack = rinrcodec.encode([np.zeros((24, 32, 3), np.uint8)])
        >>> pack.n_frames, len(pack.groups)
        (1, 1)
    """

    frames: tuple[Frame, ...]
    stacks: tuple[Group, ...]
    info: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __repr__(self) -> str:
        boxes = sum(len(frame.boxes) for frame in self.frames)
        families = ", ".join(sorted({group.spec.family for group in self.stacks}))
        frames = count(self.n_frames, "frame")
        return f"<Pack of {frames}, {count(boxes, 'box')}: {families[:_LETTERS]}>"

    @property
    def n_frames(self) -> int:
        """The number of frames."""
        return len(self.frames)

    @property
    def groups(self) -> tuple[GroupInfo, ...]:
        """The groups without their weights."""
        return tuple(group.info for group in self.stacks)

    def frame(self, index: int) -> Frame:
        """Return a frame, as `RinrFile.frame` does.

        Args:
            index: From 0; negative indices count from the end.

        Raises:
            RinrInputError: It is a name or a fraction.
        """
        return self.frames[frame_number(index)]

    def read_rows(self, group: int, rows: Sequence[int]) -> Rows:
        """Return rows of a group, as `RinrFile.read_rows` does.

        Args:
            group: The number of the group in `groups`.
            rows: The numbers of the rows, in the order to return them.
        """
        return self.stacks[group].rows.take(rows)


def frame_number(index: Any) -> int:
    """Return the number of a frame as an `int`; raise `RinrInputError` for anything else."""
    try:
        return operator.index(index)
    except TypeError:
        hint = f"; names().index({index!r}) gives that of a name" if isinstance(index, str) else ""
        raise RinrInputError(f"frame {index!r}: expected a number{hint}") from None


def merge_packs(packs: Sequence[Pack]) -> Pack:
    """Merge the frames of all packs into one, in order.

    Groups of equal spec, bits and shared bytes join.

    `info` is that of the first pack.
    """
    if not packs:
        raise RinrInputError("no packs to merge")
    members: dict[tuple[Spec, int, bytes, bool], list[Rows]] = {}
    numbers: dict[tuple[Spec, int, bytes, bool], int] = {}
    n_rows: list[int] = []
    frames: list[Frame] = []
    for pack in packs:
        starts: list[tuple[int, int]] = []
        for group in pack.stacks:
            key = (group.spec, group.bits, group.shared, bool(group.rows.coded))
            members.setdefault(key, []).append(group.rows)
            number = numbers.setdefault(key, len(numbers))
            if number == len(n_rows):
                n_rows.append(0)
            starts.append((number, n_rows[number]))
            n_rows[number] += len(group.rows.codes)

        def move(ref: InrRef, starts: list[tuple[int, int]] = starts) -> InrRef:
            group, first_row = starts[ref.group]
            return InrRef(group, first_row + ref.row)

        frames.extend(_moved(frame, move) for frame in pack.frames)
    stacks = tuple(
        Group(spec, bits, join_rows(parts), shared)
        for (spec, bits, shared, _), parts in members.items()
    )
    return Pack(tuple(frames), stacks, packs[0].info)


def select_frames(
    source: PackSource, indices: Sequence[int], *, info: Mapping[str, str] | None = None
) -> Pack:
    """Return a pack in memory of the given frames and the rows that they use.

    From an open file, only what these frames need is read. `info` is that of the new pack; None
    keeps the source's, where it is a `Pack`.
    """
    frames = [source.frame(index) for index in indices]
    used: dict[int, dict[int, int]] = {}
    for frame in frames:
        objects = (inr.inr for inr in frame.objects if inr is not None)
        for ref in (frame.background, *objects):
            rows = used.setdefault(ref.group, {})
            rows.setdefault(ref.row, len(rows))
    numbers = {group: number for number, group in enumerate(used)}
    infos = source.groups

    def move(ref: InrRef) -> InrRef:
        return InrRef(numbers[ref.group], used[ref.group][ref.row])

    stacks = tuple(
        Group(infos[group].spec, infos[group].bits, rows, infos[group].shared)
        for group, rows in ((g, source.read_rows(g, list(kept))) for g, kept in used.items())
    )
    if info is None:
        info = source.info if isinstance(source, Pack) else {}
    return Pack(tuple(_moved(frame, move) for frame in frames), stacks, info)


def _moved(frame: Frame, move: Callable[[InrRef], InrRef]) -> Frame:
    objects = tuple(o and replace(o, inr=move(o.inr)) for o in frame.objects)
    return replace(frame, background=move(frame.background), objects=objects)
