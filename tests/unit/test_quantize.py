"""The number layer against exact fractions, at its edges and for any rounding words."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, field, norm, quantize
from secagg.crypto import prg
from secagg.quantize import QuantizedUpdate
from secagg.scale import Scale
from tests.unit.quantizing import (
    KEY,
    UPDATES,
    P,
    away_from_zero,
    integers,
    quantized,
    scale_of,
)

pytestmark = pytest.mark.usefixtures("every_form")


# -- rounding


@given(update=UPDATES, bits=st.integers(8, 24))
def test_rounding_equals_the_exact_rule(update, bits):
    update = np.array(update)
    scale = scale_of(update, bits, clip=1e10, reach=1e6)
    words = prg.words(KEY, prg.Tag.ROUND, 0, len(update))
    for g, word, x in zip(update, words, integers(update, scale), strict=True):
        v = Fraction(float(g) * scale.s)
        v = max(min(v, Fraction(scale.x_max)), Fraction(-scale.x_max))
        low = math.floor(v)
        assert x == low + (int(word) < (v - low) * 2**32)


@pytest.mark.parametrize("word", [0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1])
@pytest.mark.parametrize(
    "v",
    [
        0.0,
        -0.0,
        1.0,
        -1.0,
        127.0,
        -127.0,
        0.5,
        -0.5,
        2.0**-32,
        -(2.0**-32),
        1 - 2.0**-32,
        2.0**-33,
        -(2.0**-33),
        5e-324,
        -5e-324,
        126 + 2.0**-32,
        -127 + 2.0**-32,
        math.nextafter(127.0, 0),
        math.nextafter(-1.0, 0),
    ],
)
def test_rounding_is_exact_at_the_edges(monkeypatch, v, word):
    monkeypatch.setattr(prg.Keystream, "fill", lambda _, out: out.fill(word))
    # s = 1 and nothing is clipped: the update is v itself.
    scale = Scale.even(bits=8, clip=1e6, coordinate_range=127.0, length=1)
    low = math.floor(Fraction(v))
    expected = low + (word < (Fraction(v) - low) * 2**32)
    assert integers(np.array([v]), scale).tolist() == [expected]


def test_rounding_is_unbiased():
    size = 1 << 18
    scale = Scale.even(bits=8, clip=1e6, coordinate_range=127.0, length=size)
    for seed, v in enumerate([0.3, -0.3, 17.95, -100.0001, 1e-3]):
        key = bytes([seed]) * 32
        error = float(integers(np.full(size, v), scale, key=key).mean()) - v
        fraction = v - math.floor(v)
        deviation = math.sqrt(fraction * (1 - fraction) / size)
        assert abs(error) < 4 * deviation


def test_the_roundings_up_are_as_many_as_the_fraction_says_by_chi_square():
    size, fractions = 1 << 14, np.arange(1, 32) / 32
    scale = Scale.even(bits=8, clip=1e6, coordinate_range=127.0, length=size)
    square = 0.0
    for seed, part in enumerate(fractions):
        x = integers(np.full(size, 5 + part), scale, key=bytes([seed]) * 32)
        assert set(x.tolist()) == {5, 6}
        due = size * part
        square += (float((x == 6).sum()) - due) ** 2 / (due * (1 - part))
    # Chi-square of 31 degrees: within 12 and 62 but for one seed in a thousand.
    assert 12 < square < 62


def test_the_roundings_of_neighbours_are_independent():
    size = 1 << 16
    scale = Scale.even(bits=8, clip=1e6, coordinate_range=127.0, length=size)
    up = integers(np.full(size, 0.5), scale) - 0.5
    for distance in (1, 2, 16, 17, 4096):
        assert abs((up[distance:] * up[:-distance]).sum()) < 4 * math.sqrt(size) / 4


def test_integers_of_the_grid_stay_as_they_are():
    update = np.arange(-127, 128) / 127.0
    scale = Scale.even(bits=8, clip=100.0, coordinate_range=1.0, length=255)
    assert np.array_equal(integers(update, scale), np.rint(update * scale.s))


# -- bounds


@given(
    update=UPDATES,
    bits=st.integers(8, 24),
    clip=st.floats(1e-3, 1e6),
    part=st.floats(0.01, 1),
    weight=st.floats(1e-9, 1),
)
def test_no_word_can_break_the_bounds(update, bits, clip, part, weight):
    update = np.array(update)
    scale = scale_of(update, bits, clip, clip * part)
    with pytest.MonkeyPatch.context() as patch:
        away_from_zero(patch, update)
        x = integers(update, scale, weight)
    assert np.abs(x).max() <= scale.x_max
    assert field.squared_norm(x) <= scale.delta_int**2


@pytest.mark.parametrize("bits", [8, 16, 24])
@pytest.mark.parametrize("size", [1, 2, 3, 257, 70_000])
def test_the_bounds_hold_for_one_value_everywhere_at_the_clip(monkeypatch, bits, size):
    # The norm is C within rounding, on either side of the clip, and every coordinate is
    # rounded away from zero: the worst case of the proof.
    for steps in (-8, -1, 0, 1, 8):
        value = 1 / math.sqrt(size) * (1 + steps * 2.0**-53)
        update = np.full(size, -value)
        away_from_zero(monkeypatch, update)
        scale = scale_of(update, bits)
        x = integers(update, scale)
        assert np.abs(x).max() <= scale.x_max
        assert field.squared_norm(x) <= scale.delta_int**2
        assert quantized(update, scale).saturated() == 0


@given(
    update=UPDATES,
    clip=st.floats(1e-3, 1e6),
    part=st.floats(0.01, 1),
    weight=st.floats(0.01, 1),
    bits=st.integers(8, 24),
)
def test_the_error_is_below_the_stated_bound(update, clip, part, weight, bits):
    update = np.array(update)
    scale = scale_of(update, bits, clip, clip * part)
    worst = Fraction(scale.error_bound(1).worst) * Fraction(scale.s)
    square = sum(Fraction(g) ** 2 for g in update.tolist())
    root = Fraction(math.isqrt(int(square * 4**200)), 2**200)
    factor = min(Fraction(1), Fraction(clip) / root) if root else Fraction(1)
    for g, x in zip(update.tolist(), integers(update, scale, weight), strict=True):
        v = Fraction(g) * factor * Fraction(weight) * Fraction(scale.s)
        v = max(min(v, Fraction(scale.x_max)), Fraction(-scale.x_max))
        assert abs(int(x) - v) < worst


def test_the_mean_of_many_clients_deviates_as_stated():
    update = np.linspace(-0.9, 0.9, 2000)
    scale = scale_of(update, bits=8, clip=100.0, reach=1.0)
    total = sum(integers(update, scale, key=bytes([k]) * 32) for k in range(50))
    error = quantize.dequantize(total, scale, 50) - update
    assert np.abs(error).max() < scale.error_bound(50).worst
    assert error.std() < scale.error_bound(50).deviation


# -- saturation


def test_saturated_coordinates_are_counted_and_cut():
    update = np.array([0.5, -0.5, 0.25, 0.75, -2.0, 0.5000001])
    scale = scale_of(update, bits=16, clip=10.0, reach=0.5)
    made = quantized(update, scale)
    assert made.saturated() == 3
    found = field.centre(made.chunk(0, 6, P), P)
    assert found[[0, 1, 3, 4, 5]].tolist() == [32767, -32767, 32767, -32767, 32767]


def test_saturation_is_counted_after_the_clip_and_the_weight():
    update = np.array([3.0, 4.0])
    assert quantized(update, scale_of(update, clip=1.0, reach=0.7)).saturated() == 1
    assert (
        quantized(update, scale_of(update, clip=1.0, reach=0.7), 0.5).saturated() == 0
    )


def test_saturation_is_counted_over_all_blocks():
    update = np.zeros(2 * norm.BLOCK + 10)
    update[[0, norm.BLOCK, -1]] = 2.0
    scale = scale_of(update, clip=100.0, reach=1.0)
    assert quantized(update, scale).saturated() == 3


# -- windows


def test_a_window_is_the_slice_of_the_whole_and_the_same_again():
    size = 4 * norm.BLOCK + 1000
    update = np.sin(np.arange(size)).astype(np.float32)
    scale = scale_of(update, clip=50.0)
    made = quantized(update, scale)
    whole = made.chunk(0, size, P)
    for low, high in [(0, 0), (1, 18), (60_000, 132_000), (size - 5, size)]:
        assert np.array_equal(made.chunk(low, high, P), whole[low:high])


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 6)])
def test_a_window_outside_the_update_is_refused(start, stop):
    update = np.ones(5)
    with pytest.raises(errors.ParameterError, match="window"):
        quantized(update, scale_of(update)).chunk(start, stop, P)


def test_a_field_too_narrow_for_one_input_is_refused():
    update = np.ones(5)
    made = quantized(update, scale_of(update, bits=17))
    with pytest.raises(errors.ParameterError, match="65535"):
        made.chunk(0, 5, field.PRIMES[16])
    assert made.chunk(0, 5, field.PRIMES[17]).max() < field.PRIMES[17]


# -- inputs


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_float_type_gives_what_its_float64_gives(dtype):
    update = np.linspace(-1, 1, 100).astype(dtype)
    scale = scale_of(update, clip=2.0)
    expected = integers(update.astype(np.float64), scale)
    assert np.array_equal(integers(update, scale), expected)


def test_denormals_round_to_zero_or_one_step():
    update = np.array([5e-324, -5e-324, 2.0**-1040, -(2.0**-1040)] * 50)
    x = integers(update, scale_of(update))
    assert np.abs(x).max() <= 1
    assert norm.l2_norm(update) < 1e-300


def test_a_zero_update_stays_zero():
    update = np.zeros(10)
    assert not integers(update, scale_of(update)).any()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("index", [0, 4, 70_000])
def test_what_is_not_finite_is_refused_with_its_name_and_index(bad, dtype, index):
    update = np.zeros(70_001, dtype=dtype)
    update[index] = bad
    kind = "NaN" if math.isnan(bad) else "infinite"
    with pytest.raises(
        errors.InputError, match=f"fc.bias: coordinate {index} is {kind}"
    ):
        QuantizedUpdate(update, scale_of(update), rounding_key=KEY, name="fc.bias")


@pytest.mark.parametrize(
    ("update", "words"),
    [
        (np.zeros(0), "fc.bias: has no coordinates"),
        (np.zeros(4), "fc.bias: shape \\(4,\\) is not the session's \\(5,\\)"),
        (np.zeros((5, 1)), "fc.bias: shape \\(5, 1\\)"),
        (np.zeros(5, dtype=np.int64), "fc.bias: type int64"),
        (np.zeros(5, dtype=np.longdouble), "fc.bias: type"),
        (np.full(5, 1.7e308), "fc.bias: its L2 norm is beyond float64"),
    ],
    ids=["empty", "short", "2d", "int", "longdouble", "overflow"],
)
def test_an_unusable_update_is_refused_by_name(update, words):
    scale = Scale.even(bits=16, clip=1.0, coordinate_range=1.0, length=5)
    with pytest.raises(errors.InputError, match=words):
        QuantizedUpdate(update, scale, rounding_key=KEY, name="fc.bias")


@pytest.mark.parametrize("weight", [0.0, -0.5, 1.0001, math.nan])
def test_a_weight_outside_its_range_is_refused(weight):
    update = np.ones(3)
    with pytest.raises(errors.ParameterError, match="weight"):
        quantized(update, scale_of(update), weight)


def test_a_rounding_key_of_another_length_is_refused():
    update = np.ones(3)
    with pytest.raises(errors.ParameterError, match="32 bytes"):
        quantized(update, scale_of(update), key=bytes(31))


def test_an_update_never_shows_its_values_or_key():
    update = np.array([0.1234, 5.678])
    shown = repr(quantized(update, scale_of(update)))
    assert "1234" not in shown
    assert "redacted" in shown


# -- clip, mean


def test_the_clip_factor_is_one_below_the_clip_and_a_hair_less_above():
    held = 2.0 * (1 - 2.0**-44)
    assert quantize.clip_factor(held, 2.0) == 1.0
    assert quantize.clip_factor(0.0, 2.0) == 1.0
    assert quantize.clip_factor(2.0, 2.0) == 1 - 2.0**-44
    assert quantize.clip_factor(8.0, 2.0) == held / 8


def test_the_clip_factor_does_not_underflow_when_it_carries_the_scale():
    assert quantize.clip_factor(2.0**1000, 2.0**-900) == 0.0
    found = quantize.clip_factor(2.0**1000, 2.0**-900, unit=2.0**900)
    assert found == (1 - 2.0**-44) * 2.0**-1000


@pytest.mark.parametrize(("clip", "peak"), [(2.0**-900, 1e308), (2.0**900, 2.0**920)])
def test_the_bounds_hold_at_the_ends_of_the_floats(monkeypatch, clip, peak):
    update = np.array([peak, -peak / 2, 5e-324])
    away_from_zero(monkeypatch, update)
    scale = scale_of(update, clip=clip)
    x = integers(update, scale)
    assert scale.x_max // 2 < np.abs(x).max() <= scale.x_max
    assert field.squared_norm(x) <= scale.delta_int**2


def test_dequantize_divides_by_the_scale_and_the_divisor():
    total = np.array([-6, 0, 9, 2**52 + 1])
    scale = Scale.even(bits=8, clip=127.0, coordinate_range=127 / 1.5, length=4)
    found = quantize.dequantize(total, scale, 2.0)
    assert found.dtype == np.float64
    assert found.tolist() == [-2.0, 0.0, 3.0, (2**52 + 1) / 3]


@pytest.mark.parametrize("divisor", [0.0, -2.0, math.nan, math.inf])
def test_dequantize_refuses_a_divisor_that_is_not_positive_and_finite(divisor):
    with pytest.raises(errors.ParameterError, match="positive"):
        quantize.dequantize(np.array([1]), scale_of([1.0]), divisor)
