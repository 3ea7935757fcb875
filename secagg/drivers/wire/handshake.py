"""What both sides of a handshake share: how its messages go, and what proves a peer.

Spec section 8. The two sides themselves are `lobby.enter` and `admission.admit`.
"""

from __future__ import annotations

from typing import Final, TypeVar

from secagg import codec, errors
from secagg.drivers.wire.door import Door
from secagg.drivers.wire.transport import Transport
from secagg.messages import (
    HEADERS,
    LOBBY_SID,
    Challenge,
    Envelope,
    Hello,
    Message,
    Rosters,
    Welcome,
)
from secagg.names import PeerId
from secagg.roster import AGGREGATOR, HOSPITAL
from secagg.signing import check_route, seal, verifies
from secagg.vector import EnvelopeFrame, envelope_frame, parse_frame

HANDSHAKE_SECONDS: Final = 20.0
"""Time for a handshake; a peer that says nothing is let go."""

MAX_HANDSHAKE_FRAME: Final = 2048
ZERO: Final = bytes(32)

MAX_ROSTERS: Final = HEADERS[Rosters].base
"""Bytes of a body of Rosters (spec 8)."""

M = TypeVar("M", Challenge, Hello, Welcome, Rosters)


def read(envelope: Envelope, kind: type[M], door: Door) -> M:
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


def prove(
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


async def say(
    transport: Transport, door: Door, message: Message, *, to: PeerId, h: bytes
) -> None:
    """Sign a message of the handshake under `h`, and send it."""
    envelope = seal(message, identity=door.identity, receiver=to, sid=LOBBY_SID, h=h)
    await transport.send(envelope_frame(codec.encode_envelope(envelope)))


async def receive(
    transport: Transport, door: Door, most: int = MAX_HANDSHAKE_FRAME
) -> Envelope:
    """Return the next envelope, of at most so many bytes; nothing of it is proved."""
    frame = parse_frame(await transport.recv(), most)
    if not isinstance(frame, EnvelopeFrame):
        raise errors.RemoteProtocolError("8-1", "a vector came before any handshake")
    return codec.decode_envelope(frame.envelope, members=door.book.largest)
