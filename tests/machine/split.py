"""The attack that the Certificate is there for: two U3 told to two parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from secagg import codec, events
from secagg import messages as msg
from secagg.crypto import transcript
from secagg.messages import Envelope
from secagg.names import PeerId
from secagg.signing import seal
from tests.helpers import AGGREGATOR, Scene, scene
from tests.recording import RecordedClient


@dataclass
class View:
    """One of the two stories: a U3, and who is told it."""

    u3: tuple[PeerId, ...]
    told: tuple[PeerId, ...]
    inputs: msg.InputList
    h3: bytes
    votes: dict[PeerId, bytes]


class SplitView:
    """A malicious aggregator with `corrupt` members that vote for either story.

    Up to MaskedInput all went well, so that the aggregator holds every member's signed
    root. Then view A says that all are in U3, and view B that `victim` dropped.
    """

    def __init__(self, world: Scene, victim: PeerId, told_b: Collection[PeerId]):
        self.world = world
        n, c = world.server.params.n, world.server.params.c
        everyone = world.server.params.members
        self.corrupt = everyone[n - c :]
        self.honest = everyone[: n - c]
        rest = tuple(u for u in everyone if u != victim)
        told_a = tuple(u for u in self.honest if u not in told_b)
        self.views = [
            self.view(everyone, told_a),
            self.view(rest, tuple(sorted(told_b))),
        ]

    @property
    def clients(self) -> list[RecordedClient]:
        """The honest ones."""
        return [self.world.clients[u] for u in self.honest]

    def run(self) -> None:
        """Tell both stories, collect votes, certify what can be, collect shares."""
        for view in self.views:
            self.vote(view)
        for view in self.views:
            self.certify(view, view.votes)

    def vote(self, view: View) -> None:
        """Tell a story to whom it is for, and collect the votes."""
        for u in view.told:
            self._tell(u, self._signed(view.inputs, self._h2))
            view.votes.update(self._vote_of(u))
        for u in self.corrupt:
            view.votes[u] = self._corrupt_vote(u, view.h3)

    def certify(self, view: View, votes: Mapping[PeerId, bytes]) -> None:
        """Show votes for a story to whom it was told."""
        rows = tuple(msg.SignedVote(peer=u, signature=votes[u]) for u in sorted(votes))
        certificate = self._signed(msg.Certificate(votes=rows), view.h3)
        for u in view.told:
            self._tell(u, certificate)

    def released(self) -> list[int]:
        """How many honest clients released shares, in each view."""
        return [
            sum(
                any(e.type == "Unmasking" for e in self.world.clients[u].sent)
                for u in view.told
            )
            for view in self.views
        ]

    @property
    def _h2(self) -> bytes:
        return self.world.server._state.h2

    def view(self, u3: tuple[PeerId, ...], told: tuple[PeerId, ...]) -> View:
        """Return the story of a U3, for some to be told."""
        roots = self.world.server._state.roots
        inputs = msg.InputList(entries=tuple(roots[u] for u in u3))
        h3 = transcript.h3(self._h2, codec.encode_body(inputs))
        return View(u3, told, inputs, h3, {})

    def _signed(self, message: msg.Message, h: bytes) -> Envelope:
        return seal(
            message,
            identity=self.world.consortium.aggregator,
            receiver=AGGREGATOR,
            sid=self.world.server.sid,
            h=h,
        )

    def _tell(self, u: PeerId, envelope: Envelope) -> None:
        event = events.Received(peer=AGGREGATOR, envelope=envelope)
        self.world.clients[u].handle(event)

    def _vote_of(self, u: PeerId) -> dict[PeerId, bytes]:
        sent = self.world.clients[u].sent
        votes = [e.signature for e in sent if e.type == "Consistency"]
        return {u: votes[-1]} if votes else {}

    def _corrupt_vote(self, u: PeerId, h3: bytes) -> bytes:
        return seal(
            msg.Consistency(h3=h3),
            identity=self.world.consortium.silos[u],
            receiver=AGGREGATOR,
            sid=self.world.server.sid,
            h=h3,
        ).signature


def split(
    n: int, c: int, victim: PeerId, told_b: Collection[PeerId], **terms: Any
) -> SplitView:
    """Return the attack on a session of n members with c that are corrupt."""
    world = scene(n, c, **terms).started().until("consistency")
    return SplitView(world, victim, told_b)
