"""The number layer with a rotation: exact bounds, and windows of the whole."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors, field, norm, quantize
from secagg.scale import Scale
from tests.unit.quantizing import (
    P,
    away_from_zero,
    quantized,
)

pytestmark = pytest.mark.usefixtures("every_form")


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
