"""Where a passphrase comes from: a file, an environment variable, or a person.

Never from the command line, where every account of the machine could read it. The file
is checked as the identity's own: for its owner alone, and no link.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from peers import card
from secagg import errors, keyfile
from secagg.crypto.passphrase import Passphrase
from secagg.identity import Ask, Identity


def asking(
    identity: Path, *, file: Path | None = None, variable: str | None = None
) -> Ask:
    """Return what gets the passphrase of an identity file when it is needed.

    Args:
        identity: the encrypted file, for the messages.
        file: holds the passphrase in its first line.
        variable: the name of an environment variable that is the passphrase. Without
            either a person at a terminal is asked.
    """

    def ask() -> Passphrase:
        if file is not None:
            return from_file(file)
        if variable is not None:
            return _from_variable(variable)
        if not sys.stdin.isatty():
            raise errors.StateError(
                f"the identity in {identity} opens with a passphrase, and no person is"
                " here to be asked: name `passphrase_file` or `passphrase_env` in the"
                " configuration, or run it at a terminal"
            )
        return typed(f"Passphrase of {identity}")

    return ask


def opened(path: Path, ask: Ask | None = None) -> Identity:
    """Read an identity file.

    Args:
        path: the file.
        ask: gets the passphrase, if there is one; by default a person is asked.

    Raises:
        EnrolmentError: it is a card.
        StateError: as `Identity.load`.
    """
    card.require_none(path)
    return Identity.load(path, ask or asking(path))


def from_file(path: Path) -> Passphrase:
    """Return the passphrase in the first line of a file.

    Raises:
        StateError: there is none, or others may use it.
    """
    text = keyfile.read(
        path,
        "the passphrase",
        missing="write it there, readable for this account alone (chmod 600)",
        leaked="if others may have read it, set another with"
        " `secagg identity passphrase`",
    )
    first = text.partition("\n")[0].removesuffix("\r")
    if not first:
        raise errors.StateError(f"the first line of {path} is empty: no passphrase")
    return Passphrase(first)


def typed(prompt: str, *, twice: bool = False) -> Passphrase:
    """Ask a person, who types it unseen; `twice` for a new one.

    Raises:
        StateError: nothing was typed, as where nobody sits.
    """
    try:
        text: str = typer.prompt(
            prompt, hide_input=True, confirmation_prompt=twice, err=True
        )
    except typer.Abort:
        raise errors.StateError(
            "no passphrase was typed: run it at a terminal, or give the passphrase in a"
            " file (the options are in --help)"
        ) from None
    return Passphrase(text)


def _from_variable(name: str) -> Passphrase:
    text = os.environ.get(name, "")
    if not text:
        raise errors.StateError(
            f"the environment variable {name}, which `passphrase_env` names, is not"
            " set: have the service set it, or name another"
        )
    return Passphrase(text)
