"""Rounds on the regular graph over a transport: all there, one cut off, one lost."""

import pytest

from secagg import errors
from secagg.policy import Policy
from tests.drivers.world import World, error_of, is_mean_of, sends

COUNT = 9
POLICY = Policy(corruption_bound=0, smallest_sparse=COUNT - 1)


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
