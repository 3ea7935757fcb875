"""Silos that come late, come back, come twice, or should not come at all."""

import asyncio
import dataclasses

import pytest

from secagg import errors
from secagg.drivers import progress
from secagg.drivers.silo.store import MemoryStore
from secagg.entropy import SeededEntropy
from secagg.rounds import share_keys
from tests.drivers.world import (
    World,
    is_mean_of,
    reached,
    record_of,
    sends,
    sends_chunk,
)


def kinds(events, kind):
    return [event for event in events if isinstance(event, kind)]


async def test_several_rounds_make_a_chain_of_links(network) -> None:
    world = World(4, network)
    outcomes = []
    async with world.serve() as aggregator, world.silos() as silos:
        for _ in range(3):
            outcome, _ = await world.round(aggregator, silos)
            outcomes.append(outcome)
            heads = {record_of(silo).link for silo in silos.values()}
            assert heads == {outcome.link}
    assert [one.round_no for one in outcomes] == [1, 2, 3]
    assert len({one.link for one in outcomes}) == 3


async def test_a_silo_that_was_away_walks_the_links_it_missed(network) -> None:
    world = World(5, network)
    absent, *others = world.peers
    store = MemoryStore()
    world.away.add(absent)
    async with world.serve() as aggregator, world.silos(*others) as silos:
        outcomes = [(await world.round(aggregator, silos))[0] for _ in range(2)]
        world.away.clear()
        async with world.silo(absent, state=store) as late:
            last, means = await world.round(aggregator, {**silos, absent: late})
    assert last.sets["u3"] == tuple(world.peers)
    assert store.head("demo") == last.link
    assert is_mean_of(last, means[absent])
    assert [o.round_no for o in outcomes] == [1, 2]


async def test_a_silo_ready_too_late_is_told_and_joins_the_next_round(network) -> None:
    world = World(5, network)
    late, *others = world.peers
    world.away.add(late)
    async with world.serve() as aggregator, world.silos() as silos:
        began = asyncio.Event()
        world.watchers.append(
            lambda e: began.set() if isinstance(e, progress.SessionBegan) else None
        )

        async def too_late():
            await silos[late].next_round()
            await began.wait()
            return await world.contribute(silos[late], late)

        missing = asyncio.create_task(too_late())
        in_time = {u: silos[u] for u in others}
        await reached(
            world.silo_events[late], lambda e: e.__class__ is progress.Connected
        )
        outcome, _ = await world.round(aggregator, in_time)
        error = await missing
        assert isinstance(error, errors.RoundMissed)
        assert late not in outcome.sets["u0"]
        world.away.clear()
        following, means = await world.round(aggregator, silos)
    assert late in following.sets["u3"]
    assert is_mean_of(following, means[late])


async def test_a_silo_whose_input_came_too_late_gets_the_mean(network) -> None:
    world = World(4, network)
    late = world.peers[3]
    line = world.line(late)
    line.fall_at, line.for_good = sends_chunk(2), True

    def come_back(event) -> None:
        consistency = isinstance(event, progress.PhaseReached)
        if consistency and event.phase == "consistency":
            line.up.set()

    world.watchers.append(come_back)
    async with world.serve() as aggregator, world.silos() as silos:
        outcome, means = await world.round(aggregator, silos)
        record = record_of(silos[late])
    assert late not in outcome.sets["u3"]
    assert not record.included
    assert outcome.lost[late].round == "masked_input"
    assert is_mean_of(outcome, means[late])


@pytest.mark.parametrize("failures", [1, 2])
async def test_an_attempt_that_fails_is_repeated_with_the_same_updates(
    network, failures
) -> None:
    world = World(6, network)
    # Three of six fall silent: below q = 4. They come back and say Ready again.
    blipped = world.peers[:3]
    falls = []

    def fall_and_return(event) -> None:
        if isinstance(event, progress.SessionBegan):
            falls.append(event.attempt)
            for peer in blipped:
                line = world.line(peer)
                if event.attempt <= failures:
                    line.fall_at, line.for_good = sends("ShareKeys"), True
        if isinstance(event, progress.SessionAborted):
            for peer in blipped:
                world.line(peer).up.set()

    world.watchers.append(fall_and_return)
    async with world.serve() as aggregator, world.silos() as silos:
        outcome, means = await world.round(aggregator, silos)
        assert len(record_of(silos[world.peers[0]]).attempts) == failures
    assert falls == list(range(1, failures + 2))
    assert [one.code for one in outcome.attempts] == ["4.3-7"] * failures
    assert outcome.attempts[0].missing == tuple(blipped)
    assert outcome.sets["u3"] == tuple(world.peers)
    for peer in world.peers:
        assert is_mean_of(outcome, means[peer])


async def test_after_three_attempts_the_round_ends_for_everybody(network) -> None:
    world = World(6, network)
    blipped = world.peers[:3]

    def fall_and_return(event) -> None:
        if isinstance(event, progress.SessionBegan):
            for peer in blipped:
                line = world.line(peer)
                line.fall_at, line.for_good = sends("ShareKeys"), True
        if isinstance(event, progress.SessionAborted):
            for peer in blipped:
                world.line(peer).up.set()

    world.watchers.append(fall_and_return)
    async with world.serve() as aggregator, world.silos() as silos:
        work = [asyncio.create_task(world.contribute(silos[u], u)) for u in silos]
        with pytest.raises(errors.SessionAborted) as caught:
            await aggregator.run_round()
        ends = await asyncio.gather(*work)
    assert caught.value.code == "4.3-7"
    assert caught.value.missing == tuple(blipped)
    assert [one.attempt for one in caught.value.attempts] == [1, 2, 3]
    for one in caught.value.attempts:
        assert one.missing == tuple(blipped)
        assert one.sets["u1"] == tuple(world.peers)
    for end in ends:
        assert isinstance(end, errors.SessionAborted)
        assert end.code == "4.3-7"
    assert len(kinds(world.events, progress.SessionBegan)) == 3


async def test_a_failure_after_roots_were_stated_ends_the_round(network) -> None:
    """Rule 4.7-6: those updates are spent, so there is no second attempt."""
    world = World(6, network)
    fallen = world.peers[:3]
    for peer in fallen:
        line = world.line(peer)
        line.fall_at, line.for_good = sends("Consistency"), True
    async with world.serve() as aggregator, world.silos() as silos:
        work = {u: asyncio.create_task(world.contribute(silos[u], u)) for u in silos}
        with pytest.raises(errors.SessionAborted) as caught:
            await aggregator.run_round()
        for peer in fallen:
            world.line(peer).up.set()
        ends = await asyncio.gather(*work.values())
    assert caught.value.code == "4.6-4"
    assert caught.value.missing == tuple(fallen)
    assert {(type(end), end.code) for end in ends} == {(errors.SessionAborted, "4.6-4")}
    assert len(kinds(world.events, progress.SessionBegan)) == 1


async def test_a_dealer_of_bad_shares_is_left_out_until_readmitted(
    network, monkeypatch
) -> None:
    world = World(5, network)
    bad, *others = world.peers
    honest_deal = share_keys.client_deal

    def deal(party, book, near, entropy):
        if party.me == bad:
            wrong = dataclasses.replace(party.keys, b_u=party.keys.b_u ^ 1)
            party = dataclasses.replace(party, keys=wrong)
        return honest_deal(party, book, near, entropy)

    monkeypatch.setattr(share_keys, "client_deal", deal)
    async with world.serve() as aggregator, world.silos() as silos:
        work = [asyncio.create_task(world.contribute(silos[u], u)) for u in silos]
        with pytest.raises(errors.SessionAborted) as caught:
            await aggregator.run_round()
        ends = await asyncio.gather(*work)
        assert caught.value.code == "4.7-4"
        assert {type(end) for end in ends} == {errors.SessionAborted}
        assert set(aggregator.blamed) == {bad}
        outcome, means = await world.round(aggregator, silos)
        assert outcome.sets["u3"] == tuple(others)
        assert isinstance(means[bad], errors.RoundMissed)
        assert "4.7-4" in str(means[bad])
        monkeypatch.undo()
        aggregator.readmit(bad)
        again, _ = await world.round(aggregator, silos)
    assert again.sets["u3"] == tuple(world.peers)


async def test_a_restarted_hospital_joins_the_next_round(network) -> None:
    """Rule 9-1: and not the session it was in."""
    world = World(4, network)
    killed, *others = world.peers
    line = world.line(killed)
    line.fall_at, line.for_good = sends("ShareKeys"), True
    world.lost.add(killed)
    store = MemoryStore()
    async with world.serve() as aggregator, world.silos(*others) as silos:
        async with world.silo(killed, state=store) as old:
            outcome, _ = await world.round(aggregator, {**silos, killed: old})
        assert outcome.lost[killed].round == "share_keys"
        world.lost.clear()
        line.up.set()
        async with world.silo(killed, state=store) as new:
            following, means = await world.round(aggregator, {**silos, killed: new})
    assert following.sets["u5"] == tuple(world.peers)
    assert is_mean_of(following, means[killed])


async def test_a_session_goes_on_without_a_process_that_was_restarted_in_it(
    network,
) -> None:
    world = World(4, network)
    killed, *others = world.peers
    line = world.line(killed)
    line.fall_at, line.for_good = sends("ShareKeys"), True
    store = MemoryStore()
    fallen = asyncio.Event()
    line.fallen = fallen.set
    async with world.serve() as aggregator, world.silos(*others) as silos:
        work = [asyncio.create_task(world.contribute(silos[u], u)) for u in others]
        async with world.silo(killed, state=store) as old:
            running = asyncio.create_task(aggregator.run_round())
            lost = asyncio.create_task(world.contribute(old, killed))
            await fallen.wait()
            lost.cancel()
            await asyncio.gather(lost, return_exceptions=True)
        line.up.set()
        async with world.silo(
            killed, state=store, entropy=SeededEntropy(b"new")
        ) as new:
            await reached(
                world.events,
                lambda e: isinstance(e, progress.Connected) and e.peer == killed,
            )
            world.lost.add(killed)
            world.away.add(killed)
            world.pass_time()
            outcome = await running
            await asyncio.gather(*work)
            del new
    assert outcome.sets["u3"] == tuple(others)
