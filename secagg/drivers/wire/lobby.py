"""The handshake and the messages outside a session: spec section 8.

Each side proves its roster identity over the other's fresh nonce before anything else
is accepted, whatever carried the bytes. The rosters and the clocks are compared at the
door, where a person can still be told what to do; a client that is behind is given the
versions of the roster that it lacks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from secagg import codec, errors
from secagg.crypto import transcript
from secagg.drivers.wire.connection import Connection
from secagg.drivers.wire.door import Door, check_agreement, check_enrolled
from secagg.drivers.wire.transport import ConnectionLost, Transport
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
    Rosters,
    RosterVersion,
    RoundOpen,
    Welcome,
)
from secagg.names import VERSION, PeerId, SessionId
from secagg.roster import AGGREGATOR, HOSPITAL, Roster, SignedRoster
from secagg.signing import check_route, seal, verifies
from secagg.vector import EnvelopeFrame, envelope_frame, parse_frame

HANDSHAKE_SECONDS: Final = 20.0
"""Time for a handshake; a peer that says nothing is let go."""

MAX_HANDSHAKE_FRAME: Final = 2048
MAX_ROSTERS: Final = HEADERS[Rosters].base
"""Bytes of a body of Rosters (spec 8)."""

_ROW_HEAD: Final = 80
"""Bytes of a version beside its body: signature and headers, at most."""

ZERO: Final = bytes(32)
LOBBY: Final = (RoundOpen, Ready, Missed, Fetch, Catchup, History)
"""What may be said outside a session once the handshake is done."""

M = TypeVar("M", Challenge, Hello, Welcome, Rosters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a client stands when it connects: its session and its last transcript."""

    session: SessionId | None = None
    transcript: bytes | None = None


NextChunk = Callable[[PeerId, SessionId | None], int | None]
"""The first chunk the aggregator lacks of a peer in a session, None outside one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Informed:
    """A client that was behind, and was given the versions it lacked.

    Attributes:
        peer: who it is.
        version: what it had.
    """

    peer: PeerId
    version: int


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
    """Return what the aggregator says first; say nothing to it.

    It is proved to be its, unless it names a later version of the roster than the door
    has: then the aggregator may have another key by now.

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
    """Return the Challenge; of one that names a later version nothing is proved."""
    first = await _receive(transport, door)
    challenge = _read(first, Challenge, door)
    if not _is_ahead(challenge, door):
        _prove(first, Challenge, door=door, peer=aggregator, h=ZERO)
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
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            challenge = _read(await _receive(transport, door), Challenge, door)
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
    answer = await _receive(transport, door)
    errors.require(
        "8-8", answer.type != "Rosters", "older versions of the roster", [aggregator]
    )
    welcome = _read(answer, Welcome, door)
    _prove(answer, Welcome, door=door, peer=aggregator, h=hc)
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
    answer = await _receive(transport, door, MAX_ROSTERS + MAX_HANDSHAKE_FRAME)
    rosters = _read(answer, Rosters, door)
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
    await _say(transport, door, hello, to=aggregator, h=challenge.nonce)
    return nonce


async def admit(
    transport: Transport, door: Door, next_chunk: NextChunk
) -> tuple[Connection, Hello] | Informed:
    """Let a client prove itself to this aggregator, and the other way round.

    Returns:
        The connection and the client's Hello; or who was given newer versions of the
        roster instead, upon which this transport is done.

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
) -> tuple[Connection, Hello] | Informed:
    nonce = door.nonce()
    challenge = Challenge(
        nonce=nonce,
        roster_version=door.roster.version,
        roster_hash=door.roster.hash,
        time_ms=door.clock.now_ms(),
    )
    await _say(transport, door, challenge, to=PeerId(""), h=ZERO)
    first = await _receive(transport, door)
    peer = first.sender
    hello = _read(first, Hello, door)
    hc = transcript.connection(nonce, hello.nonce)
    before = _earlier(door, hello)
    if before is not None:
        _prove_earlier(first, door, before, h=nonce)
        await _say(transport, door, _rosters_after(door, before), to=peer, h=hc)
        return Informed(peer=peer, version=before.version)
    _prove(first, Hello, door=door, peer=peer, h=nonce)
    check_agreement(door, hello, peer=peer)
    welcome = Welcome(nonce=hello.nonce, next_chunk=next_chunk(peer, hello.session))
    await _say(transport, door, welcome, to=peer, h=hc)
    return Connection(transport, peer=peer, hc=hc, roster=door.roster), hello


def _earlier(door: Door, hello: Hello) -> Roster | None:
    """Return the version before our newest that a client goes by, if it does."""
    known = door.book.version(hello.roster_version)
    if known is None or known.version >= door.roster.version:
        return None
    return known if known.hash == hello.roster_hash else None


def _prove_earlier(envelope: Envelope, door: Door, before: Roster, *, h: bytes) -> None:
    """Check that a client which is behind is who it says, by its old key or the new.

    Also one that was taken out since: it learns so from the consortium's signature.
    """
    peer = envelope.sender
    check_route(envelope, peer=peer, me=door.identity.id)
    keys = [r.member(peer).key for r in (before, door.roster) if peer in r]
    proved = any(verifies(envelope, public=key, h=h) for key in keys)
    errors.require(
        "8-1",
        proved,
        f"Hello is not signed with a key that version {before.version} or"
        f" {door.roster.version} of the roster has for {peer}",
        [peer],
    )


def _rosters_after(door: Door, before: Roster) -> Rosters:
    """Return the versions after one, as many as a message holds and at least one."""
    versions: list[RosterVersion] = []
    room = MAX_ROSTERS
    for signed in door.book.after(before.version):
        body = signed.claimed.body()
        room -= len(body) + _ROW_HEAD
        if versions and room < 0:
            break
        versions.append(RosterVersion(body=body, signature=signed.signature))
    return Rosters(versions=tuple(versions))


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


def _read(envelope: Envelope, kind: type[M], door: Door) -> M:
    """Return a handshake message whose sender has not proved anything yet."""
    errors.require(
        "8-1",
        envelope.type == kind.__name__ and envelope.sid == LOBBY_SID,
        f"{envelope.type} came in the place of {kind.__name__}",
        [envelope.sender],
    )
    message = codec.decode_body(envelope.type, envelope.body, members=door.book.largest)
    if not isinstance(message, kind):
        raise errors.RemoteProtocolError("8-1", f"{envelope.type} was not expected")
    return message


def _prove(
    envelope: Envelope, kind: type[M], *, door: Door, peer: PeerId, h: bytes
) -> None:
    """Check that a handshake message proves `peer` (rule 8-1)."""
    roster, from_aggregator = door.roster, HEADERS[kind].from_aggregator
    role = AGGREGATOR if from_aggregator else HOSPITAL
    errors.require(
        "8-1",
        peer in roster and roster.member(peer).role == role,
        f"{peer} is no {role} in version {roster.version} of the roster: accept the"
        " newest roster, or correct the identity",
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


async def _say(
    transport: Transport, door: Door, message: Message, *, to: PeerId, h: bytes
) -> None:
    envelope = seal(message, identity=door.identity, receiver=to, sid=LOBBY_SID, h=h)
    await transport.send(envelope_frame(codec.encode_envelope(envelope)))


async def _receive(
    transport: Transport, door: Door, most: int = MAX_HANDSHAKE_FRAME
) -> Envelope:
    frame = parse_frame(await transport.recv(), most)
    if not isinstance(frame, EnvelopeFrame):
        raise errors.RemoteProtocolError("8-1", "a vector came before any handshake")
    return codec.decode_envelope(frame.envelope, members=door.book.largest)
