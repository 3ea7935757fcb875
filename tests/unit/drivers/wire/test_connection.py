import asyncio

import pytest

from secagg import errors
from secagg.codec import encode_envelope
from secagg.drivers.wire import connection, memory
from secagg.drivers.wire.connection import Connection
from secagg.drivers.wire.transport import ConnectionLost
from secagg.messages import Envelope
from secagg.names import PeerId, SessionId
from secagg.roster import Roster
from secagg.vector import EnvelopeFrame, blob_frame, envelope_frame

NOBODY = Roster.beginning("nobody")


def envelope(size: int = 8) -> Envelope:
    return Envelope(
        type="Ready",
        sid=SessionId(bytes(32)),
        sender=PeerId("a"),
        receiver=PeerId("b"),
        body=bytes(size),
        signature=bytes(64),
    )


async def serving(limit: int = memory.IN_FLIGHT):
    near, far = memory.pair(limit)
    one = Connection(near, peer=PeerId("b"), hc=bytes(32), roster=NOBODY)
    frames = []

    async def handle(frame) -> None:
        frames.append(frame)

    return one, far, frames, asyncio.create_task(one.serve(handle))


async def ended(task):
    ends = await asyncio.gather(task, return_exceptions=True)
    return ends[0]


async def test_a_posted_message_goes_out_without_waiting_for_it() -> None:
    one, far, _, task = await serving()
    one.post(envelope())
    assert await far.recv() == envelope_frame(encode_envelope(envelope()))
    await far.close()
    assert isinstance(await ended(task), ConnectionLost)


async def test_messages_overtake_what_is_bulky() -> None:
    one, far, _, task = await serving(limit=1)
    part = blob_frame(bytes(32), 0, b"part")
    pushes = [asyncio.create_task(one.push(part)) for _ in range(4)]
    await asyncio.sleep(0.0)
    one.post(envelope())
    came = [await far.recv() for _ in range(5)]
    assert came.index(envelope_frame(encode_envelope(envelope()))) < 4
    await asyncio.gather(*pushes)
    await far.close()
    await ended(task)


async def test_a_push_returns_only_once_the_frame_was_taken() -> None:
    one, far, _, task = await serving(limit=1)
    part = blob_frame(bytes(32), 0, b"part")
    await one.push(part)
    second = asyncio.create_task(one.push(part))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not second.done()
    await far.recv()
    await second
    await far.close()
    await ended(task)


async def test_a_push_fails_when_the_connection_ends_under_it() -> None:
    one, far, _, task = await serving(limit=1)
    part = blob_frame(bytes(32), 0, b"part")
    await one.push(part)
    second = asyncio.create_task(one.push(part))
    await asyncio.sleep(0)
    await far.cut()
    with pytest.raises(ConnectionLost):
        await second
    with pytest.raises(ConnectionLost):
        await one.push(part)
    await ended(task)


async def test_what_comes_is_handed_over_as_frames_and_counted() -> None:
    _one, far, frames, task = await serving()
    sent = envelope_frame(encode_envelope(envelope()))
    await far.send(sent)
    await far.close()
    await ended(task)
    assert frames == [EnvelopeFrame(encode_envelope(envelope()))]
    assert _one.received_bytes == len(sent)


async def test_bytes_that_are_no_frame_end_the_serving_by_rule_7_1_1() -> None:
    _, far, _, task = await serving()
    await far.send(b"\x09")
    error = await ended(task)
    assert isinstance(error, errors.CodecError)
    assert error.rule == "7.1-1"


async def test_a_peer_that_does_not_read_its_messages_is_let_go(monkeypatch) -> None:
    monkeypatch.setattr(connection, "MAX_QUEUED", 1000)
    one, _far, _, task = await serving(limit=1)
    for _ in range(10):
        one.post(envelope(200))
    assert isinstance(await ended(task), ConnectionLost)
    assert not one.open


async def test_posting_on_an_ended_connection_is_no_error() -> None:
    one, far, _, task = await serving()
    await far.cut()
    await ended(task)
    one.post(envelope())
    await one.flush()


async def test_a_flush_waits_until_messages_are_out() -> None:
    one, far, _, task = await serving(limit=1)
    for _ in range(3):
        one.post(envelope())
    flushing = asyncio.create_task(one.flush())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not flushing.done()
    for _ in range(3):
        await far.recv()
    await flushing
    await far.close()
    await ended(task)
