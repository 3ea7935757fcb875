"""An update on the device: the integers of the CPU's quantizer, bit by bit."""

import math

import numpy as np
import pytest
import torch

from secagg import errors, field
from secagg.device import update as module
from secagg.device.update import DeviceUpdate
from secagg.engine.triton import Triton
from secagg.quantize import QuantizedUpdate
from secagg.scale import Scale

KEY = bytes(range(32))
DEVICE = Triton(16).device


def scale(length, *, clip=1.0, radius=0.5, bits=16):
    return Scale.even(bits=bits, clip=clip, coordinate_range=radius, length=length)


def on_device(update, found, weight=1.0):
    there = torch.as_tensor(update, device=DEVICE)
    return DeviceUpdate(there, found, weight=weight, rounding_key=KEY)


def on_cpu(update, found, weight=1.0):
    return QuantizedUpdate(np.asarray(update), found, weight=weight, rounding_key=KEY)


def written(made, start, stop, width):
    engine = Triton(width, DEVICE)
    out = torch.empty(stop - start, dtype=torch.uint32, device=DEVICE)
    made.write(start, stop, engine, out)
    return out.cpu().numpy()


def values(size, seed=1, spread=0.01):
    return np.random.default_rng(seed).normal(size=size) * spread


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("spread", [1e-6, 1e-3, 0.01, 1.0])
def test_the_integers_are_the_cpus_clipped_or_not(dtype, spread):
    update = values(3000, spread=spread).astype(dtype)
    found = scale(3000)
    expected = on_cpu(update, found).chunk(0, 3000, field.PRIMES[20])
    assert np.array_equal(written(on_device(update, found), 0, 3000, 20), expected)


@pytest.mark.parametrize("width", [17, 24, 32])
@pytest.mark.parametrize("bits", [8, 16])
def test_negative_integers_are_encoded_mod_every_p(width, bits):
    update = np.array([-1.0, 1.0, -0.0, 0.0, -1e-9, 1e-9, 5e-324, -5e-324])
    found = scale(8, clip=4.0, bits=bits)
    expected = on_cpu(update, found).chunk(0, 8, field.PRIMES[width])
    assert np.array_equal(written(on_device(update, found), 0, 8, width), expected)


@pytest.mark.parametrize("length", [1, 3, 60, 3000, 5000, 9000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_rotated_update_has_the_cpus_integers(length, dtype):
    update = values(length, spread=0.1).astype(dtype)
    found = Scale.even(
        bits=12, clip=1.0, coordinate_range=0.02, length=length, seed=KEY
    )
    end, p = found.coordinates, field.PRIMES[20]
    expected = on_cpu(update, found)
    made = on_device(update, found)
    assert np.array_equal(written(made, 0, end, 20), expected.chunk(0, end, p))
    assert made.saturated() == expected.saturated()
    low, high = min(32, end // 16 * 16), min(4112, end)
    window = written(made, low, high, 20)
    assert np.array_equal(window, expected.chunk(low, high, p))


@pytest.mark.parametrize("weight", [1.0, 0.3, 2.0**-31])
def test_a_weight_scales_in_the_same_order(weight):
    update = values(500, spread=0.1)
    found = scale(500)
    expected = on_cpu(update, found, weight).chunk(0, 500, field.PRIMES[24])
    made = on_device(update, found, weight)
    assert np.array_equal(written(made, 0, 500, 24), expected)


@pytest.mark.parametrize("window", [(0, 1), (16, 16), (16, 50), (480, 500)])
def test_a_window_is_the_slice_of_the_whole(window):
    update = values(500)
    found = scale(500)
    whole = on_cpu(update, found).chunk(0, 500, field.PRIMES[24])
    start, stop = window
    made = on_device(update, found)
    assert np.array_equal(written(made, start, stop, 24), whole[start:stop])


@pytest.mark.parametrize("window", [(0, 500), (0, 16), (112, 400), (416, 500)])
def test_every_range_has_its_gain(window):
    update = values(500, spread=0.3)
    found = Scale(bits=16, clip=4.0, ranges=((100, 0.1), (1, 4.0), (399, 0.5)))
    whole = on_cpu(update, found).chunk(0, 500, field.PRIMES[24])
    made = on_device(update, found)
    assert np.array_equal(
        written(made, window[0], window[1], 24), whole[slice(*window)]
    )
    assert made.saturated() == on_cpu(update, found).saturated() > 0


def test_the_update_is_left_as_it_was():
    update = torch.from_numpy(values(500)).to(DEVICE)
    before = update.clone()
    made = DeviceUpdate(update, scale(500), rounding_key=KEY)
    made.saturated()
    written(made, 0, 500, 24)
    assert torch.equal(update, before)


def test_bfloat16_is_taken_as_it_lies():
    update = torch.from_numpy(values(300)).to(torch.bfloat16)
    found = scale(300)
    wide = update.to(torch.float64).numpy()
    expected = on_cpu(wide, found).chunk(0, 300, field.PRIMES[24])
    assert np.array_equal(written(on_device(update, found), 0, 300, 24), expected)


@pytest.mark.parametrize("radius", [1e-4, 0.01, 1.0])
def test_the_saturated_are_counted_as_on_the_cpu(monkeypatch, radius):
    monkeypatch.setattr(module, "BATCH", 128)
    update = values(1000, spread=0.02)
    found = scale(1000, radius=radius)
    counted = on_device(update, found).saturated()
    assert counted == on_cpu(update, found).saturated()
    assert counted == on_device(update, found).saturated()


def test_something_saturates_in_that_test():
    assert on_cpu(values(1000, spread=0.02), scale(1000, radius=0.01)).saturated() > 100


@pytest.mark.parametrize(
    ("update", "words"),
    [
        (torch.ones(9), r"shape \(9,\) is not the session's \(8,\)"),
        (torch.ones(2, 4), "is not the session's"),
        (torch.ones(16)[::2], "in one piece"),
        (torch.ones(0), "no coordinates"),
        (torch.ones(8, dtype=torch.int32), "int32 is no float"),
        (torch.tensor([1.0] * 7 + [math.nan]), "coordinate 7 is NaN"),
    ],
)
def test_what_the_session_cannot_take_is_refused(update, words):
    with pytest.raises(errors.InputError, match=words):
        DeviceUpdate(update.to(DEVICE), scale(8), rounding_key=KEY)


@pytest.mark.parametrize("weight", [0.0, -1.0, 1.5, math.nan])
def test_a_weight_outside_its_range_is_refused(weight):
    with pytest.raises(errors.ParameterError, match="weight"):
        on_device(np.ones(8), scale(8), weight)


def test_a_key_of_another_length_is_refused():
    with pytest.raises(errors.ParameterError, match="32 bytes"):
        DeviceUpdate(torch.ones(8, device=DEVICE), scale(8), rounding_key=bytes(31))


@pytest.mark.parametrize("window", [(0, 501), (-16, 3), (32, 16), (8, 16)])
def test_a_window_outside_the_vector_or_amid_a_block_is_refused(window):
    made = on_device(values(500), scale(500))
    with pytest.raises(errors.ParameterError, match="window"):
        made.write(*window, Triton(24, DEVICE), torch.empty(0))


def test_a_field_that_does_not_hold_the_integers_is_refused():
    made = on_device(values(8), scale(8, bits=24))
    with pytest.raises(errors.ParameterError, match="use more bits"):
        made.write(0, 8, Triton(20, DEVICE), torch.empty(8))


def test_an_update_shows_its_scale_alone():
    shown = repr(on_device(np.array([0.125] * 8), scale(8)))
    assert "0.125" not in shown
    assert "redacted" in shown
