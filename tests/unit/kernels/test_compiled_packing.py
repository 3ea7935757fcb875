"""The compiled packing writes and reads what numpy's does, wherever it lies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import kernels
from secagg.kernels import plain

pytest.importorskip("numba", reason="the extra fast is not installed")

from secagg.kernels import compiled, compiled_packing


def test_it_is_among_the_loops_that_are_taken():
    assert kernels.loops() is compiled
    assert compiled.pack is compiled_packing.pack


@given(
    width=st.integers(16, 32),
    count=st.integers(0, 200),
    seed=st.integers(0, 2**32 - 1),
    shift=st.integers(0, 7),
)
def test_both_forms_do_the_same(width, count, seed, shift):
    source = np.random.default_rng(seed)
    elements = source.integers(0, 1 << width, count, dtype=np.uint32)
    words = np.zeros((2, -(-count * width // 64)), dtype="<u8")
    assert compiled_packing.pack(elements, width, words[0]) == max(elements, default=0)
    if count:
        plain.pack(elements, width, words[1])
    assert np.array_equal(words[0], words[1])
    # As in a frame: from any byte on, and with a word more.
    frame = bytes(shift) + words[0].tobytes() + bytes(8)
    placed = np.frombuffer(frame, "<u8", words.shape[1] + 1, shift)
    found, sums = np.zeros(count, np.uint32), np.ones(count, np.uint64)
    tops = (
        compiled_packing.unpack(placed, width, found),
        compiled_packing.add_unpacked(placed, width, sums),
        compiled_packing.largest_packed(placed, width, count),
    )
    assert tops == (max(elements, default=0),) * 3
    assert np.array_equal(found, elements)
    assert np.array_equal(sums, elements.astype(np.uint64) + 1)
