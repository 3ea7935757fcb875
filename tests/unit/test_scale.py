"""secagg.scale: what bits, the clip and the ranges give."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors
from secagg.scale import MAX_RANGES, Scale


def test_a_scale_derives_x_max_s_and_delta():
    scale = Scale.even(bits=16, clip=2.0, coordinate_range=0.5, length=100)
    assert scale.x_max == 32767
    assert scale.s == 65534.0
    assert scale.delta_int == 131068 + 10


@pytest.mark.parametrize(
    ("length", "expected"),
    [(1, 128), (2, 129), (4, 129), (5, 130), (9, 130), (10, 131)],
)
def test_delta_is_the_exact_ceiling_around_perfect_squares(length, expected):
    scale = Scale.even(bits=8, clip=1.0, coordinate_range=1.0, length=length)
    assert scale.delta_int == expected


@given(
    bits=st.integers(8, 24),
    clip=st.floats(1e-9, 1e9),
    part=st.floats(0.001, 1),
    length=st.integers(1, 2**40),
)
def test_delta_is_the_least_integer_above_the_true_value(bits, clip, part, length):
    scale = Scale.even(
        bits=bits, clip=clip, coordinate_range=clip * part, length=length
    )
    product = Fraction(scale.s) * Fraction(clip)
    above, below = scale.delta_int - product, scale.delta_int - 1 - product
    assert above >= 0
    assert above**2 >= length
    assert below < 0 or below**2 < length


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"bits": 7}, "bits = 7"),
        ({"bits": 25}, "bits = 25"),
        ({"clip": math.nan}, "clip = nan"),
        ({"clip": math.inf}, "clip = inf"),
        ({"coordinate_range": math.nan}, "coordinate range = nan"),
        ({"coordinate_range": 0.0}, "coordinate range = 0.0"),
        ({"coordinate_range": -1.0}, "coordinate range = -1.0"),
        ({"coordinate_range": 1.5}, "coordinate range = 1.5"),
        ({"coordinate_range": 1e-300}, "2\\^-900"),
        ({"clip": 1e300}, "2\\^-900"),
        ({"length": 0}, "0 coordinates"),
    ],
)
def test_a_scale_refuses_a_value_outside_its_range_by_name(changed, named):
    usual = {"bits": 16, "clip": 1.0, "coordinate_range": 1.0, "length": 5}
    with pytest.raises(errors.ParameterError, match=named):
        Scale.even(**(usual | changed))


def test_a_scale_refuses_a_ratio_it_cannot_bound():
    with pytest.raises(errors.ParameterError, match="ratio"):
        Scale.even(bits=16, clip=2.0**600, coordinate_range=2.0**-600, length=5)


def test_the_error_bound_is_one_step_and_shrinks_as_the_root_of_n():
    scale = Scale.even(bits=16, clip=1.0, coordinate_range=0.5, length=9)
    assert scale.error_bound(1).worst == (1 + 2**-20) / 65534
    assert scale.error_bound(100).deviation == 1 / (2 * 65534 * 10)
    with pytest.raises(errors.ParameterError, match="n = 0"):
        scale.error_bound(0)


def test_the_error_bound_is_that_of_the_widest_range_and_says_each():
    scale = Scale(bits=16, clip=1.0, ranges=((2, 0.5), (1, 1.0)))
    bound = scale.error_bound(4)
    step = (1 + 2**-20) / 32767
    assert bound.by_range == (step / 2, step)
    assert (bound.worst, bound.deviation) == (step, 1 / (2 * 32767 * 2))
    assert bound.norm == pytest.approx(step * math.sqrt(1.5))
    twice = bound.stretched(2.0)
    assert (twice.worst, twice.norm) == (2 * bound.worst, 2 * bound.norm)
    assert (twice.deviation, twice.by_range) == (2 * bound.deviation, (step, 2 * step))


def test_delta_is_that_of_the_narrowest_range():
    scale = Scale(bits=8, clip=2.0, ranges=((5, 2.0), (2, 0.5), (2, 1.0)))
    assert (scale.s, scale.scales) == (254.0, (63.5, 254.0, 127.0))
    assert scale.delta_int == 508 + 3


@pytest.mark.parametrize(
    ("radii", "found"), [((1.0,), False), ((1.0, 1.0), False), ((1.0, 0.9), True)]
)
def test_a_range_below_the_clip_saturates(radii, found):
    ranges = tuple((1, radius) for radius in radii)
    assert Scale(bits=8, clip=1.0, ranges=ranges).saturates is found


def test_spans_cut_a_window_at_the_ends_of_the_ranges():
    scale = Scale(bits=8, clip=1.0, ranges=((3, 1.0), (1, 0.5), (4, 0.25)))
    assert list(scale.spans(0, 8)) == [(0, 3, 0), (3, 4, 1), (4, 8, 2)]
    assert list(scale.spans(2, 4)) == [(2, 3, 0), (3, 4, 1)]
    assert list(scale.spans(5, 7)) == [(5, 7, 2)]
    assert list(scale.spans(8, 8)) == []


def test_a_scale_has_one_to_1024_ranges_of_a_coordinate_or_more():
    run = (1, 1.0)
    assert Scale(bits=8, clip=1.0, ranges=(run,) * MAX_RANGES).length == 1024
    with pytest.raises(errors.ParameterError, match="1025 ranges"):
        Scale(bits=8, clip=1.0, ranges=(run,) * (MAX_RANGES + 1))
    with pytest.raises(errors.ParameterError, match="0 ranges"):
        Scale(bits=8, clip=1.0, ranges=())
    with pytest.raises(errors.ParameterError, match="0 coordinates"):
        Scale(bits=8, clip=1.0, ranges=(run, (0, 1.0)))


def test_a_rotation_has_one_range_and_whole_blocks():
    scale = Scale.even(
        bits=11, clip=1.0, coordinate_range=0.1, length=5000, seed=bytes(32)
    )
    assert (scale.length, scale.coordinates) == (5000, 8192)
    product = Fraction(scale.s) * 1
    assert scale.delta_int == math.ceil(float(product) + math.sqrt(8192))
    with pytest.raises(errors.ParameterError, match="1 with a rotation"):
        Scale(bits=8, clip=1.0, ranges=((1, 1.0), (1, 0.5)), seed=bytes(32))


def test_the_error_of_a_rotated_mean_is_bounded_by_that_of_its_places():
    scale = Scale.even(
        bits=11, clip=1.0, coordinate_range=0.1, length=5000, seed=bytes(32)
    )
    bound = scale.error_bound(4)
    step = (1 + 2**-20 + 2**-49 * scale.s) / scale.s
    assert bound.worst == step * 64
    assert bound.by_range == (bound.worst,)
    assert bound.norm == step * math.sqrt(8192)
    assert bound.deviation == 1 / (4 * scale.s)
