"""secagg.drivers.wire.tls: TLS 1.3 and nothing else, and what its lines come to."""

import asyncio
import contextlib
import socket
import ssl
import struct

import pytest

from secagg.drivers.wire import tls
from tests.unit.drivers.wire.tls_parties import (
    call,
    client,
    close,
    listening,
    never,
    refusal,
    server,
)


async def test_tls_1_3_is_spoken() -> None:
    versions = []

    async def serve(reader, writer):
        versions.append(writer.get_extra_info("ssl_object").version())
        writer.write(b"!")
        await close(writer)

    async with listening(serve, server()) as port:
        await call(port, client())
    assert versions == ["TLSv1.3"]


def only_tls_1_2(context):
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


async def test_a_client_of_tls_1_2_is_refused() -> None:
    refused: list[str] = []
    told = await refusal(only_tls_1_2(client()), server(on_refused=refused.append))
    assert "TLS 1.3" in told
    assert "TLS 1.3" in refused[0]


async def test_a_server_of_tls_1_2_is_refused() -> None:
    assert "TLS 1.3" in await refusal(client(), only_tls_1_2(server()))


@pytest.mark.parametrize("made", [client, server])
def test_certificates_are_judged_strictly_by_rfc_5280(made) -> None:
    assert made().verify_flags & ssl.VERIFY_X509_STRICT


async def test_no_session_is_resumed_without_a_certificate() -> None:
    sessions = []

    async def serve(reader, writer):
        writer.write(b"!")
        await close(writer)

    async with listening(serve, server()) as port:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client(), server_hostname=""
        )
        await reader.readexactly(1)
        sessions.append(writer.get_extra_info("ssl_object").session)
        await close(writer)
    assert not sessions[0].has_ticket


async def answer_to_a_client(serve):
    """Return what a client is told by something that is no TLS server."""
    async with listening(serve) as port:
        with pytest.raises((OSError, EOFError)) as caught:
            await call(port, client())
    return tls.explain_tls_error(caught.value)


async def test_a_line_that_is_reset_is_told_from_a_refusal() -> None:
    async def reset(reader, writer):
        await reader.read(1)
        # Linger for no time: closing sends a reset, as a firewall does.
        linger = struct.pack("ii", 1, 0)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await close(writer)

    assert "firewall or proxy" in await answer_to_a_client(reset)


async def test_a_line_that_is_hung_up_is_told_from_a_refusal() -> None:
    async def hang_up(reader, writer):
        await reader.read(1)
        await close(writer)

    assert "firewall or proxy" in await answer_to_a_client(hang_up)


async def test_a_proxy_that_answers_in_clear_is_named() -> None:
    async def forbid(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        await close(writer)

    assert "does not speak TLS" in await answer_to_a_client(forbid)


async def test_a_client_that_speaks_http_is_reported() -> None:
    refused: list[str] = []
    async with listening(never, server(on_refused=refused.append)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        writer.write_eof()
        await reader.read()
        await close(writer)
    assert ["does not speak TLS" in text for text in refused] == [True]


def first_words(context):
    """Return what a client with this context says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()


async def test_a_refused_client_hears_why_and_is_cut_off_when_it_goes_on() -> None:
    async with listening(never, server()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(first_words(only_tls_1_2(client())))
        # An alert (21) of two bytes: fatal (2), protocol version (70).
        assert await reader.readexactly(7) == b"\x15\x03\x03\x00\x02\x02\x46"
        writer.write(b"more")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        await close(writer)
