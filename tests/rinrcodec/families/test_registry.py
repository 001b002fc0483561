"""Families by name, and families that another package brings."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch

import rinrcodec
from rinrcodec import Box, RinrFormatError, RinrInputError, families
from rinrcodec.families.interface import BackgroundFamily, FittedRows
from rinrcodec.pack import GroupInfo, Spec
from rinrcodec.presets import get_preset

ROOT = Path(__file__).parents[3]


@pytest.mark.usefixtures("toy")
def test_families_can_be_combined(toy_frames: Path) -> None:
    paths = sorted(toy_frames.glob("*.png"))
    boxes = [[Box(0, 8, 8, 12, 8)]] * 2
    one = rinrcodec.encode(
        paths, boxes=boxes, background="flat", objects="siren", steps=5, device="cpu"
    )
    assert {group.spec.family for group in one.groups} == {"flat", "siren"}
    other = rinrcodec.encode(paths, boxes=boxes, objects="flatter", steps=5, device="cpu")
    assert {group.spec.family for group in other.groups} == {"av1", "flatter"}
    for pack in (one, other):
        assert len(rinrcodec.decode(pack, [0, 1])) == 2
    with pytest.raises(RinrInputError, match="keeps objects sharp itself"):
        get_preset("fast", background="pyramid", objects="flatter")
    with pytest.raises(
        RinrInputError, match="has no flat background: expected one of fast, balanced"
    ):
        get_preset("best", background="flat")


@pytest.mark.usefixtures("toy")
def test_names_are_found_in_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain(BackgroundFamily):
        name = "plain"
        summary = ""

        check = channels = background_presets = background_cost = decode_backgrounds = None  # type: ignore[assignment]

    Plain.__abstractmethods__ = frozenset()
    entry = EntryPoint("plain", f"{__name__}:Plain", families._ENTRY_POINTS)
    monkeypatch.setattr(EntryPoint, "load", lambda _: Plain)
    monkeypatch.setattr(families, "entry_points", lambda **_: [entry])
    assert "plain" in families.background_families()
    assert isinstance(families.family_of("plain"), Plain)

    wrong = EntryPoint("other", "somewhere:Thing", families._ENTRY_POINTS)
    monkeypatch.setattr(families, "entry_points", lambda **_: [wrong])
    with pytest.raises(RinrInputError, match=r"other = somewhere:.* gives the family 'plain'"):
        families.family_of("other")

    def fail(_: EntryPoint) -> None:
        raise ImportError("no such thing")

    monkeypatch.setattr(families, "_broken", {})  # as in another process
    monkeypatch.setattr(EntryPoint, "load", fail)
    with pytest.raises(RinrInputError, match=r"'other' of somewhere:Thing cannot be loaded"):
        families.family_of("other")


@pytest.mark.usefixtures("toy")
def test_a_broken_package_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, toy_frames: Path
) -> None:
    class Neither:
        name = "other"

    loads = []

    def load(entry: EntryPoint) -> type:
        loads.append(entry.name)
        return Neither

    entry = EntryPoint("other", "somewhere:Thing", families._ENTRY_POINTS)
    monkeypatch.setattr(families, "entry_points", lambda **_: [entry])
    monkeypatch.setattr(EntryPoint, "load", load)
    with pytest.warns(UserWarning, match="somewhere:Thing"):
        assert "siren" in families.background_families()
    # Once is enough, for the warning and for an import that may take long.
    assert "siren" in families.background_families()
    assert "other" not in families.object_families()
    with pytest.raises(RinrInputError, match=r"somewhere:Thing .* is not a family: derive from"):
        families.family_of("other")
    with pytest.raises(RinrInputError, match=r"somewhere:Thing .* is not a family: derive from"):
        get_preset("fast", background="other")
    assert loads == ["other"]
    pack = rinrcodec.encode(sorted(toy_frames.glob("*.png")), steps=5, device="cpu")
    assert len(pack.frames) == 2


@pytest.mark.usefixtures("toy")
def test_wrong_families_cannot_be_registered() -> None:
    with pytest.raises(RinrInputError, match="is not a family: derive from BackgroundFamily"):
        families.register("flat")  # type: ignore[arg-type]

    class Siren(type(families.family_of("siren"))):  # type: ignore[misc]
        pass

    with pytest.raises(RinrInputError, match=r"'siren' is taken by rinr.*\.Siren: choose another"):
        families.register(Siren())
    families.register(families.family_of("siren"))  # the same one again changes nothing

    class Odd(Siren):
        name = "Not a name"

    with pytest.raises(RinrInputError, match="a family with the name 'Not a name': use up to 32"):
        families.register(Odd())

    class Nameless(Siren):
        name = None

    with pytest.raises(RinrInputError, match="a family with the name None: use up to 32"):
        families.register(Nameless())


def test_unknown_names() -> None:
    assert families.find_family("tea") is None
    with pytest.raises(RinrFormatError, match=r"'tea' is not installed: .*\(known: av1, nerv"):
        families.family_of("tea")
    with pytest.raises(RinrFormatError, match="'tea' is not installed: install the package that"):
        families.check_group(GroupInfo(Spec.of("tea"), 8, 1, 0, 0))
    with pytest.raises(
        RinrInputError, match="objects 'tea': expected one of auto, none, siren, av1"
    ):
        get_preset("fast", objects="tea")


@pytest.mark.usefixtures("toy")
def test_an_object_family_has_no_backgrounds() -> None:
    with pytest.raises(RinrFormatError, match="'flatter' codes objects only"):
        families.background_family("flatter")
    assert "flatter" not in families.background_families()
    assert "flat" not in families.object_families()


@pytest.mark.usefixtures("toy")
def test_a_family_that_decodes_another_size_is_an_error(
    monkeypatch: pytest.MonkeyPatch, toy_frames: Path
) -> None:
    pack = rinrcodec.encode(
        sorted(toy_frames.glob("*.png")), boxes=[[Box(0, 8, 8, 12, 8)]] * 2, background="flat",
        objects="flatter", steps=5, device="cpu",
    )  # fmt: skip
    flat, flatter = families.family_of("flat"), families.family_of("flatter")
    with monkeypatch.context() as patch:
        for shape in ([3], [24, 32, 1]):
            patch.setattr(type(flat), "decode_backgrounds", lambda *_, s=shape: [torch.zeros(s)])
            with pytest.raises(RinrFormatError, match=r"'flat' decoded .*: expected \[24, 32, 3\]"):
                rinrcodec.decode(pack, 0)
        patch.setattr(type(flat), "decode_backgrounds", lambda *_: [])
        with pytest.raises(RinrFormatError, match=r"'flat' decoded 0 frames: expected 1"):
            rinrcodec.decode(pack, 0)
    monkeypatch.setattr(type(flatter), "decode_objects", lambda *_: [])
    with pytest.raises(RinrFormatError, match=r"'flatter' decoded 0 objects: expected 1"):
        rinrcodec.decode(pack, 0)
    monkeypatch.setattr(type(flatter), "decode_objects", lambda *_: [torch.zeros(1, 1, 3)])
    with pytest.raises(RinrFormatError, match=r"'flatter' decoded .*: expected \[8, 12, 3\]"):
        rinrcodec.decode(pack, 0)


def faulty(kind: str, rows: FittedRows) -> list[FittedRows]:
    """Give what an encoder must not return."""
    (first, *others) = rows.members
    return {
        "none": [],
        "one row less": [replace(rows, members=others)],
        "empty": [replace(rows, members=[[], *others])],
        "twice": [replace(rows, members=[[*first, *first], *others])],
        "too many": [replace(rows, members=[[*first, (7, 0.0)], *others])],
        "other": [replace(rows, group=replace(rows.group, spec=Spec.of("siren")))],
    }[kind]


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("none", r"'flat' put picture 0 \('000000'\) in no row: `fit` must put every picture in"),
        ("one row less", r"'flat' gave the members of 1 row, for a group of 2 rows"),
        ("empty", r"'flat' put picture 0 \('000000'\) in no row"),
        ("twice", r"'flat' put picture 0 \('000000'\) in 2 rows"),
        ("too many", r"'flat' put picture 7 in a row: there are 2"),
        ("other", r"the encoder of 'flat' returned a group of the family 'siren'"),
    ],
)
def test_a_faulty_encoder_is_an_error(
    monkeypatch: pytest.MonkeyPatch, kind: str, message: str
) -> None:
    kinds = type(get_preset("fast", background="flat").background)
    fit = kinds.fit
    monkeypatch.setattr(kinds, "fit", lambda *args: faulty(kind, *fit(*args)))
    pixels = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(RinrInputError, match=message):
        rinrcodec.encode([pixels, pixels], background="flat", preset="fast", device="cpu")


# What names a family in code outside of `families/`: nothing.

NAMES = tuple(families._BUILT_IN)


def sources() -> list[Path]:
    files = []
    for folder in ("rinrcodec", "formats", "plugins", "cli"):
        files += [p for p in (ROOT / folder).rglob("*.py") if not p.is_symlink()]
    return [path for path in files if ROOT / "rinrcodec/families" not in path.parents]


def family_faults(source: str) -> list[str]:
    """Names of families in texts, and tests for the type of a family, an encoder or a spec."""
    faults = []
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = set(re.split(r"[^a-z0-9]+", node.value))
            faults += [f"{node.lineno}: {name}" for name in NAMES if name in words]
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[:2] == ["rinrcodec", "families"] and len(parts) > 2 and parts[2] in NAMES:
                faults.append(f"{node.lineno}: imports {node.module}")
            if node.module == "rinrcodec.families":
                named = [alias.name for alias in node.names if alias.name in NAMES]
                faults += [f"{node.lineno}: imports {name}" for name in named]
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
            faults += [
                f"{node.lineno}: imports {name}"
                for name in dotted
                if name.startswith("rinrcodec.families.") and name.split(".")[2] in NAMES
            ]
        if isinstance(node, ast.Compare) and re.search(
            r"type\(.*(family|background|objects|encoder)", ast.unparse(node)
        ):
            faults.append(f"{node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"isinstance", "issubclass"}:
            value, kinds = map(ast.unparse, node.args)
            asked = re.search(r"family|background|objects|encoder", value) and kinds != "str"
            if asked or re.search(r"Famil|Encoder|Backgrounds|Objects", kinds):
                faults.append(f"{node.lineno}: {ast.unparse(node)}")
    return faults


def test_code_outside_of_families_does_not_ask_for_the_family() -> None:
    faults = {
        str(path.relative_to(ROOT)): lines
        for path in sources()
        if (lines := family_faults(path.read_text(encoding="utf-8")))
    }
    assert faults == {}


@pytest.mark.parametrize(
    "code",
    [
        'x = "nerv"',
        "from rinrcodec.families.siren.encode import SirenObjects",
        "if isinstance(preset.background, X): pass",
        "if issubclass(kind, ObjectFamily): pass",
        "if type(preset.background) is X: pass",
        "from rinrcodec.families import nerv",
        "import rinrcodec.families.nerv.fit",
        'import_module("rinrcodec.families.nerv")',
        'text = "A **nerv** background is one network"',
    ],
)
def test_code_that_asks_for_the_family_is_found(code: str) -> None:
    assert family_faults(code)
