"""Transport over websockets: one binary message is one frame (spec 7.2).

No compression (masked vectors do not compress, and lengths would leak), a limit on the
size of a message from the first byte, pings so that a silent line is noticed within
twice their period, and writes that wait for the socket. Without TLS only on the
loopback, and only when asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import logging
import ssl
import weakref
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final, cast
from urllib.parse import urlsplit

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import CloseCode

from secagg import errors
from secagg.drivers.clock import Clock, SystemClock
from secagg.drivers.wire.doorkeeper import BACKLOG, Doorkeeper, bound
from secagg.drivers.wire.keepalive import (
    KEEPALIVE_SECONDS,
    Heard,
    check_keepalive,
    client_of,
    keep_alive,
    server_of,
)
from secagg.drivers.wire.tls_remedies import explain_tls_error
from secagg.drivers.wire.transport import Accept, ConnectionLost, printable
from secagg.vector import MAX_FRAME

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

# X509_V_ERR_... of OpenSSL: an issuer that the roster does not have, a false signature.
_FINAL_CODES: Final = frozenset({2, 7, 18, 19, 20, 21})
_CHECK_ADDRESS: Final = (
    "check the address, wss://host:port, and that of the proxy, http://host:port"
)

_FINAL_REASONS: Final = frozenset(
    {"TLSV1_ALERT_UNKNOWN_CA", "TLSV1_ALERT_DECRYPT_ERROR"}
)


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
            return ConnectionLost(error.rcvd.reason)
        return ConnectionLost(self._dropped)


async def dial(
    url: str,
    context: ssl.SSLContext | None,
    *,
    proxy: str | None = None,
    max_frame: int = MAX_FRAME,
    keepalive: float = KEEPALIVE_SECONDS,
    clock: Clock | None = None,
) -> WebSocketTransport:
    """Open a connection to an aggregator.

    Args:
        url: ``wss://host:port``; ``ws://`` for the loopback alone.
        context: the TLS context for ``wss``.
        proxy: ``http://host:port`` of a proxy on the way out, for ``wss`` alone. None
            goes straight there, whatever the environment says.
        max_frame: bytes of the largest frame that may come.
        keepalive: seconds between pings; a line that is silent twice as long is lost.
        clock: the time; by default this machine's.

    Raises:
        ParameterError: the keepalive is none.
        ConnectionLost: nobody answers there; the message says what to look at.
        ConnectionRefused: the URL or the proxy is not one that may be dialled, or TLS
            shows that one side does not know the other's identity.
    """
    check_url(url, context)
    check_keepalive(keepalive)
    clock = clock or SystemClock()
    lost: list[Exception] = []
    try:
        socket = await connect(
            url,
            ssl=context,
            proxy=proxy if context is not None else None,
            create_connection=client_of(clock, lost),
            **_both_ends(max_frame),
        )
    except (websockets.InvalidURI, websockets.InvalidProxy, ImportError) as error:
        raise errors.ConnectionRefused(f"{url}: {error}; {_CHECK_ADDRESS}") from None
    except (OSError, TimeoutError, websockets.WebSocketException) as error:
        cause = lost[0] if lost else error
        remedy = f"{url}: {explain_tls_error(cause)}"
        if is_final(cause):
            raise errors.ConnectionRefused(remedy) from None
        raise ConnectionLost(remedy) from None
    except ValueError as error:
        raise errors.ConnectionRefused(f"{url}: {error}; {_CHECK_ADDRESS}") from None
    transport = WebSocketTransport(socket)
    transport.watch(clock, keepalive)
    return transport


def _both_ends(max_frame: int) -> dict[str, Any]:
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


def is_final(error: BaseException | None) -> bool:
    """Return whether an identity was not accepted: dialling again changes nothing."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_code in _FINAL_CODES
        if isinstance(error, ssl.SSLError) and error.reason in _FINAL_REASONS:
            return True
        error = error.__cause__ or error.__context__
    return False


def check_url(url: str, context: ssl.SSLContext | None) -> None:
    """Refuse a URL that would travel in clear, or that is none.

    Raises:
        ConnectionRefused: the message says what to write instead.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError as error:
        raise _no_address(url, f" ({error})") from None
    if parts.scheme not in {"ws", "wss"} or not host:
        raise _no_address(url)
    if parts.scheme == "wss" and context is None:
        raise errors.ConnectionRefused(f"{url} needs a TLS context")
    if parts.scheme == "ws" and not is_loopback(host):
        raise errors.ConnectionRefused(
            f"{url} would travel in clear: write wss:// instead; ws:// is for a proxy"
            " or a test on this machine"
        )


def _no_address(url: str, why: str = "") -> errors.ConnectionRefused:
    return errors.ConnectionRefused(
        f"{url!r} is no aggregator's address{why}: write wss://host:port, with a port"
        " in 1..65535"
    )


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
        address = (socket.remote_address or ("", 0))[:2]
        proved = functools.partial(guard.proved, address)
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
                create_connection=server_of(used),
                backlog=BACKLOG,
                **_both_ends(max_frame),
            )
            await stack.enter_async_context(listening)
        # Before the server waits for those it has: they may never say anything.
        stack.callback(guard.close)
        try:
            yield sockets[0].getsockname()[1]
        finally:
            await _ended_in_time(stack, served)


async def _ended_in_time(
    stack: contextlib.AsyncExitStack, served: Iterable[ServerConnection]
) -> None:
    """Stop to serve; cut who has not taken our goodbye within `CLOSE_SECONDS`.

    The library waits without an end until a peer has read what was sent before it.
    """

    def cut() -> None:
        for socket in [*served]:
            socket.transport.abort()

    timer = asyncio.get_running_loop().call_later(CLOSE_SECONDS, cut)
    try:
        await stack.aclose()
    finally:
        timer.cancel()


def _require_sound(error: Exception) -> None:
    """Tell a peer that broke the websocket's rules from a line that was cut."""
    sent = error.sent if isinstance(error, websockets.ConnectionClosed) else None
    broken = sent is not None and sent.code in _BREACHES
    detail = "a longer message than is expected now, or no websocket message"
    errors.require("7.1-1", not broken, detail, error=errors.CodecError)
