"""The connections of an aggregator: one per identity, the newest proved one (rule 8-4).

What a peer may send is bounded by what is expected of it: its messages and its vector
in a phase, with room for repeats after a reconnect, and not a byte more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from secagg import codec, errors, packing
from secagg.drivers.clock import Clock
from secagg.drivers.outcome import Traffic
from secagg.drivers.wire.connection import REPLACED, Connection
from secagg.field import MAX_WIDTH
from secagg.messages import HEADERS, DealerList, Envelope
from secagg.names import PeerId
from secagg.vector import envelope_frame

FLUSH_SECONDS: Final = 5.0
"""How long a goodbye may take."""

_BEFORE_CHUNKS: Final = DealerList.__name__
"""What a client answers with its chunks (spec 4.5)."""

_REPEATS: Final = 8
_LOBBY_BYTES: Final = 64 << 10
_FRAME_HEAD: Final = 64

RENEWAL_SECONDS: Final = 600.0
"""How often messages are counted anew within a phase."""


class Connections:
    """Who is connected."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._by_peer: dict[PeerId, Connection] = {}
        self._expect: dict[PeerId, Callable[[], None]] = {}
        self._past: dict[PeerId, Traffic] = {}
        self._encoded_last: tuple[Envelope | None, bytes] = (None, b"")
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """Who is connected, sorted."""
        return tuple(sorted(self._by_peer))

    def get(self, peer: PeerId) -> Connection | None:
        """Return the connection of a peer."""
        return self._by_peer.get(peer)

    def admit(
        self, connection: Connection, expect_chunks: Callable[[], None] = lambda: None
    ) -> None:
        """Take in a connection that was just proved; the older one is closed.

        Args:
            connection: the new one.
            expect_chunks: is called when what is posted lets its upload begin.
        """
        older = self._by_peer.get(connection.peer)
        self._by_peer[connection.peer] = connection
        self._expect[connection.peer] = expect_chunks
        if older is not None:
            task = asyncio.create_task(older.close(REPLACED))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def leave(self, connection: Connection) -> None:
        """Forget a connection that ended, and keep what it carried."""
        peer = connection.peer
        if self._by_peer.get(peer) is connection:
            del self._by_peer[peer], self._expect[peer]
        self._past[peer] = _added(self._past.get(peer, Traffic()), connection)

    def post(self, peer: PeerId, envelope: Envelope) -> None:
        """Queue a message to `peer`; if it is away it will ask when it is back."""
        connection = self._by_peer.get(peer)
        if connection is None:
            return
        if envelope.type == _BEFORE_CHUNKS:
            self._expect[peer]()
        connection.post_frame(self._encoded(envelope))

    def _encoded(self, envelope: Envelope) -> bytes:
        """Return the frame of a message, the same bytes for all whom it goes to.

        A KeyList has an entry for each of n members: in n queues it would be n^2.
        """
        known, frame = self._encoded_last
        if known is not envelope:
            frame = envelope_frame(codec.encode_envelope(envelope))
            self._encoded_last = (envelope, frame)
        return frame

    def traffic(self) -> dict[PeerId, Traffic]:
        """Return the bytes of every peer so far."""
        total = dict(self._past)
        for peer, connection in self._by_peer.items():
            total[peer] = _added(total.get(peer, Traffic()), connection)
        return total

    async def close(self, reason: str) -> None:
        """Send what is queued, then close everything."""
        connections = tuple(self._by_peer.values())
        flushes = [asyncio.create_task(one.flush()) for one in connections]
        if flushes:
            _, late = await asyncio.wait(flushes, timeout=FLUSH_SECONDS)
            for task in late:
                task.cancel()
        closes = [asyncio.create_task(one.close(reason)) for one in connections]
        ends = {*closes, *self._closing}
        if ends:
            _, late = await asyncio.wait(ends, timeout=FLUSH_SECONDS)
            for task in late:
                task.cancel()


class Quotas:
    """The quota of every peer, whichever of its connections it uses."""

    def __init__(self, members: int, clock: Clock) -> None:
        """Begin with nothing sent, in a roster of so many members."""
        self._members = members
        self._clock = clock
        self._by_peer: dict[PeerId, Quota] = {}

    def of(self, peer: PeerId) -> Quota:
        """Return a peer's quota: to connect again does not renew it."""
        if peer not in self._by_peer:
            self._by_peer[peer] = Quota(self._members, self._clock)
        return self._by_peer[peer]


class Quota:
    """What one peer may send until the next phase."""

    def __init__(self, members: int, clock: Clock) -> None:
        """Allow what a client of so many members has to say in a phase.

        A phase may last for days while a round gathers, and a silo says Ready on every
        connection; so its messages are counted anew every `RENEWAL_SECONDS` as well.
        """
        self._clock = clock
        self._messages = _REPEATS * largest_message(members) + _LOBBY_BYTES
        self._message_phase: object = None
        self._chunk_phase: object = None
        self._message_bytes = 0
        self._chunk_bytes = 0

    def message(self, size: int, phase: object) -> None:
        """Count a message.

        Raises:
            RemoteProtocolError: more than this phase needs (rule 7.1-1).
        """
        window = (phase, self._clock.seconds() // RENEWAL_SECONDS)
        if window != self._message_phase:
            self._message_phase, self._message_bytes = window, 0
        self._message_bytes += size
        within = self._message_bytes <= self._messages
        errors.require(
            "7.1-1", within, f"more than {self._messages} bytes of messages in a phase"
        )

    def chunk(self, size: int, phase: object, vector_bytes: int) -> None:
        """Count a chunk of a vector of so many bytes.

        Raises:
            RemoteProtocolError: the vector was sent more than twice (rule 7.1-1).
        """
        if phase != self._chunk_phase:
            self._chunk_phase, self._chunk_bytes = phase, 0
        self._chunk_bytes += size
        within = self._chunk_bytes <= 2 * vector_bytes
        errors.require("7.1-1", within, "the vector was sent more than twice")


def largest_message(members: int) -> int:
    """Return the bytes of the largest envelope that a client may send."""
    bodies = [
        codec.body_limit(kind, members)
        for kind, header in HEADERS.items()
        if not header.from_aggregator
    ]
    return max(bodies) + codec.MAX_ENVELOPE_OVERHEAD


def largest_frame(members: int, chunk_log2: int) -> int:
    """Return the bytes of the largest frame that a client may send.

    Args:
        members: of the roster.
        chunk_log2: of the task; whatever the width will be.
    """
    chunk = packing.packed_size(1 << chunk_log2, MAX_WIDTH)
    return max(largest_message(members), chunk) + _FRAME_HEAD


def _added(traffic: Traffic, connection: Connection) -> Traffic:
    return Traffic(
        up=traffic.up + connection.received_bytes,
        down=traffic.down + connection.sent_bytes,
    )
