"""Who is not let in, and what it is told to do about it."""

import dataclasses

import pytest

from secagg import errors
from secagg.drivers import progress
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.messages import LOBBY_SID, Missed, RoundOpen
from secagg.names import SessionId
from secagg.signing import seal
from tests.drivers.fake_clock import FakeClock
from tests.drivers.world import (
    World,
    is_mean_of,
    reached,
)


def kinds(events, kind):
    return [event for event in events if isinstance(event, kind)]


async def test_the_newest_connection_of_an_identity_wins(network) -> None:
    world = World(4, network)
    twice = world.peers[0]
    async with (
        world.serve() as aggregator,
        world.silos(*world.peers[1:]) as silos,
        world.silo(twice) as older,
        world.silo(twice) as newer,
    ):
        with pytest.raises(errors.ConnectionRefused, match="rule 8-4"):
            await older.next_round()
        outcome, means = await world.round(aggregator, {**silos, twice: newer})
    assert outcome.sets["u3"] == tuple(world.peers)
    assert is_mean_of(outcome, means[twice])


async def test_a_roster_that_differs_is_refused_with_the_remedy(network) -> None:
    world = World(4, network)
    peer = world.peers[0]
    roster = world.consortium.roster
    other = dataclasses.replace(roster, previous=bytes(32))
    async with world.serve():
        with pytest.raises(errors.ConnectionRefused, match="secagg roster show") as e:
            async with world.silo(peer, roster=other):
                pass
        assert "rule 8-2" in str(e.value)
        await reached(world.events, lambda e: isinstance(e, progress.PeerRefused))
    (refused,) = kinds(world.events, progress.PeerRefused)
    assert (refused.peer, refused.rule) == (peer, "8-2")


@pytest.mark.parametrize("minutes", [-61, 61])
async def test_a_clock_an_hour_off_is_refused_with_the_remedy(network, minutes) -> None:
    world = World(4, network)
    peer = world.peers[0]
    wrong = FakeClock(world.clock.now_ms() + minutes * 60_000)
    async with world.serve():
        with pytest.raises(errors.ConnectionRefused, match=r"61 min .* NTP") as e:
            async with world.silo(peer, clock=wrong):
                pass
        assert "rule 8-3" in str(e.value)
        await reached(world.events, lambda e: isinstance(e, progress.PeerRefused))


async def test_a_key_that_is_not_enrolled_is_refused_before_dialling(network) -> None:
    world = World(4, network)
    peer = world.peers[0]
    stranger = Identity.generate(peer, SeededEntropy(b"stranger"))
    async with world.serve():
        with pytest.raises(errors.ConnectionRefused, match="rule 8-9"):
            async with world.silo(peer, identity=stranger):
                pass
    assert world.line(peer).dials == 0


async def test_what_a_silo_leaves_alone_is_said_once() -> None:
    world = World(4, "memory")
    peer = world.peers[0]
    missed = Missed(task_id="demo", round_no=1, reason="no session of yours")
    opened = RoundOpen(
        task_id="demo",
        round_no=1,
        model_hash=bytes(32),
        model_size=0,
        previous_link=bytes(32),
    )

    def says(message, sid, h):
        aggregator = world.consortium.aggregator
        return seal(message, identity=aggregator, receiver=peer, sid=sid, h=h)

    async with world.serve() as aggregator, world.silo(peer):
        connection = aggregator._connections.get(peer)
        assert connection is not None
        for _ in range(100):
            connection.post(says(missed, SessionId(bytes([7]) * 32), bytes(32)))
        connection.post(says(opened, LOBBY_SID, connection.hc))
        seen = world.silo_events[peer]
        await reached(seen, lambda e: isinstance(e, progress.RoundOpened))
    assert len(kinds(seen, progress.MessageIgnored)) == 1
