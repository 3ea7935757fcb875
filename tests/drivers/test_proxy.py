"""The proxy of these tests does to a line what it says, at the byte it says."""

import asyncio
import contextlib

import pytest

from tests.drivers.hand_clock import settled
from tests.proxy import DOWN, UP, Blow, Proxy, Strike

SENT = bytes(range(100))
AT = 40


async def through(blow, **given):
    """Send SENT through a proxy that strikes; what came, and the proxy."""
    came: list[bytes] = []
    ended = asyncio.Event()

    async def take(reader, writer) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(7):
                came.append(piece)
        ended.set()
        writer.close()

    strike = Strike(way=UP, at=AT, blow=blow, seconds=3.0)
    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        proxy = Proxy(port, [strike], **given)
        async with proxy.opened() as door:
            _, writer = await asyncio.open_connection("127.0.0.1", door)
            writer.write(SENT)
            while not proxy.struck:  # noqa: ASYNC110 events of the sockets
                await asyncio.sleep(0)
            writer.close()
            if blow is not Blow.HALF_OPEN:
                await ended.wait()
            for _ in range(5):
                await settled()
            told = ended.is_set()
    await ended.wait()
    return b"".join(came), told, proxy


CAME = {
    Blow.TRUNCATED: SENT[:AT],
    Blow.HALF_OPEN: SENT[:AT],
    Blow.DROPPED: SENT[:AT] + SENT[AT + 7 :],
    Blow.REPEATED: SENT[: AT + 7] + SENT[AT:],
}


@pytest.mark.parametrize("blow", CAME)
async def test_a_blow_falls_at_its_byte(blow) -> None:
    came, _, proxy = await through(blow)
    assert came == CAME[blow]
    assert [strike.at for strike in proxy.struck] == [AT]


async def test_a_cut_loses_what_is_on_its_way_and_all_after_it() -> None:
    came, _, _ = await through(Blow.CUT)
    assert SENT[:AT].startswith(came)


async def test_a_delay_waits_and_loses_nothing() -> None:
    waited: list[float] = []

    async def wait(seconds) -> None:
        waited.append(seconds)

    came, _, _ = await through(Blow.DELAYED, wait=wait)
    assert came == SENT
    assert waited == [3.0]


async def test_on_a_half_open_line_one_end_is_not_told_that_the_other_left() -> None:
    _, told, _ = await through(Blow.HALF_OPEN)
    assert not told


async def asked(door):
    """Ask for an answer; its first bytes, and the others that came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door)
    writer.write(b"?")
    came = [await reader.readexactly(AT)]
    with contextlib.suppress(OSError):
        came.append(await reader.read())
    writer.close()
    return came


async def test_bytes_are_counted_over_all_connections_of_a_line() -> None:
    async def answer(reader, writer) -> None:
        await reader.read(1)
        writer.write(SENT)
        writer.close()

    strikes = [Strike(way=DOWN, at=len(SENT) + AT, blow=Blow.TRUNCATED)]
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        proxy = Proxy(server.sockets[0].getsockname()[1], strikes)
        came: list[bytes] = []
        async with proxy.opened() as door:
            for _ in range(2):
                came += await asked(door)
    assert came[:2] == [SENT[:AT], SENT[AT:]]
    assert b"".join(came[2:]) == SENT[:AT]
    assert proxy.carried == 2
