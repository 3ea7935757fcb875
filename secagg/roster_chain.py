"""The chain of a consortium's rosters: every version from the first, checked. Spec 2.1.

Each version names the hash of the one before and is signed by the consortium, so a
chain proves itself, whoever brought it. It only grows: a version that is in it stays,
and another one of the same number is a fork, which somebody has to be told of. The file
is JSON for people to read; what is signed and hashed are the canonical bodies.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from secagg import errors, jsontext
from secagg.crypto.sign import SigningKey
from secagg.roster import Roster, RosterMember, SignedRoster

FORMAT: Final = "secagg-roster/2"
"""What a roster file calls itself."""


class PinnedRosters(Protocol):
    """Where a Manifest's roster is looked up: a chain, or what keeps one."""

    @property
    def newest(self) -> Roster:
        """The newest version."""
        ...

    @property
    def largest(self) -> int:
        """The most members that a version has."""
        ...

    def named(self, roster_hash: bytes) -> Roster | None:
        """Return the version of this hash, if it is here."""
        ...


@dataclass(frozen=True)
class RosterChain:
    """The versions of one roster, from 1 on, each verified; made by `opened`.

    Attributes:
        consortium_key: pinned, 32 bytes.
        versions: as signed, oldest first; at least one.
    """

    consortium_key: bytes
    versions: tuple[SignedRoster, ...]

    @classmethod
    def opened(
        cls, versions: Iterable[SignedRoster], consortium_key: bytes
    ) -> RosterChain:
        """Verify versions, of which the first is version 1.

        Raises:
            RemoteProtocolError: rules 2.1-2, 2.1-4, 2.1-5.
            ParameterError: there is none.
        """
        chain = cls(consortium_key, ()).extended(versions)
        if not chain.versions:
            raise errors.ParameterError("the roster has no version")
        return chain

    @classmethod
    def founded(
        cls, consortium: str, members: Iterable[RosterMember], key: SigningKey
    ) -> RosterChain:
        """Sign the first version."""
        first = Roster.beginning(consortium).followed_by(members)
        return cls(key.public, (SignedRoster.sign(first, key),))

    @property
    def newest(self) -> Roster:
        """The newest version."""
        return self.versions[-1].claimed

    @functools.cached_property
    def largest(self) -> int:
        """The most members that a version has."""
        return max(len(one.claimed.members) for one in self.versions)

    def version(self, number: int) -> Roster | None:
        """Return the version of this number, if it is here."""
        here = 1 <= number <= len(self.versions)
        return self.versions[number - 1].claimed if here else None

    def named(self, roster_hash: bytes) -> Roster | None:
        """Return the version of this hash, if it is here."""
        return self._by_hash.get(roster_hash)

    def after(self, number: int) -> tuple[SignedRoster, ...]:
        """Return the versions behind that of this number, oldest first."""
        return self.versions[number:]

    def extended(self, more: Iterable[SignedRoster]) -> RosterChain:
        """Return the chain with what is new in `more`, each version verified.

        Raises:
            RemoteProtocolError: not signed by the consortium (rule 2.1-2), not the
                version behind the newest (rule 2.1-4), or another one of a version that
                is here (rule 2.1-5).
        """
        versions = [*self.versions]
        for signed in more:
            roster = signed.verify(self.consortium_key)
            number = roster.version
            if 1 <= number <= len(versions):
                _require_same(versions[number - 1].claimed, roster)
                continue
            last = (
                versions[-1].claimed
                if versions
                else Roster.beginning(roster.consortium)
            )
            last.require_successor(roster)
            versions.append(signed)
        return RosterChain(self.consortium_key, tuple(versions))

    def followed_by(
        self, members: Iterable[RosterMember], key: SigningKey
    ) -> RosterChain:
        """Sign a further version with these members, and return the longer chain.

        Raises:
            RemoteProtocolError: not the consortium's key (rule 2.1-2), or members that
                break a rule.
        """
        signed = SignedRoster.sign(self.newest.followed_by(members), key)
        return self.extended([signed])

    def to_json(self) -> str:
        """Return the text of a roster file."""
        versions = [signed.fields() for signed in self.versions]
        return jsontext.write(FORMAT, {"versions": versions})

    @classmethod
    def from_json(cls, text: str, consortium_key: bytes) -> RosterChain:
        """Read and verify the text of a roster file.

        Raises:
            ParameterError: not a roster file; the message names the line or the field.
            RemoteProtocolError: a rule of 2.1 or 3.1.
        """
        return cls.opened(versions_of(text), consortium_key)

    @functools.cached_property
    def _by_hash(self) -> dict[bytes, Roster]:
        return {one.claimed.hash: one.claimed for one in self.versions}


def versions_of(text: str) -> tuple[SignedRoster, ...]:
    """Return the versions in the text of a roster file; nothing is verified.

    Raises:
        ParameterError: not a roster file; the message names the line or the field.
        RemoteProtocolError: a roster that breaks a rule of 2.1 or 3.1.
    """
    fields = jsontext.read("the roster", text, FORMAT, ("versions",))
    rows = jsontext.typed("the roster's versions", fields["versions"], list)
    return tuple(SignedRoster.of_fields(row) for row in rows)


def _require_same(ours: Roster, theirs: Roster) -> None:
    errors.require(
        "2.1-5",
        ours.hash == theirs.hash,
        f"the roster of {ours.consortium} was forked: the consortium signed two of"
        f" version {ours.version}, {ours.hash.hex()[:12]} and"
        f" {theirs.hash.hex()[:12]}. Ours stays; have the consortium say which one it"
        " meant, and sign a further version on that",
    )
