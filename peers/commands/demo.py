"""``secagg demo``: a consortium on this machine, with losses, checked."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from peers import terminal
from peers.toml_file import ConfigError

if TYPE_CHECKING:
    from peers.demo.show import Wish


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
    if keep is not None and keep.exists():
        raise ConfigError(f"--keep {keep} exists: choose a new folder")
    _require_extras()
    from peers.demo.show import Wish

    wish = Wish(
        kind=kind,
        data_folder=data_folder,
        rounds=rounds,
        epsilon=epsilon,
        out=out,
        keep=keep,
    )
    if not _run(wish, as_json=as_json):
        raise typer.Exit(1)


def _run(wish: Wish, *, as_json: bool) -> bool:
    """Run the demo; return whether every check holds."""
    from peers.demo import report, show
    from peers.demo.stage import DemoError

    console = terminal.err() if as_json else terminal.out()
    try:
        outcome = show.run(wish, console)
    except DemoError as error:
        raise terminal.fail(f"the demo broke off: {error}") from None
    if as_json:
        terminal.say_json(report.as_json(outcome))
    return outcome.passed


def _require_extras() -> None:
    """Say which of the optional packages is missing; they take seconds to load."""
    for name in ("torch", "sklearn", "matplotlib", "dp_accounting"):
        if importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"the demo needs {name}, which is not installed: pip install"
                " 'secagg[torch,peers,dp,demo]'"
            )
