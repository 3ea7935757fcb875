"""secagg.drivers.wire.dialling: who is reached, and what is said where nobody is."""

import asyncio
import contextlib
import ssl

import pytest

from secagg import errors
from secagg.consortium import Consortium
from secagg.drivers.wire.dialling import dial, is_final
from secagg.drivers.wire.listening import listen
from secagg.drivers.wire.tls import client_context, server_context
from secagg.drivers.wire.transport import ConnectionLost
from tests.unit.drivers.wire.ends import CONSORTIUM, SILO, nobody, own_tls


async def test_wherenobody_answers_the_remedy_is_named() -> None:
    async with listen("127.0.0.1", 0, nobody, None) as port:
        pass
    with pytest.raises(ConnectionLost, match="nothing answers there"):
        await dial(f"ws://127.0.0.1:{port}", None)


async def test_an_aggregator_with_another_key_is_refused_for_good() -> None:
    other = Consortium.of(4, b"another consortium")
    theirs = server_context(other.aggregator, other.roster)
    _, ours = own_tls()

    async with listen("127.0.0.1", 0, nobody, theirs) as port:
        with pytest.raises(errors.ConnectionRefused, match="fingerprints"):
            await dial(f"wss://127.0.0.1:{port}", ours)


async def test_a_silo_that_the_roster_does_not_have_is_refused_for_good() -> None:
    other = Consortium.of(4, b"another consortium")
    theirs, _ = own_tls()
    aggregator = CONSORTIUM.aggregator
    ours = client_context(other.silos[SILO], CONSORTIUM.roster, aggregator.id)

    async with listen("127.0.0.1", 0, nobody, theirs) as port:
        with pytest.raises(errors.ConnectionRefused, match="rejects this side"):
            await dial(f"wss://127.0.0.1:{port}", ours)


@pytest.mark.parametrize(
    ("code", "final"), [(20, True), (18, True), (7, True), (10, False), (9, False)]
)
def test_only_what_a_person_must_mend_is_final(code, final) -> None:
    error = ssl.SSLCertVerificationError("no")
    error.verify_code = code
    wrapped = OSError("outer")
    wrapped.__cause__ = error
    assert is_final(wrapped) is final
    assert not is_final(OSError("cut"))


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
            await dial(url, ours if scheme == "wss" else None)
    assert asked == []
    assert len(dialled) == 1


async def test_a_proxy_that_was_chosen_is_asked_for_the_aggregator() -> None:
    _, ours = own_tls()
    async with a_proxy() as (port, asked):
        with pytest.raises(ConnectionLost):
            await dial("wss://192.0.2.1:8443", ours, proxy=f"http://127.0.0.1:{port}")
    assert asked == [b"CONNECT 192.0.2.1:8443 HTTP/1.1\r\n"]


@pytest.mark.parametrize("proxy", ["proxy.example", "ftp://proxy.example:21"])
async def test_an_address_that_is_no_proxy_is_refused_for_good(proxy) -> None:
    _, ours = own_tls()
    with pytest.raises(errors.ConnectionRefused, match="of the proxy"):
        await dial("wss://192.0.2.1:8443", ours, proxy=proxy)
