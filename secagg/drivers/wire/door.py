"""The door: who one side is, and whether the two sides agree (rules 8-2, 8-3, 8-9).

Who differs in the roster or the clock can still be told so here, and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from secagg import errors
from secagg.drivers.clock import Clock
from secagg.drivers.roster_book import RosterBook
from secagg.entropy import Entropy
from secagg.identity import Identity
from secagg.messages import Challenge, Hello
from secagg.names import PeerId
from secagg.roster import HOSPITAL, Roster

MAX_DRIFT_MS: Final = 5 * 60 * 1000
"""How far two clocks may be apart (rule 8-3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What one side needs to prove itself and to judge the other."""

    identity: Identity
    book: RosterBook
    entropy: Entropy
    clock: Clock

    @property
    def roster(self) -> Roster:
        """The newest version that is pinned; it changes while a process runs."""
        return self.book.newest

    def nonce(self) -> bytes:
        """Return a fresh nonce."""
        return self.entropy.draw("connection_nonce", 32)


def check_agreement(door: Door, said: Challenge | Hello, *, peer: PeerId) -> None:
    """Compare rosters and clocks.

    Raises:
        RemoteProtocolError: rules 8-2, 8-3; the message says what to do.
    """
    ours = (door.roster.version, door.roster.hash)
    same = (said.roster_version, said.roster_hash) == ours
    errors.require("8-2", same, _disagreement(door, said, peer), [peer])
    drift = said.time_ms - door.clock.now_ms()
    errors.require(
        "8-3",
        abs(drift) <= MAX_DRIFT_MS,
        f"the clock of {peer} is {abs(drift) / 60_000:.0f} min"
        f" {'ahead of' if drift > 0 else 'behind'} ours; set both by NTP"
        " (`timedatectl` shows whether it runs)",
        [peer],
    )


def _disagreement(door: Door, said: Challenge | Hello, peer: PeerId) -> str:
    roster = door.roster
    theirs = f"version {said.roster_version} ({said.roster_hash.hex()[:12]})"
    told = f"of the roster {peer} has {theirs}, and we have version {roster.version}"
    told += f" ({roster.hash.hex()[:12]})"
    if said.roster_version > roster.version:
        return f"{told}: `secagg roster install` the newest here"
    if door.book.version(said.roster_version) is None:
        return f"{told}: have {peer} install the newest"
    return (
        f"{told}. THE ROSTER WAS FORKED: two different ones have the number"
        f" {said.roster_version}; run `secagg roster show` on both sides, and have the"
        " consortium say which one it meant"
    )


def check_enrolled(identity: Identity, book: RosterBook, role: str = HOSPITAL) -> None:
    """Check that a member takes part under its own key and in its role (rule 8-9).

    Raises:
        NotEnrolled: the newest version does not have it so; says what it has.
    """
    roster, peer = book.newest, identity.id
    now = roster.member(peer) if peer in roster else None
    if now is not None and now.role == role and now.key == identity.key.public:
        return
    told = f"rule 8-9: version {roster.version} of the roster of {roster.consortium}"
    if now is not None and now.role == role:
        raise errors.NotEnrolled(
            f"{told} has {peer} with the key {roster.fingerprint(peer)}, and not with"
            f" ours, {identity.fingerprint}: start with the identity of that key, or"
            " have the consortium rotate the key to ours"
        )
    if now is not None:
        raise errors.NotEnrolled(
            f"{told} has {peer} as {now.role}, and not as {role}: start with another"
            " identity, or have the consortium correct the role"
        )
    was = [one.version for one in book.versions if peer in one]
    if was:
        raise errors.NotEnrolled(
            f"{told} has no {role} {peer}: the consortium revoked it after version"
            f" {was[-1]}; ask the consortium, which alone can accept it again"
        )
    raise errors.NotEnrolled(
        f"{told} has no {role} {peer} with the key {identity.fingerprint}: hand its"
        " card to the consortium (`secagg roster accept`); it is let in as soon as the"
        " aggregator has the new version (`secagg roster install` there)"
    )
