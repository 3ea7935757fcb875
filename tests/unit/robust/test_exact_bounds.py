"""The exact check at its edges, and against every honest cohort of a small world."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.messages import Extra
from secagg.names import VectorSum
from secagg.robust.check import ExtraSum, OpenedSum, Sees
from secagg.robust.exact_bounds import ExactBounds

CHECK = ExactBounds()
AGE = Extra(name="age", low=-3, high=100)


def view(vector, u3_count=3, x_max=10, delta_int=20, extras=()):
    return OpenedSum(
        vector=VectorSum(np.array(vector, dtype=np.int64)),
        u3_count=u3_count,
        x_max=x_max,
        delta_int=delta_int,
        extras=tuple(ExtraSum(extra=AGE, total=total) for total in extras),
    )


@pytest.mark.parametrize("value", [30, -30])
def test_a_coordinate_at_the_bound_passes(value):
    assert CHECK(view([0, value])).passed


@pytest.mark.parametrize("value", [31, -31, 2**62, -(2**63), 2**63 - 1])
def test_a_coordinate_beyond_the_bound_fails(value):
    assert not CHECK(view([0, value])).passed


def test_a_norm_at_the_bound_passes():
    # (3 * 20)^2 = 4 * 30^2.
    assert CHECK(view([30, -30, 30, 30])).passed


def test_a_norm_just_beyond_the_bound_fails():
    assert not CHECK(view([30, -30, 30, 30, 1])).passed


def test_a_norm_whose_square_exceeds_64_bits_is_decided_exactly():
    large = {"u3_count": 1, "x_max": 2**40, "delta_int": 2**41}
    assert CHECK(view([2**40] * 4, **large)).passed
    assert not CHECK(view([2**40] * 4 + [1], **large)).passed


@pytest.mark.parametrize("total", [-9, 300])
def test_an_extra_at_its_bound_passes(total):
    assert CHECK(view([0], extras=[total])).passed


@pytest.mark.parametrize("total", [-10, 301])
def test_an_extra_beyond_its_bound_fails(total):
    verdict = CHECK(view([0], extras=[5, total]))
    assert not verdict.passed
    assert "extra age is outside -9..300" in verdict.detail


def test_every_honest_cohort_of_a_small_world_passes():
    # All pairs of integer vectors in two dimensions with |x_i| <= 2 and norm <= 2.
    honest = [
        x
        for x in itertools.product(range(-2, 3), repeat=2)
        if x[0] ** 2 + x[1] ** 2 <= 4
    ]
    for ours, theirs in itertools.product(honest, repeat=2):
        total = [ours[0] + theirs[0], ours[1] + theirs[1]]
        assert CHECK(view(total, u3_count=2, x_max=2, delta_int=2)).passed


@given(st.lists(st.integers(-40, 40), min_size=1, max_size=8))
def test_the_verdict_is_that_of_plain_integers(vector):
    expected = max(map(abs, vector)) <= 30 and sum(v * v for v in vector) <= 60**2
    assert CHECK(view(vector)).passed == expected


def test_a_break_is_fatal_and_is_called_cheating():
    verdict = CHECK(view([93]))
    assert verdict.fatal
    assert "cheating: a coordinate is 3.1 times its bound" in verdict.detail


def test_a_detail_fits_its_512_characters_however_much_is_broken():
    widest = Extra(name="x" * 32, low=-(2**62), high=2**62)
    broken = ExtraSum(extra=widest, total=2**80)
    seen = OpenedSum(
        vector=VectorSum(np.array([2**63 - 1])),
        u3_count=10_000,
        x_max=2**23,
        delta_int=2**50,
        extras=(broken,) * 64,
    )
    detail = CHECK(seen).detail
    assert len(detail) <= 512
    assert detail.endswith("62 more")


def test_a_passing_verdict_says_nothing_of_the_sum():
    # It is published beside a noised release.
    assert CHECK(view([1, 2, 3])) == CHECK(view([-30, 0, 7]))


def test_it_is_given_the_exact_sum():
    assert CHECK.sees is Sees.OPENED
