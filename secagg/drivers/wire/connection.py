"""A proved connection: whose it is, one writer, and two lanes to it.

Messages are few and small and are queued without waiting; chunks and parts of blobs are
large and wait their turn behind them. So a machine's effects are carried out at once,
whatever the line does, and a large upload never delays a vote.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import Awaitable, Callable

from secagg import codec
from secagg.drivers.wire.transport import ConnectionLost, Transport
from secagg.messages import Envelope
from secagg.names import PeerId
from secagg.roster import Roster
from secagg.vector import MAX_FRAME, Frame, envelope_frame, parse_frame

MAX_QUEUED = 2 * MAX_FRAME
"""Bytes of messages that may wait for a peer that does not read them."""

REPLACED = "rule 8-4: a newer connection of this identity was proved"
"""Why the older of two connections of one identity is closed."""

Handle = Callable[[Frame], Awaitable[None]]


class Connection:
    """One connection after the handshake.

    Attributes:
        peer: the identity proved at the other end.
        hc: the transcript that lobby messages of this connection are signed under.
        roster: the version under which both ends proved themselves.
        sent_bytes: bytes of frames sent.
        received_bytes: bytes of frames received.
    """

    def __init__(
        self, transport: Transport, *, peer: PeerId, hc: bytes, roster: Roster
    ) -> None:
        """Take over a transport whose two ends have proved themselves."""
        self.peer = peer
        self.hc = hc
        self.roster = roster
        self.sent_bytes = 0
        self.received_bytes = 0
        self._transport = transport
        self._messages: collections.deque[bytes] = collections.deque()
        self._queued_bytes = 0
        self._bulk: bytes | None = None
        self._handed: asyncio.Future[None] | None = None
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._ended: ConnectionLost | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def open(self) -> bool:
        """Whether it has not ended yet."""
        return self._ended is None

    def post(self, envelope: Envelope) -> None:
        """Queue a message; on a connection that has ended it is simply lost (8-5)."""
        self.post_frame(envelope_frame(codec.encode_envelope(envelope)))

    def post_frame(self, frame: bytes) -> None:
        """Queue a message that is encoded already, as `post`."""
        if self._ended is not None:
            return
        self._messages.append(frame)
        self._queued_bytes += len(frame)
        self._idle.clear()
        self._wake.set()
        if self._queued_bytes > MAX_QUEUED and self._closing is None:
            reason = "messages are not being read"
            self._closing = asyncio.create_task(self.close(reason))

    async def push(self, frame: bytes) -> None:
        """Send a large frame behind the messages; return when it was handed over.

        Raises:
            ConnectionLost: the connection has ended.
        """
        async with self._turn:
            if self._ended is not None:
                raise self._ended
            self._handed = asyncio.get_running_loop().create_future()
            self._bulk = frame
            self._wake.set()
            try:
                await self._handed
            finally:
                self._bulk = None

    async def serve(self, handle: Handle, *, max_frame: int = MAX_FRAME) -> None:
        """Write what is queued and hand every frame that comes to `handle`.

        Args:
            handle: takes one frame; while it works nothing more is read.
            max_frame: bytes of the largest frame that may come.

        Raises:
            ConnectionLost: the connection has ended.
            CodecError: a frame that is none (rule 7.1-1); and what `handle` raises.
        """
        writer = asyncio.create_task(self._write())
        try:
            while True:
                data = await self._transport.recv()
                self.received_bytes += len(data)
                await handle(parse_frame(data, max_frame))
        except ConnectionLost as error:
            self._end(error)
            raise
        finally:
            self._end(ConnectionLost())
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def flush(self) -> None:
        """Wait until every queued message was handed over, or the connection ended."""
        await self._idle.wait()

    async def close(self, reason: str = "") -> None:
        """End the connection and tell the other side why."""
        self._end(ConnectionLost(reason))
        await self._transport.close(reason)

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionLost):
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._write_queued()

    async def _write_queued(self) -> None:
        while self._messages or self._bulk is not None:
            if self._messages:
                frame = self._messages.popleft()
                self._queued_bytes -= len(frame)
                await self._send(frame)
            elif self._bulk is not None:
                frame, self._bulk = self._bulk, None
                await self._send(frame)
                if self._handed is not None and not self._handed.done():
                    self._handed.set_result(None)
        self._idle.set()

    async def _send(self, frame: bytes) -> None:
        await self._transport.send(frame)
        self.sent_bytes += len(frame)

    def _end(self, error: ConnectionLost) -> None:
        if self._ended is None:
            self._ended = error
        if self._handed is not None and not self._handed.done():
            self._handed.set_exception(ConnectionLost(self._ended.reason))
        self._messages.clear()
        self._queued_bytes = 0
        self._idle.set()
