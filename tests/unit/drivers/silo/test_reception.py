"""secagg.drivers.silo.reception: what comes to a silo, and what becomes of it."""

import pytest

from secagg import codec, vector
from secagg.drivers import progress
from secagg.messages import Fetch, Missed
from secagg.names import SessionId
from secagg.signing import seal
from tests.drivers.fake_clock import until
from tests.drivers.world import World, reached

OTHER_SID = SessionId(bytes([7]) * 32)


async def heard(frame, matches) -> list[progress.Progress]:
    """Have the aggregator send a silo a frame; return what the silo observed."""
    world = World(4, "memory")
    peer = world.peers[0]
    async with world.serve() as aggregator, world.silo(peer):
        connection = aggregator._connections.get(peer)
        assert connection is not None
        made = frame(aggregator, connection) if callable(frame) else frame
        connection.post_frame(made)
        await reached(world.silo_events[peer], matches)
    return world.silo_events[peer]


def is_lost_by(rule):
    def matches(event) -> bool:
        lost = isinstance(event, progress.Disconnected)
        return lost and event.reason.startswith(f"rule {rule}")

    return matches


@pytest.mark.parametrize(
    ("frame", "rule"),
    [
        (vector.chunk_frame(OTHER_SID, 0, b"chunk"), "7.1-1"),
        (b"\x07nonsense", "7.1-1"),
        (vector.envelope_frame(b"\xff"), "3.3"),
    ],
)
async def test_bytes_that_no_aggregator_sends_end_the_connection(frame, rule) -> None:
    await heard(frame, is_lost_by(rule))


def enveloped(envelope) -> bytes:
    return vector.envelope_frame(codec.encode_envelope(envelope))


async def test_what_only_a_silo_says_ends_the_connection_by_rule_8_6() -> None:
    def asked(aggregator, connection) -> bytes:
        fetch = Fetch(hash=bytes(32), offset=0)
        return enveloped(aggregator._reception._seal(connection, fetch))

    await heard(asked, is_lost_by("8-6"))


async def test_a_message_of_a_session_that_is_not_ours_is_left() -> None:
    def strange(aggregator, connection) -> bytes:
        missed = Missed(task_id="demo", round_no=1, reason="late")
        sealed = seal(
            missed,
            identity=aggregator._door.identity,
            receiver=connection.peer,
            sid=OTHER_SID,
            h=OTHER_SID,
        )
        return enveloped(sealed)

    def ignored(event) -> bool:
        return isinstance(event, progress.MessageIgnored) and event.rule == "8-6"

    seen = await heard(strange, ignored)
    assert not any(isinstance(event, progress.Disconnected) for event in seen)


async def test_a_silo_is_connected_until_its_line_is_cut_and_again_after() -> None:
    world = World(4, "memory")
    peer = world.peers[0]
    async with world.serve(), world.silo(peer) as silo:
        world.line(peer).up.clear()
        await world.line(peer).cut()
        await until(lambda: not silo.connected)
        world.line(peer).up.set()
        await until(lambda: silo.connected)
