"""``secagg roster``: accept, rotate and revoke members; show and install a roster."""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from peers import enrolment, passphrase, terminal
from peers.card import Card, EnrolmentError, read_card
from peers.config import load_roster_place
from peers.config_types import WANTED_KEY, key_of
from secagg import errors
from secagg.crypto.fingerprint import fingerprint
from secagg.identity import Identity
from secagg.roster import Roster
from secagg.roster_chain import RosterChain

app = typer.Typer(
    no_args_is_help=True, help="The signed list of who belongs to the consortium."
)
ConsortiumKey = Annotated[
    str | None,
    typer.Option(help="The consortium's public key, 64 hexadecimal digits."),
]
CardFile = Annotated[Path, typer.Argument(help="The member's card.")]
RosterPath = Annotated[Path, typer.Option(help="The roster file; made if missing.")]
Signer = Annotated[Path, typer.Option(help="The consortium's identity file.")]
Compared = Annotated[
    str | None,
    typer.Option("--fingerprint", help="What the member read out by telephone."),
]


class Role(enum.StrEnum):
    """What a member does."""

    HOSPITAL = "hospital"
    AGGREGATOR = "aggregator"


@app.command()
@terminal.told
def accept(
    card: CardFile,
    roster: RosterPath,
    key: Signer,
    role: Annotated[Role, typer.Option(help="What the member does.")] = Role.HOSPITAL,
    consortium: Annotated[
        str | None, typer.Option(help="The consortium's name, for a first roster.")
    ] = None,
    compared: Compared = None,
    as_json: terminal.AsJson = False,
) -> None:
    """Put a member into the roster and sign its next version."""
    found, signer = read_card(card), _signer(key)
    chain = _before(roster, signer, needed=consortium is None)
    before = chain.newest if chain else Roster.beginning(consortium or "")
    after = enrolment.accept(found, role=role.value, roster=before)
    _compare(found, compared)
    _publish(roster, enrolment.sign_next(chain, after, signer), found.id, as_json)


@app.command()
@terminal.told
def rotate(
    card: CardFile,
    roster: RosterPath,
    key: Signer,
    old_key_lost: Annotated[
        bool, typer.Option("--old-key-lost", help="The old key cannot sign the card.")
    ] = False,
    compared: Compared = None,
    as_json: terminal.AsJson = False,
) -> None:
    """Give a member another key and sign the next version."""
    found, signer = read_card(card), _signer(key)
    chain = _known(roster, signer)
    after = enrolment.rotate(found, roster=chain.newest, old_key_lost=old_key_lost)
    _compare(found, compared)
    _publish(roster, enrolment.sign_next(chain, after, signer), found.id, as_json)


@app.command()
@terminal.told
def revoke(
    peer: Annotated[str, typer.Argument(metavar="ID", help="The member's id.")],
    roster: RosterPath,
    key: Signer,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Take a member out of the roster and sign the next version."""
    signer = _signer(key)
    chain = _known(roster, signer)
    after = enrolment.revoke(peer, roster=chain.newest)
    told = f"Revoke {peer}, whose key is {chain.newest.fingerprint(peer)}?"
    if not yes and not typer.confirm(told, err=True):
        raise EnrolmentError(f"{peer} was not revoked")
    _publish(roster, enrolment.sign_next(chain, after, signer), peer, as_json)


@app.command()
@terminal.told
def show(
    roster: Annotated[Path, typer.Argument(help="The roster file.")],
    consortium_key: ConsortiumKey = None,
    as_json: terminal.AsJson = False,
) -> None:
    """Show the newest version: the members with their fingerprints."""
    if consortium_key is None:
        shown = enrolment.read_versions(roster)[-1].claimed
    else:
        shown = enrolment.verified(roster, _key(consortium_key)).newest
    if as_json:
        terminal.say_json({**_fields(shown), "verified": consortium_key is not None})
        return
    table = Table(title=f"{escape(shown.consortium)}, version {shown.version}")
    for column in ("id", "role", "name", "fingerprint"):
        table.add_column(column, no_wrap=column == "fingerprint")
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
def install(
    newer: Annotated[Path, typer.Argument(help="The roster file that came.")],
    config: Annotated[
        Path, typer.Option(help="The program's file, whose `roster` is replaced.")
    ],
    as_json: terminal.AsJson = False,
) -> None:
    """Put a newer roster in the place of a program's, which may be running."""
    place = load_roster_place(config)
    given = enrolment.verified(newer, place.consortium_key)
    if place.roster.exists():
        ours = enrolment.verified(place.roster, place.consortium_key)
        given = _longer(ours, given, newer)
    enrolment.write_roster(place.roster, given)
    _say(given.newest, f"is in {place.roster}", as_json)


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
    as_json: terminal.AsJson = False,
) -> None:
    """Verify the signature; say in what two rosters differ."""
    key = _key(consortium_key)
    ours = enrolment.verified(roster, key).newest
    theirs = enrolment.verified(other, key).newest if other else ours
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


def _before(path: Path, signer: Identity, *, needed: bool) -> RosterChain | None:
    """Return the versions to go on from; None for a first roster."""
    if path.exists():
        return _known(path, signer)
    if needed:
        raise EnrolmentError(
            f"there is no roster in {path}: check the path, or begin one with"
            " --consortium NAME"
        )
    return None


def _signer(key: Path) -> Identity:
    return passphrase.opened(key)


def _known(path: Path, signer: Identity) -> RosterChain:
    versions = enrolment.read_versions(path)
    try:
        return RosterChain.opened(versions, signer.key.public)
    except errors.RemoteProtocolError as error:
        if error.rule != "2.1-2":
            raise EnrolmentError(f"{path}: {error}") from None
        raise EnrolmentError(
            f"{path} is not signed by {signer.id}, whose identity --key names, with the"
            f" key {signer.fingerprint}: give the identity file of the consortium that"
            " signed it, or that consortium's roster (rule 2.1-2)"
        ) from None


def _longer(ours: RosterChain, given: RosterChain, newer: Path) -> RosterChain:
    """Return `given`, which continues ours; never an older one."""
    try:
        both = ours.extended(given.versions)
    except errors.RemoteProtocolError as error:
        raise EnrolmentError(f"{newer}: {error}") from None
    if both.newest.version > given.newest.version:
        raise EnrolmentError(
            f"{newer} ends with version {given.newest.version}, and version"
            f" {both.newest.version} is installed: a roster never goes back"
        )
    return both


def _publish(path: Path, chain: RosterChain, peer: str, as_json: bool) -> None:
    """Write the longer chain, and say what to do with it."""
    enrolment.write_roster(path, chain)
    newest = chain.newest
    does = "is not in it any more"
    if peer in newest:
        does = f"has the key {newest.fingerprint(peer)} in it"
    hand = "hand it to the aggregator (`secagg roster install`), which gives it to all"
    _say(newest, f"is in {path}, and {peer} {does}: {hand}", as_json)


def _say(roster: Roster, what: str, as_json: bool) -> None:
    if as_json:
        terminal.say_json(_fields(roster))
        return
    terminal.out().print(
        f"version {roster.version} of the roster of {roster.consortium} {what}",
        markup=False,
        soft_wrap=True,
    )


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
            f" {compared}: have it read out once more; if it still differs, it is not"
            " the member's card"
        )


def _plain(text: str) -> str:
    return re.sub(r"[\s-]", "", text)


def _key(text: str) -> bytes:
    found = key_of(text)
    if found is None:
        raise EnrolmentError(f"--consortium-key {WANTED_KEY}")
    return found


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
