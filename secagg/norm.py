"""The L2 norm of floats, to a stated error: the clip of spec section 5 rests on it.

Works in blocks of the vector as it is, so that nothing of its size is allocated. The
order of the additions is fixed: each block of 2^15 squares is halved, the second half
added to the first, until one number is left, and so are the sums of the blocks, zeros
filling up to a power of two. A GPU that does the same gets the same bits.

The relative error is below 2^-47: with u = 2^-53, a square errs by u and each of the at
most 15 + 25 halvings by u more, for m <= 2^40; the root halves all that and adds u.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from secagg import errors, kernels
from secagg.kernels import plain

FloatArray: TypeAlias = NDArray[np.floating[Any]]
"""A vector of float16, float32 or float64."""

# Coordinates at a time: 256 KiB of float64, so that a few such stay in the L2 cache.
BLOCK: Final = 1 << 15


def l2_norm(update: FloatArray, name: str = "update") -> float:
    """Return the L2 norm of a vector, to within 2^-47 of itself.

    Works in blocks, and at any magnitude: the largest value is brought near 1 by a
    power of two before squares are taken.

    Args:
        update: shape (m,), float16, 32 or 64.
        name: what errors call the vector.

    Raises:
        InputError: a NaN or an infinity, whose index is named (rule 5-1), or a norm
            beyond float64.
    """
    exponent = unit_exponent(_peak(update, name))
    return root(_sum_of_squares(update, math.ldexp(1.0, -exponent)), exponent, name)


def unit_exponent(peak: float) -> int:
    """Return e such that values up to `peak`, times 2^-e, are at most 1.

    At least -1000, so that 2^-e is finite; squares of values near the peak then are at
    or above 2^-150.

    Args:
        peak: the largest absolute value, finite.
    """
    return max(math.frexp(peak)[1], -1000)


def root(squares: float, exponent: int, name: str = "update") -> float:
    """Return the norm whose values, times 2^-exponent, have this sum of squares.

    Raises:
        InputError: it is beyond float64.
    """
    try:
        return math.ldexp(math.sqrt(squares), exponent)
    except OverflowError:
        raise errors.InputError(f"{name}: its L2 norm is beyond float64") from None


def blocks(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of consecutive blocks that make up [start, stop)."""
    for low in range(start, stop, BLOCK):
        yield low, min(low + BLOCK, stop)


def _peak(update: FloatArray, name: str) -> float:
    """Return the largest absolute value; refuse what is not finite."""
    peak = 0.0
    loops = kernels.loops()
    for low, high in blocks(0, len(update)):
        here = loops.peak(update[low:high])
        if not math.isfinite(here):
            _refuse_not_finite(update[low:high], low, name)
        peak = max(peak, here)
    return peak


def _refuse_not_finite(block: FloatArray, start: int, name: str) -> None:
    index = int(np.argmin(np.isfinite(block.astype(np.float64))))
    kind = "NaN" if np.isnan(block[index]) else "infinite"
    raise errors.InputError(f"{name}: coordinate {start + index} is {kind}")


def _sum_of_squares(update: FloatArray, factor: float) -> float:
    """Return the sum of (factor g_i)^2, added in the order of the halvings."""
    loops = kernels.loops()
    sums = [
        loops.sum_of_squares(update[low:high], factor)
        for low, high in blocks(0, len(update))
    ]
    total = plain.filled_up(len(sums))
    total[: len(sums)] = sums
    return plain.halved(total)
