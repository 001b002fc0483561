"""The server of `rinrcodec view`: this machine only, frames by their numbers, nothing else.

A page of another site may make a browser send requests here, and other users of the machine may
connect. So every address begins with a secret, and the Host header must name this machine, which
that of a site with a false DNS entry does not.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

from rinrcodec.cli.spelling import as_options
from rinrcodec.cli.views.viewer.gallery import BLOCK, Gallery
from rinrcodec.cli.views.viewer.page import content_policy, served_page
from rinrcodec.datasets.viewing.pictures import MODES, Mode
from rinrcodec.display.thumbnails import EncodedPicture
from rinrcodec.errors import RinrError, plain
from rinrcodec.printing import printable

__all__ = ["ViewServer"]

_HOST = "127.0.0.1"
_MOST_CONNECTIONS = 16  # a browser opens six, and a few ahead of time
_REQUEST_S = 10.0  # for a whole request to arrive: one byte now and then must not hold a connection
_PATH = re.compile(
    r"(?P<page>)|(?P<kind>frames|frame|thumbnail)/(?P<number>\d{1,9})"
    rf"|picture/(?P<shown>\d{{1,9}})/(?P<mode>{'|'.join(MODES)})",
    re.ASCII,
)


class ViewServer(socketserver.ThreadingTCPServer):
    """Answers requests for the frames of a gallery until `shutdown`, on the loopback.

    Args:
        gallery: The frames.
        port: 0 takes a free one.

    Raises:
        OSError: The port is in use or not allowed.
    """

    daemon_threads = True  # a browser may keep a connection open; decoding has threads of its own
    block_on_close = False
    allow_reuse_address = os.name != "nt"  # where it lets two programs share a port
    request_queue_size = 64

    def __init__(self, gallery: Gallery, port: int = 0) -> None:
        self.gallery = gallery
        self.secret = secrets.token_urlsafe(16)
        self.page = served_page(gallery).encode()
        self.policy = content_policy()
        self._slots = threading.Semaphore(_MOST_CONNECTIONS)
        super().__init__((_HOST, port), _Handler)
        self.port: int = self.server_address[1]
        self.hosts = {f"{name}:{self.port}" for name in (_HOST, "localhost")}
        if self.port == 80:
            self.hosts |= {_HOST, "localhost"}

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{_HOST}:{self.port}/{self.secret}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; wait where there are too many."""
        self._slots.acquire()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        super().shutdown_request(request)
        self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over connections that the browser gave up."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server_version = "rinrcodec"
    sys_version = ""
    timeout = _REQUEST_S  # for every read and write

    def setup(self) -> None:
        """Begin to wait for the request, not for ever."""
        super().setup()
        self._deadline = threading.Timer(_REQUEST_S, self._end_reading)
        self._deadline.daemon = True
        self._deadline.start()

    def finish(self) -> None:
        """Answer what is left."""
        self._deadline.cancel()
        super().finish()

    def _end_reading(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RD)

    def do_GET(self) -> None:
        self._deadline.cancel()
        server = cast(ViewServer, self.server)
        if self.headers.get("Host", "").lower() not in server.hosts:
            self._refuse(403, f"open the page as {_HOST}:{server.port}")
            return
        start, _, path = self.path.removeprefix("/").partition("/")
        found = _PATH.fullmatch(path)
        if not secrets.compare_digest(start.encode(), server.secret.encode()) or not found:
            self._refuse(404, "there is no such page")
            return
        try:
            self._answer(server, found)
        except IndexError:
            self._refuse(404, "there is no such frame")
        except (RinrError, OSError) as error:
            if isinstance(error, ConnectionError):
                raise
            self._refuse(422, printable(as_options(plain(str(error)))))

    def _answer(self, server: ViewServer, found: re.Match[str]) -> None:
        gallery = server.gallery
        if found["page"] is not None:
            self._send(200, "text/html; charset=utf-8", server.page)
        elif found["mode"]:
            self._send_picture(gallery.picture(int(found["shown"]), cast(Mode, found["mode"])))
        elif found["kind"] == "thumbnail":
            self._send_picture(gallery.thumbnail(int(found["number"])))
        else:
            number = int(found["number"])
            ask: Callable[[int], Any] = gallery.frame
            if found["kind"] == "frames":
                if number * BLOCK >= len(gallery):
                    raise IndexError
                ask = gallery.block
            data = json.dumps(ask(number), separators=(",", ":")).encode()
            self._send(200, "application/json", data)

    def _send_picture(self, picture: EncodedPicture) -> None:
        self._send(200, picture.media_type, picture.data, cache="private, max-age=3600")

    def _refuse(self, code: int, text: str) -> None:
        self._send(code, "text/plain; charset=utf-8", text.encode())

    def _send(self, code: int, kind: str, data: bytes, *, cache: str = "no-store") -> None:
        self.send_response(code)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(data))),
            ("Cache-Control", cache),
            ("Content-Security-Policy", cast(ViewServer, self.server).policy),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
        ):
            self.send_header(name, value)
        if code == 405:
            self.send_header("Allow", "GET")
        self.end_headers()
        self.wfile.write(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuse what is no request, in plain text."""
        if code == 501:  # a method other than GET
            self._refuse(405, "only GET is answered here")
        else:
            self._refuse(code, "this is no request that is answered here")

    def log_message(self, *_: Any) -> None:
        """Print nothing: a page asks for hundreds of pictures."""
