import asyncio
from dataclasses import replace

import pytest

from secagg.codec import encode_envelope
from secagg.drivers.aggregator import connections
from secagg.drivers.aggregator.connections import Connections
from secagg.drivers.outcome import Traffic
from secagg.drivers.wire import memory
from secagg.drivers.wire.connection import REPLACED, Connection
from secagg.drivers.wire.transport import ConnectionLost
from secagg.messages import Envelope
from secagg.names import PeerId, SessionId
from secagg.roster import Roster
from secagg.vector import envelope_frame

NOBODY = Roster.beginning("nobody")

A, B = PeerId("a"), PeerId("b")


def linked(peer: PeerId):
    near, far = memory.pair()
    return Connection(near, peer=peer, hc=bytes(32), roster=NOBODY), far


async def test_the_newest_connection_of_an_identity_takes_the_place() -> None:
    everyone = Connections()
    older, far = linked(A)
    newer, _ = linked(A)
    everyone.admit(older)
    everyone.admit(newer)
    assert everyone.get(A) is newer
    with pytest.raises(ConnectionLost, match=REPLACED):
        await far.recv()
    await everyone.close("")


async def test_the_end_of_a_replaced_connection_leaves_the_newer_one() -> None:
    everyone = Connections()
    older, _ = linked(A)
    newer, _ = linked(A)
    everyone.admit(older)
    everyone.admit(newer)
    everyone.leave(older)
    assert set(everyone.peers) == {A}
    everyone.leave(newer)
    assert set(everyone.peers) == set()
    await everyone.close("")


async def test_everybody_can_be_had_to_come_back() -> None:
    everyone = Connections()
    lines = {peer: linked(peer) for peer in (A, B)}
    for connection, _ in lines.values():
        everyone.admit(connection)
    everyone.recall()
    assert everyone.recalls == 1
    assert set(everyone.peers) == set()
    for _, far in lines.values():
        with pytest.raises(ConnectionLost, match="connect again"):
            await far.recv()
    await everyone.close("")


async def test_traffic_counts_past_connections_too() -> None:
    everyone = Connections()
    older, _ = linked(A)
    older.received_bytes, older.sent_bytes = 10, 20
    everyone.admit(older)
    everyone.leave(older)
    newer, _ = linked(A)
    newer.received_bytes = 5
    everyone.admit(newer)
    assert everyone.traffic() == {A: Traffic(up=15, down=20)}
    await everyone.close("")


async def test_closing_says_goodbye_to_everybody() -> None:
    everyone = Connections()
    ends = []
    for peer in (A, B):
        connection, far = linked(peer)
        everyone.admit(connection)
        ends.append(far)
    await everyone.close("stopping")
    for far in ends:
        with pytest.raises(ConnectionLost, match="stopping"):
            await far.recv()


async def test_a_goodbye_does_not_wait_for_ever(monkeypatch) -> None:
    monkeypatch.setattr(connections, "FLUSH_SECONDS", 0.0)
    everyone = Connections()
    connection, _ = linked(A)
    connection._idle.clear()
    everyone.admit(connection)
    async with asyncio.timeout(5):
        await everyone.close("stopping")


async def test_leaving_does_not_wait_for_a_close_that_hangs(monkeypatch) -> None:
    monkeypatch.setattr(connections, "FLUSH_SECONDS", 0.0)
    everyone = Connections()
    connection, _ = linked(A)

    async def hang(reason: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(connection, "close", hang)
    everyone.admit(connection)
    async with asyncio.timeout(5):
        await everyone.close("stopping")


async def test_one_message_to_many_is_encoded_once() -> None:
    everyone = Connections()
    ends = {peer: linked(peer)[0] for peer in (A, B)}
    for connection in ends.values():
        everyone.admit(connection)
    first = Envelope(
        sid=SessionId(bytes(32)),
        type="KeyList",
        sender=B,
        receiver=A,
        body=b"keys",
        signature=bytes(64),
    )
    for peer in ends:
        everyone.post(peer, first)
    everyone.post(A, replace(first, body=b"others"))
    to_a, to_b = list(ends[A]._messages), list(ends[B]._messages)
    assert to_a[0] is to_b[0]
    assert to_a == [envelope_frame(encode_envelope(first)), to_a[1]]
    assert b"others" in to_a[1]


async def test_chunks_are_expected_once_the_dealers_are_posted() -> None:
    everyone, expected = Connections(), list[str]()
    connection, _ = linked(A)
    everyone.admit(connection, lambda: expected.append("chunks"))
    plain = Envelope(
        sid=SessionId(bytes(32)),
        type="KeyList",
        sender=B,
        receiver=A,
        body=b"",
        signature=bytes(64),
    )
    everyone.post(A, plain)
    assert expected == []
    everyone.post(A, replace(plain, type="DealerList"))
    everyone.post(B, replace(plain, type="DealerList"))
    assert expected == ["chunks"]
