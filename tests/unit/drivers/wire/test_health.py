"""secagg.drivers.wire.health: plain answers to plain questions, and no names."""

import asyncio
import json

import pytest

from secagg import errors
from secagg.drivers.wire import health
from secagg.drivers.wire.health import Verdict, answering


async def well() -> Verdict:
    return Verdict(True, {"connected": 3})


async def unwell() -> Verdict:
    return Verdict(False, {"disk": "low"})


async def broken() -> Verdict:
    raise RuntimeError("/a/path/of/bern")


async def stuck() -> Verdict:
    await asyncio.Event().wait()
    raise AssertionError


CHECKS = {"/healthz": well, "/readyz": unwell, "/broken": broken, "/stuck": stuck}


async def ask(port, path, first="GET {} HTTP/1.1"):
    """Return the status, the headers and the body of an answer, as bytes came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write((first.format(path) + "\r\nHost: x\r\n\r\n").encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    body = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), head, body


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/healthz", 200, {"status": "ok", "connected": 3}),
        ("/healthz?verbose=1", 200, {"status": "ok", "connected": 3}),
        ("/readyz", 503, {"status": "failed", "disk": "low"}),
        ("/broken", 503, {"status": "failed", "check": "failed"}),
    ],
)
async def test_a_check_is_answered_as_json(path, status, body) -> None:
    async with asyncio.timeout(20), answering("127.0.0.1:0", CHECKS) as port:
        found, head, text = await ask(port, path)
    assert (found, json.loads(text)) == (status, body)
    assert "\r\nContent-Type: application/json\r\n" in head
    assert head.count("Content-Type") == 1
    assert "no-store" in head


async def test_a_check_that_hangs_is_not_good(monkeypatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0)
    async with asyncio.timeout(20), answering("127.0.0.1:0", CHECKS) as port:
        status, _, text = await ask(port, "/stuck")
    assert (status, json.loads(text)["check"]) == (503, "timed out")


async def test_another_path_is_not_found() -> None:
    async with asyncio.timeout(20), answering("127.0.0.1:0", CHECKS) as port:
        status, _, text = await ask(port, "/metrics")
    assert status == 404
    assert "/healthz" in text


async def test_an_upgrade_is_answered_and_not_made() -> None:
    upgrade = (
        "GET {} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
    )
    async with asyncio.timeout(20), answering("127.0.0.1:0", CHECKS) as port:
        status, _, _ = await ask(port, "/healthz", upgrade)
    assert status == 200


@pytest.mark.parametrize("address", ["", "9090", "host", ":9090", "host:x", "h:70000"])
async def test_what_is_no_address_is_refused(address) -> None:
    with pytest.raises(errors.ParameterError, match="host:port"):
        async with answering(address, CHECKS):
            pass


async def test_a_port_that_is_taken_is_said() -> None:
    async with answering("127.0.0.1:0", CHECKS) as port:
        with pytest.raises(errors.ParameterError, match="another port"):
            async with answering(f"127.0.0.1:{port}", CHECKS):
                pass
