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
