"""The compiled loops against plain integers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import field, kernels
from secagg.kernels import plain

numba = pytest.importorskip("numba", reason="the extra fast is not installed")

from secagg.kernels import compiled  # noqa: E402 after numba is known to be there

WORDS = st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=4)


def edges(width):
    p = field.PRIMES[width]
    return [0, 1, p - 1, p, p + 1, 2**width - 1, 2**32 - 1, p // 2]


def add(sums, words, signs, width, piece):
    """What `add_words` makes of them: the sums and where it rejected."""
    block = np.array(sums, dtype=np.uint32)
    table = np.array(words, dtype=np.uint32)
    rejected = np.empty(table.size, dtype=np.intp)
    count = compiled.add_words(
        block,
        table,
        np.array(signs, dtype=np.int8),
        (1 << width) - 1,
        field.PRIMES[width],
        piece,
        rejected,
    )
    return block.tolist(), rejected[:count].tolist()


def slow(sums, words, signs, width):
    p = field.PRIMES[width]
    out, rejected = list(sums), []
    for row, (line, sign) in enumerate(zip(words, signs, strict=True)):
        for i, word in enumerate(line):
            element = word % 2**width
            if element >= p:
                rejected.append(row * len(line) + i)
            else:
                out[i] = (out[i] + sign * element) % p
    return out, rejected


@pytest.mark.parametrize("width", range(16, 33))
@pytest.mark.parametrize("sign", [1, -1])
def test_every_sum_of_the_edges(width, sign):
    p = field.PRIMES[width]
    sums = [s for s in edges(width) if s < p]
    for word in edges(width):
        line = [word] * len(sums)
        expected = slow(sums, [line], [sign], width)
        assert add(sums, [line], [sign], width, 1024) == expected


@given(
    width=st.integers(16, 32),
    table=st.lists(st.tuples(WORDS, st.sampled_from([1, -1])), max_size=4),
    sums=WORDS,
    piece=st.integers(1, 5),
)
def test_rows_of_any_words_and_signs(width, table, sums, piece):
    sums = [s % field.PRIMES[width] for s in sums]
    words = [line for line, _ in table]
    signs = [sign for _, sign in table]
    words_of_shape = words or np.empty((0, 4))
    block, rejected = add(sums, words_of_shape, signs, width, piece)
    expected, places = slow(sums, words, signs, width)
    assert block == expected
    assert sorted(rejected) == places


@pytest.mark.parametrize("places", [(3,), (63, 64), (0, 511), (1023,), range(60, 70)])
@pytest.mark.parametrize("sign", [1, -1])
def test_each_rejected_word_of_a_long_row_is_found(places, sign):
    words = np.full(1024, 7, dtype=np.uint32)
    words[list(places)] = field.PRIMES[16]
    sums = [9] * len(words)
    expected = slow(sums, [words.tolist()], [sign], 16)
    assert add(sums, [words], [sign], 16, 1024) == expected
    assert expected[1] == list(places)


FORMS = pytest.mark.parametrize("form", [plain, compiled], ids=["numpy", "numba"])


@FORMS
@pytest.mark.parametrize("width", range(16, 33))
def test_scattered_elements_of_the_edges_are_added_in_place(form, width):
    """Every sum, element and sign at the edges, each place twice and once."""
    p = field.PRIMES[width]
    edges_below = [0, 1, p // 2, p - 2, p - 1]
    cases = list(itertools.product(edges_below, edges_below, (1, -1), (1, 2)))
    sums = np.array([s for s, *_ in cases] + [5], dtype=np.uint32)
    added = [(i, e, g) for i, (_, e, g, n) in enumerate(cases) for _ in range(n)]
    places, elements, signs = zip(*added[::-1], strict=True)
    form.add_scattered(
        sums,
        np.array(places, dtype=np.intp),
        np.array(elements, dtype=np.uint32),
        np.array(signs, dtype=np.int8),
        p,
    )
    assert sums.tolist() == [(s + g * n * e) % p for s, e, g, n in cases] + [5]


def test_the_compiled_loops_are_chosen_where_numba_is_installed():
    assert kernels.compiled_loops() is compiled


@FORMS
@pytest.mark.parametrize("log4", range(7))
def test_the_butterflies_are_the_hadamard_matrix(log4, form):
    size = 4**log4
    rows = np.random.default_rng(log4).integers(-999, 999, (3, size)).astype(float)
    expected = rows
    for bit in range(2 * log4):
        pairs = expected.reshape(-1, 2, 1 << bit)
        added, taken = pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]
        expected = np.stack([added, taken], axis=1).reshape(rows.shape)
    assert np.array_equal(form.butterflies(rows), expected)


@FORMS
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("size", "count"), [(1, 1), (3, 2), (3, 3)])
def test_what_stands_in_a_block_is_taken_from_shifted_rows(dtype, size, count, form):
    length, first = 16, 5
    update = np.arange(1, first + length * size - 3, dtype=dtype)
    shifts = (np.arange(length) * 7) % size
    blocks = range(size - count, size)
    rows = form.placed(update, 0.5, shifts, blocks, first, size)
    assert rows.shape == (count, length)
    for k, block in enumerate(blocks):
        for i in range(length):
            j = first + i * size + (block + shifts[i]) % size
            assert rows[k, i] == (0.5 * update[j] if j < len(update) else 0.0)
