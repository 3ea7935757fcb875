"""The envelope: what is signed, sealed, opened (spec 3.4)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from protocol_spec.model import ed25519
from protocol_spec.model.encoding import lp, pack, unpack
from protocol_spec.model.messages import HEADERS, Body, body_limit, encode_body
from protocol_spec.model.refusal import require
from protocol_spec.model.shapes import Bytes, Int, Text, record

VERSION = 1
LOBBY_SID = bytes(32)
SHAPE = record(
    version=Int(0, 255),
    type=Text("[A-Za-z]{1,32}"),
    sid=Bytes(32, 32),
    sender=Text("[a-z0-9-]{1,64}"),
    receiver=Text("[a-z0-9-]{0,64}"),
    body=Bytes(0, 2**26),
    signature=Bytes(64, 64),
)


@dataclass(frozen=True)
class Envelope:
    """A signed message; the body is still bytes."""

    type: str
    sid: bytes
    sender: str
    receiver: str
    body: bytes
    signature: bytes
    version: int = VERSION

    def encode(self) -> bytes:
        """canon([version, type, sid, sender, receiver, body, signature])."""
        return pack(
            [
                self.version,
                self.type,
                self.sid,
                self.sender,
                self.receiver,
                self.body,
                self.signature,
            ]
        )


def decode_envelope(data: bytes, members: int) -> Envelope:
    """Decode an envelope (rules 3.3-1 to 3.3-4, 3.3-6, 3.4-2)."""
    largest = max(body_limit(kind, members) for kind in HEADERS)
    value = unpack(data, largest + 512)
    SHAPE.check(value)
    version, kind, sid, sender, receiver, body, signature = value
    require("3.4-2", version == VERSION, f"version {version}")
    require("3.4-2", kind in HEADERS, f"type {kind}")
    limit = body_limit(kind, members)
    require("3.3-1", len(body) <= limit, f"{kind} of {len(body)} bytes exceeds {limit}")
    return Envelope(kind, sid, sender, receiver, body, signature)


def signing_input(
    kind: str, sid: bytes, sender: str, receiver: str, h: bytes, body: bytes
) -> bytes:
    """What the signature covers (spec 3.4)."""
    digest = hashlib.sha256(body).digest()
    return lp("secagg/1/sig", kind, sid, sender, receiver, h, digest)


def seal(
    secret: bytes,
    kind: str,
    sid: bytes,
    sender: str,
    receiver: str,
    h: bytes,
    body: bytes,
) -> Envelope:
    """Sign an encoded body; the receiver of a message to all is ``""``."""
    to = "" if HEADERS[kind].to_all else receiver
    signed = signing_input(kind, sid, sender, to, h, body)
    return Envelope(kind, sid, sender, to, body, ed25519.sign(secret, signed))


def check_signature(envelope: Envelope, public: bytes, h: bytes, rule: str) -> None:
    """The signature MUST verify under the sender's key and the transcript."""
    genuine = is_signed(envelope, public, h)
    require(rule, genuine, f"the signature of {envelope.type} does not verify")


def is_signed(envelope: Envelope, public: bytes, h: bytes) -> bool:
    """Whether the signature verifies under this key and transcript."""
    signed = signing_input(
        envelope.type,
        envelope.sid,
        envelope.sender,
        envelope.receiver,
        h,
        envelope.body,
    )
    return ed25519.verify(public, signed, envelope.signature)


def quoted(
    public: bytes,
    signature: bytes,
    kind: str,
    sid: bytes,
    sender: str,
    receiver: str,
    h: bytes,
    body: Body,
) -> bool:
    """Whether a list quotes the signature that `sender` put on this message."""
    signed = signing_input(kind, sid, sender, receiver, h, encode_body(kind, body))
    return ed25519.verify(public, signed, signature)
