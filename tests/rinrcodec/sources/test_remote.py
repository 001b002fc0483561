"""Sources behind URLs: the same pictures, names, order and labels as of the same tree on disk."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from rinrcodec.errors import RinrInputError, RinrSourceError
from rinrcodec.labels.yolo import read_labels
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.images import load_picture
from rinrcodec.sources.readings import Reading, read_image
from rinrcodec.sources.source import Source
from rinrcodec.storage import to_path
from rinrcodec.storage.atomic import write_whole

Upload = Callable[[Path, str], str]
LABEL = "2 0.5 0.5 0.5 0.5\n"
ODD = ["a b", "ü/日本", "a#1", "100%41", "is it?", "[x]*"]


def put(path: Path, grey: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), grey).save(path)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def content(source: Source, root: str) -> dict[str, Any]:
    """All of a source that does not depend on where it is."""

    def said(text: object) -> str:
        return str(text).replace(root, "ROOT")

    def reading(item: Reading) -> tuple[Any, ...]:
        picture = item.picture
        shown = None if picture is None else (picture.pixels.tolist(), picture.boxes, picture.name)
        return item.name, shown, said(item.error), [said(w) for w in item.warnings], item.digest

    return {
        "kind": source.kind,
        "names": dict(source.names),
        "warnings": [said(warning) for warning in source.warnings],
        "lost": [said(text) for text in source.lost_labels],
        "failures": [said(failure) for failure in source.failures],
        "series": {
            series.name: [
                (ref.name, said(ref.path), said(ref.label), bool(ref.label_stamp))
                for ref in series.refs
            ]
            for series in source.series
        },
        "readings": [reading(item) for series in source.series for item in series.read(jobs=2)],
    }


def same(tmp_path: Path, url: str, name: str = "", **options: Any) -> dict[str, Any]:
    """The content of a source below both roots, which must be the same."""
    labels = options.pop("labels", "auto")
    contents = []
    for root in (str(tmp_path), url):
        of = labels if labels in {"auto", "none"} else f"{root}/{labels}"
        contents.append(content(open_source(f"{root}/{name}".rstrip("/"), labels=of), root))
    assert contents[0] == contents[1]
    return contents[1]


@pytest.mark.parametrize("labels", ["labels", "frames/labels", "frames", "mine"])
def test_a_folder(tmp_path: Path, remote: str, upload: Upload, labels: str) -> None:
    for number, name in enumerate(["b", "a/f10", "a/f2", ".hidden/x", ".y", *ODD]):
        put(tmp_path / f"frames/{name}.png", number)
        if number % 2:
            write(tmp_path / labels / f"{name}.txt", LABEL)
    write(tmp_path / labels / "orphan.txt", LABEL)
    write(tmp_path / "frames/notes.md", "x")
    write(tmp_path / "frames/bad.jpg", "no picture")
    write(tmp_path / "frames/empty.jpg", "")
    upload(tmp_path, remote)
    source = same(tmp_path, remote, "frames", labels="mine" if labels == "mine" else "auto")
    names = [name for name, *_ in source["series"]["frames"]]
    assert len(names) == 11
    assert names.index("a/f2.png") < names.index("a/f10.png")
    assert any(label for *_, label in source["series"]["frames"])
    (orphan,) = source["lost"]
    assert "orphan.txt: labels without a picture" in orphan
    assert all(" no labels, of 11, such as " in other for other in source["warnings"])
    bare = same(tmp_path, remote, "frames", labels="none")
    assert bare["warnings"] == bare["lost"] == []


def test_labels_where_yolo_looks(tmp_path: Path, remote: str, upload: Upload) -> None:
    for name in ("images/x/images/train/a", "images/x/images/train/b", "images/x/images/val/c"):
        put(tmp_path / f"{name}.png")
    write(tmp_path / "images/x/labels/train/a.txt", LABEL)
    write(tmp_path / "images/x/labels/train/gone.txt", LABEL)
    write(tmp_path / "images/x/labels/train/classes.txt", "car")
    upload(tmp_path, remote)
    source = same(tmp_path, remote, "images/x/images")
    (bare,) = source["warnings"]
    assert len(source["lost"]) == 1
    assert "1 picture has no labels, of 3, such as ROOT/images/x/images/val/c.png" in bare
    assert sum(label for *_, label in source["series"]["images"]) == 1
    assert "there is no such label file" in str(source["readings"])


def test_a_whole_bucket(tmp_path: Path, s3: str, upload: Upload) -> None:
    put(tmp_path / "images/a.png")
    write(tmp_path / "labels/a.txt", LABEL)
    upload(tmp_path, s3)
    for url in (s3, f"{s3}/"):
        (series,) = open_source(url).series
        assert series.name == "frames"
        ((name, label),) = [(ref.name, str(ref.label)) for ref in series.refs]
        assert (name, label) == ("images/a.png", f"{s3}/labels/a.txt")


def test_placeholder_objects_of_folders_are_ignored(
    tmp_path: Path, s3: str, upload: Upload
) -> None:
    put(tmp_path / "frames/a.png")
    upload(tmp_path, s3)
    filesystem = fsspec.filesystem("s3")
    for marker in ("frames/", "frames/b.png/"):
        filesystem.call_s3("put_object", Bucket=s3.removeprefix("s3://"), Key=marker, Body=b"")
    for url in (f"{s3}/frames", f"{s3}/frames/"):
        (series,) = open_source(url).series
        assert [ref.name for ref in series.refs] == ["a.png"]
    filesystem.call_s3("put_object", Bucket=s3.removeprefix("s3://"), Key="empty/", Body=b"")
    with pytest.raises(RinrInputError, match="empty: no picture in this folder"):
        open_source(f"{s3}/empty")


@pytest.mark.parametrize("labels", ["images", "here", "none"])
def test_one_image(tmp_path: Path, remote: str, upload: Upload, labels: str) -> None:
    put(tmp_path / "images/é#1.png")
    if labels != "none":
        write(tmp_path / ("labels" if labels == "images" else "images") / "é#1.txt", LABEL)
    upload(tmp_path, remote)
    source = same(tmp_path, remote, "images/é#1.png")
    assert source["readings"][0][1][1] == (() if labels == "none" else source["readings"][0][1][1])
    assert source["warnings"] == []
    url = f"{remote}/images/é#1.png"
    assert np.array_equal(load_picture(url).pixels, load_picture(to_path(url)).pixels)


def test_one_image_in_a_large_folder_is_not_listed(
    tmp_path: Path, s3: str, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a.png")
    upload(tmp_path, s3)
    from s3fs import S3FileSystem

    asked = []
    for name in ("find", "ls"):
        monkeypatch.setattr(S3FileSystem, name, lambda *a, **k: asked.append((a, k)))
    open_source(f"{s3}/a.png")
    assert asked == []


def dataset(root: Path) -> None:
    for name in ("train/a", "train/b", "train/s/c", "val/f2", "val/f10"):
        put(root / f"images/{name}.png")
        if name != "train/b":
            write(root / f"labels/{name}.txt", LABEL)
    write(root / "list.txt", "./images/val/f10.png\nimages/val/f2.png\n\nimages/val/gone.png\n")


@pytest.mark.parametrize(
    ("yaml", "series"),
    [
        ("train: images/train\nval: images/val\nnames: [a, b]\n", 2),
        ("path: .\ntrain: [images/train, images/val]\nnc: 3\n", 1),
        ("train: images/train\nval: list.txt\n", 2),
        ("train: ../images/train\nval: nowhere\n", 1),
        ("path: ../set\ntrain: images/train/a.png\n", 1),
        ("path: images\ntrain: train/../train\n", 1),
    ],
)
def test_a_data_yaml(tmp_path: Path, remote: str, upload: Upload, yaml: str, series: int) -> None:
    dataset(tmp_path / "set")
    write(tmp_path / "set/data.yaml", yaml)
    upload(tmp_path, remote)
    roots = {str(tmp_path / "set"): None, f"{remote}/set": None}
    sources = [open_source(f"{root}/data.yaml") for root in roots]
    names = [[[(r.name, bool(r.label_stamp)) for r in s.refs] for s in f.series] for f in sources]
    assert names[0] == names[1]
    assert len(names[0]) == series
    digests = [[r.digest for s in f.series for r in s.read()] for f in sources]
    assert digests[0] == digests[1]
    assert len(sources[0].failures) == len(sources[1].failures)
    assert sources[0].names == sources[1].names


def test_a_data_yaml_that_names_urls(tmp_path: Path, remote: str, upload: Upload) -> None:
    """URLs of its own store are followed; other URLs and local paths are not."""
    dataset(tmp_path / "far")
    upload(tmp_path / "far", f"{remote}/far")
    put(tmp_path / "near/images/z.png")
    put(tmp_path / "up/images/y.png")
    write(
        tmp_path / "up/data.yaml",
        f"train: [{remote}/far/images/train, {tmp_path}/near/images, 'http://127.0.0.1:9/a']\n"
        "val: images\ntest: list.txt",
    )
    lines = ["f2.png", "f10.png"]
    write(
        tmp_path / "up/list.txt",
        "\n".join(
            [f"{remote}/far/images/val/{line}" for line in lines] + ["ftp://127.0.0.1/a.png"]
        ),
    )
    upload(tmp_path / "up", f"{remote}/up")
    source = open_source(f"{remote}/up/data.yaml")
    names = {series.name: [ref.name for ref in series.refs] for series in source.series}
    assert names == {
        "train": ["a.png", "b.png", "s/c.png"],
        "val": ["y.png"],
        "test": ["f2.png", "f10.png"],
    }
    assert all(item.error is None for series in source.series for item in series.read())
    local, other = source.failures
    assert f"train: {tmp_path}/near/images: a path of this machine, in a file behind" in local
    assert "train: http://127.0.0.1:9/a: leads to another store" in other
    assert any("test: ftp://127.0.0.1/a.png: leads to another" in one for one in source.warnings)


def test_a_local_data_yaml_names_no_urls(tmp_path: Path, remote: str) -> None:
    put(tmp_path / "images/z.png")
    write(tmp_path / "list.txt", f"{remote}/far/a.png\nimages/z.png\n{remote}/far")
    write(tmp_path / "data.yaml", f"train: [{remote}/far/images, images]\nval: list.txt")
    source = open_source(tmp_path / "data.yaml")
    assert [len(series.refs) for series in source.series] == [1, 1]
    assert len(source.failures) == 3
    assert all("a URL in a local file is not followed" in one for one in source.failures)
    write(tmp_path / "data.yaml", f"path: {remote}/far\ntrain: images")
    with pytest.raises(RinrInputError, match=r"data\.yaml: path: .*: a URL in a local"):
        open_source(tmp_path / "data.yaml")


def test_a_listing_rather_than_a_request_for_every_file(
    tmp_path: Path, s3: str, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(40):
        put(tmp_path / f"images/{i % 4}/{i}.png")
        if i % 3:
            write(tmp_path / f"labels/{i % 4}/{i}.txt", LABEL)
    write(tmp_path / "data.yaml", "train: list.txt")
    write(tmp_path / "list.txt", "\n".join(f"images/{i % 4}/{i}.png" for i in range(40)))
    upload(tmp_path, s3)
    from s3fs import S3FileSystem

    asked: list[str] = []
    ask = S3FileSystem._call_s3

    async def counted(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(method)
        return await ask(self, method, *args, **kwargs)

    monkeypatch.setattr(S3FileSystem, "_call_s3", counted)
    source = open_source(f"{s3}/images")
    assert len(source.series[0].refs) == 40
    assert len(asked) <= 5
    asked.clear()
    assert len(open_source(f"{s3}/data.yaml").series[0].refs) == 40
    assert len(asked) <= 15
    asked.clear()
    ref = next(ref for ref in source.series[0].refs if ref.label_stamp)
    assert read_image(ref).error is None
    assert asked == ["get_object", "head_object"] * 2


def test_a_picture_that_changed_since(tmp_path: Path, remote: str, upload: Upload) -> None:
    for name in ("a", "b", "c"):
        put(tmp_path / f"images/{name}.png")
        write(tmp_path / f"labels/{name}.txt", LABEL)
    upload(tmp_path, remote)
    series = open_source(f"{remote}/images").series[0]
    write_whole(to_path(f"{remote}/images/a.png"), put(tmp_path / "x.png", 9).read_bytes())
    write_whole(to_path(f"{remote}/labels/b.txt"), b"")
    to_path(f"{remote}/images/c.png").unlink()
    errors = [str(reading.error) for reading in series.read()]
    assert errors[0].startswith(f"{remote}/images/a.png: changed after this run began; wait")
    assert errors[1].startswith(f"{remote}/labels/b.txt: changed after this run began; wait")
    assert errors[2].startswith(f"{remote}/images/c.png: was removed after this run began; wait")


def test_labels_that_do_not_arrive_are_an_error(
    tmp_path: Path, s3: str, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed connection is no fault of the picture, and must not cost its boxes."""
    put(tmp_path / "images/a.png")
    write(tmp_path / "labels/a.txt", LABEL)
    upload(tmp_path, s3)
    (ref,) = open_source(f"{s3}/images").series[0].refs
    from s3fs import S3FileSystem

    ask = S3FileSystem._call_s3

    async def failing(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "get_object" and kwargs["Key"].endswith(".txt"):
            raise ConnectionResetError(104, "Connection reset by peer")
        return await ask(self, method, *args, **kwargs)

    monkeypatch.setattr(S3FileSystem, "_call_s3", failing)
    with pytest.raises(RinrSourceError, match=r"/labels/a\.txt: cannot be read: "):
        read_image(ref)


def test_refs_are_pickled(tmp_path: Path, remote: str, upload: Upload) -> None:
    put(tmp_path / "a.png")
    upload(tmp_path, remote)
    series = open_source(remote).series[0]
    again = pickle.loads(pickle.dumps(series))
    assert [r.digest for r in again.read()] == [r.digest for r in series.read()]


def test_missing_urls_are_errors(remote: str) -> None:
    with pytest.raises(RinrInputError, match=f"^{remote}/a: there is no such file or folder"):
        open_source(f"{remote}/a")
    with pytest.raises(RinrInputError, match=r"a\.png: there is no such file"):
        load_picture(f"{remote}/a.png")
    labels = read_labels(f"{remote}/a.txt", width=1, height=1)
    assert (labels.boxes, labels.lost) == ((), ())
    (warning,) = labels.warnings
    assert warning == f"{remote}/a.txt: there is no such label file; the picture has no boxes"
    write_whole(to_path(f"{remote}/a.png"), b"x")
    with pytest.raises(RinrInputError, match=f"{remote}/no: no such folder of labels"):
        open_source(f"{remote}/a.png", labels=f"{remote}/no")


def test_a_video_is_to_be_downloaded(tmp_path: Path, remote: str) -> None:
    write_whole(to_path(f"{remote}/a.mp4"), b"x")
    with pytest.raises(RinrInputError, match=r"a\.mp4: .*download"):
        open_source(f"{remote}/a.mp4")
    write(tmp_path / "a.mp4", "x")
    with pytest.raises(RinrInputError, match=f"{remote}/?: .*download"):
        open_source(tmp_path / "a.mp4", labels=remote)
