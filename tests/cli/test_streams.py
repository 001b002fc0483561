"""`compress -` and cameras: packs appear one by one, and what is complete is kept."""

from __future__ import annotations

import io
import itertools
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result

import rinrcodec
from rinrcodec.cli.main import cli
from rinrcodec.datasets.options import CompressOptions
from rinrcodec.datasets.streaming.compress_stream import compress_stream
from rinrcodec.errors import RinrInputError, RinrSourceError, RinrUsageError
from rinrcodec.sources.live.stream import is_stream, shown_name

from .conftest import QUICK, Run, contents

AV1 = ("--preset", "fast", "--device", "cpu")


def movie(form: str = "matroska", n: int = 7, codec: str = "mpeg4") -> bytes:
    """A video of 32x16 whose frame i has the grey 20 i."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        if codec == "mjpeg":
            stream.pix_fmt = "yuvj420p"
        for i in range(n):
            pixels = np.full((16, 32, 3), 20 * i % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


def send(data: bytes, *args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["compress", "-", *map(str, args), *AV1], input=data)
    assert result.exit_code == code, result.output
    return result


def options(**changed: Any) -> CompressOptions:
    given: dict[str, Any] = {
        "preset": "fast", "background": "av1", "objects": None, "steps": None, "gop": None,
        "target": None, "layout": "pack", "shard_size": 3, "device": "cpu", "seed": 0,
        "jobs": None, "executor": "local", "ray_address": None, "resume": False, "overwrite": False,
    }  # fmt: skip
    return CompressOptions(**{**given, **changed})


def greys(folder: Path) -> dict[str, float]:
    shown = {}
    for pack in sorted(folder.glob("*.rinr")):
        with rinrcodec.open(pack) as file:
            for index in range(len(file)):
                shown[file.frame(index).name] = float(file.decode(index).float().mean())
    return shown


@pytest.mark.parametrize("form", ["matroska", "mpegts", "avi"])
def test_a_pipe_becomes_packs_with_all_frames_in_order(tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    result = send(movie(form), "-o", out, "--shard-size", 3)
    assert contents(out).keys() == {f"stream-0000{i}.rinr" for i in range(3)}
    assert result.stderr.splitlines()[0].startswith(f"{out}/stream-00000.rinr: 3 frames, ")
    assert "frames: 7, packs: 3" in result.stdout
    shown = greys(out)
    assert list(shown) == [f"stream/{i + 1:06d}.png" for i in range(7)]
    np.testing.assert_allclose(list(shown.values()), [20 * i for i in range(7)], atol=4)
    assert rinrcodec.verify(out).ok
    with rinrcodec.open(out / "stream-00000.rinr") as file:
        assert file.info["frame_rate"] == "10"


def test_packs_are_published_while_the_stream_continues(tmp_path: Path) -> None:
    data = movie("mpegts", 24)
    reader, writer = os.pipe()
    appeared = threading.Event()
    seen: list[str] = []

    def feed() -> None:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(data[: len(data) * 3 // 4])
            pipe.flush()
            appeared.wait(60)  # the end is not sent before a pack is there
            pipe.write(data[len(data) * 3 // 4 :])

    def on_message(text: str) -> None:
        seen.append(text)
        appeared.set()

    sender = threading.Thread(target=feed)
    sender.start()
    with os.fdopen(reader, "rb") as stdin:
        result = compress_stream("-", tmp_path, options(), on_message=on_message, stdin=stdin)
    sender.join()
    assert (result.frames, len(result.packs), len(seen)) == (24, 8, 8)


class Interrupted(io.BytesIO):
    """A pipe during which Ctrl-C is pressed, after so many bytes."""

    def __init__(self, data: bytes, stop: int) -> None:
        super().__init__(data)
        self._stop = stop

    def read1(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self._stop:
            raise KeyboardInterrupt
        return super().read1(min(size or 0, 256))


def test_ctrl_c_keeps_what_is_encoded(tmp_path: Path) -> None:
    data = movie("mpegts", 40)
    stdin = Interrupted(data, len(data) * 3 // 4)
    result = compress_stream("-", tmp_path / "out", options(shard_size=9, gop=2), stdin=stdin)
    assert result.interrupted
    assert 9 <= result.frames < 40
    assert result.dropped < 2
    assert list(greys(tmp_path / "out")) == [
        f"stream/{i:06d}.png" for i in range(1, result.frames + 1)
    ]
    assert rinrcodec.verify(tmp_path / "out").ok


@pytest.mark.parametrize("written", [True, False])
def test_ctrl_c_while_a_pack_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    import rinrcodec.datasets.streaming.compress_stream as module

    real, calls = module.create_file, itertools.count()

    def interrupted(path: Path, data: bytes) -> bool:
        first = next(calls) == 0
        done = not (first and not written) and real(path, data)
        if first:
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(module, "create_file", interrupted)
    result = compress_stream("-", tmp_path, options(), stdin=io.BytesIO(movie()))
    assert result.interrupted
    (pack,) = tmp_path.iterdir()
    assert (result.packs, result.frames) == ([str(pack)], 3)
    assert result.bytes == pack.stat().st_size
    assert len(greys(tmp_path)) == 3


def test_few_large_frames_wait_for_a_family_without_sequences(tmp_path: Path) -> None:
    from rinrcodec.datasets.progress import ignore
    from rinrcodec.datasets.streaming.compress_stream import StreamResult, _Shard

    given = options(background="siren")
    shard = _Shard(tmp_path, "x", "", given, "cpu", StreamResult("-", "x"), ignore)
    waiting = [shard._batch(100, pixels) for pixels in (1, 2**22, 2**24, 2**26)]
    assert waiting == [16, 4, 1, 1]
    assert shard._batch(3, 1) == 3


def test_a_camera_that_breaks_off_loses_no_frame(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rinrcodec.datasets.streaming.compress_stream as module

    real_open, real_read = av.open, module.read_stream

    def camera(file: Any, *others: Any, **given: Any) -> Any:
        if not isinstance(file, str):
            return real_open(file, *others, **given)
        return real_open("testsrc=size=32x16:rate=10:duration=1", format="lavfi")

    def broken(*args: Any, **given: Any) -> Iterator[Any]:
        yield from itertools.islice(real_read(*args, **given), 5)
        raise RinrSourceError("/dev/video0: the stream broke off: timed out")

    monkeypatch.setattr(av, "open", camera)
    monkeypatch.setattr(module, "read_stream", broken)
    out, figures = tmp_path / "out", tmp_path / "figures.json"
    result = run(
        "compress", "/dev/video0", "-o", out, "--shard-size", 3, "--json", figures, *AV1, code=1
    )
    assert "frames: 5, packs: 2" in result.stdout
    assert result.stderr.endswith("error: /dev/video0: the stream broke off: timed out\n")
    assert list(greys(out)) == [f"video0/{i:06d}.png" for i in range(1, 6)]
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert (found["frames"], found["dropped"]) == (5, 0)
    assert found["error"] == "/dev/video0: the stream broke off: timed out"


def test_the_command_ends_an_interrupted_stream_as_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rinrcodec.cli.views.other_runs as module
    from rinrcodec.datasets.streaming.compress_stream import StreamResult

    def ended(*_: object, **__: object) -> StreamResult:
        return StreamResult("x", "y", frames=9, packs=["a"], dropped=2, interrupted=True)

    monkeypatch.setattr(module, "compress_stream", ended)
    result = send(b"", "-o", tmp_path / "out", code=130)
    assert (
        "interrupted; 1 pack with 9 frames complete; 2 frames after them dropped" in result.stderr
    )


@pytest.mark.parametrize("source", ["/dev/video0", "rtsp://me:secret@door.example:554/live?key=1"])
def test_a_camera_is_opened_by_the_given_name_only(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    real, asked = av.open, []

    def camera(file: Any, *others: Any, **given: Any) -> Any:
        if not isinstance(file, str):  # the families read their own bytes
            return real(file, *others, **given)
        asked.append((file, given))
        return real("testsrc=size=32x16:rate=10:duration=1", format="lavfi")

    monkeypatch.setattr(av, "open", camera)
    out, figures = tmp_path / "out", tmp_path / "figures.json"
    result = run("compress", source, "-o", out, "--shard-size", 6, "--json", figures, *AV1)
    ((file, given),) = asked
    assert file == source
    name = "video0" if source.startswith("/dev") else "door.example"
    assert contents(out).keys() == {f"{name}-00000.rinr", f"{name}-00001.rinr"}
    assert len(greys(out)) == 10
    if name == "video0":
        assert given["format"] == "v4l2"
        assert given["options"] == {"protocol_whitelist": "none"}
    else:
        assert given["options"]["rtsp_transport"] == "tcp"
        assert set(given["options"]["protocol_whitelist"].split(",")).isdisjoint({"file", "http"})
    said = result.output + result.stderr + figures.read_text(encoding="utf-8")
    assert "secret" not in said
    assert "key=1" not in said
    assert json.loads(figures.read_text(encoding="utf-8"))["source"] == shown_name(source)


def test_pipes_cameras_and_rtsp_addresses_are_streams() -> None:
    for text in ("-", "/dev/video0", "rtsp://h/a", "RTSPS://h"):
        assert is_stream(text)
    for other in (
        "./-",
        "/dev/video",
        "/dev/video0/x",
        "/dev/sda",
        "rtsp:a",
        "http://h/a.mkv",
        b"-",
    ):
        assert not is_stream(other)


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://[x",
        "rtsp://me:to#ken@door.example/live",
        "rtsp://me:to/ken@door.example/live",
        "rtsp://me:1?ken@door.example/live",
        "rtsp://me:to[ken@door.example/live",
        "rtsp://door.example:ken/live",
        "rtsp://me:token@/live",
    ],
)
def test_an_address_that_is_not_valid_shows_no_password(
    run: Run, tmp_path: Path, source: str
) -> None:
    result = run("compress", source, "-o", tmp_path / "out", *AV1, code=2)
    assert result.stderr.startswith("error: the RTSP address is not valid: give rtsp://USER:")
    assert "ken" not in result.output + result.stderr


def test_a_missing_camera_is_an_error(run: Run, tmp_path: Path) -> None:
    result = run("compress", "/dev/video9999", "-o", tmp_path / "out", code=2)
    assert result.stderr == "error: /dev/video9999: there is no such camera\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--resume",), "--resume: a stream cannot be read again; begin with a new -o"),
        (("--overwrite",), "--overwrite: a stream goes to an empty folder"),
        (("--labels", "dir"), "--labels: a stream has no labels"),
        (("--strict",), "a stream has none"),
        (("--layout", "files"), "--layout files: a stream is written to packs only"),
        (("--jobs", "2"), "one process reads a stream"),
        (("--depth-range", "1:2"), "--depth-range and --formats are about pictures"),
        (("--dry-run",), "--dry-run: a stream has no length to estimate"),
    ],
)
def test_options_that_streams_do_not_support_are_refused(
    tmp_path: Path, args: tuple[str, ...], message: str
) -> None:
    assert message in send(b"", "-o", tmp_path / "out", *args, code=2).stderr
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    assert "not empty; a stream needs a new folder" in send(b"", "-o", tmp_path, code=2).stderr
    for name in ("a.rinr", "a.mp4"):
        result = send(b"", "-o", tmp_path / name, code=2)
        assert "a stream becomes packs, one by one; give a folder with -o" in result.stderr


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"#EXTM3U\nhttp://127.0.0.1:9/a.ts\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        bytes(99),
    ],
)
def test_input_that_is_no_video_is_an_error(tmp_path: Path, data: bytes) -> None:
    result = send(data, "-o", tmp_path / "out", code=1)
    assert result.stderr.startswith("error: the standard input: ")
    assert not (tmp_path / "out").exists()


def test_lost_packets_of_a_pipe_are_an_error(tmp_path: Path) -> None:
    data = bytearray(movie("matroska", 7, "mjpeg"))
    middle = len(data) // 2
    data[middle : middle + 60] = bytes(60)
    out = tmp_path / "out"
    stdin = io.BytesIO(bytes(data))
    try:
        result = compress_stream("-", out, options(), stdin=stdin)
    except RinrInputError:
        return  # the container itself broke, which is said
    assert result.frames + result.damaged <= 7
    assert result.damaged or result.frames < 7


def test_a_pack_of_another_program_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rinrcodec.datasets.streaming.compress_stream as module

    monkeypatch.setattr(module, "names_in", lambda _: [])
    mine = tmp_path / "stream-00000.rinr"
    mine.write_text("mine", encoding="utf-8")
    with pytest.raises(RinrUsageError, match="another program wrote it meanwhile"):
        compress_stream("-", tmp_path, options(), stdin=io.BytesIO(movie()))
    assert mine.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_dry_runs_and_streams_show_progress(
    run: Run,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quiet: tuple[str, ...],
) -> None:
    import rinrcodec.cli.views.other_runs as module

    class Stop(rinrcodec.RinrError):
        pass

    lines: list[str] = []

    @contextmanager
    def drawing(label: str, *, quiet: bool) -> Iterator[Any]:
        said = (lambda _: None) if quiet else lines.append
        said(f"begin {label}")
        try:
            yield lambda report: said(report.stage)
        finally:
            said("end")

    def stop(*_: object, **__: object) -> None:
        if not quiet:
            assert lines[-1] != "end"
        raise Stop("stopped")

    monkeypatch.setattr(module, "drawing", drawing)
    monkeypatch.setattr(module, "estimate", stop)
    monkeypatch.setattr(module, "compress_stream", stop)
    run("compress", folder, "-o", tmp_path / "a", "--dry-run", *quiet, *QUICK, code=1)
    send(b"", "-o", tmp_path / "b", *quiet, code=1)
    shown = ["begin reading pictures and labels", "encoding a sample", "end"]
    shown += ["begin compressing the standard input", "end"]
    assert lines == ([] if quiet else shown)


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_a_dry_run_reports_what_the_run_will_report(
    run: Run, folder: Path, tmp_path: Path, quiet: tuple[str, ...]
) -> None:
    names = [*(path.relative_to(folder).as_posix() for path in folder.rglob("*.png")), "gone.png"]
    labels = folder / "instances.json"
    records = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    content = {"images": records, "annotations": [{"id": 1, "image_id": 0}], "categories": []}
    labels.write_text(json.dumps(content), encoding="utf-8")
    args = ("compress", labels, "-o", tmp_path / "out", "--dry-run", *quiet, *QUICK)
    failed = run(*args, code=1)
    assert f"error: {labels}: gone.png: no such picture" in failed.stderr
    assert "1 label cannot be understood" in failed.stderr
    assert ("would compress" in failed.stdout) is (not quiet)
    assert not (tmp_path / "out").exists()


def test_a_dry_run_writes_nothing_and_counts(run: Run, folder: Path, tmp_path: Path) -> None:
    out, figures = tmp_path / "out", tmp_path / "figures.json"
    before = contents(tmp_path)
    args = ("compress", folder, "-o", out, "--shard-size", 2, *QUICK)
    result = run(*args, "--dry-run", "--json", figures)
    assert contents(tmp_path).keys() - before.keys() == {"figures.json"}
    assert "would compress 5 pictures (2 sequences, " in result.stdout
    assert f"to 3 packs in {out}" in result.stdout
    assert "Nothing was written." in result.stdout
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert found["dry_run"] is True
    assert found["bytes"] == round(found["sample_bytes"] * 5 / found["sample_frames"])
    run(*args)
    again = run(*args, "--dry-run")
    assert f"{out} holds 3 files already: add --resume or --overwrite" in again.stdout
    written = sum(path.stat().st_size for path in out.glob("*.rinr"))
    assert found["bytes"] / 3 < written < found["bytes"] * 3
