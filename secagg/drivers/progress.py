"""What a driver reports while it works: small frozen events for logs and progress bars.

The library writes no log. An observer is called with one of these, in order, from the
event loop; it must return at once. Names and counts only, never contents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from secagg.messages import RoundOpen
from secagg.names import PeerId, SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A connection was proved on both sides.

    Attributes:
        peer: who is at the other end.
        attempts: silo: how many dials it took since the last one was lost, with this
            one; None for a first dial that went well.
        after_seconds: silo: how long there was none; None with `attempts`.
    """

    peer: PeerId
    attempts: int | None = None
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """A proved connection ended; silo: it will be dialled again."""

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DialFailed:
    """Silo: no connection; it dials again in `retry_seconds`, and then ever later.

    The same reason is not said again before a connection has lasted.
    """

    reason: str
    retry_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRefused:
    """Aggregator: a connection was not accepted, or closed for a breach of `rule`.

    Attributes:
        peer: whose; None where that was not proved, whatever name it claimed.
        rule: its number; ``tls`` for a handshake below the protocol.
        detail: what was wrong, and the remedy.
        repeats: how often the same happened, unsaid, since it was said last; of a peer
            that does many different things, and of all who are not proved, beyond 16
            things an hour: how often any other did.
    """

    peer: PeerId | None
    rule: str
    detail: str
    repeats: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterPinned:
    """A newer version of the roster was verified and pinned."""

    version: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterGiven:
    """Aggregator: a silo that was behind was given the newer versions of the roster."""

    peer: PeerId
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafNotRenewed:
    """Aggregator: its TLS certificate is not fresh; it tries again soon."""

    reason: str
    retry_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundOpened:
    """A round is open: train on its model, then say Ready."""

    round: RoundOpen


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerReady:
    """Aggregator: `peer` is ready; these are still waited for."""

    peer: PeerId
    waiting_for: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerDeclined:
    """Aggregator: the policy of `peer` keeps it out of the round, by `rule`.

    Attributes:
        peer: who says so.
        round_no: the round.
        rule: its number.
        detail: the two values at odds, in its words.
        waiting_for: whose Ready is still waited for.
    """

    peer: PeerId
    round_no: int
    rule: str
    detail: str
    waiting_for: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundDeclined:
    """Silo: its own policy keeps it out of the round, by `rule`."""

    task_id: str
    round_no: int
    rule: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundLate:
    """Aggregator: too few are ready at the deadline; it waits for `needed` more."""

    ready: tuple[PeerId, ...]
    needed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionBegan:
    """A session opened (aggregator) or was joined (silo)."""

    sid: SessionId
    round_no: int
    attempt: int
    members: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResumed:
    """Aggregator: a session goes on from the journal, in `phase`."""

    sid: SessionId
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseReached:
    """The machine moved to `phase`."""

    sid: SessionId | None
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Aggregator: an answer of `peer` was accepted; the phase waits for these yet."""

    sid: SessionId
    peer: PeerId
    waiting_for: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """Silo: so much of the masked input was handed over."""

    sid: SessionId
    sent_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkStored:
    """Aggregator: so many chunks of `peer` are stored."""

    sid: SessionId
    peer: PeerId
    chunks: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Silo: so much of a blob came in."""

    hash: bytes
    received_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageIgnored:
    """A message changed nothing, by `rule`; `repeats` as of `PeerRefused`."""

    peer: PeerId
    type: str
    rule: str
    repeats: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDeclined:
    """Silo: a further session was refused by `rule`; the one at hand goes on."""

    rule: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerDropped:
    """Aggregator: `peer` is out of the session."""

    sid: SessionId
    peer: PeerId
    rule: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmaskedHere:
    """Aggregator: the executor for unmasking failed; this process does its work."""

    sid: SessionId
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAborted:
    """The session ended without a sum; `retry`: another attempt may follow."""

    sid: SessionId
    code: str
    detail: str
    retry: bool
    missing: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCompleted:
    """The session has its Result."""

    sid: SessionId
    status: str
    u3: tuple[PeerId, ...]


Progress = (
    Connected
    | Disconnected
    | DialFailed
    | PeerRefused
    | RosterPinned
    | RosterGiven
    | LeafNotRenewed
    | RoundOpened
    | PeerReady
    | PeerDeclined
    | RoundDeclined
    | RoundLate
    | SessionBegan
    | SessionResumed
    | PhaseReached
    | Answered
    | Uploaded
    | ChunkStored
    | Fetched
    | MessageIgnored
    | SessionDeclined
    | PeerDropped
    | UnmaskedHere
    | SessionAborted
    | SessionCompleted
)

Observer: TypeAlias = Callable[[Progress], None]


def guarded(observer: Observer) -> Observer:
    """Return an observer whose errors never reach the protocol.

    A log that cannot be written must not stop a round. asyncio's exception handler is
    told instead, which by default prints the traceback.
    """

    def report(event: Progress) -> None:
        try:
            observer(event)
        except Exception as error:  # noqa: BLE001 whatever it is, the round goes on
            asyncio.get_running_loop().call_exception_handler(
                {"message": "secagg: the observer failed", "exception": error}
            )

    return report


def unobserved(progress: Progress) -> None:
    """Take no notice."""
    del progress
