"""A disk that fails once, wherever that is, costs a wait and nothing else (9-3)."""

import asyncio
import contextlib
import errno
import itertools
import os

import pytest

from secagg import durable, errors
from secagg.drivers import progress
from secagg.drivers.aggregator.blobs import BlobStore
from secagg.drivers.aggregator.journal import Journal
from secagg.drivers.aggregator.spool import FileSpool, UploadLostError
from tests.drivers.world import PATIENCE_SECONDS, World, error_of, is_mean_of

COUNT = 4
EVENTS = [0, *range(COUNT - 1, 7 * COUNT, COUNT), 7 * COUNT]
"""The first, the one that ends each phase, and the opened sum: each member has keys,
shares, an ack, a vector, a root, a vote and a release."""


@pytest.fixture
def fails(monkeypatch):
    """Have a method raise once, at its call of this number; return when it did."""

    def arrange(owner, name, at, error=None):
        really, calls, raised = getattr(owner, name), itertools.count(), []

        def call(*given, **named):
            if next(calls) == at:
                raised.append(at)
                raise error or errors.StateError("the disk is full")
            return really(*given, **named)

        monkeypatch.setattr(owner, name, call)
        return raised

    return arrange


@contextlib.asynccontextmanager
async def halted(world, raised):
    """Run a round until the disk fails; yield the aggregator and the silos' work."""
    async with world.serve() as aggregator, world.silos() as silos:
        work = [asyncio.create_task(world.contribute(silos[u], u)) for u in silos]
        async with asyncio.timeout(PATIENCE_SECONDS):
            with pytest.raises(errors.StateError):
                await aggregator.run_round()
        assert raised
        yield aggregator, work


async def is_whole(world, aggregator, work) -> None:
    """Run it again: the same session ends in the exact sum, and silos have it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        outcome = await aggregator.run_round()
        means = await asyncio.gather(*work)
    began = [e.sid for e in world.events if isinstance(e, progress.SessionBegan)]
    assert began == [outcome.sid]
    assert outcome.round_no == 1
    assert outcome.sets["u3"] == tuple(world.peers)
    assert error_of(outcome, world.plain_mean(world.peers)) < 1
    assert all(is_mean_of(outcome, mean) for mean in means)
    assert aggregator.open_round is None


@pytest.mark.parametrize("at", EVENTS)
async def test_an_event_that_could_not_be_journaled_is_given_again(fails, at) -> None:
    world = World(COUNT, "memory")
    raised = fails(Journal, "append", at)
    async with halted(world, raised) as (aggregator, work):
        await is_whole(world, aggregator, work)


@pytest.mark.parametrize(
    "step", ["open_round", "open_session", "add_link", "end_session", "close_round"]
)
async def test_a_round_goes_on_at_the_step_that_failed(fails, step) -> None:
    world = World(COUNT, "memory")
    raised = fails(Journal, step, 0)
    async with halted(world, raised) as (aggregator, work):
        await is_whole(world, aggregator, work)


@pytest.mark.parametrize(
    ("read", "at"), [("blamed", 1), ("blamed", COUNT), ("head", 0), ("last_round", 1)]
)
async def test_what_cannot_be_read_for_a_silo_ends_the_wait_for_it(
    fails, read, at
) -> None:
    """At its Ready, or when it is told of the round: it would wait for ever."""
    world = World(COUNT, "memory")
    raised = fails(Journal, read, at)
    async with halted(world, raised) as (aggregator, work):
        await is_whole(world, aggregator, work)


@pytest.mark.parametrize("at", [0, 5, 15])
async def test_a_chunk_that_had_no_room_is_sent_again(fails, at) -> None:
    world = World(COUNT, "memory")
    full = errors.StateError("no room")
    raised = fails(FileSpool, "append", at, full)
    async with halted(world, raised) as (aggregator, work):
        await is_whole(world, aggregator, work)


async def test_an_upload_that_was_not_synced_is_sent_anew(monkeypatch) -> None:
    world, really = World(COUNT, "memory"), durable.sync
    raised: list[str] = []

    def sync(path):
        if path.name in world.consortium.silos and not raised:
            raised.append(path.name)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        really(path)

    monkeypatch.setattr(durable, "sync", sync)
    async with halted(world, raised) as (aggregator, work):
        await is_whole(world, aggregator, work)
    again = [
        event.chunks
        for event in world.events
        if isinstance(event, progress.ChunkStored) and event.peer == raised[0]
    ]
    assert again == [1, 2, 3, 1, 2, 3, 4]


async def test_a_sum_whose_release_had_no_room_is_opened_again(fails) -> None:
    """Its updates are spent: no other session may have them (rule 4.1-8)."""
    world = World(COUNT, "memory")
    raised = fails(BlobStore, "write", 0)
    async with halted(world, raised) as (aggregator, work):
        await is_whole(world, aggregator, work)


async def test_a_sum_of_which_an_upload_is_lost_ends_for_everybody(fails) -> None:
    world = World(COUNT, "memory")
    raised = fails(FileSpool, "read", 3, UploadLostError("not what it sent"))
    async with halted(world, raised) as (aggregator, work):
        async with asyncio.timeout(PATIENCE_SECONDS):
            ends = await asyncio.gather(*work)
        assert {(type(end), end.code) for end in ends} == {
            (errors.SessionAborted, "0-2")
        }
        assert aggregator.open_round is None


async def test_a_disk_that_is_full_still_is_said_again(fails) -> None:
    world = World(COUNT, "memory")
    raised = fails(Journal, "append", 9)
    async with halted(world, raised) as (aggregator, work):
        fails(Journal, "last_round", 0)
        with pytest.raises(errors.StateError, match="full"):
            await aggregator.run_round()
        await is_whole(world, aggregator, work)


async def test_the_next_round_on_another_model_ends_the_one_that_broke(fails) -> None:
    world = World(COUNT, "memory")
    raised = fails(Journal, "append", 9)
    async with halted(world, raised) as (aggregator, work):
        model = bytes([1]) * 32
        running = asyncio.create_task(aggregator.run_round(model_hash=model))
        async with asyncio.timeout(PATIENCE_SECONDS):
            ends = await asyncio.gather(*work)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        opened = aggregator.open_round
    assert {type(end) for end in ends} <= {errors.SessionAborted, errors.RoundMissed}
    assert opened is not None
    assert opened.round_no == 2
