"""The coins through the machines: who bends one, withholds one, or comes back midway.

The regular graph of eight members, of whom one may be lost, unless a test says other.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import codec, events
from secagg import messages as msg
from secagg.cohort import Carried
from secagg.names import Round
from secagg.policy import Policy
from secagg.transitions import COLLECTING
from tests.helpers import (
    AGGREGATOR,
    assert_aborted,
    assert_completed,
    assert_exact,
    scene,
    silo,
    silos,
)
from tests.invariants import check_all
from tests.machine.forge import lying, resigned
from tests.machine.lies import only, refusals
from tests.machine.test_sparse import NEVER, ends_as_expected
from tests.rules_off import switched_off
from tests.samples import blob
from tests.unit.test_server import restarted

SPARSE: dict[str, Any] = {"n": 8, "c": 0, "m": 2, "graph": "regular", "losses": 1}
ALL = silos(1, 2, 3, 4, 5, 6, 7, 8)
ME = silo(2)
LAX = Policy(
    min_members=3, corruption_bound=0, smallest_sparse=0, sparse_corrupt_percent=0
)


def sent(world, peer, type_):
    """What a client sent of this type."""
    return [e for e in world.clients[peer].sent if e.type == type_]


def checked(world):
    check_all(world.clients.values(), world.consortium.roster, 0)


def late_until(world, phase):
    """Run up to a phase; where nothing is on its way, a deadline passes."""
    while world.server.phase != phase:
        go_on(world)


def ended(world):
    """Run to the end."""
    while world.outcome(AGGREGATOR) is None:
        go_on(world)
    return world.pump().outcome(AGGREGATOR)


def go_on(world):
    if world._queue:
        world._deliver(world._queue.popleft())
    else:
        round_ = Round(world.server.phase.value)
        world.tell_server(events.DeadlinePassed(round=round_))


# --- the aggregator


def swapped(message):
    return msg.CoinList(coins=(*message.coins[:3], blob(9), *message.coins[4:]))


def exchanged(message):
    first, second, *rest = message.coins
    return msg.CoinList(coins=(second, first, *rest))


LIES = [
    (swapped, "4.10-1"),
    (exchanged, "4.10-1"),
    (lambda m: msg.CoinList(coins=m.coins[:-1]), "4.10-2"),
    (lambda m: msg.CoinList(coins=()), "4.10-2"),
    (lambda m: msg.CoinList(coins=(*m.coins, blob(9))), "4.10-2"),
]


def lied_to_me(type_, lie):
    """A session in which one list is another one for me alone."""
    world = scene(**SPARSE)
    lying(world, **{type_: only(ME, lie)})
    world.run()
    checked(world)
    return world


@pytest.mark.parametrize(("lie", "rule"), LIES)
def test_a_client_deals_on_no_graph_of_other_coins(lie, rule) -> None:
    world = lied_to_me("CoinList", lie)
    assert refusals(world) == {ME: [rule]}
    assert sent(world, ME, "ShareKeys") == []
    assert_exact(world, [u for u in ALL if u != ME])


def bent_signature(message):
    first, *rest = message.entries
    return msg.KeyList(entries=(replace(first, signature=bytes(64)), *rest))


def without_commitment(message):
    *rest, last = message.entries
    bare = replace(last.keys, coin_commitment=None)
    return msg.KeyList(entries=(*rest, replace(last, keys=bare)))


CLOSED = [
    (lambda m: msg.KeyList(entries=m.entries[:4]), "4.2-4"),
    (lambda m: msg.KeyList(entries=m.entries[::-1]), "4.2-1"),
    (lambda m: msg.KeyList(entries=(m.entries[0], *m.entries[2:])), "4.2-3"),
    (bent_signature, "4.2-2"),
    (without_commitment, "4.2-5"),
]


@pytest.mark.parametrize(("lie", "rule"), CLOSED)
def test_4_10_4_no_coin_is_opened_under_a_key_list_that_is_refused(lie, rule) -> None:
    world = lied_to_me("KeyList", lie)
    assert refusals(world) == {ME: [rule]}
    assert sent(world, ME, "Coin") == []


def test_4_10_4_a_key_list_that_comes_again_opens_the_same_coin() -> None:
    world = scene(**SPARSE).started().until("coin")
    [key_list] = [c for c in world.waiting("KeyList") if c.receiver == ME]
    for _ in range(3):
        world.tell_client(
            ME, events.Received(peer=AGGREGATOR, envelope=key_list.envelope)
        )
    opened = sent(world, ME, "Coin")
    assert len(opened) == 3
    assert opened[1:] == opened[:-1]
    assert len(world.clients[ME].outbox) == 2


def test_two_lists_of_coins_cannot_both_be_those_of_one_key_list() -> None:
    """Half of the clients are shown another graph: they refuse it, all of them."""
    half = ALL[:4]
    world = scene(**SPARSE)
    lying(world, CoinList=lambda m, to: swapped(m) if to in half else m)
    world.run()
    assert refusals(world) == {u: ["4.10-1"] for u in half}
    end = world.outcome(AGGREGATOR)
    assert isinstance(end, events.Aborted)
    checked(world)


def test_a_second_list_of_coins_ends_the_session_of_who_is_shown_it() -> None:
    world = scene(**SPARSE).started().until("share_ack")
    body = codec.encode_body(msg.CoinList(coins=(blob(1),) * 8))
    [first] = [
        effect.envelope
        for effect in world.effects[AGGREGATOR]
        if isinstance(effect, events.Send)
        and (effect.receiver, effect.envelope.type) == (ME, "CoinList")
    ]
    second = replace(first, body=body)
    world.tell_client(ME, events.Received(peer=AGGREGATOR, envelope=second))
    assert refusals(world) == {ME: ["3.4-7"]}


def test_without_4_10_1_a_swapped_coin_gives_a_graph_that_not_all_drew() -> None:
    with switched_off("4.10-1"):
        world = scene(**SPARSE)
        lying(world, CoinList=only(ME, swapped))
        world.run()
    with pytest.raises(AssertionError, match="a graph of other coins"):
        checked(world)


def test_without_4_10_2_a_withheld_coin_gives_one_as_well() -> None:
    with switched_off("4.10-2"):
        world = scene(**SPARSE)
        lying(world, CoinList=only(ME, LIES[2][0]))
        world.run()
    with pytest.raises(ValueError, match="shorter"):
        checked(world)


# --- a member


def bending(world, peer, coin):
    """Let `peer` open another coin than it committed to."""

    def network(carried):
        if carried.sender != peer or carried.envelope.type != "Coin":
            return (carried,)
        h1 = world.server._state.h1
        return (Carried(peer, AGGREGATOR, resigned(world, peer, coin, h1)),)

    world.network = network
    return world


def test_who_opens_another_coin_is_named_and_the_next_attempt_goes_well() -> None:
    bad = silo(8)
    world = bending(scene(**SPARSE, policy=LAX), bad, msg.Coin(coin=blob(9)))
    world.run()
    assert_aborted(world, "4.10-3", [bad])
    assert world.server.dropped == {bad: "4.10-1"}
    end = world.outcome(AGGREGATOR)
    assert isinstance(end, events.Aborted)
    assert end.retry
    del world.clients[bad]
    world.task = replace(world.task, graph="complete", losses=None)
    again = world.next_session(attempt=2)
    again.network = lambda carried: (carried,)
    again.run()
    assert_exact(again, ALL[:-1])
    assert_completed(again, ALL[:-1])


def test_a_coin_of_the_attempt_before_opens_nothing() -> None:
    world = scene(**SPARSE, silent={8: "coin"})
    world.run()
    [old] = sent(world, silo(1), "Coin")
    again = world.next_session(attempt=2)
    body = codec.decode_body("Coin", old.body, members=8)
    bending(again, silo(1), body)
    again.silent = {}
    again.run()
    assert again.server.dropped == {silo(1): "4.10-1"}
    assert_aborted(again, "4.10-3", [silo(1)])


# --- crashes and cuts


def test_9_3_an_aggregator_restarted_among_the_coins_draws_the_same_graph() -> None:
    world, undisturbed = scene(**SPARSE), scene(**SPARSE)
    undisturbed.run()
    world.started().until("coin")
    world._deliver(world._queue.popleft())
    world.server, _ = restarted(world)
    world.pump()
    assert world.outcome(AGGREGATOR) == undisturbed.outcome(AGGREGATOR)
    assert_exact(world, ALL)


@pytest.mark.parametrize("phase", [phase.value for phase in COLLECTING])
def test_9_3_a_session_restarted_in_any_phase_ends_as_it_would_have(phase) -> None:
    silent = {4: "masked_input"}
    world, undisturbed = scene(**SPARSE, silent=silent), scene(**SPARSE, silent=silent)
    undisturbed.run()
    late_until(world.started(), phase)
    world.server, _ = restarted(world)
    assert ended(world) == undisturbed.outcome(AGGREGATOR)
    assert_exact(world, [u for u in ALL if u != silo(4)])
    checked(world)


def test_9_3_after_the_coins_the_journal_alone_gives_the_graph_again() -> None:
    world = scene(**SPARSE)
    world.run()
    server, effects = restarted(world)
    assert server._state == world.server._state
    for u in ALL:
        near = world.server._state.graph.neighbours(u)
        assert server._state.graph.neighbours(u) == near
    assert effects == world.effects[AGGREGATOR]


@pytest.mark.parametrize("phase", ["coin", "share_keys"])
def test_8_5_a_client_cut_off_among_the_coins_goes_on_where_it_was(phase) -> None:
    """S repeats what follows the client's transcript, the client what it said."""
    world = scene(**SPARSE).started().until(phase)
    lost = [c for c in world._queue if ME in {c.sender, c.receiver}]
    for carried in lost:
        world._queue.remove(carried)
    world.pump()
    client = world.clients[ME]
    for envelope in world.server.replay(ME, client.transcript):
        world.tell_client(ME, events.Received(peer=AGGREGATOR, envelope=envelope))
    for envelope in client.outbox:
        world.tell_server(events.Received(peer=ME, envelope=envelope))
    world.pump()
    assert_exact(world, ALL)
    assert_completed(world, ALL)


def test_who_misses_the_deadline_of_the_coins_is_waited_for_until_then() -> None:
    world = scene(**SPARSE, silent={5: "coin"}).started()
    world.pump()
    assert world.server.phase == "coin"
    assert world.server.expected == {silo(5)}
    world.tell_server(events.DeadlinePassed(round=Round.COIN))
    assert_aborted(world, "4.10-3", [silo(5)])


# --- every pattern


@settings(max_examples=25)
@given(
    since=st.dictionaries(
        st.integers(1, 12), st.sampled_from([0, 2, 3, 4, 5, 6, NEVER]), max_size=3
    )
)
def test_any_losses_end_as_the_floors_and_neighbours_say(since) -> None:
    """Of twelve members of whom two may be lost: the exact sum, or the rule missed."""
    ends_as_expected(since, 12, 1, 2)
