"""Transport over websockets: one binary message is one frame (spec 7.2).

No compression (masked vectors do not compress, and lengths would leak), a limit on the
size of a message from the first byte, pings so that a silent line is noticed within
twice their period, and writes that wait for the socket. The two sides are opened by
`dialling.dial` and `listening.listen`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final, cast

import websockets
from websockets.asyncio.connection import Connection
from websockets.frames import CloseCode

from secagg import errors
from secagg.drivers.clock import Clock
from secagg.drivers.wire.keepalive import Heard, keep_alive
from secagg.drivers.wire.transport import ConnectionLost, printable

OPEN_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0
WRITE_BUFFER: Final = 1 << 20
"""Bytes in the write buffer above which a sender waits: about one chunk."""

_BREACHES: Final = frozenset({CloseCode.PROTOCOL_ERROR, CloseCode.MESSAGE_TOO_BIG})

QUEUED_FRAMES: Final = 1
"""Frames read ahead of `recv`; then the socket is left, which holds the peer back. One
is read while the one before is looked at; what more would lie here, chunks of a hundred
uploads at a time, stays with the peers."""


# What went wrong is raised or reported here; websockets would print a traceback for
# every port scan, and the library writes no log.
QUIET: Final = logging.getLogger("secagg.websockets")
"""The logger that websockets is given: it says nothing."""

QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


class WebSocketTransport:
    """One websocket connection."""

    def __init__(
        self, socket: Connection, proved: Callable[[], None] | None = None
    ) -> None:
        """Wrap an open connection.

        Args:
            socket: the connection.
            proved: of an aggregator: is called once its peer has proved an identity.
        """
        self._socket = socket
        self._dropped = ""
        self._pinging: asyncio.Task[None] | None = None
        self._proved = proved

    async def send(self, frame: bytes) -> None:
        """Hand over one frame; wait for room in the write buffer."""
        try:
            await self._socket.send(frame)
        except (websockets.ConnectionClosed, OSError) as error:
            raise self._lost(error) from None

    async def recv(self) -> bytes:
        """Return the next frame.

        Raises:
            ConnectionLost: it ended, or the peer sent text, which is no frame.
            CodecError: at an aggregator: the peer sent a longer message than it may, or
                what is no websocket message (rule 7.1-1).
        """
        try:
            frame = await self._socket.recv()
        except (websockets.ConnectionClosed, OSError) as error:
            if self._proved is not None:
                _require_sound(error)
            raise self._lost(error) from None
        if isinstance(frame, str):
            await self.close("rule 7.1-1: a frame is binary")
            raise ConnectionLost
        return frame

    def pause(self) -> None:
        """Leave the socket alone until `resume`; what was read ahead stays."""
        self._socket.transport.pause_reading()

    def resume(self) -> None:
        """Read the socket again."""
        self._socket.transport.resume_reading()

    def allow(self, max_frame: int) -> None:
        """Take messages of so many bytes from now on."""
        self._socket.protocol.max_message_size = max_frame
        if self._proved is not None:
            self._proved()

    async def close(self, reason: str = "") -> None:
        """Close with `reason`; a peer that does not answer is given two seconds.

        Nor one that does not read, for which the library would wait without an end.
        """
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(reason=printable(reason))
        except TimeoutError:
            await self.cut()

    async def cut(self) -> None:
        """Drop the TCP connection without a word."""
        self._socket.transport.abort()
        await self._socket.wait_closed()

    def watch(self, clock: Clock, seconds: float) -> None:
        """Ping every so many seconds, and drop the line once it was silent too long."""
        watching = keep_alive(self, clock, seconds)
        self._heard.watch = asyncio.create_task(watching)

    @property
    def heard_at(self) -> float:
        """When the last byte came."""
        return self._heard.heard_at

    @property
    def reading(self) -> bool:
        """Whether the socket is read now."""
        return self._socket.transport.is_reading()

    def ping(self) -> None:
        """Send a ping beside whatever waits for room; not a second one behind it."""
        if self._pinging is None or self._pinging.done():
            self._pinging = asyncio.create_task(self._ping())

    def drop(self, reason: str) -> None:
        """Drop the TCP connection; on this side `reason` is why."""
        self._dropped = reason
        self._socket.transport.abort()

    @property
    def _heard(self) -> Heard:
        # dial and listen make no others.
        return cast(Heard, self._socket)

    async def _ping(self) -> None:
        with contextlib.suppress(websockets.ConnectionClosed, OSError):
            await self._socket.ping()

    def _lost(self, error: Exception) -> ConnectionLost:
        """Return why it ended, as we or the other side said, if anybody did."""
        if isinstance(error, websockets.ConnectionClosed) and error.rcvd is not None:
            # It ends in logs and on terminals, whoever wrote it.
            return ConnectionLost(printable(error.rcvd.reason))
        return ConnectionLost(self._dropped)


def both_ends(max_frame: int) -> dict[str, Any]:
    """Return the settings that a connection has at either end."""
    return {
        "logger": QUIET,
        "compression": None,
        "max_size": max_frame,
        "max_queue": QUEUED_FRAMES,
        "write_limit": WRITE_BUFFER,
        "open_timeout": OPEN_SECONDS,
        # Ours sees every sign of life, and is not stuck behind a full buffer.
        "ping_interval": None,
        "close_timeout": CLOSE_SECONDS,
    }


def _require_sound(error: Exception) -> None:
    """Tell a peer that broke the websocket's rules from a line that was cut."""
    sent = error.sent if isinstance(error, websockets.ConnectionClosed) else None
    broken = sent is not None and sent.code in _BREACHES
    detail = "a longer message than is expected now, or no websocket message"
    errors.require("7.1-1", not broken, detail, error=errors.CodecError)
