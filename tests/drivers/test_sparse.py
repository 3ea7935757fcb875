"""Rounds on the regular graph over a transport: all there, one cut off, one lost."""

import asyncio
import threading

import pytest

from secagg import errors, graph, params
from secagg.drivers import progress
from secagg.messages import Ready
from secagg.policy import Policy
from tests.drivers.world import World, error_of, is_mean_of, sends

COUNT = 9
POLICY = Policy(corruption_bound=0, smallest_sparse=COUNT - 1, sparse_corrupt_percent=0)


def sparse(network, **other):
    """Nine silos on a regular graph, of whom one may be lost."""
    world = World(
        COUNT, network, corruption_bound=0, graph="regular", losses=1, **other
    )
    world.policy = POLICY
    return world


@pytest.mark.parametrize("type_", [None, "Coin", "ShareKeys", "Unmasking"])
async def test_with_all_present_or_cut_off_for_a_moment_all_get_the_mean(
    network, type_
) -> None:
    world = sparse(network)
    if type_ is not None:
        world.line(world.peers[2]).fall_at = sends(type_)
    async with world.serve() as aggregator, world.silos() as silos:
        outcome, means = await world.round(aggregator, silos)
    assert outcome.sets["u3"] == tuple(world.peers)
    assert outcome.attempts == ()
    assert error_of(outcome, world.plain_mean(world.peers)) < 1
    for peer in world.peers:
        assert is_mean_of(outcome, means[peer])


async def test_the_base_graph_is_made_beside_by_everybody_before_the_coins(
    network, monkeypatch
) -> None:
    """At a thousand members it takes a second that no event may wait for."""
    made = []
    prepare = graph.prepared

    def prepared(n, k):
        made.append(threading.get_ident())
        return prepare(n, k)

    monkeypatch.setattr(params, "prepared", prepared)
    world = sparse(network)
    async with world.serve() as aggregator, world.silos() as silos:
        await world.round(aggregator, silos)
    assert len(made) == 1 + COUNT
    assert threading.get_ident() not in made


async def test_one_lost_before_its_coin_costs_an_attempt_and_is_named(network) -> None:
    world = sparse(network)
    lost, *others = world.peers
    world.lost = {lost}
    line = world.line(lost)
    line.fall_at, line.for_good = sends("Coin"), True
    async with world.serve() as aggregator, world.silos() as silos:
        outcome, means = await world.round(aggregator, silos)
    [attempt] = outcome.attempts
    assert (attempt.code, attempt.missing) == ("4.10-3", (lost,))
    assert outcome.sets["u3"] == tuple(others)
    for peer in others:
        assert is_mean_of(outcome, means[peer])


async def test_one_that_kept_its_coin_is_out_of_the_round_though_ready_again(
    network,
) -> None:
    """Else it could end every attempt, by Ready, keys and silence."""
    world = sparse(network)
    lost, *others = world.peers
    world.lost = {lost}
    line = world.line(lost)
    line.fall_at, line.for_good = sends("Coin"), True
    back: list[asyncio.Task[None]] = []

    async def come_back(aggregator) -> None:
        await settled()
        round_ = aggregator._stage.round
        anew = Ready(
            task_id=world.task.task_id,
            round_no=round_.row.round_no,
            model_hash=round_.row.model_hash,
            ready_nonce=bytes(32),
        )
        round_.gathering.add(lost, anew)

    async with world.serve() as aggregator, world.silos() as silos:

        def watch(event) -> None:
            if isinstance(event, progress.SessionAborted):
                back.append(asyncio.create_task(come_back(aggregator)))

        world.watchers.append(watch)
        outcome, _ = await world.round(aggregator, silos)
    await asyncio.gather(*back)
    assert len(back) == len(outcome.attempts) == 1
    assert outcome.sets["u0"] == tuple(others)


async def settled() -> None:
    """The attempt that failed is dealt with."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_too_few_left_for_a_regular_graph_end_the_round_and_are_told(
    network,
) -> None:
    """Eight have one, seven have none: there is no other attempt."""
    world = World(8, network, corruption_bound=0, graph="regular", losses=1)
    world.policy = POLICY
    lost = world.peers[0]
    world.lost = {lost}
    line = world.line(lost)
    line.fall_at, line.for_good = sends("Coin"), True
    async with world.serve() as aggregator, world.silos() as silos:
        with pytest.raises(errors.SessionAborted, match=r"4\.10-3") as caught:
            await world.round(aggregator, silos)
    assert caught.value.missing == (lost,)
