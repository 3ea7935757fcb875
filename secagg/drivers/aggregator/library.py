"""Library: lends out blobs, models and released vectors, in parts (spec 8).

One blob at a time per connection, from whatever offset was asked for; the line's pace
holds the sending back. It remembers who has what, so that an aggregator does not leave
before the last silo has its mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from secagg import errors
from secagg.drivers.aggregator.blobs import KEPT, BlobStore
from secagg.drivers.wire.connection import Connection
from secagg.drivers.wire.transport import ConnectionLost
from secagg.messages import Fetch
from secagg.names import PeerId
from secagg.vector import blob_frame

PART_BYTES: Final = 1 << 20
"""Bytes of a blob in one frame: the size at which websockets are fastest."""


class Library:
    """Serves the blobs of one store."""

    def __init__(self, blobs: BlobStore) -> None:
        """Serve what `blobs` holds."""
        self._blobs = blobs
        self._serving: dict[Connection, asyncio.Task[None]] = {}
        self._has: dict[bytes, set[PeerId]] = {}
        self._moved = asyncio.Event()

    def serve(self, connection: Connection, asked: Fetch) -> None:
        """Send a blob; an earlier one on this connection is broken off."""
        earlier = self._serving.get(connection)
        if earlier is not None:
            earlier.cancel()
        self._serving[connection] = asyncio.create_task(self._send(connection, asked))

    async def leave(self, connection: Connection) -> None:
        """Stop what is being sent on a connection that ended."""
        serving = self._serving.pop(connection, None)
        if serving is not None:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
        self._moved.set()

    async def delivered(
        self, digest: bytes, to: Callable[[], Iterable[PeerId]], *, patience: float
    ) -> None:
        """Wait until everybody has the whole blob.

        Args:
            digest: the blob.
            to: says for whom to wait, anew whenever something has changed: who left is
                not waited for.
            patience: seconds in which some part of a blob has to go out.

        Raises:
            TimeoutError: none did.
        """
        while not self._has.get(digest, set()).issuperset(to()):
            self._moved.clear()
            async with asyncio.timeout(patience):
                await self._moved.wait()

    async def finish(self) -> None:
        """Wait for what is being sent now."""
        await asyncio.gather(*self._serving.values(), return_exceptions=True)

    async def _send(self, connection: Connection, asked: Fetch) -> None:
        size = self._blobs.size(asked.hash)
        if size is None:
            await connection.close(f"no blob {asked.hash.hex()[:16]} here")
            return
        try:
            for offset in range(asked.offset, size, PART_BYTES):
                part = await asyncio.to_thread(
                    self._blobs.read, asked.hash, offset, PART_BYTES
                )
                await connection.push(blob_frame(asked.hash, offset, part))
                self._moved.set()
        except (ConnectionLost, errors.StateError):
            await connection.close()
            return
        self._note(connection.peer, asked.hash)

    def _note(self, peer: PeerId, digest: bytes) -> None:
        """Remember who has a blob, for as many blobs as the store keeps."""
        has = self._has.pop(digest, set())
        self._has[digest] = {*has, peer}
        while len(self._has) > KEPT:
            del self._has[next(iter(self._has))]
        self._moved.set()
