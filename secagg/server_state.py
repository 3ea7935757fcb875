"""What the aggregator's machine has collected in a session (spec 4).

One frozen value; a move builds the next one. The sets U0..U5 are read off it, so that
no set can disagree with what was collected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from secagg.messages import (
    AdvertiseKeys,
    Envelope,
    ShareKeys,
    SignedKeys,
    SignedRoot,
    Transcript,
    Unmasking,
)
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from secagg.rounds.share_ack import complaints
from secagg.rounds.unmasking import Dealings
from secagg.transitions import ServerPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An envelope as it went to one member, in order."""

    receiver: PeerId
    envelope: Envelope


@dataclass(frozen=True, kw_only=True)
class ServerState:
    """All that was accepted so far, by round.

    Attributes:
        seen: (member, type) to the hash of the accepted message.
        dropped: member to the rule it broke.
        sent: everything that went out, for members that reconnect.
        adverts: by member; U1 are those of `u1` once the KeyList is out.
        stored: by member, the root of its chunks; `roots`, what it stated of them.
        dealt, acks, roots, votes, releases: by member, each round's answers.
    """

    phase: ServerPhase = ServerPhase.ADVERTISE_KEYS
    seen: Mapping[tuple[PeerId, str], bytes] = field(default_factory=dict)
    dropped: Mapping[PeerId, str] = field(default_factory=dict)
    sent: tuple[Sent, ...] = ()
    adverts: Mapping[PeerId, SignedKeys] = field(default_factory=dict)
    u1: tuple[PeerId, ...] = ()
    h1: bytes = b""
    dealt: Mapping[PeerId, ShareKeys] = field(default_factory=dict, repr=False)
    acks: Mapping[PeerId, frozenset[PeerId]] = field(default_factory=dict)
    u2: tuple[PeerId, ...] = ()
    h2: bytes = b""
    stored: Mapping[PeerId, bytes] = field(default_factory=dict)
    roots: Mapping[PeerId, SignedRoot] = field(default_factory=dict)
    u3: tuple[PeerId, ...] = ()
    h3: bytes = b""
    votes: Mapping[PeerId, bytes] = field(default_factory=dict)
    certificate: bytes = b""
    releases: Mapping[PeerId, Unmasking] = field(default_factory=dict, repr=False)

    def transcript(self, sid: SessionId, kind: Transcript) -> bytes:
        """Return the transcript that messages of this kind are signed under."""
        held = {
            Transcript.SID: bytes(sid),
            Transcript.H1: self.h1,
            Transcript.H2: self.h2,
            Transcript.H3: self.h3,
        }
        return held[kind]

    def keys(self) -> dict[PeerId, AdvertiseKeys]:
        """Return the keys of U1."""
        return {u: self.adverts[u].keys for u in self.u1}

    def dealings(self, sid: SessionId, params: Parameters) -> Dealings:
        """Return what Unmasking judges shares by."""
        return Dealings(
            sid=sid,
            params=params,
            u1=self.u1,
            u2=self.u2,
            u3=frozenset(self.u3),
            keys=self.keys(),
            dealt=self.dealt,
        )

    def answered(self, phase: ServerPhase) -> frozenset[PeerId]:
        """Return who gave `phase` all it asks of a member."""
        answers: dict[ServerPhase, Mapping[PeerId, object]] = {
            ServerPhase.ADVERTISE_KEYS: self.adverts,
            ServerPhase.SHARE_KEYS: self.dealt,
            ServerPhase.SHARE_ACK: self.acks,
            ServerPhase.MASKED_INPUT: self.roots,
            ServerPhase.CONSISTENCY: self.votes,
            ServerPhase.UNMASKING: self.releases,
        }
        return frozenset(answers.get(phase, {}))

    def gave(self, c: int) -> frozenset[PeerId]:
        """Return who gave the phase what its set is made of (spec 4).

        In ShareAck these are dealers that acked and have at most c complaints: too few
        acks leave U2 empty, which would tell nothing about who is missing.
        """
        answered = self.answered(self.phase)
        if self.phase is not ServerPhase.SHARE_ACK:
            return answered
        acks = [ack for u, ack in self.acks.items() if u not in self.dropped]
        return frozenset(
            dealer
            for dealer in answered & frozenset(self.dealt)
            if complaints(dealer, acks) <= c
        )

    def expected(self, members: tuple[PeerId, ...]) -> frozenset[PeerId]:
        """Return whom the phase waits for (spec 4): those who answered before it."""
        waits: dict[ServerPhase, frozenset[PeerId]] = {
            ServerPhase.ADVERTISE_KEYS: frozenset(members),
            ServerPhase.SHARE_KEYS: frozenset(self.u1),
            ServerPhase.SHARE_ACK: frozenset(self.dealt),
            ServerPhase.MASKED_INPUT: frozenset(self.u2) & frozenset(self.acks),
            ServerPhase.CONSISTENCY: frozenset(self.u3),
            ServerPhase.UNMASKING: frozenset(self.votes),
        }
        return waits.get(self.phase, frozenset()) - frozenset(self.dropped)

    def sets(self, members: tuple[PeerId, ...]) -> dict[str, tuple[PeerId, ...]]:
        """Return U0 to U5 as far as they are fixed, sorted."""
        return {
            "u0": members,
            "u1": self.u1,
            "u2": self.u2,
            "u3": self.u3,
            "u4": tuple(sorted(self.votes)),
            "u5": tuple(sorted(self.releases)),
        }
