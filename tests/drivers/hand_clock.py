"""A clock that the test moves, with everything that waits on it."""

import asyncio


class HandClock:
    """Pauses and deadlines end when `advance` has moved the time so far."""

    def __init__(self) -> None:
        self.time = 0.0
        self._waiting: list[tuple[float, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        return int(self.time * 1000)

    def seconds(self) -> float:
        return self.time

    @property
    def waited_on(self) -> bool:
        """Whether anything waits for time to pass."""
        return any(not passed.done() for _, passed in self._waiting)

    async def deadline(self, seconds: float) -> None:
        await self.pause(seconds)

    async def pause(self, seconds: float) -> None:
        passed = asyncio.get_running_loop().create_future()
        self._waiting.append((self.time + seconds, passed))
        await passed

    async def advance(self, seconds: float) -> None:
        """Move the time, from one end of a pause to the next, and let each work."""
        until = self.time + seconds
        while due := [item for item in self._waiting if item[0] <= until]:
            at, passed = min(due, key=lambda item: item[0])
            self._waiting.remove((at, passed))
            self.time = at
            if not passed.done():
                passed.set_result(None)
            await settled()
        self.time = until
        await settled()


async def settled() -> None:
    """What can be done without time is done."""
    for _ in range(10):
        await asyncio.sleep(0)
