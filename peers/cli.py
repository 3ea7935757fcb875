"""The ``secagg`` command."""

from __future__ import annotations

from typing import Annotated

import typer

import secagg
from peers.commands import identity, roster, run
from peers.commands.accept_loss import accept_loss
from peers.commands.demo import demo
from peers.commands.doctor import doctor
from peers.commands.readmit import readmit
from peers.commands.simulate import simulate

app = typer.Typer(
    name="secagg",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Add up what institutions may not show each other.",
)
app.command()(run.aggregator)
app.command()(run.hospital)
app.command()(demo)
app.command()(doctor)
app.add_typer(identity.app, name="identity")
app.add_typer(roster.app, name="roster")
app.command()(simulate)
app.command()(readmit)
app.command()(accept_loss)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"secagg {secagg.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Add up what institutions may not show each other."""
    del version


if __name__ == "__main__":
    app()
