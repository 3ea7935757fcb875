"""Fetching: a blob by its hash, in parts, resumed where it was cut (spec 8)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from secagg import errors
from secagg.drivers import progress
from secagg.drivers.progress import Observer
from secagg.messages import Fetch
from secagg.vector import BlobFrame


class NoBlobError(errors.LocalProtocolError):
    """The aggregator does not have the blob, or does not keep it any more."""


class Fetching:
    """One blob on its way in."""

    def __init__(self, digest: bytes, size: int, observer: Observer) -> None:
        """Expect `size` bytes whose SHA-256 is `digest`."""
        self.hash = digest
        self._size = size
        self._data = bytearray()
        self._observer = observer
        self._done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def ask(self, say: Callable[[Fetch], None]) -> None:
        """Ask for what is missing, on a new connection."""
        if self._size == 0:
            self._finish()
        elif not self._done.done():
            say(Fetch(hash=self.hash, offset=len(self._data)))

    def take(self, frame: BlobFrame) -> None:
        """Take a part; one that does not follow is left from an earlier request.

        Raises:
            CodecError: more bytes than the blob has (rule 7.1-1).
        """
        if frame.hash != self.hash or frame.offset != len(self._data):
            return
        if self._done.done():
            return
        errors.require(
            "7.1-1",
            len(self._data) + len(frame.part) <= self._size,
            f"a part beyond the {self._size} bytes of its blob",
            error=errors.CodecError,
        )
        self._data += frame.part
        received = len(self._data)
        self._observer(
            progress.Fetched(
                hash=self.hash, received_bytes=received, total_bytes=self._size
            )
        )
        if received == self._size:
            self._finish()

    def fail(self, error: errors.SecaggError) -> None:
        """Give up."""
        if not self._done.done():
            self._done.set_exception(error)

    async def whole(self) -> bytes:
        """Return the blob.

        Raises:
            RemoteProtocolError: what came has another hash (rule 4.8-2).
        """
        return await self._done

    def _finish(self) -> None:
        if self._done.done():
            return
        blob = bytes(self._data)
        found = hashlib.sha256(blob).digest()
        try:
            errors.require(
                "4.8-2",
                found == self.hash,
                f"the blob's SHA-256 is {found.hex()[:16]}, not {self.hash.hex()[:16]}",
            )
        except errors.RemoteProtocolError as error:
            self._done.set_exception(error)
        else:
            self._done.set_result(blob)
