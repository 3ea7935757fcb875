"""Rows as tables: for the terminal, and in Markdown for the README."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.results import GroupResult, Results
from tests.benchmarks.rows import Row, short, shown

BEGIN = "<!-- bench: begin, written by make bench -->"
END = "<!-- bench: end -->"
_HEAD = ("", "ours", "beside", "value", "goal")


def print_group(console: Console, name: str, found: GroupResult) -> None:
    """Print one group's rows, the ones that fall short in red."""
    table = Table(title=f"{name}, {found.seconds:.0f} s", title_justify="left")
    for head in (*_HEAD, ""):
        table.add_column(head, justify="left" if head == "" else "right")
    for row in found.rows:
        style = "red" if row.short_by else None
        table.add_row(*_cells(row), row.detail, style=style)
    console.print(table)


def markdown(results: Results) -> str:
    """Return the README's table: the headline rows, the machines, the commands."""
    lines = _lines(results, every=False)
    goals = [
        row for found in results.values() for row in found.rows if row.goal is not None
    ]
    met = sum(not row.short_by for row in goals)
    lines += [
        "",
        f"{met} of the {len(goals)} rows that have a goal reach it; a value in **bold**"
        " does not. [Every row](tests/benchmarks/results/rows.md).",
        *_measured(results),
    ]
    for name, group in pictured(results).items():
        lines += ["", f"![{group}](tests/benchmarks/results/{name})"]
    return "\n".join(lines) + "\n"


_PICTURES = {
    "others.png": "others",
    "growth_n.png": "growth",
    "growth_m.png": "growth",
}


def pictured(results: Results) -> dict[str, str]:
    """Return the pictures there are, and the group that each shows."""
    return {name: group for name, group in _PICTURES.items() if group in results}


def full_markdown(results: Results) -> str:
    """Return the page with every row."""
    head = [
        "# Every row of `make bench`",
        "",
        "Written by `make bench` from [results.json](results.json). A value is a ratio",
        "of medians in one interleaved run, or a figure where nothing stands beside",
        "it; **bold** falls short of its goal.",
        "",
    ]
    return "\n".join([*head, *_lines(results, every=True), *_measured(results)]) + "\n"


def write_readme(readme: Path, results: Results) -> None:
    """Put the table between the markers of `readme`."""
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    body = f"{before}{BEGIN}\n{markdown(results)}{END}{after}"
    readme.write_text(body, encoding="utf-8")


def between_markers(text: str) -> str:
    """Return what stands between the markers."""
    _, _, rest = text.partition(BEGIN + "\n")
    return rest.partition(END)[0]


def _lines(results: Results, *, every: bool) -> list[str]:
    lines = ["| " + " | ".join(_HEAD) + " |", "|---|--:|--:|--:|--:|"]
    for found in results.values():
        rows = [row for row in found.rows if every or row.headline]
        lines += ["| " + " | ".join(_marked(row)) + " |" for row in rows]
    return lines


def _marked(row: Row) -> Sequence[str]:
    name, ours, reference, value, goal = _cells(row)
    return (name, ours, reference, f"**{value}**" if row.short_by else value, goal)


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    """Return name, ours, beside, value and goal; a figure's goal has its unit."""
    ours = shown(row.ours.median, row.unit)
    reference = "" if row.reference is None else shown(row.reference.median, row.unit)
    if row.compare == "figure" or row.reference is None:
        value = ours if row.goal else ""
        goal = "" if row.goal is None else row.goal.text(row.unit)
    else:
        value = short(row.value) + ("x" if row.compare == "speed" else "")
        goal = "" if row.goal is None else row.goal.text()
    return row.name, ours, reference, value, goal


def _measured(results: Results) -> Iterable[str]:
    """Say on which machine, at which commit and by which command."""
    places: dict[str, list[str]] = {}
    for name, found in results.items():
        places.setdefault(f"{found.machine} ({found.day})", []).append(name)
    for place, names in places.items():
        yield ""
        yield f"Measured on {place}: {', '.join(names)}."
    commits = sorted({found.commit for found in results.values()})
    yield ""
    yield f"`make bench`; one group with `make bench ONLY=<group>`. At {_and(commits)}."


def _and(parts: Sequence[str]) -> str:
    return ", ".join(f"`{part}`" for part in parts)
