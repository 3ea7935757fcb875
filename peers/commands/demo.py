"""``secagg demo``: a consortium on this machine, with losses, checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from peers import terminal
from peers.toml_file import ConfigError


@terminal.told
def demo(
    epsilon: Annotated[
        float | None, typer.Option(help="Add noise within this privacy budget.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="How many rounds, at least 5.")] = 10,
    kind: Annotated[
        str, typer.Option("--data", help="wdbc, or heart-disease with --dir.")
    ] = "wdbc",
    data_folder: Annotated[
        Path | None, typer.Option("--dir", help="Folder of the heart disease files.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path(
        "demo-report"
    ),
    keep: Annotated[
        Path | None,
        typer.Option(help="Keep logs, models and recordings in this new folder."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON at the end.")
    ] = False,
) -> None:
    """Run an aggregator and hospitals here, kill some, and check every sum."""
    try:
        from peers.demo import show
        from peers.demo.report import as_json as json_of
        from peers.demo.stage import DemoError
    except ImportError as error:
        raise ConfigError(
            f"the demo needs {error.name}: pip install 'secagg[torch,peers,dp,demo]'"
        ) from None
    if keep is not None and keep.exists():
        raise ConfigError(f"--keep {keep} exists: choose a new folder")
    wish = show.Wish(
        kind=kind,
        data_folder=data_folder,
        rounds=rounds,
        epsilon=epsilon,
        out=out,
        keep=keep,
    )
    console = terminal.err() if as_json else terminal.out()
    try:
        outcome = show.run(wish, console)
    except DemoError as error:
        raise terminal.fail(f"the demo broke off: {error}") from None
    if as_json:
        typer.echo(json.dumps(json_of(outcome), indent=2))
    if not outcome.passed:
        raise typer.Exit(1)
