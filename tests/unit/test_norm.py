"""The norm against exact fractions, at every magnitude."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors
from secagg.norm import BLOCK, blocks, l2_norm

pytestmark = pytest.mark.usefixtures("every_form")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1))
def test_the_norm_is_exact_to_2_to_the_minus_47(values):
    norm = Fraction(l2_norm(np.array(values)))
    square = sum(Fraction(v) ** 2 for v in values)
    assert square * (1 - Fraction(1, 2**47)) ** 2 <= norm**2
    assert norm**2 <= square * (1 + Fraction(1, 2**47)) ** 2


@pytest.mark.parametrize("exponent", [-1074, -1000, -500, 0, 500, 1000, 1021])
def test_the_norm_neither_under_nor_overflows(exponent):
    update = np.ldexp(np.array([3.0, -4.0]), exponent)
    assert l2_norm(update) == math.ldexp(5.0, exponent)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_536, 65_537, 200_000])
def test_the_norm_over_rows_and_blocks(size):
    update = np.cos(np.arange(size))
    exact = math.sqrt(math.fsum(v * v for v in update.tolist()))
    assert l2_norm(update) == pytest.approx(exact, rel=2**-47)


def added_in_halves(values):
    """The stated order of additions, written as a recursion."""
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    pairs = zip(values[:half], values[half:], strict=True)
    return added_in_halves([a + b for a, b in pairs])


@pytest.mark.parametrize("size", [1, 2, 3, 1000, BLOCK, BLOCK + 1, 5 * BLOCK + 17])
def test_the_additions_are_in_the_stated_order(size):
    update = np.cos(np.arange(size)).astype(np.float32)
    squares = [float(v) ** 2 for v in update]
    squares += [0.0] * (-size % BLOCK)
    sums = [
        added_in_halves(squares[low : low + BLOCK])
        for low in range(0, len(squares), BLOCK)
    ]
    sums += [0.0] * ((1 << (len(sums) - 1).bit_length()) - len(sums))
    assert l2_norm(update) == math.sqrt(added_in_halves(sums))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("index", [0, BLOCK - 1, BLOCK, BLOCK + 6])
def test_what_is_not_finite_is_refused_with_its_index(bad, index):
    update = np.ones(BLOCK + 7)
    update[index] = bad
    kind = "NaN" if math.isnan(bad) else "infinite"
    with pytest.raises(errors.InputError, match=f"w: coordinate {index} is {kind}"):
        l2_norm(update, "w")


def test_the_first_bad_coordinate_is_the_one_named():
    with pytest.raises(errors.InputError, match="coordinate 1 is infinite"):
        l2_norm(np.array([1.0, math.inf, math.nan]))


def test_a_norm_beyond_float64_is_refused():
    largest = math.ldexp(1 - 2.0**-53, 1024)
    assert l2_norm(np.array([largest])) == largest
    with pytest.raises(errors.InputError, match="w: its L2 norm is beyond float64"):
        l2_norm(np.array([largest, largest]), "w")


@pytest.mark.parametrize("update", [np.zeros(0), np.zeros(5), np.array([-0.0])])
def test_the_norm_of_nothing_is_zero(update):
    assert l2_norm(update) == 0.0


def test_blocks_make_up_the_window():
    assert list(blocks(3, 3)) == []
    assert list(blocks(3, BLOCK + 4)) == [(3, BLOCK + 3), (BLOCK + 3, BLOCK + 4)]
