"""The engine's kernel as it is: interpreted without shortcuts, compiled for Hopper."""

import numpy as np
import pytest
import torch

from secagg import field
from secagg.crypto import prg
from secagg.engine import triton_kernels
from tests.interpreter import slow_rounds

P = field.PRIMES[16]
CUT = (1 << 16) - 1
KEY = bytes(range(32))


def test_the_kernel_interpreted_without_shortcuts_gives_the_stream():
    # A rejected word and its neighbours: lanes 0 and 1 are both drawn.
    start, size = 6899550 - 20, 40
    row = [*np.frombuffer(KEY, "<u4").tolist(), prg.Tag.PAIR, CUT, 0, 0]
    table = torch.from_numpy(np.array([row], dtype=np.uint32))
    acc = torch.zeros(size, dtype=torch.uint32)
    with slow_rounds():
        triton_kernels.accumulate[(1,)](
            acc, table, 1, start // 16, start % 16, size, 0, p=P, side=1, blocks=4
        )
    expected = prg.elements(KEY, prg.Tag.PAIR, 16, start, start + size)
    assert np.array_equal(acc.numpy(), expected)


@pytest.mark.parametrize("width", [16, 24, 32])
def test_all_of_a_block_stays_in_registers(hopper, width):
    made = hopper[f"accumulate-{width}"]
    # 16 warps a multiprocessor at the least: 65,536 registers / 32 lanes / 128.
    assert made["registers"] <= 128
    assert made["stack"] == 0
    assert not {"LDL", "STL"} & {op.split(".")[0] for op in made["opcodes"]}


@pytest.mark.parametrize("width", [16, 24, 32])
def test_a_rotation_is_one_instruction_and_a_double_round_about_96(hopper, width):
    for loop in hopper[f"accumulate-{width}"]["loops"][:2]:
        kinds = [op.split(".")[0] for op in loop]
        # 32 rotations, 32 times xor, 32 additions; and what makes it a loop.
        assert kinds.count("SHF") + kinds.count("PRMT") == 32
        assert kinds.count("LOP3") == 32
        assert len(loop) <= 96 + 6


@pytest.mark.parametrize("width", [16, 24, 32])
def test_reduction_by_a_constant_needs_no_division(hopper, width):
    ptx = hopper[f"accumulate-{width}"]["ptx"]
    assert "rem." not in ptx
    assert "div." not in ptx
