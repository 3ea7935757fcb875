"""Sums that wait beyond p, to their bounds."""

import itertools

import numpy as np
import pytest

from secagg import field
from secagg.engine.sums import ROWS, lazy_sums

WIDTHS = range(16, 33)
ENDS = [0, 1, -2, -1]


def worst(width, sign, masks):
    """The block after `masks` of one sign, and what it was: all words at p - 1."""
    p = field.PRIMES[width]
    before = np.array(ENDS, dtype=np.int64) % p
    block = before.astype(np.uint32)
    sums = lazy_sums(width)
    sums.begin(block, masks if sign < 0 else 0)
    for done in range(0, masks, ROWS):
        rows = min(ROWS, masks - done)
        words = np.full((rows, len(block)), p - 1, dtype=np.uint32)
        assert len(sums.add(words, np.full(rows, sign, dtype=np.int8))) == 0
    sums.finish()
    return before, block


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("sign", [1, -1])
def test_as_many_of_the_largest_masks_as_are_allowed_do_not_wrap(width, sign):
    p, most = field.PRIMES[width], lazy_sums(width).most
    before, block = worst(width, sign, most)
    total = before.astype(object) + sign * most * (p - 1)
    assert block.tolist() == [t % p for t in total]


@pytest.mark.parametrize("width", [*range(18, 30), 32])
def test_one_more_than_are_allowed_would_wrap(width):
    # At w = 16 and 17 the folding would no longer suffice; at 30 and 31 there is room.
    p, most = field.PRIMES[width], lazy_sums(width).most
    before, block = worst(width, 1, most + 1)
    total = before.astype(object) + (most + 1) * (p - 1)
    narrow = width <= 29
    wraps = max(total) >= 2**32 if narrow else most + 1 > np.iinfo(np.int8).max
    assert wraps
    assert (block.tolist() == [t % p for t in total]) is False


@pytest.mark.parametrize("width", [16, 23, 28, 30, 31, 32])
def test_signs_in_any_order_leave_no_sum_below_zero(width):
    p = field.PRIMES[width]
    values = [0, 1, p // 2, p - 1]
    sums = lazy_sums(width)
    for signs in itertools.product([1, -1], repeat=3):
        block = np.array(values, dtype=np.uint32)
        sums.begin(block, signs.count(-1))
        for sign in signs:
            words = np.full((1, len(values)), p - 1, dtype=np.uint32)
            sums.add(words, np.array([sign], dtype=np.int8))
        sums.finish()
        assert block.tolist() == [(v + sum(signs) * (p - 1)) % p for v in values]


@pytest.mark.parametrize("width", WIDTHS)
def test_rejected_words_count_as_0_and_are_told(width):
    p = field.PRIMES[width]
    words = np.array([[p - 1, p, 5], [2**width - 1, 6, p]], dtype=np.uint32)
    block = np.array([3, 4, p - 1], dtype=np.uint32)
    sums = lazy_sums(width)
    sums.begin(block, 1)
    rejected = sums.add(words, np.array([1, -1], dtype=np.int8))
    sums.finish()
    assert sorted(rejected.tolist()) == [1, 3, 5]
    assert block.tolist() == [2, p - 2, 4]
