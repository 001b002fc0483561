"""What pyproject.toml packs: every module and every file that a module reads."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from setuptools import Distribution

try:
    import tomllib
except ImportError:  # Python 3.10; pytest brings this one there
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "rinrcodec": "rinrcodec",
    "rinrcodec/cli": "cli",
    "rinrcodec/formats": "formats",
    "rinrcodec/plugins": "plugins",
}
LEFT_OUT = {"__pycache__"}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> set[str]:
    """The files of a wheel, as setuptools lays them out."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    tool = settings["tool"]["setuptools"]
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        distribution = Distribution(
            {
                "name": "rinrcodec",
                "script_name": "setup.py",  # which needs not exist
                "packages": tool["packages"],
                "package_dir": tool["package-dir"],
                "package_data": tool["package-data"],
            }
        )
        command = distribution.get_command_obj("build_py")
        command.build_lib = str(folder)
        command.ensure_finalized()
        command.run()
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def sources() -> set[str]:
    """The files of the tree; `rglob` does not follow the links inside rinrcodec/."""
    return {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
        for package, folder in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not LEFT_OUT & set(path.parts)
    }


def test_a_wheel_has_every_file_of_the_tree(built):
    assert sorted(sources() - built) == []
    assert sorted(built - sources()) == []


def test_the_files_that_are_read_at_run_time_are_among_them(built):
    assert {
        "rinrcodec/cli/views/report/report.css",
        "rinrcodec/cli/views/report/report.html.j2",
        "rinrcodec/formats/SPEC.md",
        "rinrcodec/py.typed",
    } <= built


BUILD = """
import sys
from setuptools import build_meta
folder = sys.argv[1]  # which setuptools replaces
build_meta.build_sdist(folder)
build_meta.build_wheel(folder)
"""
GENERATED = {"PKG-INFO", "setup.cfg"}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, set[str]]:
    """The source archive, the wheel, and the files of the tree they were built from."""
    folder = tmp_path_factory.mktemp("tree")
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").replace("/", "").split()
    links = [name for name in FOLDERS if name != "rinrcodec"]
    tree = shutil.copytree(
        ROOT, folder / "tree", symlinks=True, ignore=shutil.ignore_patterns(".git", *ignored)
    )
    files = {
        path.relative_to(tree).as_posix()
        for path in tree.rglob("*")
        if path.is_file() and path.relative_to(tree).parts[:2] not in map(_parts, links)
    }
    command = [sys.executable, "-c", BUILD, str(folder)]
    done = subprocess.run(
        command, cwd=tree, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl")), files


def _parts(name: str) -> tuple[str, ...]:
    return tuple(name.split("/"))


@pytest.mark.slow
def test_the_source_archive_has_the_tree_and_nothing_else(
    archives: tuple[Path, Path, set[str]],
) -> None:
    source, _, files = archives
    with tarfile.open(source) as archive:
        names = [
            name.partition("/")[2]
            for name in archive.getnames()
            if archive.getmember(name).isfile()
        ]
    assert len(names) == len(set(names))
    packed = {name for name in names if not name.startswith("rinrcodec.egg-info/")} - GENERATED
    assert sorted(packed - files) == []
    assert sorted(files - packed) == [".gitattributes", ".gitignore"]


@pytest.mark.slow
def test_the_wheel_has_each_module_once_and_torch_only_in_extras(
    archives: tuple[Path, Path, set[str]], built: set[str]
) -> None:
    with zipfile.ZipFile(archives[1]) as wheel:
        names = wheel.namelist()
        metadata = message_from_bytes(
            wheel.read(next(name for name in names if name.endswith("/METADATA")))
        )
    assert len(names) == len(set(names))
    info = {name for name in names if name.partition("/")[0].endswith(".dist-info")}
    assert set(names) - info == built
    assert metadata["Description-Content-Type"] == "text/markdown"
    needed = metadata.get_all("Requires-Dist")
    assert any(line.startswith("torch>=") for line in needed)
    assert [line for line in needed if line.startswith("torch") and "extra ==" not in line] == []
