"""Admission: the aggregator's side of the handshake. Spec section 8.

A client that is behind is given the versions of the roster that it lacks, in the place
of a Welcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from secagg import errors
from secagg.crypto import transcript
from secagg.drivers.wire import handshake
from secagg.drivers.wire.connection import Connection
from secagg.drivers.wire.door import Door, check_agreement
from secagg.drivers.wire.handshake import MAX_ROSTERS, ZERO, prove, read, receive, say
from secagg.drivers.wire.transport import ConnectionLost, Transport
from secagg.messages import Challenge, Envelope, Hello, Rosters, RosterVersion, Welcome
from secagg.names import PeerId, SessionId
from secagg.roster import Roster
from secagg.signing import check_route, verifies

_ROW_HEAD: Final = 80
"""Bytes of a version beside its body: signature and headers, at most."""

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
        async with asyncio.timeout(handshake.HANDSHAKE_SECONDS):
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
    await say(transport, door, challenge, to=PeerId(""), h=ZERO)
    peer, hello, before = await _greeted(transport, door, nonce)
    hc = transcript.connection(nonce, hello.nonce)
    if before is not None:
        await say(transport, door, _rosters_after(door, before), to=peer, h=hc)
        return Informed(peer=peer, version=before.version)
    check_agreement(door, hello, peer=peer)
    welcome = Welcome(nonce=hello.nonce, next_chunk=next_chunk(peer, hello.session))
    await say(transport, door, welcome, to=peer, h=hc)
    return Connection(transport, peer=peer, hc=hc, roster=door.roster), hello


async def _greeted(
    transport: Transport, door: Door, nonce: bytes
) -> tuple[PeerId, Hello, Roster | None]:
    """Return who is proved by its Hello, and the earlier version it goes by, if so.

    Raises:
        RemoteProtocolError: as `admit`; without a culprit, for whoever likes may claim
            a name.
    """
    try:
        first = await receive(transport, door)
        hello = read(first, Hello, door)
        before = _earlier(door, hello)
        if before is None:
            prove(first, Hello, door=door, peer=first.sender, h=nonce)
        else:
            _prove_earlier(first, door, before, h=nonce)
    except errors.RemoteProtocolError as error:
        raise errors.RemoteProtocolError(error.rule, error.detail) from None
    return first.sender, hello, before


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
