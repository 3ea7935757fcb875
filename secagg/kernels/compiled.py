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
from secagg.kernels.compiler import compiled, inlined

_uint32: Final = np.uint32
_uint64: Final = np.uint64

# A piece in which one is rejected is looked through so many words at a time first: two
# registers. One by one took 0.3 us a rejection.
_LOOK: Final = 32

_VECTOR: Final = types.Array(types.uint32, 1, "C")
_TABLE: Final = types.Array(types.uint32, 2, "C")


@inlined
def _add_piece(
    sums: Any, words: Any, row: Any, begin: Any, end: Any, cut: Any, p: Any
) -> Any:
    """Add words [begin, end) of a row, and return the largest once cut."""
    top = _uint32(0)
    for i in range(begin, end):
        element = _uint32(words[row, i] & cut)
        top = max(top, element)
        # s + e - p, and p more where that is below 0.
        complement = _uint32(p - element)
        before = sums[i]
        after = _uint32(before - complement)
        sums[i] = _uint32(after + p) if before < complement else after
    return top


@inlined
def _take_piece(
    sums: Any, words: Any, row: Any, begin: Any, end: Any, cut: Any, p: Any
) -> Any:
    """Take away words [begin, end) of a row, and return the largest once cut."""
    top = _uint32(0)
    for i in range(begin, end):
        element = _uint32(words[row, i] & cut)
        top = max(top, element)
        before = sums[i]
        after = _uint32(before - element)
        sums[i] = _uint32(after + p) if before < element else after
    return top


@inlined
def _leave_out_of(
    sums: Any,
    words: Any,
    row: Any,
    begin: Any,
    end: Any,
    cut: Any,
    p: Any,
    plus: Any,
    rejected: Any,
    count: Any,
) -> Any:
    """Look at every word of a few in which some are rejected."""
    for i in range(begin, end):
        element = _uint32(words[row, i] & cut)
        if element < p:
            continue
        # That was s - e + p, or s + e, or nothing where e = p was added.
        if not plus:
            sums[i] = _uint32(sums[i] + element - p)
        elif element > p:
            sums[i] = _uint32(sums[i] - element)
        rejected[count] = row * len(sums) + i
        count += 1
    return count


@inlined
def _leave_out(
    sums: Any,
    words: Any,
    row: Any,
    begin: Any,
    end: Any,
    cut: Any,
    p: Any,
    plus: Any,
    rejected: Any,
    count: Any,
) -> Any:
    """Undo what was done for rejected words, note them, and return the new count."""
    low = begin
    while low < end:
        high = min(_uint64(low + _uint64(_LOOK)), end)
        top = _uint32(0)
        for i in range(low, high):
            top = max(top, _uint32(words[row, i] & cut))
        if top >= p:
            count = _leave_out_of(
                sums, words, row, low, high, cut, p, plus, rejected, count
            )
        low = high
    return count


@compiled(
    types.intp,
    [
        _VECTOR,
        _TABLE,
        types.Array(types.int8, 1, "C"),
        types.uint32,
        types.uint32,
        types.intp,
        types.Array(types.intp, 1, "C"),
    ],
)
def add_words(
    sums: NDArray[np.uint32],
    words: NDArray[np.uint32],
    signs: NDArray[np.int8],
    cut: int,
    p: int,
    piece: int,
    rejected: NDArray[np.intp],
) -> int:
    """Add rows of words, cut to elements, into sums mod p.

    Args:
        sums: elements in [0, p), shape (k,); changed in place.
        words: raw, shape (s, k). Those that are not below p once cut count as 0.
        signs: +1 or -1 for each row.
        cut: 2^w - 1.
        p: p_w.
        piece: words between two looks at their largest.
        rejected: is given row * k + place of each word that counted as 0; room for all.

    Returns:
        How many were rejected.
    """
    count = 0
    size = _uint64(len(sums))
    begin = _uint64(0)
    while begin < size:
        end = min(_uint64(begin + _uint64(piece)), size)
        for row in range(_uint64(len(signs))):
            plus = signs[row] > 0
            if plus:
                top = _add_piece(sums, words, row, begin, end, cut, p)
            else:
                top = _take_piece(sums, words, row, begin, end, cut, p)
            if top >= p:
                count = _leave_out(
                    sums, words, row, begin, end, cut, p, plus, rejected, count
                )
        begin = end
    return count


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


_READ_WORDS: Final = types.Array(types.uint64, 1, "C", readonly=True)
_WORDS: Final = types.Array(types.uint64, 1, "C")
_READ_VECTOR: Final = types.Array(types.uint32, 1, "C", readonly=True)


@compiled(types.uint32, [_READ_VECTOR, types.uint64, _WORDS])
def _pack(elements: Any, width: Any, out: Any) -> Any:
    """Fill words with pairs of elements: 2 w <= 64 bits at a time."""
    held, used, word, top = _uint64(0), _uint64(0), _uint64(0), _uint32(0)
    size = _uint64(len(elements))
    for i in range(_uint64(0), size, _uint64(2)):
        first, second, bits = elements[i], _uint32(0), width
        if i + _uint64(1) < size:
            second, bits = elements[i + _uint64(1)], _uint64(2 * width)
        top = max(top, first, second)
        pair = _uint64(first) | _uint64(_uint64(second) << width)
        held |= pair << used
        used += bits
        if used >= _uint64(64):
            out[word] = held
            word += _uint64(1)
            used -= _uint64(64)
            # Shifting by all 64 bits is undefined, and leaves nothing here.
            held = pair >> (bits - used) if used else _uint64(0)
    if used:
        out[word] = held
    return top


def pack(elements: NDArray[np.uint32], width: int, out: NDArray[np.uint64]) -> int:
    """See `plain.pack`."""
    return int(_pack(np.ascontiguousarray(elements), width, out))


@inlined
def _pair(words: Any, bit: Any) -> Any:
    """Return the 64 bits from `bit` on, of the one or two words that hold them."""
    word, shift = bit >> _uint64(6), bit & _uint64(63)
    # In two steps, since shifting by all 64 bits is undefined.
    above = (words[word + _uint64(1)] << _uint64(1)) << (_uint64(63) - shift)
    return (words[word] >> shift) | above


# A chunk in a frame may begin at any byte.
_LOOSE_WORDS: Final = types.Array(types.uint64, 1, "C", readonly=True, aligned=False)


@compiled(types.uint32, [_LOOSE_WORDS, types.uint64, _VECTOR])
def _unpack(words: Any, width: Any, out: Any) -> Any:
    """Read pairs of elements."""
    mask = _uint64((_uint64(1) << width) - _uint64(1))
    size, top = _uint64(len(out)), _uint32(0)
    for k in range(size // _uint64(2)):
        i = _uint64(2) * _uint64(k)
        pair = _pair(words, i * width)
        first, second = _uint32(pair & mask), _uint32((pair >> width) & mask)
        out[i] = first
        out[i + _uint64(1)] = second
        top = max(top, first, second)
    if size % _uint64(2):
        last = _uint32(_pair(words, (size - _uint64(1)) * width) & mask)
        out[size - _uint64(1)] = last
        top = max(top, last)
    return top


def unpack(words: NDArray[np.uint64], width: int, out: NDArray[np.uint32]) -> int:
    """See `plain.unpack`."""
    return int(_unpack(words, width, out))


@compiled(types.uint32, [_LOOSE_WORDS, types.uint64, _WORDS])
def _add_unpacked(words: Any, width: Any, sums: Any) -> Any:
    """Add pairs of elements."""
    mask = _uint64((_uint64(1) << width) - _uint64(1))
    size, top = _uint64(len(sums)), _uint64(0)
    for k in range(size // _uint64(2)):
        i = _uint64(2) * _uint64(k)
        pair = _pair(words, i * width)
        first, second = pair & mask, (pair >> width) & mask
        sums[i] += first
        sums[i + _uint64(1)] += second
        top = max(top, first, second)
    if size % _uint64(2):
        last = _pair(words, (size - _uint64(1)) * width) & mask
        sums[size - _uint64(1)] += last
        top = max(top, last)
    return _uint32(top)


def add_unpacked(
    words: NDArray[np.uint64], width: int, sums: NDArray[np.uint64]
) -> int:
    """See `plain.add_unpacked`."""
    return int(_add_unpacked(words, width, sums))


@compiled(types.uint32, [_LOOSE_WORDS, types.uint64, types.uint64])
def _largest_packed(words: Any, width: Any, count: Any) -> Any:
    """Look at pairs of elements."""
    mask = _uint64((_uint64(1) << width) - _uint64(1))
    bit, top = _uint64(0), _uint64(0)
    for _ in range(count // _uint64(2)):
        pair = _pair(words, bit)
        top = max(top, pair & mask, (pair >> width) & mask)
        bit += _uint64(2) * width
    if count % _uint64(2):
        top = max(top, _pair(words, bit) & mask)
    return _uint32(top)


def largest_packed(words: NDArray[np.uint64], width: int, count: int) -> int:
    """See `plain.largest_packed`."""
    return int(_largest_packed(words, width, count))


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
