"""Draws `diagrams.md` from the transition tables; run with ``make vectors``.

The tables are data in `secagg.transitions`; nothing here is written by hand, so text
and code cannot part. A test fails when the file is stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from secagg.transitions import CLIENT, ORDER, SERVER, ClientPhase, ServerPhase

P = TypeVar("P", bound=str)
TARGET = Path(__file__).with_name("diagrams.md")
_HEAD = """\
# State diagrams

Drawn from the tables in `secagg/transitions.py`; regenerate with `make vectors`.
"""
_CLIENT_NOTE = """
Abort, or a breach by the aggregator, ends a session in any phase: back to `ready` with
the same update, or to `idle` once shares were released. Anything that has no arrow here
is refused by rule 3.4-6; a repeat of accepted bytes changes nothing.
"""
_SERVER_NOTE = """
A phase closes when all it expects have answered, or at its deadline. A missed floor, a
blamed dealer or the operator leads to `aborted` from every phase before `done`.
"""


def arrows(table: Mapping[P, Mapping[str, Iterable[P]]]) -> list[str]:
    """Return one mermaid line for each move of a table."""
    return [
        f"    {phase} --> {target}: {trigger}"
        for phase, moves in table.items()
        for trigger, targets in moves.items()
        for target in targets
    ]


def diagram(title: str, lines: Iterable[str], note: str) -> str:
    """Return a section with one state diagram."""
    body = "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])
    return f"\n## {title}\n\n{body}\n{note}"


def client_lines() -> list[str]:
    """Return the client's diagram; a Manifest restarts from any phase but released."""
    table = {
        phase: {
            trigger: targets
            for trigger, targets in moves.items()
            if trigger != "Manifest" or phase is ClientPhase.READY
        }
        for phase, moves in CLIENT.items()
    }
    again = [
        phase
        for phase, moves in CLIENT.items()
        if "Manifest" in moves and phase is not ClientPhase.READY
    ]
    label = "Manifest of the next attempt"
    back = [f"    {phase} --> {ClientPhase.ADVERTISED}: {label}" for phase in again]
    return [f"    [*] --> {ClientPhase.IDLE}", *arrows(table), *back]


def server_lines() -> list[str]:
    """Return the aggregator's diagram, with the abort of every phase."""
    aborts = [f"    {phase} --> {ServerPhase.ABORTED}" for phase in ORDER]
    return [f"    [*] --> {ORDER[0]}: Manifest", *arrows(SERVER), *aborts]


def text() -> str:
    """Return the whole file."""
    client = diagram("Client", client_lines(), _CLIENT_NOTE)
    server = diagram("Aggregator", server_lines(), _SERVER_NOTE)
    return _HEAD + client + server


def main() -> None:
    """Write the file."""
    TARGET.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
