"""Enrolment: public cards, and the roster that the consortium signs.

A member makes its identity on its own machine and hands out the card, which is public.
The consortium accepts the card after two people compared the fingerprint by telephone,
and signs the next version of the roster. Nothing is trusted because it came first.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from secagg import errors, jsontext
from secagg.crypto.fingerprint import fingerprint
from secagg.identity import Identity, public_half
from secagg.names import PeerId
from secagg.roster import Roster, RosterMember, SignedRoster

CARD_FORMAT: Final = "secagg-card/1"
"""What a card calls itself."""

_CARD_FIELDS: Final = ("id", "name", "key")


class EnrolmentError(Exception):
    """A card or a roster cannot be used as asked; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The public half of an identity.

    Attributes:
        id: what the protocol calls the member.
        name: what people call it.
        key: its Ed25519 public key, 32 bytes.
    """

    id: str
    name: str
    key: bytes

    @property
    def fingerprint(self) -> str:
        """What two people compare by telephone."""
        return fingerprint(self.key)

    @classmethod
    def of(cls, identity: Identity, name: str = "") -> Card:
        """Return the card of an identity."""
        return cls(id=identity.id, name=name, key=identity.key.public)

    def to_json(self) -> str:
        """Return the text of a card file."""
        fields = {"id": self.id, "name": self.name, "key": self.key.hex()}
        return jsontext.write(CARD_FORMAT, fields)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read the text of a card file.

        Raises:
            ParameterError: not a card; the message names the field.
        """
        fields = jsontext.read("the card", text, CARD_FORMAT, _CARD_FIELDS)
        return cls(
            id=jsontext.typed("the card's id", fields["id"], str),
            name=jsontext.typed("the card's name", fields["name"], str),
            key=jsontext.blob("the card's key", fields["key"], 32),
        )


def read_card(path: Path) -> Card:
    """Read a card, also that of an identity file.

    Raises:
        EnrolmentError: there is no such file, or it is neither.
        StateError: an identity file that others may read.
    """
    text = _text(path, "ask the member for what `secagg identity show` writes")
    if '"secagg-identity' in text[:200]:
        peer, key = public_half(path)
        return Card(id=peer, name="", key=key)
    try:
        return Card.from_json(text)
    except errors.ParameterError as error:
        raise EnrolmentError(f"{path}: {error}") from None


def read_signed(path: Path) -> SignedRoster:
    """Read a roster file; its signature is not checked here.

    Raises:
        EnrolmentError: there is no such file, or it holds no roster.
    """
    text = _text(path, "get the signed roster from the consortium")
    try:
        return SignedRoster.from_json(text)
    except (errors.ParameterError, errors.RemoteProtocolError) as error:
        raise EnrolmentError(f"{path}: {error}") from None


def verified(path: Path, consortium_key: bytes) -> Roster:
    """Return the roster in `path`, which the consortium signed.

    Raises:
        EnrolmentError: there is none, or it did not.
    """
    try:
        return read_signed(path).verify(consortium_key)
    except errors.RemoteProtocolError as error:
        raise EnrolmentError(f"{path}: {error}") from None


def accept(
    card: Card, *, role: str, roster: Roster, key_may_change: bool = False
) -> Roster:
    """Return the next version of `roster`, with the member of `card` in it.

    Args:
        card: whose fingerprint was compared.
        role: ``hospital`` or ``aggregator``.
        roster: the version before.
        key_may_change: whether a member may get another key.

    Raises:
        EnrolmentError: it is a member already, with this or with another key.
        RemoteProtocolError, ParameterError: as `Roster`.
    """
    member = RosterMember(id=PeerId(card.id), role=role, key=card.key, name=card.name)
    if card.id in roster:
        before = roster.member(card.id)
        if before == member:
            raise EnrolmentError(
                f"{card.id} is in version {roster.version} already, with this key"
            )
        if before.key != card.key and not key_may_change:
            raise EnrolmentError(
                f"{card.id} is a member with the key {fingerprint(before.key)}; its"
                f" card has {card.fingerprint}: if the member changed its key, accept"
                " the card with --replace"
            )
    others = [one for one in roster.members if one.id != card.id]
    members = sorted([*others, member], key=lambda one: one.id)
    return replace(roster, version=roster.version + 1, members=tuple(members))


def founded(consortium: str) -> Roster:
    """Return the empty roster that a consortium begins with."""
    return Roster(consortium=consortium, version=0, members=())


def write_roster(path: Path, roster: Roster, consortium: Identity) -> None:
    """Sign `roster` and put it in the place of `path`, whole or not at all.

    Raises:
        StateError: it cannot be written.
    """
    signed = SignedRoster.sign(roster, consortium.key)
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(signed.to_json())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
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


def _text(path: Path, remedy: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise EnrolmentError(
            f"there is no file {path} (looked in {path.parent.absolute()}): check the"
            f" path, or {remedy}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise EnrolmentError(f"{path} cannot be read: {error}") from None
