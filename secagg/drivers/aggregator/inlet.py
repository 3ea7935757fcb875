"""Inlet: how many uploads are read at a time, so that memory does not grow with them.

A hundred hospitals send at once, and for each there may be a chunk half read, one that
waits and one in work. So a connection on which chunks are expected is read while it has
one of a few places; the others' chunks stay in the network. Whoever has a place gives
it to one that waits after each chunk, and a line that stalls loses it. To wait has an
end as well: pings have to be answered. So places are a matter of memory alone, and
nobody can be kept out by others.
"""

from __future__ import annotations

import asyncio
from typing import Final

from secagg.drivers.wire.transport import Transport
from secagg.vector import is_chunk

PLACES: Final = 8
"""Uploads that are read at a time: more than the cores that check what comes."""

STALL_SECONDS: Final = 0.5
"""After so long without a frame a place is free for others."""

WAIT_SECONDS: Final = 5.0
"""Who has waited so long is read without a place: its pings have to be answered."""


class Inlet:
    """The places of one aggregator."""

    def __init__(
        self,
        places: int = PLACES,
        *,
        stall_seconds: float = STALL_SECONDS,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        """Begin with every place free."""
        self.stall_seconds = stall_seconds
        self._wait_seconds = wait_seconds
        self._free = places
        self._waiting: dict[asyncio.Future[None], None] = {}

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for a place."""
        return bool(self._waiting)

    async def enter(self) -> bool:
        """Wait for a place in the order of coming; return whether it was got."""
        if self._free > 0:
            self._free -= 1
            return True
        place = asyncio.get_running_loop().create_future()
        self._waiting[place] = None
        try:
            await asyncio.wait({place}, timeout=self._wait_seconds)
        except asyncio.CancelledError:
            if place.done():
                self.leave()
            raise
        finally:
            self._waiting.pop(place, None)
        return place.done()

    def leave(self) -> None:
        """Give a place to whoever has waited longest."""
        if not self._waiting:
            self._free += 1
            return
        place = next(iter(self._waiting))
        del self._waiting[place]
        place.set_result(None)


class Gated:
    """A transport whose chunks come in through an inlet."""

    def __init__(self, inner: Transport, inlet: Inlet, *, chunk_frame: int) -> None:
        """Read `inner` freely until chunks are expected.

        Args:
            inner: the transport.
            inlet: the places.
            chunk_frame: bytes of the largest frame that has a chunk; until chunks are
                expected the peer may send nothing of that size.
        """
        self._inner = inner
        self._inlet = inlet
        self._chunk_frame = chunk_frame
        self._placed = False
        self._held = False
        self._entering: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def expect_chunks(self) -> None:
        """Read no further before there is a place: an upload is about to begin."""
        self._inner.allow(self._chunk_frame)
        if not self._held and not self._placed:
            self._hold()
            self._entering = asyncio.create_task(self._enter())

    async def send(self, frame: bytes) -> None:
        """Hand over one frame."""
        await self._inner.send(frame)

    async def recv(self) -> bytes:
        """Return the next frame; after a chunk, once there is a place for the next."""
        if self._held and self._entering is None:
            self._leave()
            await self._enter()
        self._watch()
        frame = await self._inner.recv()
        self._unwatch()
        if not is_chunk(frame):
            # Its chunks are all here, or it has something else to say.
            self._leave()
        elif self._inlet.awaited or not self._placed:
            self._hold()
        return frame

    async def close(self, reason: str = "") -> None:
        """End the connection, and leave its place to others."""
        if self._entering is not None:
            self._entering.cancel()
        self._leave()
        await self._inner.close(reason)

    def pause(self) -> None:
        """Read nothing more ahead."""
        self._inner.pause()

    def resume(self) -> None:
        """Read ahead again."""
        self._inner.resume()

    def allow(self, max_frame: int) -> None:
        """Take frames of so many bytes."""
        self._inner.allow(max_frame)

    async def _enter(self) -> None:
        self._placed = await self._inlet.enter()
        self._held, self._entering = False, None
        self._watch()
        self._inner.resume()

    def _hold(self) -> None:
        self._held = True
        self._inner.pause()

    def _leave(self) -> None:
        self._unwatch()
        if self._placed:
            self._placed = False
            self._inlet.leave()

    def _watch(self) -> None:
        """Leave the place if nothing comes in time; what comes is read anyway."""
        self._unwatch()
        if self._placed:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._inlet.stall_seconds, self._leave)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
