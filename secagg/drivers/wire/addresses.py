"""Addresses: where an aggregator may be, and what may be said there without TLS.

Without TLS only on the loopback, and only when asked.
"""

from __future__ import annotations

import ipaddress
import ssl
from urllib.parse import urlsplit

from secagg import errors


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
