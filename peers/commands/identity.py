"""``secagg identity``: make an identity, show its public half, set its passphrase."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from peers import passphrase, terminal
from peers.card import Card, EnrolmentError, Shown, read_public
from secagg import errors
from secagg.crypto.fingerprint import fingerprint
from secagg.crypto.passphrase import Passphrase
from secagg.entropy import SystemEntropy
from secagg.identity import Identity
from secagg.names import PEER_ID, PeerId

app = typer.Typer(
    no_args_is_help=True, help="Make this institution's identity; show its public half."
)
CardName = Annotated[str, typer.Option(help="The name on the card.")]
Encrypt = Annotated[
    bool, typer.Option("--encrypt", help="Ask for a passphrase for the file.")
]
PassphraseFile = Annotated[
    Path | None, typer.Option(help="A file with the passphrase, for --encrypt.")
]


@app.command()
@terminal.told
def new(
    peer: Annotated[str, typer.Argument(metavar="ID", help="1 to 64 of a-z, 0-9, -.")],
    out: Annotated[
        Path | None, typer.Option(help="The secret file; ID.identity.json if left out.")
    ] = None,
    name: Annotated[str, typer.Option(help="What people call the institution.")] = "",
    encrypt: Encrypt = False,
    passphrase_file: PassphraseFile = None,
    as_json: terminal.AsJson = False,
) -> None:
    """Make an identity: a secret file, and a public card to hand out."""
    if not PEER_ID.fullmatch(peer):
        raise EnrolmentError(f"the id {peer!r} is not 1 to 64 of a-z, 0-9 and -")
    path = out or Path(f"{peer}.identity.json")
    card_path = path.parent / f"{peer}.card.json"
    identity = Identity.generate(PeerId(peer), SystemEntropy())
    _save(identity, path, encrypt, passphrase_file)
    _hand_out(Card.of(identity, name), card_path, path, as_json)


@app.command()
@terminal.told
def rotate(
    path: Annotated[Path, typer.Argument(help="The identity file of now.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The new secret file; ID.2.identity.json if left out."),
    ] = None,
    name: CardName = "",
    encrypt: Encrypt = False,
    passphrase_file: PassphraseFile = None,
    as_json: terminal.AsJson = False,
) -> None:
    """Make the next key of this institution; the present one signs its card.

    The new file has the passphrase of the old one, if that has one, or another.
    """
    ask = functools.cache(passphrase.asking(path))
    old = passphrase.opened(path, ask)
    stem = _next_stem(path, old.id)
    new_path = out or path.parent / f"{stem}.identity.json"
    card_path = new_path.parent / f"{stem}.card.json"
    identity = Identity.generate(old.id, SystemEntropy())
    # What was not to lie there in clear is not to now.
    kept = ask() if ask.cache_info().currsize else None
    _save(identity, new_path, encrypt, passphrase_file, kept)
    _hand_out(Card.of(identity, name, old=old), card_path, new_path, as_json)
    if not as_json:
        terminal.out().print(
            f"Go on with {path} until the aggregator has the new roster; then name"
            f" {new_path} as `identity` and restart, with the same `state`.",
            markup=False,
            soft_wrap=True,
        )


@app.command()
@terminal.told
def show(
    path: Annotated[Path, typer.Argument(help="An identity file or a card.")],
    card: Annotated[
        Path | None, typer.Option(help="Write the public card to this file.")
    ] = None,
    name: CardName = "",
    as_json: terminal.AsJson = False,
) -> None:
    """Show the public half of an identity: id, key and fingerprint."""
    found = read_public(path)
    shown = Shown(id=found.id, name=name or found.name, key=found.key)
    if card is not None:
        identity = passphrase.opened(path)
        _write_card(card, Card.of(identity, name))
    if as_json:
        terminal.say_json(_fields(shown))
        return
    console = terminal.out()
    console.print(f"id           {shown.id}")
    console.print(f"public key   {shown.key.hex()}")
    console.print(f"fingerprint  [bold]{fingerprint(shown.key)}[/]")


@app.command("passphrase")
@terminal.told
def passphrase_(
    path: Annotated[Path, typer.Argument(help="The identity file.")],
    remove: Annotated[
        bool, typer.Option("--remove", help="Keep the file without a passphrase.")
    ] = False,
    old_file: Annotated[
        Path | None, typer.Option(help="A file with the passphrase of now.")
    ] = None,
    new_file: Annotated[
        Path | None, typer.Option(help="A file with the new passphrase.")
    ] = None,
) -> None:
    """Set, change or remove the passphrase of an identity; asks for it unseen."""
    if remove and new_file is not None:
        raise EnrolmentError("give --remove or --new-file, not both")

    def old() -> Passphrase:
        if old_file is not None:
            return passphrase.from_file(old_file)
        return passphrase.typed(f"Passphrase of {path}")

    identity = passphrase.opened(path, old)
    text = identity.clear()
    if not remove:
        text = identity.encrypted(_new_passphrase(new_file), SystemEntropy())
    identity.rewrite(path, text)
    opens = "without a passphrase" if remove else "with the new passphrase alone"
    console = terminal.out()
    console.print(f"{path} opens {opens} from now on.", soft_wrap=True)
    if not remove:
        console.print(
            "Copies of the old file, in backups too, open as they did before.",
            soft_wrap=True,
        )


def _next_stem(path: Path, peer: str) -> str:
    """Return what the files of a next key begin with: ``bern.2``, then ``bern.3``."""
    numbered = re.search(r"\.(\d+)\.identity\.json$", path.name)
    return f"{peer}.{int(numbered[1]) + 1 if numbered else 2}"


def _new_passphrase(file: Path | None) -> Passphrase:
    if file is not None:
        return passphrase.from_file(file)
    return passphrase.typed("New passphrase", twice=True)


def _save(
    identity: Identity,
    path: Path,
    encrypt: bool,
    passphrase_file: Path | None,
    kept: Passphrase | None = None,
) -> None:
    """Write the secret file, under a passphrase if one is asked for, or else `kept`."""
    words = kept
    if encrypt or passphrase_file is not None:
        words = _new_passphrase(passphrase_file)
    text = None if words is None else identity.encrypted(words, SystemEntropy())
    identity.save(path, text)


def _hand_out(card: Card, path: Path, secret: Path, as_json: bool) -> None:
    """Write the card of a new key, and say what to do with it."""
    _write_card(path, card)
    if as_json:
        terminal.say_json({**_fields(card), "file": str(secret), "card": str(path)})
        return
    for line in (
        f"[bold]{escape(str(secret))}[/] is the secret: it stays on this machine.",
        f"[bold]{escape(str(path))}[/] is the card: send it to the consortium,",
        f"and read this to them by telephone: [bold]{card.fingerprint}[/]",
    ):
        terminal.out().print(line, soft_wrap=True)


def _fields(card: Card | Shown) -> dict[str, str]:
    return {
        "id": card.id,
        "name": card.name,
        "key": card.key.hex(),
        "fingerprint": fingerprint(card.key),
    }


def _write_card(path: Path, card: Card) -> None:
    try:
        path.write_text(card.to_json(), encoding="utf-8")
    except OSError as error:
        raise errors.StateError(f"cannot write {path}: {error.strerror}") from None
