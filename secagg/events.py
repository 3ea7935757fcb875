"""What goes into the machines and what comes out (spec 4).

A driver feeds one event at a time to `Client.handle` or `Server.handle` and carries out
the effects in the order they are returned: `Persist` before `Send` means on stable
storage first. Vectors never pass through here; `MaskVector` and `OpenSum` go out with
the seeds, and roots and sums come back.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from secagg.differences import SummedSet
from secagg.engine import MaskSeed
from secagg.messages import Envelope, Manifest, NoiseTerms, Ready, Result
from secagg.names import PeerId, Round, SessionId
from secagg.roster import Roster

# --- events ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class InputReady:
    """Client: training on the model of a round is done; say Ready (spec 8)."""

    task_id: str
    round_no: int
    model_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An envelope came in; `peer` is the identity proved on its connection."""

    peer: PeerId
    envelope: Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorMasked:
    """Client: all chunks of y_u are on their way before this; `root` is theirs."""

    sid: SessionId
    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorStored:
    """Server: the last chunk of `peer` is on stable storage; `root` is theirs."""

    peer: PeerId
    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SumOpened:
    """Server: masks are off and the release pipeline has spoken (spec 10)."""

    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed:
    """Server: the time for `round` is over."""

    round: Round


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Our own side ends the session (code 0-1, or 0-2 for an internal error)."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterPinned:
    """Client: a newer version of the roster is pinned; the next session goes by it."""

    roster: Roster


STOP_CODES = ("0-1", "0-2")
"""Stopped by the operator; an internal error (spec 11)."""

ClientEvent = InputReady | Received | VectorMasked | Stopped | RosterPinned
ServerEvent = Received | VectorStored | SumOpened | DeadlinePassed | Stopped

# --- effects --------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send the envelope to `receiver` (client: to S; server: to one member)."""

    receiver: PeerId
    envelope: Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class SayReady:
    """Client: say Ready on this connection, and on each new one (spec 8)."""

    ready: Ready


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistJoined:
    """Client: make durable that this round and attempt was joined (spec 4.1-9)."""

    task_id: str
    round_no: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistSpent:
    """Client: make durable that the round's update is spent (spec 4.1-8).

    `noise` is that of the release it may enter, to be charged to this hospital's own
    budget; None where there is none, or where its update enters no sum.
    """

    task_id: str
    round_no: int
    noise: NoiseTerms | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistSummed:
    """Client: make the set it is about to vote for durable (spec 4.5-8)."""

    task_id: str
    summed: SummedSet


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistHead:
    """Client: make the new head of the task's chain durable (spec 4.8)."""

    task_id: str
    head: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """Server: append the accepted event to the session's journal (spec 9-3)."""

    event: ServerEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskVector:
    """Client: quantize, mask and upload; answer with VectorMasked (spec 4.5).

    `seeds` and `signs` pair up: y_u = x_u + sum of sign * PRG(seed) mod p.
    """

    sid: SessionId
    seeds: tuple[MaskSeed, ...] = field(repr=False)
    signs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopUpload:
    """Client: the upload is of no use any more."""

    sid: SessionId


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LostMember:
    """A member of U2 - U3, whose mask key opened: its pair masks are in the sum still.

    Attributes:
        sid: the session.
        peer: the member v.
        s_sk: its rebuilt mask key s_v^SK, 32 bytes; its s_pk_v was checked.
        partners: every u of U3 that masked with it, and s_pk_u.
    """

    sid: SessionId
    peer: PeerId
    s_sk: bytes = field(repr=False)
    partners: tuple[tuple[PeerId, bytes], ...] = field(repr=False)

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key

    def __eq__(self, other: object) -> bool:
        """Compare in a time that does not depend on the key."""
        if not isinstance(other, LostMember):
            return NotImplemented
        mine, theirs = ((lost.sid, lost.peer, lost.partners) for lost in (self, other))
        return mine == theirs and hmac.compare_digest(self.s_sk, other.s_sk)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSum:
    """Server: add the stored y_u of U3, take off the masks; answer SumOpened.

    Attributes:
        u3: whose vectors are summed, sorted.
        seeds, signs: the sum of sign * PRG(seed) takes every self mask off.
        lost: whose agreements give the seeds of the pair masks that are left; they are
            many, so the machine leaves them to who has processors for them.
    """

    u3: tuple[PeerId, ...]
    seeds: tuple[MaskSeed, ...] = field(repr=False)
    signs: tuple[int, ...]
    lost: tuple[LostMember, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Server: `peer` broke `rule` and takes no further part in the session."""

    peer: PeerId
    rule: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """Either side: a message of `peer` was not for now; nothing changed.

    `rule` is 8-6 for one outside the session, 3.4-8 for one of a dropped member, and
    3.4-6 for one that came too late for its phase. `detail` is there where a client
    refused a further session while one was at hand: why, with both values.
    """

    peer: PeerId
    type: str
    rule: str
    detail: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDeadline:
    """Server: raise DeadlinePassed(round) after so many milliseconds."""

    round: Round
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Client: the session of this manifest began; one that ran before is over."""

    sid: SessionId
    manifest: Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """Either side: the session has its Result; secrets are gone.

    Attributes:
        included: client only: whether this silo's own input is in U3.
        link: the new head of the task's chain.
    """

    sid: SessionId
    manifest: Manifest
    result: Result
    link: bytes
    sets: dict[str, tuple[PeerId, ...]]
    included: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Aborted:
    """Either side: the session ended without a sum.

    Attributes:
        code: the rule that ended it.
        retry: client: the update may enter another attempt of the round
            (nothing was released); server: another attempt is allowed.
        missing: members that were silent or dropped, sorted.
        culprits: members with proof against them, sorted.
        sets: the U-sets that were fixed, by name (``u1`` ...).
    """

    sid: SessionId
    code: str
    detail: str
    retry: bool
    missing: tuple[PeerId, ...] = ()
    culprits: tuple[PeerId, ...] = ()
    sets: dict[str, tuple[PeerId, ...]] = field(default_factory=dict)


ClientEffect = (
    Send
    | SayReady
    | Ignored
    | PersistJoined
    | PersistSpent
    | PersistSummed
    | PersistHead
    | Joined
    | MaskVector
    | StopUpload
    | Completed
    | Aborted
)
ServerEffect = (
    Send | Journal | OpenSum | Drop | Ignored | SetDeadline | Completed | Aborted
)
