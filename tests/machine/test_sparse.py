"""The regular graph through the machines: losses, and an aggregator that drops some.

What must come of each loss is worked out here from the neighbours and the floors alone:
an exact sum over U3, or an abort by the rule whose floor is missed.
"""

import itertools

import pytest

from secagg import events
from secagg.alike import carried_out_by
from secagg.cohort import LOSS_ROUNDS
from secagg.graph import degree_of
from secagg.names import Round
from secagg.simulation.meter import SharedWork
from tests.helpers import AGGREGATOR, assert_aborted, assert_exact, scene, silo, silos
from tests.invariants import check_all
from tests.machine.forge import lying
from tests.machine.lies import refusals

N, C, D = 12, 1, 1
NEVER = len(LOSS_ROUNDS)
ADVERTISE, COIN, SHARE, ACK, INPUT, VOTE, RELEASE = range(NEVER)


def run(since, n=N, c=C, d=D):
    """A session on the regular graph, who is silent from which round on."""
    silent = {u: LOSS_ROUNDS[r].value for u, r in since.items() if r != NEVER}
    world = scene(n, c, 1, graph="regular", losses=d, silent=silent)
    with carried_out_by(SharedWork()):
        world.run()
    check_all(world.clients.values(), world.consortium.roster, c)
    return world


def expected(world, since, n=N, c=C, d=D):
    """The rule that ends the session, or None and U3."""
    degree, quorum = degree_of(n, c, d), (n + c) // 2 + 1
    first = {silo(u): since.get(u, NEVER) for u in range(1, n + 1)}
    there = [{u for u in first if first[u] > r} for r in range(NEVER)]
    if len(there[ADVERTISE]) < quorum:
        return "4.2-4", set()
    if there[COIN] != there[ADVERTISE]:
        return "4.10-3", set()
    if len(there[SHARE]) < quorum:
        return "4.3-7", set()
    # From here on the graph is known.
    near = {u: {*world.server._state.graph.neighbours(u)} for u in first}
    acked = {u: len((near[u] | {u}) & there[ACK]) for u in there[SHARE]}
    u2 = {u for u, ones in acked.items() if ones > degree.least}
    u3 = core(near, u2 & there[INPUT], degree.least)
    released = {v: len((near[v] | {v}) & there[RELEASE]) for v in u2}
    floors = (
        ("4.4-3", len(u2) >= quorum),
        ("4.5-5", len(u3) >= n - d),
        ("4.6-4", len(there[VOTE]) >= quorum),
        ("4.7-3", all(count >= degree.t for count in released.values())),
    )
    return next((rule for rule, held in floors if not held), None), u3


def core(near, alive, least):
    while poor := {u for u in alive if len(near[u] & alive) < least}:
        alive = alive - poor
    return alive


def ends_as_expected(since, n=N, c=C, d=D):
    """The rule that ended the session as it had to, or None and the sum is exact."""
    world = run(since, n, c, d)
    rule, u3 = expected(world, since, n, c, d)
    if rule is None:
        assert_exact(world, u3)
        return None
    end = world.outcome(AGGREGATOR)
    assert isinstance(end, events.Aborted)
    assert (end.code, world.opened) == (rule, None)
    return rule


def test_nobody_lost_gives_the_exact_sum_of_all() -> None:
    world = run({})
    assert_exact(world, silos(*range(1, N + 1)))


@pytest.mark.parametrize("round_", [r for r in range(NEVER) if r != COIN])
def test_one_lost_in_any_round_but_the_coins_gives_the_exact_sum(round_) -> None:
    for lost in (1, N):
        world = run({lost: round_})
        gone = {lost} if round_ <= INPUT else set()
        assert_exact(world, silos(*sorted({*range(1, N + 1)} - gone)))


@pytest.mark.parametrize("lost", [1, 6, N])
def test_one_that_opens_no_coin_costs_the_attempt_and_is_named(lost) -> None:
    world = run({lost: COIN})
    assert_aborted(world, "4.10-3", silos(lost))
    end = world.outcome(AGGREGATOR)
    assert isinstance(end, events.Aborted)
    assert end.retry
    for client in world.clients.values():
        assert not client.sent or client.sent[-1].type in {"AdvertiseKeys", "Coin"}


@pytest.mark.parametrize("first", range(NEVER))
def test_two_lost_where_one_may_be_give_the_exact_sum_or_an_abort(first) -> None:
    for second in range(first, NEVER):
        ends_as_expected({2: first, 7: second})


@pytest.mark.parametrize("round_", [SHARE, INPUT, RELEASE])
def test_as_many_lost_at_once_as_the_graph_was_made_for(round_) -> None:
    assert ends_as_expected(dict.fromkeys((3, 4, 9, 16), round_), 16, 1, 4) is None


# --- the aggregator: whom it drops


def without(message, gone):
    kept = tuple(entry for entry in message.entries if entry.peer not in gone)
    return type(message)(entries=kept)


def test_dropping_so_many_neighbours_that_one_has_too_few_is_refused_by_all() -> None:
    n, d = 43, 13
    degree = degree_of(n, 0, d)
    assert degree.k - d < degree.least
    world = scene(n, 0, 1, graph="regular", losses=d)
    victim = silo(5)

    def dropped(message, _):
        near = world.server._state.graph.neighbours(victim)
        return without(message, near[:d])

    lying(world, InputList=dropped)
    with carried_out_by(SharedWork()):
        world.run()
    assert refusals(world) == {u: ["4.5-7"] for u in world.clients}
    assert all(e.type != "Unmasking" for c in world.clients.values() for e in c.sent)


def test_one_whose_neighbours_are_lost_is_left_out_and_missed_at_the_floor() -> None:
    n, d = 43, 13
    world = scene(n, 0, 1, graph="regular", losses=d)
    with carried_out_by(SharedWork()):
        world.started().until("share_keys")
    near = world.server._state.graph.neighbours(silo(5))
    lost = [u for u in range(1, n + 1) if silo(u) in near][:d]
    world.silent = {silo(u): Round.MASKED_INPUT for u in lost}
    with carried_out_by(SharedWork()):
        while world.outcome(AGGREGATOR) is None:
            world.pump()
            now = Round(world.server.phase.value)
            world.tell_server(events.DeadlinePassed(round=now))
    assert world.server.phase == "aborted"
    assert_aborted(world, "4.5-5", silos(*lost))
    assert len(lost) == d


@pytest.mark.parametrize("pair", [*itertools.combinations(range(1, N + 1), 2)][::13])
def test_dropping_more_than_the_losses_is_refused_by_all(pair) -> None:
    world = scene(N, C, 1, graph="regular", losses=D)
    lying(world, InputList=lambda message, _: without(message, silos(*pair)))
    with carried_out_by(SharedWork()):
        world.run()
    assert refusals(world) == {u: ["4.5-5"] for u in world.clients}
    assert world.opened is None


def test_the_rounds_here_are_those_in_which_one_can_fall_silent() -> None:
    assert LOSS_ROUNDS[COIN] is Round.COIN
    assert LOSS_ROUNDS[INPUT] is Round.MASKED_INPUT
