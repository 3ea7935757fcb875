"""The besiegers: connections that stall, and hospitals of the roster that flood.

Whoever is cut dials again at once. Says in the end how often each was cut.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final

from peers.descriptors import raise_limit
from secagg import errors, vector
from secagg.codec import encode_envelope
from secagg.drivers.clock import SystemClock
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.wire import dialling, lobby
from secagg.drivers.wire.connection import Connection
from secagg.drivers.wire.door import Door
from secagg.drivers.wire.tls import client_context
from secagg.drivers.wire.transport import ConnectionLost
from secagg.drivers.wire.websocket import WebSocketTransport
from secagg.entropy import SystemEntropy
from secagg.messages import Envelope, Ready
from secagg.names import PeerId, SessionId
from tests.siege.terms import CONSORTIUM, HOST, hostile

GREETING: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01"
"""The begin of a TLS handshake."""

REQUEST: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
AGAIN_SECONDS: Final = 0.1
CUTS: Final = collections.Counter[str]()


def context_of(peer: PeerId) -> ssl.SSLContext:
    """Return the TLS context of a hospital, made once."""
    return client_context(
        CONSORTIUM.silos[peer], CONSORTIUM.roster, CONSORTIUM.aggregator.id
    )


CONTEXTS: Final[dict[PeerId, ssl.SSLContext]] = {}


async def _opened(
    port: int, context: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(HOST, port, ssl=context)


# --- stalling: each takes the port and a context, and returns once it is cut ----------


async def silent(port: int, context: ssl.SSLContext) -> None:
    """Connect, and say nothing."""
    del context
    reader, writer = await _opened(port)
    await reader.read()
    writer.close()


async def half_greeted(port: int, context: ssl.SSLContext) -> None:
    """Send the first bytes of a TLS handshake, and no more."""
    del context
    reader, writer = await _opened(port)
    writer.write(GREETING)
    await reader.read()
    writer.close()


async def greeted(port: int, context: ssl.SSLContext) -> None:
    """Prove an identity to TLS, and say nothing."""
    reader, writer = await _opened(port, context)
    await reader.read()
    writer.close()


async def slow(port: int, context: ssl.SSLContext) -> None:
    """Send the request of a websocket byte by byte, a second each."""
    reader, writer = await _opened(port, context)
    reading = asyncio.create_task(reader.read())
    try:
        for byte in REQUEST * 10:
            writer.write(bytes([byte]))
            done, _ = await asyncio.wait({reading}, timeout=1.0)
            if done:
                break
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        writer.close()


async def challenged(port: int, context: ssl.SSLContext) -> None:
    """Open the websocket, and never answer the Challenge."""
    transport = await dialling.dial(f"wss://{HOST}:{port}", context)
    with contextlib.suppress(ConnectionLost):
        while True:
            await transport.recv()
    await transport.close()


STALLING: Final = (silent, half_greeted, greeted, slow, challenged)

# --- flooding: each sends on a proved connection until it is cut ------------------

Proved = tuple[WebSocketTransport, Connection, Door]


async def _enter(port: int, peer: PeerId) -> Proved:
    transport = await dialling.dial(f"wss://{HOST}:{port}", CONTEXTS[peer])
    door = Door(
        identity=CONSORTIUM.silos[peer],
        book=RosterBook(CONSORTIUM.roster),
        entropy=SystemEntropy(),
        clock=SystemClock(),
    )
    server = CONSORTIUM.aggregator.id
    try:
        entered = await lobby.enter(transport, door, server, lobby.Standing())
        assert entered is not None
        connection, _ = entered
    except BaseException:
        await transport.close()
        raise
    return transport, connection, door


def _ready(connection: Connection, door: Door) -> Envelope:
    ready = Ready(
        task_id="siege", round_no=9, model_hash=bytes(32), ready_nonce=bytes(32)
    )
    return lobby.lobby_seal(ready, door=door, connection=connection)


def readies(connection: Connection, door: Door) -> bytes:
    """A message that is sound, a thousand times."""
    return vector.envelope_frame(encode_envelope(_ready(connection, door)))


def unsigned(connection: Connection, door: Door) -> bytes:
    """A message whose signature is false."""
    sound = _ready(connection, door)
    return vector.envelope_frame(encode_envelope(replace(sound, signature=bytes(64))))


def garbage(connection: Connection, door: Door) -> bytes:
    """Bytes that are no envelope."""
    del connection, door
    return vector.envelope_frame(bytes(30_000))


def chunks(connection: Connection, door: Door) -> bytes:
    """A chunk that nobody asked for."""
    del connection, door
    return vector.chunk_frame(SessionId(bytes(32)), 0, bytes(20_000))


def large(connection: Connection, door: Door) -> bytes:
    """A frame of 4 MiB."""
    del connection, door
    return bytes(4 << 20)


FLOODING: Final = (readies, unsigned, garbage, chunks, large)


async def flood(
    port: int, peer: PeerId, what: Callable[[Connection, Door], bytes]
) -> None:
    """Send the same frame until the line is cut."""
    transport, connection, door = await _enter(port, peer)
    frame = what(connection, door)
    try:
        while True:
            await transport.send(frame)
            await asyncio.sleep(0)
    finally:
        await transport.close()


# --- all of them ---------------------------------------------------------------------


async def again(name: str, attack: Callable[[], Awaitable[None]]) -> None:
    """Attack, and again once it was cut."""
    while True:
        try:
            await attack()
        except (OSError, ConnectionLost, errors.ConnectionRefused) as error:
            refused = "8-7" in str(error)
            CUTS[f"{name}, refused by rule 8-7" if refused else name] += 1
        else:
            CUTS[name] += 1
        await asyncio.sleep(AGAIN_SECONDS)


async def main(port: int, stalls: int) -> None:
    """Besiege until standard input ends; then say how often each kind was cut."""
    raise_limit()
    peers = hostile()
    for peer in peers:
        CONTEXTS[peer] = context_of(peer)
    attacks: list[asyncio.Task[None]] = []
    for number in range(stalls):
        stall, context = STALLING[number % 5], CONTEXTS[peers[number % len(peers)]]
        attacks.append(_begin(stall.__name__, partial(stall, port, context)))
    for number, peer in enumerate(peers):
        what = FLOODING[number % 5]
        name = f"flood of {what.__name__}"
        attacks.append(_begin(name, partial(flood, port, peer, what)))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    for attack in attacks:
        attack.cancel()
    await asyncio.gather(*attacks, return_exceptions=True)
    sys.stdout.write(json.dumps(CUTS) + "\n")
    sys.stdout.flush()


def _begin(name: str, attack: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    return asyncio.create_task(again(name, attack))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
