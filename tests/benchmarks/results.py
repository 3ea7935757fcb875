"""Results on disk: one JSON file, merged by group.

Groups take from seconds to most of an hour, and some need another machine; so each
keeps the machine, the commit and the command it was measured with.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.machine import Machine
from tests.benchmarks.rows import Row

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).parent / "results"
"""Where the results live that the README shows."""

FILE = "results.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResult:
    """What one run of a group found.

    Attributes:
        machine: where.
        commit: of what.
        day: when, as 2026-11-20.
        command: what to type for the same.
        seconds: how long the group took.
        rows: what it found.
    """

    machine: Machine
    commit: str
    day: str
    command: str
    seconds: float
    rows: tuple[Row, ...]


Results = Mapping[str, GroupResult]
"""By group, in the order in which they were first measured."""


def load(folder: Path) -> dict[str, GroupResult]:
    """Return the results kept in `folder`; none if there is no file."""
    file = folder / FILE
    if not file.exists():
        return {}
    groups = json.loads(file.read_text(encoding="utf-8"))["groups"]
    return {name: _group(plain) for name, plain in groups.items()}


def save(folder: Path, results: Results) -> None:
    """Write `results` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    groups = {
        name: {
            **dataclasses.asdict(found),
            "rows": [row.plain() for row in found.rows],
        }
        for name, found in results.items()
    }
    text = json.dumps({"groups": groups}, indent=1, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def _group(plain: dict[str, object]) -> GroupResult:
    rows, machine = plain.pop("rows"), plain.pop("machine")
    assert isinstance(rows, list)
    assert isinstance(machine, dict)
    return GroupResult(
        machine=Machine(**machine),
        rows=tuple(Row.of(row) for row in rows),
        **plain,  # type: ignore[arg-type]  # as `save` wrote it
    )
