"""Videos are files that hold their frames; what names other files is not opened."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from rinrcodec.errors import RinrInputError
from rinrcodec.limits import Limits
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.video import count_frames, probe_video, read_video

from .tiny_videos import make_video

HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {} RTP/AVP 96\n"
DASH = (
    "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static' "
    "mediaPresentationDuration='PT1S'><Period><AdaptationSet mimeType='video/mp4'>"
    "<Representation id='1' bandwidth='1'><BaseURL>{}</BaseURL></Representation></AdaptationSet>"
    "</Period></MPD>"
)


@pytest.fixture
def server() -> Iterator[tuple[str, list[int]]]:
    """An address, and the list that grows where something connects to it."""
    calls: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        stop = threading.Event()

        def accept() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                calls.append(1)
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/x.mp4", calls
        stop.set()
        thread.join()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
@pytest.mark.parametrize("text", [HLS, "ffconcat version 1.0\nfile '{}'\n", DASH, SDP])
def test_playlists_are_refused(
    tmp_path: Path, server: tuple[str, list[int]], text: str, suffix: str
) -> None:
    real = make_video(tmp_path / "real.mp4", "mpeg4")
    for target in (str(real), real.name, f"file://{real}", server[0]):
        path = tmp_path / f"clip{suffix}"
        path.write_text(text.format(target))
        for read in (probe_video, count_frames):
            with pytest.raises(RinrInputError, match=r"clip\.\w+: .*not a video"):
                read(path)
    assert server[1] == []


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "JPEG"])
def test_pictures_are_no_videos(tmp_path: Path, kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, kind)
    (tmp_path / "a.mp4").write_bytes(file.getvalue())
    with pytest.raises(RinrInputError, match=r"a\.mp4: not a video container that"):
        probe_video(tmp_path / "a.mp4")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(RinrInputError, match=r"a\.mp4: the file is empty"):
        open_source(tmp_path / "a.mp4")


@pytest.mark.parametrize("name", ["concat:real.mp4|real.mp4", "file:real.mp4", "pipe:0"])
def test_names_of_protocols_are_names_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make_video(tmp_path / "real.mp4", "mpeg4")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RinrInputError, match="No such file"):
        probe_video(name)
    Path(name).write_bytes(Path("real.mp4").read_bytes())
    assert probe_video(name).n_frames == count_frames(name) > 0


def test_a_video_that_declares_too_many_pixels(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", "mpeg4")
    ((_, picture, error),) = read_video(path, limits=Limits(max_pixels=100))
    assert picture is None
    assert "over the limit max_pixels" in (error or "")
