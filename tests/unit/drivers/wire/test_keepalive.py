import asyncio
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from websockets.server import ServerProtocol

from secagg import errors
from secagg.drivers.wire.keepalive import (
    KEEPALIVE_SECONDS,
    LONGEST_SECONDS,
    check_keepalive,
    keep_alive,
    server_of,
)
from tests.drivers.hand_clock import HandClock, settled


@dataclass
class Line:
    clock: HandClock
    answers: bool = False
    reading: bool = True
    heard_at: float = 0.0
    pinged: list[float] = field(default_factory=list)
    dropped: list[tuple[float, str]] = field(default_factory=list)

    def ping(self) -> None:
        self.pinged.append(self.clock.time)
        if self.answers:
            self.heard_at = self.clock.time

    def drop(self, reason: str) -> None:
        self.dropped.append((self.clock.time, reason))


@pytest.fixture
async def watched():
    clock = HandClock()
    line = Line(clock)
    task = asyncio.create_task(keep_alive(line, clock, 15.0))
    await settled()
    yield line
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_silent_line_is_dropped_after_twice_the_keepalive(watched) -> None:
    await watched.clock.advance(29.9)
    assert not watched.dropped
    await watched.clock.advance(1000)
    assert watched.dropped == [(30.0, "nothing came for 30 s")]


async def test_the_time_counts_from_the_last_byte(watched) -> None:
    await watched.clock.advance(4)
    watched.heard_at = 4.0
    await watched.clock.advance(1000)
    assert [at for at, _ in watched.dropped] == [34.0]


async def test_a_line_that_answers_is_pinged_for_ever(watched) -> None:
    watched.answers = True
    await watched.clock.advance(600)
    assert not watched.dropped
    assert watched.pinged == [15.0 * k for k in range(41)]


async def test_any_byte_is_a_sign_of_life_though_no_ping_is_answered(watched) -> None:
    """A slow line: the answer to a ping lies behind the chunks that come."""
    for _ in range(60):
        await watched.clock.advance(10)
        watched.heard_at = watched.clock.time
    assert not watched.dropped


async def test_silence_is_none_while_we_do_not_read(watched) -> None:
    watched.reading = False
    await watched.clock.advance(300)
    assert not watched.dropped
    watched.reading = True
    await watched.clock.advance(29)
    assert not watched.dropped
    await watched.clock.advance(16)
    assert watched.dropped


@pytest.mark.parametrize("seconds", [0.0, 0.05, 55.5, 60.0, -1.0])
def test_a_keepalive_that_is_none_is_refused(seconds) -> None:
    with pytest.raises(errors.ParameterError, match="idle for 60 s"):
        check_keepalive(seconds)


@pytest.mark.parametrize("seconds", [0.1, KEEPALIVE_SECONDS, LONGEST_SECONDS])
def test_a_keepalive_below_what_proxies_cut_at_is_taken(seconds) -> None:
    check_keepalive(seconds)


async def test_pieces_that_two_connections_take_in_turn_are_kept_apart() -> None:
    kind: Any = server_of(HandClock(), Mock())
    server = Mock(logger=None, handler=AsyncMock())
    one, other = (kind(ServerProtocol(), server) for _ in "ab")
    for connection in (one, other):
        connection.connection_made(Mock(get_write_buffer_size=lambda: 0))
    sent = {one: b"GET /one HTTP/1.1\r\n\r\n", other: b"GET /two HTTP/1.1\r\n\r\n"}
    for at in range(0, len(sent[one]), 5):
        for connection, request in sent.items():
            piece = request[at : at + 5]
            connection.get_buffer(-1)[: len(piece)] = piece
            connection.buffer_updated(len(piece))
    assert (one.request.path, other.request.path) == ("/one", "/two")
