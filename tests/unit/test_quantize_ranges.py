"""The number layer with a range for each run of coordinates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import field, quantize
from secagg.scale import Scale
from tests.unit.quantizing import P, away_from_zero, integers, quantized

pytestmark = pytest.mark.usefixtures("every_form")


def ranged(*ranges, bits=16, clip=100.0):
    return Scale(bits=bits, clip=clip, ranges=ranges)


def test_every_coordinate_is_scaled_by_its_own_range():
    update = np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    x = integers(update, ranged((2, 127.0), (1, 12.7), (2, 1.0), bits=8, clip=127.0))
    assert x.tolist() == [1, -1, 10, -127, 127]


def test_every_coordinate_saturates_at_its_own_range():
    update = np.array([2.0, 2.0, -2.0, 2.0])
    made = quantized(update, ranged((1, 4.0), (2, 1.0), (1, 2.0)))
    assert made.saturated() == 2
    x = field.centre(made.chunk(0, 4, P), P)
    assert x[1:].tolist() == [32767, -32767, 32767]
    assert abs(int(x[0]) - 16383.5) < 1


def test_ranges_of_one_width_are_one_range():
    update = np.sin(np.arange(1000)) / 9
    many = ranged(*[(250, 0.25)] * 4)
    one = Scale.even(bits=16, clip=100.0, coordinate_range=0.25, length=1000)
    assert np.array_equal(integers(update, many), integers(update, one))
    assert quantized(update, many).saturated() == quantized(update, one).saturated()


@given(data=st.data())
def test_a_window_across_ranges_is_the_slice_of_the_whole(data):
    counts = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=8))
    radii = st.floats(0.01, 1.0)
    scale = ranged(*[(count, data.draw(radii)) for count in counts], bits=24)
    update = np.cos(np.arange(scale.length))
    made = quantized(update, scale)
    whole = made.chunk(0, scale.length, P)
    low = data.draw(st.integers(0, scale.length))
    high = data.draw(st.integers(low, scale.length))
    assert np.array_equal(made.chunk(low, high, P), whole[low:high])


@given(
    runs=st.lists(
        st.tuples(st.integers(1, 5), st.floats(0.01, 1.0)), min_size=1, max_size=6
    ),
    clip=st.floats(1.0, 1e3),
    bits=st.integers(8, 24),
    weight=st.floats(1e-9, 1),
    magnitude=st.floats(1e-3, 1e6),
)
def test_no_word_can_break_the_bounds_of_ranges(runs, clip, bits, weight, magnitude):
    scale = ranged(*runs, bits=bits, clip=clip)
    update = magnitude * np.cos(np.arange(scale.length))
    with pytest.MonkeyPatch.context() as patch:
        away_from_zero(patch, update)
        x = integers(update, scale, weight)
    assert np.abs(x).max() <= scale.x_max
    assert field.squared_norm(x) <= scale.delta_int**2


@given(
    runs=st.lists(
        st.tuples(st.integers(1, 5), st.floats(0.01, 1.0)), min_size=1, max_size=6
    ),
    bits=st.integers(8, 24),
    n=st.integers(1, 4),
)
def test_the_error_of_a_mean_is_below_the_bound_of_each_range(runs, bits, n):
    scale = ranged(*runs, bits=bits)
    draw = np.random.default_rng(n)
    updates = draw.uniform(-2, 2, (n, scale.length))
    keys = [bytes([k]) * 32 for k in range(n)]
    total = sum(integers(g, scale, key=k) for g, k in zip(updates, keys, strict=True))
    radii = np.repeat([r for _, r in runs], [count for count, _ in runs])
    exact = np.clip(updates, -radii, radii).mean(axis=0)
    error = np.abs(quantize.dequantize(total, scale, n) - exact)
    bound = scale.error_bound(n)
    each = np.repeat(bound.by_range, [count for count, _ in runs])
    assert (error < each).all()
    assert error.max() < bound.worst
    assert np.linalg.norm(error) < bound.norm
