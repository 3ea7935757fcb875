"""``secagg aggregator`` and ``secagg hospital``: run the two programs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from peers import terminal
from peers.aggregator import AggregatorProgram
from peers.background import until_signalled
from peers.config import load_aggregator, load_hospital
from peers.display import AggregatorDisplay, HospitalDisplay
from peers.hardening import keep_memory_private
from peers.hospital import Hospital
from peers.logs import logged, opened_log
from peers.membership import Membership
from peers.toml_file import ConfigError
from peers.training import load_function
from secagg.drivers.progress import Observer, Progress

Config = Annotated[
    Path | None, typer.Option("--config", help="The program's file, in TOML.")
]
Example = Annotated[
    bool, typer.Option("--example", help="Print a file to begin with, and stop.")
]


@terminal.told
def aggregator(config: Config = None, example: Example = False) -> None:
    """Run the aggregator: serve hospitals, run the rounds of a task."""
    if example:
        _print_example("aggregator.toml")
        return
    keep_memory_private()
    path = _given(config, "aggregator")
    loaded = load_aggregator(path)
    member = Membership.of(loaded)
    console = _terminal()
    display: AggregatorDisplay | None = None
    if console is not None:
        display = AggregatorDisplay(
            console, loaded.task.id, loaded.task.rounds, member.roster.hospitals
        )
    with opened_log(loaded.log, console) as log:
        program = AggregatorProgram(
            loaded,
            member,
            path.parent,
            log=log,
            observer=_both(logged(log), display.observe if display else None),
            reported=display.report if display else lambda _: None,
            told=display.tell if display else lambda _: None,
        )
        with display.shown() if display else contextlib.nullcontext():
            asyncio.run(until_signalled(program.run()))


@terminal.told
def hospital(config: Config = None, example: Example = False) -> None:
    """Run a hospital: train on each model, and take part in each round."""
    if example:
        _print_example("hospital.toml")
        return
    keep_memory_private()
    path = _given(config, "hospital")
    loaded = load_hospital(path)
    follows = loaded.policy.roster_updates == "automatic"
    member = Membership.of(loaded, follows=follows)
    train = load_function(loaded.training.trainer, path.parent)
    console = _terminal()
    display = HospitalDisplay(console, member.identity.id) if console else None
    with opened_log(loaded.log, console) as log:
        program = Hospital(
            loaded,
            member,
            train,
            log=log,
            observer=_both(logged(log), display.observe if display else None),
            # A service that ended would stay away: nobody sees its exit code.
            patient=console is None,
            told=display.tell if display else lambda _: None,
            shown=display.show if display else lambda _: None,
            received=display.received if display else lambda _record, _mean: None,
        )
        with display.shown() if display else contextlib.nullcontext():
            asyncio.run(until_signalled(program.run()))


def _both(first: Observer, second: Callable[[Progress], None] | None) -> Observer:
    def observe(event: Progress) -> None:
        first(event)
        if second is not None:
            second(event)

    return observe


def _given(config: Path | None, program: str) -> Path:
    if config is None:
        raise ConfigError(
            f"give the configuration: secagg {program} --config {program}.toml; a first"
            f" one is written by secagg {program} --example > {program}.toml"
        )
    return config


def _print_example(name: str) -> None:
    folder = resources.files("peers") / "examples"
    typer.echo((folder / name).read_text(encoding="utf-8"), nl=False)


def _terminal() -> Console | None:
    console = terminal.err()
    return console if console.is_terminal else None
