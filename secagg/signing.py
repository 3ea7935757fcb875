"""Signed envelopes: how a message becomes one, and what is checked when one comes.

Spec 3.4. The body is decoded only after the signature over it has verified.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TypeAlias

from secagg import codec, errors
from secagg.alike import alike
from secagg.crypto import sign, transcript
from secagg.identity import Identity
from secagg.messages import EVERYONE, HEADERS, Envelope, Message
from secagg.names import PeerId, SessionId
from secagg.side_by_side import side_by_side

Quoted: TypeAlias = tuple[PeerId, bytes, bytes, Message]
"""What a list quotes of a member: who, its roster key, its signature, the message."""


def seal(
    message: Message, *, identity: Identity, receiver: PeerId, sid: SessionId, h: bytes
) -> Envelope:
    """Sign `message` under the transcript `h` of its type (spec 3.4)."""
    return seal_body(
        type(message),
        codec.encode_body(message),
        identity=identity,
        receiver=receiver,
        sid=sid,
        h=h,
    )


def seal_body(
    kind: type[Message],
    body: bytes,
    *,
    identity: Identity,
    receiver: PeerId,
    sid: SessionId,
    h: bytes,
) -> Envelope:
    """Sign an encoded body; the receiver of a message to all is ``""``."""
    to = EVERYONE if HEADERS[kind].to_all else receiver
    signed = transcript.signing_input(kind.__name__, sid, identity.id, to, h, body)
    return Envelope(
        type=kind.__name__,
        sid=sid,
        sender=identity.id,
        receiver=to,
        body=body,
        signature=identity.key.sign(signed),
    )


@alike
def signed_by(
    public: bytes,
    signature: bytes,
    message: Message,
    *,
    sender: PeerId,
    receiver: PeerId,
    sid: SessionId,
    h: bytes,
) -> bool:
    """Return whether `signature` is `sender`'s envelope signature on `message`.

    Lists quote other members' messages this way: the envelope is rebuilt from the
    quoted fields, so nothing but the signature needs to travel.
    """
    body = codec.encode_body(message)
    name = type(message).__name__
    signed = transcript.signing_input(name, sid, sender, receiver, h, body)
    return sign.verify(public, signature, signed)


def all_signed_by(
    quoted: Iterable[Quoted], *, receiver: PeerId, sid: SessionId, h: bytes
) -> list[bool]:
    """Return for each of a list's entries what `signed_by` says of it.

    Args:
        quoted: the entries.
        receiver: whom all of them addressed.
        sid: the session.
        h: the transcript of their type.
    """

    def genuine(one: Quoted) -> bool:
        sender, public, signature, message = one
        return signed_by(
            public, signature, message, sender=sender, receiver=receiver, sid=sid, h=h
        )

    return side_by_side(genuine, [*quoted])


def check_route(envelope: Envelope, *, peer: PeerId, me: PeerId) -> None:
    """Check rules 3.4-4 and 3.4-5: who sent it, and to whom."""
    errors.require(
        "3.4-4",
        envelope.sender == peer,
        f"{envelope.type} claims {envelope.sender}, the connection is {peer}'s",
        [peer],
    )
    header = HEADERS[codec.message_type(envelope.type)]
    expected = EVERYONE if header.to_all else me
    errors.require(
        "3.4-5",
        envelope.receiver == expected,
        f"{envelope.type} is addressed to {envelope.receiver or 'all'}",
        [peer],
    )


def envelope_hash(envelope: Envelope) -> bytes:
    """Two envelopes are the same bytes if and only if these are equal (rule 3.4-6)."""
    return hashlib.sha256(codec.encode_envelope(envelope)).digest()


def verifies(envelope: Envelope, *, public: bytes, h: bytes) -> bool:
    """Return whether an envelope's own signature is `public`'s under `h`."""
    signed = transcript.signing_input(
        envelope.type,
        envelope.sid,
        envelope.sender,
        envelope.receiver,
        h,
        envelope.body,
    )
    return sign.verify(public, envelope.signature, signed)


def open_envelope(
    envelope: Envelope, *, public: bytes, h: bytes, members: int
) -> Message:
    """Verify the signature, then decode the body.

    Args:
        envelope: what came; its route was checked.
        public: the sender's roster key.
        h: the transcript of its type.
        members: n, for the length limits.

    Raises:
        RemoteProtocolError: rule 3.4-3; CodecError: rules 3.3-1 to 3.3-6, 3.4-2.
    """
    opened = _opened_by_all if envelope.receiver == EVERYONE else _opened
    return opened(envelope, public=public, h=h, members=members)


def _opened(envelope: Envelope, *, public: bytes, h: bytes, members: int) -> Message:
    errors.require(
        "3.4-3",
        verifies(envelope, public=public, h=h),
        f"the signature of {envelope.type} does not verify: compare the roster's keys",
        [envelope.sender],
    )
    return codec.decode_body(envelope.type, envelope.body, members=members)


_opened_by_all = alike(_opened)
