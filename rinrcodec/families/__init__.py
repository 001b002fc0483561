"""The families that code backgrounds and objects, by name: one folder each, and one line here.

Another package brings a family in one of two ways:

* the entry-point group `rinrcodec.families`, whose entries name a `Family` class or object: known
  wherever the package is installed, also in worker processes and on the command line;
* `rinrcodec.families.register(family)`: known in this process. Call it where the module of the
  family is imported, so that workers that unpickle its settings know it, too.

`interface.py` says what a family implements. Modules are imported on first use.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Set
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from rinrcodec.errors import RinrFormatError, RinrInputError
from rinrcodec.families.interface import BackgroundFamily, Family, ObjectFamily
from rinrcodec.pack import GroupInfo

__all__ = [
    "DEFAULT_BACKGROUND",
    "DEFAULT_OBJECTS",
    "OBJECT_CHOICES",
    "as_background",
    "as_objects",
    "background_families",
    "background_families_for",
    "background_family",
    "check_group",
    "family_of",
    "find_family",
    "object_families",
    "object_family",
    "register",
]

# Families of this package -> the class, in the module that holds what a reader needs first.
_BUILT_IN = {
    "siren": "rinrcodec.families.siren:Siren",
    "nerv": "rinrcodec.families.nerv:Nerv",
    "pyramid": "rinrcodec.families.pyramid:Pyramid",
    "av1": "rinrcodec.families.av1:Av1",
}
DEFAULT_BACKGROUND = "av1"
DEFAULT_OBJECTS = "auto"
OBJECT_CHOICES = ("auto", "none")  # besides the families

_ENTRY_POINTS = "rinrcodec.families"
_NAME = re.compile("[a-z][a-z0-9_-]{0,31}")
_loaded: dict[str, Family] = {}
# Names of entry points that cannot be used -> why; one try is enough, which may take long.
_broken: dict[str, str] = {}


def register(family: Family) -> None:
    """Make a family known to this process under its name.

    Registering a family of the same class again changes nothing. docs/own_family.md has a whole
    family, and says when an entry point is better.

    Args:
        family: An object that implements `BackgroundFamily`, `ObjectFamily`, or both.

    Raises:
        RinrInputError: It implements neither, its name is not one, or another family has the name.

    Example:
        >>> from rinrcodec.families import register
        >>> register(ToyGrid())  # doctest: +SKIP
    """
    _check(family)
    known = find_family(family.name)
    if known is not None and type(known) is not type(family):
        raise RinrInputError(
            f"the name {family.name!r} is taken by {type(known).__module__}."
            f"{type(known).__qualname__}: choose another"
        )
    _loaded.setdefault(family.name, family)


def find_family(name: str) -> Family | None:
    """Return the family of that name, or None.

    Args:
        name: A family of this package, a registered one, or the name of an entry point.

    Raises:
        RinrInputError: The entry point of that name cannot be loaded, or gives no such family.
    """
    if name not in _loaded:
        if name in _BUILT_IN:
            module, _, attribute = _BUILT_IN[name].partition(":")
            _loaded[name] = getattr(import_module(module), attribute)()
        else:
            entry = next((entry for entry in _entries() if entry.name == name), None)
            if entry is None:
                return None
            if name in _broken:
                raise RinrInputError(_broken[name])
            try:
                _loaded[name] = _load(entry)
            except RinrInputError as error:
                _broken[name] = str(error)
                raise
    return _loaded[name]


def family_of(name: str) -> Family:
    """Return the family of that name.

    Raises:
        RinrFormatError: This installation has no such family. A file may name one that it lacks.
        RinrInputError: As `find_family`.
    """
    family = find_family(name)
    if family is None:
        raise RinrFormatError(
            f"the family {name!r} is not installed: install the package that brings it, or update "
            f"rinrcodec (known: {', '.join(sorted(_names()))})"
        )
    return family


def as_background(family: Family | None) -> BackgroundFamily | None:
    """Return a family as one that codes backgrounds; None for one that does not."""
    return family if isinstance(family, BackgroundFamily) else None


def as_objects(family: Family | None) -> ObjectFamily | None:
    """Return a family as one that codes objects; None for one that does not."""
    return family if isinstance(family, ObjectFamily) else None


def background_family(name: str) -> BackgroundFamily:
    """Return the family of that name, which codes backgrounds.

    Raises:
        RinrFormatError: There is no such family, or it codes objects only.
        RinrInputError: As `find_family`.
    """
    family = family_of(name)
    if not isinstance(family, BackgroundFamily):
        raise RinrFormatError(f"the family {name!r} codes objects only, not backgrounds")
    return family


def object_family(name: str) -> ObjectFamily:
    """Return the family of that name, which codes objects.

    Raises:
        RinrFormatError: There is no such family, or it codes backgrounds only.
        RinrInputError: As `find_family`.
    """
    family = family_of(name)
    if not isinstance(family, ObjectFamily):
        raise RinrFormatError(f"the family {name!r} codes backgrounds only, not objects")
    return family


def background_families() -> dict[str, BackgroundFamily]:
    """Return all families that code backgrounds, by name; those of this package come first.

    A family that cannot be loaded is left out, with a warning the first time.
    """
    return {name: family for name, family in _all() if isinstance(family, BackgroundFamily)}


def background_families_for(fields: Set[str], objects: str | None = None) -> list[str]:
    """Return the names of the families whose backgrounds can be encoded for a target.

    Args:
        fields: Fields of `rinrcodec.Target`, all of which have to be understood.
        objects: The objects on top, as of `rinrcodec.presets.get_preset`.
    """
    return [
        name
        for name, family in background_families().items()
        if fields <= _fields_of(family, objects or DEFAULT_OBJECTS)
    ]


def _fields_of(family: BackgroundFamily, objects: str) -> set[str]:
    """Return the fields of a target that a family understands, with objects where it can."""
    fields = set(family.targets)
    if "quality" in fields:
        fields.add("n_bytes")  # the encoder looks for the quality of that size
    if family.takes_objects:
        for name, one in object_families().items():
            if objects in (name, "auto"):
                fields |= one.object_targets
    return fields


def object_families() -> dict[str, ObjectFamily]:
    """Return all families that code objects, by name; those of this package come first.

    A family that cannot be loaded is left out, with a warning the first time.
    """
    return {name: family for name, family in _all() if isinstance(family, ObjectFamily)}


def check_group(info: GroupInfo) -> Family:
    """Let the family of a group check it, and return the family.

    Args:
        info: A group, whose spec names the family.

    Raises:
        RinrFormatError: The family is unknown, or the rows do not fit their spec.
    """
    family = family_of(info.spec.family)
    family.check(info)
    return family


def _all() -> Iterator[tuple[str, Family]]:
    for name in _names():
        known = name in _broken
        try:
            yield name, family_of(name)
        except RinrInputError as error:  # one broken package must not stop all commands
            if not known:
                warnings.warn(str(error), stacklevel=3)


def _names() -> list[str]:
    return list(dict.fromkeys([*_BUILT_IN, *_loaded, *(entry.name for entry in _entries())]))


def _entries() -> Iterator[EntryPoint]:
    yield from entry_points(group=_ENTRY_POINTS)


def _load(entry: EntryPoint) -> Family:
    try:
        value = entry.load()
        family: Family = value() if isinstance(value, type) else value
    except Exception as error:
        raise RinrInputError(
            f"the family {entry.name!r} of {entry.value} cannot be loaded ({error!r}); "
            "update or uninstall the package that brings it"
        ) from error
    try:
        _check(family)
    except RinrInputError as error:
        raise RinrInputError(
            f"the entry point {entry.name} = {entry.value} of the group {_ENTRY_POINTS}: {error}"
        ) from error
    if family.name != entry.name:
        raise RinrInputError(
            f"the entry point {entry.name} = {entry.value} of the group {_ENTRY_POINTS} gives the "
            f"family {family.name!r}: both must have the same name"
        )
    return family


def _check(family: Family) -> None:
    if not isinstance(family, (BackgroundFamily, ObjectFamily)):
        raise RinrInputError(
            f"{family!r} is not a family: derive from BackgroundFamily or ObjectFamily of "
            "rinrcodec.families.interface and give an object of that class"
        )
    name = getattr(family, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RinrInputError(
            f"a family with the name {name!r}: use up to 32 lower-case letters, digits, "
            "- and _, beginning with a letter"
        )
