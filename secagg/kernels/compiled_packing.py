"""Packing at w bits, and what reads it again, compiled.

What is read is read in groups of eight; `kernels.plain` has the plain forms.

Raises ImportError where numba is absent or switched off.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import types
from numpy.typing import NDArray

from secagg.kernels.compiled_groups import (
    LANES,
    add_groups,
    largest_of_groups,
    unpack_groups,
)
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
def _element(words: Any, i: Any, width: Any) -> Any:
    """Return element i, from the one or two words that hold it."""
    bit = i * width
    word, shift = bit >> _uint64(6), bit & _uint64(63)
    # In two steps, since shifting by all 64 bits is undefined.
    above = (words[word + _uint64(1)] << _uint64(1)) << (_uint64(63) - shift)
    return ((words[word] >> shift) | above) & ((_uint64(1) << width) - _uint64(1))


# A chunk in a frame may begin at any byte.
_LOOSE_WORDS: Final = types.Array(types.uint64, 1, "C", readonly=True, aligned=False)


@compiled(types.uint64, [_LOOSE_WORDS, types.uint64, _VECTOR])
def _unpack(words: Any, width: Any, out: Any) -> Any:
    groups = _uint64(len(out)) // _uint64(LANES)
    top = unpack_groups(words, width, groups, out)
    for i in range(groups * _uint64(LANES), _uint64(len(out))):
        element = _element(words, i, width)
        out[i] = _uint32(element)
        top = max(top, element)
    return top


def unpack(words: NDArray[np.uint64], width: int, out: NDArray[np.uint32]) -> int:
    """See `plain.unpack`."""
    return int(_unpack(words, width, out))


@compiled(types.uint64, [_LOOSE_WORDS, types.uint64, _WORDS])
def _add_unpacked(words: Any, width: Any, sums: Any) -> Any:
    groups = _uint64(len(sums)) // _uint64(LANES)
    top = add_groups(words, width, groups, sums)
    for i in range(groups * _uint64(LANES), _uint64(len(sums))):
        element = _element(words, i, width)
        sums[i] += element
        top = max(top, element)
    return top


def add_unpacked(
    words: NDArray[np.uint64], width: int, sums: NDArray[np.uint64]
) -> int:
    """See `plain.add_unpacked`."""
    return int(_add_unpacked(words, width, sums))


@compiled(types.uint64, [_LOOSE_WORDS, types.uint64, types.uint64])
def _largest_packed(words: Any, width: Any, count: Any) -> Any:
    groups = count // _uint64(LANES)
    top = largest_of_groups(words, width, groups)
    for i in range(groups * _uint64(LANES), count):
        top = max(top, _element(words, i, width))
    return top


def largest_packed(words: NDArray[np.uint64], width: int, count: int) -> int:
    """See `plain.largest_packed`."""
    return int(_largest_packed(words, width, count))
