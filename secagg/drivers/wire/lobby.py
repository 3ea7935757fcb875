"""The client's side of the handshake, and messages outside a session: spec section 8.

Each side proves its roster identity over the other's fresh nonce before anything else
is accepted, whatever carried the bytes. The rosters and the clocks are compared at the
door, where a person can still be told what to do; a client that is behind is given the
versions of the roster that it lacks.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from secagg import codec, errors
from secagg.crypto import transcript
from secagg.drivers.wire import handshake
from secagg.drivers.wire.connection import Connection
from secagg.drivers.wire.door import Door, check_agreement, check_enrolled
from secagg.drivers.wire.handshake import (
    MAX_HANDSHAKE_FRAME,
    MAX_ROSTERS,
    ZERO,
    prove,
    read,
    receive,
    say,
)
from secagg.drivers.wire.transport import ConnectionLost, Transport
from secagg.messages import (
    LOBBY_SID,
    Catchup,
    Challenge,
    Declined,
    Envelope,
    Fetch,
    Hello,
    History,
    Message,
    Missed,
    Ready,
    Rosters,
    RoundOpen,
    Welcome,
)
from secagg.names import VERSION, PeerId, SessionId
from secagg.roster import SignedRoster
from secagg.signing import check_route, seal, verifies

LOBBY: Final = (RoundOpen, Ready, Declined, Missed, Fetch, Catchup, History)
"""What may be said outside a session once the handshake is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a client stands when it connects: its session and its last transcript."""

    session: SessionId | None = None
    transcript: bytes | None = None


async def enter(
    transport: Transport, door: Door, aggregator: PeerId, standing: Standing
) -> tuple[Connection, Welcome] | None:
    """Prove this client to the aggregator, and the other way round.

    Returns:
        The connection; None if newer versions of the roster were pinned instead: this
        transport is done, dial again.

    Raises:
        ConnectionRefused: identity, roster or clock did not match (rules 8-1 to 8-3,
            8-9), or what was given is no continuation of the roster (rules 2.1-2 to
            2.1-5, 8-8); the message says what to do.
        ConnectionLost: the line was cut, nothing came in time, or the aggregator has
            an older version of the roster.
        StateError: a newer version could not be made durable.
    """
    try:
        async with asyncio.timeout(handshake.HANDSHAKE_SECONDS):
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
    """Return what the aggregator says first; say nothing to it.

    It is proved to be its, unless it names a later version of the roster than the door
    has: then the aggregator may have another key by now.

    Raises:
        ConnectionRefused: it is not the aggregator (rule 8-1).
        ConnectionLost: the line was cut, or nothing came in time.
    """
    try:
        async with asyncio.timeout(handshake.HANDSHAKE_SECONDS):
            return await _challenged(transport, door, aggregator)
    except errors.RemoteProtocolError as error:
        raise errors.ConnectionRefused(str(error)) from None
    except TimeoutError:
        raise ConnectionLost("the aggregator did not begin the handshake") from None


async def _challenged(
    transport: Transport, door: Door, aggregator: PeerId
) -> Challenge:
    """Return the Challenge; of one that names a later version nothing is proved."""
    first = await receive(transport, door)
    challenge = read(first, Challenge, door)
    if not _is_ahead(challenge, door):
        prove(first, Challenge, door=door, peer=aggregator, h=ZERO)
    return challenge


async def update(transport: Transport, door: Door, aggregator: PeerId) -> bool:
    """Take newer versions of the roster from whoever answers: they prove themselves.

    For a transport that did not prove the aggregator, which may have another key by
    now. Nothing else is said on it, and nothing else is taken.

    Returns:
        Whether there were any; they are pinned.

    Raises:
        ConnectionLost: the line was cut, or nothing came in time.
        RemoteProtocolError: what came is no continuation of the roster.
        StateError: it could not be made durable.
    """
    try:
        async with asyncio.timeout(handshake.HANDSHAKE_SECONDS):
            challenge = read(await receive(transport, door), Challenge, door)
            if not _is_ahead(challenge, door):
                return False
            await _follow(transport, door, aggregator, challenge)
            return True
    except TimeoutError:
        raise ConnectionLost("nobody finished the handshake") from None


async def _enter(
    transport: Transport, door: Door, aggregator: PeerId, standing: Standing
) -> tuple[Connection, Welcome] | None:
    challenge = await _challenged(transport, door, aggregator)
    if _is_ahead(challenge, door):
        await _follow(transport, door, aggregator, challenge)
        return None
    nonce = await _greet(transport, door, aggregator, challenge, standing)
    # Only now, so that the aggregator's operator is told of the same disagreement.
    if challenge.roster_version < door.roster.version:
        raise ConnectionLost(
            f"{aggregator} has version {challenge.roster_version} of the roster, and"
            f" we have {door.roster.version}: its operator has to install that"
            " (`secagg roster install`); we go on trying"
        )
    check_agreement(door, challenge, peer=aggregator)
    check_enrolled(door.identity, door.book)
    hc = transcript.connection(challenge.nonce, nonce)
    answer = await receive(transport, door)
    errors.require(
        "8-8", answer.type != "Rosters", "older versions of the roster", [aggregator]
    )
    welcome = read(answer, Welcome, door)
    prove(answer, Welcome, door=door, peer=aggregator, h=hc)
    fresh = welcome.nonce == nonce
    errors.require("8-1", fresh, "Welcome answers another Hello", [aggregator])
    connection = Connection(transport, peer=aggregator, hc=hc, roster=door.roster)
    return connection, welcome


def _is_ahead(challenge: Challenge, door: Door) -> bool:
    """Whether the aggregator names a later version, and we may pin that."""
    return door.book.grows and challenge.roster_version > door.roster.version


async def _follow(
    transport: Transport, door: Door, aggregator: PeerId, challenge: Challenge
) -> None:
    """Ask for the versions that we lack, and pin them (rule 8-8)."""
    await _greet(transport, door, aggregator, challenge, Standing())
    answer = await receive(transport, door, MAX_ROSTERS + MAX_HANDSHAKE_FRAME)
    rosters = read(answer, Rosters, door)
    versions = [SignedRoster.from_wire(v.body, v.signature) for v in rosters.versions]
    errors.require("8-8", door.book.pin(versions), "no version that is new")


async def _greet(
    transport: Transport,
    door: Door,
    aggregator: PeerId,
    challenge: Challenge,
    standing: Standing,
) -> bytes:
    """Say Hello; return its nonce."""
    nonce = door.nonce()
    hello = Hello(
        nonce=nonce,
        roster_version=door.roster.version,
        roster_hash=door.roster.hash,
        version=f"secagg {VERSION}",
        time_ms=door.clock.now_ms(),
        session=standing.session,
        transcript=standing.transcript,
    )
    await say(transport, door, hello, to=aggregator, h=challenge.nonce)
    return nonce


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
        verifies(envelope, public=connection.roster.member(peer).key, h=connection.hc),
        f"{envelope.type} is not signed by {peer} for this connection",
        [peer],
    )
    return codec.decode_body(envelope.type, envelope.body, members=door.book.largest)
