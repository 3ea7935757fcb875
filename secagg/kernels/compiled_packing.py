"""Packing at w bits, and what reads it again, compiled.

`kernels.plain` has the plain forms.

Raises ImportError where numba is absent or switched off.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import types
from numpy.typing import NDArray

from secagg.kernels.compiler import compiled, inlined

_uint32: Final = np.uint32
_uint64: Final = np.uint64

_VECTOR: Final = types.Array(types.uint32, 1, "C")
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
