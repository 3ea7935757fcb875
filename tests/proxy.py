"""A TCP proxy with weather: it delays, drops, repeats, truncates, cuts, goes silent.

It knows bytes and no frames. What it does happens at a byte of one direction, counted
over all connections, so at any place of a frame, a TLS record or a handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field

UP = "up"
DOWN = "down"
PIECE = 1 << 14
"""Bytes that are read at a time."""


class Blow(enum.StrEnum):
    """What happens at a byte; all but a delay end the connection, sooner or later."""

    CUT = "cut"
    TRUNCATED = "truncated"
    HALF_OPEN = "half-open"
    DROPPED = "dropped"
    REPEATED = "repeated"
    DELAYED = "delayed"


_LOST_BYTES = 7
"""So many bytes are missing, or come twice: TLS sees to it that it is noticed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """A blow at a byte of one direction; a delay lasts `seconds`."""

    way: str
    at: int
    blow: Blow
    seconds: float = 0.0


@dataclass(eq=False)
class Link:
    """One connection through the proxy."""

    ends: tuple[asyncio.StreamWriter, ...]
    silent: bool = False

    def abort(self) -> None:
        """Reset both sides."""
        for end in self.ends:
            end.transport.abort()


Wait = Callable[[float], Awaitable[None]]


@dataclass
class Proxy:
    """A proxy in front of one port.

    Attributes:
        target: the port of the loopback that connections are carried to.
        strikes: what happens, by direction in the order of its bytes.
        wait: lets a delay pass.
        struck: what has happened so far.
        told: is told of every strike.
        carried: connections so far.
        passed: bytes that came, by direction.
    """

    target: int
    strikes: Iterable[Strike] = ()
    wait: Wait = asyncio.sleep
    told: Callable[[Strike], None] = lambda strike: None
    struck: list[Strike] = field(default_factory=list)
    carried: int = 0
    passed: dict[str, int] = field(default_factory=lambda: {UP: 0, DOWN: 0})
    links: list[Link] = field(default_factory=list)
    port: int = 0
    _due: dict[str, list[Strike]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for way in (UP, DOWN):
            due = [strike for strike in self.strikes if strike.way == way]
            self._due[way] = sorted(due, key=lambda strike: strike.at)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[int]:
        """Carry connections until the block ends; yield the port."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self.port
        finally:
            server.close()
            while self.links:
                self.cut()
                await asyncio.sleep(0)

    def cut(self) -> None:
        """Reset every connection."""
        for link in self.links:
            link.abort()

    def silence(self) -> None:
        """Forward nothing more on any connection that is open, and close none."""
        for link in self.links:
            link.silent = True

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            far = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        link = Link((writer, far[1]))
        self.links.append(link)
        self.carried += 1
        pumps = [
            asyncio.create_task(self._pump(UP, reader, far[1], link)),
            asyncio.create_task(self._pump(DOWN, far[0], writer, link)),
        ]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            link.abort()
            self.links.remove(link)

    async def _pump(
        self,
        way: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        link: Link,
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(PIECE):
                await self._forward(way, piece, writer, link)
        if not link.silent:
            # The end of one side is told to the other, but not through a dead line.
            link.abort()

    async def _forward(
        self, way: str, piece: bytes, writer: asyncio.StreamWriter, link: Link
    ) -> None:
        """Forward a piece; what strikes within it happens at its byte."""
        began = self.passed[way]
        self.passed[way] += len(piece)
        due = self._due[way]
        while due and due[0].at < began + len(piece):
            strike = due.pop(0)
            inside = max(0, strike.at - began)
            await self._write(piece[:inside], writer, link)
            piece, began = piece[inside:], began + inside
            if not link.silent:
                self.struck.append(strike)
                self.told(strike)
                piece = await self._strike(strike, piece, writer, link)
        await self._write(piece, writer, link)

    async def _strike(
        self, strike: Strike, piece: bytes, writer: asyncio.StreamWriter, link: Link
    ) -> bytes:
        """Do what a strike says, and return what is left to forward."""
        match strike.blow:
            case Blow.CUT:
                link.abort()
            case Blow.TRUNCATED:
                for end in link.ends:
                    end.close()
            case Blow.HALF_OPEN:
                link.silent = True
            case Blow.DROPPED:
                return piece[_LOST_BYTES:]
            case Blow.REPEATED:
                await self._write(piece[:_LOST_BYTES], writer, link)
            case Blow.DELAYED:
                await self.wait(strike.seconds)
        return piece

    async def _write(
        self, piece: bytes, writer: asyncio.StreamWriter, link: Link
    ) -> None:
        if piece and not link.silent and not writer.transport.is_closing():
            writer.write(piece)
            await writer.drain()
