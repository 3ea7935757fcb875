"""What a client knows in each phase of a session; every type adds to the one before.

Frozen: a move builds the next value. Secrets sit in `Party.keys`, `own` and `held`, are
shown by no repr, and go when the machine lets go of the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from secagg.messages import AdvertiseKeys, Envelope, Manifest, Transcript
from secagg.names import PeerId
from secagg.rounds.advertise_keys import KeyBook
from secagg.rounds.share_keys import HeldShares, Party


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMemory:
    """What a client remembers of a task across processes (spec 9-2).

    Attributes:
        last_joined: the last (round_no, attempt) it joined.
        head: the head of the task's chain.
        released_round: the last round it released shares in; 0 for none.
    """

    last_joined: tuple[int, int] = (0, 0)
    head: bytes = bytes(32)
    released_round: int = 0


@dataclass(frozen=True, kw_only=True)
class Advertised:
    """Joined; AdvertiseKeys is out.

    Attributes:
        seen: per type, the hash of the message accepted in this session.
        outbox: the envelopes sent in this session.
    """

    party: Party
    manifest: Manifest
    advert: AdvertiseKeys
    seen: Mapping[str, bytes]
    outbox: tuple[Envelope, ...]


@dataclass(frozen=True, kw_only=True)
class Shared(Advertised):
    """U1 is fixed; ShareKeys is out."""

    book: KeyBook
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


S = TypeVar("S", bound=Advertised)


def grow(state: Advertised, kind: type[S], **added: Any) -> S:
    """Return `state` as the later type `kind`, with the fields it adds."""
    kept = {item.name: getattr(state, item.name) for item in fields(state)}
    return kind(**kept, **added)


def transcript_of(session: Advertised, kind: Transcript | None = None) -> bytes:
    """Return a transcript of the session: of `kind`, or the last one it holds.

    Pre: the session is far enough for `kind`; the transition table sees to it.
    """
    held = {Transcript.SID: bytes(session.party.sid)}
    if isinstance(session, Shared):
        held[Transcript.H1] = session.book.h1
    if isinstance(session, Dealt):
        held[Transcript.H2] = session.h2
    if isinstance(session, Voted):
        held[Transcript.H3] = session.h3
    return list(held.values())[-1] if kind is None else held[kind]
