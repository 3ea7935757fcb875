import asyncio
import dataclasses

import numpy as np
import pytest

from secagg import errors
from secagg.consortium import Consortium
from secagg.drivers.aggregator import aggregator as aggregator_module
from secagg.drivers.aggregator.aggregator import Aggregator, opened
from tests.drivers.fake_clock import until
from tests.drivers.world import World


async def test_one_round_at_a_time() -> None:
    world = World(4, "memory")
    async with world.serve() as aggregator:
        running = asyncio.create_task(aggregator.run_round())
        await asyncio.sleep(0)
        with pytest.raises(errors.LocalProtocolError, match="a round is running"):
            await aggregator.run_round()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_model_with_another_hash_is_refused() -> None:
    world = World(4, "memory")
    async with world.serve() as aggregator:
        with pytest.raises(errors.ParameterError, match="SHA-256"):
            await aggregator.run_round(model_hash=bytes(32), blob=b"model")


async def test_a_round_that_was_cancelled_goes_on_when_it_is_run_again() -> None:
    world = World(4, "memory")
    async with world.serve() as aggregator, world.silos() as silos:
        first = asyncio.create_task(aggregator.run_round())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        outcome, _ = await world.round(aggregator, silos)
        assert aggregator.open_round is None
    assert outcome.round_no == 1
    assert aggregator.last_outcome is outcome


async def test_a_round_on_another_model_is_another_round() -> None:
    world = World(4, "memory")
    async with world.serve() as aggregator, world.silos() as silos:
        first = asyncio.create_task(aggregator.run_round())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        outcome, _ = await world.round(aggregator, silos, model_hash=bytes([1]) * 32)
    assert outcome.round_no == 2


async def test_who_is_connected_is_known() -> None:
    world = World(4, "memory")
    async with world.serve() as aggregator:
        async with world.silos():
            await until(lambda: aggregator.connected == tuple(world.peers))
        await until(lambda: not aggregator.connected)


async def test_the_next_model_is_published_with_the_result() -> None:
    world = World(4, "memory")
    async with (
        world.serve(next_model=lambda mean: mean.tobytes()) as aggregator,
        world.silos() as silos,
    ):
        outcome, _ = await world.round(aggregator, silos)
        assert outcome.mean is not None
        model = outcome.mean.tobytes()
        digest = outcome.result.next_model_hash
        assert digest is not None
        assert await silos[world.peers[0]].fetch(digest, len(model)) == model


async def test_the_last_outcome_is_there_after_a_restart(tmp_path) -> None:
    world = World(4, "memory")
    async with world.serve(state=tmp_path) as aggregator, world.silos() as silos:
        outcome, _ = await world.round(aggregator, silos)
    async with world.serve(state=tmp_path) as again:
        restored = again.last_outcome
    assert restored is not None
    assert outcome.mean is not None
    assert restored.mean is not None
    assert np.array_equal(restored.mean, outcome.mean)
    assert (restored.sid, restored.link) == (outcome.sid, outcome.link)
    assert restored.sets == outcome.sets


async def test_an_identity_that_is_no_aggregator_serves_nobody() -> None:
    world = World(4, "memory")
    other = Consortium.of(4, b"other").aggregator
    settings = dataclasses.replace(world.settings(), identity=other)
    with pytest.raises(errors.ConnectionRefused, match="is no aggregator"):
        async with opened(settings):
            pass


async def test_a_state_directory_has_one_aggregator(tmp_path) -> None:
    world = World(4, "memory")
    async with world.serve(state=tmp_path):
        with pytest.raises(errors.StateError, match="another process"):
            Aggregator(world.settings(state=tmp_path))


async def test_a_next_model_that_raises_ends_the_round_for_everybody() -> None:
    world = World(4, "memory")
    faults = iter([ValueError("a bug of the caller's")])

    def next_model(mean):
        for fault in faults:
            raise fault
        return mean.tobytes()

    async with (
        world.serve(next_model=next_model) as aggregator,
        world.silos() as silos,
    ):
        work = [asyncio.create_task(world.contribute(silos[u], u)) for u in silos]
        with pytest.raises(ValueError, match="a bug of the caller's"):
            await aggregator.run_round()
        ends = await asyncio.gather(*work)
        assert {(type(end), end.code) for end in ends} == {
            (errors.SessionAborted, "0-2")
        }
        outcome, _ = await world.round(aggregator, silos)
    assert outcome.round_no == 2


async def test_an_observer_that_raises_changes_nothing() -> None:
    world = World(4, "memory")
    loop, reported = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: reported.append(context))

    def full(event) -> None:
        raise OSError(28, "No space left on device")

    async with world.serve(observer=full) as aggregator, world.silos() as silos:
        outcome, _ = await world.round(aggregator, silos)
    assert outcome.sets["u5"] == tuple(world.peers)
    assert {type(one["exception"]) for one in reported} == {OSError}


async def hang() -> None:
    await asyncio.Event().wait()


async def test_leaving_does_not_wait_for_a_member_that_reads_no_further(
    monkeypatch,
) -> None:
    monkeypatch.setattr(aggregator_module, "DELIVERY_SECONDS", 0.0)
    world = World(4, "memory")
    async with world.serve() as aggregator, world.silos() as silos:
        await world.round(aggregator, silos)
        stuck = asyncio.create_task(hang())
        connection = aggregator._connections.get(world.peers[0])
        assert connection is not None
        aggregator._reception.library._serving[connection] = stuck
        async with asyncio.timeout(5):
            await aggregator.deliver()
        stuck.cancel()
