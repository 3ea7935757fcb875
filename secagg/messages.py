"""Every message of secagg/1, one frozen type each, in round order (spec 3.7, 4, 8).

A message here is what an envelope's body says, already typed; `secagg.codec` turns it
into bytes and back with every limit. `HEADERS` holds what is fixed per type: who sends
it, which transcript its signature covers and how long its body may be.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from secagg.names import PeerId, SessionId

LOBBY_SID = SessionId(bytes(32))
"""The sid of messages outside any session (spec 8)."""

EVERYONE = PeerId("")
"""The receiver of a message to all members (spec 3.4)."""


class Transcript(enum.StrEnum):
    """Which hash a signature covers (spec 3.4)."""

    ZERO = "zero"
    NONCE = "nonce"
    CONNECTION = "hc"
    SID = "sid"
    H1 = "h1"
    H2 = "h2"
    H3 = "h3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """A declared extra coordinate: an exact integer in [low, high] (spec 2.2)."""

    name: str
    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseTerms:
    """The Manifest's dp field (spec 2.2-8)."""

    mechanism: str
    noise_multiplier: float
    adjacency: str
    delta: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of U0 and the nonce its process sent in Ready."""

    peer: PeerId
    ready_nonce: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Opens a session; its hash is the sid (spec 4.1)."""

    task_id: str
    round_no: int
    attempt: int
    aggregator: PeerId
    roster_hash: bytes
    members: tuple[Member, ...]
    corruption_bound: int
    length: int
    extras: tuple[Extra, ...]
    bits: int
    clip: float
    range: float
    weighting: str
    max_weight: int
    rotation: bytes | None
    graph: str
    keystream: str
    chunk_log2: int
    dp: NoiseTerms | None
    model_hash: bytes
    previous_link: bytes
    durations: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvertiseKeys:
    """u to S: the session's public keys and the commitment to b_u (spec 4.2)."""

    c_pk: bytes
    s_pk: bytes
    b_commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedKeys:
    """One entry of L1: an advert and the envelope signature it came with."""

    peer: PeerId
    keys: AdvertiseKeys
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyList:
    """S to all: L1, which defines U1 (spec 4.2)."""

    entries: tuple[SignedKeys, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DealtEntry:
    """What a dealer deals to one member; `sealed` is None at its own place."""

    sealed: bytes | None
    com_b: bytes
    com_s: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareKeys:
    """u to S: one entry for every member of U1, in order (spec 4.3)."""

    entries: tuple[DealtEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DealtShare:
    """One dealer's entry for the receiver."""

    dealer: PeerId
    sealed: bytes
    com_b: bytes
    com_s: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DealtShares:
    """S to v: the entries dealt to v by the others (spec 4.3)."""

    entries: tuple[DealtShare, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareAck:
    """v to S: which dealers' shares it verified, a bitmap over U1 (spec 4.4)."""

    bitmap: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DealerList:
    """S to all: L2, which is U2 (spec 4.4)."""

    dealers: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedInput:
    """u to S: the root of the chunks of y_u (spec 4.5)."""

    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRoot:
    """One entry of L3: a member's root and its envelope signature."""

    peer: PeerId
    root: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class InputList:
    """S to all: L3, which defines U3 (spec 4.5)."""

    entries: tuple[SignedRoot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """u to S: the vote on h3 (spec 4.6)."""

    h3: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedVote:
    """One vote of a Certificate."""

    peer: PeerId
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """S to all: at least q votes on one h3 (spec 4.6)."""

    votes: tuple[SignedVote, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmasking:
    """u to S: one share, or None, for each of U2 in order (spec 4.7).

    The shares are opened by design; before this message they are secrets, so the
    type shows none of them.
    """

    shares: tuple[bytes | None, ...]

    def __repr__(self) -> str:
        """Show how many shares there are, and none of them."""
        held = sum(share is not None for share in self.shares)
        return f"Unmasking(<{held} of {len(self.shares)} shares, redacted>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckVerdict:
    """What one release check said (spec 10)."""

    check: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseRecord:
    """The noise that was added, exactly (spec 4.8, 10-2)."""

    mechanism: str
    noise_multiplier: float
    sigma_squared: int
    sensitivity_squared: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRef:
    """A blob by its SHA-256; for a released vector also its width in bytes."""

    hash: bytes
    size: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """S to all: what came out (spec 4.8). `vector` is None when discarded."""

    status: str
    u3: tuple[PeerId, ...]
    verdicts: tuple[CheckVerdict, ...]
    dp: NoiseRecord | None
    extras: tuple[tuple[str, int], ...]
    vector: BlobRef | None
    next_model_hash: bytes | None
    epsilon: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """S to all: the session ended without a sum (spec 4.9)."""

    rule: str
    detail: str
    missing: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """u to S: this client left the session, by which rule (spec 4)."""

    rule: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """S to a new connection (spec 8)."""

    nonce: bytes
    roster_hash: bytes
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """u's proof of identity, and where it stands in a session (spec 8)."""

    nonce: bytes
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


Message = (
    Manifest
    | AdvertiseKeys
    | KeyList
    | ShareKeys
    | DealtShares
    | ShareAck
    | DealerList
    | MaskedInput
    | InputList
    | Consistency
    | Certificate
    | Unmasking
    | Result
    | Abort
    | Refusal
    | Challenge
    | Hello
    | Welcome
    | RoundOpen
    | Ready
    | Missed
    | Fetch
    | Catchup
    | History
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is fixed for a message type (spec 3.7).

    Attributes:
        from_aggregator: S sends it; else a client does.
        to_all: its receiver is everyone.
        transcript: which hash its signature covers.
        base: bytes its body may have whatever n is.
        per_member: bytes more for each member.
    """

    from_aggregator: bool
    to_all: bool
    transcript: Transcript
    base: int
    per_member: int = 0


def _from_s(transcript: Transcript, base: int, per_member: int = 0) -> Header:
    return Header(
        from_aggregator=True,
        to_all=True,
        transcript=transcript,
        base=base,
        per_member=per_member,
    )


def _from_s_to_one(transcript: Transcript, base: int, per_member: int = 0) -> Header:
    return Header(
        from_aggregator=True,
        to_all=False,
        transcript=transcript,
        base=base,
        per_member=per_member,
    )


def _from_u(transcript: Transcript, base: int, per_member: int = 0) -> Header:
    return Header(
        from_aggregator=False,
        to_all=False,
        transcript=transcript,
        base=base,
        per_member=per_member,
    )


HEADERS: dict[type[Message], Header] = {
    Manifest: _from_s(Transcript.SID, 8192, 128),
    AdvertiseKeys: _from_u(Transcript.SID, 128),
    KeyList: _from_s(Transcript.SID, 16, 272),
    ShareKeys: _from_u(Transcript.H1, 16, 384),
    DealtShares: _from_s_to_one(Transcript.H1, 16, 448),
    ShareAck: _from_u(Transcript.H1, 16, 1),
    DealerList: _from_s(Transcript.H1, 16, 72),
    MaskedInput: _from_u(Transcript.H2, 64),
    InputList: _from_s(Transcript.H2, 16, 176),
    Consistency: _from_u(Transcript.H3, 64),
    Certificate: _from_s(Transcript.H3, 16, 144),
    Unmasking: _from_u(Transcript.H3, 16, 40),
    Result: _from_s(Transcript.H3, 65536, 80),
    Abort: _from_s(Transcript.SID, 1024, 72),
    Refusal: _from_u(Transcript.SID, 1024),
    Challenge: _from_s(Transcript.ZERO, 128),
    Hello: _from_u(Transcript.NONCE, 256),
    Welcome: _from_s_to_one(Transcript.CONNECTION, 128),
    RoundOpen: _from_s_to_one(Transcript.CONNECTION, 256),
    Ready: _from_u(Transcript.CONNECTION, 256),
    Missed: _from_s_to_one(Transcript.CONNECTION, 1024),
    Fetch: _from_u(Transcript.CONNECTION, 64),
    Catchup: _from_u(Transcript.CONNECTION, 128),
    History: _from_s_to_one(Transcript.CONNECTION, 6 << 20, 64 << 10),
}
"""Per type, as in the spec's table; the name on the wire is the class's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A signed message as it travels (spec 3.4); the body is not decoded yet."""

    type: str
    sid: SessionId
    sender: PeerId
    receiver: PeerId
    body: bytes
    signature: bytes

    def __repr__(self) -> str:
        """Name the message; its body may hold shares and is not shown."""
        route = f"{self.sender} -> {self.receiver or 'all'}"
        return f"Envelope({self.type}, {route}, {len(self.body)} bytes)"
