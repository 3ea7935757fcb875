"""The state tables of both machines: data only (spec 4).

A machine looks its move up here first. What is not in the table is refused by rule
3.4-6, or ignored where it is merely late. The diagrams of the spec are drawn from this.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from secagg.names import Round


class ClientPhase(enum.StrEnum):
    """Where a client stands."""

    IDLE = "idle"
    READY = "ready"
    ADVERTISED = "advertised"
    TOSSED = "tossed"
    SHARED = "shared"
    ACKED = "acked"
    MASKING = "masking"
    MASKED = "masked"
    WATCHING = "watching"
    VOTED = "voted"
    RELEASED = "released"


class ServerPhase(enum.StrEnum):
    """Where an aggregator's session stands; the first ones are named by their round."""

    ADVERTISE_KEYS = Round.ADVERTISE_KEYS.value
    COIN = Round.COIN.value
    SHARE_KEYS = Round.SHARE_KEYS.value
    SHARE_ACK = Round.SHARE_ACK.value
    MASKED_INPUT = Round.MASKED_INPUT.value
    CONSISTENCY = Round.CONSISTENCY.value
    UNMASKING = Round.UNMASKING.value
    OPENING = "opening"
    DONE = "done"
    ABORTED = "aborted"


C, S = ClientPhase, ServerPhase

CLIENT: Mapping[ClientPhase, Mapping[str, tuple[ClientPhase, ...]]] = {
    C.IDLE: {"InputReady": (C.READY,)},
    C.READY: {"InputReady": (C.READY,), "Manifest": (C.ADVERTISED,)},
    C.ADVERTISED: {"Manifest": (C.ADVERTISED,), "KeyList": (C.TOSSED, C.SHARED)},
    C.TOSSED: {"Manifest": (C.ADVERTISED,), "CoinList": (C.SHARED,)},
    C.SHARED: {"Manifest": (C.ADVERTISED,), "DealtShares": (C.ACKED,)},
    C.ACKED: {"Manifest": (C.ADVERTISED,), "DealerList": (C.MASKING, C.WATCHING)},
    C.MASKING: {
        "Manifest": (C.ADVERTISED,),
        "VectorMasked": (C.MASKED,),
        "InputList": (C.VOTED,),
    },
    C.MASKED: {"InputList": (C.VOTED,)},
    C.WATCHING: {"Manifest": (C.ADVERTISED,), "InputList": (C.VOTED,)},
    C.VOTED: {"Manifest": (C.ADVERTISED,), "Certificate": (C.RELEASED,)},
    C.RELEASED: {"InputReady": (C.READY,), "Result": (C.IDLE,)},
}
"""Per phase and trigger, the phases it may lead to; TOSSED on the regular graph.

Abort and Stopped end any session: back to READY, or to IDLE once shares were released.
"""

SERVER: Mapping[ServerPhase, Mapping[str, tuple[ServerPhase, ...]]] = {
    S.ADVERTISE_KEYS: {"AdvertiseKeys": (S.COIN, S.SHARE_KEYS)},
    S.COIN: {"Coin": (S.SHARE_KEYS,)},
    S.SHARE_KEYS: {"ShareKeys": (S.SHARE_ACK,)},
    S.SHARE_ACK: {"ShareAck": (S.MASKED_INPUT,)},
    S.MASKED_INPUT: {
        "VectorStored": (S.MASKED_INPUT,),
        "MaskedInput": (S.CONSISTENCY,),
    },
    S.CONSISTENCY: {"Consistency": (S.UNMASKING,)},
    S.UNMASKING: {"Unmasking": (S.OPENING,)},
    S.OPENING: {"SumOpened": (S.DONE,)},
    S.DONE: {},
    S.ABORTED: {},
}
"""Per phase, what it collects and the phase that follows when it closes.

COIN is there on the regular graph, and skipped on the complete one.
DeadlinePassed of the phase closes it as well; a missed floor, a blamed dealer and
Stopped lead to ABORTED from any phase but DONE.
"""

ORDER: tuple[ServerPhase, ...] = tuple(ServerPhase)[:8]
"""The phases of a session that goes well, in order."""

COLLECTING = ORDER[:7]
"""Those in which members answer."""
