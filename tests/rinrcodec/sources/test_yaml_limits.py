"""Small data yamls that expand to a lot: aliases of aliases, long numbers, odd tags."""

from __future__ import annotations

from datetime import date, datetime, timezone
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rinrcodec.datasets.packs import yaml_text
from rinrcodec.errors import RinrInputError
from rinrcodec.sources.data_yaml import load_data_yaml
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.split_entries import entries_of
from rinrcodec.sources.yaml_file import check_nodes
from rinrcodec.sources.yaml_keys import shown

from .tiny_sources import names, put, write

LEVELS = 12  # of 10 aliases each: 10^12 values


def bomb(first: str, each: str) -> str:
    """Anchors a0 to a11; `each` holds what a level makes of its aliases, with %s for them."""
    lines = [f"a0: &a0 {first}"]
    for level in range(1, LEVELS):
        aliases = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} {each % aliases}")
    return "\n".join(lines) + "\n"


LISTS = bomb("[lol, lol]", "[%s]")
MERGED = bomb("{x: 1, y: 2}", "{<<: [%s]}")
PAIRS = bomb("[lol, lol]", "!!pairs [{k: [%s]}]")


@pytest.mark.parametrize("aliases", [LISTS, MERGED, PAIRS], ids=["lists", "merged", "pairs"])
@pytest.mark.parametrize(
    "line",
    [
        "train: a",
        "train: *a11",
        "train: !!pairs [a: *a11]",
        "train: a\nnames: *a11",
        "train: a\nnames: [*a11]",
        "train: a\nnames: {0: *a11}",
        "train: a\nkpt_shape: *a11",
        "train: a\nnc: *a11",
        "path: *a11\ntrain: a",
        "train: a\nval: b\nvalidation: *a11",
    ],
)
def test_a_bomb_of_aliases_is_one_line_of_error(tmp_path: Path, aliases: str, line: str) -> None:
    put(tmp_path / "a/x.png")
    file = write(tmp_path / "d.yaml", aliases + line + "\n")
    for read in (open_source, load_data_yaml):
        with pytest.raises(RinrInputError, match=r"characters when its aliases") as error:
            read(file)
        assert len(str(error.value)) < len(str(file)) + 200


def test_long_texts_count_once_per_alias(tmp_path: Path) -> None:
    put(tmp_path / "a/x.png")
    text = f"x: &x {'m' * 10_000}\nlist: [{', '.join(['*x'] * 1000)}]\ntrain: a\n"
    with pytest.raises(RinrInputError, match=r"d\.yaml:2: more than 4,194,304 characters"):
        open_source(write(tmp_path / "d.yaml", text))


@pytest.mark.parametrize("text", ["x: &x [*x]", "x: &x {y: {z: *x}}", "&x {train: a, x: *x}"])
def test_a_value_that_contains_itself_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RinrInputError, match=r"d\.yaml:1: a value contains itself"):
        open_source(write(tmp_path / "d.yaml", text))


@pytest.mark.parametrize(
    "value",
    [
        "9" * 5000,
        f"0x{'f' * 5000}",
        ":".join(["1"] * 5000),
        ":".join(["1"] * 5000) + ".5",
        ":".join(["1"] * 300) + ".5",
        "!!bool maybe",
        "!!int ''",
        "!!float ''",
        "!!timestamp never",
        "!!int [1]",
        "{[a]: b}",
        "!!set {{a: b}}",
        "!!python/name:os.system",
        "2024-13-01",
        "[" * 600,
    ],
    ids=lambda value: str(value)[:20],
)
@pytest.mark.parametrize("key", ["train", "names", "other"])
def test_values_that_yaml_cannot_make_are_refused(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(
        RinrInputError,
        match=r"d\.yaml: not a yaml file: |a number of \S* digits|at more than 32 levels",
    ) as error:
        open_source(write(tmp_path / "d.yaml", f"{key}: {value}\n"))
    assert len(str(error.value)) < 1000


def test_aliases_as_people_use_them_are_fine(tmp_path: Path) -> None:
    put(tmp_path / "a/x.png")
    text = "base: &b {lr: 0.1}\nruns: [*b, {<<: *b, x: 1}]\ntrain: &t [a]\nval: *t\nnc: 1\n"
    source = open_source(write(tmp_path / "d.yaml", text))
    assert source.yaml_keys["runs"] == [{"lr": 0.1}, {"lr": 0.1, "x": 1}]
    assert yaml.safe_load(yaml_text(source.yaml_keys)) == source.yaml_keys


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
        max_leaves=60,
    )
)
def test_no_yaml_without_aliases_is_too_large(value: object) -> None:
    for flow in (True, False):
        text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
        check_nodes(Path(), yaml.compose(text, yaml.SafeLoader), most=4 * len(text))


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("!!pairs [a: b]", "a pair"),
        ("!!omap [a: [b]]", "a pair"),
        ("!!set {a}", "a set"),
        ("yes", "True"),
        ("2024-05-01 10:00:00", "2024-05-01 10:00:00"),
        ("!!binary aGk=", "b'hi'"),
    ],
)
def test_an_entry_that_is_no_path_is_refused(tmp_path: Path, entry: str, found: str) -> None:
    put(tmp_path / "a/x.png")
    for text in (f"train: {entry}\n", f"train: [a, [{entry}]]\n", f"train: a\nval: {entry}\n"):
        with pytest.raises(RinrInputError) as error:
            open_source(write(tmp_path / "d.yaml", text))
        assert str(error.value).endswith(f": expected a path, found {found}")


@pytest.mark.parametrize("folder", ["7", "1.5", "2024-05-01", "x"])
def test_folders_that_are_no_text_in_yaml(tmp_path: Path, folder: str) -> None:
    put(tmp_path / folder / "x.png")
    source = open_source(write(tmp_path / "d.yaml", f"train: {folder}\nnc: 1\n"))
    assert names(source.series[0]) == ["x.png"]


@pytest.mark.parametrize("name", ["!!pairs [a: b]", "!!set {a}", "{a: b}", "[a]"])
@pytest.mark.parametrize("form", ["names: [%s]", "names: {0: %s}", "names: !!omap [0: %s]"])
def test_a_class_name_is_one_word(tmp_path: Path, name: str, form: str) -> None:
    put(tmp_path / "a/x.png")
    with pytest.raises(RinrInputError, match=r"expected a (list of class )?name"):
        open_source(write(tmp_path / "d.yaml", f"train: a\n{form % name}\n"))


def test_names_from_a_merged_map(tmp_path: Path) -> None:
    put(tmp_path / "a/x.png")
    text = "base: &b {0: fig}\ntrain: a\nnames: {<<: *b}\n"
    source = open_source(write(tmp_path / "d.yaml", text))
    assert source.names == {0: "fig"}


def test_names_override_those_of_a_merged_map(tmp_path: Path) -> None:
    put(tmp_path / "a/x.png")
    text = "base: &b {names: {0: 01, 1: fig}}\n<<: *b\ntrain: a\nnames: {0: 0x10}\n"
    source = open_source(write(tmp_path / "d.yaml", text))
    assert source.names == {0: "0x10"}


shared = ["x" * 100] * 100
for _ in range(30):
    shared = [shared] * 100  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (shared, "a list"),
        ([shared], "a list"),
        (("k", shared), "a pair"),
        ({"a": shared}, "a map"),
        ({"a", "b"}, "a set"),
        (date(2024, 5, 1), "2024-05-01"),
        (datetime(2024, 5, 1, 3, tzinfo=timezone.utc), "2024-05-01 03:00:00+00:00"),
        ([17, 3], "[17, 3]"),
        ("y" * 500, "'" + "y" * 59),
        (b"y" * 500, "b'" + "y" * 58),
        ([10**900] * 4, "[1" + "0" * 58),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_in_a_message_is_short(value: object, text: str) -> None:
    assert shown(value) == text


def test_entries_shared_by_aliases_end() -> None:
    with pytest.raises(RinrInputError, match="more than 100,000 entries"):
        entries_of(shared, "d.yaml: train")
