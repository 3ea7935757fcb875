"""The kernels beside the masks' against the CPU's, and compiled for Hopper."""

import numpy as np
import pytest
import torch

from secagg import field, packing
from secagg.crypto import prg
from secagg.device import kernels
from secagg.engine.interface import MaskSeed
from secagg.engine.triton import Triton, run

DEVICE = Triton(16).device
KEY = bytes(range(32))


def packed(elements, width):
    count = -(-len(elements) * width // 32)
    out = torch.full((count,), -1, dtype=torch.int32, device=DEVICE)
    there = torch.from_numpy(elements).to(DEVICE)
    words = out.view(torch.uint32)
    run(kernels.pack, count, words, there, len(elements), count, width=width)
    return out.cpu().numpy().tobytes()


@pytest.mark.parametrize("width", range(16, 33))
@pytest.mark.parametrize("size", [1, 2, 63, 1000])
def test_elements_are_packed_as_on_the_cpu(width, size):
    p = field.PRIMES[width]
    elements = (np.arange(size, dtype=np.uint64) * 2654435761 % p).astype(np.uint32)
    elements[-1] = p - 1
    expected = packing.pack(elements, width)
    found = packed(elements, width)
    assert found[: len(expected)] == expected
    assert not any(found[len(expected) :])


@pytest.mark.parametrize("first", [0, 3, (1 << 28) - 1])
def test_rounding_is_exact_at_its_edges(first):
    # At V = word + 1 mod 2^32 and one below it, where the integer steps.
    start = 16 * first
    words = prg.words(KEY, prg.Tag.ROUND, start, start + 32).astype(np.int64)
    wholes = np.resize([0, -1, 5, -5, (1 << 23) - 1, -(1 << 23) + 1], 32)
    for step, risen in ((0, 0), (1, 1)):
        scaled = (wholes << 32) + words + step
        p = field.PRIMES[32]
        out = torch.empty(32, dtype=torch.uint32, device=DEVICE)
        table = Triton(32, DEVICE).table([MaskSeed(KEY, prg.Tag.ROUND)], [1])
        given = torch.from_numpy(scaled).to(DEVICE)
        run(kernels.round_off, 2, out, given, table.rows, first, 32, p=p)
        assert np.array_equal(out.cpu().numpy(), (wholes + risen) % p)


@pytest.mark.parametrize("kernel", ["round_off", "pack-17", "pack-32"])
def test_they_stay_in_registers(hopper, kernel):
    assert hopper[kernel]["registers"] <= 128
    assert hopper[kernel]["stack"] == 0


@pytest.mark.parametrize("kernel", ["round_off", "pack-17", "pack-32"])
def test_they_hold_no_floating_point_to_contract(hopper, kernel):
    kinds = {op.split(".")[0] for op in hopper[kernel]["opcodes"]}
    assert not kinds & {"FADD", "FMUL", "FFMA", "DADD", "DMUL", "DFMA"}
