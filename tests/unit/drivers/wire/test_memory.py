import asyncio

import pytest

from secagg.drivers.wire import memory
from secagg.drivers.wire.transport import ConnectionLost


async def test_frames_arrive_in_order() -> None:
    near, far = memory.pair()
    for k in range(5):
        await near.send(bytes([k]))
    assert [await far.recv() for _ in range(5)] == [bytes([k]) for k in range(5)]


async def test_a_full_pipe_holds_its_sender_back_until_a_frame_is_read() -> None:
    near, far = memory.pair(limit=2)
    await near.send(b"1")
    await near.send(b"2")
    third = asyncio.create_task(near.send(b"3"))
    await asyncio.sleep(0)
    assert not third.done()
    assert await far.recv() == b"1"
    await third


async def test_what_was_sent_before_a_close_is_read_and_then_the_reason() -> None:
    near, far = memory.pair()
    await near.send(b"last")
    await near.close("rule 8-4")
    assert await far.recv() == b"last"
    with pytest.raises(ConnectionLost, match="rule 8-4"):
        await far.recv()


async def test_a_cut_loses_what_was_on_the_way_on_both_sides() -> None:
    near, far = memory.pair()
    await near.send(b"lost")
    await near.cut()
    for end in (near, far):
        with pytest.raises(ConnectionLost):
            await end.recv()
        with pytest.raises(ConnectionLost):
            await end.send(b"more")


async def test_a_close_wakes_a_sender_that_waits() -> None:
    near, far = memory.pair(limit=1)
    await near.send(b"1")
    waiting = asyncio.create_task(near.send(b"2"))
    await asyncio.sleep(0)
    await far.close()
    with pytest.raises(ConnectionLost):
        await waiting


async def test_dialling_where_nobody_listens_is_a_lost_connection() -> None:
    with pytest.raises(ConnectionLost):
        await memory.MemoryNetwork().dial()


async def test_a_network_that_closes_ends_what_it_served() -> None:
    network = memory.MemoryNetwork()

    async def accept(transport) -> None:
        await transport.recv()

    network.listen(accept)
    near = await network.dial()
    await asyncio.sleep(0)
    await network.close()
    with pytest.raises(ConnectionLost):
        await near.recv()
