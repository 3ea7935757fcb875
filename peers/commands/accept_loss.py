"""``secagg accept-loss``: go on with a state directory that has forgotten something."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peers import terminal
from peers.config import load_hospital
from secagg import errors
from secagg.drivers.silo.forgotten import accept_loss as accept
from secagg.drivers.silo.store import SqliteStore


@terminal.told
def accept_loss(
    config: Annotated[
        Path, typer.Option("--config", help="The hospital's file, in TOML.")
    ],
) -> None:
    """Accept that a hospital's state has forgotten rounds it took part in; stop first.

    It stays out of those rounds and takes part in the next one.
    """
    loaded = load_hospital(config)
    console = terminal.out()
    with SqliteStore(loaded.state) as store:
        tasks = store.forgotten.tasks()
        if not tasks:
            raise errors.StateError(
                f"{loaded.state} is not known to have forgotten anything: start the"
                " hospital; if it has, the first round says so"
            )
        for task in tasks:
            console.print(
                f"{task}: gave up what was done up to round {accept(store, task)};"
                " the next round goes on.",
                soft_wrap=True,
            )
