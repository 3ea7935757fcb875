"""The number layer against exact fractions, at its edges and for any rounding words."""

import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, field, norm, quantize
from secagg.crypto import prg
from secagg.quantize import QuantizedUpdate
from secagg.scale import Scale

KEY = bytes(range(32))
P = field.PRIMES[32]
FLOATS = st.floats(-1e6, 1e6)
UPDATES = st.lists(FLOATS, min_size=1, max_size=20)

pytestmark = pytest.mark.usefixtures("every_form")


def scale_of(update, bits=16, clip=1.0, reach=None):
    reach = clip if reach is None else reach
    return Scale.even(bits=bits, clip=clip, coordinate_range=reach, length=len(update))


def quantized(update, scale, weight=1.0, key=KEY):
    return QuantizedUpdate(update, scale, weight=weight, rounding_key=key)


def integers(update, scale, weight=1.0, key=KEY):
    found = quantized(update, scale, weight, key).chunk(0, len(update), P)
    return field.centre(found, P)


def away_from_zero(monkeypatch, signs):
    """Give the words that round every coordinate away from zero."""
    worst = np.where(np.asarray(signs) < 0, 2**32 - 1, 0).astype(np.uint32)

    drawn = prg.Keystream.fill

    def fill(stream, out):
        start = stream.position
        drawn(stream, out)
        if stream._tag is prg.Tag.ROUND:
            out[:] = worst[start : start + len(out)]

    monkeypatch.setattr(prg.Keystream, "fill", fill)


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


# -- rotation

SEED = bytes(reversed(range(32)))


def rotated(length, *, bits=16, clip=1.0, deviations=5.0):
    places = Scale.even(
        bits=8, clip=1.0, coordinate_range=1.0, length=length, seed=SEED
    ).coordinates
    reach = clip * min(1.0, deviations / math.sqrt(places))
    return Scale.even(
        bits=bits, clip=clip, coordinate_range=reach, length=length, seed=SEED
    )


def whole(made, scale):
    return field.centre(made.chunk(0, scale.coordinates, P), P)


def turned(updates, scale):
    """The rotated updates, by a product that rounds as little as it can."""
    rotation = scale.rotation
    there = [
        rotation.forward(update, 1 / rotation.root, 0, rotation.blocks)
        for update in updates
    ]
    return np.array(there)


@given(
    length=st.integers(1, 300),
    bits=st.integers(8, 24),
    deviations=st.floats(0.5, 10),
    weight=st.floats(1e-9, 1),
    magnitude=st.floats(1e-3, 1e6),
)
def test_no_word_can_break_the_bounds_of_a_rotated_update(
    length, bits, deviations, weight, magnitude
):
    scale = rotated(length, bits=bits, deviations=deviations)
    update = magnitude * np.cos(np.arange(length))
    made = quantized(update, scale, weight)
    with pytest.MonkeyPatch.context() as patch:
        away_from_zero(patch, turned([update], scale)[0])
        x = whole(made, scale)
    assert np.abs(x).max() <= scale.x_max
    assert field.squared_norm(x) <= scale.delta_int**2


def test_a_rotated_chunk_is_made_in_memory_of_its_own_size():
    scale = rotated(1 << 22, clip=9.0)
    update = np.ones(scale.length, dtype=np.float32)
    made = quantized(update, scale)
    made.chunk(0, 1 << 16, P)
    tracemalloc.start()
    made.chunk(1 << 20, (1 << 20) + (1 << 18), P)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The chunk is 1 MiB and a batch of blocks some more; the update is 16 MiB.
    assert peak < 8 << 20


def test_a_window_of_a_rotated_update_is_the_slice_of_the_whole():
    scale = rotated(5 * norm.BLOCK + 77, clip=9.0)
    made = quantized(np.sin(np.arange(scale.length)).astype(np.float32), scale)
    end = scale.coordinates
    everything = made.chunk(0, end, P)
    for low, high in [(0, 0), (1, 18), (60_000, 132_000), (end - 5, end), (4096, 8192)]:
        assert np.array_equal(made.chunk(low, high, P), everything[low:high])
    with pytest.raises(errors.ParameterError, match="window"):
        made.chunk(0, end + 1, P)


def test_saturation_is_counted_after_the_rotation():
    # One coordinate is spread over 64 places of 1/8 each; all or none of them saturate.
    update = np.zeros(64)
    update[5] = 1.0
    for reach, count in ((0.124, 64), (0.126, 0)):
        scale = Scale.even(
            bits=16, clip=10.0, coordinate_range=reach, length=64, seed=SEED
        )
        made = quantized(update, scale)
        assert made.saturated() == count
        assert np.abs(whole(made, scale)).max() <= scale.x_max


@given(
    length=st.integers(1, 300),
    bits=st.integers(8, 24),
    deviations=st.floats(0.3, 8),
    weights=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    seed=st.integers(0, 9),
)
def test_the_error_of_a_rotated_mean_is_below_its_bounds(
    length, bits, deviations, weights, seed
):
    scale = rotated(length, bits=bits, deviations=deviations)
    draw = np.random.default_rng(seed)
    updates = draw.standard_normal((len(weights), length))
    updates /= np.linalg.norm(updates, axis=1, keepdims=True) * draw.uniform(0.5, 2)
    made = [
        quantized(g, scale, w / 9, key=bytes([k]) * 32)
        for k, (g, w) in enumerate(zip(updates, weights, strict=True))
    ]
    divisor = sum(weights) / 9
    total = sum(whole(one, scale) for one in made)
    mean = quantize.dequantize(total, scale, divisor)
    # What the bound is of: clipped, weighted, rotated, saturated, and rotated back.
    clipped = updates / np.maximum(1, np.linalg.norm(updates, axis=1, keepdims=True))
    places = turned(clipped * np.array(weights)[:, None] / 9, scale)
    radius = scale.ranges[0][1]
    exact = np.clip(places, -radius, radius).sum(axis=0) / divisor
    back = scale.rotation.backward(exact, 0) / scale.rotation.root
    bound = scale.error_bound(len(weights)).stretched(len(weights) / divisor)
    error = mean - back
    assert np.abs(error).max() < bound.worst
    assert np.linalg.norm(error) < bound.norm


def test_the_error_of_a_rotated_mean_has_no_bias_and_deviates_as_stated():
    scale = rotated(3000, bits=8, deviations=6.0)
    update = np.linspace(-1, 1, 3000) / 40
    made = [quantized(update, scale, key=bytes([k]) * 32) for k in range(60)]
    assert not any(one.saturated() for one in made)
    total = sum(whole(one, scale) for one in made)
    error = quantize.dequantize(total, scale, 60) - update
    deviation = scale.error_bound(60).deviation
    assert error.std() < deviation
    assert abs(error.mean()) < 4 * deviation / math.sqrt(len(error))


def test_a_rotated_mean_is_read_window_by_window_like_the_whole():
    length = (1 << 20) + 4500
    scale = rotated(length)
    total = (np.arange(scale.coordinates) * 7919 % 2003 - 1001).astype(np.int64)
    view = quantize.MeanView(quantize.window_of(total), scale, 5.0)
    mean = quantize.dequantize(total, scale, 5.0)
    assert len(view) == length == len(mean)
    windows = [(0, 3), ((1 << 20) - 2, (1 << 20) + 2), (length - 4, length), (9, 9)]
    for low, high in windows:
        assert np.array_equal(view[low:high], mean[low:high])
    assert list(view.windows(1 << 17)) == [(0, 1 << 20), (1 << 20, length)]


# -- ranges


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
