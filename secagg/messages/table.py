"""What is fixed for every message type, and the envelope it travels in (spec 3.4, 3.7).

`HEADERS` holds, per type, who sends it, which transcript its signature covers and how
long its body may be.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from functools import partial

from secagg.messages.lobby import (
    Catchup,
    Challenge,
    Declined,
    Fetch,
    Hello,
    History,
    Missed,
    Ready,
    Rosters,
    RoundOpen,
    Welcome,
)
from secagg.messages.session import (
    Abort,
    AdvertiseKeys,
    Certificate,
    Coin,
    CoinList,
    Consistency,
    DealerList,
    DealtShares,
    InputList,
    KeyList,
    Manifest,
    MaskedInput,
    Refusal,
    Result,
    ShareAck,
    ShareKeys,
    Unmasking,
)
from secagg.names import PeerId, SessionId

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


Message = (
    Manifest
    | AdvertiseKeys
    | KeyList
    | Coin
    | CoinList
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
    | Rosters
    | RoundOpen
    | Ready
    | Declined
    | Missed
    | Fetch
    | Catchup
    | History
)


@dataclass(frozen=True, slots=True)
class Header:
    """What is fixed for a message type (spec 3.7).

    Attributes:
        transcript: which hash its signature covers.
        base: bytes its body may have whatever n is.
        per_member: bytes more for each member.
        from_aggregator: S sends it; else a client does.
        to_all: its receiver is everyone.
    """

    transcript: Transcript
    base: int
    per_member: int = 0
    from_aggregator: bool = field(kw_only=True)
    to_all: bool = field(kw_only=True)


_from_s = partial(Header, from_aggregator=True, to_all=True)
_from_s_to_one = partial(Header, from_aggregator=True, to_all=False)
_from_u = partial(Header, from_aggregator=False, to_all=False)

HEADERS: dict[type[Message], Header] = {
    Manifest: _from_s(Transcript.SID, 32_768, 128),
    AdvertiseKeys: _from_u(Transcript.SID, 192),
    KeyList: _from_s(Transcript.SID, 16, 272),
    Coin: _from_u(Transcript.H1, 64),
    CoinList: _from_s(Transcript.H1, 16, 40),
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
    Rosters: _from_s_to_one(Transcript.CONNECTION, 2 << 20),
    RoundOpen: _from_s_to_one(Transcript.CONNECTION, 256),
    Ready: _from_u(Transcript.CONNECTION, 256),
    Declined: _from_u(Transcript.CONNECTION, 1024),
    Missed: _from_s_to_one(Transcript.CONNECTION, 1024),
    Fetch: _from_u(Transcript.CONNECTION, 64),
    Catchup: _from_u(Transcript.CONNECTION, 128),
    History: _from_s_to_one(Transcript.CONNECTION, 8 << 20, 64 << 10),
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
