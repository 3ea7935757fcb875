"""Masks cancel, whatever the cohort, its losses and the order of its messages.

Messages of one connection keep their order, as on a wire; between connections it is
anybody's, any of them may be repeated, and a deadline may pass early.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import events, packing
from secagg.cohort import Carried
from secagg.field import prime
from secagg.messages import Extra
from secagg.names import PeerId, Round
from secagg.params import input_floor
from tests.helpers import (
    AGGREGATOR,
    COMPLETE_ROUNDS,
    assert_completed,
    assert_exact,
    scene,
    silo,
    silos,
)
from tests.invariants import check_all

SEEDS = st.integers(0, (1 << 32) - 1)
FLOORS = {"4.2-4", "4.3-7", "4.4-3", "4.5-5", "4.6-4", "4.7-3"}


def shuffled(world, rng, *, repeats=0.0, early=0.0):
    """Run a session with its messages in any order that its connections allow.

    Args:
        world: a scene that has not started.
        rng: whose choice it is.
        repeats: how often something that was delivered comes again.
        early: how often a deadline passes while messages are on their way.
    """
    world.started()
    delivered: list[Carried] = []
    while world.outcome(AGGREGATOR) is None or world._queue:
        if delivered and rng.random() < repeats:
            again = delivered[rng.integers(len(delivered))]
            if not is_over(world, again):
                world._deliver(again)
        elif not world._queue or rng.random() < early:
            pass_deadline(world)
        else:
            heads = first_of_each(world._queue)
            carried = heads[rng.integers(len(heads))]
            world._queue.remove(carried)
            world._deliver(carried)
            delivered.append(carried)


def is_over(world, carried):
    """Whether it opens a session that its receiver has left: that is refused, 4.1-6."""
    client = world.clients.get(carried.receiver)
    return carried.envelope.type == "Manifest" and client is not None and not client.sid


def first_of_each(queue):
    """The next message of each connection and direction."""
    heads: dict[tuple[PeerId, PeerId], Carried] = {}
    for carried in queue:
        heads.setdefault((carried.sender, carried.receiver), carried)
    return list(heads.values())


def pass_deadline(world):
    phase = world.server.phase.value
    if phase in set(Round):
        world.tell_server(events.DeadlinePassed(round=Round(phase)))


@st.composite
def cohorts(draw):
    """N, c, and who falls silent when: at most d of them."""
    n = draw(st.integers(4, 9))
    c = draw(st.integers(1, (n - 1) // 3))
    d = n - input_floor(n, c)
    lost = draw(st.lists(st.integers(1, n), unique=True, max_size=d))
    silent = {i: draw(st.integers(0, len(COMPLETE_ROUNDS) - 1)) for i in lost}
    return n, c, silent


def expected_u3(n, silent):
    inputs = COMPLETE_ROUNDS.index(Round.MASKED_INPUT)
    return [silo(i) for i in range(1, n + 1) if silent.get(i, inputs + 1) > inputs]


@settings(max_examples=40)
@given(cohort=cohorts(), seed=SEEDS, m=st.integers(1, 4))
def test_masks_cancel_in_any_order_and_with_any_repeats(cohort, seed, m) -> None:
    n, c, silent = cohort
    world = scene(n, c, m, silent=silent, seed=seed.to_bytes(4, "little"))
    shuffled(world, np.random.default_rng(seed), repeats=0.2)
    assert_exact(world, expected_u3(n, silent))
    assert world.drops() == {}
    heard = [silo(i) for i in range(1, n + 1) if silent.get(i, 1) > 0]
    assert_completed(world, heard)
    check_all(world.clients.values(), world.consortium.roster, c)


@settings(max_examples=40)
@given(cohort=cohorts(), seed=SEEDS)
def test_early_deadlines_leave_an_exact_sum_or_an_abort_and_drop_nobody(
    cohort, seed
) -> None:
    n, c, silent = cohort
    world = scene(n, c, 1, silent=silent, seed=seed.to_bytes(4, "little"))
    shuffled(world, np.random.default_rng(seed), repeats=0.05, early=0.01)
    end = world.outcome(AGGREGATOR)
    if isinstance(end, events.Completed):
        assert_exact(world, end.sets["u3"])
        assert len(end.sets["u3"]) >= input_floor(n, c)
    else:
        assert isinstance(end, events.Aborted)
        assert end.code in FLOORS
        assert end.missing
    assert world.drops() == {}
    assert all(client.refusals() == [] for client in world.clients.values())
    check_all(world.clients.values(), world.consortium.roster, c)


EXTRAS = (
    Extra(name="cases", low=0, high=1 << 40),
    Extra(name="offset", low=-(1 << 50), high=1 << 50),
)


@settings(max_examples=30)
@given(cohort=cohorts(), data=st.data())
def test_weights_and_extras_come_out_exact(cohort, data) -> None:
    n, c, silent = cohort
    weights = data.draw(st.lists(st.integers(1, 1000), min_size=n, max_size=n))
    one = st.fixed_dictionaries({e.name: st.integers(e.low, e.high) for e in EXTRAS})
    values = data.draw(st.lists(one, min_size=n, max_size=n))
    world = scene(n, c, 2, silent=silent, weights=weights, extras=EXTRAS, values=values)
    world.run()
    assert_exact(world, expected_u3(n, silent))


def clipped(world, peer):
    """The update as the mean takes it: its norm at most C."""
    update = world.updates[peer]
    return update * min(1.0, world.task.clip / float(np.linalg.norm(update)))


@settings(max_examples=30)
@given(
    cohort=cohorts(),
    weighted=st.booleans(),
    bits=st.integers(8, 24),
    seed=st.binary(min_size=1, max_size=8),
    size=st.floats(0.01, 3.0),
)
def test_the_mean_is_within_its_bound(cohort, weighted, bits, seed, size) -> None:
    n, c, silent = cohort
    weights = [1 + 37 * i % 1000 for i in range(n)] if weighted else None
    world = scene(n, c, 5, silent=silent, weights=weights, bits=bits, seed=seed)
    world.updates = {u: g * size for u, g in world.updates.items()}
    world.run()
    u3 = expected_u3(n, silent)
    total = sum(world.weights[u] for u in u3)
    true = sum(world.weights[u] * clipped(world, u) for u in u3) / total
    assert world.released is not None
    error = np.abs(world.released.mean - true)
    s = world.server.params.scale.s
    bound = (1 + 2.0**-20) * world.server.params.max_weight * len(u3) / (s * total)
    assert (error <= bound).all()


# --- what the aggregator sees

BINS = 256


def chi_square(elements, p):
    """Pearson's statistic over equal bins of [0, p); 255 degrees of freedom."""
    edges = [p * i // BINS for i in range(BINS + 1)]
    counts, _ = np.histogram(elements, bins=edges)
    expected = np.diff(edges) / p * len(elements)
    return float(((counts - expected) ** 2 / expected).sum())


def is_uniform(elements, p):
    """Within five standard deviations of the statistic's mean."""
    return abs(chi_square(elements, p) - (BINS - 1)) < 5 * (2 * (BINS - 1)) ** 0.5


def masked(world, peer):
    """Y_u, from its chunks."""
    params = world.server.params
    [chunk] = world._stored[peer]
    return packing.unpack(chunk, params.total_length, params.width)


@pytest.mark.parametrize("fill", [0.0, 1.0, -1.0, None])
def test_masked_vectors_are_uniform_whatever_the_input(fill) -> None:
    m = 40_000
    world = scene(4, 1, m, seed=b"uniform", bits=16, clip=1000.0, chunk_log2=16)
    if fill is not None:
        world.updates = {u: np.full(m, fill) for u in world.updates}
    world.run()
    p = world.server.params.p
    for u in silos(1, 2, 3, 4):
        assert is_uniform(masked(world, u), p)
        if fill is not None:
            assert not is_uniform(world.inputs[u].window(0, m), p)


def test_without_one_members_vector_the_opened_masks_leave_the_rest_uniform() -> None:
    """The aggregator opens U3; with a vector fewer the pair masks stay in place."""
    m = 40_000
    world = scene(5, 1, m, seed=b"subset", clip=1000.0, chunk_log2=16)
    world.updates = {u: np.zeros(m) for u in world.updates}
    world.run()
    p = world.server.params.p
    opened = next(e for e in world.effects[AGGREGATOR] if isinstance(e, events.OpenSum))
    removed = np.zeros(m, dtype=np.uint32)
    world.engine.accumulate(removed, opened.seeds, opened.signs, 0, m)
    everyone = silos(1, 2, 3, 4, 5)
    vectors = {u: masked(world, u).astype(np.int64) for u in everyone}
    full = (sum(vectors.values()) + removed) % p
    assert not is_uniform(full, p)
    for left_out in everyone:
        part = (sum(vectors[u] for u in everyone if u != left_out) + removed) % p
        assert is_uniform(part, p)


def test_the_statistic_tells_uniform_from_not() -> None:
    p = prime(18)
    rng = np.random.default_rng(5)
    assert is_uniform(rng.integers(0, p, 40_000), p)
    assert not is_uniform(rng.integers(0, p - p // 50, 40_000), p)
