"""Transport in memory: two ends of one process, for tests, simulations and embedding.

It behaves like the sockets do: frames are bounded in flight, a full pipe holds its
sender back, and cutting it loses what was on the way.
"""

from __future__ import annotations

import asyncio
import collections

from secagg.drivers.wire.transport import Accept, ConnectionLost, printable

IN_FLIGHT = 8
"""Frames on the way in one direction before the sender waits."""


class _Pipe:
    """One direction."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._frames: collections.deque[bytes] = collections.deque()
        self._changed = asyncio.Condition()
        self._ended: str | None = None

    async def put(self, frame: bytes) -> None:
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._ended is not None or len(self._frames) < self._limit
            )
            if self._ended is not None:
                raise ConnectionLost(self._ended)
            self._frames.append(frame)
            self._changed.notify_all()

    async def get(self) -> bytes:
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._ended is not None or bool(self._frames)
            )
            if not self._frames:
                raise ConnectionLost(self._ended or "")
            frame = self._frames.popleft()
            self._changed.notify_all()
            return frame

    async def end(self, reason: str, *, lose: bool) -> None:
        async with self._changed:
            if self._ended is None:
                self._ended = reason
            if lose:
                self._frames.clear()
            self._changed.notify_all()


class MemoryTransport:
    """One end of a pair."""

    def __init__(self, inward: _Pipe, outward: _Pipe) -> None:
        """Read from `inward`, write to `outward`; made by `pair`."""
        self._inward = inward
        self._outward = outward

    async def send(self, frame: bytes) -> None:
        """Hand over one frame; wait while `IN_FLIGHT` are on the way."""
        await self._outward.put(bytes(frame))

    async def recv(self) -> bytes:
        """Return the next frame."""
        return await self._inward.get()

    def pause(self) -> None:
        """Do nothing: nothing is ever read ahead."""

    def resume(self) -> None:
        """Do nothing: nothing is ever read ahead."""

    def allow(self, max_frame: int) -> None:
        """Do nothing: a frame of this process is no larger for being sent."""
        del max_frame

    async def close(self, reason: str = "") -> None:
        """End both directions; what was sent may still be read."""
        await self._outward.end(printable(reason), lose=False)
        await self._inward.end("", lose=True)

    async def cut(self) -> None:
        """Lose the connection as a fallen line does: without a word, mid-flight."""
        await self._outward.end("", lose=True)
        await self._inward.end("", lose=True)


def pair(limit: int = IN_FLIGHT) -> tuple[MemoryTransport, MemoryTransport]:
    """Return the two ends of a new connection."""
    up, down = _Pipe(limit), _Pipe(limit)
    return MemoryTransport(down, up), MemoryTransport(up, down)


class MemoryNetwork:
    """Where one aggregator listens and any number of silos dial in."""

    def __init__(self) -> None:
        """Begin with nobody listening."""
        self._accept: Accept | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def dial(self) -> MemoryTransport:
        """Return a new connection to whoever listens.

        Raises:
            ConnectionLost: nobody does.
        """
        if self._accept is None:
            raise ConnectionLost
        near, far = pair()
        task = asyncio.create_task(self._serve(self._accept, far))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        return near

    def listen(self, accept: Accept) -> None:
        """Hand every new connection to `accept`."""
        self._accept = accept

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        self._accept = None
        serving = tuple(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    @staticmethod
    async def _serve(accept: Accept, far: MemoryTransport) -> None:
        try:
            await accept(far)
        finally:
            await far.close()
