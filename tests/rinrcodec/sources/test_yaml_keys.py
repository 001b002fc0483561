"""The keys of a data yaml: names of splits, class names, and keys that are unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rinrcodec.errors import RinrInputError
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.source import Source
from rinrcodec.sources.yaml_keys import class_names
from rinrcodec.storage import files_below

from .tiny_sources import names, put, write

D = Path("d.yaml")


def opened(root: Path, text: str) -> Source:
    for folder in ("a", "b", "c"):
        put(root / folder / f"{folder}.png")
    return open_source(write(root / "d.yaml", text), labels="none")


def named(text: str) -> tuple[dict[int, str], list[str]]:
    data: dict[str, Any] = yaml.safe_load(text)
    return class_names(D, data, yaml.load(text, yaml.BaseLoader).get("names"))


@pytest.mark.parametrize("val", ["", "val:\n", "val: []\n"])
def test_the_key_validation_means_val(tmp_path: Path, val: str) -> None:
    source = opened(tmp_path, f"train: a\n{val}validation: b\nnc: 1\n")
    assert [(series.name, names(series)) for series in source.series] == [
        ("train", ["a.png"]),
        ("val", ["b.png"]),
    ]
    assert source.warnings == source.failures == ()


def test_val_wins_over_validation(tmp_path: Path) -> None:
    source = opened(tmp_path, "train: a\nval: b\nvalidation: c\nnc: 1\n")
    assert names(source.series[1]) == ["b.png"]
    (warning,) = source.warnings
    assert "val and validation are both given; val is used: 'b'" in warning


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("minival: c", "minival: c names pictures that no split uses"),
        ("holdout: [c]", "holdout: c names pictures that no split uses"),
        ("calib: list.txt", "calib: list.txt names pictures that no split uses"),
        ("tset: c", "unknown key 'tset': it is not used; did you mean 'test'?"),
        ("Test: c", "unknown key 'Test': it is not used; did you mean 'test'?"),
        ("tests: nowhere", "unknown key 'tests': it is not used; did you mean 'test'?"),
        ("valid: c", "valid: c names pictures that no split uses"),  # val is given
        ("pack: x.rinr", "pack: x.rinr names pictures that no split uses"),
    ],
)
def test_an_unknown_key_that_means_a_split(tmp_path: Path, line: str, said: str) -> None:
    write(tmp_path / "list.txt", "c/c.png\n")
    write(tmp_path / "x.rinr", "")
    (warning,) = opened(tmp_path, f"train: a\nval: b\n{line}\nnc: 1\n").warnings
    assert said in warning


@pytest.mark.parametrize(
    "line",
    [
        "image_dir: a",  # its pictures are those of train
        "license: LICENSE.txt",
        "download: https://example.com/x.zip",
        "download: |\n  import os\n  os.listdir('c')",
        "date: 2024-05-01\ntask: detect\nversion: 3",
        "roboflow: {workspace: c, version: 1}",
        "flip_idx: [1, 0]\nchannels: 1\nkpt_names: {0: [c]}",
        "docs: nowhere",
    ],
)
def test_keys_that_mean_no_split(tmp_path: Path, line: str) -> None:
    write(tmp_path / "LICENSE.txt", "Do as you like\n")
    assert opened(tmp_path, f"train: a\nval: b\n{line}\nnc: 1\n").warnings == ()


def test_the_hints_come_with_the_error_too(tmp_path: Path) -> None:
    with pytest.raises(RinrInputError, match="'trian': it is not used; did you mean 'train'"):
        opened(tmp_path, "trian: a\nvla: b\nnc: 1\n")


def test_keys_are_kept(tmp_path: Path) -> None:
    text = "path: .\ntrain: a\nvalidation: b\nnames: [x]\nnc: 1\nroboflow: {a: {b: [1]}}\n1: 2\n"
    source = opened(tmp_path, text)
    assert source.yaml_keys == {"nc": 1, "roboflow": {"a": {"b": [1]}}, 1: 2}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("names: [fig, plum]", {0: "fig", 1: "plum"}),
        ("names: {'1': fig, 0: plum}", {0: "plum", 1: "fig"}),
        ("names: [fig, fig]\nnc: '2'", {0: "fig", 1: "fig"}),
        ("names: [1, 2.0]\nnc: 2.0", {0: "1", 1: "2.0"}),
        ("nc: '2'", {0: "class_0", 1: "class_1"}),
        ("names:\nnc: 1", {0: "class_0"}),
        ("nc: 0", {}),
    ],
)
def test_names_of_every_form(text: str, found: dict[int, str]) -> None:
    assert named(text) == (found, [])


def test_a_yaml_without_classes_is_named() -> None:
    names, (warning,) = named("{}")
    assert names == {}
    assert "neither names nor nc: YOLO refuses that" in warning


@pytest.mark.parametrize(
    ("text", "found", "said"),
    [
        (
            "names: [no, on]",
            ["no", "on"],
            'class 0: YAML reads no as False; the name is kept as "no"',
        ),
        ("names: {0: a, 1: 010}", ["a", "010"], "class 1: YAML reads 010 as 8"),
        ("names: [1_0]", ["1_0"], "YAML reads 1_0 as 10"),
        ("names: [a, ~]", ["a", "class_1"], "class 1 has no name; it is class_1"),
        ("names: [a]\nnc: 3", ["a"], "nc is 3, and names has 1 names"),
        ("names: [a]\nnc: many", ["a"], "nc is 'many', and names has 1 names"),
        ("names: {1: a, 4: b}", ["a", "b"], "no name for class 0, 2, 3; YOLO expects"),
        ("names: {65535: a}", ["a"], "no name for class 0, 1, 2, 3, 4, ...; YOLO"),
    ],
)
def test_odd_names_give_warnings(text: str, found: list[str], said: str) -> None:
    result, warnings = named(text)
    assert list(result.values()) == found
    assert any(said in warning for warning in warnings)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("names: fig", "names: found 'fig'; expected a list of class names"),
        ("names: {fig: 0}", "found the class id 'fig'"),
        ("names: {true: fig}", "found the class id True"),
        ("names: {1.5: fig}", "found the class id 1.5"),
        ("names: {65536: fig}", "found the class id 65536"),
        ("names: {0: fig, '0': plum}", "class id 0 is given twice"),
        ("names: [[fig]]", "class 0 is a list; expected a name"),
        ("names: {0: {name: fig}}", "class 0 is a map; expected a name"),
        ("nc: 1.5", "nc: 1.5; expected a whole number"),
        ("nc: -1", "nc: -1; expected a whole number"),
        ("nc: true", "nc: True; expected a whole number"),
        ("nc: [a]", "nc: a list; expected a whole number"),
    ],
)
def test_malformed_names_are_refused(text: str, reason: str) -> None:
    with pytest.raises(RinrInputError, match=r"d\.yaml: ") as error:
        named(text)
    assert reason in str(error.value)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]))))
def test_every_word_in_quotes_is_kept(words: list[str]) -> None:
    for value in (words, {str(i): word for i, word in enumerate(words)}):
        text = yaml.safe_dump({"names": value}, allow_unicode=True)
        assert named(text) == (dict(enumerate(words)), [])


@pytest.mark.parametrize("text", ["/", "..", "../..", "{root}/../set2", "up", "\\0", "x\\0y", "~"])
def test_no_key_makes_us_look_outside_of_the_root(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "set2/deep/x.png")
    put(tmp_path / "x.png")
    root = tmp_path / "set"
    put(root / "c/deep/below/x.png")
    (root / "up").symlink_to(tmp_path.parent)
    listed: list[Path] = []
    below = files_below

    def spy(folder: Path, **options: Any) -> list[tuple[Path, str]]:
        listed.append(folder)
        return below(folder, **options)

    monkeypatch.setattr("rinrcodec.storage.listing.files_below", spy)
    quoted = '"' + text.replace("{root}", str(root)) + '"'
    source = opened(
        root, f"train: a\nval: b\nworkspace: {quoted}\nother: [c/deep, {quoted}]\nnc: 1\n"
    )
    assert source.warnings == ()
    assert listed == [root / "a", root / "b"]


@pytest.mark.parametrize(
    "text", ["./c", "../c", "{root}/c", "c/c.png", ".\\\\c\\\\", "lists/l.txt"]
)
def test_pictures_inside_the_root_are_named_in_any_spelling(tmp_path: Path, text: str) -> None:
    write(tmp_path / "lists/l.txt", "\n../a/a.png\nnowhere.png\n../c/c.png\n")
    quoted = '"' + text.replace("{root}", str(tmp_path)) + '"'
    (warning,) = opened(tmp_path, f"train: a\nval: b\nminival: {quoted}\nnc: 1\n").warnings
    assert "names pictures that no split uses" in warning


def test_an_unreadable_folder_of_a_key_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> list[str]:
        raise PermissionError(13, "no", str(folder))

    monkeypatch.setattr("rinrcodec.sources.unused_files.names_in", refuse)
    source = opened(tmp_path, "train: a\nval: b\nminival: c\n")
    assert not any("minival" in warning for warning in source.warnings)
