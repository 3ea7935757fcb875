import asyncio
from dataclasses import replace

import pytest

from secagg import errors, packing, vector
from secagg.codec import encode_envelope
from secagg.drivers.aggregator import connections
from secagg.drivers.aggregator.connections import (
    RENEWAL_SECONDS,
    Connections,
    Quota,
    Quotas,
    largest_frame,
    largest_message,
)
from secagg.drivers.outcome import Traffic
from secagg.drivers.wire import memory
from secagg.drivers.wire.connection import REPLACED, Connection
from secagg.drivers.wire.transport import ConnectionLost
from secagg.field import MAX_WIDTH
from secagg.messages import Envelope
from secagg.names import PeerId, SessionId
from secagg.vector import envelope_frame
from tests.drivers.fake_clock import FakeClock

A, B = PeerId("a"), PeerId("b")


def linked(peer: PeerId):
    near, far = memory.pair()
    return Connection(near, peer=peer, hc=bytes(32)), far


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


def test_messages_within_a_phase_are_bounded_by_rule_7_1_1() -> None:
    quota = Quota(4, FakeClock())
    quota.message(1000, "share_keys")
    with pytest.raises(errors.RemoteProtocolError) as caught:
        quota.message(1 << 20, "share_keys")
    assert caught.value.rule == "7.1-1"


def test_a_new_phase_brings_a_new_quota() -> None:
    quota = Quota(4, FakeClock())
    for phase in range(100):
        quota.message(60 << 10, phase)


def test_a_vector_may_be_sent_twice_and_no_more() -> None:
    quota = Quota(4, FakeClock())
    quota.chunk(100, "masked_input", 100)
    quota.chunk(100, "masked_input", 100)
    with pytest.raises(errors.RemoteProtocolError) as caught:
        quota.chunk(1, "masked_input", 100)
    assert caught.value.rule == "7.1-1"


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


def test_to_connect_again_does_not_renew_a_quota() -> None:
    quotas = Quotas(4, FakeClock())
    quotas.of(A).chunk(200, "masked_input", 100)
    quotas.of(B).chunk(200, "masked_input", 100)
    with pytest.raises(errors.RemoteProtocolError, match="more than twice"):
        quotas.of(A).chunk(1, "masked_input", 100)


def test_a_long_phase_renews_messages_and_not_chunks() -> None:
    clock = FakeClock()
    quota = Quota(4, clock)
    quota.chunk(200, "masked_input", 100)
    for _ in range(100):
        quota.message(60 << 10, "masked_input")
        clock.time_ms += int(RENEWAL_SECONDS * 1000)
    with pytest.raises(errors.RemoteProtocolError, match="more than twice"):
        quota.chunk(1, "masked_input", 100)


def test_a_frame_holds_the_largest_message_and_the_widest_chunk() -> None:
    large = largest_message(1000)
    assert large < largest_frame(1000, 12) < large + 100
    for log2 in (18, 20):
        widest = packing.packed_size(1 << log2, MAX_WIDTH)
        chunk = vector.chunk_frame(SessionId(bytes(32)), 0, bytes(widest))
        assert len(chunk) <= largest_frame(4, log2) < len(chunk) + 100


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
