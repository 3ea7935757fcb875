"""What the parties of a world testify, each over all of its lives."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from secagg import events
from secagg.drivers import progress
from secagg.messages import Envelope
from secagg.names import PeerId, SessionId
from tests.chaos import records
from tests.chaos.terms import AGGREGATOR, Terms

_DURABLE = (
    events.PersistJoined,
    events.PersistSpent,
    events.PersistSummed,
    events.PersistHead,
)


@dataclass
class Hospital:
    """One hospital, as `tests.invariants` reads a recorded client.

    Attributes:
        id: who.
        log: what its machine was told and what it asked for, in order.
        drawn: its secrets, by label.
        means: session, whether included, U3 and digest of every mean it was given.
        seen: connections lost, and chunks handed over.
        lives: how many it had.
    """

    id: PeerId
    log: list[tuple[events.ClientEvent, list[events.ClientEffect]]]
    drawn: dict[str, list[bytes]]
    means: list[tuple[SessionId, bool, tuple[PeerId, ...], bytes]]
    seen: list[progress.Progress]
    lives: int = 0

    @property
    def effects(self) -> Iterator[events.ClientEffect]:
        """Everything its machine asked for and had."""
        return (effect for _, effects in self.log for effect in effects)

    @property
    def sent(self) -> list[Envelope]:
        """Every envelope it sent, in order."""
        return [e.envelope for e in self.effects if isinstance(e, events.Send)]


def hospital_of(terms: Terms, peer: PeerId) -> Hospital:
    """Read all lives of a hospital."""
    found = Hospital(peer, [], collections.defaultdict(list), [], [])
    for path in records.lives(terms.folder / "logs", peer):
        found.lives += 1
        _add_life(found, records.read(path))
    return found


def _add_life(found: Hospital, life: Iterator[tuple[Any, ...]]) -> None:
    durable = 0
    for kind, *what in life:
        match kind:
            case "drawn":
                found.drawn[what[0]].append(what[1])
            case "handled":
                found.log.append((what[0], what[1]))
                durable = 0
            case "durable":
                durable += 1
            case "mean":
                found.means.append((what[0], what[1], what[2], what[3]))
            case "seen":
                found.seen.append(what[0])
            case _:
                pass
    if found.log:
        event, effects = found.log[-1]
        found.log[-1] = (event, _done(effects, durable))


def _done(
    effects: list[events.ClientEffect], durable: int
) -> list[events.ClientEffect]:
    """Return the effects before the first mark that death prevented."""
    marks = [i for i, e in enumerate(effects) if isinstance(e, _DURABLE)]
    return effects[: marks[durable]] if durable < len(marks) else effects


VECTOR = "VectorStored"
"""What is accepted besides messages: all chunks of an input, with their root."""


@dataclass
class Aggregator:
    """The aggregator, over all of its lives.

    Attributes:
        outcomes: by session, every account of it that a life gave.
        began: the sessions that were opened, and in which round.
        aborted: by session, how; the same in every life.
        dropped: members that were put out of a session.
        accepted: what it journaled, by session, member and type: the bodies.
        stored: chunks that were stored, with repeats.
        resumed: sessions taken up from the journal, with repeats.
    """

    outcomes: dict[bytes, list[dict[str, Any]]] = field(
        default_factory=lambda: collections.defaultdict(list)
    )
    began: dict[bytes, int] = field(default_factory=dict)
    aborted: dict[bytes, set[progress.SessionAborted]] = field(
        default_factory=lambda: collections.defaultdict(set)
    )
    dropped: list[progress.PeerDropped] = field(default_factory=list)
    accepted: dict[tuple[bytes, PeerId, str], set[bytes]] = field(
        default_factory=lambda: collections.defaultdict(set)
    )
    stored: list[tuple[bytes, str, int]] = field(default_factory=list)
    resumed: list[bytes] = field(default_factory=list)

    @property
    def chain(self) -> list[dict[str, Any]]:
        """The outcomes, in the order of their rounds."""
        firsts = (accounts[0] for accounts in self.outcomes.values())
        return sorted(firsts, key=lambda outcome: int(outcome["round_no"]))

    def note(self, sid: bytes, event: events.ServerEvent) -> None:
        """Take what was journaled."""
        match event:
            case events.Received(peer=peer, envelope=envelope):
                signed = envelope.body + envelope.signature
                self.accepted[sid, peer, envelope.type].add(signed)
            case events.VectorStored(peer=peer, root=root):
                self.accepted[sid, peer, VECTOR].add(root)
            case _:
                pass

    def see(self, event: progress.Progress) -> None:
        """Take what was observed."""
        match event:
            case progress.SessionBegan(sid=sid, round_no=round_no):
                self.began[sid] = round_no
            case progress.SessionResumed(sid=sid):
                self.resumed.append(sid)
                self.began.setdefault(sid, 0)
            case progress.SessionAborted(sid=sid):
                self.aborted[sid].add(event)
            case progress.PeerDropped():
                self.dropped.append(event)
            case progress.ChunkStored(sid=sid, peer=peer, chunks=chunks):
                self.stored.append((sid, peer, chunks))
            case _:
                pass


def aggregator_of(terms: Terms) -> Aggregator:
    """Read all lives of the aggregator."""
    found = Aggregator()
    for path in records.lives(terms.folder / "logs", AGGREGATOR):
        for kind, *what in records.read(path):
            match kind:
                case "accepted":
                    found.note(what[0], what[1])
                case "outcome":
                    found.outcomes[what[0]["sid"]].append(what[0])
                case "seen":
                    found.see(what[0])
                case _:
                    pass
    return found


def heard(hospital: Hospital) -> Iterator[Envelope]:
    """What came to a hospital."""
    for event, _ in hospital.log:
        if isinstance(event, events.Received):
            yield event.envelope
