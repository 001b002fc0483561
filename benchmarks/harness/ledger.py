"""Rows of a long run, kept in the JSON of its report as they come, so that a rerun continues."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.reports import made_by, write_report

JsonRow = dict[str, Any]


class Ledger:
    """The rows of a report that is not finished yet, by their keys.

    Interrupted? Rerun the same command to continue. If the report is finished, it begins again.
    Where code or machine changed in between, the report names all of them.
    """

    def __init__(self, name: str, script: str, options: argparse.Namespace) -> None:
        self.name = name
        self._options = options
        self._path: Path = options.out / f"{name}.json"
        self._made = made_by(script, options)
        self._runs: list[dict[str, str]] = []
        self._rows: dict[str, JsonRow] = {}
        unfinished = self._unfinished()
        if unfinished and unfinished["runs"][0]["command"] == self._made["command"]:
            self._runs, self._rows = unfinished["runs"], unfinished["rows"]
            print(f"continuing: {self._path} has {len(self._rows)} rows", flush=True)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def row(self, key: str, make: Callable[[], Mapping[str, Any]]) -> JsonRow:
        """Return the row of this key: as an earlier run left it, or what `make` gives now."""
        if key not in self._rows:
            # What a later run would read, so that both see the same.
            self._rows[key] = json.loads(json.dumps(make(), allow_nan=False))
            self._save()
        return self._rows[key]

    def finish(self, *, title: str, body: str, data: Mapping[str, Any]) -> None:
        """Write the report in place of the rows."""
        runs = self._runs or [self._made]
        made = {key: " / ".join(dict.fromkeys(run[key] for run in runs)) for key in runs[0]}
        write_report(self.name, self._options, title=title, body=body, data=data, made=made)

    def _unfinished(self) -> dict[str, Any] | None:
        if not self._path.is_file():
            return None
        report: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
        return report.get("unfinished")

    def _save(self) -> None:
        if self._made not in self._runs:
            self._runs.append(self._made)
        text = json.dumps({"unfinished": {"runs": self._runs, "rows": self._rows}}, indent=1)
        partial = self._path.with_suffix(".json.part")
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(self._path)
