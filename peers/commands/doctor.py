"""``secagg doctor``: check a site before its first round; starts and joins nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape

from peers import terminal
from peers.doctor.examine import examine
from peers.doctor.findings import Finding, Level, Report

_STYLES: Final = {
    Level.OK: "green",
    Level.WARNING: "yellow",
    Level.FAILED: "bold red",
}


@terminal.told
def doctor(
    config: Annotated[
        Path, typer.Option("--config", help="A hospital's or the aggregator's file.")
    ],
    as_json: terminal.AsJson = False,
) -> None:
    """Check a site before its first round: what is wrong, and what to do."""
    report = Report((lambda _: None) if as_json else _show)
    asyncio.run(examine(config, report))
    if as_json:
        rows = [finding.row() for finding in report.findings]
        terminal.say_json({"ok": report.passed, "checks": rows})
    if not report.passed:
        raise typer.Exit(1)


def _show(finding: Finding) -> None:
    style = _STYLES[finding.level]
    terminal.out().print(
        f"[{style}]{finding.level.value:<7}[/]  {finding.check:<13} "
        f" {escape(finding.detail)}",
        soft_wrap=True,
    )
