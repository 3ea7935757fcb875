"""What the commands say, and how they end: one line and exit code 2 for an error."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Annotated, Any, Final, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from peers.card import EnrolmentError
from peers.toml_file import ConfigError
from secagg.errors import SecaggError

P = ParamSpec("P")
R = TypeVar("R")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

USAGE: Final = 2
"""The exit code of everything that a person can mend."""


def out() -> Console:
    """Return the console for results; tables are not cut when piped."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def err() -> Console:
    """Return the console for people, beside the results."""
    return Console(stderr=True, highlight=False)


def say_json(value: Any) -> None:
    """Print one JSON value for machines."""
    typer.echo(json.dumps(value, indent=2))


def fail(message: str) -> typer.Exit:
    """Say what is wrong; raise what is returned."""
    err().print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    return typer.Exit(USAGE)


def told(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors a person can mend into one line and exit code 2."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (SecaggError, ConfigError, EnrolmentError) as error:
            raise fail(str(error)) from None

    return run
