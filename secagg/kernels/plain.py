"""The inner loops in numpy, for every machine; `kernels.compiled` has their twins.

They know no rules: what they are given was checked, what they return is checked.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg import field
from secagg.kernels.chacha import chacha_words as chacha_words

_GROUP: Final = 64
_PAIRS: Final = 32

# Elements packed at a time; a multiple of the group. Scratch is 6 times 4 bytes each.
_BLOCK: Final = 1 << 16

# Stated byte order: the stream is little endian on every machine.
_WORD: Final = np.dtype("<u8")
_ELEMENT: Final = np.dtype("<u4")


def pack(elements: NDArray[np.uint32], width: int, out: NDArray[np.uint64]) -> int:
    """Write elements at w bits, lowest bit first, and return the largest.

    By columns: word j of every group of 64 elements at once. In each group the elements
    are first joined to 32 pairs of 2 w <= 64 bits.

    Args:
        elements: below 2^w, else `out` is of no use, shape (k,).
        width: w, 16..32.
        out: little endian, shape (ceil(k w / 64),).
    """
    largest = 0
    for begin in range(0, len(elements), _BLOCK):
        block = elements[begin : begin + _BLOCK]
        largest = max(largest, int(block.max()))
        first = begin * width // _GROUP
        words = _packed(block, width)
        out[first : first + len(words)] = words[: len(out) - first]
    return largest


def unpack(words: NDArray[np.uint64], width: int, out: NDArray[np.uint32]) -> int:
    """Read elements of w bits, lowest bit first, and return the largest.

    Args:
        words: little endian, shape (ceil(k w / 64) + 1,) or longer; what follows the
            k w bits is looked at and has no effect.
        width: w, 16..32.
        out: shape (k,).
    """
    largest = 0
    for begin in range(0, len(out), _BLOCK):
        block = out[begin : begin + _BLOCK]
        largest = max(largest, _unpacked_block(words, width, begin, block))
    return largest


def add_unpacked(
    words: NDArray[np.uint64], width: int, sums: NDArray[np.uint64]
) -> int:
    """Add elements of w bits to sums, and return the largest element.

    Args:
        words: as for `unpack`.
        width: w, 16..32.
        sums: shape (k,); changed in place, and not reduced.
    """
    largest = 0
    scratch = np.empty(min(len(sums), _BLOCK), dtype=np.uint32)
    for begin in range(0, len(sums), _BLOCK):
        part = sums[begin : begin + _BLOCK]
        block = scratch[: len(part)]
        largest = max(largest, _unpacked_block(words, width, begin, block))
        part += block
    return largest


def largest_packed(words: NDArray[np.uint64], width: int, count: int) -> int:
    """Return the largest of `count` elements of w bits, and write none.

    Args:
        words: as for `unpack`.
        width: w, 16..32.
        count: how many elements; of none, the largest is 0.
    """
    largest = 0
    scratch = np.empty(min(count, _BLOCK), dtype=np.uint32)
    for begin in range(0, count, _BLOCK):
        block = scratch[: count - begin]
        largest = max(largest, _unpacked_block(words, width, begin, block))
    return largest


def _unpacked_block(
    words: NDArray[np.uint64], width: int, begin: int, out: NDArray[np.uint32]
) -> int:
    """Read a block of elements from element `begin` on, and return the largest."""
    first = begin * width // _GROUP
    _unpack(words[first : first + _BLOCK * width // _GROUP], width, out)
    return int(out.max())


def _places(width: int) -> list[tuple[int, int, int]]:
    """Return, for each pair of a group, its word, its shift there and its overhang.

    The overhang is how many of its 2 w bits, 0 or fewer for none, go to the next word.
    """
    places = []
    for pair in range(_PAIRS):
        word, shift = divmod(2 * width * pair, _GROUP)
        places.append((word, shift, shift + 2 * width - _GROUP))
    return places


def _packed(elements: NDArray[np.uint32], width: int) -> NDArray[np.uint64]:
    """Return the words of a block, the last group filled up with 0."""
    groups = -(-len(elements) // _GROUP)
    padded = np.zeros(groups * _GROUP, dtype=_ELEMENT)
    padded[: len(elements)] = elements
    joined = padded.view(_WORD)
    high = joined >> 32
    high <<= width
    joined &= 0xFFFFFFFF
    joined |= high
    columns = joined.reshape(groups, _PAIRS)
    words = np.zeros((width, groups), dtype=_WORD)
    scratch = np.empty(groups, dtype=_WORD)
    for pair, (word, shift, overhang) in enumerate(_places(width)):
        np.left_shift(columns[:, pair], shift, out=scratch)
        words[word] |= scratch
        if overhang > 0:
            np.right_shift(columns[:, pair], 2 * width - overhang, out=scratch)
            words[word + 1] |= scratch
    return np.ascontiguousarray(words.T).reshape(-1)


def _unpack(stream: NDArray[np.uint64], width: int, out: NDArray[np.uint32]) -> None:
    groups = -(-len(out) // _GROUP)
    padded = np.zeros(groups * width, dtype=_WORD)
    held = min(len(padded), len(stream))
    padded[:held] = stream[:held]
    words = np.ascontiguousarray(padded.reshape(groups, width).T)
    joined = np.empty((groups, _PAIRS), dtype=_WORD)
    scratch = np.empty(groups, dtype=_WORD)
    for pair, (word, shift, overhang) in enumerate(_places(width)):
        np.right_shift(words[word], shift, out=joined[:, pair])
        if overhang > 0:
            np.left_shift(words[word + 1], 2 * width - overhang, out=scratch)
            joined[:, pair] |= scratch
    low = joined & ((1 << width) - 1)
    joined >>= width
    joined &= (1 << width) - 1
    joined <<= 32
    joined |= low
    out[:] = joined.ravel().view(_ELEMENT)[: len(out)]


def add_scattered(
    sums: NDArray[np.uint32],
    places: NDArray[np.intp],
    elements: NDArray[np.uint32],
    signs: NDArray[np.int8],
    p: int,
) -> None:
    """Add or take away k elements at places, of which several may be the same.

    Args:
        sums: elements in [0, p); changed in place.
        places: within `sums`, shape (k,), k < 2^30.
        elements: in [0, p), shape (k,).
        signs: +1 or -1, shape (k,).
        p: a prime p_w.
    """
    touched, inverse = np.unique(places, return_inverse=True)
    total = sums[touched].astype(np.int64)
    np.add.at(total, inverse, elements * signs.astype(np.int64))
    sums[touched] = field.to_field(total, p)


def rounded(
    scaled: NDArray[np.float64],
    words: NDArray[np.uint32],
    limit: float,
    p: int,
    out: NDArray[np.uint32],
) -> None:
    """Saturate, round stochastically and reduce mod p.

    What is wanted is floor(v) + [word < 2^32 (v - floor(v))]. With V = ceil(2^32 v), an
    integer below 2^63, the bracket holds exactly if word < V - 2^32 floor(v), whose
    right side is in [0, 2^32]. So the whole is floor((V + 2^32 - 1 - word) / 2^32).

    Args:
        scaled: 2^32 v, finite, shape (k,); overwritten.
        words: of the rounding stream, shape (k,); overwritten.
        limit: 2^32 x_max, where 2 x_max < p.
        p: a prime p_w.
        out: elements in [0, p), shape (k,).
    """
    np.clip(scaled, -limit, limit, out=scaled)
    np.ceil(scaled, out=scaled)
    whole = scaled.astype(np.int64)
    whole += np.invert(words, out=words)
    whole >>= np.int64(32)
    # As -p < v < p, the low 32 bits of v, and p more where v is negative.
    np.copyto(out, whole, casting="unsafe")
    negative = (whole < 0).astype(np.uint32)
    negative *= np.uint32(p)
    out += negative


def peak(block: NDArray[np.floating[Any]]) -> float:
    """Return the largest absolute value, NaN if there is one; 0 of nothing."""
    # numpy's max gives NaN if there is one.
    return float(np.abs(block.astype(np.float64, copy=False)).max(initial=0.0))


def sum_of_squares(block: NDArray[np.floating[Any]], factor: float) -> float:
    """Return the sum of (factor g_i)^2 in float64, in the order of `halved`."""
    squares = filled_up(len(block))
    np.multiply(block, factor, out=squares[: len(block)], dtype=np.float64)
    squares *= squares
    return halved(squares)


def filled_up(size: int) -> NDArray[np.float64]:
    """Return zeros, as many as the power of two at or above `size`."""
    return np.zeros(1 << max(size - 1, 0).bit_length())


def halved(values: NDArray[np.float64]) -> float:
    """Return the sum of 2^k values, which are overwritten.

    The second half is added to the first, until one number is left.
    """
    while len(values) > 1:
        half = len(values) // 2
        values[:half] += values[half:]
        values = values[:half]
    return float(values[0])


def butterflies(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Hadamard transform of each row, strides 1, 2, 4, ... in turn.

    Args:
        rows: shape (K, B), B a power of 4, contiguous; it may be overwritten.
    """
    count, block = rows.shape
    # A block as a column, so that the short strides are long runs as well.
    here = np.ascontiguousarray(rows.T)
    there = np.empty_like(here)
    stride = 1
    while stride < block:
        a = here.reshape(block // (2 * stride), 2, stride * count)
        b = there.reshape(a.shape)
        np.add(a[:, 0], a[:, 1], out=b[:, 0])
        np.subtract(a[:, 0], a[:, 1], out=b[:, 1])
        here, there = there, here
        stride *= 2
    return here.T


def placed(
    update: NDArray[np.floating[Any]],
    gain: float,
    shifts: NDArray[np.int64],
    blocks: range,
    first: int,
    size: int,
) -> NDArray[np.float64]:
    """Return gain times the coordinates that stand in blocks of a group (spec 5.1).

    Args:
        update: shape (m,); beyond it all is zero.
        gain: what every coordinate is multiplied by.
        shifts: of each place of the group's blocks, below `size`, shape (B,).
        blocks: which of the group's.
        first: the group's first coordinate.
        size: the group's blocks, G.

    Returns:
        Shape (K, B), one row a block.
    """
    place = np.array(blocks)[:, None] + shifts
    # Below 2 G, so one subtraction does it; a remainder takes ten times as long.
    place -= size * (place >= size)
    place += first + np.arange(len(shifts)) * size
    taken = np.take(update, place, mode="clip").astype(np.float64)
    taken *= gain
    if first + size * len(shifts) > len(update):
        taken[place >= len(update)] = 0.0
    return np.asarray(taken, dtype=np.float64)
