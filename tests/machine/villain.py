"""An aggregator with no machine: it keeps all it hears and signs what it likes.

It has the aggregator's key and that of one corrupt member, silo 4. Silos 1 to 3 are
honest and recorded. For each of them it can say what an honest aggregator would say
next, as far as it knows the parts, or something else.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from secagg import codec, events
from secagg import messages as msg
from secagg.crypto import transcript
from secagg.entropy import SeededEntropy
from secagg.messages import HEADERS, Envelope, Message
from secagg.names import PeerId, SessionId
from secagg.rounds.advertise_keys import client_advertise
from secagg.signing import seal
from secagg.transitions import ClientPhase
from tests.helpers import AGGREGATOR, Scene, scene, silo, silos
from tests.recording import RecordedClient, body_of
from tests.samples import blob

HONEST = silos(1, 2, 3)
CORRUPT = silo(4)
C = ClientPhase


@dataclass(frozen=True)
class Heard:
    """One message of a member, with the transcript that it is signed under."""

    message: Message
    signature: bytes
    h: bytes


class Villain:
    """A malicious aggregator of four, one of whom is its own."""

    def __init__(self) -> None:
        self.world: Scene = scene()
        self.offers: list[Envelope] = []
        self.spoken: list[tuple[PeerId, Envelope]] = []
        self._heard: dict[tuple[SessionId, str], dict[PeerId, list[Heard]]]
        self._heard = collections.defaultdict(lambda: collections.defaultdict(list))
        self._told: dict[tuple[SessionId, PeerId], dict[str, bytes]] = {}
        self._u1: dict[tuple[SessionId, PeerId], tuple[PeerId, ...]] = {}

    @property
    def clients(self) -> Mapping[PeerId, RecordedClient]:
        """The honest ones."""
        return {u: self.world.clients[u] for u in HONEST}

    # --- speaking

    def tell(self, u: PeerId, envelope: Envelope) -> None:
        """Deliver an envelope to an honest client; keep what it says to that."""
        self.spoken.append((u, envelope))
        if self.clients[u].sid == envelope.sid:
            self._note(u, envelope)
        event = events.Received(peer=AGGREGATOR, envelope=envelope)
        self.take(self.clients[u].handle(event))

    def _note(self, u: PeerId, envelope: Envelope) -> None:
        """Keep the transcripts that u holds in its session, the first of each."""
        sid, body = envelope.sid, envelope.body
        held = self._told.setdefault((sid, u), {"sid": bytes(sid)})
        if envelope.type == "KeyList" and "h1" not in held:
            held["h1"] = transcript.h1(sid, body)
            listed = body_of(envelope)
            assert isinstance(listed, msg.KeyList)
            self._u1[sid, u] = tuple(entry.peer for entry in listed.entries)
        if envelope.type == "DealerList" and "h1" in held:
            held.setdefault("h2", transcript.h2(held["h1"], body))
        if envelope.type == "InputList" and "h2" in held:
            held.setdefault("h3", transcript.h3(held["h2"], body))

    def take(self, effects: Collection[events.ClientEffect]) -> None:
        """Keep what a client sends."""
        for effect in effects:
            if isinstance(effect, events.Send):
                self._hear(effect.envelope)

    def _hear(self, envelope: Envelope) -> None:
        u, sid = envelope.sender, envelope.sid
        held = self._told.get((sid, u), {"sid": bytes(sid)})
        message = body_of(envelope)
        h = held.get(HEADERS[type(message)].transcript.value, bytes(sid))
        heard = Heard(message, envelope.signature, h)
        self._heard[sid, envelope.type][u].append(heard)

    def say(self, u: PeerId, sid: SessionId, message: Message) -> None:
        """Sign a message for u in a session, under what u was told there."""
        held = self._told.get((sid, u), {"sid": bytes(sid)})
        name = HEADERS[type(message)].transcript.value
        h = held.get(name, list(held.values())[-1])
        self.tell(u, self._sealed(message, u, sid, h))

    def _sealed(
        self, message: Message, u: PeerId, sid: SessionId, h: bytes
    ) -> Envelope:
        identity = self.world.consortium.aggregator
        return seal(message, identity=identity, receiver=u, sid=sid, h=h)

    def offer(self, **other: object) -> Envelope:
        """A Manifest over all four as they are ready now."""
        body = self.world.manifest(**other)  # type: ignore[arg-type]
        sid = transcript.session_id(codec.encode_body(body))
        envelope = self._sealed(body, CORRUPT, sid, sid)
        self.offers.append(envelope)
        return envelope

    # --- knowing

    def sids(self) -> list[SessionId]:
        """Every session that was offered."""
        return [envelope.sid for envelope in self.offers]

    def quoted(self, sid: SessionId, type_: str, h: bytes) -> dict[PeerId, Heard]:
        """What is known of this type under a transcript; silo 4 says what is wanted."""
        known = {
            u: next((one for one in said if one.h == h), said[-1])
            for u, said in self._heard[sid, type_].items()
        }
        known[CORRUPT] = self._corrupt(sid, type_, h)
        return dict(sorted(known.items()))

    def _corrupt(self, sid: SessionId, type_: str, h: bytes) -> Heard:
        entropy = SeededEntropy(b"corrupt" + sid)
        said: dict[str, Message] = {
            "AdvertiseKeys": client_advertise(
                entropy, sid=sid, me=CORRUPT, tossed=False
            )[1],
            "MaskedInput": msg.MaskedInput(root=blob(4)),
            "Consistency": msg.Consistency(h3=h),
        }
        envelope = seal(
            said[type_],
            identity=self.world.consortium.silos[CORRUPT],
            receiver=AGGREGATOR,
            sid=sid,
            h=h,
        )
        return Heard(said[type_], envelope.signature, h)

    # --- what an honest aggregator would say next

    def due(self, u: PeerId) -> Message | None:
        """The message that u waits for, of the parts that are known."""
        client = self.clients[u]
        sid = client.sid
        if sid is None:
            return None
        held = self._told.get((sid, u), {})
        sayings: dict[ClientPhase, Callable[[], Message]] = {
            C.ADVERTISED: lambda: self.key_list(sid),
            C.SHARED: lambda: self._dealt_shares(u, sid),
            C.ACKED: lambda: msg.DealerList(dealers=self._u1[sid, u]),
            C.MASKING: lambda: self.input_list(sid, held["h2"]),
            C.MASKED: lambda: self.input_list(sid, held["h2"]),
            C.WATCHING: lambda: self.input_list(sid, held["h2"]),
            C.VOTED: lambda: self.certificate(sid, held["h3"]),
            C.RELEASED: lambda: msg.Abort(rule="4.7-3", detail="", missing=()),
        }
        return sayings[client.phase]()

    def key_list(self, sid: SessionId) -> msg.KeyList:
        rows = [
            msg.SignedKeys(peer=u, keys=one.message, signature=one.signature)
            for u, one in self.quoted(sid, "AdvertiseKeys", bytes(sid)).items()
            if isinstance(one.message, msg.AdvertiseKeys)
        ]
        return msg.KeyList(entries=tuple(rows))

    def _dealt_shares(self, u: PeerId, sid: SessionId) -> msg.DealtShares:
        u1 = self._u1[sid, u]
        rows = []
        for v, said in sorted(self._heard[sid, "ShareKeys"].items()):
            message = said[-1].message
            if v == u or not isinstance(message, msg.ShareKeys) or u not in u1:
                continue
            place = u1.index(u)
            if v in u1 and place < len(message.entries):
                entry = message.entries[place]
                rows.append(
                    msg.DealtShare(
                        dealer=v,
                        sealed=entry.sealed or b"",
                        com_b=entry.com_b,
                        com_s=entry.com_s,
                    )
                )
        return msg.DealtShares(entries=tuple(rows))

    def input_list(self, sid: SessionId, h2: bytes) -> msg.InputList:
        rows = [
            msg.SignedRoot(peer=u, root=one.message.root, signature=one.signature)
            for u, one in self.quoted(sid, "MaskedInput", h2).items()
            if isinstance(one.message, msg.MaskedInput)
        ]
        return msg.InputList(entries=tuple(rows))

    def certificate(self, sid: SessionId, h3: bytes) -> msg.Certificate:
        rows = [
            msg.SignedVote(peer=u, signature=one.signature)
            for u, one in self.quoted(sid, "Consistency", h3).items()
        ]
        return msg.Certificate(votes=tuple(rows))


def rows_of(message: Message) -> tuple[str, tuple[object, ...]] | None:
    """The list that a message is made of; None for other messages."""
    lists = (
        msg.KeyList,
        msg.DealtShares,
        msg.DealerList,
        msg.InputList,
        msg.Certificate,
    )
    if not isinstance(message, lists):
        return None
    [name] = message.__dataclass_fields__
    return name, getattr(message, name)


def with_rows(message: Message, rows: Collection[object]) -> Message:
    """The same message with another list."""
    found = rows_of(message)
    assert found is not None
    return replace(message, **{found[0]: tuple(rows)})  # type: ignore[arg-type]
