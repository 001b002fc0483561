"""What pyproject.toml packs: every module and every file that a module reads."""

from __future__ import annotations

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
