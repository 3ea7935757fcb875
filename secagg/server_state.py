"""What the aggregator's machine has collected in a session (spec 4).

One frozen value; a move builds the next one. The sets U0..U5 are read off it, so that
no set can disagree with what was collected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from secagg.graph import Graph, complete
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
from secagg.rounds.neighbourhood import Neighbourhoods
from secagg.rounds.share_ack import tally
from secagg.rounds.unmasking import Dealings
from secagg.transitions import ServerPhase

T = TypeVar("T")


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
        graph: who is whose neighbour; follows from the coins.
        near: N[u] in U1, for each u of U1.
        stored: by member, the root of its chunks; `roots`, what it stated of them.
        coins, dealt, acks, roots, votes, releases: by member, each round's answers.
    """

    phase: ServerPhase = ServerPhase.ADVERTISE_KEYS
    seen: Mapping[tuple[PeerId, str], bytes] = field(default_factory=dict)
    dropped: Mapping[PeerId, str] = field(default_factory=dict)
    sent: tuple[Sent, ...] = ()
    adverts: Mapping[PeerId, SignedKeys] = field(default_factory=dict)
    u1: tuple[PeerId, ...] = ()
    h1: bytes = b""
    coins: Mapping[PeerId, bytes] = field(default_factory=dict)
    graph: Graph = field(default_factory=lambda: complete(()), compare=False)
    near: Neighbourhoods = field(default_factory=dict, repr=False)
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

    def present(self, answers: Mapping[PeerId, T]) -> dict[PeerId, T]:
        """Return the answers of those that were not dropped."""
        return {u: value for u, value in answers.items() if u not in self.dropped}

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
            near=self.near,
            u2=self.u2,
            u3=frozenset(self.u3),
            keys=self.keys(),
            dealt=self.dealt,
        )

    def answered(self, phase: ServerPhase) -> frozenset[PeerId]:
        """Return who gave `phase` all it asks of a member."""
        answers: dict[ServerPhase, Mapping[PeerId, object]] = {
            ServerPhase.ADVERTISE_KEYS: self.adverts,
            ServerPhase.COIN: self.coins,
            ServerPhase.SHARE_KEYS: self.dealt,
            ServerPhase.SHARE_ACK: self.acks,
            ServerPhase.MASKED_INPUT: self.roots,
            ServerPhase.CONSISTENCY: self.votes,
            ServerPhase.UNMASKING: self.releases,
        }
        return frozenset(answers.get(phase, {}))

    def gave(self, corrupt: int) -> frozenset[PeerId]:
        """Return who gave the phase what its set is made of (spec 4).

        In ShareAck these are dealers that acked and have at most c_k = `corrupt`
        complaints: too few acks leave U2 empty, which would not tell who is missing.
        """
        answered = self.answered(self.phase)
        if self.phase is not ServerPhase.SHARE_ACK:
            return answered
        acks = self.present(self.acks)
        return frozenset(
            dealer
            for dealer in answered & frozenset(self.dealt)
            if tally(dealer, acks, self.near).zeros <= corrupt
        )

    def expected(self, members: tuple[PeerId, ...]) -> frozenset[PeerId]:
        """Return whom the phase waits for (spec 4): those who answered before it."""
        # Asked after every message: only the set of this phase is made.
        waits: dict[ServerPhase, Callable[[], frozenset[PeerId]]] = {
            ServerPhase.ADVERTISE_KEYS: lambda: frozenset(members),
            ServerPhase.COIN: lambda: frozenset(self.u1),
            ServerPhase.SHARE_KEYS: lambda: frozenset(self.u1),
            ServerPhase.SHARE_ACK: lambda: frozenset(self.dealt),
            ServerPhase.MASKED_INPUT: lambda: frozenset(self.u2) & frozenset(self.acks),
            ServerPhase.CONSISTENCY: lambda: frozenset(self.u3),
            ServerPhase.UNMASKING: lambda: frozenset(self.votes),
        }
        waited = waits.get(self.phase, frozenset)()
        return waited - frozenset(self.dropped)

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
