"""Listening: the aggregator's port, with a keeper at its door.

It stops in time too: a peer that does not read its goodbye holds nobody up.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import weakref
from collections.abc import AsyncIterator, Iterable

from websockets.asyncio.server import ServerConnection, serve

from secagg import errors
from secagg.drivers.clock import Clock, SystemClock
from secagg.drivers.wire import websocket
from secagg.drivers.wire.addresses import is_loopback
from secagg.drivers.wire.doorkeeper import BACKLOG, Address, Doorkeeper, bound
from secagg.drivers.wire.keepalive import (
    KEEPALIVE_SECONDS,
    check_keepalive,
    server_of,
)
from secagg.drivers.wire.transport import Accept
from secagg.drivers.wire.websocket import WebSocketTransport, both_ends
from secagg.vector import MAX_FRAME


@contextlib.asynccontextmanager
async def listen(
    host: str,
    port: int,
    accept: Accept,
    context: ssl.SSLContext | None,
    *,
    max_frame: int = MAX_FRAME,
    keepalive: float = KEEPALIVE_SECONDS,
    clock: Clock | None = None,
    keeper: Doorkeeper | None = None,
) -> AsyncIterator[int]:
    """Serve connections until the block ends.

    Args:
        host: the address to bind.
        port: the port; 0 for any free one.
        accept: serves one connection until it ends.
        context: the TLS context; None only on the loopback.
        max_frame: bytes of the largest frame that may come before `allow` says more.
        keeper: of those that are not proved; by default with its usual places.
        keepalive: seconds between pings; a line that is silent twice as long is lost.
        clock: the time; by default this machine's.

    Yields:
        The port that is bound.

    Raises:
        ConnectionRefused: no TLS on an address that others reach.
        ParameterError: the keepalive is none.
        OSError: the address cannot be bound.
    """
    if context is None and not is_loopback(host):
        raise errors.ConnectionRefused(
            f"serving {host} without TLS would show who talks to whom: give a TLS"
            " context, or bind 127.0.0.1 behind a proxy that has one"
        )

    check_keepalive(keepalive)
    used, guard = clock or SystemClock(), keeper or Doorkeeper()
    served: weakref.WeakSet[ServerConnection] = weakref.WeakSet()

    async def handle(socket: ServerConnection) -> None:
        served.add(socket)
        proved = functools.partial(guard.proved, _address(socket.transport))
        transport = WebSocketTransport(socket, proved)
        transport.watch(used, keepalive)
        await accept(transport)

    async with contextlib.AsyncExitStack() as stack:
        sockets = stack.enter_context(bound(host, port, guard))
        for one in sockets:
            listening = serve(
                handle,
                sock=one,
                ssl=context,
                create_connection=server_of(used, functools.partial(_secured, guard)),
                backlog=BACKLOG,
                **both_ends(max_frame),
            )
            await stack.enter_async_context(listening)
        # Before the server waits for those it has: they may never say anything.
        stack.callback(guard.close)
        try:
            yield sockets[0].getsockname()[1]
        finally:
            await _ended_in_time(stack, served)


def _secured(guard: Doorkeeper, transport: asyncio.BaseTransport) -> None:
    """Tell the doorkeeper whose certificate TLS was shown, if it was shown one."""
    # Empty where a context of the site's own asks for none, or verifies none.
    shown = transport.get_extra_info("peercert")
    if shown:
        guard.showed(_address(transport), shown["issuer"])


def _address(transport: asyncio.BaseTransport) -> Address:
    host, port = (transport.get_extra_info("peername") or ("", 0))[:2]
    return host, port


async def _ended_in_time(
    stack: contextlib.AsyncExitStack, served: Iterable[ServerConnection]
) -> None:
    """Stop to serve; cut who has not taken our goodbye within `CLOSE_SECONDS`.

    The library waits without an end until a peer has read what was sent before it.
    """

    def cut() -> None:
        for socket in [*served]:
            socket.transport.abort()

    timer = asyncio.get_running_loop().call_later(websocket.CLOSE_SECONDS, cut)
    try:
        await stack.aclose()
    finally:
        timer.cancel()
