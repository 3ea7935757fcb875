"""Clients that remember: what they drew, what they were told, what they asked for."""

from __future__ import annotations

import collections
from typing import Any

from secagg import codec, events, messages
from secagg.client import Client
from secagg.entropy import SeededEntropy
from secagg.messages import Envelope, Message
from secagg.names import PeerId


class RecordedEntropy(SeededEntropy):
    """Seeded draws that are also kept, by label."""

    def __init__(self, seed: bytes) -> None:
        super().__init__(seed)
        self.drawn: dict[str, list[bytes]] = collections.defaultdict(list)

    def draw(self, label: str, size: int) -> bytes:
        self.drawn[label].append(super().draw(label, size))
        return self.drawn[label][-1]


class RecordedClient(Client):
    """A client that keeps what it was told and what it asked for, in order."""

    def __init__(self, *, entropy: RecordedEntropy, **kwargs: Any) -> None:
        super().__init__(entropy=entropy, **kwargs)
        self.id: PeerId = kwargs["identity"].id
        self.drawn = entropy.drawn
        self.log: list[tuple[events.ClientEvent, list[events.ClientEffect]]] = []

    def handle(self, event: events.ClientEvent) -> list[events.ClientEffect]:
        effects = super().handle(event)
        self.log.append((event, list(effects)))
        return effects

    @property
    def effects(self) -> list[events.ClientEffect]:
        return [effect for _, effects in self.log for effect in effects]

    @property
    def sent(self) -> list[Envelope]:
        """Every envelope it sent, in order."""
        return [e.envelope for e in self.effects if isinstance(e, events.Send)]

    @property
    def ready(self) -> messages.Ready:
        """What it last said it is ready for."""
        said = [e.ready for e in self.effects if isinstance(e, events.SayReady)]
        return said[-1]

    @property
    def end(self) -> events.Completed | events.Aborted | None:
        """How its last session ended."""
        ends = [
            effect
            for effect in self.effects
            if isinstance(effect, events.Completed | events.Aborted)
        ]
        return ends[-1] if ends else None

    def refusals(self) -> list[messages.Refusal]:
        """The Refusals it sent."""
        sent = [body_of(envelope) for envelope in self.sent]
        return [body for body in sent if isinstance(body, messages.Refusal)]


def body_of(envelope: Envelope) -> Message:
    """What an envelope's body says."""
    return codec.decode_body(envelope.type, envelope.body, members=1000)
