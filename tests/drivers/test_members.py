"""Silos that come late, come back, come twice, or should not come at all."""

import asyncio
import hashlib

import numpy as np
import pytest

from secagg import errors
from secagg.drivers import progress
from secagg.drivers.store import MemoryStore
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from tests.drivers.fake_clock import FakeClock
from tests.drivers.world import (
    World,
    is_mean_of,
    reached,
    record_of,
    sends,
    sends_chunk,
)


def kinds(events, kind):
    return [event for event in events if isinstance(event, kind)]


async def test_several_rounds_make_a_chain_of_links(network) -> None:
    world = World(4, network)
    outcomes = []
    async with world.serve() as aggregator, world.silos() as silos:
        for _ in range(3):
            outcome, _ = await world.round(aggregator, silos)
            outcomes.append(outcome)
            heads = {record_of(silo).link for silo in silos.values()}
            assert heads == {outcome.link}
    assert [one.round_no for one in outcomes] == [1, 2, 3]
    assert len({one.link for one in outcomes}) == 3


async def test_a_silo_that_was_away_walks_the_links_it_missed(network) -> None:
    world = World(5, network)
    absent, *others = world.peers
    store = MemoryStore()
    world.away.add(absent)
    async with world.serve() as aggregator, world.silos(*others) as silos:
        outcomes = [(await world.round(aggregator, silos))[0] for _ in range(2)]
        world.away.clear()
        async with world.silo(absent, state=store) as late:
            last, means = await world.round(aggregator, {**silos, absent: late})
    assert last.sets["u3"] == tuple(world.peers)
    assert store.head("demo") == last.link
    assert is_mean_of(last, means[absent])
    assert [o.round_no for o in outcomes] == [1, 2]


async def test_a_silo_ready_too_late_is_told_and_joins_the_next_round(network) -> None:
    world = World(5, network)
    late, *others = world.peers
    world.away.add(late)
    async with world.serve() as aggregator, world.silos() as silos:
        began = asyncio.Event()
        world.watchers.append(
            lambda e: began.set() if isinstance(e, progress.SessionBegan) else None
        )

        async def too_late():
            await silos[late].next_round()
            await began.wait()
            return await world.contribute(silos[late], late)

        missing = asyncio.create_task(too_late())
        in_time = {u: silos[u] for u in others}
        await reached(
            world.silo_events[late], lambda e: e.__class__ is progress.Connected
        )
        outcome, _ = await world.round(aggregator, in_time)
        error = await missing
        assert isinstance(error, errors.RoundMissed)
        assert late not in outcome.sets["u0"]
        world.away.clear()
        following, means = await world.round(aggregator, silos)
    assert late in following.sets["u3"]
    assert is_mean_of(following, means[late])


async def test_a_silo_whose_input_came_too_late_gets_the_mean(network) -> None:
    world = World(4, network)
    late = world.peers[3]
    line = world.line(late)
    line.fall_at, line.for_good = sends_chunk(2), True

    def come_back(event) -> None:
        consistency = isinstance(event, progress.PhaseReached)
        if consistency and event.phase == "consistency":
            line.up.set()

    world.watchers.append(come_back)
    async with world.serve() as aggregator, world.silos() as silos:
        outcome, means = await world.round(aggregator, silos)
        record = record_of(silos[late])
    assert late not in outcome.sets["u3"]
    assert not record.included
    assert outcome.lost[late].round == "masked_input"
    assert is_mean_of(outcome, means[late])


@pytest.mark.parametrize("failures", [1, 2])
async def test_an_attempt_that_fails_is_repeated_with_the_same_updates(
    network, failures
) -> None:
    world = World(6, network)
    # Three of six fall silent: below q = 4. They come back and say Ready again.
    blipped = world.peers[:3]
    falls = []

    def fall_and_return(event) -> None:
        if isinstance(event, progress.SessionBegan):
            falls.append(event.attempt)
            for peer in blipped:
                line = world.line(peer)
                if event.attempt <= failures:
                    line.fall_at, line.for_good = sends("ShareKeys"), True
        if isinstance(event, progress.SessionAborted):
            for peer in blipped:
                world.line(peer).up.set()

    world.watchers.append(fall_and_return)
    async with world.serve() as aggregator, world.silos() as silos:
        outcome, means = await world.round(aggregator, silos)
        assert len(record_of(silos[world.peers[0]]).attempts) == failures
    assert falls == list(range(1, failures + 2))
    assert [one.code for one in outcome.attempts] == ["4.3-7"] * failures
    assert outcome.attempts[0].missing == tuple(blipped)
    assert outcome.sets["u3"] == tuple(world.peers)
    for peer in world.peers:
        assert is_mean_of(outcome, means[peer])


async def test_after_three_attempts_the_round_ends_for_everybody(network) -> None:
    world = World(6, network)
    blipped = world.peers[:3]

    def fall_and_return(event) -> None:
        if isinstance(event, progress.SessionBegan):
            for peer in blipped:
                line = world.line(peer)
                line.fall_at, line.for_good = sends("ShareKeys"), True
        if isinstance(event, progress.SessionAborted):
            for peer in blipped:
                world.line(peer).up.set()

    world.watchers.append(fall_and_return)
    async with world.serve() as aggregator, world.silos() as silos:
        work = [asyncio.create_task(world.contribute(silos[u], u)) for u in silos]
        with pytest.raises(errors.SessionAborted) as caught:
            await aggregator.run_round()
        ends = await asyncio.gather(*work)
    assert caught.value.code == "4.3-7"
    assert caught.value.missing == tuple(blipped)
    for end in ends:
        assert isinstance(end, errors.SessionAborted)
        assert end.code == "4.3-7"
    assert len(kinds(world.events, progress.SessionBegan)) == 3


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
    newer = type(roster)(
        consortium=roster.consortium, version=2, members=roster.members
    )
    async with world.serve():
        with pytest.raises(errors.ConnectionRefused, match="secagg roster list") as e:
            async with world.silo(peer, roster=newer):
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
        with pytest.raises(errors.ConnectionRefused, match="is no hospital in version"):
            async with world.silo(peer, identity=stranger):
                pass
    assert world.line(peer).dials == 0


async def test_a_model_is_fetched_by_its_hash_over_a_line_that_falls(network) -> None:
    world = World(4, network)
    model = np.random.default_rng(1).bytes((3 << 20) + 17)
    digest = hashlib.sha256(model).digest()
    peer = world.peers[0]
    async with world.serve() as aggregator, world.silos() as silos:
        running = asyncio.create_task(
            aggregator.run_round(model_hash=digest, blob=model)
        )
        opened = await silos[peer].next_round()
        seen = world.silo_events[peer]

        async def fall() -> None:
            await reached(seen, lambda e: isinstance(e, progress.Fetched))
            await world.line(peer).cut()

        falling = asyncio.create_task(fall())
        assert await silos[peer].fetch(opened.model_hash) == model
        await falling
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_input_that_does_not_fit_is_refused_before_anything_is_sent(
    network,
) -> None:
    world = World(4, network)
    peer = world.peers[0]
    async with world.serve() as aggregator, world.silos() as silos:
        with pytest.raises(errors.InputError, match="NaN"):
            await silos[peer].contribute(np.full(world.task.length, np.nan))
        work = [
            asyncio.create_task(world.contribute(silos[u], u)) for u in world.peers[1:]
        ]
        running = asyncio.create_task(aggregator.run_round())
        with pytest.raises(errors.InputError, match="shape"):
            await silos[peer].contribute(np.zeros(3))
        running.cancel()
        for task in work:
            task.cancel()
        await asyncio.gather(running, *work, return_exceptions=True)
