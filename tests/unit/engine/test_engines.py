"""Every engine of the registry against the sum of the streams, element by element."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, field
from secagg.crypto import prg
from secagg.engine import ENGINES, MaskSeed, engine
from tests.helpers_chacha import slow_word

WIDTHS = range(16, 33)
NAMES = st.sampled_from(sorted(ENGINES))
SIGNS = st.lists(st.sampled_from([1, -1]), max_size=9)
TAGS = (prg.Tag.PAIR, prg.Tag.SELF)

# Elements of a large window: several blocks and slices; fewer where it is interpreted.
LARGE = dict.fromkeys(ENGINES, 150_001)
if os.environ["TRITON_INTERPRET"] == "1":
    LARGE["triton"] = 3_001

every_engine = pytest.mark.parametrize("name", sorted(ENGINES))


def seed(k):
    return MaskSeed(k.to_bytes(32, "little"), TAGS[k % 2])


def slow_sum(acc, width, seeds, signs, start):
    """The definition, in signed 64 bits reduced after every mask."""
    p = field.PRIMES[width]
    total = acc.astype(np.int64)
    for each, sign in zip(seeds, signs, strict=True):
        mask = prg.elements(each.key, each.tag, width, start, start + len(acc))
        total = (total + sign * mask.astype(np.int64)) % p
    return total


def start_values(size, width):
    p = field.PRIMES[width]
    values = np.arange(size, dtype=np.uint64) * np.uint64(2654435761)
    acc = (values % np.uint64(p)).astype(np.uint32)
    acc[:3] = [0, p - 1, p - 2][: len(acc[:3])]
    return acc


def assert_sums(name, width, seeds, signs, start, size):
    acc = start_values(size, width)
    expected = slow_sum(acc, width, seeds, signs, start)
    engine(name, width).accumulate(acc, seeds, signs, start, start + size)
    assert np.array_equal(acc, expected)


@given(
    name=NAMES,
    width=st.integers(16, 32),
    signs=SIGNS,
    start=st.integers(0, 2**64 - 2000),
    size=st.integers(0, 2000),
)
def test_any_window_and_any_signs(name, width, signs, start, size):
    seeds = [seed(k) for k in range(len(signs))]
    assert_sums(name, width, seeds, signs, start, size)


@every_engine
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("signs", [[1] * 6, [-1] * 6, [1, -1] * 3])
def test_every_width_over_blocks_and_slices(name, width, signs):
    seeds = [seed(k) for k in range(len(signs))]
    assert_sums(name, width, seeds, signs, 5, LARGE[name])


@every_engine
@pytest.mark.parametrize("width", [24, 28, 31, 32])
@pytest.mark.parametrize("sign", [1, -1])
def test_more_masks_than_any_narrow_sum_holds(name, width, sign):
    seeds = [seed(k) for k in range(600)]
    assert_sums(name, width, seeds, [sign] * 600, 3, 50)


@every_engine
def test_thousands_of_rejections_are_put_right(name):
    # 15 words of 65,536 are rejected at w = 16: about 5,500, interpreted 110.
    seeds = [seed(k) for k in range(80)]
    signs = [1 if k % 3 else -1 for k in range(80)]
    assert_sums(name, 16, seeds, signs, 0, 2 * LARGE[name])


# Real rejections under this key, as in the tests of the stream itself.
KEY = bytes(range(32))
REJECTED = [
    (prg.Tag.PAIR, 16, 6899550),
    (prg.Tag.SELF, 24, 1544264),
    (prg.Tag.PAIR, 32, 281927744),
    (prg.Tag.PAIR, 32, 1555346861),
]


@every_engine
@pytest.mark.parametrize(("tag", "width", "position"), REJECTED)
@pytest.mark.parametrize("signs", [[1], [-1], [1, 1], [-1, -1, 1], [1, -1]])
def test_rejections_at_one_place_by_several_masks(name, tag, width, position, signs):
    seeds = [MaskSeed(KEY, tag)] * len(signs)
    assert_sums(name, width, seeds, signs, position - 7, 20)


@every_engine
@pytest.mark.parametrize("width", [16, 25, 32])
def test_a_window_over_a_segments_end(name, width):
    seeds = [seed(k) for k in range(4)]
    assert_sums(name, width, seeds, [1, -1, 1, -1], (1 << 32) - 700, LARGE[name])


@every_engine
@pytest.mark.parametrize("width", [16, 32])
@pytest.mark.parametrize("start", [2**32 - 5, 2**34 + 3, 2**63 - 9, 2**64 - 40])
def test_positions_beyond_32_bits_are_those_of_each_block(name, width, start):
    """Word by word from the layout of the state, over the segments' borders."""
    p, one = field.PRIMES[width], seed(7)
    words = [slow_word(one.key, one.tag, i) for i in range(start, start + 40)]
    expected = [word % 2**width for word in words]
    assert max(expected) < p
    acc = np.zeros(40, dtype=np.uint32)
    engine(name, width).accumulate(acc, [one], [1], start, start + 40)
    assert acc.tolist() == expected


@every_engine
def test_the_last_positions(name):
    assert_sums(name, 20, [seed(1)], [1], 2**64 - 5, 5)


@every_engine
@pytest.mark.parametrize("width", [16, 32])
def test_masks_of_both_signs_cancel(name, width):
    acc = start_values(LARGE[name], width)
    before = acc.copy()
    seeds = [seed(k) for k in range(5)]
    machine = engine(name, width)
    machine.accumulate(acc, seeds, [1] * 5, 9, 9 + len(acc))
    assert not np.array_equal(acc, before)
    machine.accumulate(acc, seeds, [-1] * 5, 9, 9 + len(acc))
    assert np.array_equal(acc, before)


@every_engine
def test_no_masks_change_nothing(name):
    acc = start_values(1000, 20)
    before = acc.copy()
    engine(name, 20).accumulate(acc, [], [], 0, 1000)
    assert np.array_equal(acc, before)


@every_engine
def test_a_refused_call_changes_nothing(name):
    acc = start_values(100, 20)
    before = acc.copy()
    with pytest.raises(errors.ParameterError):
        engine(name, 20).accumulate(acc, [seed(1), seed(2)], [1, 3], 0, 100)
    assert np.array_equal(acc, before)


@every_engine
@pytest.mark.parametrize("width", [15, 33])
def test_a_width_outside_its_range_is_refused(name, width):
    with pytest.raises(errors.ParameterError, match=f"width = {width}"):
        engine(name, width)


def test_an_engine_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(errors.ParameterError, match=r"'abacus'.*numpy-threads"):
        engine("abacus", 20)
