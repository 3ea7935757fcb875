"""The inner loops, compiled by numba: the extra ``fast``.

Each does in one pass over words in the cache what numpy does in several, and gives the
same integers and floats to the last bit: no fused multiply-add, no other order of sums.
Types are stated, so that everything is compiled when this module is imported and not
while a round waits; numba keeps what it compiled on the disk, where it may write.

Raises ImportError where numba is absent or switched off.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numba import types
from numpy.typing import NDArray

from secagg.kernels import plain
from secagg.kernels.compiled_chacha import chacha_words as chacha_words
from secagg.kernels.compiled_packing import add_unpacked as add_unpacked
from secagg.kernels.compiled_packing import largest_packed as largest_packed
from secagg.kernels.compiled_packing import pack as pack
from secagg.kernels.compiled_packing import unpack as unpack
from secagg.kernels.compiler import compiled, inlined

_uint32: Final = np.uint32
_uint64: Final = np.uint64

_VECTOR: Final = types.Array(types.uint32, 1, "C")
_INDICES: Final = types.Array(types.intp, 1, "C")


@compiled(
    types.void,
    [_VECTOR, _INDICES, _VECTOR, types.Array(types.int8, 1, "C"), types.uint32],
)
def add_scattered(sums: Any, places: Any, elements: Any, signs: Any, p: Any) -> None:
    """See `plain.add_scattered`."""
    for i in range(len(places)):
        # To take e away is to add p - e, which is p where e is 0.
        element = elements[i] if signs[i] > 0 else _uint32(p - elements[i])
        before, complement = sums[places[i]], _uint32(p - element)
        after = _uint32(before - complement)
        sums[places[i]] = _uint32(after + p) if before < complement else after


@compiled(
    types.void,
    [
        types.Array(types.float64, 1, "C"),
        _VECTOR,
        types.float64,
        types.uint32,
        _VECTOR,
    ],
)
def rounded(
    scaled: NDArray[np.float64],
    words: NDArray[np.uint32],
    limit: float,
    p: int,
    out: NDArray[np.uint32],
) -> None:
    """See `plain.rounded`."""
    for i in range(len(scaled)):
        value = np.int64(math.ceil(min(max(scaled[i], -limit), limit)))
        whole = (value + np.int64(_uint32(~words[i]))) >> np.int64(32)
        low = _uint32(whole)
        out[i] = _uint32(low + p) if whole < 0 else low


_READ_VECTOR: Final = types.Array(types.uint32, 1, "C", readonly=True)
_READ_WORDS: Final = types.Array(types.uint64, 1, "C", readonly=True)
_DOUBLES: Final = types.Array(types.float64, 1, "C")
_READ_FLOATS: Final = types.Array(types.float32, 1, "C", readonly=True)
_READ_DOUBLES: Final = types.Array(types.float64, 1, "C", readonly=True)


@compiled(types.uint64, [_READ_VECTOR, types.uint64], [_READ_WORDS, types.uint64])
def _top_bits(block: Any, mask: Any) -> Any:
    """Return the largest after the mask."""
    top = _uint64(0)
    for i in range(len(block)):
        top = max(top, _uint64(_uint64(block[i]) & mask))
    return top


def peak(block: NDArray[np.floating[Any]]) -> float:
    """See `plain.peak`."""
    whole = _contiguous(block)
    kind = np.dtype(f"u{whole.itemsize}")
    # Without their signs, the bits of floats are in the order of size, NaN the last.
    top = _top_bits(whole.view(kind), np.iinfo(kind).max >> 1)
    return float(np.array([top], dtype=kind).view(whole.dtype)[0])


@compiled(
    types.float64,
    [_READ_FLOATS, types.float64, _DOUBLES],
    [_READ_DOUBLES, types.float64, _DOUBLES],
)
def _sum_of_squares(block: Any, factor: Any, squares: Any) -> Any:
    for i in range(len(block)):
        value = np.float64(block[i]) * factor
        squares[i] = value * value
    half = len(squares) // 2
    while half:
        for i in range(half):
            squares[i] += squares[half + i]
        half //= 2
    return squares[0]


def sum_of_squares(block: NDArray[np.floating[Any]], factor: float) -> float:
    """See `plain.sum_of_squares`."""
    whole = _contiguous(block)
    return float(_sum_of_squares(whole, factor, plain.filled_up(len(whole))))


def _contiguous(block: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return float32 or float64, in order; float16 is widened, exactly."""
    kind = np.float64 if block.dtype == np.float64 else np.float32
    return np.ascontiguousarray(block, dtype=kind)


@inlined
def _two_strides(line: Any, stride: Any) -> None:
    """Butterflies of `stride`, then of twice that: each value is read half as often."""
    for low in range(0, len(line), 4 * stride):
        for i in range(low, low + stride):
            a, b = line[i], line[i + stride]
            c, d = line[i + 2 * stride], line[i + 3 * stride]
            ab, a_b, cd, c_d = a + b, a - b, c + d, c - d
            line[i], line[i + stride] = ab + cd, a_b + c_d
            line[i + 2 * stride], line[i + 3 * stride] = ab - cd, a_b - c_d


_ROWS: Final = types.Array(types.float64, 2, "C")
_READ_PLACES: Final = types.Array(types.int64, 1, "C", readonly=True)
_WHERE: Final = [types.float64, types.intp, types.intp, types.intp]


@compiled(types.void, [_ROWS])
def _butterflies(rows: Any) -> None:
    for row in range(rows.shape[0]):
        stride = 1
        while stride < rows.shape[1]:
            _two_strides(rows[row], stride)
            stride *= 4


def butterflies(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """See `plain.butterflies`."""
    _butterflies(rows)
    return rows


@compiled(
    types.void,
    [_ROWS, _READ_FLOATS, _READ_PLACES, *_WHERE],
    [_ROWS, _READ_DOUBLES, _READ_PLACES, *_WHERE],
)
def _place(
    rows: Any, update: Any, shifts: Any, gain: Any, block: Any, first: Any, size: Any
) -> None:
    count, length = rows.shape
    # Eight places at a time: one line of the cache is written, and the eight that are
    # read serve all blocks.
    for low in range(0, length, 8):
        for k in range(count):
            for i in range(low, min(low + 8, length)):
                place = block + k + shifts[i]
                place = place - size if place >= size else place
                place += first + i * size
                rows[k, i] = gain * update[place] if place < len(update) else 0.0


def placed(
    update: NDArray[np.floating[Any]],
    gain: float,
    shifts: NDArray[np.int64],
    blocks: range,
    first: int,
    size: int,
) -> NDArray[np.float64]:
    """See `plain.placed`."""
    rows = np.empty((len(blocks), len(shifts)))
    group = _contiguous(update[first : first + size * len(shifts)])
    _place(rows, group, shifts, gain, blocks.start, 0, size)
    return rows
