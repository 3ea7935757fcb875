"""Dialling: a hospital's way to its aggregator, and what to do where there is none.

What a person has to mend is told from what the next dial may find mended.
"""

from __future__ import annotations

import ssl
from typing import Final

import websockets
from websockets.asyncio.client import connect

from secagg import errors
from secagg.drivers.clock import Clock, SystemClock
from secagg.drivers.wire.addresses import check_url
from secagg.drivers.wire.keepalive import (
    KEEPALIVE_SECONDS,
    check_keepalive,
    client_of,
)
from secagg.drivers.wire.tls_remedies import explain_tls_error
from secagg.drivers.wire.transport import ConnectionLost
from secagg.drivers.wire.websocket import WebSocketTransport, both_ends
from secagg.vector import MAX_FRAME

# X509_V_ERR_... of OpenSSL: an issuer that the roster does not have, a false signature.
_FINAL_CODES: Final = frozenset({2, 7, 18, 19, 20, 21})
_FINAL_REASONS: Final = frozenset(
    {"TLSV1_ALERT_UNKNOWN_CA", "TLSV1_ALERT_DECRYPT_ERROR"}
)
_CHECK_ADDRESS: Final = (
    "check the address, wss://host:port, and that of the proxy, http://host:port"
)


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
            **both_ends(max_frame),
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


def is_final(error: BaseException | None) -> bool:
    """Return whether an identity was not accepted: dialling again changes nothing."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_code in _FINAL_CODES
        if isinstance(error, ssl.SSLError) and error.reason in _FINAL_REASONS:
            return True
        error = error.__cause__ or error.__context__
    return False
