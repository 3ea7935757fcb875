"""Both forms of each loop, beside each other and beside plain integers and floats."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import field, kernels
from secagg.kernels import plain

FORMS = [loops for loops in (plain, kernels.compiled_loops()) if loops is not None]
FORM = st.sampled_from(FORMS)
WIDTHS = range(16, 33)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)

every_form = pytest.mark.parametrize("loops", FORMS)


@given(
    loops=FORM,
    width=st.integers(16, 32),
    elements=st.lists(st.integers(0, 2**32 - 1), max_size=140),
)
def test_packing_and_unpacking_are_the_bit_stream(loops, width, elements):
    elements = [e % 2**width for e in elements]
    stream = sum(e << i * width for i, e in enumerate(elements))
    words = np.zeros(-(-len(elements) * width // 64) + 1, dtype=np.uint64)
    out = words[:-1]
    top = loops.pack(np.array(elements, dtype=np.uint32), width, out)
    assert int.from_bytes(out.tobytes(), "little") == stream
    found = np.empty(len(elements), dtype=np.uint32)
    assert loops.unpack(words, width, found) == top == max(elements, default=0)
    assert found.tolist() == elements


@given(
    loops=FORM,
    width=st.integers(16, 32),
    elements=st.lists(st.integers(0, 2**32 - 1), max_size=140),
    before=st.integers(0, 2**63),
)
def test_what_is_added_is_what_unpacking_gives(loops, width, elements, before):
    elements = [e % 2**width for e in elements]
    stream = sum(e << i * width for i, e in enumerate(elements))
    size = -(-len(elements) * width // 64) + 1
    words = np.frombuffer(stream.to_bytes(8 * size, "little"), dtype=np.uint64)
    sums = np.full(len(elements), before, dtype=np.uint64)
    largest = max(elements, default=0)
    assert loops.add_unpacked(words, width, sums) == largest
    assert sums.tolist() == [before + e for e in elements]
    assert loops.largest_packed(words, width, len(elements)) == largest


@every_form
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("shift", [0, 1, 5])
def test_words_are_read_from_any_byte_and_over_blocks(loops, width, shift):
    size = plain._BLOCK + 65
    values = np.random.default_rng(width).integers(0, 2**width, size, dtype=np.uint32)
    words = np.zeros(-(-size * width // 64) + 1, dtype=np.uint64)
    plain.pack(values, width, words[:-1])
    moved = np.frombuffer(bytes(shift) + words.tobytes(), np.uint64, offset=shift)
    sums = np.ones(size, dtype=np.uint64)
    found = np.empty(size, dtype=np.uint32)
    tops = {
        loops.add_unpacked(moved, width, sums),
        loops.largest_packed(moved, width, size),
        loops.unpack(moved, width, found),
    }
    assert tops == {int(values.max())}
    assert np.array_equal(sums, values + np.uint64(1))
    assert np.array_equal(found, values)


@every_form
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("extra", [0, 1, 63])
def test_packing_over_blocks(loops, width, extra):
    size = plain._BLOCK + extra
    values = np.random.default_rng(width).integers(0, 2**width, size, dtype=np.uint32)
    words = np.zeros(-(-size * width // 64) + 1, dtype=np.uint64)
    loops.pack(values, width, words[:-1])
    half = plain._BLOCK // 2
    again = np.zeros_like(words)
    plain.pack(values[half:], width, again[half * width // 64 : -1])
    plain.pack(values[:half], width, again[: half * width // 64])
    assert np.array_equal(words, again)
    found = np.empty(size, dtype=np.uint32)
    assert loops.unpack(words, width, found) == values.max()
    assert np.array_equal(found, values)


def slow_rounded(scaled, word, limit, p):
    """floor(v) and 1 more if the word is below the fraction, with exact integers."""
    whole, part = divmod(math.ceil(min(max(scaled, -limit), limit)), 2**32)
    return (whole + (word < part)) % p


@given(
    loops=FORM,
    width=st.integers(16, 32),
    coordinates=st.lists(
        st.tuples(st.floats(-2e18, 2e18), st.integers(0, 2**32 - 1)), max_size=20
    ),
)
def test_rounding_is_exact(loops, width, coordinates):
    p = field.PRIMES[width]
    limit = ((p - 1) // 2) * 2.0**32
    scaled = np.array([c for c, _ in coordinates])
    words = np.array([w for _, w in coordinates], dtype=np.uint32)
    out = np.empty(len(coordinates), dtype=np.uint32)
    loops.rounded(scaled, words, limit, p, out)
    assert out.tolist() == [slow_rounded(c, w, limit, p) for c, w in coordinates]


@every_form
@pytest.mark.parametrize("word", [0, 1, 2**31, 2**32 - 1])
def test_rounding_at_the_edges(loops, word):
    p, limit = 65_521, 32_760 * 2.0**32
    near = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0**32, 2.0**31, limit, limit + 2.0**32]
    values = [sign * (v + d) for v in near for d in (0, 1, -1) for sign in (1, -1)]
    scaled = np.array(values)
    words = np.full(len(values), word, dtype=np.uint32)
    out = np.empty(len(values), dtype=np.uint32)
    loops.rounded(scaled, words, limit, p, out)
    assert out.tolist() == [slow_rounded(v, word, limit, p) for v in values]


@given(loops=FORM, values=st.lists(st.floats(width=32), max_size=70))
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_the_peak_is_the_largest_size_and_nan_if_there_is_one(loops, values, kind):
    with np.errstate(over="ignore"):
        block = np.array(values).astype(kind)
    sizes = [abs(float(v)) for v in block]
    found = loops.peak(block)
    if any(math.isnan(v) for v in sizes):
        assert math.isnan(found)
    else:
        assert found == max(sizes, default=0.0)


@given(loops=FORM, values=st.lists(FLOATS, min_size=1, max_size=70))
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_squares_are_added_by_halves(loops, values, kind):
    factor = 2.0**-128
    squares = [(v * factor) ** 2 for v in values]
    while len(squares) & (len(squares) - 1):
        squares.append(0.0)
    while len(squares) > 1:
        half = len(squares) // 2
        squares = [squares[i] + squares[half + i] for i in range(half)]
    assert loops.sum_of_squares(np.array(values, dtype=kind), factor) == squares[0]


@every_form
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_both_forms_find_the_same_bits_in_a_whole_block(loops, kind):
    block = np.random.default_rng(1).normal(size=1 << 15).astype(kind)
    assert loops.sum_of_squares(block, 0.125) == plain.sum_of_squares(block, 0.125)
    assert loops.peak(block[::3]) == plain.peak(block[::3])
    block.flags.writeable = False
    assert loops.peak(block) == plain.peak(block)
