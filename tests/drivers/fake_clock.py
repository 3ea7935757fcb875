"""A clock that stands still until the test moves it."""

import asyncio
from collections.abc import Callable


class FakeClock:
    """Time stands still; deadlines pass when the test says so, back-offs at once."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self.time_ms = now_ms
        self.deadlines: list[float] = []
        self._pending: list[asyncio.Event] = []

    def now_ms(self) -> int:
        return self.time_ms

    def seconds(self) -> float:
        return self.time_ms / 1000

    async def deadline(self, seconds: float) -> None:
        self.deadlines.append(seconds)
        passed = asyncio.Event()
        self._pending.append(passed)
        await passed.wait()

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(0)

    def expire(self) -> None:
        """Let every deadline that is set now pass."""
        pending, self._pending = self._pending, []
        for passed in pending:
            passed.set()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go round until the condition holds; no time passes."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)
