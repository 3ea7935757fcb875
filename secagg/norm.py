"""The L2 norm of floats, to a stated error: the clip of spec section 5 rests on it.

Works in blocks of the vector as it is, so that nothing of its size is allocated. The
relative error is below 2^-45: with u = 2^-53, a square errs by u and a sum of 256 of
them, in any order, by 255 u more; these sums are added exactly but for u a block and u
at the end; the root halves all that and adds u.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from secagg import errors

FloatArray: TypeAlias = NDArray[np.floating[Any]]
"""A vector of float16, float32 or float64."""

# Coordinates at a time: 256 KiB of float64, so that a few such stay in the L2 cache.
BLOCK: Final = 1 << 15

# Squares that numpy adds, in an order of its own, before sums are added exactly.
_ROW: Final = 256


def l2_norm(update: FloatArray, name: str = "update") -> float:
    """Return the L2 norm of a vector, to within 2^-45 of itself.

    Works in blocks, and at any magnitude: the largest value is brought near 1 by a
    power of two before squares are taken.

    Args:
        update: shape (m,), float16, 32 or 64.
        name: what errors call the vector.

    Raises:
        InputError: a NaN or an infinity, whose index is named (rule 5-1), or a norm
            beyond float64.
    """
    peak = _peak(update, name)
    if peak == 0:
        return 0.0
    # At least 2^-1000, so that the factor is finite; the squares then are >= 2^-150.
    exponent = max(math.frexp(peak)[1], -1000)
    factor = math.ldexp(1.0, -exponent)
    root = math.sqrt(math.fsum(_sums_of_squares(update, factor)))
    try:
        return math.ldexp(root, exponent)
    except OverflowError:
        raise errors.InputError(f"{name}: its L2 norm is beyond float64") from None


def blocks(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of consecutive blocks that make up [start, stop)."""
    for low in range(start, stop, BLOCK):
        yield low, min(low + BLOCK, stop)


def _peak(update: FloatArray, name: str) -> float:
    """Return the largest absolute value; refuse what is not finite."""
    peak = 0.0
    for low, high in blocks(0, len(update)):
        # numpy's max gives NaN if there is one.
        here = float(np.abs(update[low:high].astype(np.float64, copy=False)).max())
        if not math.isfinite(here):
            _refuse_not_finite(update[low:high], low, name)
        peak = max(peak, here)
    return peak


def _refuse_not_finite(block: FloatArray, start: int, name: str) -> None:
    index = int(np.argmin(np.isfinite(block.astype(np.float64))))
    kind = "NaN" if np.isnan(block[index]) else "infinite"
    raise errors.InputError(f"{name}: coordinate {start + index} is {kind}")


def _sums_of_squares(update: FloatArray, factor: float) -> Iterator[float]:
    """Yield, block by block, sums of (factor g_i)^2, to be added exactly."""
    for low, high in blocks(0, len(update)):
        block = update[low:high].astype(np.float64)
        block *= factor
        block *= block
        whole = len(block) // _ROW * _ROW
        rows = block[:whole].reshape(-1, _ROW).sum(axis=1)
        yield math.fsum(rows)
        yield float(block[whole:].sum())
