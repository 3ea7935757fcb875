"""The messages of a connection outside any session (spec 8)."""

from __future__ import annotations

from dataclasses import dataclass

from secagg.names import SessionId

LOBBY_SID = SessionId(bytes(32))
"""The sid of messages outside any session (spec 8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """S to a new connection (spec 8)."""

    nonce: bytes
    roster_version: int
    roster_hash: bytes
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """u's proof of identity, and where it stands in a session (spec 8)."""

    nonce: bytes
    roster_version: int
    roster_hash: bytes
    version: str
    time_ms: int
    session: SessionId | None
    transcript: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """S's proof of identity, and the first chunk it lacks (spec 7.4, 8)."""

    nonce: bytes
    next_chunk: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterVersion:
    """A version of the roster as it is signed: canonical body and signature."""

    body: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rosters:
    """S to u, in the place of Welcome: the versions u does not have (spec 8)."""

    versions: tuple[RosterVersion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundOpen:
    """S to u: the model to train on now (spec 8)."""

    task_id: str
    round_no: int
    model_hash: bytes
    model_size: int
    previous_link: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """u to S: trained, and waiting for the session (spec 8)."""

    task_id: str
    round_no: int
    model_hash: bytes
    ready_nonce: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """u to S, in the place of Ready: its policy keeps it out of the round (8-10)."""

    task_id: str
    round_no: int
    rule: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """S to u: the round went on without u (spec 8)."""

    task_id: str
    round_no: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """u to S: send this blob from `offset` (spec 8)."""

    hash: bytes
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Catchup:
    """u to S: send the links after `head` (spec 4.8-4, 8)."""

    task_id: str
    head: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRound:
    """One link of the chain with its evidence, all as bytes on the wire."""

    manifest: bytes
    h3: bytes
    certificate: bytes
    result: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """S to u: missing links, oldest first (spec 8)."""

    rounds: tuple[PastRound, ...]
