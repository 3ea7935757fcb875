"""Enrolment: the versions of the roster that the consortium signs.

It accepts a card after two people compared the fingerprint by telephone, and signs the
next version. Nothing is trusted because it came first.
"""

from __future__ import annotations

from pathlib import Path

from peers import text_file
from peers.card import Card, EnrolmentError
from secagg import durable, errors
from secagg.crypto.fingerprint import fingerprint
from secagg.identity import Identity
from secagg.names import PeerId
from secagg.roster import Roster, RosterMember, SignedRoster
from secagg.roster_chain import RosterChain, versions_of


def read_versions(path: Path) -> tuple[SignedRoster, ...]:
    """Read a roster file; its signatures are not checked here.

    Raises:
        EnrolmentError: there is no such file, or it holds no roster.
    """
    text = text_file.read(
        path, "get the signed roster from the consortium", EnrolmentError
    )
    try:
        versions = versions_of(text)
    except (errors.ParameterError, errors.RemoteProtocolError) as error:
        raise EnrolmentError(f"{path}: {error}") from None
    if not versions:
        raise EnrolmentError(f"{path} holds no version of a roster")
    return versions


def verified(path: Path, consortium_key: bytes) -> RosterChain:
    """Return the versions in `path`, which the consortium signed.

    Raises:
        EnrolmentError: there is none, or it did not.
    """
    try:
        return RosterChain.opened(read_versions(path), consortium_key)
    except errors.RemoteProtocolError as error:
        raise EnrolmentError(f"{path}: {error}") from None


def accept(card: Card, *, role: str, roster: Roster) -> Roster:
    """Return the next version of `roster`, with the member of `card` in it.

    Args:
        card: whose fingerprint was compared.
        role: ``hospital`` or ``aggregator``.
        roster: the version before.

    Raises:
        EnrolmentError: the card proves nothing; it is a member already, with this or
            with another key.
        RemoteProtocolError, ParameterError: as `Roster`.
    """
    card.require_proved()
    member = RosterMember(id=PeerId(card.id), role=role, key=card.key, name=card.name)
    if card.id in roster:
        before = roster.member(card.id)
        if before == member:
            raise EnrolmentError(
                f"{card.id} is in version {roster.version} already, with this key"
            )
        if before.key != card.key:
            raise EnrolmentError(
                f"{card.id} is a member with the key {fingerprint(before.key)}; its"
                f" card has {card.fingerprint}: if the member changed its key, use"
                " `secagg roster rotate`"
            )
    return _with(member, roster)


def rotate(card: Card, *, roster: Roster, old_key_lost: bool = False) -> Roster:
    """Return the next version of `roster`, in which a member has the card's key.

    Args:
        card: whose fingerprint was compared.
        roster: the version before.
        old_key_lost: whether the old key need not have signed the request.

    Raises:
        EnrolmentError: the card proves nothing, is of no member or has its present
            key; or the old key did not sign it (rule 2.1-7).
        RemoteProtocolError, ParameterError: as `Roster`.
    """
    card.require_proved()
    if card.id not in roster:
        raise EnrolmentError(
            f"{card.id!r} is not in version {roster.version} of the roster: a new"
            " member enters with `secagg roster accept`"
        )
    before = _member(card.id, roster)
    if before.key == card.key:
        raise EnrolmentError(
            f"{card.id} has this key already, in version {roster.version}"
        )
    if card.old_key != before.key and not old_key_lost:
        raise EnrolmentError(
            f"the key that {card.id} has now, {fingerprint(before.key)}, did not sign"
            " this card (rule 2.1-7): have it made with `secagg identity rotate`; only"
            " if that key is lost, and you are sure whose card it is, use"
            " --old-key-lost"
        )
    name = card.name or before.name
    return _with(
        RosterMember(id=before.id, role=before.role, key=card.key, name=name), roster
    )


def revoke(peer: str, *, roster: Roster) -> Roster:
    """Return the next version of `roster`, without this member.

    Raises:
        EnrolmentError: it is no member.
    """
    gone = _member(peer, roster)
    return roster.followed_by(one for one in roster.members if one.id != gone.id)


def _member(peer: str, roster: Roster) -> RosterMember:
    if peer not in roster:
        known = ", ".join(one.id for one in roster.members) or "nobody"
        raise EnrolmentError(
            f"{peer!r} is not in version {roster.version} of the roster, which has"
            f" {known}"
        )
    return roster.member(peer)


def _with(member: RosterMember, roster: Roster) -> Roster:
    others = [one for one in roster.members if one.id != member.id]
    return roster.followed_by([*others, member])


def sign_next(
    chain: RosterChain | None, after: Roster, consortium: Identity
) -> RosterChain:
    """Sign `after` and return the chain with it.

    Raises:
        RemoteProtocolError: not the chain's consortium (rule 2.1-2).
    """
    signed = SignedRoster.sign(after, consortium.key)
    if chain is None:
        return RosterChain.opened([signed], consortium.key.public)
    return chain.extended([signed])


def write_roster(path: Path, chain: RosterChain) -> None:
    """Put the roster in the place of `path`, whole or not at all.

    Raises:
        StateError: it cannot be written.
    """
    try:
        durable.replace(path, chain.to_json().encode())
    except OSError as error:
        raise errors.StateError(
            f"cannot write the roster to {path}: {error.strerror}"
        ) from None


def differences(ours: Roster, theirs: Roster) -> list[str]:
    """Return, one line each, in what two rosters differ; none if they are equal."""
    told = []
    if ours.consortium != theirs.consortium:
        told.append(
            f"consortium: {ours.consortium!r} here, {theirs.consortium!r} there"
        )
    if ours.version != theirs.version:
        told.append(f"version: {ours.version} here, {theirs.version} there")
    for peer in sorted({m.id for m in (*ours.members, *theirs.members)}):
        if peer not in theirs:
            told.append(f"{peer}: only here")
        elif peer not in ours:
            told.append(f"{peer}: only there")
        else:
            told += _changes(ours.member(peer), theirs.member(peer))
    return told


def _changes(ours: RosterMember, theirs: RosterMember) -> list[str]:
    told = []
    if ours.key != theirs.key:
        here, there = fingerprint(ours.key), fingerprint(theirs.key)
        told.append(f"{ours.id}: key {here} here, {there} there")
    if ours.role != theirs.role:
        told.append(f"{ours.id}: {ours.role} here, {theirs.role} there")
    if ours.name != theirs.name:
        told.append(f"{ours.id}: name {ours.name!r} here, {theirs.name!r} there")
    return told
