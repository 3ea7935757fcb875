"""An older copy of a hospital's state is found out by what the others show it.

Rule 9-6: by its own vote or its place in U3 of a link that it does not know, and by its
own signature in the KeyList of a session that runs.
"""

import asyncio
import contextlib
import shutil

import pytest

from secagg import errors
from secagg.drivers.silo.forgotten import accept_loss
from secagg.drivers.silo.store import SqliteStore
from tests.drivers.fake_clock import until
from tests.drivers.world import PATIENCE_SECONDS, World, is_mean_of, sends


@contextlib.asynccontextmanager
async def all_silos(world, state):
    """All silos; the first one on a state directory, the others as they were."""
    first, *others = world.peers
    async with world.silos(*others) as silos, world.silo(first, state=state) as own:
        yield {first: own, **silos}


async def a_round(world, aggregator, state):
    async with all_silos(world, state) as silos:
        return await world.round(aggregator, silos)


async def after_it_was_put_back(world, aggregator, tmp_path, rounds):
    """Let rounds pass that a copy of the state does not know of; put it in place."""
    state, copy = tmp_path / "state", tmp_path / "copy"
    await a_round(world, aggregator, state)
    shutil.copytree(state, copy)
    for _ in range(rounds):
        await a_round(world, aggregator, state)
    shutil.rmtree(state)
    shutil.copytree(copy, state)
    return state


async def refused(world, aggregator, state) -> str:
    """Open a round in which the first silo refuses; it ends without it."""
    first = world.peers[0]
    async with all_silos(world, state) as silos:
        running = asyncio.create_task(aggregator.run_round())
        work = [asyncio.create_task(world.contribute(silos[u], u)) for u in silos]
        end = await work[0]
        assert isinstance(end, errors.StateRolledBack), end
        world.away.add(first)
        await until(lambda: len(aggregator.ready) == len(world.peers) - 1)
        world.clock.expire()
        outcome = await running
        await asyncio.gather(*work)
        world.away.clear()
    assert first not in outcome.sets["u3"]
    return str(end)


@pytest.mark.parametrize("rounds", [1, 3])
async def test_an_older_copy_is_found_out_by_the_chain(
    network, tmp_path, rounds
) -> None:
    world = World(5, network)
    async with world.serve() as aggregator, asyncio.timeout(4 * PATIENCE_SECONDS):
        state = await after_it_was_put_back(world, aggregator, tmp_path, rounds)
        said = await refused(world, aggregator, state)
        assert "the last it knows is round 1 attempt 1" in said
        assert f"up to round {rounds + 2}" in said
        assert "secagg accept-loss" in said


async def test_a_loss_that_was_accepted_costs_the_rounds_up_to_now(
    network, tmp_path
) -> None:
    world = World(5, network)
    async with world.serve() as aggregator, asyncio.timeout(4 * PATIENCE_SECONDS):
        state = await after_it_was_put_back(world, aggregator, tmp_path, 1)
        await refused(world, aggregator, state)
        with SqliteStore(state) as store:
            with pytest.raises(errors.StateError, match="no loss"):
                accept_loss(store, "other")
            assert accept_loss(store, "demo") == 3
            assert store.last_joined("demo") == (3, 3)
            assert store.spent("demo", 3)
        outcome, means = await a_round(world, aggregator, state)
        assert outcome.sets["u3"] == tuple(world.peers)
        assert is_mean_of(outcome, means[world.peers[0]])


async def test_until_the_loss_is_accepted_no_round_is_joined(network, tmp_path) -> None:
    """Also when nothing shows it any more: the disk knows of it now."""
    world = World(5, network)
    async with world.serve() as aggregator, asyncio.timeout(4 * PATIENCE_SECONDS):
        state = await after_it_was_put_back(world, aggregator, tmp_path, 1)
        first = await refused(world, aggregator, state)
        assert await refused(world, aggregator, state) == first


async def test_a_new_directory_in_the_place_of_a_lost_one_is_an_older_copy(
    network, tmp_path
) -> None:
    world = World(5, network)
    async with world.serve() as aggregator, asyncio.timeout(4 * PATIENCE_SECONDS):
        await a_round(world, aggregator, tmp_path / "lost")
        said = await refused(world, aggregator, tmp_path / "new")
        assert "round 0 attempt 0" in said


async def test_a_state_that_is_up_to_date_passes_whatever_was_missed(
    network, tmp_path
) -> None:
    """It voted, its line fell before the Result, and it comes back rounds later."""
    world = World(5, network)
    first, state = world.peers[0], tmp_path / "state"
    async with world.serve() as aggregator, asyncio.timeout(4 * PATIENCE_SECONDS):
        async with all_silos(world, state) as silos:
            line = world.line(first)
            running = asyncio.create_task(aggregator.run_round())
            work = [asyncio.create_task(world.contribute(silos[u], u)) for u in silos]
            line.fall_at, line.for_good = sends("Unmasking"), True
            outcome = await running
            await asyncio.gather(*work[1:])
            work[0].cancel()
            await asyncio.gather(work[0], return_exceptions=True)
        assert first in outcome.sets["u3"]
        line.up.set()
        outcome, _ = await a_round(world, aggregator, state)
        assert outcome.sets["u3"] == tuple(world.peers)


async def dies_at(world, peer, state, type_) -> None:
    """Let a silo take part until it would say this, and no further."""
    line = world.line(peer)
    line.fall_at, line.for_good = sends(type_), True
    async with world.silo(peer, state=state) as silo:
        work = asyncio.create_task(world.contribute(silo, peer))
        await until(lambda: not line.up.is_set())
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    line.up.set()


async def starts(world, peer, state) -> None:
    """Connect and wait for a round that is never announced: a session runs."""
    async with world.silo(peer, state=state) as silo:
        await silo.next_round()


async def test_an_older_copy_is_found_out_by_a_session_that_runs(
    network, tmp_path, monkeypatch
) -> None:
    """Its own signature in the KeyList, which nobody else can make."""
    world = World(5, network)
    # The session waits for the one that is lost until the test says otherwise.
    monkeypatch.setattr(world, "pass_time", lambda: None)
    first, *others = world.peers
    state, copy = tmp_path / "state", tmp_path / "copy"
    async with world.serve() as aggregator, asyncio.timeout(4 * PATIENCE_SECONDS):
        await a_round(world, aggregator, state)
        shutil.copytree(state, copy)
        async with world.silos(*others) as silos:
            running = asyncio.create_task(aggregator.run_round())
            work = [asyncio.create_task(world.contribute(silos[u], u)) for u in others]
            await dies_at(world, first, state, "ShareKeys")
            with pytest.raises(errors.StateRolledBack, match="up to round 2"):
                await starts(world, first, copy)
            running.cancel()
            for one in (running, *work):
                one.cancel()
            await asyncio.gather(running, *work, return_exceptions=True)
