"""Hostile load over real sockets, small: a round beside it ends as if it were alone.

`make siege` is the same with 1,000 connections that stall and 100 hospitals that flood.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import connect

from secagg import vector
from secagg.drivers import progress
from secagg.drivers.aggregator import quotas
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.wire import websocket
from secagg.drivers.wire.door import Door
from secagg.drivers.wire.doorkeeper import Doorkeeper
from secagg.drivers.wire.handshake import MAX_HANDSHAKE_FRAME
from secagg.drivers.wire.lobby import Standing as Here
from secagg.drivers.wire.lobby import enter
from secagg.drivers.wire.tls import client_context
from secagg.drivers.wire.transport import ConnectionLost
from secagg.entropy import SeededEntropy
from secagg.names import SessionId
from tests.drivers.world import World, is_mean_of

PLACES = 8


def world_of(count: int) -> World:
    world = World(count, "websocket")
    world.keeper = Doorkeeper(PLACES)
    return world


def context_of(world: World, peer):
    return client_context(
        world.consortium.silos[peer],
        world.consortium.roster,
        world.consortium.aggregator.id,
    )


async def proved(world: World, peer):
    """A hospital's connection after the handshake, without a silo behind it."""
    transport = await world._connect(peer)
    door = Door(
        identity=world.consortium.silos[peer],
        book=RosterBook(world.consortium.roster),
        entropy=SeededEntropy(peer.encode()),
        clock=world.clock,
    )
    await enter(transport, door, world.consortium.aggregator.id, Here())
    return transport


@contextlib.asynccontextmanager
async def stalled(world: World, count: int) -> AsyncIterator[list[socket.socket]]:
    """Connections that say nothing, and some of them half a TLS greeting."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        made = []
        for number in range(count):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            await loop.sock_connect(one, ("127.0.0.1", world._port))
            if number % 2:
                await loop.sock_sendall(one, b"\x16\x03\x01\x02\x00\x01")
            made.append(one)
        yield made


async def test_a_round_ends_beside_connections_that_stall() -> None:
    """Five times as many as there are places; each place is one at most."""
    world = world_of(4)
    async with world.serve() as aggregator, stalled(world, 5 * PLACES):
        async with world.silos() as silos:
            outcome, means = await world.round(aggregator, silos)
        assert world.keeper.unproved <= PLACES
        assert world.keeper.turned_away >= 4 * PLACES - 4
    assert outcome.sets["u3"] == tuple(world.peers)
    assert all(is_mean_of(outcome, mean) for mean in means.values())


async def flooding(world: World, peer, frame: bytes) -> None:
    """Send what nobody asked for, on one connection after another."""
    while True:
        try:
            transport = await proved(world, peer)
        except ConnectionLost as lost:
            if lost.reason.startswith("rule 8-7"):
                return
            continue
        with contextlib.suppress(ConnectionLost):
            while True:
                await transport.send(frame)
                # Else nothing else would run in this process, which has both sides.
                await asyncio.sleep(0)
        await transport.close()


async def test_a_round_ends_beside_hospitals_that_flood(monkeypatch) -> None:
    """Each in its own way, until it is let in no more; its session goes on."""
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.2)
    monkeypatch.setattr(quotas, "BREACHES", 3)
    world = world_of(7)
    honest, hostile = world.peers[:4], world.peers[4:]
    frames = [
        vector.envelope_frame(b"no envelope"),
        vector.chunk_frame(SessionId(bytes(32)), 0, bytes(1 << 16)),
        bytes(1 << 20),
    ]
    async with world.serve(expected=honest) as aggregator:
        floods = [
            asyncio.create_task(flooding(world, peer, frame))
            for peer, frame in zip(hostile, frames, strict=True)
        ]
        try:
            async with world.silos(*honest) as silos:
                outcome, means = await world.round(aggregator, silos)
            async with asyncio.timeout(20):
                await asyncio.gather(*floods)
        finally:
            for flood in floods:
                flood.cancel()
            await asyncio.gather(*floods, return_exceptions=True)
    assert outcome.sets["u3"] == tuple(honest)
    assert all(is_mean_of(outcome, mean) for mean in means.values())
    refused = [e for e in world.events if isinstance(e, progress.PeerRefused)]
    for peer in hostile:
        assert {e.rule for e in refused if e.peer == peer} >= {"8-7"}


async def test_before_the_proof_a_frame_is_small_or_the_line_ends() -> None:
    world = world_of(4)
    async with world.serve():
        transport = await world._connect(world.peers[0])
        await transport.recv()
        # The websocket reads the length of the message, and not the message.
        await transport.send(bytes(MAX_HANDSHAKE_FRAME + 1))
        with pytest.raises(ConnectionLost):
            await transport.recv()


async def test_after_the_proof_no_frame_is_as_large_as_a_chunk() -> None:
    """Until chunks are expected, which they are of nobody here."""
    world = world_of(4)
    async with world.serve() as aggregator:
        transport = await proved(world, world.peers[0])
        await transport.send(bytes(aggregator.max_frame))
        await ended(transport)


async def ended(transport) -> None:
    """Read to the end of the line."""
    with contextlib.suppress(ConnectionLost):
        async with asyncio.timeout(20):
            while True:
                await transport.recv()


async def test_compression_is_not_agreed_to_and_a_compressed_frame_ends_the_line() -> (
    None
):
    world = world_of(4)
    async with world.serve():
        context = context_of(world, world.peers[0])
        url = f"wss://127.0.0.1:{world._port}"
        async with connect(url, ssl=context, compression="deflate") as client:
            assert client.protocol.extensions == []
            await client.recv()
            # One binary byte, masked by zeros, with the bit that says compressed.
            client.transport.write(b"\xc2\x81\0\0\0\0\0")
            await client.wait_closed()
            assert client.close_code == 1002
