"""Storing: the chunks of a session as they come in, and what is told of them (spec 7).

One chunk of a peer at a time, whichever of its connections brought it; the last one of
a vector becomes an event of the machine, with the root over all of them.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable

from secagg import errors, events
from secagg.drivers import progress
from secagg.drivers.aggregator.spool import Spool
from secagg.drivers.progress import Observer
from secagg.names import PeerId
from secagg.server import Server
from secagg.transitions import ServerPhase
from secagg.vector import ChunkFrame


class Storing:
    """The vector plane of one session, on the aggregator's side."""

    def __init__(
        self,
        server: Server,
        spool: Spool,
        *,
        sink: Callable[[events.ServerEvent], None],
        fail: Callable[[errors.SecaggError], None],
        observer: Observer,
    ) -> None:
        """Store for the session of `server`.

        Args:
            server: says which phase it is, and who is in U2.
            spool: where the chunks go.
            sink: takes VectorStored.
            fail: is told when the disk fails.
            observer: is told of every chunk.
        """
        self._server = server
        self._spool = spool
        self._sink = sink
        self._fail = fail
        self._observer = observer
        self._turns: collections.defaultdict[PeerId, asyncio.Lock]
        self._turns = collections.defaultdict(asyncio.Lock)
        self._closed = False

    @property
    def vector_bytes(self) -> int:
        """The size of all chunks of one vector."""
        return self._spool.chunks.total_bytes

    @property
    def chunk_bytes(self) -> int:
        """The size of its first chunk, which none exceeds."""
        return self._spool.chunks.size_bytes(0)

    @property
    def _wanted(self) -> bool:
        return self._server.phase is ServerPhase.MASKED_INPUT and not self._closed

    def next_chunk(self, peer: PeerId) -> int | None:
        """Return the first chunk that is lacking of `peer`; None if none is wanted."""
        if not self._wanted or peer not in self._server.sets["u2"]:
            return None
        return self._spool.next_index(peer)

    async def store(self, peer: PeerId, frame: ChunkFrame) -> None:
        """Store a chunk; one that comes after its phase is of no use any more.

        Raises:
            RemoteProtocolError: rules 7.1-2 to 7.1-5.
        """
        if not self._wanted:
            return
        member = peer in self._server.sets["u2"]
        errors.require("7.1-2", member, f"a chunk of {peer}, not in U2", [peer])
        async with self._turns[peer]:
            new = not self._closed and await self._append(peer, frame)
        if new and self._wanted:
            self._stored(peer)

    async def take_up(self) -> None:
        """After a restart, read what is stored; note what is complete already."""
        for peer in self._server.sets["u2"]:
            await asyncio.to_thread(self._spool.next_index, peer)
            if self._spool.complete(peer):
                root = self._spool.root(peer)
                self._sink(events.VectorStored(peer=peer, root=root))

    async def close(self) -> None:
        """Take no more, and wait for the chunks at work: the files may be another's."""
        self._closed = True
        for turn in [*self._turns.values()]:
            async with turn:
                pass

    def forget(self) -> None:
        """Drop the chunks: the session is over."""
        self._spool.remove()

    async def _append(self, peer: PeerId, frame: ChunkFrame) -> bool:
        try:
            return await asyncio.to_thread(
                self._spool.append, peer, frame.index, frame.chunk
            )
        except errors.StateError as error:
            # Once the phase is over the spool may be gone, and rightly so.
            if self._wanted:
                self._fail(error)
            return False

    def _stored(self, peer: PeerId) -> None:
        count, total = self._spool.next_index(peer), self._spool.chunks.count
        self._observer(
            progress.ChunkStored(
                sid=self._server.sid, peer=peer, chunks=count, total=total
            )
        )
        if count == total:
            root = self._spool.root(peer)
            self._sink(events.VectorStored(peer=peer, root=root))
