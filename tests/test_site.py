"""The site of the documentation: `make docs` builds it; here is what its build cannot know."""

import re
from pathlib import Path

import rinrcodec

ROOT = Path(__file__).resolve().parents[1]


def test_the_reference_has_every_public_name():
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: rinrcodec\.(\w+)$", page, re.MULTILINE))
    errors = {name for name in rinrcodec.__all__ if name.startswith("Rinr") and "Error" in name}
    assert "errors" in shown  # the module, with all of its classes
    shown -= {"errors"}
    expected = set(rinrcodec.__all__) - errors - {"MissingExtraError", "PRESETS"}
    assert shown == expected


def test_the_first_page_has_commands_that_are_tested_in_the_readme():
    """`test_readme.py` runs those of the README."""

    def commands(path):
        blocks = re.findall(r"```bash\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
        lines = "".join(blocks).splitlines()
        return [line.partition("#")[0].strip() for line in lines]

    first = commands(ROOT / "docs" / "index.md")
    assert first
    assert set(first) <= set(commands(ROOT / "README.md"))


def test_every_page_with_examples_has_a_test() -> None:
    """The test names the page, to read its blocks of bash and Python and run them."""
    tests = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")
    )
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("formats/*.md")]
    with_examples = {
        page.name
        for page in pages
        if re.search(r"^ *```(bash|python)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(with_examples) > 10
    assert {name for name in with_examples if name not in tests} == set()
