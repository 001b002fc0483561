"""Files on the disks of this machine never cause a request, also where they name URLs."""

from __future__ import annotations

import json
import socket
import warnings
from pathlib import Path
from typing import Any

import fsspec
import pytest
from click.testing import CliRunner

import rinrcodec
from rinrcodec.cli.main import cli

from .conftest import QUICK, Run, picture, put, write

URLS = [
    "http://127.0.0.1:9/latest/meta-data",
    "HTTPS://127.0.0.1:9/a.txt",
    "ftp://127.0.0.1/a",
    "s3://bucket/a",
    "memory://a",
    "simplecache://127.0.0.1/a",
    "simplecache::http://127.0.0.1:9/a.png",
    "zip://a.png::http://127.0.0.1:9/a.zip",
    "smb://127.0.0.1/share/a.png",
    "file://127.0.0.1/nowhere/a.png",
    r"\\127.0.0.1\share\a.png",
    "//127.0.0.1/share/a.png",
]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Fail at any connection, and where fsspec is as much as asked for a file system."""
    asked: list[object] = []

    def refuse(*args: object, **_: object) -> Any:
        asked.append(args)
        raise AssertionError(f"asked for {args}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("filesystem", "get_filesystem_class", "open", "url_to_fs"):
        monkeypatch.setattr(fsspec, name, refuse)
    return asked


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("pack") / "a.rinr"
    made = rinrcodec.encode([picture(1)], steps=2, background="siren", preset="fast", device="cpu")
    rinrcodec.save(made, path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("key", "url"),
    [
        *((key, url) for key in ("val", "list") for url in URLS),
        *((key, url) for key in ("train", "test", "path", "extra") for url in URLS[:2]),
    ],
)
def test_urls_in_a_data_yaml_are_not_requested(
    tmp_path: Path, pack: bytes, no_network: list[object], key: str, url: str
) -> None:
    put(tmp_path / "images/a.png", picture(1))
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs/a.rinr").write_bytes(pack)
    write(tmp_path / "list.txt", f"{url}\nimages/a.png\n")
    for folder, here in ((tmp_path, "images"), (tmp_path / "packs", ".")):
        keys = {"train": f"'{here}'"}
        keys[key if key != "list" else "val"] = "list.txt" if key == "list" else f"'{url}'"
        write(folder / "data.yaml", "".join(f"{k}: {v}\n" for k, v in keys.items()))
    outputs = []
    for args in (
        ("compress", tmp_path / "data.yaml", "-o", tmp_path / "out", *QUICK),
        ("info", tmp_path / "packs"),
        ("verify", tmp_path / "packs/data.yaml"),
        ("decompress", tmp_path / "packs", "-o", tmp_path / "back"),
    ):
        result = CliRunner().invoke(cli, [str(arg) for arg in args])
        assert isinstance(result.exception, (SystemExit, type(None))), result.exception
        assert result.exit_code in {0, 1}, result.output
        outputs.append(result.output)
    assert not no_network
    # The others are names of local files that are not there.
    if url.partition("://")[0].isalnum() and not url.startswith("file"):
        if key != "extra":
            assert "a URL in a local file is not followed" in outputs[0]
        if key not in {"extra", "list"}:
            assert all("a URL in a local file is not followed" in one for one in outputs[1:])


def test_urls_in_other_files_are_not_requested(
    tmp_path: Path, run: Run, no_network: list[object]
) -> None:
    url = "http://127.0.0.1:9/a.png"
    put(tmp_path / "in/a.png", picture(1))
    write(
        tmp_path / "coco.json",
        json.dumps(
            {
                "images": [{"id": 1, "file_name": url, "coco_url": url, "flickr_url": url}],
                "annotations": [],
                "categories": [{"id": 1, "name": url}],
            }
        ),
    )
    write(
        tmp_path / "xml/a.xml",
        f'<!DOCTYPE a [<!ENTITY e SYSTEM "{url}">]><annotation><path>{url}</path><filename>{url}'
        "</filename><size><width>24</width><height>16</height></size></annotation>",
    )
    out = tmp_path / "out"
    run("compress", tmp_path / "in", "-o", out, *QUICK)
    for number, labels in enumerate((tmp_path / "coco.json", tmp_path / "xml")):
        args = ["compress", tmp_path / "in", "-o", tmp_path / f"{number}", "--labels", labels]
        result = CliRunner().invoke(cli, [str(arg) for arg in [*args, *QUICK]])
        assert isinstance(result.exception, (SystemExit, type(None))), result.exception
    manifest = out / "manifest.json"
    text = manifest.read_text().replace("in-00000.rinr", "http://127.0.0.1:9/a.rinr")
    assert url[:10] in text
    manifest.write_text(text)
    run("info", out, code=1)
    run("verify", out, code=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(rinrcodec.RinrDataset(out)) == 1
    assert not no_network
