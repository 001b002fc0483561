"""The import rules of docs/architecture.md: one way only, and nothing heavy before it is needed."""

from __future__ import annotations

import ast
import graphlib
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from house_rules import LAYERS, ROOT
from PIL import Image

import rinrcodec

# Folder -> package; a folder's own modules come before those of folders inside it.
PACKAGES = {
    "rinrcodec": "rinrcodec",
    "formats": "rinrcodec.formats",
    "plugins": "rinrcodec.plugins",
    "cli": "rinrcodec.cli",
}

# Who alone may import a package (at any place, also inside a function).
OWNERS = {
    "click": ("rinrcodec.cli",),
    "rich": ("rinrcodec.cli", "rinrcodec.display"),
    "IPython": ("rinrcodec.display",),
    "jinja2": ("rinrcodec.cli",),
    "markupsafe": ("rinrcodec.cli",),
    "matplotlib": ("rinrcodec.cli",),
    "scipy": ("rinrcodec.evaluation",),
    "skimage": ("rinrcodec.metrics", "rinrcodec.sources"),
    "h5py": ("rinrcodec.formats",),
    "zstandard": ("rinrcodec.formats",),
    "constriction": ("rinrcodec.families.pyramid",),
    "av": ("rinrcodec.families.av1", "rinrcodec.sources", "rinrcodec.datasets.unpacking"),
    "yaml": ("rinrcodec.sources", "rinrcodec.datasets", "rinrcodec.plugins"),
    "ultralytics": ("rinrcodec.evaluation", "rinrcodec.plugins"),
    "fsspec": ("rinrcodec.storage",),
    "upath": ("rinrcodec.storage",),
    "filelock": ("rinrcodec.storage",),
    "PIL": (
        "rinrcodec.cli",
        "rinrcodec.datasets",
        "rinrcodec.display",
        "rinrcodec.encoder",
        "rinrcodec.encoding",
        "rinrcodec.evaluation",
        "rinrcodec.families.av1",
        "rinrcodec.plugins",
        "rinrcodec.sources",
    ),
    "torch": (
        "rinrcodec.cli",
        "rinrcodec.compute",
        "rinrcodec.datasets",
        "rinrcodec.decoder",
        "rinrcodec.encoder",
        "rinrcodec.encoding",
        "rinrcodec.evaluation",
        "rinrcodec.families",
        "rinrcodec.files",
        "rinrcodec.plugins",
    ),
}


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def module_name(path: Path) -> str:
    folder, *rest = path.relative_to(ROOT).with_suffix("").parts
    parts = [PACKAGES[folder], *rest]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# `rglob` does not follow the links from rinrcodec/ to the other folders.
MODULES = {module_name(path): path for folder in PACKAGES for path in (ROOT / folder).rglob("*.py")}
# The facade `rinrcodec/__init__.py` hands out names of every layer on demand.
RULED = sorted(name for name in MODULES if name != "rinrcodec")


def imports(source: str, module: str, *, is_package: bool) -> Iterator[str]:
    """Every dotted name that the source imports, at any depth: `from a import b` gives `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                anchor = parts[: len(parts) - node.level + is_package]
                base = ".".join([*anchor, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


@cache
def imports_of(module: str) -> list[str]:
    path = MODULES[module]
    source = path.read_text(encoding="utf-8")
    return list(imports(source, module, is_package=path.name == "__init__.py"))


def target_module(name: str) -> str | None:
    """The module of ours that an imported name lives in; None for other packages."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or None


def layer(module: str) -> int:
    for number, packages in enumerate(LAYERS):
        if any(is_in(module, package) for package in packages):
            return number
    raise AssertionError(f"{module} is not in LAYERS of {__file__}: add it")


def layer_faults(module: str, names: list[str]) -> list[str]:
    imported = {target_module(name) for name in names} - {None, "rinrcodec"}
    return sorted(name for name in imported if layer(name) > layer(module))


def owner_faults(module: str, names: list[str]) -> list[str]:
    return sorted(
        package
        for package, owners in OWNERS.items()
        if any(is_in(name, package) for name in names)
        and not any(is_in(module, owner) for owner in owners)
    )


def test_the_walk_sees_the_modules_and_their_imports():
    assert {"rinrcodec.pack", "rinrcodec.formats", "rinrcodec.cli"} <= set(MODULES)
    assert "rinrcodec.errors.RinrInputError" in imports_of("rinrcodec.metrics")
    source = "def f():\n    import torch.nn\n    from . import a\n    from ..pack import Box\n"
    assert list(imports(source, "rinrcodec.formats.x", is_package=False)) == [
        "torch.nn",
        "rinrcodec.formats.a",
        "rinrcodec.pack.Box",
    ]
    assert list(imports("from .x import y", "rinrcodec.formats", is_package=True)) == [
        "rinrcodec.formats.x.y"
    ]


def test_broken_import_rules_are_found():
    assert layer_faults("rinrcodec.errors", ["rinrcodec.pack.Box"]) == ["rinrcodec.pack"]
    assert layer_faults("rinrcodec.pack", ["rinrcodec.errors.RinrError"]) == []
    assert owner_faults("rinrcodec.formats.reader", ["torch.nn", "PIL.Image"]) == ["PIL", "torch"]
    assert owner_faults("rinrcodec.formats.reader", ["h5py", "torchvision"]) == []


@pytest.mark.parametrize("module", RULED)
def test_imports_point_one_way(module):
    assert layer_faults(module, imports_of(module)) == []


@pytest.mark.parametrize("module", RULED)
def test_packages_are_imported_by_their_owners_only(module):
    assert owner_faults(module, imports_of(module)) == []


def mentions(source: str, name: str) -> bool:
    """Whether the source defines, imports or uses a name, also as an attribute."""
    return any(
        name in (getattr(node, "id", ""), getattr(node, "attr", ""), getattr(node, "name", ""))
        or (isinstance(node, ast.Constant) and node.value == name)
        for node in ast.walk(ast.parse(source))
    )


@pytest.mark.parametrize(
    "source",
    [
        "def f(path):\n    return is_remote(path)",
        "import rinrcodec.storage as s\ns.locations.is_remote(1)",
        "from rinrcodec.storage.locations import is_remote as far",
        "def is_remote(path): ...",
        "getattr(storage, 'is_remote')",
    ],
)
def test_names_in_code_are_found(source: str) -> None:
    assert mentions(source, "is_remote")
    assert not mentions(source.replace("is_remote", "storage_of"), "is_remote")


def test_only_the_storage_knows_what_is_remote() -> None:
    """Everything else asks a `Storage` what it can do."""
    asking = {
        module
        for module, path in MODULES.items()
        if mentions(path.read_text(encoding="utf-8"), "is_remote")
    }
    assert "rinrcodec.storage.files" in asking
    assert [module for module in asking if not is_in(module, "rinrcodec.storage")] == []


def test_no_module_imports_the_command_line():
    for module in RULED:
        if not is_in(module, "rinrcodec.cli") and module != "rinrcodec.__main__":
            assert [name for name in imports_of(module) if is_in(name, "rinrcodec.cli")] == []


def outside_imports(folder: str) -> Iterator[tuple[str, str]]:
    """Return the imports of the Python files of a folder outside the package, by file."""
    for path in (ROOT / folder).rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name in imports(path.read_text(encoding="utf-8"), module, is_package=False):
            yield path.relative_to(ROOT).as_posix(), name


def test_benchmarks_and_tests_import_nothing_private_of_the_command_line():
    seen = list(outside_imports("benchmarks")) + list(outside_imports("tests"))
    faults = []
    for file, name in seen:
        if not is_in(name, "rinrcodec.cli"):
            continue
        private = any(part.startswith("_") for part in name.split("."))
        # A benchmark draws with the views. Tests of the commands, of README, and of benchmarks that
        # start commands, run all of it.
        views = file.startswith("benchmarks/") and is_in(name, "rinrcodec.cli.views")
        whole = ("tests/cli/", "tests/test_readme.py", "tests/benchmarks/conftest.py")
        if private or not (views or file.startswith(whole)):
            faults.append(f"{file}: {name}")
    assert faults == []
    assert any(is_in(name, "rinrcodec.cli.main") for _, name in seen)


def test_no_import_cycles():
    graph = {
        module: {target_module(name) for name in imports_of(module)} - {None, module, "rinrcodec"}
        for module in RULED
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError with the cycle


def test_folders_are_never_imported_by_their_bare_names():
    bare = {"formats", "plugins", "cli", "families"}
    for module in MODULES:
        assert {name.split(".")[0] for name in imports_of(module)} & bare == set(), module


def run_python(code: str) -> str:
    # -I keeps the working directory, whose folders are not the package, off the path.
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError("blocked: " + name, name=name)
sys.meta_path.insert(0, Block())
"""
HEAVY = [
    "PIL",
    "click",
    "constriction",
    "filelock",
    "fsspec",
    "h5py",
    "jinja2",
    "matplotlib",
    "rich",
    "scipy",
    "torch",
    "ultralytics",
    "upath",
    "zstandard",
]


def test_import_rinrcodec_loads_nothing_heavy():
    code = f"import sys, rinrcodec; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    assert run_python(code) == "[]"


def test_no_public_name_is_hidden_by_a_module_of_that_name():
    """A submodule, once imported, would take the name's place in the package."""
    assert not {f"rinrcodec.{name}" for name in rinrcodec.__all__} & set(MODULES)


@pytest.mark.parametrize("module", ["rinrcodec", "rinrcodec.formats", "rinrcodec.cli.main"])
def test_works_where_torch_is_not_importable(module):
    run_python(BLOCK.format(blocked=["torch"]) + f"import {module}")


def test_the_container_needs_no_torch_pillow_or_click():
    code = BLOCK.format(blocked=["torch", "PIL", "click", "rich"])
    for module in sorted(name for name in MODULES if is_in(name, "rinrcodec.formats")):
        code += f"import {module}\n"
    run_python(code)


def test_measuring_needs_no_command_line():
    code = BLOCK.format(blocked=["click", "rich", "jinja2", "matplotlib"])
    for module in sorted(name for name in MODULES if is_in(name, "rinrcodec.evaluation")):
        code += f"import {module}\n"
    run_python(code)


def test_no_other_test_leaves_a_plugin_enabled() -> None:
    """The fixtures of YOLO would leave one if they lasted longer than their folder."""
    assert Image.open.__module__ == "PIL.Image"
    assert "YOLO_OFFLINE" not in os.environ


FITTING = (
    "rinrcodec.presets",
    "rinrcodec.encoder",
    "rinrcodec.families.fitting",
    "rinrcodec.families.siren.encode",
    "rinrcodec.families.siren.fit",
    "rinrcodec.families.nerv",
    "rinrcodec.families.pyramid",
    "constriction",
)


def test_decoding_imports_no_fitting():
    path = ROOT / "tests" / "formats" / "vectors" / "v1" / "decodable.rinr"
    code = (
        "import sys, rinrcodec\n"
        f"with rinrcodec.open({str(path)!r}) as file:\n"
        "    assert {group.spec.family for group in file.groups} == {'siren'}\n"
        "    file.decode(range(len(file)))\n"
        f"print([name for name in {FITTING!r} if name in sys.modules])\n"
        "print([name for name in sys.modules if 'soap' in name or name.endswith('.fit')])"
    )
    assert run_python(code) == "[]\n[]"


def test_subpackages_are_attributes_of_the_package():
    code = "import rinrcodec; print(rinrcodec.families.register, 'families' in dir(rinrcodec))"
    assert run_python(code).endswith(" True")
