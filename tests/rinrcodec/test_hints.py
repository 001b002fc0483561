"""The pip commands of `MissingExtraError`: they name packages, as rinrcodec is on no index."""

from __future__ import annotations

import ast
import pickle
import re
from importlib import metadata
from pathlib import Path

import pytest

from rinrcodec.errors import MissingExtraError

try:
    import tomllib
except ImportError:  # Python 3.10; pytest brings this one there
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]
FOLDERS = ("rinrcodec", "formats", "cli", "plugins")


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata of this tree, however old the installed one is."""
    lines = ["av>=14.1", 'tomli; python_version < "3.11"']
    lines += [f'{one}; extra == "{name}"' for name, its in EXTRAS.items() for one in its]
    lines.append("""numba>=1; (platform_system == "Linux") and extra == 'fast'""")
    monkeypatch.setattr(metadata, "requires", lambda _: lines)


def test_all_packages_of_the_extra_are_named_with_their_bounds() -> None:
    assert str(MissingExtraError("ray", "cluster")) == (
        'ray is not installed; run: pip install "ray>=2.40"'
    )
    command = str(MissingExtraError("SciPy", "demo")).partition("run: ")[2]
    assert command == "pip install " + " ".join(f'"{one}"' for one in EXTRAS["demo"])
    assert str(MissingExtraError("numba", "fast")).endswith('run: pip install "numba>=1"')


@pytest.mark.parametrize(
    ("package", "extra"), [("av", "video"), ("ultra", "yolo"), ("numba", "fas"), ("x", "dev")]
)
def test_a_package_of_no_extra_is_named_alone(package: str, extra: str) -> None:
    assert str(MissingExtraError(package, extra)).endswith(f"run: pip install {package}")


def test_without_metadata_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: str) -> list[str]:
        raise metadata.PackageNotFoundError("rinrcodec")

    monkeypatch.setattr(metadata, "requires", gone)
    assert str(MissingExtraError("ray", "cluster")) == "ray is not installed; run: pip install ray"
    monkeypatch.setattr(metadata, "requires", lambda _: None)
    assert str(MissingExtraError("ray", "cluster")).endswith("run: pip install ray")


def test_the_error_of_a_missing_extra_pickles() -> None:
    error = MissingExtraError("ray", "cluster", "many nodes")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(error).startswith("many nodes: ray is not installed")


def test_every_hint_of_the_sources_is_of_an_extra_that_exists() -> None:
    found = []
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and getattr(node.func, "id", "") == "MissingExtraError"
                ):
                    found.append([getattr(one, "value", None) for one in node.args[:2]])
    named = [pair for pair in found if all(isinstance(one, str) for one in pair)]
    assert len(named) > 10
    for package, extra in named:
        names = {re.split("[<>=~! ]", one)[0].lower() for one in EXTRAS[extra]}
        assert package.lower() in names


def test_all_has_every_extra_but_those_of_developers() -> None:
    (line,) = EXTRAS["all"]
    assert set(re.findall(r"[\w]+", line)) - {"rinrcodec"} == EXTRAS.keys() - {"all", "dev", "docs"}
