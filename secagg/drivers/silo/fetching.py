"""Fetching: a blob by its hash, in parts, resumed where it was cut (spec 8)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Protocol

from secagg import errors
from secagg.drivers import progress
from secagg.drivers.progress import Observer
from secagg.messages import Fetch
from secagg.vector import BlobFrame


class NoBlobError(errors.LocalProtocolError):
    """The aggregator does not have the blob, or does not keep it any more."""


class Sink(Protocol):
    """Where the bytes of a blob go, in order: a file, or memory."""

    def write(self, part: bytes | memoryview, /) -> object:
        """Take the next part."""
        ...


class Fetching:
    """One blob on its way in, hashed as it comes."""

    def __init__(
        self, digest: bytes, size: int, into: Sink, observer: Observer
    ) -> None:
        """Expect `size` bytes whose SHA-256 is `digest`, and write them to `into`."""
        self.hash = digest
        self._size = size
        self._into = into
        self._received = 0
        self._hasher = hashlib.sha256()
        self._observer = observer
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ask(self, say: Callable[[Fetch], None]) -> None:
        """Ask for what is missing, on a new connection."""
        if self._size == 0:
            self._finish()
        elif not self._done.done():
            say(Fetch(hash=self.hash, offset=self._received))

    def take(self, frame: BlobFrame) -> None:
        """Take a part; one that does not follow is left from an earlier request.

        Raises:
            CodecError: more bytes than the blob has (rule 7.1-1).
        """
        if frame.hash != self.hash or frame.offset != self._received:
            return
        if self._done.done():
            return
        received = self._received + len(frame.part)
        errors.require(
            "7.1-1",
            received <= self._size,
            f"a part beyond the {self._size} bytes of its blob",
            error=errors.CodecError,
        )
        if not self._written(frame.part):
            return
        self._received = received
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

    async def whole(self) -> None:
        """Wait until the blob was written; only then are its bytes to be used.

        Raises:
            RemoteProtocolError: what came has another hash (rule 4.8-2).
            StateError: it could not be written.
        """
        await self._done

    def _written(self, part: bytes | memoryview) -> bool:
        self._hasher.update(part)
        try:
            self._into.write(part)
        except OSError as error:
            self.fail(
                errors.StateError(
                    f"a blob of {self._size} bytes cannot be written: {error.strerror};"
                    " see that the disk has room"
                )
            )
            return False
        return True

    def _finish(self) -> None:
        if self._done.done():
            return
        found = self._hasher.digest()
        try:
            errors.require(
                "4.8-2",
                found == self.hash,
                f"the blob's SHA-256 is {found.hex()[:16]}, not {self.hash.hex()[:16]}",
            )
        except errors.RemoteProtocolError as error:
            self._done.set_exception(error)
        else:
            self._done.set_result(None)
