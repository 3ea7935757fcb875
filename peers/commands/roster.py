"""``secagg roster``: accept a member's card, list the members, check two rosters."""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from peers import enrolment, passphrase, terminal
from peers.enrolment import Card, EnrolmentError
from secagg.crypto.fingerprint import fingerprint
from secagg.identity import Identity
from secagg.roster import Roster

app = typer.Typer(
    no_args_is_help=True, help="The signed list of who belongs to the consortium."
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
ConsortiumKey = Annotated[
    str | None,
    typer.Option(help="The consortium's public key, 64 hexadecimal digits."),
]


class Role(enum.StrEnum):
    """What a member does."""

    HOSPITAL = "hospital"
    AGGREGATOR = "aggregator"


@app.command()
@terminal.told
def accept(
    card: Annotated[Path, typer.Argument(help="The member's card.")],
    roster: Annotated[Path, typer.Option(help="The roster file; made if missing.")],
    key: Annotated[Path, typer.Option(help="The consortium's identity file.")],
    role: Annotated[Role, typer.Option(help="What the member does.")] = Role.HOSPITAL,
    name: Annotated[
        str | None, typer.Option(help="Its name, if not the card's.")
    ] = None,
    consortium: Annotated[
        str | None, typer.Option(help="The consortium's name, for a first roster.")
    ] = None,
    compared: Annotated[
        str | None,
        typer.Option("--fingerprint", help="What the member read out by telephone."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="The member has another key now.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a member into the roster and sign its next version."""
    found = enrolment.read_card(card)
    if name is not None:
        found = Card(id=found.id, name=name, key=found.key)
    signer = Identity.load(key, passphrase.asking(key))
    before = _before(roster, consortium, signer)
    _compare(found, compared)
    after = enrolment.accept(
        found, role=role.value, roster=before, key_may_change=replace
    )
    enrolment.write_roster(roster, after, signer)
    if as_json:
        terminal.say_json(_fields(after))
        return
    terminal.out().print(
        f"{found.id} is in version {after.version} of the roster of"
        f" {after.consortium}: hand {roster} to every member"
    )


@app.command("list")
@terminal.told
def list_(
    roster: Annotated[Path, typer.Argument(help="The roster file.")],
    consortium_key: ConsortiumKey = None,
    as_json: AsJson = False,
) -> None:
    """List the members with their fingerprints."""
    if consortium_key is None:
        shown = enrolment.read_signed(roster).claimed
    else:
        shown = enrolment.verified(roster, _key(consortium_key))
    if as_json:
        terminal.say_json({**_fields(shown), "verified": consortium_key is not None})
        return
    table = Table(title=f"{escape(shown.consortium)}, version {shown.version}")
    for column in ("id", "role", "name", "fingerprint"):
        table.add_column(column)
    for member in shown.members:
        table.add_row(
            member.id, member.role, escape(member.name), fingerprint(member.key)
        )
    console = terminal.out()
    console.print(table)
    console.print(f"hash {shown.hash.hex()}")
    console.print(
        "signature not checked: give --consortium-key"
        if consortium_key is None
        else "signed by the consortium"
    )


@app.command()
@terminal.told
def check(
    roster: Annotated[Path, typer.Argument(help="The roster file.")],
    consortium_key: Annotated[
        str, typer.Option(help="The consortium's public key, 64 hexadecimal digits.")
    ],
    other: Annotated[
        Path | None, typer.Argument(help="Another party's roster file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify the signature; say in what two rosters differ."""
    key = _key(consortium_key)
    ours = enrolment.verified(roster, key)
    theirs = enrolment.verified(other, key) if other else ours
    found = enrolment.differences(ours, theirs)
    if as_json:
        agree = not found
        terminal.say_json({**_fields(ours), "agree": agree, "differences": found})
    if other is not None and found:
        advice = _advice(ours, theirs, roster, other)
        raise EnrolmentError(
            f"{roster} and {other} differ: {'; '.join(found)}. {advice}"
        )
    if not as_json:
        said = "signed by the consortium" + (", and both agree" if other else "")
        terminal.out().print(
            f"version {ours.version} of the roster of {ours.consortium}: {said}"
        )


def _advice(ours: Roster, theirs: Roster, here: Path, there: Path) -> str:
    if ours.version == theirs.version:
        return (
            "A version has one content: ask the consortium to sign a higher version,"
            " and use that on both sides"
        )
    newest = here if ours.version > theirs.version else there
    return f"Use the newest on both sides: {newest}"


def _before(path: Path, consortium: str | None, signer: Identity) -> Roster:
    """Return the roster to go on from: the file's, or an empty one for a new file."""
    if path.exists():
        return enrolment.verified(path, signer.key.public)
    if consortium is None:
        raise EnrolmentError(
            f"there is no roster in {path}: check the path, or begin one with"
            " --consortium NAME"
        )
    return enrolment.founded(consortium)


def _compare(card: Card, compared: str | None) -> None:
    """Have a person compare the fingerprint, or take what was read out."""
    if compared is None:
        question = f"Did {card.id} read out {card.fingerprint} by telephone?"
        if typer.confirm(question, err=True):
            return
        raise EnrolmentError(f"{card.id} was not accepted: ask it for its card again")
    if _plain(compared) != _plain(card.fingerprint):
        raise EnrolmentError(
            f"the card of {card.id} has the fingerprint {card.fingerprint}, not"
            f" {compared}: it is not the member's card; ask for it again"
        )


def _plain(text: str) -> str:
    return re.sub(r"[\s-]", "", text).upper()


def _key(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise EnrolmentError(
            "--consortium-key must be 64 hexadecimal digits: ask the consortium for"
            " what `secagg identity show` prints of its key"
        )
    return bytes.fromhex(text)


def _fields(roster: Roster) -> dict[str, object]:
    return {
        "consortium": roster.consortium,
        "version": roster.version,
        "hash": roster.hash.hex(),
        "members": [
            {
                "id": member.id,
                "role": member.role,
                "name": member.name,
                "fingerprint": fingerprint(member.key),
            }
            for member in roster.members
        ],
    }
