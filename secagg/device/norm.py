"""The L2 norm on the device: the additions of `secagg.norm`, in the same order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import torch

from secagg import errors
from secagg.device.leaving import number
from secagg.norm import BLOCK, root, unit_exponent

BATCH: Final = 1 << 22
"""Coordinates at a time: 32 MiB of float64, enough to keep a GPU busy."""


def l2_norm(update: torch.Tensor, name: str = "update") -> float:
    """Return the L2 norm of a vector on the device, the bits of `norm.l2_norm`.

    Args:
        update: shape (m,), float16, bfloat16, float32 or float64.
        name: what errors call the vector.

    Raises:
        InputError: a NaN or an infinity, whose index is named (rule 5-1), or a norm
            beyond float64.
    """
    if not len(update):
        return 0.0
    low, high = torch.aminmax(update)
    peak = number(torch.maximum(low.abs(), high.abs()))
    # aminmax gives NaN if there is one.
    if not math.isfinite(peak):
        _refuse_not_finite(update, name)
    exponent = unit_exponent(peak)
    factor = math.ldexp(1.0, -exponent)
    sums = torch.cat([_sums(part, factor) for part in batches(update)])
    total = _halved(_filled_up(sums, 1 << (len(sums) - 1).bit_length())[None, :])
    return root(number(total), exponent, name)


def batches(update: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield consecutive views that make up the vector."""
    for start in range(0, len(update), BATCH):
        yield update[start : start + BATCH]


def _sums(part: torch.Tensor, factor: float) -> torch.Tensor:
    """Return the sum of (factor g_i)^2 of each block."""
    squares = part.to(torch.float64) * factor
    squares *= squares
    return _halved(_filled_up(squares, -(-len(part) // BLOCK) * BLOCK).view(-1, BLOCK))


def _filled_up(values: torch.Tensor, size: int) -> torch.Tensor:
    """Append zeros up to `size` values."""
    return torch.nn.functional.pad(values, (0, size - len(values)))


def _halved(rows: torch.Tensor) -> torch.Tensor:
    """Return the sum of each row, of 2^k values, by halves."""
    while rows.shape[1] > 1:
        half = rows.shape[1] // 2
        rows = rows[:, :half] + rows[:, half:]
    return rows[:, 0]


def _refuse_not_finite(update: torch.Tensor, name: str) -> None:
    start = 0
    for part in batches(update):
        bad = ~torch.isfinite(part)
        if number(bad.any()):
            index = int(number(bad.to(torch.uint8).argmax()))
            kind = "NaN" if number(torch.isnan(part[index])) else "infinite"
            raise errors.InputError(f"{name}: coordinate {start + index} is {kind}")
        start += len(part)
