"""The fields: primes, centring, and the bounds of the lazy sums at their edges."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from secagg import errors, field

WIDTHS = range(16, 33)
BASES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
INT64 = hnp.arrays(np.int64, st.integers(0, 40))


def is_prime(n):
    """Miller-Rabin; these bases decide every n below 3.3e24."""
    if any(n % base == 0 for base in BASES):
        return n in BASES
    twos = ((n - 1) & (1 - n)).bit_length() - 1
    return all(_passes(n, base, twos) for base in BASES)


def _passes(n, base, twos):
    x = pow(base, (n - 1) >> twos, n)
    return x == 1 or any(pow(x, 2**k, n) == n - 1 for k in range(twos))


def largest_prime_below(n):
    return next(k for k in range(n - 1, 1, -1) if is_prime(k))


def test_is_prime_by_trial_division():
    small = [n for n in range(2, 2000) if all(n % d for d in range(2, n))]
    assert [n for n in range(2, 2000) if is_prime(n)] == small


@pytest.mark.parametrize("width", WIDTHS)
def test_p_w_is_the_largest_prime_below_2_to_the_w(width):
    assert field.PRIMES[width] == field.prime(width) == largest_prime_below(2**width)


def test_the_table_has_the_widths_16_to_32_and_cannot_be_changed():
    assert list(field.PRIMES) == list(WIDTHS)
    with pytest.raises(TypeError):
        field.PRIMES[16] = 7  # type: ignore[index]


def test_q_is_prime_and_has_256_bits():
    assert is_prime(field.Q)
    assert field.Q.bit_length() == 256


@pytest.mark.parametrize("width", [-1, 0, 15, 33])
def test_prime_refuses_a_width_outside_its_range(width):
    with pytest.raises(errors.ParameterError, match=rf"width = {width} .*16\.\.32"):
        field.prime(width)


@pytest.mark.parametrize("width", WIDTHS)
def test_narrowest_width_at_its_edges(width):
    largest = (field.PRIMES[width] - 1) // 2
    assert field.narrowest_width(largest) == width
    if width < 32:
        assert field.narrowest_width(largest + 1) == width + 1


def test_narrowest_width_of_the_papers_example():
    assert field.narrowest_width(1024 * 32767) == 26
    assert field.narrowest_width(0) == 16


def test_narrowest_width_refuses_what_no_field_holds_and_names_it():
    with pytest.raises(errors.ParameterError, match="2147483646"):
        field.narrowest_width(2147483646)


def test_narrowest_width_refuses_a_negative_bound():
    with pytest.raises(errors.ParameterError, match="bound = -1"):
        field.narrowest_width(-1)


@pytest.mark.parametrize("width", WIDTHS)
def test_centre_inverts_to_field_at_the_edges(width):
    p = field.PRIMES[width]
    half = (p - 1) // 2
    values = np.array([-half, -half + 1, -1, 0, 1, half - 1, half])
    elements = field.to_field(values, p)
    assert elements.dtype == np.uint32
    assert elements.tolist() == [v % p for v in values.tolist()]
    assert field.centre(elements, p).tolist() == values.tolist()


@pytest.mark.parametrize("width", WIDTHS)
def test_to_field_beside_and_beyond_one_multiple_of_p(width):
    p = field.PRIMES[width]
    for ends in ([-p, p - 1], [-p - 1], [p], [-(2**63), 2**63 - 1, -1, 0]):
        found = field.to_field(np.array(ends), p)
        assert found.tolist() == [v % p for v in ends]


@given(values=INT64, width=st.integers(16, 32))
def test_to_field_is_the_remainder_of_any_int64(values, width):
    p = field.PRIMES[width]
    assert field.to_field(values, p).tolist() == [v % p for v in values.tolist()]


@given(
    sums=hnp.arrays(np.uint64, st.integers(0, 40)),
    width=st.integers(16, 32),
)
def test_reduce_is_the_remainder_of_any_uint64(sums, width):
    p = field.PRIMES[width]
    expected = [s % p for s in sums.tolist()]
    assert field.reduce(sums, p).tolist() == expected


@pytest.mark.parametrize("width", WIDTHS)
def test_reduce_at_the_largest_sums_and_around_multiples_of_p(width):
    p = field.PRIMES[width]
    top = 2**64 // p * p
    sums = [0, 1, p - 1, p, p + 1, 2 * p - 1, 2 * p, top - 1, top, 2**64 - 1]
    reduced = field.reduce(np.array(sums, dtype=np.uint64), p)
    assert reduced.dtype == np.uint32
    assert reduced.tolist() == [s % p for s in sums]


@pytest.mark.parametrize("width", WIDTHS)
def test_lazy_terms_is_the_largest_number_that_both_bounds_allow(width):
    p, k = field.PRIMES[width], field.lazy_terms(width)
    gap = 2**width - p
    assert (k + 1) * p <= 2**32
    assert (k + 1) * gap <= p
    assert (k + 2) * p > 2**32 or (k + 2) * gap > p


def test_lazy_terms_of_the_ends():
    assert [field.lazy_terms(width) for width in (16, 17, 28, 30, 31, 32)] == [
        *(4367, 32_767, 15, 3, 1, 0)
    ]


@pytest.mark.parametrize("width", range(16, 32))
def test_reduce_narrow_at_the_largest_sums_and_around_multiples_of_p(width):
    p = field.PRIMES[width]
    most = (field.lazy_terms(width) + 1) * p - 1
    near = [k * p + d for k in (0, 1, 2) for d in (0, 1, p - 1)]
    folds = [2**width - 1, 2**width, most - 2**width, most - 1, most]
    sums = [s for s in near + folds if s <= most]
    reduced = np.array(sums, dtype=np.uint32)
    field.reduce_narrow(reduced, width, np.empty_like(reduced))
    assert reduced.tolist() == [s % p for s in sums]


@given(data=st.data(), width=st.integers(16, 31))
def test_reduce_narrow_is_the_remainder_of_any_lazy_sum(data, width):
    p = field.PRIMES[width]
    most = (field.lazy_terms(width) + 1) * p - 1
    sums = data.draw(st.lists(st.integers(0, most), max_size=40))
    reduced = np.array(sums, dtype=np.uint32)
    field.reduce_narrow(reduced, width, np.empty_like(reduced))
    assert reduced.tolist() == [s % p for s in sums]


@given(values=INT64)
def test_squared_norm_is_exact_for_any_int64(values):
    assert field.squared_norm(values) == sum(v * v for v in values.tolist())


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 2**32 - 1, -(2**32), 2**31])
def test_squared_norm_of_many_extreme_values(value):
    size = field._BLOCK + 3
    values = np.full(size, value, dtype=np.int64)
    assert field.squared_norm(values) == size * value * value


@pytest.mark.parametrize("size", [1, 2, 1000, 1 << 16, (1 << 16) + 1])
@pytest.mark.parametrize("beyond", [0, 1])
def test_squared_norm_is_exact_where_a_block_just_fits_64_bits(size, beyond):
    largest = math.isqrt(((1 << 63) - 1) // min(size, 1 << 16)) + beyond
    values = np.full(size, -largest, dtype=np.int64)
    assert field.squared_norm(values) == size * largest**2


def test_squared_norm_of_nothing_is_zero():
    assert field.squared_norm(np.zeros(0, dtype=np.int64)) == 0
