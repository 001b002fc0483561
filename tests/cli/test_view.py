"""`rinrcodec view`: its server answers for the given packs only, and its page is one file."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from PIL import Image
from view_packs import EVIL, folder_of, many, saved, small_pack, with_broken_frame

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.cli.commands import view
from rinrcodec.cli.views.viewer import gallery as gallery_module
from rinrcodec.cli.views.viewer.gallery import BLOCK, Gallery
from rinrcodec.cli.views.viewer.server import ViewServer
from rinrcodec.datasets.viewing import pictures
from rinrcodec.datasets.viewing.album import Album
from rinrcodec.datasets.viewing.parts import PackParts
from rinrcodec.errors import RinrError, RinrFormatError
from rinrcodec.formats import PackReader, read_pack

from .conftest import Run, write

VECTORS = Path(__file__).parents[1] / "formats/vectors/v1"


class Client:
    """Asks a server, by default as a browser that was sent to its page."""

    def __init__(self, server: ViewServer) -> None:
        self.server = server

    def ask(
        self, path: str, *, method: str = "GET", host: str | None = None, secret: bool = True
    ) -> tuple[int, dict[str, str], bytes]:
        """The status, headers and body of the answer."""
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=300)
        host = f"127.0.0.1:{self.server.port}" if host is None else host
        whole = f"/{self.server.secret}/{path}" if secret else path
        connection.putrequest(method, whole, skip_host=True)
        if host:
            connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        result = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return result

    def data(self, path: str) -> Any:
        status, headers, body = self.ask(path)
        assert (status, headers["Content-Type"]) == (200, "application/json")
        return json.loads(body)

    def image(self, path: str) -> Image.Image:
        status, headers, body = self.ask(path)
        assert status == 200, body
        image = Image.open(io.BytesIO(body))
        assert headers["Content-Type"] == f"image/{image.format.lower()}"
        return image.convert("RGB")


@pytest.fixture
def serve(serving: Callable[..., ViewServer]) -> Callable[..., Client]:
    """Serve packs by their paths, for a client."""
    return lambda *paths, **options: Client(serving(*paths, **options))


def test_the_page_runs_its_own_script_only(serve: Any, pack_file: Path) -> None:
    status, headers, body = serve(pack_file).ask("")
    text = body.decode()
    assert status == 200
    rules = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == "'none'"
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    assert rules["frame-ancestors"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)| on\w+=|src=\"|@import|url\(", text)
    assert "a.rinr: 3 frames" in text


def test_frames_and_pictures(serve: Any, pack_file: Path, tmp_path: Path) -> None:
    source = folder_of(small_pack(), tmp_path / "frames")
    many_frames = read_pack(VECTORS / "many_frames.rinr")
    info = MappingProxyType({"preset": "fast", "target": "quality=30\n"})
    second = saved(replace(many_frames, info=info), tmp_path / "many_frames.rinr")
    client = serve(pack_file, second, source=source)
    block = client.data("frames/0")
    assert [item["name"] for item in block[:3]] == ["0.png", "1.png", "2.png"]
    assert [item["number"] for item in block] == list(range(len(block)))
    assert block[0]["classes"] == [[0, "car", 1], [1, "person", 1]]
    assert block[0]["boxes"][0] == {"class": 0, "box": [2.5, 1.0, 9.0, 7.5]}
    assert block[3]["pack"] == "many_frames.rinr"
    frame = client.data("frame/1")
    assert frame["boxes"][1]["label"] == "person"
    assert frame["facts"][:2] == [["Pack", "a.rinr"], ["Frame", "2 of 3"]]
    made = [row for row in client.data("frame/3")["facts"] if row[0] in ("Preset", "Target")]
    assert made == [["Preset", "fast"], ["Target", r"quality=30\n"]]
    assert [row[0] for row in frame["sizes"]][:2] == ["Background", "Objects"]
    assert client.image("thumbnail/0").size == (20, 12)
    shown = {mode: client.image(f"picture/1/{mode}") for mode in pictures.MODES}
    assert {image.size for image in shown.values()} == {(20, 13)}
    assert len({image.tobytes() for image in shown.values()}) == 4
    with Image.open(source / "1.png") as image:
        assert shown["source"].tobytes() == image.tobytes()
    with rinrcodec.open(pack_file) as file:
        pixels = file.decode(1).numpy().transpose(1, 2, 0)
    assert shown["objects"].tobytes() == pixels.tobytes()


def test_other_hosts_are_refused(serve: Any, pack_file: Path) -> None:
    client = serve(pack_file)
    port = client.server.port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", ""):
        assert client.ask("", host=host)[0] == 403, host
        assert client.ask("frame/0", host=host)[0] == 403, host
    assert client.ask("", host=f"LOCALHOST:{port}")[0] == 200
    assert client.server.server_address[0] == "127.0.0.1"


def test_only_get_is_answered(serve: Any, pack_file: Path) -> None:
    client = serve(pack_file)
    for method in ("POST", "HEAD", "PUT", "OPTIONS", "DELETE", "<b>"):
        status, headers, body = client.ask("", method=method)
        assert (status, headers["Allow"]) == (405, "GET")
        assert headers["Content-Type"].startswith("text/plain")
        assert b"<b>" not in body


@pytest.mark.parametrize(
    "path",
    [
        "frame/3",
        "frame/-1",
        "frame/0/",
        "frame/00000000000000000000",
        "frames/1",
        "thumbnail/99",
        "thumbnail/\u00b2",
        "picture/0/all",
        "picture/3/objects",
        "a.rinr",
        "../a.rinr",
        "frame/0?x=1",
        "frame/0%2e",
        "favicon.ico",
    ],
)
def test_unknown_addresses_are_not_found(serve: Any, pack_file: Path, path: str) -> None:
    client = serve(pack_file)
    if not path.isascii():
        path = "thumbnail/%C2%B2"
    assert client.ask(path)[0] == 404


def test_addresses_without_the_secret_are_not_found(serve: Any, pack_file: Path) -> None:
    client = serve(pack_file)
    other = "x" * len(client.server.secret)
    for path in ("/", "", "/frame/0", f"/{other}/frame/0", f"/{client.server.secret}"):
        status, _, body = client.ask(path or "//", secret=False)
        assert status == (200 if path.endswith(client.server.secret) else 404)
        assert client.server.secret.encode() not in body
    assert serve(pack_file).server.secret != client.server.secret


def test_without_a_source_there_is_no_error(serve: Any, pack_file: Path) -> None:
    status, _, body = serve(pack_file).ask("picture/0/error")
    assert status == 422
    assert b"--source" in body


def test_damage_is_reported_and_other_frames_are_shown(serve: Any, tmp_path: Path) -> None:
    broken = saved(with_broken_frame(small_pack()), tmp_path / "broken.rinr")
    client = serve(write(tmp_path / "bad.rinr", "no pack"), broken)
    assert "bad.rinr: " in client.ask("")[2].decode()
    assert [item.get("problem") for item in client.data("frames/0")] == [None] * 4
    for path in ("thumbnail/3", "picture/3/objects", "picture/3/background"):
        status, headers, body = client.ask(path)
        assert status == 422
        assert headers["Content-Type"] == "text/plain; charset=utf-8"
        assert b"nosuch" in body
    assert client.image("thumbnail/2").size == (20, 14)


@pytest.mark.slow
def test_damaged_bytes_are_a_problem_of_the_frames_that_need_them(
    serve: Any, tmp_path: Path
) -> None:
    path = saved(many(small_pack(), 600), tmp_path / "a.rinr")
    whole = path.read_bytes()
    outcomes = set()
    for offset in range(600, len(whole), len(whole) // 16):
        data = bytearray(whole)
        data[offset] ^= 255
        path.write_bytes(data)
        client = serve(path)
        if not len(client.server.gallery):
            outcomes.add("pack")
            assert "a.rinr: " in client.ask("")[2].decode()
            continue
        for number in (0, 300, 599):
            item = client.data(f"frame/{number}")
            status, _, body = client.ask(f"thumbnail/{number}")
            outcomes.add("table" if "problem" in item else {200: "sound", 422: "row"}[status])
            assert status == 200 or b"a.rinr" in body
    assert outcomes == {"pack", "table", "row", "sound"}


def test_a_pack_that_vanishes_is_a_problem_of_its_frames(serve: Any, tmp_path: Path) -> None:
    paths = [saved(small_pack(), tmp_path / f"{i}.rinr") for i in range(2)]
    client = serve(*paths)
    paths[0].unlink()
    paths[0].mkdir()
    first, *_, last = client.data("frames/0")
    assert "0.rinr" in first["problem"]
    assert "problem" not in last
    assert client.ask("thumbnail/0")[0] == 422
    assert client.image("thumbnail/5").size == (20, 14)


def test_texts_from_packs_are_escaped(serve: Any, run: Run, tmp_path: Path) -> None:
    pack = small_pack(classes=(EVIL, "b"))
    frame = replace(pack.frames[0], name=f"{EVIL.replace('/', '-')}.png")
    path = saved(replace(pack, frames=(frame,)), tmp_path / "a<b>&.rinr")
    client = serve(path)
    item = client.data("frame/0")
    shown = EVIL.replace("\x1b", "\\x1b")
    assert item["name"] == f"{shown.replace('/', '-')}.png"
    assert item["boxes"][0]["label"] == shown[:60] + ("..." if len(shown) > 60 else "")
    run("view", path, "-o", tmp_path / "page.html")
    for page in (client.ask("")[2].decode(), (tmp_path / "page.html").read_text("utf-8")):
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "<b>" not in page
        assert "\x1b" not in page
        assert "a&lt;b&gt;&amp;.rinr" in page
        assert page.count("</script>") == 2


def test_many_and_odd_boxes_are_bounded(serve: Any, tmp_path: Path) -> None:
    pack = small_pack()
    boxes = [Box(i, -5e300, 1, 1e308, 3) for i in range(1100)]
    boxes[0] = Box(0, 1, 1, 3, 3, polygons=((1.0, 1.0, 4.0, 1.0, 4.0, 4.0) * 4000,))
    boxes[1] = Box(0, 1, 1, 3, 3, polygons=((1, 1, 4, 1, 1e300, 4),), track_id=7, score=0.5)
    seen = ((2.04, 3, 2), (4, 5, 1), (0, 0, 0), (1e300, 2, 2), (3, -1, 2))
    boxes[2] = Box(0, 1, 1, 3, 3, keypoints=seen)
    boxes[3] = Box(0, 1, 1, 3, 3, keypoints=((1.0, 1.0),) * 10_001)
    frame = replace(pack.frames[0], boxes=tuple(boxes), objects=(None,) * len(boxes))
    path = saved(replace(pack, frames=(frame,)), tmp_path / "a.rinr")
    client = serve(path, VECTORS / "labels.rinr")
    item = client.data("frame/0")
    assert (len(item["boxes"]), item["n_boxes"], len(item["classes"])) == (1000, 1100, 20)
    assert not any("outlines" in box for box in item["boxes"])
    assert not any("points" in box for box in item["boxes"])
    assert item["boxes"][1]["label"] == "car 0.5 #7"
    assert item["boxes"][5]["box"] == [0.0, 1.0, 20.0, 3.0]
    assert len(client.data("frames/0")[0]["boxes"]) == 100
    assert ["Classes", "20 of more are listed"] in item["facts"]
    few = replace(pack.frames[0], boxes=(boxes[2],), objects=(None,))
    other = serve(saved(replace(pack, frames=(few,)), tmp_path / "b.rinr"))
    assert other.data("frame/0")["boxes"][0]["points"] == [[2.0, 3], [4, 5]]
    labels = client.data("frame/1")
    assert labels["boxes"][0]["outlines"][0][:2] == [6.5, 4.9]
    assert ["Labels", "not understood in full"] in client.data("frame/2")["facts"]


def test_thousands_of_frames_are_listed_in_blocks(serve: Any, tmp_path: Path) -> None:
    path = saved(many(small_pack(), 2000), tmp_path / "a.rinr")
    client = serve(path)
    assert len(client.ask("")[2]) < 60_000
    assert [len(client.data(f"frames/{k}")) for k in (0, 33)] == [BLOCK, 2000 - 33 * BLOCK]
    assert client.ask("frames/34")[0] == 404
    assert client.data("frame/1999")["name"] == "01999.png"
    assert ["Background", "shared by 667 frames"] in client.data("frame/0")["facts"]


def test_frames_are_decoded_one_at_a_time(
    serve: Any, pack_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, most = 0, 0
    decoded = gallery_module.decoded
    gate = threading.Barrier(4, timeout=300)

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            return decoded(*args, **options)
        finally:
            at_once -= 1

    monkeypatch.setattr(gallery_module, "decoded", counted)
    client = serve(pack_file)

    def ask() -> None:
        gate.wait()
        client.image("thumbnail/0")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_limits_hold_for_pictures(run: Run, pack_file: Path, tmp_path: Path) -> None:
    done = run("view", pack_file, "-o", tmp_path / "a.html", "--max-pixels", 100, code=1)
    assert "--max-pixels" in done.stderr
    assert not (tmp_path / "a.html").exists()


def test_wrong_use(run: Run, pack_file: Path, tmp_path: Path) -> None:
    for options, said in (
        (["-o", tmp_path / "page.png"], "must end in .html"),
        (["-o", tmp_path / "page.html", "--port", 8000], "--port is for the server"),
        (["-o", tmp_path / "page.html", "--no-browser"], "--no-browser is for the server"),
        (["--frames", 3], "--frames N is for the page"),
        (["--port", 70000], "70000"),
        (["--source", tmp_path / "nothing"], "there is no such file"),
    ):
        assert said in run("view", pack_file, *options, code=2).stderr
    run("view", code=2)
    run("view", tmp_path / "gone.rinr", code=2)


def test_a_port_in_use(run: Run, serve: Any, pack_file: Path) -> None:
    port = serve(pack_file).server.port
    done = run("view", pack_file, "--port", port, "--no-browser", code=2)
    assert f"--port {port}: " in done.stderr
    assert "give another one" in done.stderr


def test_a_request_that_never_ends_holds_no_connection(
    serve: Any, pack_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rinrcodec.cli.views.viewer.server._REQUEST_S", 0.2)
    monkeypatch.setattr("rinrcodec.cli.views.viewer.server._Handler.timeout", 300)
    server = serve(pack_file).server
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert b"200" not in slow.recv(100)  # ends, though no read has timed out


def test_a_browser_is_opened_where_there_is_a_screen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []

    def open_page(address: str) -> None:
        assert address == (tmp_path / "open.html").as_uri()  # without the secret
        opened.extend(re.findall('url=([^"]+)', (tmp_path / "open.html").read_text()))

    monkeypatch.setattr("webbrowser.open", open_page)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    view._open_browser("http://a", tmp_path)
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    view._open_browser("http://b", tmp_path)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delenv("DISPLAY")
    view._open_browser("http://c", tmp_path)
    assert opened == ["http://b", "http://c"]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_the_server(pack_file: Path) -> None:
    command = [sys.executable, "-m", "rinrcodec", "view", str(pack_file), "--no-browser"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        match = re.fullmatch(r"open http://127\.0\.0\.1:(\d+)(/[\w-]{20,}/)\n", lines[1])
        assert match, lines
        connection = HTTPConnection("127.0.0.1", int(match[1]), timeout=300)
        connection.request("GET", f"{match[2]}thumbnail/0")
        assert connection.getresponse().status == 200
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert (process.returncode, err.strip()) == (130, "interrupted")


def test_a_frame_is_shown_without_sizes_if_tables_are_damaged(
    serve: Any, pack_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(reader: object) -> None:  # noqa: ARG001
        raise RinrFormatError("a table is damaged")

    monkeypatch.setattr(gallery_module, "PackParts", failing)
    item = serve(pack_file).data("frame/0")
    assert "sizes" not in item
    assert ["Bytes", "not known: a table is damaged"] in item["facts"]


@pytest.mark.slow
def test_every_hostile_file_is_shown_or_refused() -> None:
    outcomes = set()
    for path in sorted((VECTORS.parents[1] / "hostile").glob("*.rinr")):
        gallery = Gallery(Album([path]))
        for number in {0, len(gallery) - 1} & set(range(len(gallery))):
            item = gallery.frame(number)
            json.dumps([item, gallery.block(number // BLOCK)], allow_nan=False)
            outcomes.add("problem" if "problem" in item else "shown")
        with suppress(RinrError), PackReader(path) as reader:
            PackParts(reader)
        outcomes.add("opens" if len(gallery) else "refused")
        gallery.close()
    assert outcomes == {"opens", "refused", "problem", "shown"}
