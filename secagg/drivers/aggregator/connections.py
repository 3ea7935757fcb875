"""The connections of an aggregator: one an identity, the newest (rule 8-4)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from secagg import codec
from secagg.drivers.outcome import Traffic
from secagg.drivers.wire.connection import REPLACED, Connection
from secagg.messages import DealerList, Envelope
from secagg.names import PeerId
from secagg.roster import Roster
from secagg.vector import envelope_frame

FLUSH_SECONDS: Final = 5.0
"""How long a goodbye may take."""

RENEWED: Final = "the roster has changed: connect again"
"""Why a connection ends that was proved under an older version of the roster."""

RECALLED: Final = "the aggregator's disk failed: connect again"
"""Why a connection ends whose session goes on from the journal."""

ROOM_FOR_MORE: Final = 256
"""Members that a running aggregator's limits leave room for beyond those it has."""

_BEFORE_CHUNKS: Final = DealerList.__name__
"""What a client answers with its chunks (spec 4.5)."""


class Connections:
    """Who is connected.

    Attributes:
        recalls: how often everybody was sent away to come back.
    """

    def __init__(self) -> None:
        """Begin with nobody."""
        self.recalls = 0
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
            self._close(older, REPLACED)

    def renew(self, roster: Roster) -> tuple[PeerId, ...]:
        """Have those come back that proved themselves under another version than this.

        Returns:
            Who they are; what is queued for them is sent first.
        """
        stale = [c for c in self._by_peer.values() if c.roster.hash != roster.hash]
        for connection in stale:
            self._close(connection, RENEWED, flush=True)
        return tuple(connection.peer for connection in stale)

    def recall(self) -> None:
        """Have everybody come back, who is given then what it missed.

        From now on nobody has a connection here, so that what was on its way on the
        old ones is not heard by a session that is taken up anew.
        """
        self.recalls += 1
        for connection in self._by_peer.values():
            self._close(connection, RECALLED)
        self._by_peer.clear()
        self._expect.clear()

    def _close(self, connection: Connection, why: str, *, flush: bool = False) -> None:
        task = asyncio.create_task(_closed(connection, why, flush))
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


async def _closed(connection: Connection, why: str, flush: bool) -> None:
    if flush:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(connection.flush(), FLUSH_SECONDS)
    await connection.close(why)


def _added(traffic: Traffic, connection: Connection) -> Traffic:
    return Traffic(
        up=traffic.up + connection.received_bytes,
        down=traffic.down + connection.sent_bytes,
    )
