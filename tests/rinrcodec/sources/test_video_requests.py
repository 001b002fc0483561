"""Videos that are lists of files and URLs, as FFmpeg has them: they cause no request."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rinrcodec.errors import RinrInputError
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.video import count_frames, probe_video, read_video

from .test_video import make_video


@pytest.fixture
def requests() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on the loopback, and what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


# What FFmpeg reads as lists of files and URLs, or as calls to open a port.
PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}/a.ts\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{url}/a.mp4'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT9S" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{url}/a.mp4'
    "</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "smil": "<smil><body><video src='{url}/a.mp4'/></body></smil>",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("name", ["clip.mp4", "clip.ts", "clip.m3u8"])
def test_a_list_of_urls_is_no_video(
    tmp_path: Path, requests: tuple[str, list[str]], kind: str, name: str
) -> None:
    url, asked = requests
    path = tmp_path / name
    path.write_text(PLAYLISTS[kind].format(url=url))
    by_suffix = [] if name.endswith("m3u8") else [open_source]  # else, it is no kind of video
    for read in (*by_suffix, probe_video, count_frames):
        with pytest.raises(RinrInputError, match=f"{name}: (a .*, )?not a video"):
            read(path)
    flat = [(picture, error) for _, picture, error in read_video(path)]
    assert [picture for picture, _ in flat] == [None]
    assert not asked


def test_names_that_ffmpeg_takes_for_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requests: tuple[str, list[str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_video(Path("clip.mp4"))
    for name in ("http:clip.mp4", "concat:clip.mp4|clip.mp4", "data:,a.mp4", "%d.mp4", "-.mp4"):
        os.link("clip.mp4", name)
        assert count_frames(name) == count_frames("clip.mp4")
        (series,) = open_source(name).series
        assert all(reading.error is None for reading in series.read())
    assert not requests[1]
