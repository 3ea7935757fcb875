"""The handshake and the messages outside a session: spec section 8.

Each side proves its roster identity over the other's fresh nonce before anything else
is accepted, whatever carried the bytes. The rosters and the clocks are compared at the
door, where a person can still be told what to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from secagg import codec, errors
from secagg.crypto import transcript
from secagg.drivers.clock import Clock
from secagg.drivers.wire.connection import Connection
from secagg.drivers.wire.transport import ConnectionLost, Transport
from secagg.entropy import Entropy
from secagg.identity import Identity
from secagg.messages import (
    HEADERS,
    LOBBY_SID,
    Catchup,
    Challenge,
    Envelope,
    Fetch,
    Hello,
    History,
    Message,
    Missed,
    Ready,
    RoundOpen,
    Welcome,
)
from secagg.names import VERSION, PeerId, SessionId
from secagg.roster import AGGREGATOR, HOSPITAL, Roster
from secagg.signing import check_route, seal, verifies
from secagg.vector import EnvelopeFrame, envelope_frame, parse_frame

MAX_DRIFT_MS: Final = 5 * 60 * 1000
"""How far two clocks may be apart (rule 8-3)."""

HANDSHAKE_SECONDS: Final = 20.0
"""Time for a handshake; a peer that says nothing is let go."""

MAX_HANDSHAKE_FRAME: Final = 2048
ZERO: Final = bytes(32)
LOBBY: Final = (RoundOpen, Ready, Missed, Fetch, Catchup, History)
"""What may be said outside a session once the handshake is done."""

M = TypeVar("M", Challenge, Hello, Welcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What one side needs to prove itself and to judge the other."""

    identity: Identity
    roster: Roster
    entropy: Entropy
    clock: Clock

    def nonce(self) -> bytes:
        """Return a fresh nonce."""
        return self.entropy.draw("connection_nonce", 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a client stands when it connects: its session and its last transcript."""

    session: SessionId | None = None
    transcript: bytes | None = None


NextChunk = Callable[[PeerId, SessionId | None], int | None]
"""The first chunk the aggregator lacks of a peer in a session, None outside one."""


async def enter(
    transport: Transport, door: Door, aggregator: PeerId, standing: Standing
) -> tuple[Connection, Welcome]:
    """Prove this client to the aggregator, and the other way round.

    Raises:
        ConnectionRefused: identity, roster or clock did not match (rules 8-1 to 8-3);
            the message says what to do.
        ConnectionLost: the line was cut, or nothing came in time.
    """
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            return await _enter(transport, door, aggregator, standing)
    except errors.RemoteProtocolError as error:
        raise errors.ConnectionRefused(str(error)) from None
    except TimeoutError:
        raise ConnectionLost("the aggregator did not finish the handshake") from None
    except ConnectionLost as error:
        throttled = error.reason.startswith("rule 8-7")
        if error.reason.startswith("rule 8-") and not throttled:
            raise errors.ConnectionRefused(
                f"the aggregator refused the connection: {error.reason}"
            ) from None
        raise


async def challenged(transport: Transport, door: Door, aggregator: PeerId) -> Challenge:
    """Return what the aggregator says first, proved to be its; say nothing to it.

    Raises:
        ConnectionRefused: it is not the aggregator (rule 8-1).
        ConnectionLost: the line was cut, or nothing came in time.
    """
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            return await _challenged(transport, door, aggregator)
    except errors.RemoteProtocolError as error:
        raise errors.ConnectionRefused(str(error)) from None
    except TimeoutError:
        raise ConnectionLost("the aggregator did not begin the handshake") from None


async def _challenged(
    transport: Transport, door: Door, aggregator: PeerId
) -> Challenge:
    first = await _receive(transport, door)
    return _proved(first, Challenge, door=door, peer=aggregator, h=ZERO)


async def _enter(
    transport: Transport, door: Door, aggregator: PeerId, standing: Standing
) -> tuple[Connection, Welcome]:
    challenge = await _challenged(transport, door, aggregator)
    nonce = door.nonce()
    hello = Hello(
        nonce=nonce,
        roster_hash=door.roster.hash,
        version=f"secagg {VERSION}",
        time_ms=door.clock.now_ms(),
        session=standing.session,
        transcript=standing.transcript,
    )
    await _say(transport, door, hello, to=aggregator, h=challenge.nonce)
    # Only now, so that the aggregator's operator is told of the same disagreement.
    check_agreement(door, challenge.roster_hash, challenge.time_ms, peer=aggregator)
    hc = transcript.connection(challenge.nonce, nonce)
    answer = await _receive(transport, door)
    welcome = _proved(answer, Welcome, door=door, peer=aggregator, h=hc)
    fresh = welcome.nonce == nonce
    errors.require("8-1", fresh, "Welcome answers another Hello", [aggregator])
    return Connection(transport, peer=aggregator, hc=hc), welcome


async def admit(
    transport: Transport, door: Door, next_chunk: NextChunk
) -> tuple[Connection, Hello]:
    """Let a client prove itself to this aggregator, and the other way round.

    Raises:
        RemoteProtocolError: rules 8-1 to 8-3, or bytes that are no handshake.
        ConnectionLost: the line was cut, or nothing came in time.
    """
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            return await _admit(transport, door, next_chunk)
    except TimeoutError:
        raise ConnectionLost("the handshake was not finished in time") from None


async def _admit(
    transport: Transport, door: Door, next_chunk: NextChunk
) -> tuple[Connection, Hello]:
    nonce = door.nonce()
    challenge = Challenge(
        nonce=nonce, roster_hash=door.roster.hash, time_ms=door.clock.now_ms()
    )
    await _say(transport, door, challenge, to=PeerId(""), h=ZERO)
    first = await _receive(transport, door)
    peer = first.sender
    hello = _proved(first, Hello, door=door, peer=peer, h=nonce)
    check_agreement(door, hello.roster_hash, hello.time_ms, peer=peer)
    hc = transcript.connection(nonce, hello.nonce)
    welcome = Welcome(nonce=hello.nonce, next_chunk=next_chunk(peer, hello.session))
    await _say(transport, door, welcome, to=peer, h=hc)
    return Connection(transport, peer=peer, hc=hc), hello


def check_agreement(
    door: Door, roster_hash: bytes, time_ms: int, *, peer: PeerId
) -> None:
    """Compare rosters and clocks.

    Raises:
        RemoteProtocolError: rules 8-2, 8-3; the message says what to do.
    """
    roster = door.roster
    errors.require(
        "8-2",
        roster_hash == roster.hash,
        f"the rosters differ: ours is version {roster.version}"
        f" ({roster.hash.hex()[:12]}), {peer} has {roster_hash.hex()[:12]}; run"
        " `secagg roster list` on both sides and accept the newest roster",
        [peer],
    )
    drift = time_ms - door.clock.now_ms()
    errors.require(
        "8-3",
        abs(drift) <= MAX_DRIFT_MS,
        f"the clock of {peer} is {abs(drift) / 60_000:.0f} min"
        f" {'ahead of' if drift > 0 else 'behind'} ours; set both by NTP"
        " (`timedatectl` shows whether it runs)",
        [peer],
    )


def lobby_seal(message: Message, *, door: Door, connection: Connection) -> Envelope:
    """Sign a lobby message under the connection's hc."""
    return seal(
        message,
        identity=door.identity,
        receiver=connection.peer,
        sid=LOBBY_SID,
        h=connection.hc,
    )


def lobby_open(envelope: Envelope, *, door: Door, connection: Connection) -> Message:
    """Check a lobby message of a proved connection and return it.

    Raises:
        RemoteProtocolError: rule 8-6 (no lobby message, or signed for another
            connection), 3.4-4 or 3.4-5; CodecError: the body is not canonical.
    """
    kind = codec.message_type(envelope.type)
    outside = kind in LOBBY and envelope.sid == LOBBY_SID
    peer = connection.peer
    errors.require(
        "8-6", outside, f"{envelope.type} does not belong outside a session", [peer]
    )
    check_route(envelope, peer=peer, me=door.identity.id)
    errors.require(
        "8-6",
        verifies(envelope, public=door.roster.member(peer).key, h=connection.hc),
        f"{envelope.type} is not signed by {peer} for this connection",
        [peer],
    )
    return codec.decode_body(
        envelope.type, envelope.body, members=len(door.roster.members)
    )


def _proved(
    envelope: Envelope, kind: type[M], *, door: Door, peer: PeerId, h: bytes
) -> M:
    """Return a handshake message that proves `peer` (rule 8-1)."""
    roster, from_aggregator = door.roster, HEADERS[kind].from_aggregator
    role = AGGREGATOR if from_aggregator else HOSPITAL
    errors.require(
        "8-1",
        peer in roster and roster.member(peer).role == role,
        f"{peer} is no {role} in version {roster.version} of the roster: accept the"
        " newest roster, or correct the identity",
        [peer],
    )
    errors.require(
        "8-1",
        envelope.type == kind.__name__ and envelope.sid == LOBBY_SID,
        f"{envelope.type} came before {peer} proved its identity",
        [peer],
    )
    check_route(envelope, peer=peer, me=door.identity.id)
    errors.require(
        "8-1",
        verifies(envelope, public=roster.member(peer).key, h=h),
        f"{envelope.type} is not signed with the key the roster has for {peer}: compare"
        f" the fingerprint {roster.fingerprint(peer)} with that of the other side",
        [peer],
    )
    message = codec.decode_body(
        envelope.type, envelope.body, members=len(roster.members)
    )
    if not isinstance(message, kind):
        raise errors.RemoteProtocolError("8-1", f"{envelope.type} was expected")
    return message


async def _say(
    transport: Transport, door: Door, message: Message, *, to: PeerId, h: bytes
) -> None:
    envelope = seal(message, identity=door.identity, receiver=to, sid=LOBBY_SID, h=h)
    await transport.send(envelope_frame(codec.encode_envelope(envelope)))


async def _receive(transport: Transport, door: Door) -> Envelope:
    frame = parse_frame(await transport.recv(), MAX_HANDSHAKE_FRAME)
    if not isinstance(frame, EnvelopeFrame):
        raise errors.RemoteProtocolError("8-1", "a vector came before any handshake")
    return codec.decode_envelope(frame.envelope, members=len(door.roster.members))
