"""`rinrcodec view`: look at the frames of packs in a browser."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from rinrcodec.cli.options import PathOrUrl, max_pixels_option, quiet_option, writable

if TYPE_CHECKING:
    from rinrcodec.cli.views.viewer.gallery import Gallery

__all__ = ["command"]

_FRAMES = 12


@click.command("view")
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=PathOrUrl(exists=True))
@click.option(
    "-o", "--out", metavar="FILE", callback=writable,
    help="Write a page with some frames inside, in place of serving all: one file that needs no "
    "other. An older one is replaced.",
)  # fmt: skip
@click.option(
    "--frames", type=click.IntRange(min=1), metavar="N",
    help=f"Frames in the page of -o, spread evenly. [default: {_FRAMES}]",
)  # fmt: skip
@click.option(
    "--source", "pictures", type=PathOrUrl(exists=True), metavar="DIR",
    help="The pictures from which the packs were made: a folder, a data yaml or one picture. "
    "Shows them, and the error.",
)  # fmt: skip
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    help="Port of the server. [default: one that is free]",
)
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@max_pixels_option
@quiet_option
def command(
    sources: tuple[Path, ...],
    out: str | None,
    frames: int | None,
    pictures: Path | None,
    port: int | None,
    no_browser: bool,
    max_pixels: int | None,
    quiet: bool,
) -> int:
    """Look at the frames of .rinr files in a browser.

    SRC is a .rinr file, a folder of them, or a data.yaml that compress wrote, also by its URL.
    Shows all frames with their boxes and classes, each with and without objects, and where the
    bytes go. The address works on this machine only, until Ctrl-C.
    """
    _check_options(out, frames, port, no_browser=no_browser)
    from rinrcodec.cli.output import print_errors
    from rinrcodec.cli.views.viewer.gallery import Gallery
    from rinrcodec.datasets.packs import list_packs
    from rinrcodec.datasets.viewing.album import Album
    from rinrcodec.datasets.viewing.sources import SourcePictures
    from rinrcodec.limits import limits_for

    limits = limits_for(max_pixels)
    paths, bad = list_packs(sources)
    album = Album(paths, limits=limits)
    print_errors([*bad.values(), *album.bad.values()])
    if not len(album):
        return 1
    originals = None if pictures is None else SourcePictures(pictures, limits=limits)
    gallery = Gallery(album, originals)
    try:
        if out is None:
            _serve(gallery, port, no_browser=no_browser)
            return 0
        problems = _write(gallery, out, frames or _FRAMES, quiet=quiet)
        print_errors(problems)
        return 1 if bad or album.bad or problems else 0
    finally:
        gallery.close()


def _check_options(
    out: str | None, frames: int | None, port: int | None, *, no_browser: bool
) -> None:
    if out is None and frames is not None:
        raise click.UsageError("--frames N is for the page of -o; without -o all frames are served")
    if out is not None:
        if port is not None or no_browser:
            name = "--no-browser" if port is None else "--port"
            raise click.UsageError(f"{name} is for the server, and -o {out} starts none")
        if Path(out).suffix.lower() not in {".html", ".htm"}:
            raise click.UsageError(f"-o {out}: the name must end in .html")


def _write(gallery: Gallery, out: str, n_frames: int, *, quiet: bool) -> list[str]:
    """Write the page; return what was wrong with frames."""
    from rinrcodec.cli.output import say
    from rinrcodec.cli.progress import progress
    from rinrcodec.cli.views.viewer.page import one_file_page
    from rinrcodec.sources.spread import evenly_spread
    from rinrcodec.storage import make_folder
    from rinrcodec.storage.atomic import named_file, write_text, writing

    numbers = evenly_spread(n_frames, len(gallery))
    with progress("decoding", len(numbers), quiet=quiet) as bar:
        text, problems = one_file_page(gallery, numbers, on_frame=bar.update)
    with writing(Path(out)):
        make_folder(Path(out).parent)
        write_text(named_file(Path(out)), text)
    if not quiet:
        left_out = len(gallery) - len(numbers)
        rest = f", {left_out:,} left out (--frames N takes more)" if left_out else ""
        say(f"page: {out}: {len(numbers):,} of {len(gallery):,} frames{rest}")
    return problems


def _serve(gallery: Gallery, port: int | None, *, no_browser: bool) -> None:
    """Serve until Ctrl-C, which ends this as it ends all commands."""
    from rinrcodec.cli.output import say
    from rinrcodec.cli.views.viewer.server import ViewServer

    try:
        server = ViewServer(gallery, port or 0)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise click.UsageError(f"--port {port}: {error.strerror}; give another one") from error
    with server:
        say(gallery.title, f"open {server.url}", "Ctrl-C ends this")
        sys.stdout.flush()
        with TemporaryDirectory(prefix="rinrcodec-view-") as folder:  # of this user alone
            if not no_browser:
                _open_browser(server.url, Path(folder))
            server.serve_forever(poll_interval=0.2)


def _open_browser(url: str, folder: Path) -> None:
    """Show the page, where there is a screen; elsewhere the terminal's browser would start.

    The browser gets a file that leads to the address: all users of the machine see its arguments.
    """
    import webbrowser

    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        return
    page = folder / "open.html"
    page.write_text(f'<meta http-equiv="refresh" content="0; url={url}">\n', encoding="utf-8")
    webbrowser.open(page.as_uri())
