"""The graph: its parameters, its certificate and its labelling (spec 2.4)."""

import itertools
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, graph
from secagg.graph import Degree, degree_of
from secagg.names import PeerId

SIZES = ((30, 3, 3), (100, 10, 10), (151, 50, 15), (300, 30, 30), (1000, 100, 100))
SMALL = ((10, 4), (11, 4), (12, 4), (12, 6), (13, 6), (14, 6))


def names(n):
    return tuple(f"h{i:04}" for i in range(n))


def seed(number):
    return number.to_bytes(32, "little")


def neighbours_as_bits(near):
    return [sum(1 << int(v) for v in row) for row in near]


def components(near, within):
    """How many parts the vertices of a bit set fall into."""
    parts = 0
    while within:
        parts += 1
        reached, fresh = 0, within & -within
        while fresh:
            reached |= fresh
            grown = 0
            for v in bits_of(fresh):
                grown |= near[v]
            fresh = grown & within & ~reached
        within &= ~reached
    return parts


def bits_of(number):
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def least_degree(near, within):
    return min(((near[v] & within).bit_count() for v in bits_of(within)), default=0)


# --- the tails (2.4-1)


@given(st.integers(2, 9), st.data())
def test_the_tail_is_that_of_all_draws(n, data) -> None:
    marked = data.draw(st.integers(0, n - 1))
    k = data.draw(st.integers(0, n - 1))
    bits = data.draw(st.integers(0, 6))
    draws = list(itertools.combinations(range(n - 1), k))
    counts = [sum(v < marked for v in draw) for draw in draws]
    chances = [
        n * Fraction(sum(c > x for c in counts), len(draws)) for x in range(n + 1)
    ]
    least = next(x for x in range(n + 1) if chances[x] <= Fraction(1, 2**bits))
    assert graph.most_marked(n, marked, k, bits) == least


@pytest.mark.parametrize(("n", "c", "d"), SIZES)
def test_the_tails_agree_with_those_of_scipy(n, c, d) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    degree = degree_of(n, c, d)
    corrupt = stats.hypergeom(n - 1, c, degree.k)
    assert corrupt.sf(degree.corrupt) <= 2.0**-41 / n < corrupt.sf(degree.corrupt - 1)
    alive = stats.hypergeom(n - 1, n - 1 - d, degree.k)
    # P[X < L] is the distribution function at L - 1.
    assert alive.cdf(degree.least - 1) <= 2.0**-20 / n < alive.cdf(degree.least)


def test_labellings_spread_corrupt_members_as_the_tail_says() -> None:
    n, c, k, seeds = 20, 5, 6, 2000
    members, degree = names(n), Degree(6, 0, 2, 2)
    counts = np.zeros(k + 1)
    for number in range(seeds):
        near = graph.regular(members, degree, seed(number)).neighbours(members[-1])
        counts[sum(member in members[:c] for member in near)] += 1
    ways = [math.comb(c, x) * math.comb(n - 1 - c, k - x) for x in range(k + 1)]
    expected = np.array(ways) / math.comb(n - 1, k)
    # Four standard deviations at the widest; the seeds are fixed.
    assert abs(counts / seeds - expected).max() < 4 * 0.5 / math.sqrt(seeds)


# --- the degree


@pytest.mark.parametrize(
    ("asked", "degree"),
    [
        ((10, 1, 0), Degree(4, 1, 2, 4)),
        ((12, 1, 1), Degree(6, 1, 2, 5)),
        ((30, 3, 3), Degree(10, 3, 4, 7)),
        ((100, 10, 10), Degree(24, 10, 11, 14)),
        ((300, 60, 30), Degree(64, 37, 38, 44)),
        ((1000, 100, 100), Degree(72, 32, 33, 47)),
        ((1000, 333, 100), Degree(154, 96, 97, 116)),
    ],
)
def test_the_degree_of_a_cohort(asked, degree) -> None:
    assert degree_of(*asked) == degree


@pytest.mark.parametrize(("n", "c", "d"), SIZES)
def test_no_smaller_degree_has_a_certificate(n, c, d) -> None:
    found = degree_of(n, c, d)
    for k in range(2, found.k, 2):
        corrupt = graph.most_marked(n, c, k, 41)
        degree = Degree(k, corrupt, corrupt + 1, k - graph.most_marked(n, d, k, 20))
        room = degree.t <= degree.least
        assert not (room and graph.holds_together(n, n - d - c, degree))


@given(st.integers(8, 120), st.data())
def test_the_threshold_is_above_the_corrupt_and_within_the_least(n, data) -> None:
    c = data.draw(st.integers(0, n // 4))
    d = data.draw(st.integers(0, n // 8))
    try:
        degree = degree_of(n, c, d)
    except errors.ParameterError:
        return
    assert degree.k % 2 == 0
    assert 4 <= degree.k <= n / 2
    assert max(1, degree.corrupt) < degree.t <= degree.least <= degree.k


def test_a_share_is_never_the_secret_itself() -> None:
    degree = degree_of(40, 0, 4)
    assert degree.corrupt == 0
    assert degree.t == 2


@pytest.mark.parametrize("asked", [(7, 2, 2), (12, 3, 3), (151, 50, 45)])
def test_a_cohort_without_a_sparse_graph_is_told_to_use_the_complete_one(asked) -> None:
    with pytest.raises(errors.ParameterError, match='use graph = "complete"'):
        degree_of(*asked)


@pytest.mark.parametrize("asked", [(10, -1, 0), (10, 0, -1), (10, 4, 5)])
def test_a_cohort_out_of_range_is_refused(asked) -> None:
    with pytest.raises(errors.ParameterError, match="two honest members"):
        degree_of(*asked)


# --- the certificate


@pytest.mark.parametrize(("n", "k"), [(10, 4), (100, 24), (1000, 72), (4096, 90)])
def test_the_bound_of_the_eigenvalue_is_rounded_up(n, k) -> None:
    exact = 1.06 * 2 * math.sqrt((k - 1) * (n - k) / n) * 1024
    assert exact <= graph.eigenvalue_bound(n, k) < exact + 1


@pytest.mark.parametrize(("n", "k"), SMALL)
def test_what_the_certificate_admits_is_never_parted(n, k) -> None:
    near = neighbours_as_bits(graph.base_graph(n, k))
    # Survivors of each size and least inner degree, over all dropouts.
    parted = set()
    for within in range(1, 1 << n):
        if components(near, within) > 1:
            parted.add((within.bit_count(), least_degree(near, within)))
    admitted = [
        (honest, inner)
        for honest in range(2, n + 1)
        for inner in range(1, k + 1)
        if graph.holds_together(n, honest, Degree(k, 0, 2, inner))
    ]
    assert admitted
    for honest, inner in admitted:
        assert not [one for one in parted if one[0] >= honest and one[1] >= inner]


@pytest.mark.parametrize("asked", [(12, 1, 1), (16, 1, 4), (20, 2, 1), (14, 0, 2)])
def test_no_dropouts_that_the_rules_admit_part_the_honest(asked) -> None:
    n, c, d = asked
    degree = degree_of(*asked)
    near = neighbours_as_bits(graph.base_graph(n, degree.k))
    everyone, admitted = (1 << n) - 1, 0
    for gone in subsets(n, d):
        u3 = everyone & ~gone
        if least_degree(near, u3) < degree.least:
            continue
        for corrupt in subsets(n, c):
            admitted += 1
            assert components(near, u3 & ~corrupt) == 1
    assert admitted > n


def subsets(n, most):
    """The sets of up to `most` of n, as bits."""
    for size in range(most + 1):
        for chosen in itertools.combinations(range(n), size):
            yield sum(1 << i for i in chosen)


@pytest.mark.parametrize(("n", "k"), [*SMALL, (40, 12), (200, 40), (1000, 72)])
def test_the_smallest_split_decides_for_all_splits(n, k) -> None:
    lam = Fraction(graph.eigenvalue_bound(n, k), 1024)
    for inner in range(1, k + 1, max(1, k // 8)):
        for honest in range(2, n + 1, max(1, n // 20)):
            least = max((inner - lam) * n / (k - lam), inner + 1)
            splits = itertools.takewhile(
                lambda s: s <= n, itertools.count(math.ceil(least))
            )
            excluded = all(
                s * t * k**2 > lam**2 * (n - s) * (n - t)
                for s in splits
                for t in {max(s, honest - s), n - s}
                if s <= t <= n - s and s + t >= honest
            )
            held = graph.holds_together(n, honest, Degree(k, 0, 2, inner))
            assert not held or excluded


@pytest.mark.parametrize(("n", "k"), SMALL)
def test_the_lower_degree_that_a_certificate_asks_for_matters(n, k) -> None:
    assert not graph.holds_together(n, 2, Degree(k, 0, 2, 1))


def test_a_ring_of_the_same_degree_is_parted_by_allowed_dropouts() -> None:
    n, d = 1000, 300
    degree = degree_of(n, 100, d)
    half = degree.k // 2
    near = [
        sum(1 << (i + step) % n for step in range(-half, half + 1) if step)
        for i in range(n)
    ]
    gone = {*range(half), *range(n // 2, n // 2 + half)}
    within = sum(1 << i for i in range(n) if i not in gone)
    assert len(gone) <= d
    assert least_degree(near, within) >= degree.least
    assert components(near, within) == 2
    ring = np.array([[row >> v & 1 for v in range(n)] for row in near], dtype=np.uint8)
    assert not graph.is_expander(ring, degree.k)


# --- the base graph (2.4-2)


@pytest.mark.parametrize(("n", "k"), [*SMALL, (15, 6), (20, 10), (61, 30), (200, 40)])
def test_the_base_graph_is_simple_and_regular(n, k) -> None:
    near = graph.base_graph(n, k)
    adjacent = np.zeros((n, n), dtype=np.int64)
    np.put_along_axis(adjacent, near, 1, axis=1)
    assert near.shape == (n, k)
    assert (np.diff(near, axis=1) > 0).all()
    assert (adjacent == adjacent.T).all()
    assert adjacent.sum() == n * k
    assert adjacent.trace() == 0


@pytest.mark.parametrize(("n", "k"), [*SMALL, (61, 30), (200, 40), (300, 46)])
def test_the_base_graph_is_the_first_within_the_bound(n, k) -> None:
    bound = graph.eigenvalue_bound(n, k) / 1024
    adjacent = np.zeros((n, n), dtype=np.uint8)
    for counter in range(100):
        adjacent = graph.shuffled_ring(n, k, counter)
        values = np.linalg.eigvalsh(adjacent.astype(np.float64))
        second = max(abs(values[0]), abs(values[-2]))
        assert graph.is_expander(adjacent, k) == (second < bound)
        # So far from the bound that no way to compute it could err.
        assert abs(second - bound) > 1e-6
        if second < bound:
            break
    assert (np.nonzero(adjacent)[1].reshape(n, k) == graph.base_graph(n, k)).all()


@pytest.mark.parametrize(("n", "k"), [(20, 5), (20, 2), (20, 12), (7, 4)])
def test_a_base_graph_of_another_degree_is_refused(n, k) -> None:
    with pytest.raises(errors.ParameterError, match="no even number"):
        graph.base_graph(n, k)


def test_a_base_graph_that_no_counter_gives_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(graph, "is_expander", lambda _adjacent, _k: False)
    with pytest.raises(errors.ParameterError, match="within lambda_bar"):
        graph.base_graph.__wrapped__(8, 4)


def test_two_threads_that_want_a_base_graph_compute_it_once(monkeypatch) -> None:
    began, may_end, computed = threading.Event(), threading.Event(), []
    ring = graph.shuffled_ring

    def slow(n, k, counter):
        computed.append(counter)
        began.set()
        assert may_end.wait(10)
        return ring(n, k, counter)

    graph.base_graph.cache_clear()
    monkeypatch.setattr(graph, "shuffled_ring", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(graph.prepared, 12, 6)
        assert began.wait(10)
        second = pool.submit(graph.prepared, 12, 6)
        may_end.set()
        assert first.result() is second.result()
    assert len(computed) == len(set(computed))


def test_the_base_graph_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        graph.base_graph(12, 6)[0, 0] = 1


# --- the labelling (2.4-3)


def test_every_order_of_three_is_as_likely() -> None:
    counts: dict[tuple[int, ...], int] = {}
    for number in range(3000):
        order = tuple(graph.labelling(3, seed(number)))
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert all(abs(count - 500) < 5 * math.sqrt(500) for count in counts.values())


def test_a_word_that_would_bias_the_draw_is_left_out(monkeypatch) -> None:
    # 2^32 - 1 is no fair draw of three; the next word is taken for it.
    drawn = iter([2**32 - 1, 3, 1])
    monkeypatch.setattr(graph, "_words", lambda _key, _batch: drawn)
    assert graph.labelling(3, seed(0)) == [2, 1, 0]


def test_a_seed_has_32_bytes() -> None:
    with pytest.raises(errors.ParameterError, match="32 bytes"):
        graph.regular(names(12), degree_of(12, 1, 1), bytes(31))


def test_more_words_are_drawn_where_the_first_do_not_suffice() -> None:
    assert sorted(graph.labelling(2, seed(1))) == [0, 1]
    drawn = graph._words(seed(1), 4)
    first = list(itertools.islice(drawn, 40))
    assert first == list(itertools.islice(graph._words(seed(1), 40), 40))


# --- the graph of a session


@pytest.mark.parametrize("number", range(4))
def test_neighbours_are_sorted_mutual_and_others(number) -> None:
    members = names(31)
    degree = degree_of(31, 3, 3)
    one = graph.regular(members, degree, seed(number))
    for u in members:
        near = one.neighbours(u)
        assert len(near) == degree.k
        assert near == tuple(sorted(set(near) - {u}))
        assert all(u in one.neighbours(v) for v in near)
        assert one.closed(u) == tuple(sorted({*near, u}))


def test_the_graph_is_the_base_graph_in_the_order_drawn() -> None:
    members, degree = names(12), degree_of(12, 1, 1)
    order = graph.labelling(12, seed(9))
    base = graph.base_graph(12, degree.k)
    one = graph.regular(members, degree, seed(9))
    for vertex, member in enumerate(order):
        expected = {members[order[other]] for other in base[vertex]}
        assert set(one.neighbours(members[member])) == expected


def test_another_seed_gives_other_neighbours() -> None:
    members, degree = names(31), degree_of(31, 3, 3)
    first, second = (graph.regular(members, degree, seed(i)) for i in (1, 2))
    assert first.neighbours(members[0]) != second.neighbours(members[0])


def test_in_the_complete_graph_all_are_neighbours() -> None:
    members = names(5)
    whole = graph.complete(members)
    for u in members:
        assert whole.neighbours(u) == tuple(v for v in members if v != u)
        assert whole.closed(u) == members


@pytest.mark.parametrize("make", [("b", "a"), ("a", "a")])
def test_members_that_are_not_sorted_and_distinct_are_refused(make) -> None:
    with pytest.raises(errors.ParameterError, match="sorted"):
        graph.complete(make)


def test_a_stranger_has_no_neighbours() -> None:
    whole, sparse = graph.complete(names(12)), regular_of_twelve()
    for one in (whole, sparse):
        with pytest.raises(KeyError):
            one.neighbours(PeerId("x"))


def regular_of_twelve():
    return graph.regular(names(12), degree_of(12, 1, 1), seed(5))


@given(st.sets(st.integers(0, 11)), st.integers(0, 7))
def test_the_core_is_the_union_of_all_subsets_that_hold(indices, least) -> None:
    one, members = regular_of_twelve(), names(12)
    alive = {members[i] for i in indices}
    core = one.core(alive, least)
    assert core <= alive
    assert all(len(core.intersection(one.neighbours(u))) >= least for u in core)
    holding = set()
    for size in range(least + 1, len(alive) + 1):
        for subset in itertools.combinations(sorted(alive), size):
            chosen = set(subset)
            if all(
                len(chosen.intersection(one.neighbours(u))) >= least for u in subset
            ):
                holding |= chosen
    assert core == holding


def test_the_core_of_the_complete_graph_is_all_or_nothing() -> None:
    whole = graph.complete(names(6))
    assert whole.core(names(4), 3) == set(names(4))
    assert whole.core(names(4), 4) == set()
    assert whole.core((), 0) == set()
