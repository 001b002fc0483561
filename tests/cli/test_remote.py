"""The command line with URLs in place of paths."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rinrcodec.errors import MissingExtraError
from rinrcodec.storage import files_below, names_in, read_file, to_path
from rinrcodec.storage.atomic import write_whole

from .conftest import LABELS, QUICK, Run, picture, put, write

Upload = Callable[[Path, str], str]


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two packs, and what compress makes of a data yaml."""
    from click.testing import CliRunner

    from rinrcodec.cli.main import cli

    root = tmp_path_factory.mktemp("packs")
    for i, (name, text) in enumerate(LABELS.items()):
        put(root / f"set/images/{name}.png", picture(i))
        write(root / f"set/labels/{name}.txt", text)
    write(root / "set/data.yaml", "train: images/train\nval: images/val\nnames: [a, b, c]\n")
    arguments = ["compress", f"{root}/set/data.yaml", "-o", f"{root}/out", "--quiet", *QUICK]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    return root / "out"


@pytest.mark.slow
def test_info_verify_and_decompress(
    packs: Path, remote: str, upload: Upload, run: Run, tmp_path: Path
) -> None:
    upload(packs, f"{remote}/a b#1")
    for source in (f"{remote}/a b#1", f"{remote}/a b#1/data.yaml"):
        items = json.loads(run("info", source, "--json", "--frames").stdout)
        assert [item["file"] for item in items] == [
            f"{remote}/a b#1/train/train-00000.rinr",
            f"{remote}/a b#1/val/val-00000.rinr",
        ]
        assert "2 files are sound" in run("verify", source).output
    run("decompress", packs, "-o", tmp_path / "near")
    run("decompress", f"{remote}/a b#1", "-o", tmp_path / "far")
    run("decompress", f"{remote}/a b#1", "-o", f"{remote}/back")
    near, far, back = (
        {str(path).removeprefix(f"{root}/"): read_file(path) for path, _ in files_below(root)}
        for root in (tmp_path / "near", tmp_path / "far", to_path(f"{remote}/back"))
    )
    assert len(near) == 7
    assert near == far
    assert near == back
    refused = run("decompress", f"{remote}/a b#1", "-o", f"{remote}/back", code=2)
    assert "and 6 more are already there; --overwrite replaces it" in refused.output
    run("decompress", f"{remote}/a b#1", "-o", f"{remote}/back", "--overwrite", "--quiet")


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "npy"])
def test_every_format_goes_to_a_url(packs: Path, memory: str, run: Run, kind: str) -> None:
    pack = packs / "val/val-00000.rinr"
    run("decompress", pack, "-o", f"{memory}/out", "--format", kind)
    ((path, _),) = files_below(to_path(f"{memory}/out"))
    assert path.suffix == f".{kind}"


def test_a_damaged_pack_is_named_by_its_url(
    packs: Path, remote: str, upload: Upload, run: Run
) -> None:
    upload(packs, remote)
    whole = read_file(packs / "val/val-00000.rinr")
    write_whole(to_path(f"{remote}/val/val-00000.rinr"), whole[:-100])
    for command in ("verify", "info"):
        result = run(command, f"{remote}/train", f"{remote}/val", code=1)
        assert f"error: {remote}/val/val-00000.rinr: it is truncated" in result.output


def test_missing_urls_are_errors(remote: str, run: Run) -> None:
    result = run("info", f"{remote}/a.rinr", code=2)
    assert f"{remote}/a.rinr: there is no such file or folder\n" in result.output
    result = run("info", "foo://a", code=2)
    assert "foo:// is no protocol that fsspec knows" in result.output
    write_whole(to_path(f"{remote}/folder/a.txt"), b"x")
    result = run("verify", f"{remote}/folder", code=1)
    assert f"error: {remote}/folder: no .rinr file in this folder or below it" in result.output


def test_no_such_bucket(s3_server: str, run: Run) -> None:  # noqa: ARG001
    result = run("decompress", "s3://nowhere/a", "-o", "x", code=2)
    assert "s3://nowhere/a: there is no such bucket\n" in result.output


def test_a_missing_bucket_is_an_error_of_writing(packs: Path, s3_server: str, run: Run) -> None:  # noqa: ARG001
    result = run("decompress", packs, "-o", "s3://nowhere/a", code=1)
    assert result.output.startswith("error: s3://nowhere/a: there is no such bucket")


def process(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error::ResourceWarning", "-m", "rinrcodec", *args]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )


def test_a_real_process_prints_no_warnings(packs: Path, s3: str, upload: Upload) -> None:
    upload(packs, s3)
    done = process("verify", s3)
    wanted = f"2 files are sound\n{s3}/manifest.json: 1 run, all 3 files as written\n"
    assert (done.stdout, done.returncode) == (wanted, 0)
    # Progress is printed where it takes long.
    progress = re.compile(r"verifying: \d+\.\d % of 3 files, \d:\d\d:\d\d")
    assert [line for line in done.stderr.splitlines() if not progress.fullmatch(line)] == []


def test_errors_of_a_store_are_one_line(s3_server: str, tmp_path: Path) -> None:  # noqa: ARG001
    none = str(tmp_path / "none")
    done = process(
        "info", "s3://bucket/a",
        AWS_ACCESS_KEY_ID="", AWS_SHARED_CREDENTIALS_FILE=none, AWS_CONFIG_FILE=none,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: s3://bucket/a: no credentials (")
    assert done.stderr.count("\n") == 1
    done = process("info", "s3://bucket/a", AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.startswith("error: s3://bucket/a: the server cannot be reached (")
    assert done.stderr.count("\n") == 1


def test_a_missing_extra_is_exit_code_three() -> None:
    script = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from rinrcodec.cli.main import main\n"
        "sys.argv = ['rinrcodec', 'info', 's3://bucket/a']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stderr == f"error: {MissingExtraError('s3fs', 'remote')}\n"


def test_python_and_commands_read_the_same_content(packs: Path, remote: str, run: Run) -> None:
    import rinrcodec

    near = rinrcodec.open(packs / "val/val-00000.rinr")
    with rinrcodec.open(packs / "train/train-00000.rinr") as file:
        pack = file.reader
        rinrcodec.save(pack, f"{remote}/a.rinr")  # type: ignore[arg-type]
    with rinrcodec.open(f"{remote}/a.rinr") as far:
        far.verify()
        assert far.names() == rinrcodec.open(packs / "train/train-00000.rinr").names()
        picture = far.decode(0)
        assert np.array_equal(picture, rinrcodec.open(packs / "train/train-00000.rinr").decode(0))
    assert near.n_frames == 1
    assert "1 file is sound" in run("verify", f"{remote}/a.rinr").output


def blocks(language: str) -> list[str]:
    page = (Path(__file__).resolve().parents[2] / "docs/remote.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_commands_of_the_page_run(
    packs: Path, s3: str, upload: Upload, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    upload(packs, f"{s3}/packs")
    (commands,) = blocks("bash")
    for line in commands.replace("s3://bucket", s3).splitlines():
        run(*shlex.split(line)[1:])
    near = files_below(tmp_path / "frames")
    assert [len(near), len(files_below(to_path(f"{s3}/frames")))] == [7, 7]
    assert names_in(to_path(f"{s3}/smaller")) == [
        "frames-00000.rinr",
        "frames-00001.rinr",
        "manifest.json",
    ]
    (code,) = blocks("python")
    exec(compile(code.replace("s3://bucket", s3), "docs/remote.md", "exec"), {})
    assert read_file(to_path(f"{s3}/copy.rinr")) == read_file(packs / "train/train-00000.rinr")
