"""Sharing: every small field world, then GF(Q), and each refusal."""

import fractions
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, shamir
from secagg.entropy import SeededEntropy
from secagg.field import Q

SCALARS = st.integers(0, Q - 1)
EDGES = [0, 1, Q - 2, Q - 1]


class Scripted:
    """Entropy that gives prepared bytes, and remembers what was asked for."""

    def __init__(self, *draws):
        self._draws = list(draws)
        self.asked = []

    def draw(self, label, size):
        self.asked.append((label, size))
        return self._draws.pop(0)


def polynomial(coefficients, x):
    return sum(c * x**k for k, c in enumerate(coefficients)) % Q


@given(st.lists(SCALARS, min_size=1, max_size=6), st.sets(st.integers(1, 4096)))
def test_share_evaluates_the_polynomial(coefficients, xs):
    found = shamir.share(coefficients[0], coefficients[1:], list(xs))
    assert found == [polynomial(coefficients, x) for x in xs]


@pytest.mark.parametrize("t", range(1, 5))
def test_every_set_of_t_shares_rebuilds_and_no_smaller_one_does(t):
    entropy = SeededEntropy(b"shamir")
    secret, *coefficients = (shamir.draw_scalar(entropy, "c") for _ in range(t))
    xs = range(1, 7)
    shares = dict(zip(xs, shamir.share(secret, coefficients, xs), strict=True))
    for size in range(1, 7):
        for chosen in itertools.combinations(xs, size):
            weights = shamir.lagrange_at_zero(chosen)
            rebuilt = shamir.rebuild([shares[x] for x in chosen], weights)
            assert (rebuilt == secret) == (size >= t)


@pytest.mark.parametrize("secret", EDGES)
@pytest.mark.parametrize("coefficient", EDGES)
def test_sharing_at_the_edges_of_the_field(secret, coefficient):
    xs = [4096, 1, 2]
    shares = shamir.share(secret, [coefficient, coefficient], xs)
    assert shares == [polynomial([secret, coefficient, coefficient], x) for x in xs]
    assert shamir.rebuild(shares, shamir.lagrange_at_zero(xs)) == secret


@given(
    polynomials=st.integers(1, 5).flatmap(
        lambda t: st.lists(st.lists(SCALARS, min_size=t, max_size=t), min_size=1)
    ),
    xs=st.sets(st.integers(1, 4096), max_size=9),
)
def test_polynomials_shared_together_are_those_shared_alone(polynomials, xs):
    found = shamir.share_all(polynomials, list(xs))
    assert found == [[polynomial(f, x) for x in xs] for f in polynomials]


LARGEST = [1, 2, 3, 10, 31, 100, 1000, 1024, 1025, 4095, 4096]


@pytest.mark.parametrize("largest", LARGEST)
def test_the_steps_between_carries_are_the_most_that_fit_a_limb(largest):
    steps = shamir.steps_between_carries(largest)
    fits = [
        3 * largest**k + k * largest ** (k - 1) <= 2**32 for k in (steps, steps + 1)
    ]
    assert fits == [True, steps == 32]


@pytest.mark.parametrize("largest", LARGEST)
@pytest.mark.parametrize("coefficient", [Q - 1, 2**256 - 2**224 - 1, 2**255])
def test_no_limb_overflows_with_the_largest_coefficients_there_are(
    largest, coefficient
):
    """Limbs of ones throughout, through many carries."""
    t = 3 * shamir.steps_between_carries(largest) + 2
    found = shamir.share(coefficient, [coefficient] * (t - 1), [largest])
    assert found == [polynomial([coefficient] * t, largest)]


@pytest.mark.parametrize("largest", LARGEST)
def test_settled_limbs_are_below_their_bound_whatever_came_in(largest):
    full = np.full((8, 1, 2), 2**64 - 1, dtype=np.uint64)
    value = sum(int(limb) << (32 * i) for i, limb in enumerate(full[:, 0, 0]))
    shamir._settle(full, np.empty_like(full))
    assert all(int(limb) < 3 * 2**32 for limb in full.ravel())
    found = sum(int(limb) << (32 * i) for i, limb in enumerate(full[:, 0, 0]))
    assert found % Q == value % Q
    # The bound's own steps: settled limbs, then k coefficients of ones.
    limb, steps = 3 * 2**32 - 1, shamir.steps_between_carries(largest)
    for _ in range(steps):
        limb = limb * largest + 2**32 - 1
    assert limb < 2**64


def test_polynomials_of_different_length_are_refused():
    with pytest.raises(errors.ParameterError, match="one length"):
        shamir.share_all([[1, 2], [1]], [1])


@given(xs=st.sets(st.integers(1, 60), min_size=1, max_size=12))
def test_the_weights_are_lagranges_fractions(xs):
    xs = list(xs)
    for x, found in zip(xs, shamir.lagrange_at_zero(xs), strict=True):
        exact = fractions.Fraction(1)
        for other in xs:
            if other != x:
                exact *= fractions.Fraction(other, other - x)
        assert found == exact.numerator * pow(exact.denominator, -1, Q) % Q


def test_fewer_than_t_shares_fit_every_secret():
    shares = shamir.share(7, [11, 13], [1, 2])
    for secret in (0, 5, Q - 1):
        weights = shamir.lagrange_at_zero([1, 2, 3])
        third = (secret - shamir.rebuild([*shares, 0], weights)) * pow(
            weights[2], -1, Q
        )
        assert shamir.rebuild([*shares, third % Q], weights) == secret


@given(
    coefficients=st.lists(SCALARS, min_size=1, max_size=4),
    xs=st.sets(st.integers(1, 40), min_size=1, max_size=9),
)
def test_points_of_one_polynomial_are_found_to_be_so(coefficients, xs):
    ys = [polynomial(coefficients, x) for x in xs]
    assert shamir.on_one_polynomial(list(xs), ys, len(coefficients))


@given(
    coefficients=st.lists(SCALARS, min_size=1, max_size=4),
    xs=st.lists(st.integers(1, 40), min_size=6, max_size=9, unique=True),
    place=st.integers(0, 5),
    shift=st.integers(1, Q - 1),
)
def test_one_wrong_share_beyond_t_is_found(coefficients, xs, place, shift):
    ys = [polynomial(coefficients, x) for x in xs]
    ys[place] = (ys[place] + shift) % Q
    assert not shamir.on_one_polynomial(xs, ys, len(coefficients))


def test_a_polynomial_of_degree_t_is_not_below_it():
    xs = range(1, 8)
    ys = [polynomial([5, 6, 7, 1], x) for x in xs]
    assert [shamir.on_one_polynomial(xs, ys, t) for t in range(1, 8)] == [
        False,
        False,
        False,
        True,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize("count", range(4))
def test_t_points_or_fewer_always_lie_on_one_polynomial(count):
    assert shamir.on_one_polynomial(range(1, count + 1), [9] * count, 3)


def test_a_cohort_of_a_hundred_rebuilds():
    entropy = SeededEntropy(b"hundred")
    secret, *coefficients = (shamir.draw_scalar(entropy, "c") for _ in range(67))
    xs = range(1, 101)
    shares = shamir.share(secret, coefficients, xs)
    assert shamir.on_one_polynomial(xs, shares, 67)
    weights = shamir.lagrange_at_zero(xs[33:])
    assert shamir.rebuild(shares[33:], weights) == secret


@pytest.mark.parametrize("value", [-1, Q, 2**256])
def test_values_outside_the_field_are_refused_and_not_shown(value):
    calls = [
        lambda: shamir.share(value, [1], [1]),
        lambda: shamir.share(1, [0, value], [1]),
        lambda: shamir.rebuild([value], [1]),
        lambda: shamir.on_one_polynomial([1, 2], [1, value], 1),
        lambda: shamir.scalar_to_bytes(value),
    ]
    for call in calls:
        with pytest.raises(errors.ParameterError, match="outside") as caught:
            call()
        assert str(value) not in str(caught.value)


@pytest.mark.parametrize("xs", [[0], [1, 0], [-1], [4097], [1, 2, 1]])
def test_coordinates_that_are_zero_repeated_or_outside_are_refused(xs):
    calls = [
        lambda: shamir.share(1, [1], xs),
        lambda: shamir.lagrange_at_zero(xs),
        lambda: shamir.on_one_polynomial(xs, [1] * len(xs), 1),
    ]
    for call in calls:
        with pytest.raises(errors.ParameterError, match="coordinate"):
            call()


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(errors.ParameterError, match="2 shares do not fit 1 weights"):
        shamir.rebuild([1, 2], [1])
    with pytest.raises(errors.ParameterError, match="do not fit"):
        shamir.on_one_polynomial([1, 2], [1], 1)
    with pytest.raises(errors.ParameterError, match="t = 0"):
        shamir.on_one_polynomial([1], [1], 0)


def test_draw_scalar_redraws_what_is_not_below_q():
    entropy = Scripted(
        (2**256 - 1).to_bytes(32, "little"),
        Q.to_bytes(32, "little"),
        (Q - 1).to_bytes(32, "little"),
    )
    assert shamir.draw_scalar(entropy, "b_u") == Q - 1
    assert entropy.asked == [("b_u", 32)] * 3


@given(scalar=SCALARS)
def test_scalar_from_bytes_inverts_scalar_to_bytes(scalar):
    data = shamir.scalar_to_bytes(scalar)
    assert data == scalar.to_bytes(32, "little")
    assert shamir.is_scalar(data)
    assert shamir.scalar_from_bytes(data) == scalar


@given(scalars=st.lists(SCALARS, max_size=5))
def test_many_scalars_come_back_as_each_would(scalars):
    data = [shamir.scalar_to_bytes(scalar) for scalar in scalars]
    assert shamir.are_scalars(iter(data))
    assert shamir.scalars_from_bytes(iter(data)) == scalars


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "wrong",
    [b"", bytes(31), bytes(33), Q.to_bytes(32, "little"), b"\xff" * 32],
    ids=lambda data: str(len(data)),
)
def test_of_many_scalars_one_that_is_none_is_refused(place, wrong):
    data = [bytes(32), b"\x01" * 32]
    data.insert(place, wrong)
    assert not shamir.are_scalars(data)
    with pytest.raises(errors.ParameterError, match="of 3 scalars one is not"):
        shamir.scalars_from_bytes(data)


@pytest.mark.parametrize(
    "data",
    [b"", bytes(31), bytes(33), Q.to_bytes(32, "little"), b"\xff" * 32],
    ids=lambda data: str(len(data)),
)
def test_bytes_that_are_no_scalar_are_refused_and_not_shown(data):
    assert not shamir.is_scalar(data)
    with pytest.raises(errors.ParameterError, match=f"{len(data)} bytes") as caught:
        shamir.scalar_from_bytes(data)
    assert "255" not in str(caught.value)
