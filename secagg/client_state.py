"""What a client knows in each phase of a session; every type adds to the one before.

Frozen: a move builds the next value. Secrets sit in `keys`, `own` and `held`, are shown
by no repr, and go when the machine lets go of the value, with the release at last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from secagg.differences import SummedSet
from secagg.graph import Graph
from secagg.messages import (
    AdvertiseKeys,
    Envelope,
    Manifest,
    NoiseTerms,
    Transcript,
)
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from secagg.rounds.advertise_keys import KeyBook, SessionKeys
from secagg.rounds.share_keys import HeldShares, Party


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMemory:
    """What a client remembers of a task across processes (spec 9-2).

    Attributes:
        last_joined: the last (round_no, attempt) it joined.
        head: the head of the task's chain.
        spent_round: the last round in which it stated a root or released a share; 0
            for none.
        sums: the sets of the sums that may have been opened. Those of other tasks count
            as well (rule 4.5-8), and stand in their memory or in this one.
        charges: the noise of every release that its updates may have entered; those of
            other tasks count as well, and stand in one memory each.
    """

    last_joined: tuple[int, int] = (0, 0)
    head: bytes = bytes(32)
    spent_round: int = 0
    sums: tuple[SummedSet, ...] = ()
    charges: tuple[NoiseTerms, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Session:
    """What every phase of a session knows; nothing of it is secret.

    Attributes:
        seen: per type, the hash of the message accepted in this session.
        outbox: the envelopes sent in this session.
        sums: the sets of earlier sums, of whichever task.
    """

    me: PeerId
    sid: SessionId
    params: Parameters
    manifest: Manifest
    seen: Mapping[str, bytes]
    outbox: tuple[Envelope, ...]
    sums: tuple[SummedSet, ...]


@dataclass(frozen=True, kw_only=True)
class Advertised(Session):
    """Joined; AdvertiseKeys is out."""

    keys: SessionKeys = field(repr=False)
    advert: AdvertiseKeys

    @property
    def party(self) -> Party:
        """This client with its secrets, as the rounds take it."""
        return Party(me=self.me, sid=self.sid, params=self.params, keys=self.keys)


@dataclass(frozen=True, kw_only=True)
class Listed(Advertised):
    """U1 is fixed; on the regular graph the coin is out."""

    book: KeyBook


@dataclass(frozen=True, kw_only=True)
class Shared(Listed):
    """The graph is known, and `near`, N[u] in U1; ShareKeys is out."""

    graph: Graph
    near: tuple[PeerId, ...]
    own: HeldShares = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Acked(Shared):
    """Shares are verified; ShareAck is out."""

    held: HeldShares = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Dealt(Acked):
    """U2 is fixed; `root` is what this client stated, None before it did."""

    u2: tuple[PeerId, ...]
    h2: bytes
    root: bytes | None


@dataclass(frozen=True, kw_only=True)
class Voted(Dealt):
    """U3 is latched; the vote is out."""

    u3: tuple[PeerId, ...]
    h3: bytes


@dataclass(frozen=True, kw_only=True)
class Released(Session):
    """Shares are out; only what the Result is checked by is left, and no secret."""

    u1: tuple[PeerId, ...]
    u2: tuple[PeerId, ...]
    u3: tuple[PeerId, ...]
    h3: bytes


S = TypeVar("S", bound=Session)


def grow(state: Session, kind: type[S], **added: Any) -> S:
    """Return `state` as the later type `kind`, with the fields it adds."""
    wanted = {item.name for item in fields(kind)} - set(added)
    kept = {
        item.name: getattr(state, item.name)
        for item in fields(state)
        if item.name in wanted
    }
    return kind(**kept, **added)


def transcript_of(session: Session, kind: Transcript | None = None) -> bytes:
    """Return a transcript of the session: of `kind`, or the last one it holds.

    Pre: the session is far enough for `kind`; the transition table sees to it.
    """
    held = {Transcript.SID: bytes(session.sid)}
    if isinstance(session, Listed):
        held[Transcript.H1] = session.book.h1
    if isinstance(session, Dealt):
        held[Transcript.H2] = session.h2
    if isinstance(session, Voted | Released):
        held[Transcript.H3] = session.h3
    return list(held.values())[-1] if kind is None else held[kind]
