"""The norm on the device: the bits of the norm on the CPU."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from secagg import errors, norm
from secagg.device import norm as device_norm
from secagg.device.norm import l2_norm
from secagg.engine.triton import usable_device

DEVICE = usable_device()
SIZES = [1, 2, 3, 1000, norm.BLOCK, norm.BLOCK + 1, 5 * norm.BLOCK + 17]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_the_norm_is_the_cpus_bit_by_bit(size, dtype):
    update = np.cos(np.arange(size)).astype(dtype)
    assert l2_norm(torch.from_numpy(update).to(DEVICE)) == norm.l2_norm(update)


@given(
    arrays.arrays(
        np.float64,
        st.integers(1, 40),
        elements=st.floats(-1e150, 1e150, allow_subnormal=True),
    )
)
def test_the_norm_is_the_cpus_at_every_magnitude(update):
    assert l2_norm(torch.from_numpy(update).to(DEVICE)) == norm.l2_norm(update)


def test_the_cut_into_batches_does_not_change_the_norm(monkeypatch):
    update = torch.from_numpy(np.cos(np.arange(SIZES[-1]))).to(DEVICE)
    whole = l2_norm(update)
    monkeypatch.setattr(device_norm, "BATCH", norm.BLOCK)
    assert l2_norm(update) == whole


def test_bfloat16_is_widened_exactly():
    update = torch.cos(torch.arange(1000)).to(torch.bfloat16)
    assert l2_norm(update.to(DEVICE)) == norm.l2_norm(update.to(torch.float64).numpy())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("index", [0, 70, 100, 140])
def test_what_is_not_finite_is_refused_with_its_index(monkeypatch, bad, index):
    monkeypatch.setattr(device_norm, "BATCH", 64)
    update = torch.ones(141, device=DEVICE)
    update[index] = bad
    kind = "NaN" if math.isnan(bad) else "infinite"
    with pytest.raises(errors.InputError, match=f"w: coordinate {index} is {kind}"):
        l2_norm(update, "w")


def test_a_norm_beyond_float64_is_refused():
    largest = math.ldexp(1 - 2.0**-53, 1024)
    update = torch.tensor([largest, largest], dtype=torch.float64)
    with pytest.raises(errors.InputError, match="beyond float64"):
        l2_norm(update.to(DEVICE))


@pytest.mark.parametrize("update", [torch.zeros(0), torch.zeros(5)])
def test_the_norm_of_nothing_is_zero(update):
    assert l2_norm(update.to(DEVICE)) == 0.0
