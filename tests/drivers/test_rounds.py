"""Whole rounds over a transport: the sum over U3 is exact, whoever stays."""

import numpy as np
import pytest

from tests.drivers.world import (
    World,
    error_of,
    is_mean_of,
    record_of,
    sends,
    sends_chunk,
)


@pytest.mark.parametrize("count", [4, 6])
async def test_with_all_present_everybody_gets_the_mean_of_all(network, count) -> None:
    world = World(count, network)
    async with world.serve() as aggregator, world.silos() as silos:
        outcome, means = await world.round(aggregator, silos)
    assert outcome.sets["u3"] == tuple(world.peers)
    assert error_of(outcome, world.plain_mean(world.peers)) < 1
    for peer in world.peers:
        assert is_mean_of(outcome, means[peer])


async def test_a_rotated_round_gives_everybody_the_mean_of_all(network) -> None:
    world = World(4, network, rotation=True, bits=12)
    async with world.serve() as aggregator, world.silos() as silos:
        outcome, means = await world.round(aggregator, silos)
        again, _ = await world.round(aggregator, silos)
    assert outcome.sum is not None
    assert again.sum is not None
    assert len(outcome.sum) % 4096 == 0
    assert error_of(outcome, world.plain_mean(world.peers)) < 1
    for peer in world.peers:
        assert is_mean_of(outcome, means[peer])
    assert not np.array_equal(outcome.sum, again.sum)  # each round has its own seed


FALLS = {
    "advertise_keys": sends("AdvertiseKeys"),
    "share_keys": sends("ShareKeys"),
    "share_ack": sends("ShareAck"),
    "half_sent": sends_chunk(2),
    "masked_input": sends("MaskedInput"),
    "consistency": sends("Consistency"),
    "unmasking": sends("Unmasking"),
}
"""Where a line falls, and on which frame."""

STAYS_IN_THE_SUM = {"consistency", "unmasking"}


@pytest.mark.parametrize("fall", FALLS)
async def test_a_silo_lost_for_good_leaves_the_exact_sum_of_u3(network, fall) -> None:
    world = World(4, network)
    lost = world.peers[1]
    line = world.line(lost)
    line.fall_at, line.for_good = FALLS[fall], True
    world.lost.add(lost)
    async with world.serve() as aggregator, world.silos() as silos:
        outcome, means = await world.round(aggregator, silos)
    stayed = [u for u in world.peers if u != lost]
    u3 = world.peers if fall in STAYS_IN_THE_SUM else stayed
    assert outcome.sets["u3"] == tuple(u3)
    assert outcome.lost[lost].reason == "silent until the deadline"
    assert error_of(outcome, world.plain_mean(u3)) < 1
    for peer in stayed:
        assert is_mean_of(outcome, means[peer])


@pytest.mark.parametrize("fall", FALLS)
async def test_a_line_that_falls_for_a_moment_costs_nothing(network, fall) -> None:
    world = World(4, network)
    blipped = world.peers[2]
    world.line(blipped).fall_at = FALLS[fall]
    async with world.serve() as aggregator, world.silos() as silos:
        outcome, means = await world.round(aggregator, silos)
        assert record_of(silos[blipped]).included
    assert outcome.sets["u5"] == tuple(world.peers)
    assert not outcome.lost
    assert world.line(blipped).dials == 2
    assert is_mean_of(outcome, means[blipped])
