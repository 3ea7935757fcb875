"""A hospital whose update is masked on its GPU, among others that have none."""

import numpy as np
import pytest
import torch

from secagg import errors
from secagg.engine import triton
from tests.drivers.world import World, error_of, is_mean_of, sends_chunk


@pytest.mark.usefixtures("fast_interpreter")
@pytest.mark.parametrize("network", ["memory"])
async def test_a_device_gives_the_mean_that_the_cpu_gives(network) -> None:
    """Same entropy, same bits: the sums of both worlds are one and the same."""
    sums = []
    for engine in ("numpy-threads", "triton"):
        world = World(4, network, length=9000)
        first, *others = world.peers
        async with (
            world.serve() as aggregator,
            world.silos(*others) as silos,
            world.silo(first, engine=engine) as silo,
        ):
            outcome, means = await world.round(aggregator, {first: silo, **silos})
        assert error_of(outcome, world.plain_mean(world.peers)) < 1
        assert all(is_mean_of(outcome, mean) for mean in means.values())
        sums.append(means[first])
    assert np.array_equal(sums[0], sums[1])


@pytest.mark.usefixtures("fast_interpreter")
@pytest.mark.parametrize("network", ["memory"])
async def test_5_1_a_nan_on_the_device_is_refused_by_name(network) -> None:
    world = World(4, network)
    update = {"head": torch.full((world.task.length,), torch.nan)}
    async with world.serve(), world.silo(world.peers[0], engine="triton") as silo:
        with pytest.raises(errors.InputError, match="'head'"):
            await silo.contribute(update)


@pytest.mark.parametrize("network", ["memory"])
async def test_a_gpu_that_is_not_there_is_missed_before_a_round(
    network, monkeypatch
) -> None:
    monkeypatch.setattr(triton, "_interpreted", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    world = World(4, network)
    async with world.serve():
        with pytest.raises(errors.ParameterError, match="needs an NVIDIA GPU"):
            async with world.silo(world.peers[0], engine="triton"):
                pass


@pytest.mark.usefixtures("fast_interpreter")
@pytest.mark.parametrize("network", ["memory"])
async def test_an_aggregator_opens_the_same_sum_on_its_gpu(
    network, monkeypatch
) -> None:
    """One silo is lost after its shares, so both kinds of masks are taken off."""
    sums, made = [], []
    table = triton.Triton.table

    def noted(machine, *given):
        made.append(len(given[0]))
        return table(machine, *given)

    monkeypatch.setattr(triton.Triton, "table", noted)
    for engine in ("numpy-threads", "triton"):
        world = World(5, network)
        lost, *others = world.peers
        world.lost.add(lost)
        line = world.line(lost)
        line.fall_at, line.for_good = sends_chunk(0), True
        async with world.serve(engine=engine) as aggregator, world.silos() as silos:
            outcome, _ = await world.round(aggregator, silos)
        assert outcome.sets["u3"] == tuple(others)
        assert error_of(outcome, world.plain_mean(others)) < 1
        sums.append(np.asarray(outcome.mean))
    assert np.array_equal(sums[0], sums[1])
    assert made
