"""The rotation on the device: the CPU's coordinates, bit by bit."""

import numpy as np
import pytest
import torch

from secagg.device import rotation as module
from secagg.engine.triton import Triton
from secagg.rotation import Rotation

DEVICE = Triton(16).device


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("length", [1, 2, 5, 64, 1000, 9000])
def test_every_block_has_the_cpus_coordinates(length, dtype):
    update = torch.linspace(-1, 1, length, dtype=dtype)
    rotation = Rotation(bytes(range(32)), length)
    expected = rotation.forward(update.numpy(), 0.3, 0, rotation.blocks)
    there = module.forward(rotation, update.to(DEVICE), 0.3, 0, rotation.blocks)
    assert np.array_equal(there.cpu().numpy(), expected)


def test_a_window_begins_and_ends_at_any_block():
    update = torch.linspace(-1, 1, 20_000)
    rotation = Rotation(bytes(32), 20_000)
    expected = rotation.forward(update.numpy(), 1.0, 1, 4)
    there = module.forward(rotation, update.to(DEVICE), 1.0, 1, 4)
    assert np.array_equal(there.cpu().numpy(), expected)
