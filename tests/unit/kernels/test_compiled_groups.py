"""Groups of eight are read from a bit stream as plain integers are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

numba = pytest.importorskip("numba", reason="the extra fast is not installed")

from secagg.kernels.compiled_groups import (  # noqa: E402 numba is known to be there
    LANES,
    add_groups,
    largest_of_groups,
    unpack_groups,
)

COUNT = numba.uint64


@numba.njit
def unpacked(words, width, count, out):
    return unpack_groups(words, COUNT(width), COUNT(count), out)


@numba.njit
def added(words, width, count, sums):
    return add_groups(words, COUNT(width), COUNT(count), sums)


@numba.njit
def largest(words, width, count):
    return largest_of_groups(words, COUNT(width), COUNT(count))


def stream(elements, width):
    """Return words of the bit stream, and one more with every bit set."""
    bits = sum(e << i * width for i, e in enumerate(elements))
    size = 8 * -(-len(elements) * width // 64)
    return np.frombuffer(bits.to_bytes(size, "little") + b"\xff" * 8, dtype="<u8")


@given(
    width=st.integers(16, 32),
    numbers=st.lists(
        st.lists(st.integers(0, 2**32 - 1), min_size=LANES, max_size=LANES), max_size=5
    ),
)
def test_each_form_takes_whole_groups_and_no_more(width, numbers):
    elements = [e % 2**width for group in numbers for e in group]
    words, count = stream(elements, width), len(numbers)
    out = np.full(len(elements) + 1, 7, dtype=np.uint32)
    sums = np.full(len(elements) + 1, 2**60, dtype=np.uint64)
    tops = {
        unpacked(words, width, count, out),
        added(words, width, count, sums),
        largest(words, width, count),
    }
    assert tops == {max(elements, default=0)}
    assert out.tolist() == [*elements, 7]
    assert sums.tolist() == [*(2**60 + e for e in elements), 2**60]
