"""``secagg readmit``: let a hospital that was left out for cheating take part again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peers import state_folder, terminal
from peers.config import load_aggregator
from peers.membership import Membership


@terminal.told
def readmit(
    peer: Annotated[str, typer.Argument(metavar="ID", help="The hospital's id.")],
    config: Annotated[
        Path, typer.Option("--config", help="The aggregator's file, in TOML.")
    ],
) -> None:
    """Readmit a hospital that was left out for proved cheating; stop first."""
    loaded = load_aggregator(config)
    member = Membership.of(loaded, looks=True)
    why = state_folder.readmit(
        loaded.state, member, loaded.task.id, peer, loaded.journal.database
    )
    console = terminal.out()
    console.print(
        f"{peer} may take part in {loaded.task.id} again, from the next start of the"
        " aggregator on.",
        soft_wrap=True,
    )
    console.print(f"It was left out for: {why}", markup=False, soft_wrap=True)
