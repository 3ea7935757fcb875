"""secagg.extras: exact integers in limbs, at their edges (5, 5-2)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, extras
from secagg.messages import Extra
from secagg.names import VectorSum
from tests.samples import parameters

EDGE = 1 << 59


def params(*ranges, n=5):
    declared = [
        Extra(name=f"e{i}", low=low, high=high) for i, (low, high) in enumerate(ranges)
    ]
    return parameters(n, 1, extras=tuple(declared))


def summed(values, found):
    """The opened sums of the limbs of these clients, added as integers."""
    rows = [extras.encode(value, found).astype(np.int64) for value in values]
    return VectorSum(np.sum(rows, axis=0))


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 0), (0, 1), (-7, 9), (-EDGE, EDGE), (EDGE, EDGE), (3, 1 << 50)],
)
def test_sums_at_the_edges_of_a_range_are_exact(low, high) -> None:
    found = params((low, high))
    for one in (low, high, (low + high) // 2):
        sums = extras.decode(summed([{"e0": one}] * 5, found), found, 5)
        assert sums == {"e0": 5 * one}


def test_every_limb_is_below_2_to_the_l_and_its_sum_below_half_the_field() -> None:
    found = params((0, EDGE))
    limbs = extras.encode({"e0": EDGE}, found)
    full = extras.encode({"e0": EDGE - 1}, found)
    top = 1 << found.limb_bits
    assert limbs.dtype == np.uint32
    assert len(limbs) == found.total_length - found.m
    assert int(max(limbs.max(), full.max())) < top
    assert 5 * (top - 1) <= (found.p - 1) // 2
    assert [int(x) for x in full[:-1]] == [top - 1] * (len(full) - 1)


RANGE = st.tuples(st.integers(-EDGE, EDGE), st.integers(-EDGE, EDGE)).map(sorted)


@given(ranges=st.lists(RANGE, min_size=1, max_size=4), data=st.data())
def test_any_sums_are_exact(ranges, data) -> None:
    found = params(*ranges)
    one = st.tuples(*(st.integers(low, high) for low, high in ranges))
    rows = data.draw(st.lists(one, min_size=1, max_size=5))
    values = [{f"e{i}": x for i, x in enumerate(row)} for row in rows]
    sums = extras.decode(summed(values, found), found, len(rows))
    columns = zip(*rows, strict=True)
    assert sums == {f"e{i}": sum(column) for i, column in enumerate(columns)}


@pytest.mark.parametrize("value", [-8, 10])
def test_5_2_refuses_a_value_beyond_its_range_by_name(value) -> None:
    with pytest.raises(errors.InputError, match=f"e0 = {value} is not in -7..9"):
        extras.encode({"e0": value}, params((-7, 9)))


@pytest.mark.parametrize("values", [{}, {"e1": 0}, {"e0": 0, "e1": 0}])
def test_missing_and_unknown_extras_are_refused_by_name(values) -> None:
    with pytest.raises(errors.InputError, match="declares \\['e0'\\]"):
        extras.encode(values, params((0, 1)))


def test_no_extras_are_no_elements() -> None:
    found = params()
    assert extras.encode({}, found).shape == (0,)
    assert extras.decode(VectorSum(np.zeros(0, np.int64)), found, 4) == {}
