"""Keepalive: a line that is silent is noticed and cut, however much waits to be sent.

Any byte that comes is a sign of life, not the answer to a ping alone: on a slow line
that answer lies behind a megabyte of chunks. And a ping never waits for room in the
write buffer, which on a line that swallows everything would be for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection

from secagg import errors
from secagg.drivers.clock import Clock

KEEPALIVE_SECONDS: Final = 15.0
"""How often a ping goes out: proxies and NAT cut a link that is idle for a minute."""

SILENT_PERIODS: Final = 2
"""A line on which nothing came for so many pings is lost."""

LONGEST_SECONDS: Final = 55.0
SHORTEST_SECONDS: Final = 0.1

ROOM: Final = 256 << 10
"""Bytes taken at a time; asyncio reads as many from the socket before it decrypts."""

MOST_ANSWERED: Final = 64 << 10
"""Bytes of answers to pings that may wait behind a full write buffer: 500 of them."""


class Line(Protocol):
    """What is watched."""

    @property
    def heard_at(self) -> float:
        """When the last byte came, by the clock's seconds."""
        ...

    @property
    def reading(self) -> bool:
        """Whether it is read at all now; what comes else stays in the network."""
        ...

    def ping(self) -> None:
        """Send a ping, without waiting for anything."""
        ...

    def drop(self, reason: str) -> None:
        """Drop the line without a word to the other side."""
        ...


def check_keepalive(seconds: float) -> None:
    """Refuse a period that is no keepalive.

    Raises:
        ParameterError: not in 0.1..55 s.
    """
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise errors.ParameterError(
            f"a keepalive of {seconds:g} s is not in {SHORTEST_SECONDS:g} to"
            f" {LONGEST_SECONDS:g}: proxies cut links that are idle for 60 s"
        )


async def keep_alive(line: Line, clock: Clock, seconds: float) -> None:
    """Ping every so many seconds; cut the line once it was silent twice as long.

    Args:
        line: a connection that is open.
        clock: the time.
        seconds: between pings; both ends should have the same.
    """
    patience = SILENT_PERIODS * seconds
    unread_until = clock.seconds()
    while True:
        now = clock.seconds()
        if not line.reading:
            unread_until = now
        silent = now - max(line.heard_at, unread_until)
        if silent >= patience:
            line.drop(f"nothing came for {patience:g} s")
            return
        line.ping()
        await clock.pause(min(seconds, patience - silent))


class Heard(Connection, asyncio.BufferedProtocol):
    """A websocket connection that notes when bytes come and by what it is lost.

    What comes is decrypted into `room`, which all connections of a kind share: they
    look at it at once, one after the other. Otherwise each record of TLS is an object
    of its own, which asyncio joins with the others first.

    Attributes:
        heard_at: when the last byte came, by `now`.
        room: where bytes come in.
        watch: ends with the connection.
    """

    now: Callable[[], float]
    room: memoryview
    note: Callable[[Exception], None]
    heard_at: float
    watch: asyncio.Task[None] | None = None
    _answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the first sign of life."""
        self.heard_at = self.now()
        super().connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        del sizehint
        return self.room

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came."""
        # The library copies it behind what it has, whatever kind of bytes it is.
        self.data_received(cast(bytes, self.room[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Note a sign of life; drop who pings and does not read the answers.

        Each ping is answered at once, whatever waits to be sent: of a peer that never
        reads, they would pile up for as long as it likes.
        """
        self.heard_at = self.now()
        before = self.transport.get_write_buffer_size()
        super().data_received(data)
        added = self.transport.get_write_buffer_size() - before
        self._answered = self._answered + added if self.paused else 0
        if self._answered > MOST_ANSWERED:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note what cut it: a TLS alert, where there was one.

        In TLS 1.3 a client learns of its refusal only after its own handshake is done,
        and websockets would say no more than that the line ended.
        """
        if exc is not None:
            self.note(exc)
        if self.watch is not None:
            self.watch.cancel()
        super().connection_lost(exc)


def client_of(clock: Clock, lost: list[Exception]) -> type[ClientConnection]:
    """Return the kind of connection that a client makes; `lost` is told what cut it."""

    class Client(Heard, ClientConnection):
        now = staticmethod(clock.seconds)
        room = memoryview(bytearray(ROOM))
        note = staticmethod(lost.append)

    return Client


def server_of(
    clock: Clock, secured: Callable[[asyncio.BaseTransport], None]
) -> type[ServerConnection]:
    """Return the kind of connection that a server makes.

    Args:
        clock: the time.
        secured: is told of every connection as soon as it may be read, after TLS.
    """

    class Server(Heard, ServerConnection):
        now = staticmethod(clock.seconds)
        room = memoryview(bytearray(ROOM))
        note = staticmethod(_leave)

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            secured(transport)
            super().connection_made(transport)

    return Server


def _leave(error: Exception) -> None:
    del error
