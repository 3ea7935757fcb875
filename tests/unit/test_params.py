"""secagg.params: what follows from n, c and the vector; rules 2.2-1 to 2.2-10."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, field, params
from secagg.graph import Degree, degree_of
from secagg.messages import Extra, NoiseTerms
from tests.helpers import refused_rule
from tests.samples import blob
from tests.samples import parameters as of

DP = NoiseTerms(
    mechanism="discrete-gaussian",
    noise_multiplier=1.0,
    adjacency="zero-out",
    delta=1e-6,
)


# The design's table: n, c, q = t, losses tolerated d.
TABLE = [
    (4, 1, 3, 1),
    (5, 1, 4, 1),
    (6, 1, 4, 2),
    (7, 2, 5, 2),
    (10, 1, 6, 4),
    (10, 3, 7, 3),
    (30, 3, 17, 13),
    (100, 10, 56, 44),
    (100, 33, 67, 33),
]


@pytest.mark.parametrize(("n", "c", "q", "d"), TABLE)
def test_quorum_threshold_and_losses_are_those_of_the_designs_table(n, c, q, d) -> None:
    found = of(n, c)
    assert (found.q, found.t, found.tolerated) == (q, q, d)
    assert found.floor == n - d


@given(n=st.integers(3, 400), data=st.data())
def test_two_quorums_share_an_honest_member_and_losses_leave_one(n, data) -> None:
    c = data.draw(st.integers(0, (n - 1) // 3))
    q, floor = params.quorum(n, c), params.input_floor(n, c)
    assert 2 * q - n > c, "two certificates share more than c voters"
    assert c < q <= n - c, "a quorum is more than the corrupt, and the honest are one"
    assert 2 * (q - 1) - n <= c, "and no smaller quorum would do"
    assert floor >= max(q, 3, c + 2)


def test_three_members_without_corruption_lose_none() -> None:
    found = of(3, 0)
    assert (found.q, found.floor, found.tolerated) == (2, 3, 0)


@pytest.mark.parametrize(("n", "c"), [(0, 0), (1, 0), (2, 0), (3, 1), (6, 2), (4, -1)])
def test_2_2_1_needs_three_members_and_n_above_3c(n, c) -> None:
    assert refused_rule(of, n, c) == "2.2-1"


@pytest.mark.parametrize(("n", "c"), [(3, 0), (4, 1), (7, 2), (10, 3)])
def test_2_2_1_allows_c_up_to_a_third(n, c) -> None:
    assert of(n, c).c == c


SPARSE: dict[str, Any] = {"n": 12, "graph": "regular", "losses": 2}
RANGES = [
    ("2.2-2", {"length": 0}, {"length": 1}),
    ("2.2-2", {"length": (1 << 40) + 1}, {"length": 1 << 40}),
    ("2.2-2", {"chunk_log2": 11}, {"chunk_log2": 12}),
    ("2.2-2", {"chunk_log2": 21}, {"chunk_log2": 20}),
    ("2.2-3", {"bits": 7}, {"bits": 8}),
    ("2.2-3", {"bits": 25}, {"bits": 24}),
    ("2.2-3", {"clip": math.inf}, {"clip": 2.0**900}),
    ("2.2-3", {"clip": 2.0**901, "range": 2.0**901}, {"clip": 2.0**900}),
    ("2.2-3", {"clip": math.nan}, {"clip": 1.0}),
    ("2.2-3", {"range": 0.0}, {"range": 2.0**-900}),
    ("2.2-3", {"range": -1.0}, {"range": 0.5}),
    ("2.2-3", {"range": math.nan}, {"range": 0.5}),
    ("2.2-3", {"range": 1.0000001}, {"range": 1.0}),
    ("2.2-3", {"range": 2.0**-901}, {"range": 2.0**-900}),
    (
        "2.2-3",
        {"clip": 2.0**500, "range": 2.0**-401},
        {"clip": 2.0**500, "range": 2.0**-400},
    ),
    ("2.2-3", {"ranges": ((9, 1.0), (1, 1.5))}, {"ranges": ((9, 1.0), (1, 0.5))}),
    ("2.2-3", {"ranges": ((9, 1.0), (1, math.nan))}, {}),
    ("2.2-6", {"weighting": "median"}, {}),
    ("2.2-6", {"weighting": "uniform", "max_weight": 2}, {}),
    ("2.2-6", {"weighting": "uniform", "max_weight": 0}, {}),
    (
        "2.2-6",
        {"weighting": "weighted", "max_weight": 0},
        {"weighting": "weighted", "max_weight": 1},
    ),
    (
        "2.2-6",
        {"weighting": "weighted", "max_weight": (1 << 31) + 1},
        {"weighting": "weighted", "max_weight": 1 << 31},
    ),
    ("2.2-7", {"graph": "regular"}, {"graph": "complete"}),
    ("2.2-7", {"losses": 0}, {"losses": None}),
    ("2.2-7", {"n": 12, "graph": "regular"}, SPARSE),
    ("2.2-7", {**SPARSE, "losses": 5}, {**SPARSE, "losses": 1}),
    ("2.2-7", {**SPARSE, "n": 4}, {**SPARSE, "n": 13}),
    ("2.2-7", {"keystream": "aes"}, {"keystream": "chacha20"}),
    ("2.2-8", {"dp": replace(DP, mechanism="laplace")}, {"dp": DP}),
    ("2.2-8", {"dp": replace(DP, adjacency="add")}, {"dp": DP}),
    (
        "2.2-8",
        {"dp": replace(DP, noise_multiplier=0.0)},
        {"dp": replace(DP, adjacency="replace-one")},
    ),
    ("2.2-8", {"dp": replace(DP, noise_multiplier=-1.0)}, {"dp": DP}),
    ("2.2-8", {"dp": replace(DP, noise_multiplier=math.inf)}, {"dp": DP}),
    ("2.2-8", {"dp": replace(DP, delta=0.0)}, {"dp": replace(DP, delta=1e-300)}),
    ("2.2-8", {"dp": replace(DP, delta=1.0)}, {"dp": replace(DP, delta=0.999)}),
    ("2.2-9", {"durations": (1,) * 6}, {"durations": (1,) * 7}),
    ("2.2-9", {"durations": (1,) * 8}, {"durations": (86_400_000,) * 7}),
    ("2.2-9", {"durations": (1, 1, 1, 0, 1, 1, 1)}, {}),
    ("2.2-9", {"durations": (1, 1, 1, 86_400_001, 1, 1, 1)}, {}),
    ("2.2-10", {"ranges": ()}, {"ranges": ((10, 1.0),)}),
    ("2.2-10", {"ranges": ((9, 1.0),)}, {"ranges": ((9, 1.0), (1, 1.0))}),
    ("2.2-10", {"ranges": ((10, 1.0), (0, 1.0))}, {}),
    (
        "2.2-10",
        {"rotation": blob(1), "ranges": ((5, 1.0), (5, 1.0))},
        {"rotation": blob(1), "ranges": ((10, 1.0),)},
    ),
    ("2.2-10", {"ranges": ((11, 1.0), (-1, 1.0))}, {}),
    (
        "2.2-10",
        {"length": 1025, "ranges": ((1, 1.0),) * 1025},
        {"length": 1024, "ranges": ((1, 1.0),) * 1024},
    ),
]


@pytest.mark.parametrize(("rule", "bad", "good"), RANGES)
def test_a_parameter_beyond_its_range_is_refused_and_at_its_edge_taken(
    rule, bad, good
) -> None:
    assert refused_rule(of, **bad) == rule
    assert of(**good).n == good.get("n", 4)


def extra(name: str = "e", low: int = 0, high: int = 1) -> Extra:
    return Extra(name=name, low=low, high=high)


EDGE = 1 << 62


@pytest.mark.parametrize(
    "extras",
    [
        [extra(f"e{i}") for i in range(65)],
        [extra("A")],
        [extra("a-b")],
        [extra("")],
        [extra("e" * 33)],
        [extra("e"), extra("e")],
        [extra("weight")],
        [extra("saturated")],
        [extra(low=1, high=0)],
        [extra(low=-EDGE - 1)],
        [extra(high=EDGE + 1)],
    ],
)
def test_2_2_4_refuses_ill_named_repeated_or_boundless_extras(extras) -> None:
    assert refused_rule(of, extras=tuple(extras)) == "2.2-4"


@pytest.mark.parametrize(
    "extras",
    [
        [extra(f"e{i}") for i in range(64)],
        [extra("e" * 32), extra("a_0")],
        [extra(low=-EDGE // 4, high=EDGE // 4)],
        [extra(low=5, high=5)],
    ],
)
def test_2_2_4_allows_extras_at_their_limits(extras) -> None:
    assert of(extras=tuple(extras)).extras == tuple(extras)


# --- the field (2.2-5)


@pytest.mark.parametrize("low", [-EDGE // 4 - 1, -EDGE])
def test_2_2_5_refuses_an_extra_whose_sum_may_pass_two_to_the_62(low) -> None:
    assert refused_rule(of, extras=(extra(low=low, high=0),)) == "2.2-5"


LARGEST = (field.prime(32) - 1) // 2 // (2**23 - 1)


def test_2_2_5_refuses_a_sum_that_could_wrap() -> None:
    assert of(LARGEST, 1, bits=24).width == 32
    assert refused_rule(of, LARGEST + 1, 1, bits=24) == "2.2-5"


@pytest.mark.parametrize("bits", [8, 9, 12, 16, 20, 24])
@pytest.mark.parametrize("n", [4, 5, 8, 10, 100, 250])
def test_the_width_is_the_narrowest_that_holds_the_sum(n, bits) -> None:
    found = of(n, 1, bits=bits)
    bound = n * (2 ** (bits - 1) - 1)
    assert (found.p - 1) // 2 >= bound
    narrower = found.width == 16 or (field.prime(found.width - 1) - 1) // 2 < bound
    assert narrower
    assert found.p == field.prime(found.width)


def test_a_bonawitz_cohort_of_1024_needs_26_bits() -> None:
    assert of(1024, 1, bits=16).width == 26


@pytest.mark.parametrize("n", [4, 7, 100, 255])
@pytest.mark.parametrize("bits", [8, 16, 24])
def test_limbs_are_the_widest_whose_sum_cannot_wrap(n, bits) -> None:
    found = of(n, 1, bits=bits)
    half, limb = (found.p - 1) // 2, found.limb_bits
    assert limb >= 1
    assert n << limb <= half < n << (limb + 1)


# --- the extra coordinates


def test_the_vector_ends_with_the_limbs_of_the_extras_in_order() -> None:
    declared = (extra("a", 0, (1 << 40) - 1), extra("b", -3, -3), extra("c", -1, 1))
    found = of(extras=declared, weighting="weighted", max_weight=1 << 31, range=0.5)
    assert [e.name for e in found.extras] == ["a", "b", "c", "weight", "saturated"]
    limb = found.limb_bits
    counts = [-(-40 // limb), 1, 1, -(-32 // limb), 1]
    assert [place.count for place in found.limbs] == counts
    starts = [10 + sum(counts[:i]) for i in range(5)]
    assert [place.start for place in found.limbs] == starts
    assert found.total_length == 10 + sum(counts)


def test_weight_and_saturated_have_their_declared_ranges() -> None:
    found = of(weighting="weighted", max_weight=77, range=0.5, length=33)
    assert found.extras == (extra("weight", 0, 77), extra("saturated", 0, 33))
    assert found.noised_extra_ranges == (77, 33)


def test_nothing_is_counted_where_nothing_can_saturate_or_weigh() -> None:
    assert of().extras == ()
    assert of().total_length == 10


def test_saturation_is_not_counted_under_noise() -> None:
    assert of(range=0.5, dp=DP).extras == ()


@pytest.mark.parametrize("span", [0, 1, 2, 3])
def test_a_range_takes_just_enough_limbs(span) -> None:
    limb = of().limb_bits
    for high in ((1 << limb * span) - 1, 1 << limb * span):
        place = of(extras=(extra(high=max(high, 0)),)).limbs[0]
        largest = (1 << limb * place.count) - 1
        assert high <= largest
        assert place.count == 1 or high > largest >> limb


def test_the_shamir_coordinate_is_one_plus_the_place_in_u0() -> None:
    found = of(5)
    assert [found.x_of(u) for u in found.members] == [1, 2, 3, 4, 5]


def test_scale_and_delta_follow_from_bits_clip_and_range() -> None:
    found = of(bits=8, clip=2.0, range=0.5, length=9)
    assert found.scale.x_max == 127
    assert found.scale.s == 254.0
    assert found.scale.delta_int == 511


# --- the graph


@pytest.mark.parametrize(("n", "c"), [(4, 1), (10, 3), (12, 1)])
def test_on_the_complete_graph_everything_follows_from_the_quorum(n, c) -> None:
    found = of(n, c)
    assert found.degree == Degree(n - 1, c, found.q, found.q - 1)
    assert not found.tossed
    assert found.graph(None).neighbours(found.members[0]) == found.members[1:]


def test_on_the_regular_graph_the_losses_are_those_of_the_manifest() -> None:
    found = of(**SPARSE)
    assert (found.tolerated, found.floor, found.t) == (2, 10, 2)
    assert found.degree == degree_of(12, 1, 2)
    assert found.tossed


def test_the_neighbours_follow_from_the_seed() -> None:
    found = of(**SPARSE)
    first = found.members[0]
    near = [found.graph(blob(i)).neighbours(first) for i in (1, 2, 3, 1)]
    assert {len(peers) for peers in near} == {found.degree.k}
    assert near[3] == near[0]
    assert len(set(near)) > 1


def test_2_2_7_refuses_losses_that_would_go_below_the_quorum() -> None:
    assert params.input_floor(12, 1, 2) == 10
    with pytest.raises(
        errors.RemoteProtocolError, match="at most 5 of n = 12"
    ) as caught:
        of(12, 1, graph="regular", losses=6)
    assert caught.value.rule == "2.2-7"
