"""Weather on one silo's line, frame by frame: cuts, repeats and swaps at one place.

A place is a direction and how many frames went that way before, over all connections
of the line. Beneath TLS no frame comes twice or out of order within a connection; over
one that is cut and made again it does, and over another transport it may.
"""

import asyncio
import enum
from dataclasses import dataclass, field

from secagg import codec
from secagg.drivers.wire.memory import MemoryTransport
from secagg.vector import EnvelopeFrame, parse_frame
from tests.drivers.fake_clock import until
from tests.drivers.world import Tapped

UP = "up"
DOWN = "down"


class Act(enum.Enum):
    """What happens to the frame at the place."""

    LOST = "the line is cut, and the frame lost with it"
    LAST = "the line is cut once the other side has handled it"
    TWICE = "it comes twice"
    LATE = "it comes after the one behind it, if one is"


@dataclass
class Weather:
    """What one line goes through.

    Attributes:
        direction: of the frame that is hit, as the silo sees it.
        place: how many frames go that way before it.
        act: what happens to it; None: nothing.
        seen: the types of the frames so far, by direction.
        struck: whether it has happened.
    """

    direction: str = UP
    place: int = 0
    act: Act | None = None
    seen: dict[str, list[str]] = field(default_factory=lambda: {UP: [], DOWN: []})
    struck: bool = False

    def strikes(self, direction: str, frame: bytes) -> Act | None:
        """Count a frame; return what happens to it."""
        self.seen[direction].append(kind_of(frame))
        place = len(self.seen[direction]) - 1
        if self.act is None or (direction, place) != (self.direction, self.place):
            return None
        self.struck = True
        return self.act


def kind_of(frame: bytes) -> str:
    """The type of a frame's message, or of the frame."""
    parsed = parse_frame(frame)
    if isinstance(parsed, EnvelopeFrame):
        return codec.decode_envelope(parsed.envelope, members=100).type
    return type(parsed).__name__


@dataclass
class Weathered:
    """A silo's end of a connection in memory, in a weather."""

    tapped: Tapped
    weather: Weather
    _late: list[bytes] = field(default_factory=list)
    _due: list[bytes] = field(default_factory=list)
    _over: bool = False

    @property
    def inner(self) -> MemoryTransport:
        assert isinstance(self.tapped.inner, MemoryTransport)
        return self.tapped.inner

    async def send(self, frame: bytes) -> None:
        act = self.weather.strikes(UP, frame)
        if act is Act.LOST:
            await self.inner.cut()
        if act is Act.LATE:
            self._late.append(frame)
            asyncio.get_running_loop().create_task(self._deliver())
            return
        await self.inner.send(frame)
        await self._deliver_now()
        if act is Act.TWICE:
            await self.inner.send(frame)
        if act is Act.LAST:
            await until(lambda: not self.inner._outward._frames)
            await settled()
            await self.inner.cut()

    async def recv(self) -> bytes:
        if self._over:
            await self.inner.cut()
        if self._due:
            return self._due.pop()
        frame = await self.inner.recv()
        act = self.weather.strikes(DOWN, frame)
        if act is Act.LOST:
            await self.inner.cut()
            return await self.inner.recv()
        self._over = act is Act.LAST
        if act is Act.TWICE:
            self._due.append(frame)
        if act is Act.LATE:
            await settled()
        if act is Act.LATE and self.inner._inward._frames:
            self._due.append(frame)
            return await self.recv_behind()
        return frame

    async def recv_behind(self) -> bytes:
        frame = await self.inner.recv()
        self.weather.strikes(DOWN, frame)
        return frame

    async def _deliver(self) -> None:
        """Let a late frame go if none came behind it."""
        await settled()
        await self._deliver_now()

    async def _deliver_now(self) -> None:
        while self._late:
            await self.inner.send(self._late.pop())

    def pause(self) -> None:
        self.inner.pause()

    def resume(self) -> None:
        self.inner.resume()

    def allow(self, max_frame: int) -> None:
        self.inner.allow(max_frame)

    async def close(self, reason: str = "") -> None:
        await self.inner.close(reason)


async def settled() -> None:
    """What has come is dealt with."""
    for _ in range(20):
        await asyncio.sleep(0)
