"""What a listing answers without asking again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rinrcodec.storage import Listing, stamp_of, text_of, to_path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("images/b/a.png", "labels/b/a.txt", "labels/b/c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


@pytest.mark.parametrize("deep", [True, False])
@pytest.mark.parametrize("where", ["disk", "memory", "s3"])
def test_answers_are_those_of_the_storage(
    tree: Path,
    where: str,
    deep: bool,
    upload: Callable[[Path, str], str],
    request: pytest.FixtureRequest,
) -> None:
    root = tree if where == "disk" else to_path(upload(tree, request.getfixturevalue(where)))
    listing = Listing()
    folder = root / "labels/b"
    listing.know(folder.parent if deep else folder, deep=deep)
    assert listing.kind(text_of(folder), root) == "folder"
    assert listing.kind(text_of(folder / "a.txt"), root) == "file"
    assert listing.kind(text_of(folder / "x.txt"), root) is None
    assert listing.stamp(text_of(folder / "a.txt"), root) == stamp_of(folder / "a.txt")
    assert listing.stamp(text_of(folder), root) == listing.stamp(text_of(folder / "x"), root) == ""
    assert listing.texts_below(text_of(folder), root) == ["a.txt", "c.txt"]
    above = text_of(folder.parent)
    if deep:
        assert listing.texts_below(above, root) == ["b/a.txt", "b/c.txt"]
    assert listing.texts_below(above, root, deep=False) == []
    # What is in no listing is asked.
    assert listing.kind(text_of(root / "images/b/a.png"), root) == "file"
    assert [path for path, _ in listing.add(root / "images")] == [root / "images/b/a.png"]


def test_broken_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "good").symlink_to("file")
    (tmp_path / "bad").symlink_to("gone")
    (tmp_path / "self").symlink_to("self")
    names = ("file", "good", "bad", "self", "gone", "x" * 5000)
    dangle = [Listing().dangles(text_of(tmp_path / name), tmp_path) for name in names]
    assert dangle == [False, False, True, True, False, False]


def test_a_bucket_is_listed_once(
    tree: Path, s3: str, upload: Callable[[Path, str], str], s3_requests: list[str]
) -> None:
    root = to_path(upload(tree, s3))
    s3_requests.clear()
    listing = Listing()
    listing.add(root)
    assert s3_requests == ["list_objects_v2"]
    for name in ("labels/b/a.txt", "labels/b", "labels/x", "images"):
        listing.know(root / name, deep=True)
        listing.kind(text_of(root / name), root)
        listing.stamp(text_of(root / name), root)
    assert s3_requests == ["list_objects_v2"]
