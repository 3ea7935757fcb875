"""Guard: what a caller awaits ends when the work behind it ends for good."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from secagg import errors

T = TypeVar("T")


class Guard:
    """Watches one background task for everybody who waits on what it does."""

    def __init__(self) -> None:
        """Begin with nothing to watch."""
        self._running: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def watch(self, running: asyncio.Task[None]) -> None:
        """Watch `running`; its end wakes every waiter."""
        self._running = running
        running.add_done_callback(lambda _: self._changed.set())

    def changed(self) -> None:
        """Wake who waits for a change."""
        self._changed.set()

    async def change(self) -> None:
        """Wait for a change.

        Raises:
            SecaggError: what ended the task.
        """
        self._changed.clear()
        self._raise_if_over()
        await self._changed.wait()
        self._raise_if_over()

    async def until(self, work: Awaitable[T]) -> T:
        """Return what `work` gives, unless the task ends before.

        Raises:
            SecaggError: what ended the task; and what `work` raises.
        """
        waiting = asyncio.ensure_future(work)
        try:
            running = self._raise_if_over()
            await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                self._raise_if_over()
            return await waiting
        finally:
            waiting.cancel()

    async def end(self) -> None:
        """Cancel the task and wait until it is gone."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def _raise_if_over(self) -> asyncio.Task[None]:
        """Return the task while it runs; else raise what ended it."""
        running = self._running
        if running is None or running.cancelled():
            raise errors.LocalProtocolError("this silo was closed")
        if running.done():
            error = running.exception()
            raise error or errors.LocalProtocolError("this silo was closed")
        return running
