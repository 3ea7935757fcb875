"""A spool that lasts as long as the process, for tests that need no files."""

from __future__ import annotations

from secagg.drivers.aggregator.spool import Spool
from secagg.names import PeerId, SessionId
from secagg.vector import Chunks, RootBuilder


class MemorySpool(Spool):
    """Uploads in lists."""

    def __init__(self, sid: SessionId, chunks: Chunks) -> None:
        """Begin with nothing."""
        super().__init__(sid, chunks)
        self._stored: dict[PeerId, list[bytes]] = {}

    def remove(self) -> None:
        """Drop all uploads: the session is over."""
        self._stored.clear()
        self._uploads.clear()

    def _resume(self, peer: PeerId) -> RootBuilder:
        self._stored[peer] = []
        return RootBuilder(self.sid)

    def _store(
        self, peer: PeerId, index: int, leaf: bytes, chunk: bytes | memoryview
    ) -> None:
        del index, leaf
        self._stored[peer].append(bytes(chunk))

    def _load(self, peer: PeerId, index: int) -> bytes:
        return self._stored[peer][index]
