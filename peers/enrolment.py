"""Enrolment: requests to enter the roster, and the versions the consortium signs.

A member makes its identity on its own machine and hands out a card: a request, public,
signed by its own key, and by the key that it replaces if it has one (rule 2.1-7). The
consortium accepts it after two people compared the fingerprint by telephone, and signs
the next version of the roster. Nothing is trusted because it came first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from secagg import durable, errors, jsontext
from secagg.crypto import canonical, kdf, sign
from secagg.crypto.fingerprint import fingerprint
from secagg.identity import Identity, public_half
from secagg.names import PeerId
from secagg.roster import Roster, RosterMember, SignedRoster
from secagg.roster_chain import RosterChain, versions_of

CARD_FORMAT: Final = "secagg-card/2"
"""What a card calls itself."""

_CARD_FIELDS: Final = ("id", "name", "key", "proof", "old_key", "old_proof")
_LABEL: Final = b"secagg/1/roster-request"


class EnrolmentError(Exception):
    """A card or a roster cannot be used as asked; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A request to enter the roster: the public half of an identity, with its proof.

    Attributes:
        id: what the protocol calls the member.
        name: what people call it.
        key: its Ed25519 public key, 32 bytes.
        proof: the signature of `key` over the request, 64 bytes.
        old_key: the key that it replaces, or None.
        old_proof: the signature of that key over the same request, or None.
    """

    id: str
    name: str
    key: bytes
    proof: bytes
    old_key: bytes | None = None
    old_proof: bytes | None = None

    @property
    def fingerprint(self) -> str:
        """What two people compare by telephone."""
        return fingerprint(self.key)

    @classmethod
    def of(
        cls, identity: Identity, name: str = "", *, old: Identity | None = None
    ) -> Card:
        """Return the card of an identity, which replaces `old` if that is given."""
        old_key = None if old is None else old.key.public
        said = _request(identity.id, name, identity.key.public, old_key)
        return cls(
            id=identity.id,
            name=name,
            key=identity.key.public,
            proof=identity.key.sign(said),
            old_key=old_key,
            old_proof=None if old is None else old.key.sign(said),
        )

    def require_proved(self) -> None:
        """Check that whoever made the card has its keys (rule 2.1-7).

        Raises:
            EnrolmentError: it does not; or the card was edited.
        """
        said = _request(self.id, self.name, self.key, self.old_key)
        proofs = [(self.key, self.proof)]
        if self.old_key is not None:
            proofs.append((self.old_key, self.old_proof or b""))
        if not all(sign.verify(key, proof, said) for key, proof in proofs):
            raise EnrolmentError(
                f"the card of {self.id} is not signed by its own key, or was edited"
                " since (rule 2.1-7): ask the member for its card again"
            )

    def to_json(self) -> str:
        """Return the text of a card file."""
        return jsontext.write(
            CARD_FORMAT,
            {
                "id": self.id,
                "name": self.name,
                "key": self.key.hex(),
                "proof": self.proof.hex(),
                "old_key": None if self.old_key is None else self.old_key.hex(),
                "old_proof": None if self.old_proof is None else self.old_proof.hex(),
            },
        )

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read the text of a card file.

        Raises:
            ParameterError: not a card; the message names the field.
        """
        fields = jsontext.read("the card", text, CARD_FORMAT, _CARD_FIELDS)
        renews = fields["old_key"] is not None
        return cls(
            id=jsontext.typed("the card's id", fields["id"], str),
            name=jsontext.typed("the card's name", fields["name"], str),
            key=jsontext.blob("the card's key", fields["key"], 32),
            proof=jsontext.blob("the card's proof", fields["proof"], 64),
            old_key=_blob(fields, "old_key", 32) if renews else None,
            old_proof=_blob(fields, "old_proof", 64) if renews else None,
        )


def _blob(fields: dict[str, Any], name: str, size: int) -> bytes:
    return jsontext.blob(f"the card's {name}", fields[name], size)


def _request(peer: str, name: str, key: bytes, old: bytes | None) -> bytes:
    """Return what a request's signatures are over (spec 2.1)."""
    return kdf.lp(_LABEL, canonical.pack((peer, name, key, old)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is public of an identity, whoever vouches for it."""

    id: str
    name: str
    key: bytes


def read_public(path: Path) -> Shown:
    """Read what is public in a card or an identity file; no passphrase is needed.

    Raises:
        EnrolmentError: there is no such file, or it is neither.
        StateError: an identity file that others may read.
    """
    text = _text(path, "make one with `secagg identity new`")
    if '"secagg-identity' in text[:200]:
        peer, key = public_half(path)
        return Shown(id=peer, name="", key=key)
    card = read_card(path)
    return Shown(id=card.id, name=card.name, key=card.key)


def read_card(path: Path) -> Card:
    """Read a card.

    Raises:
        EnrolmentError: there is no such file, or it is no card.
    """
    text = _text(path, "ask the member for what `secagg identity show` writes")
    if '"secagg-identity' in text[:200]:
        raise EnrolmentError(
            f"{path} is a secret file, which stays where it is: hand in the card that"
            f" `secagg identity show {path} --card FILE` writes"
        )
    try:
        return Card.from_json(text)
    except errors.ParameterError as error:
        raise EnrolmentError(f"{path}: {error}") from None


def read_versions(path: Path) -> tuple[SignedRoster, ...]:
    """Read a roster file; its signatures are not checked here.

    Raises:
        EnrolmentError: there is no such file, or it holds no roster.
    """
    text = _text(path, "get the signed roster from the consortium")
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
