"""A stopped aggregator goes on from its journal: the same session, the exact sum."""

import asyncio
import contextlib

import pytest

from secagg.drivers import progress
from tests.drivers.fake_clock import until
from tests.drivers.world import (
    PATIENCE_SECONDS,
    World,
    error_of,
    is_mean_of,
    sends,
)


def reaches(phase: str):
    return lambda event: (
        isinstance(event, progress.PhaseReached) and event.phase == phase
    )


STOPS = {
    "advertise_keys": lambda event: isinstance(event, progress.SessionBegan),
    "share_keys": reaches("share_keys"),
    "share_ack": reaches("share_ack"),
    "masked_input": reaches("masked_input"),
    "mid_upload": lambda event: (
        isinstance(event, progress.ChunkStored) and event.chunks == 2
    ),
    "one_stored": lambda event: (
        isinstance(event, progress.ChunkStored) and event.chunks == event.total
    ),
    "consistency": reaches("consistency"),
    "unmasking": reaches("unmasking"),
    "opening": reaches("opening"),
    "done": reaches("done"),
}
"""What the aggregator has just done when it is stopped."""


@contextlib.asynccontextmanager
async def stopped_at(world, matches, state, peers=()):
    """Run a round until the event, stop the aggregator, and yield silos and work."""
    stop = asyncio.Event()
    world.watchers.append(lambda event: stop.set() if matches(event) else None)
    async with contextlib.AsyncExitStack() as stack:
        async with world.serve(state=state) as aggregator:
            silos = await stack.enter_async_context(world.silos(*peers))
            work = started(world, silos)
            running = asyncio.create_task(aggregator.run_round())
            await stop.wait()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        world.watchers.clear()
        yield silos, work


def started(world, silos):
    return {u: asyncio.create_task(world.contribute(silos[u], u)) for u in silos}


async def taken_up(world, aggregator, work):
    """Wait for the round that was stopped, or take its outcome if it was over."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        outcome = aggregator.last_outcome or await aggregator.run_round()
        return outcome, await asyncio.gather(*work.values())


@pytest.mark.parametrize("stop", STOPS)
async def test_a_restart_completes_the_same_session(network, stop, tmp_path) -> None:
    world = World(4, network)
    async with (
        stopped_at(world, STOPS[stop], tmp_path) as (_, work),
        world.serve(state=tmp_path) as second,
    ):
        before = {e.sid for e in world.events if isinstance(e, progress.SessionBegan)}
        outcome, means = await taken_up(world, second, work)
    assert {outcome.sid} == before
    assert outcome.sets["u3"] == tuple(world.peers)
    assert error_of(outcome, world.plain_mean(world.peers)) < 1
    for mean in means:
        assert is_mean_of(outcome, mean)


async def test_silos_that_restart_during_an_attempt_are_told_of_the_next(
    network, monkeypatch
) -> None:
    world = World(4, network)
    # The deadline passes only once they are back.
    monkeypatch.setattr(world, "pass_time", lambda: None)
    restarted, stay = world.peers[:2], world.peers[2:]
    async with world.serve() as aggregator, world.silos(*stay) as silos:
        work = started(world, silos)
        async with world.silos(*restarted) as old:
            for peer in restarted:
                line = world.line(peer)
                line.fall_at, line.for_good = sends("ShareKeys"), True
            lost = started(world, old)
            running = asyncio.create_task(aggregator.run_round())
            down = [world.line(peer).up for peer in restarted]
            await until(lambda: not any(up.is_set() for up in down))
            await stopped(lost)
        world.clock.deadlines.clear()
        for up in down:
            up.set()
        async with world.silos(*restarted) as new:
            await until(lambda: aggregator.connected == tuple(world.peers))
            work |= started(world, new)
            world.clock.expire()
            async with asyncio.timeout(PATIENCE_SECONDS):
                outcome = await running
                means = await asyncio.gather(*work.values())
    assert world.clock.deadlines[0] == 15.0
    assert outcome.sets["u3"] == tuple(world.peers)
    for mean in means:
        assert is_mean_of(outcome, mean)


async def stopped(work) -> None:
    for task in work.values():
        task.cancel()
    await asyncio.gather(*work.values(), return_exceptions=True)
