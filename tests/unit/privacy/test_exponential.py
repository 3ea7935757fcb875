"""Enclosures and exact comparisons against mpmath."""

import itertools

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.privacy import exponential

SMALL = sorted({(a, b) for a, b in itertools.product(range(1, 9), range(1, 9))})


class Words:
    """The words of one uniform real, given as an integer of 64 bits; then zeros."""

    def __init__(self, first_64_bits):
        self.lanes = [first_64_bits >> 32, first_64_bits & 0xFFFFFFFF]
        self.asked = []

    def word(self, position, lane):
        self.asked.append((position, lane))
        return self.lanes[lane] if lane < 2 else 0


def scaled(numerator, denominator, bits):
    """2^bits exp(-numerator / denominator) to far more digits than are compared."""
    with mpmath.workdps(bits // 3 + 60):
        return mpmath.ldexp(mpmath.exp(-mpmath.mpf(numerator) / denominator), bits)


def floor_scaled(numerator, denominator, bits):
    with mpmath.workdps(bits // 3 + 60):
        return int(mpmath.floor(scaled(numerator, denominator, bits)))


@pytest.mark.parametrize("bits", [1, 8, 64, 320])
@pytest.mark.parametrize(("numerator", "denominator"), SMALL)
def test_enclosure_holds_the_exponential_and_is_narrow(numerator, denominator, bits):
    low, high = exponential.enclose(numerator, denominator, bits)
    assert low <= floor_scaled(numerator, denominator, bits) < high
    assert high - low <= 2 * bits + 20


@given(st.integers(0, 2**200), st.integers(1, 2**193), st.integers(1, 400))
def test_enclosure_holds_the_exponential_of_any_rational(numerator, denominator, bits):
    numerator %= 300 * denominator
    low, high = exponential.enclose(numerator, denominator, bits)
    assert low <= scaled(numerator, denominator, bits) <= high


def test_enclosure_of_exp_0_is_exact():
    assert exponential.enclose(0, 7, 32) == (2**32, 2**32)


@pytest.mark.parametrize(("numerator", "denominator"), SMALL)
def test_a_real_2_to_the_minus_64_apart_from_the_exponential_is_told_apart(
    numerator, denominator
):
    edge = floor_scaled(numerator, denominator, 64)
    assert exponential.uniform_is_below(Words(edge), 5, numerator, denominator)
    assert not exponential.uniform_is_below(Words(edge + 1), 5, numerator, denominator)


def test_further_lanes_are_read_only_on_a_tie():
    clear, tied = Words(1 << 63), Words(floor_scaled(1, 1, 64))
    exponential.uniform_is_below(clear, 5, 1, 1)
    exponential.uniform_is_below(tied, 5, 1, 1)
    assert clear.asked == [(5, 0)]
    assert tied.asked == [(5, 0), (5, 1), (5, 2)]


@pytest.mark.parametrize("real", [0, 2**64 - 1])
def test_every_real_is_below_exp_0(real):
    assert exponential.uniform_is_below(Words(real), 0, 0, 3)


def test_a_real_that_no_lane_tells_apart_is_not_below():
    class Zeros(Words):
        def word(self, position, lane):
            return 0

    # exp(-10000) is below 2^-288, and so might be this real.
    assert not exponential.uniform_is_below(Zeros(0), 0, 10_000, 1)
