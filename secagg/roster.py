"""The roster: who belongs to the consortium, under which key. Spec section 2.1.

A roster that breaks a rule cannot be built, so whoever holds a `Roster` need not check
it again; a `SignedRoster` gives its roster out only against the consortium's key. Each
version names the one before it; `secagg.roster_chain` keeps them all.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secagg import errors, jsontext
from secagg.crypto import canonical, kdf, sign
from secagg.crypto.fingerprint import fingerprint
from secagg.names import PEER_ID, PeerId

AGGREGATOR: Final = "aggregator"
HOSPITAL: Final = "hospital"

MAX_BODY: Final = 1 << 20
"""Bytes of a roster's body, at most (spec 2.1): over 4,000 members."""

MAX_VERSION: Final = 1 << 62

_LABEL: Final = "secagg/1/roster"
_NAME: Final = re.compile(r"[ -~]{0,128}")
_CONSORTIUM: Final = re.compile(r"[ -~]{1,128}")
_FILE_FIELDS: Final = ("consortium", "version", "previous", "members", "signature")
_MEMBER_FIELDS: Final = ("id", "role", "name", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterMember:
    """One legal institution.

    Attributes:
        id: what the protocol calls it, ``[a-z0-9-]{1,64}``.
        role: `AGGREGATOR` or `HOSPITAL`.
        key: its Ed25519 identity key, 32 bytes.
        name: what people call it: printable ASCII, at most 128 characters.
    """

    id: PeerId
    role: str
    key: bytes
    name: str


@dataclass(frozen=True, kw_only=True)
class Roster:
    """The members of a consortium, checked.

    Attributes:
        consortium: the consortium's name, printable ASCII, 1 to 128 characters.
        version: counts the changes, 0 to 2^62; 0 is the beginning, with nobody in it.
        members: sorted by id.
        previous: the hash of the version before, 32 bytes.

    Raises:
        ParameterError: the consortium, the version or a name is out of its range.
        RemoteProtocolError: an id is ill-formed (rule 2.1-1); ids or keys are not
            distinct, not sorted, or a role is unknown (rule 2.1-3); a key is not a
            canonical Ed25519 key of full order (rule 3.1-1).
    """

    consortium: str
    version: int
    members: tuple[RosterMember, ...]
    previous: bytes = bytes(32)

    def __post_init__(self) -> None:
        """Check everything once."""
        _check_texts(self)
        for member in self.members:
            _check_member(member)
        ids = [member.id for member in self.members]
        errors.require("2.1-3", ids == sorted(ids), "the ids are not sorted")
        _check_distinct("id", self.members, ids)
        _check_distinct("key", self.members, [m.key.hex() for m in self.members])

    @classmethod
    def beginning(cls, consortium: str) -> Roster:
        """Return version 0, which nobody signs: the first version follows it."""
        return cls(consortium=consortium, version=0, members=())

    @classmethod
    def from_body(cls, body: bytes) -> Roster:
        """Return the roster of a canonical body.

        Raises:
            CodecError: rules 3.3-1 to 3.3-6; and what building a roster raises.
        """
        try:
            consortium, version, previous, rows = _unpacked(body)
            members = tuple(
                RosterMember(id=PeerId(id_), role=role, key=key, name=name)
                for id_, role, key, name in rows
            )
            return cls(
                consortium=consortium,
                version=version,
                previous=previous,
                members=members,
            )
        except errors.ParameterError as error:
            raise errors.CodecError("3.3-6", str(error)) from None

    def followed_by(self, members: Iterable[RosterMember]) -> Roster:
        """Return the next version, with these members in any order."""
        return Roster(
            consortium=self.consortium,
            version=self.version + 1,
            previous=self.hash,
            members=tuple(sorted(members, key=lambda member: member.id)),
        )

    def require_successor(self, after: Roster) -> None:
        """Check that `after` is the version behind this one.

        Raises:
            RemoteProtocolError: it is not (rule 2.1-4).
        """
        told = f"version {after.version} of the roster of {after.consortium}"
        errors.require(
            "2.1-4",
            after.consortium == self.consortium
            and after.version == self.version + 1
            and after.previous == self.hash,
            f"{told} does not follow version {self.version} of the roster of"
            f" {self.consortium} ({self.hash.hex()[:12]}): a version is missing, or"
            " the roster was forked; ask the consortium for its roster file",
        )

    def __contains__(self, peer: object) -> bool:
        """Return whether `peer` is the id of a member."""
        return peer in self._by_id

    def body(self) -> bytes:
        """Return what is signed: the canonical encoding."""
        rows = [(m.id, m.role, m.key, m.name) for m in self.members]
        return canonical.pack((self.consortium, self.version, self.previous, rows))

    @functools.cached_property
    def hash(self) -> bytes:
        """roster_hash = H("secagg/1/roster", body), 32 bytes."""
        return kdf.digest(_LABEL, self.body())

    def member(self, peer: str) -> RosterMember:
        """Return the member with this id.

        Raises:
            LocalProtocolError: there is none; ask with ``in`` first.
        """
        if peer not in self._by_id:
            raise errors.LocalProtocolError(
                f"{peer!r} is not in version {self.version} of the roster of"
                f" {self.consortium}: check the id, or accept the newest roster"
            )
        return self._by_id[peer]

    def owner(self, key: bytes) -> RosterMember | None:
        """Return the member whose identity key this is, if any."""
        return next((m for m in self.members if m.key == key), None)

    def fingerprint(self, peer: str) -> str:
        """Return the fingerprint of a member's key, to compare by telephone."""
        return fingerprint(self.member(peer).key)

    @functools.cached_property
    def hospitals(self) -> tuple[PeerId, ...]:
        """The ids of the hospitals, sorted."""
        return tuple(m.id for m in self.members if m.role == HOSPITAL)

    @functools.cached_property
    def aggregators(self) -> tuple[PeerId, ...]:
        """The ids of the aggregators, sorted."""
        return tuple(m.id for m in self.members if m.role == AGGREGATOR)

    @functools.cached_property
    def _by_id(self) -> dict[str, RosterMember]:
        return {member.id: member for member in self.members}


@dataclass(frozen=True, slots=True)
class SignedRoster:
    """A roster as it is handed round, not trusted yet.

    Attributes:
        claimed: what it says; `verify` is the way to use it.
        signature: the consortium's, 64 bytes.
    """

    claimed: Roster
    signature: bytes

    @classmethod
    def from_wire(cls, body: bytes, signature: bytes) -> SignedRoster:
        """Return what came as a body and its signature; nothing is verified yet.

        Raises:
            CodecError, RemoteProtocolError: as `Roster.from_body`.
        """
        return cls(Roster.from_body(body), signature)

    @classmethod
    def sign(cls, roster: Roster, key: sign.SigningKey) -> SignedRoster:
        """Sign `roster` with the consortium's key."""
        return cls(roster, key.sign(_signing_input(roster)))

    def verify(self, consortium_key: bytes) -> Roster:
        """Return the roster, which the consortium signed.

        Args:
            consortium_key: the pinned Ed25519 key, 32 bytes.

        Raises:
            RemoteProtocolError: it did not (rule 2.1-2).
        """
        message = _signing_input(self.claimed)
        errors.require(
            "2.1-2",
            sign.verify(consortium_key, self.signature, message),
            f"version {self.claimed.version} of the roster is not signed by the pinned"
            f" consortium key {fingerprint(consortium_key)}: if the consortium reads"
            " out another fingerprint, correct `consortium_key`; else fetch the roster"
            " again",
        )
        return self.claimed

    def fields(self) -> dict[str, Any]:
        """Return what a file says of this version, for JSON."""
        roster = self.claimed
        members = [
            {"id": m.id, "role": m.role, "name": m.name, "key": m.key.hex()}
            for m in roster.members
        ]
        return {
            "consortium": roster.consortium,
            "version": roster.version,
            "previous": roster.previous.hex(),
            "members": members,
            "signature": self.signature.hex(),
        }

    @classmethod
    def of_fields(cls, value: Any) -> SignedRoster:
        """Read what `fields` gives.

        Raises:
            ParameterError: not that; the message names the field.
            RemoteProtocolError: a roster that breaks a rule of 2.1 or 3.1.
        """
        fields = jsontext.fields("the roster", value, _FILE_FIELDS)
        rows = jsontext.typed("the roster's members", fields["members"], list)
        roster = Roster(
            consortium=jsontext.typed(
                "the roster's consortium", fields["consortium"], str
            ),
            version=jsontext.typed("the roster's version", fields["version"], int),
            previous=jsontext.blob("the roster's previous", fields["previous"], 32),
            members=tuple(_member(place, row) for place, row in enumerate(rows)),
        )
        signature = jsontext.blob("the roster's signature", fields["signature"], 64)
        return cls(roster, signature)


def _signing_input(roster: Roster) -> bytes:
    return kdf.lp(_LABEL.encode("ascii"), roster.body())


def _unpacked(body: bytes) -> tuple[str, int, bytes, tuple[Any, ...]]:
    """Return the four fields of a body, and check their types."""
    value: Any = canonical.unpack(body, MAX_BODY)
    fields = value if isinstance(value, tuple) else ()
    typed = [type(field) for field in fields] == [str, int, bytes, tuple]
    rows = fields[3] if typed else ()
    shaped = typed and all(_is_row(row) for row in rows)
    errors.require("3.3-6", shaped, "not a roster's body", error=errors.CodecError)
    return fields[0], fields[1], fields[2], rows


def _is_row(row: Any) -> bool:
    kinds = [str, str, bytes, str]
    return isinstance(row, tuple) and [type(field) for field in row] == kinds


def _check_texts(roster: Roster) -> None:
    if not _CONSORTIUM.fullmatch(roster.consortium):
        raise errors.ParameterError(
            "the consortium's name must be 1 to 128 printable ASCII characters"
        )
    if not 0 <= roster.version <= MAX_VERSION:
        raise errors.ParameterError(
            f"the roster's version is {roster.version}, outside 0..2^62"
        )
    if len(roster.previous) != 32:
        raise errors.ParameterError("the hash of the version before has 32 bytes")


def _check_member(member: RosterMember) -> None:
    errors.require(
        "2.1-1",
        PEER_ID.fullmatch(member.id) is not None,
        f"the id {member.id!r} is not 1 to 64 of a-z, 0-9 and -",
    )
    errors.require(
        "2.1-3",
        member.role in {AGGREGATOR, HOSPITAL},
        f"the role of {member.id} is {member.role!r}, not aggregator or hospital",
    )
    if not _NAME.fullmatch(member.name):
        raise errors.ParameterError(
            f"the name of {member.id} must be printable ASCII, at most 128 characters"
        )
    try:
        sign.check_public_key(member.key)
    except errors.RemoteProtocolError as error:
        detail = f"{member.id}: {error.detail}"
        raise errors.RemoteProtocolError(error.rule, detail, [member.id]) from None


def _check_distinct(
    what: str, members: tuple[RosterMember, ...], values: Sequence[str]
) -> None:
    """Refuse two members with one id or one key: one identity, one institution."""
    first_at: dict[str, int] = {}
    for place, value in enumerate(values):
        first = first_at.setdefault(value, place)
        errors.require(
            "2.1-3",
            first == place,
            f"{members[first].id} and {members[place].id} have the same {what}",
        )


def _member(place: int, row: Any) -> RosterMember:
    where = f"the roster's members[{place}]"
    fields = jsontext.fields(where, row, _MEMBER_FIELDS)
    return RosterMember(
        id=PeerId(jsontext.typed(f"{where}.id", fields["id"], str)),
        role=jsontext.typed(f"{where}.role", fields["role"], str),
        key=jsontext.blob(f"{where}.key", fields["key"], 32),
        name=jsontext.typed(f"{where}.name", fields["name"], str),
    )
