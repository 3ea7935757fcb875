"""Surroundings: what a session of the aggregator acts on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from secagg.drivers.aggregator.journal import Journal
from secagg.drivers.clock import Clock
from secagg.drivers.progress import Observer
from secagg.messages import Envelope
from secagg.names import PeerId

Post = Callable[[PeerId, Envelope], None]
"""Queues a message to a member, if it is connected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a session acts on.

    Attributes:
        journal: where events go first.
        post: the network.
        clock: deadlines and durations.
        observer: is told what happens.
        reconnect_seconds: added to the first deadline after a restart.
    """

    journal: Journal
    post: Post
    clock: Clock
    observer: Observer
    reconnect_seconds: float
