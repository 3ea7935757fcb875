"""secagg.drivers.wire.listening: who is served, and how serving ends."""

import asyncio
import contextlib
import socket

import pytest

from secagg import errors
from secagg.drivers.wire import doorkeeper, websocket
from secagg.drivers.wire.listening import listen
from secagg.drivers.wire.transport import ConnectionLost
from tests.unit.drivers.wire.ends import nobody, own_tls


async def test_serving_others_without_tls_is_refused() -> None:
    with pytest.raises(errors.ConnectionRefused, match="TLS context"):
        async with listen("0.0.0.0", 0, nobody, None):  # noqa: S104
            pass


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: deaf\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@contextlib.asynccontextmanager
async def deaf(port):
    """A client that has opened a websocket and reads nothing from then on."""
    loop = asyncio.get_running_loop()
    with socket.socket() as one:
        one.setblocking(False)
        await loop.sock_connect(one, ("127.0.0.1", port))
        await loop.sock_sendall(one, UPGRADE)
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
        listen("127.0.0.1", 0, send_much, None) as port,
        deaf(port) as one,
    ):
        with pytest.raises(OSError, match=r"reset|pipe"):
            await _ping_for_ever(one, pings)


async def test_to_stop_serving_waits_fornobody_who_does_not_read(monkeypatch) -> None:
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
        listen("127.0.0.1", 0, accept, None) as port,
    ):
        await stack.enter_async_context(deaf(port))
        await begun.wait()


async def test_the_kernel_holds_as_many_as_the_doorkeeper_says(monkeypatch) -> None:
    """asyncio listens anew, with a number of its own if it is given none."""
    held = []
    begin = socket.socket.listen

    def noted(self, backlog):
        held.append(backlog)
        begin(self, backlog)

    monkeypatch.setattr(doorkeeper.GuardedSocket, "listen", noted)
    async with listen("127.0.0.1", 0, nobody, None):
        assert set(held) == {doorkeeper.BACKLOG}


class Noting(doorkeeper.Doorkeeper):
    """Notes that somebody has shown a certificate."""

    def __init__(self, places: int) -> None:
        super().__init__(places)
        self.shown = asyncio.Event()

    def showed(self, address, issuer) -> None:
        super().showed(address, issuer)
        self.shown.set()


async def test_a_hospital_keeps_its_place_beside_strangers_of_its_address() -> None:
    """From its certificate on; they all come from the loopback here."""
    theirs, ours = own_tls()
    keeper = Noting(3)
    async with (
        asyncio.timeout(20),
        listen("127.0.0.1", 0, nobody, theirs, keeper=keeper) as port,
        contextlib.AsyncExitStack() as stack,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=ours)
        stack.callback(writer.close)
        await keeper.shown.wait()
        for count in range(1, 13):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            while keeper.unproved + keeper.turned_away <= count:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert keeper.turned_away == 10
        writer.write(UPGRADE)
        assert b"101" in await reader.readline()
