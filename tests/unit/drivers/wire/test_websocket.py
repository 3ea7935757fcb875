import asyncio
import contextlib
import socket
import ssl

import pytest

from secagg import errors
from secagg.consortium import Consortium
from secagg.drivers.wire import doorkeeper, websocket
from secagg.drivers.wire.tls import client_context, server_context
from secagg.drivers.wire.transport import ConnectionLost
from tests.drivers.hand_clock import HandClock

CONSORTIUM = Consortium.of(4, b"websocket")
SILO = min(CONSORTIUM.silos)


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
    async with websocket.listen("127.0.0.1", 0, accept, context) as port:
        url = f"{scheme}://127.0.0.1:{port}"
        near = await websocket.dial(url, dialled, max_frame=max_frame, **watched)
        try:
            yield near, await accepted
        finally:
            done.set()
            await near.close()


def own_tls():
    aggregator = CONSORTIUM.aggregator
    return (
        server_context(aggregator, CONSORTIUM.roster),
        client_context(CONSORTIUM.silos[SILO], CONSORTIUM.roster, aggregator.id),
    )


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


async def test_where_nobody_answers_the_remedy_is_named() -> None:
    async def accept(transport) -> None:
        await transport.close()

    async with websocket.listen("127.0.0.1", 0, accept, None) as port:
        pass
    with pytest.raises(ConnectionLost, match="nothing answers there"):
        await websocket.dial(f"ws://127.0.0.1:{port}", None)


async def test_an_aggregator_with_another_key_is_refused_for_good() -> None:
    other = Consortium.of(4, b"another consortium")
    theirs = server_context(other.aggregator, other.roster)
    _, ours = own_tls()

    async def accept(transport) -> None:
        await transport.close()

    async with websocket.listen("127.0.0.1", 0, accept, theirs) as port:
        with pytest.raises(errors.ConnectionRefused, match="fingerprints"):
            await websocket.dial(f"wss://127.0.0.1:{port}", ours)


async def test_a_silo_that_the_roster_does_not_have_is_refused_for_good() -> None:
    other = Consortium.of(4, b"another consortium")
    theirs, _ = own_tls()
    aggregator = CONSORTIUM.aggregator
    ours = client_context(other.silos[SILO], CONSORTIUM.roster, aggregator.id)

    async def accept(transport) -> None:
        await transport.close()

    async with websocket.listen("127.0.0.1", 0, accept, theirs) as port:
        with pytest.raises(errors.ConnectionRefused, match="rejects this side"):
            await websocket.dial(f"wss://127.0.0.1:{port}", ours)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("aggregator:8443", "wss://host:port"),
        ("https://aggregator:8443", "wss://host:port"),
        ("wss://", "wss://host:port"),
        ("wss://host:port", "write wss://host:port"),
        ("wss://agg..example:8443", "write wss://host:port"),
        ("wss://aggregator:99999", r"in 1\.\.65535"),
        ("wss://[::1:8443", "write wss://host:port"),
        (f"wss://{'a' * 64}.example:8443", "write wss://host:port"),
        ("ws://aggregator:8443", "would travel in clear"),
        ("ws://10.0.0.1:8443", "would travel in clear"),
        ("wss://aggregator:8443", "needs a TLS context"),
    ],
)
def test_an_address_that_must_not_be_dialled_is_refused(url, said) -> None:
    with pytest.raises(errors.ConnectionRefused, match=said):
        websocket.check_url(url, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_the_loopback_is_told_from_other_hosts(host) -> None:
    assert websocket.is_loopback(host)
    assert not websocket.is_loopback("example.org")
    assert not websocket.is_loopback("192.0.2.1")


async def test_serving_others_without_tls_is_refused() -> None:
    async def accept(transport) -> None:
        await transport.close()

    with pytest.raises(errors.ConnectionRefused, match="TLS context"):
        async with websocket.listen("0.0.0.0", 0, accept, None):  # noqa: S104
            pass


@pytest.mark.parametrize(
    ("code", "final"), [(20, True), (18, True), (7, True), (10, False), (9, False)]
)
def test_only_what_a_person_must_mend_is_final(code, final) -> None:
    error = ssl.SSLCertVerificationError("no")
    error.verify_code = code
    wrapped = OSError("outer")
    wrapped.__cause__ = error
    assert websocket.is_final(wrapped) is final
    assert not websocket.is_final(OSError("cut"))


@contextlib.asynccontextmanager
async def a_proxy():
    """A port, and the first line of everything that was asked of the proxy there."""
    asked: list[bytes] = []

    async def answer(reader, writer) -> None:
        asked.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], asked


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_a_proxy_of_the_environment_is_not_used(scheme, monkeypatch) -> None:
    _, ours = own_tls()
    async with a_proxy() as (port, asked), a_proxy() as (aggregator, dialled):
        for name in ("https_proxy", "http_proxy", "all_proxy", "wss_proxy", "ws_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        url = f"{scheme}://127.0.0.1:{aggregator}"
        with pytest.raises(ConnectionLost):
            await websocket.dial(url, ours if scheme == "wss" else None)
    assert asked == []
    assert len(dialled) == 1


async def test_a_proxy_that_was_chosen_is_asked_for_the_aggregator() -> None:
    _, ours = own_tls()
    async with a_proxy() as (port, asked):
        with pytest.raises(ConnectionLost):
            await websocket.dial(
                "wss://192.0.2.1:8443", ours, proxy=f"http://127.0.0.1:{port}"
            )
    assert asked == [b"CONNECT 192.0.2.1:8443 HTTP/1.1\r\n"]


@pytest.mark.parametrize("proxy", ["proxy.example", "ftp://proxy.example:21"])
async def test_an_address_that_is_no_proxy_is_refused_for_good(proxy) -> None:
    _, ours = own_tls()
    with pytest.raises(errors.ConnectionRefused, match="of the proxy"):
        await websocket.dial("wss://192.0.2.1:8443", ours, proxy=proxy)


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


@contextlib.asynccontextmanager
async def deaf(port):
    """A client that has opened a websocket and reads nothing from then on."""
    loop = asyncio.get_running_loop()
    with socket.socket() as one:
        one.setblocking(False)
        await loop.sock_connect(one, ("127.0.0.1", port))
        upgrade = (
            b"GET / HTTP/1.1\r\nHost: deaf\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await loop.sock_sendall(one, upgrade)
        assert b"101" in await loop.sock_recv(one, 12)
        yield one


async def send_much(transport) -> None:
    """Send more than the kernel takes for who does not read."""
    with contextlib.suppress(ConnectionLost):
        await transport.send(bytes(1 << 24))


async def _ping_for_ever(one, pings) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(one, pings)
        # Else it might never leave the loop to the other side.
        await asyncio.sleep(0)


async def test_who_pings_and_reads_no_answer_is_cut() -> None:
    """The answers would pile up in the write buffer for as long as it pings."""
    pings = (b"\x89\xfd\0\0\0\0" + bytes(125)) * 100
    async with (
        asyncio.timeout(20),
        websocket.listen("127.0.0.1", 0, send_much, None) as port,
        deaf(port) as one,
    ):
        with pytest.raises(OSError, match=r"reset|pipe"):
            await _ping_for_ever(one, pings)


async def test_to_stop_serving_waits_for_nobody_who_does_not_read(monkeypatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.1)
    begun = asyncio.Event()

    async def accept(transport) -> None:
        # The doorkeeper cuts who is not proved, whatever it does.
        transport.allow(1 << 26)
        begun.set()
        await send_much(transport)

    async with (
        contextlib.AsyncExitStack() as stack,
        asyncio.timeout(20),
        websocket.listen("127.0.0.1", 0, accept, None) as port,
    ):
        await stack.enter_async_context(deaf(port))
        await begun.wait()


async def test_the_kernel_holds_as_many_as_the_doorkeeper_says(monkeypatch) -> None:
    """asyncio listens anew, with a number of its own if it is given none."""
    held = []
    listen = socket.socket.listen

    def noted(self, backlog):
        held.append(backlog)
        listen(self, backlog)

    monkeypatch.setattr(doorkeeper.GuardedSocket, "listen", noted)
    async with websocket.listen("127.0.0.1", 0, _nobody, None):
        assert set(held) == {doorkeeper.BACKLOG}


async def _nobody(transport) -> None:
    await transport.close()
