"""The compiled loops against plain integers."""

import itertools

import numpy as np
import pytest

from secagg import field, kernels
from secagg.kernels import plain

numba = pytest.importorskip("numba", reason="the extra fast is not installed")

from secagg.kernels import compiled  # noqa: E402 after numba is known to be there

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
