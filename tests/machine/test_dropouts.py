"""Every silence pattern of four clients, and the losses a cohort is built for.

A pattern says, for each client, the first of the six rounds in which it is silent, or
never: 7^4 of them, all run. What must come of each is computed here from n, c and the
rounds alone: an exact sum over U3, or an abort that names who is missing.
"""

import itertools

import pytest

from secagg import codec, events, messages
from tests.helpers import (
    AGGREGATOR,
    NEVER,
    assert_aborted,
    assert_completed,
    assert_exact,
    scene,
    silo,
    silos,
)
from tests.invariants import check_all

ADVERTISE, SHARE, ACK, INPUT, VOTE, RELEASE = range(6)
N, C = 4, 1

# Rule and floor of each round's set; the floors are worked out from the paper: a quorum
# of more than (n + c) / 2, as many shares to rebuild, and never fewer than three inputs
# nor c + 2.
RULES = ("4.2-4", "4.3-7", "4.4-3", "4.5-5", "4.6-4", "4.7-3")


def floors(n, c):
    quorum = (n + c) // 2 + 1
    inputs = max(quorum, 3, c + 2)
    return (quorum, quorum, quorum, inputs, quorum, quorum)


def expected(since, n, c):
    """The rule that ends the session and who is missing, or None and U3."""
    for round_, (rule, floor) in enumerate(zip(RULES, floors(n, c), strict=True)):
        there = {u for u, first in since.items() if first > round_}
        if len(there) < floor:
            return rule, set(since) - there
    return None, {u for u, first in since.items() if first > INPUT}


def run(since, n=N, c=C):
    world = scene(n, c, 2, silent={u: r for u, r in since.items() if r != NEVER})
    world.run()
    return world


def assert_as_expected(world, since, n=N, c=C):
    """The end, for the aggregator and for every client that was there to hear it."""
    rule, who = expected(since, n, c)
    named = silos(*sorted(who))
    if rule is not None:
        assert_aborted(world, rule, named)
        assert_left(world, since, rule, named)
        return
    assert_exact(world, named)
    # Who never advertised has left the session; all others hear the Result.
    heard = [silo(u) for u, first in since.items() if first > ADVERTISE]
    assert_completed(world, heard)


def assert_left(world, since, rule, missing):
    """Every client is told why; it keeps its update unless it may have released."""
    for u in since:
        client = world.clients[silo(u)]
        end = client.end
        assert isinstance(end, events.Aborted)
        assert (end.code, end.missing) == (rule, missing)
        released = any(isinstance(e, events.PersistSpent) for e in client.effects)
        assert end.retry == (not released)
        assert client._session is None


def assert_nothing_leaked(world, n=N, c=C):
    """I1 to I8, and on the wire never t shares of both kinds of one secret."""
    check_all(world.clients.values(), world.consortium.roster, c)
    quorum = floors(n, c)[0]
    certified = world.sent_by_server("Certificate")
    releases = received(world, "Unmasking")
    assert certified or not releases, "a release without a certificate"
    sent = [e for client in world.clients.values() for e in client.sent]
    assert certified or all(e.type != "Unmasking" for e in sent)
    if certified:
        body = codec.decode_body("Certificate", certified[0].envelope.body, members=n)
        assert isinstance(body, messages.Certificate)
        assert len({vote.peer for vote in body.votes}) >= quorum
    # Each release has one place a member, whose kind U3 decides: so t of one kind and
    # one of the other can only be of two U3.
    assert len({send.envelope.body for send in world.sent_by_server("InputList")}) <= 1


def received(world, type_):
    return [
        effect.event.envelope
        for effect in world.effects[AGGREGATOR]
        if isinstance(effect, events.Journal)
        and isinstance(effect.event, events.Received)
        and effect.event.envelope.type == type_
    ]


@pytest.mark.parametrize("second", range(7))
@pytest.mark.parametrize("first", range(7))
def test_every_silence_pattern_of_four_clients(first, second) -> None:
    for third, fourth in itertools.product(range(7), repeat=2):
        since = {1: first, 2: second, 3: third, 4: fourth}
        world = run(since)
        assert_as_expected(world, since)
        assert_nothing_leaked(world)


def test_the_patterns_end_in_every_way_there_is() -> None:
    patterns = [
        dict(enumerate(p, start=1)) for p in itertools.product(range(7), repeat=N)
    ]
    ends = {expected(since, N, C)[0] for since in patterns}
    assert len(patterns) == 7**4
    assert ends == {None, *RULES}


LOSSES = [(5, 1, 1), (6, 1, 2), (7, 2, 2), (10, 3, 3)]


@pytest.mark.parametrize(("n", "c", "d"), LOSSES)
@pytest.mark.parametrize("round_", range(6))
def test_d_silent_members_give_the_exact_sum_and_one_more_an_abort_that_names_them(
    n, c, d, round_
) -> None:
    assert n - max(floors(n, c)) == d
    everyone = dict.fromkeys(range(1, n + 1), NEVER)
    for lost in (range(1, d + 1), range(n - d + 1, n + 1)):
        since = {**everyone, **dict.fromkeys(lost, round_)}
        world = run(since, n, c)
        gone = set(lost) if round_ <= INPUT else set()
        assert_exact(world, silos(*(set(everyone) - gone)))
        assert_as_expected(world, since, n, c)
        assert_nothing_leaked(world, n, c)
    lost = range(2, d + 3)
    since = {**everyone, **dict.fromkeys(lost, round_)}
    world = run(since, n, c)
    assert_aborted(world, RULES[round_], silos(*lost))
    assert_as_expected(world, since, n, c)
    assert_nothing_leaked(world, n, c)


@pytest.mark.parametrize(("n", "c", "d"), LOSSES)
def test_d_members_lost_each_in_another_round_give_the_exact_sum(n, c, d) -> None:
    rounds = itertools.permutations(range(6), d)
    for number, some in enumerate(rounds):
        if number % 5:
            continue
        since = dict.fromkeys(range(1, n + 1), NEVER)
        since.update({n - i: round_ for i, round_ in enumerate(some)})
        world = run(since, n, c)
        assert_as_expected(world, since, n, c)
        assert isinstance(world.outcome(AGGREGATOR), events.Completed)
