"""secagg.drivers.wire.websocket: frames over one line, and how it ends."""

import asyncio
import contextlib

import pytest

from secagg.drivers.wire import websocket
from secagg.drivers.wire.dialling import dial
from secagg.drivers.wire.listening import listen
from secagg.drivers.wire.transport import ConnectionLost
from tests.drivers.hand_clock import HandClock
from tests.unit.drivers.wire.ends import own_tls


@contextlib.asynccontextmanager
async def linked(context=None, dialled=None, max_frame=1 << 16, **watched):
    accepted: asyncio.Future[websocket.WebSocketTransport] = (
        asyncio.get_running_loop().create_future()
    )
    done = asyncio.Event()

    async def accept(transport) -> None:
        transport.allow(1 << 26)
        accepted.set_result(transport)
        await done.wait()

    scheme = "ws" if context is None else "wss"
    async with listen("127.0.0.1", 0, accept, context) as port:
        url = f"{scheme}://127.0.0.1:{port}"
        near = await dial(url, dialled, max_frame=max_frame, **watched)
        try:
            yield near, await accepted
        finally:
            done.set()
            await near.close()


@pytest.mark.parametrize("secure", [False, True])
async def test_frames_travel_both_ways_in_order(secure) -> None:
    contexts = own_tls() if secure else (None, None)
    async with linked(*contexts) as (near, far):
        for k in range(10):
            await near.send(bytes([k]) * 1000)
        for k in range(10):
            assert await far.recv() == bytes([k]) * 1000
        await far.send(b"back")
        assert await near.recv() == b"back"


async def test_the_other_side_reads_why_a_connection_was_closed() -> None:
    async with linked() as (near, far):
        await far.close("rule 8-2: the rosters differ " + "x" * 200)
        with pytest.raises(ConnectionLost, match="rule 8-2: the rosters differ"):
            await near.recv()


async def test_what_the_other_side_closes_with_moves_no_cursor() -> None:
    """Of another program: ours says nothing that is not printable."""
    async with linked() as (near, far):
        await far._socket.close(reason="\x1b[2Jgone\n")
        with pytest.raises(ConnectionLost) as caught:
            await near.recv()
    assert caught.value.reason == "?[2Jgone?"


async def test_a_cut_is_a_lost_connection_on_both_sides() -> None:
    async with linked() as (near, far):
        await near.cut()
        for end in (near, far):
            with pytest.raises(ConnectionLost):
                await end.recv()
        with pytest.raises(ConnectionLost):
            await near.send(b"more")


async def test_a_frame_above_the_limit_ends_the_connection() -> None:
    async with linked(max_frame=1000) as (near, far):
        await far.send(bytes(1001))
        with pytest.raises(ConnectionLost):
            await near.recv()


async def test_text_is_no_frame() -> None:
    async with linked() as (near, far):
        await near._socket.send("text")
        with pytest.raises(ConnectionLost):
            await far.recv()


@pytest.mark.parametrize("secure", [False, True])
async def test_a_paused_socket_is_left_alone_until_it_is_read_again(secure) -> None:
    contexts = own_tls() if secure else (None, None)
    async with linked(*contexts) as (near, far):
        far.pause()
        assert not far._socket.transport.is_reading()
        await near.send(b"waits")
        far.resume()
        assert far._socket.transport.is_reading()
        assert await far.recv() == b"waits"


@pytest.mark.parametrize("secure", [False, True])
async def test_a_line_that_swallows_an_upload_is_dropped_by_its_silence(secure) -> None:
    """Its write buffer is full: a ping that waited for room would wait for ever."""
    contexts = own_tls() if secure else (None, None)
    clock = HandClock()
    async with linked(*contexts, clock=clock, keepalive=10.0) as (near, far):
        # Behind the first ping of that side, which must not come later than now.
        await far.send(b"first")
        assert await near.recv() == b"first"
        far.pause()
        chunk = bytes(1 << 20)
        upload = asyncio.create_task(_send_for_ever(near, chunk))
        while not near._socket.paused:  # noqa: ASYNC110 events of the socket
            await asyncio.sleep(0)
        await clock.advance(19.9)
        assert not upload.done()
        await clock.advance(0.2)
        with pytest.raises(ConnectionLost, match="nothing came for 20 s"):
            await upload
        far.drop("the test is over")


async def _send_for_ever(transport, frame) -> None:
    while True:
        await transport.send(frame)


async def test_a_line_that_swallows_everything_is_closed_all_the_same(
    monkeypatch,
) -> None:
    async with linked() as (near, far):
        far.pause()
        upload = asyncio.create_task(_send_for_ever(near, bytes(1 << 20)))
        while not near._socket.paused:  # noqa: ASYNC110 events of the socket
            await asyncio.sleep(0)
        monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.0)
        await near.close("rule 8-4: a newer connection was proved")
        with pytest.raises(ConnectionLost):
            await upload
        far.drop("the test is over")


async def test_an_idle_line_stays_up_by_its_pings_alone() -> None:
    clock = HandClock()
    async with linked(clock=clock, keepalive=10.0) as (near, far):
        for _ in range(5):
            before = near.heard_at
            await clock.advance(10)
            while near.heard_at == before:  # noqa: ASYNC110 the pong is on its way
                await asyncio.sleep(0)
        await far.send(b"still there")
        assert await near.recv() == b"still there"


async def test_the_watch_over_a_line_ends_with_it() -> None:
    async with linked(clock=HandClock()) as (near, _):
        watch = near._socket.watch
        await near.cut()
        await asyncio.gather(watch, return_exceptions=True)
        assert watch.cancelled()
