"""Health: two questions over plain HTTP, for whoever watches a service.

On a port of its own, so that it asks for no certificate and the port of the hospitals
answers nobody without one. What is said is counts and yes or no, never a name. The HTTP
is that of websockets, which answers a request before any upgrade.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from secagg import errors
from secagg.drivers.wire.websocket import QUIET

HEALTHZ: Final = "/healthz"
"""Whether the process works at all: if not, restart it."""

READYZ: Final = "/readyz"
"""Whether it can do its work now: if not, look at what it says."""

CHECK_SECONDS: Final = 5.0
"""How long a check may take before it counts as failed."""

OPEN_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a question.

    Attributes:
        good: whether all is well.
        facts: what was looked at: counts, and words that name nobody.
    """

    good: bool
    facts: Mapping[str, bool | int | str] = field(default_factory=dict)


Check: TypeAlias = Callable[[], Awaitable[Verdict]]


@contextlib.asynccontextmanager
async def answering(address: str, checks: Mapping[str, Check]) -> AsyncIterator[int]:
    """Answer each path of `checks` until the block ends: 200 if good, else 503.

    Args:
        address: ``host:port``, such as ``127.0.0.1:9090``; port 0 takes any free one.
        checks: by path.

    Yields:
        The port that is bound.

    Raises:
        ParameterError: no such address, or it cannot be bound.
    """
    host, port = _parsed(address)

    async def answer(connection: ServerConnection, request: Request) -> Response:
        check = checks.get(request.path.partition("?")[0])
        if check is None:
            paths = ", ".join(checks)
            return connection.respond(http.HTTPStatus.NOT_FOUND, f"ask {paths}\n")
        return _response(connection, await _verdict(check))

    async def refuse(connection: ServerConnection) -> None:
        await connection.close()

    try:
        server = await serve(
            refuse,
            host,
            port,
            process_request=answer,
            logger=QUIET,
            open_timeout=OPEN_SECONDS,
            compression=None,
        )
    except OSError as error:
        raise errors.ParameterError(
            f"health: cannot listen on {address}: {error.strerror}; choose another port"
        ) from None
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _verdict(check: Check) -> Verdict:
    """Return what a check finds; one that fails or takes too long is not good."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return Verdict(False, {"check": "timed out"})
    except Exception:  # noqa: BLE001 whatever it is, the process is not well
        return Verdict(False, {"check": "failed"})


def _response(connection: ServerConnection, verdict: Verdict) -> Response:
    good, unwell = http.HTTPStatus.OK, http.HTTPStatus.SERVICE_UNAVAILABLE
    body = {"status": "ok" if verdict.good else "failed", **verdict.facts}
    text = json.dumps(body, sort_keys=True) + "\n"
    response = connection.respond(good if verdict.good else unwell, text)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    response.headers["Cache-Control"] = "no-store"
    return response


def _parsed(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None:
        raise errors.ParameterError(
            f"health: {address!r} is no address: write host:port, such as"
            " 127.0.0.1:9090"
        )
    return host, port
