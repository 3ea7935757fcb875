"""The compiled sum of masks against its definition, with any modulus."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import field
from secagg.crypto.keystream import LANES, Tag, words

pytest.importorskip("numba", reason="the extra fast is not installed")

from secagg.kernels import compiled_masks
from secagg.kernels.compiled_masks import GROUP, SCRATCH, SEED_WORDS

KEYS = [bytes([k]) * 32 for k in range(3)]


def seed_table(count):
    seeds = np.empty((count, SEED_WORDS), dtype=np.uint32)
    for row, key in zip(seeds, KEYS, strict=False):
        row[:8] = np.frombuffer(key, dtype="<u4")
        row[8] = Tag.SELF
    return seeds


def added(sums, signs, start, width, p):
    """What `add_masks` makes of the sums."""
    found = sums.astype(np.uint32)
    scratch = np.empty((SCRATCH // GROUP, GROUP), dtype=np.uint32)
    signed = np.array(signs, dtype=np.int8)
    cut = (1 << width) - 1
    compiled_masks.add_masks(
        found, seed_table(len(signs)), signed, start, cut, p, scratch
    )
    return found


def elements(key, width, p, start, stop):
    """Spec 6, by numpy and OpenSSL: lane 0, else the first of 1..8, else reduced."""
    found = words(key, Tag.SELF, start, stop) & np.uint32((1 << width) - 1)
    for lane in range(1, LANES + 1):
        drawn = words(key, Tag.SELF, start, stop, lane) & np.uint32((1 << width) - 1)
        found = np.where(found < p, found, drawn)
    return found % np.uint32(p)


def expected(sums, signs, start, width, p):
    total = sums.astype(np.int64)
    for key, sign in zip(KEYS, signs, strict=False):
        mask = elements(key, width, p, start, start + len(sums))
        total = (total + sign * mask.astype(np.int64)) % p
    return total


def begun(size, p):
    """Sums at both ends and between."""
    return np.arange(size, dtype=np.int64) * (p - 1) % p


# Moduli so small that every case comes often: the ends 0 and p - 1, a word that is p,
# one that is above it, and words that all lanes reject (0.375^9 of them at p = 5).
SMALL = [(1, 2), (2, 3), (3, 5), (3, 7), (4, 9)]
MODULI = [*SMALL, *field.PRIMES.items()]


@pytest.mark.parametrize(("width", "p"), MODULI)
@pytest.mark.parametrize("signs", [[1], [-1], [1, -1, 1], [-1, -1, 1]])
def test_the_sum_is_that_of_the_definition(width, p, signs):
    sums = begun(5 * GROUP, p)
    found = added(sums, signs, 7, width, p)
    assert np.array_equal(found, expected(sums, signs, 7, width, p))


@pytest.mark.parametrize("sign", [1, -1])
def test_words_that_every_lane_rejects_are_reduced(sign):
    start, size, p = 0, 200_000, 5
    everywhere = np.ones(size, dtype=bool)
    for lane in range(LANES + 1):
        everywhere &= (words(KEYS[0], Tag.SELF, start, size, lane) & 7) >= p
    assert everywhere.any()
    sums = begun(size, p)
    found = added(sums, [sign], start, 3, p)
    assert np.array_equal(found, expected(sums, [sign], start, 3, p))


@given(
    width=st.integers(16, 32),
    signs=st.lists(st.sampled_from([1, -1]), max_size=3),
    start=st.one_of(
        st.integers(0, 2 * GROUP),
        st.integers(2**32 - 2 * GROUP, 2**32 + GROUP),
        st.integers(2**64 - 3 * GROUP, 2**64 - GROUP),
    ),
    size=st.integers(0, GROUP),
)
def test_any_window_over_groups_and_segments(width, signs, start, size):
    p = field.PRIMES[width]
    sums = begun(size, p)
    found = added(sums, signs, start, width, p)
    assert np.array_equal(found, expected(sums, signs, start, width, p))
