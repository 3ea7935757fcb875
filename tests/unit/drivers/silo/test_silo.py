import asyncio
import contextlib
import dataclasses
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import secagg
from secagg import errors
from secagg.drivers.progress import (
    PeerDeclined,
    Progress,
    RoundDeclined,
    RoundOpened,
)
from secagg.drivers.silo.fetching import NoBlobError
from secagg.drivers.silo.store import SqliteStore
from secagg.messages import Extra
from secagg.policy import Policy
from secagg.task import Task
from tests.drivers.fake_clock import until
from tests.drivers.world import World, is_mean_of, reached, record_of


async def test_the_mean_comes_back_in_the_form_that_went_in() -> None:
    world = World(4, "memory", length=6)
    updates: dict[str, dict[str, Any]] = {
        peer: {
            "w": np.full((2, 2), k / 100, dtype=np.float32),
            "b": np.full(2, -k / 100, dtype=np.float64),
        }
        for k, peer in enumerate(world.peers)
    }
    async with world.serve() as aggregator, world.silos() as silos:
        work = [
            asyncio.create_task(silos[u].contribute(updates[u])) for u in world.peers
        ]
        await aggregator.run_round()
        means = await asyncio.gather(*work)
    for mean in means:
        assert (mean["w"].shape, mean["w"].dtype) == ((2, 2), np.float32)
        assert (mean["b"].shape, mean["b"].dtype) == ((2,), np.float64)
        assert mean["w"] == pytest.approx(np.full((2, 2), 0.015), abs=2e-4)


async def test_a_model_with_counters_is_contributed_by_its_layout() -> None:
    world = World(4, "memory", length=4)
    model = OrderedDict(w=np.full(4, 0.25), steps=np.array(7))
    layout = secagg.Layout.of(model, ["steps"])
    async with world.serve() as aggregator, world.silos() as silos:
        work = [silos[u].contribute(model, layout=layout) for u in world.peers]
        _, *means = await asyncio.gather(aggregator.run_round(), *work)
    for mean in means:
        assert type(mean) is OrderedDict
        assert list(mean) == ["w", "steps"]
        assert mean["steps"] == 7
        assert mean["w"] == pytest.approx(model["w"], abs=2e-4)


async def test_weights_and_extras_are_summed_unseen() -> None:
    count = Extra(name="patients", low=0, high=10_000)
    world = World(4, "memory", weighting="weighted", max_weight=100, extras=(count,))
    weights = dict(zip(world.peers, (10, 20, 30, 40), strict=True))
    async with world.serve() as aggregator, world.silos() as silos:
        work = [
            asyncio.create_task(
                silos[u].contribute(
                    world.update(u),
                    weight=weights[u],
                    extras={"patients": 7 * weights[u]},
                )
            )
            for u in world.peers
        ]
        outcome = await aggregator.run_round()
        means = await asyncio.gather(*work)
    assert outcome.extras == {"patients": 700, "weight": 100}
    expected = sum(weights[u] * world.update(u) for u in world.peers) / 100
    assert outcome.error is not None
    assert np.abs(means[0] - expected).max() < outcome.error.worst


async def test_a_program_that_trains_first_takes_up_each_round_once() -> None:
    world = World(4, "memory")
    async with world.serve() as aggregator, world.silos() as silos:

        async def take_part(peer):
            numbers = []
            for _ in range(2):
                opened = await silos[peer].next_round()
                await silos[peer].contribute(world.update(peer))
                numbers.append(opened.round_no)
            return numbers

        work = [asyncio.create_task(take_part(u)) for u in world.peers]
        for _ in range(2):
            await aggregator.run_round()
        assert await asyncio.gather(*work) == [[1, 2]] * 4


async def test_an_update_of_an_older_round_is_not_carried_over() -> None:
    world = World(5, "memory")
    slow, *others = world.peers
    world.away.add(slow)
    async with world.serve() as aggregator, world.silos() as silos:
        quick = {u: silos[u] for u in others}
        taking = asyncio.create_task(silos[slow].next_round())
        await world.round(aggregator, quick)
        assert (await taking).round_no == 1
        await world.round(aggregator, quick)
        running = asyncio.create_task(aggregator.run_round())
        seen = world.silo_events[slow]
        await reached(
            seen, lambda e: isinstance(e, RoundOpened) and e.round.round_no == 3
        )
        with pytest.raises(errors.RoundMissed, match="round 3 of task demo is open"):
            await silos[slow].contribute(world.update(slow))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def other_task(world: World) -> Task:
    return dataclasses.replace(world.task, task_id="other")


async def test_hospitals_that_stay_up_join_a_new_task() -> None:
    """Its rounds count from 1 again, whatever the last task came to."""
    world = World(4, "memory")
    async with contextlib.AsyncExitStack() as stack:
        async with world.serve() as aggregator:
            silos = await stack.enter_async_context(world.silos())
            for _ in range(2):
                await world.round(aggregator, silos)
        async with world.serve(task=other_task(world)) as aggregator:
            outcome, means = await world.round(aggregator, silos)
            assert outcome.round_no == 1
            assert is_mean_of(outcome, means[world.peers[0]])


async def test_an_update_of_an_older_task_is_not_carried_over() -> None:
    world = World(4, "memory")
    peer = world.peers[0]
    async with contextlib.AsyncExitStack() as stack:
        async with world.serve() as aggregator:
            silo = await stack.enter_async_context(world.silo(peer))
            running = asyncio.create_task(aggregator.run_round())
            await silo.next_round()
            await cancelled(running)
        async with world.serve(task=other_task(world)) as aggregator:
            running = asyncio.create_task(aggregator.run_round())
            await reached(world.silo_events[peer], announces_the_other_task)
            with pytest.raises(errors.RoundMissed, match="1 of task other is open"):
                await silo.contribute(world.update(peer))
            await cancelled(running)


async def cancelled(running: asyncio.Task[Any]) -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def announces_the_other_task(event: Progress) -> bool:
    return isinstance(event, RoundOpened) and event.round.task_id == "other"


@pytest.mark.parametrize(
    ("given", "named"),
    [({"weight": 2.0}, "the weight"), ({"extras": {"loss": 0.5}}, "extra 'loss'")],
)
async def test_a_float_where_an_integer_belongs_costs_no_more_than_the_call(
    given, named
) -> None:
    loss = Extra(name="loss", low=0, high=10)
    world = World(4, "memory", weighting="weighted", max_weight=5, extras=(loss,))
    async with world.serve() as aggregator, world.silos() as silos:
        running = asyncio.create_task(aggregator.run_round())
        with pytest.raises(errors.InputError, match=f"{named} is a float"):
            await silos[world.peers[0]].contribute(
                world.update(world.peers[0]), **given
            )
        work = [
            silos[u].contribute(world.update(u), weight=1, extras={"loss": 1})
            for u in world.peers
        ]
        await asyncio.gather(*work)
        assert (await running).sets["u3"] == tuple(world.peers)


async def test_a_mean_that_is_not_kept_any_more_is_a_missed_round(monkeypatch) -> None:
    world = World(4, "memory")
    peer = world.peers[0]

    async def gone(digest, size, into) -> None:
        raise NoBlobError("the aggregator has no blob")

    async with world.serve() as aggregator, world.silos() as silos:
        monkeypatch.setattr(silos[peer]._inquiries, "fetch", gone)
        _, ends = await world.round(aggregator, silos)
        assert isinstance(ends[peer], errors.RoundMissed)
        assert "fetch the model of the next round" in str(ends[peer])
        assert record_of(silos[peer]).included


async def test_the_line_is_urgent_from_the_opening_of_a_round_to_its_end() -> None:
    world = World(4, "memory")
    async with world.serve() as aggregator, world.silos() as silos:
        silo = silos[world.peers[0]]
        assert not silo._reception._urgent()
        running = asyncio.create_task(aggregator.run_round())
        await silo.next_round()
        assert silo._reception._urgent()
        work = [world.contribute(silos[u], u) for u in world.peers]
        await asyncio.gather(running, *work)
        assert not silo._reception._urgent()


async def test_one_contribution_at_a_time() -> None:
    world = World(4, "memory")
    peer = world.peers[0]
    async with world.serve() as aggregator, world.silos(peer) as silos:
        running = asyncio.create_task(aggregator.run_round())
        first = asyncio.create_task(silos[peer].contribute(world.update(peer)))
        await until(lambda: silos[peer]._reception.participation is not None)
        with pytest.raises(
            errors.LocalProtocolError, match="a contribution is running"
        ):
            await silos[peer].contribute(world.update(peer))
        for task in (first, running):
            task.cancel()
        await asyncio.gather(first, running, return_exceptions=True)
        assert silos[peer]._reception.participation is None


async def test_a_blob_of_unknown_size_is_not_fetched() -> None:
    world = World(4, "memory")
    async with world.serve(), world.silos(world.peers[0]) as silos:
        with pytest.raises(errors.LocalProtocolError, match="give its size"):
            await silos[world.peers[0]].fetch(bytes(32))


async def test_a_blob_that_the_aggregator_does_not_have_is_said() -> None:
    world = World(4, "memory")
    async with world.serve(), world.silos(world.peers[0]) as silos:
        with pytest.raises(errors.LocalProtocolError, match="no blob"):
            await silos[world.peers[0]].fetch(bytes(32), 10)


async def test_a_silo_remembers_across_processes(tmp_path) -> None:
    world = World(4, "memory")
    peer, *others = world.peers
    async with world.serve() as aggregator, world.silos(*others) as silos:
        for round_no in (1, 2):
            async with world.silo(peer, state=tmp_path) as fresh:
                outcome, _ = await world.round(aggregator, {**silos, peer: fresh})
                assert record_of(fresh).link == outcome.link
            with SqliteStore(tmp_path) as store:
                assert store.last_joined("demo") == (round_no, 1)
                assert store.spent("demo", round_no)
                assert store.head("demo") == outcome.link
                assert len(store.receipts("demo")) == round_no
                assert store.receipts("demo")[-1].u3 == outcome.sets["u3"]


async def test_a_closed_silo_takes_no_part() -> None:
    world = World(4, "memory")
    async with world.serve():
        async with world.silo(world.peers[0]) as silo:
            pass
        with pytest.raises(errors.LocalProtocolError, match="closed"):
            await silo.next_round()


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize(
    ("policy", "detail"),
    [
        (Policy(tasks=frozenset({"a", "b"})), "task demo is not among the 2 of tasks"),
        (
            Policy(models=frozenset({b"\1" * 32})),
            f"model {'00' * 32} is not among the 1 of models",
        ),
    ],
)
async def test_8_10_a_round_that_the_policy_declines_goes_on_without_this_silo(
    policy, detail
) -> None:
    world = World(5, "memory")
    peer, *others = world.peers
    async with (
        world.serve() as aggregator,
        world.silos(*others) as silos,
        world.silo(peer, policy=policy) as declining,
    ):
        waiting = asyncio.create_task(declining.next_round())
        outcome, _ = await world.round(aggregator, silos)
        assert outcome.sets["u3"] == tuple(others)
        assert not waiting.done()
        waiting.cancel()
    (told,) = of_kind(world.events, PeerDeclined)
    (said,) = of_kind(world.silo_events[peer], RoundDeclined)
    for event in (told, said):
        assert (event.round_no, event.rule) == (1, "4.1-5")
        assert event.detail == f"{detail} (this hospital's policy)"
    assert told.peer == peer


async def test_8_10_what_a_caller_declines_is_said_again_on_the_next_connection() -> (
    None
):
    world = World(4, "memory")
    peer = world.peers[0]
    async with world.serve() as aggregator, world.silo(peer) as silo:
        running = asyncio.create_task(aggregator.run_round())
        opened = await silo.next_round()
        world.line(peer).up.clear()
        await world.line(peer).cut()
        await until(lambda: not silo.connected)
        silo.decline("shapes \u00e9 of the model")
        assert not of_kind(world.events, PeerDeclined)
        world.line(peer).up.set()
        await reached(world.events, lambda event: isinstance(event, PeerDeclined))
        await cancelled(running)
    (told,) = of_kind(world.events, PeerDeclined)
    assert (told.round_no, told.detail) == (opened.round_no, "shapes ? of the model")


async def test_8_10_nothing_is_declined_before_it_is_taken_up() -> None:
    world = World(4, "memory")
    async with world.serve(), world.silo(world.peers[0]) as silo:
        with pytest.raises(errors.LocalProtocolError, match="nothing to decline"):
            silo.decline("why")
