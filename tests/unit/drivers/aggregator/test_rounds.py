import asyncio
import dataclasses

import pytest

from secagg import errors
from secagg.drivers import progress
from secagg.drivers.progress import RoundLate
from tests.drivers.fake_clock import until
from tests.drivers.world import World, sends


async def test_a_round_waits_for_its_minimum_beyond_the_deadline() -> None:
    world = World(5, "memory")
    first, *others = world.peers
    world.away = {*others}
    async with world.serve() as aggregator, world.silos(first) as silos:
        running = asyncio.create_task(aggregator.run_round())
        work = [asyncio.create_task(world.contribute(silos[first], first))]
        await until(lambda: any(isinstance(e, RoundLate) for e in world.events))
        assert aggregator.ready == (first,)
        world.away.clear()
        async with world.silos(*others) as more:
            work += [
                asyncio.create_task(world.contribute(silo, u))
                for u, silo in more.items()
            ]
            outcome = await running
            await asyncio.gather(*work)
    assert len(outcome.sets["u0"]) >= 4
    assert {*outcome.sets["u0"], *outcome.late} == {*world.peers}


async def test_terms_that_no_silo_would_join_are_a_parameter_error() -> None:
    world = World(4, "memory", bits=7)
    async with world.serve() as aggregator, world.silos() as silos:
        work = [asyncio.create_task(world.contribute(silos[u], u)) for u in silos]
        with pytest.raises(errors.ParameterError, match=r"2\.2-3"):
            await aggregator.run_round()
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)


async def test_a_round_stopped_by_its_operator_ends_for_everybody() -> None:
    world = World(4, "memory")
    async with world.serve() as aggregator, world.silos() as silos:
        world.watchers.append(
            lambda event: (
                aggregator.stop_round("maintenance")
                if isinstance(event, progress.SessionBegan)
                else None
            )
        )
        work = [asyncio.create_task(world.contribute(silos[u], u)) for u in silos]
        with pytest.raises(errors.SessionAborted, match="maintenance") as caught:
            await aggregator.run_round()
        ends = await asyncio.gather(*work)
    assert caught.value.code == "0-1"
    assert all(isinstance(end, errors.SecaggError) for end in ends)


async def test_an_outcome_has_the_traffic_and_durations_of_its_round() -> None:
    world = World(4, "memory")
    async with world.serve() as aggregator, world.silos() as silos:
        first, _ = await world.round(aggregator, silos)
        second, _ = await world.round(aggregator, silos)
    packed = world.task.length * 18 // 8
    for outcome in (first, second):
        for peer in world.peers:
            assert packed < outcome.traffic[peer].up < 2 * packed
        assert set(outcome.durations) >= {"advertise_keys", "masked_input", "opening"}


async def test_a_silo_that_refuses_the_terms_is_named_with_its_rule() -> None:
    world = World(5, "memory")
    strict, *others = world.peers
    policy = dataclasses.replace(world.policy, min_bits=24)
    async with (
        world.serve() as aggregator,
        world.silos(*others) as silos,
        world.silo(strict, policy=policy) as refusing,
    ):
        outcome, ends = await world.round(aggregator, {**silos, strict: refusing})
    assert outcome.lost[strict].round == "advertise_keys"
    assert "rule 4.1-5" in outcome.lost[strict].reason
    assert isinstance(ends[strict], errors.SessionAborted)
    assert ends[strict].code == "4.1-5"


async def test_the_wait_for_another_attempt_is_long_enough_to_reconnect() -> None:
    world = World(6, "memory", durations=(1000,) * 7)
    for peer in world.peers[:3]:
        line = world.line(peer)
        line.fall_at, line.for_good = sends("ShareKeys"), True
    again = []

    def expire(event) -> None:
        if isinstance(event, progress.SessionAborted):
            again.append(len(world.clock.deadlines))

    world.watchers.append(expire)
    async with world.serve(reconnect_seconds=20.0) as aggregator, world.silos() as s:
        work = [asyncio.create_task(world.contribute(s[u], u)) for u in s]
        running = asyncio.create_task(aggregator.run_round())
        await until(lambda: bool(again) and len(world.clock.deadlines) > again[0])
        running.cancel()
        for task in work:
            task.cancel()
        await asyncio.gather(running, *work, return_exceptions=True)
    assert world.clock.deadlines[again[0]] == 20.0
