"""The clock, as an argument: deadlines and back-offs are tested without waiting."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Time as the drivers need it."""

    def now_ms(self) -> int:
        """Return the wall clock, in ms since 1970; both sides compare it (rule 8-3)."""
        ...

    def seconds(self) -> float:
        """Return a clock that only moves forward, for durations."""
        ...

    async def deadline(self, seconds: float) -> None:
        """Return once a phase or a wait of so many seconds is over."""
        ...

    async def pause(self, seconds: float) -> None:
        """Return after a back-off of so many seconds."""
        ...


class SystemClock:
    """This machine's clock."""

    def now_ms(self) -> int:
        """Return the wall clock in ms."""
        return time.time_ns() // 1_000_000

    def seconds(self) -> float:
        """Return the monotonic clock."""
        return time.monotonic()

    async def deadline(self, seconds: float) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)

    async def pause(self, seconds: float) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)
