"""What a malicious aggregator or member can make: envelopes under keys it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from secagg import codec
from secagg import messages as msg
from secagg.cohort import Carried
from secagg.crypto import transcript
from secagg.identity import Identity
from secagg.messages import HEADERS, Envelope, Message
from secagg.names import PeerId, SessionId
from secagg.signing import seal
from tests.helpers import AGGREGATOR, Scene
from tests.recording import body_of

Rewrite = Callable[[Message, PeerId], Message | None]
"""Another message in place of one, for a receiver; None to withhold it."""


@dataclass
class Liar:
    """An aggregator's network that tells each client its own story.

    It knows the aggregator's real key. Transcripts are kept by receiver: what a client
    was told decides what it will be told next under.

    Attributes:
        identity: the aggregator's.
        rewrites: by message type.
        told: transcripts, by session and receiver.
    """

    identity: Identity
    rewrites: dict[str, Rewrite] = field(default_factory=dict)
    told: dict[tuple[SessionId, PeerId], dict[str, bytes]] = field(default_factory=dict)

    def __call__(self, carried: Carried) -> Iterable[Carried]:
        if carried.sender != AGGREGATOR:
            return (carried,)
        envelope = carried.envelope
        message: Message | None = body_of(envelope)
        if envelope.type in self.rewrites:
            assert message is not None
            message = self.rewrites[envelope.type](message, carried.receiver)
        if message is None:
            return ()
        return (Carried(AGGREGATOR, carried.receiver, self.forge(message, carried)),)

    def forge(self, message: Message, carried: Carried) -> Envelope:
        """Sign a message for a receiver, under what that one was told."""
        sid, receiver = carried.envelope.sid, carried.receiver
        body = codec.encode_body(message)
        if isinstance(message, msg.Manifest):
            sid = transcript.session_id(body)
        held = self.told.setdefault((sid, receiver), {"sid": bytes(sid)})
        h = held.get(HEADERS[type(message)].transcript.value, bytes(sid))
        self._note(message, body, sid, held)
        return seal(message, identity=self.identity, receiver=receiver, sid=sid, h=h)

    def _note(
        self, message: Message, body: bytes, sid: SessionId, held: dict[str, bytes]
    ) -> None:
        match message:
            case msg.KeyList():
                held["h1"] = transcript.h1(sid, body)
            case msg.DealerList():
                held["h2"] = transcript.h2(held["h1"], body)
            case msg.InputList():
                held["h3"] = transcript.h3(held["h2"], body)
            case _:
                pass


def lying(world: Scene, **rewrites: Rewrite) -> Liar:
    """Put a lying aggregator between a scene's server and its clients."""
    liar = Liar(world.consortium.aggregator, rewrites)
    world.network = liar
    return liar


def resigned(world: Scene, peer: PeerId, message: Message, h: bytes) -> Envelope:
    """A message that `peer` itself signs to the aggregator."""
    return seal(
        message,
        identity=world.consortium.silos[peer],
        receiver=AGGREGATOR,
        sid=world.server.sid,
        h=h,
    )
