"""What goes in and what comes out: models, inputs, noise, verdicts."""

import asyncio
import hashlib

import numpy as np
import pytest

from secagg import errors, pipeline
from secagg.drivers import progress
from secagg.messages import NoiseTerms
from secagg.privacy.ledger import Budget
from secagg.robust.check import Verdict
from tests.drivers.world import (
    PATIENCE_SECONDS,
    World,
    is_mean_of,
    reached,
    record_of,
)


def kinds(events, kind):
    return [event for event in events if isinstance(event, kind)]


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


async def test_noise_is_charged_and_a_spent_budget_stops_the_run(network) -> None:
    noise = NoiseTerms(
        mechanism="discrete-gaussian",
        noise_multiplier=2.0,
        adjacency="zero-out",
        delta=1e-5,
    )
    world = World(4, network, dp=noise)
    budget = Budget(epsilon=3.0, delta=1e-5)
    async with world.serve(budget=budget) as aggregator, world.silos() as silos:
        outcome, means = await world.round(aggregator, silos)
        epsilon = record_of(silos[world.peers[0]]).result.epsilon
        assert epsilon is not None
        assert 0 < epsilon < 3
        assert outcome.epsilon == epsilon
        work = [asyncio.create_task(world.contribute(silos[u], u)) for u in silos]
        with pytest.raises(errors.ReleaseRefused, match="budget of 3"):
            await aggregator.run_round()
        ends = await asyncio.gather(*work)
    for peer in world.peers:
        assert is_mean_of(outcome, means[peer])
    for end in ends:
        assert isinstance(end, errors.SessionAborted)
        assert "the privacy budget is spent" in str(end)


async def test_a_discarded_sum_is_refused_on_every_side(network, monkeypatch) -> None:
    world = World(4, network)
    verdict = Verdict(check="test", passed=False, detail="too large", fatal=True)

    def refuse(*args, **kwargs):
        raise pipeline.SumRefusedError((verdict,))

    monkeypatch.setattr(pipeline, "release", refuse)
    async with world.serve() as aggregator, world.silos() as silos:
        outcome, ends = await world.round(aggregator, silos)
        record = record_of(silos[world.peers[0]])
    assert not outcome.released
    assert outcome.mean is None
    assert record.result.verdicts[0].detail == "too large"
    for end in ends.values():
        assert isinstance(end, errors.ReleaseRefused)


async def test_a_silo_whose_input_does_not_fit_is_not_waited_for(network) -> None:
    """It says so (rule 0-1): no deadline has to pass before the round goes on."""
    world = World(5, network)
    peer, *others = world.peers
    async with world.serve() as aggregator, world.silos() as silos:
        work = [asyncio.create_task(world.contribute(silos[u], u)) for u in others]
        running = asyncio.create_task(aggregator.run_round())
        with pytest.raises(errors.InputError, match="shape"):
            await silos[peer].contribute(np.zeros(3))
        async with asyncio.timeout(PATIENCE_SECONDS):
            outcome = await running
            await asyncio.gather(*work)
    assert set(outcome.lost) == {peer}
    assert "0-1" in outcome.lost[peer].reason


async def test_a_silo_whose_caller_gives_up_is_not_waited_for(network) -> None:
    world = World(5, network)
    peer, *others = world.peers
    async with world.serve() as aggregator, world.silos() as silos:
        work = [asyncio.create_task(world.contribute(silos[u], u)) for u in others]
        mine = asyncio.create_task(world.contribute(silos[peer], peer))
        running = asyncio.create_task(aggregator.run_round())
        seen = world.silo_events[peer]
        await reached(seen, lambda e: isinstance(e, progress.SessionBegan))
        mine.cancel()
        async with asyncio.timeout(PATIENCE_SECONDS):
            outcome = await running
            await asyncio.gather(*work)
    assert set(outcome.lost) == {peer}
    assert "0-1" in outcome.lost[peer].reason


async def test_the_mean_goes_where_the_caller_says_in_its_precision(network) -> None:
    world = World(4, network)
    async with world.serve() as aggregator, world.silos() as silos:
        updates = {u: world.update(u).astype(np.float32) for u in silos}
        work = {
            u: asyncio.create_task(silo.contribute(updates[u], out=updates[u]))
            for u, silo in silos.items()
        }
        outcome = await aggregator.run_round()
        means = {u: await task for u, task in work.items()}
    assert outcome.mean is not None
    for peer, mean in means.items():
        assert mean is updates[peer]
        assert np.array_equal(mean, outcome.mean.astype(np.float32))


async def test_a_mean_that_cannot_be_written_is_refused_before_the_round(
    network,
) -> None:
    world = World(4, network)
    update = world.update(world.peers[0])
    sealed = update.copy()
    sealed.setflags(write=False)
    async with world.serve(), world.silos(world.peers[0]) as silos:
        with pytest.raises(errors.InputError, match="read-only"):
            await silos[world.peers[0]].contribute(update, out=sealed)
