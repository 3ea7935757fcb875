"""Elements at exactly w bits: spec section 7.1.

Element i occupies the bits [i w, (i + 1) w) of a little endian bit stream, lowest bit
first; the last byte is filled with zero bits. So 64 elements are w words of 64 bits,
and a chunk of 2^k elements, k >= 3, ends on a byte.

The work goes through numpy by columns: word j of every group of 64 elements at once. In
each group the elements are first joined to 32 pairs of 2 w <= 64 bits.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg import errors, field

_GROUP: Final = 64
_PAIRS: Final = 32

# Elements handled at a time; a multiple of the group. Scratch is 6 times 4 bytes each.
_BLOCK: Final = 1 << 18

# Stated byte order: the stream is little endian on every machine.
_WORD: Final = np.dtype("<u8")
_ELEMENT: Final = np.dtype("<u4")


def packed_size(count: int, width: int) -> int:
    """Return how many bytes `count` elements take at `width` bits."""
    return (count * width + 7) // 8


def pack(elements: NDArray[np.uint32], width: int) -> bytes:
    """Return elements packed at w bits.

    Args:
        elements: values in [0, p_w), shape (k,).
        width: w, 16..32.

    Raises:
        ParameterError: an element is not below p_w, or the width outside its range.
    """
    p = field.prime(width)
    parts = []
    for begin in range(0, len(elements), _BLOCK):
        block = elements[begin : begin + _BLOCK]
        largest = int(block.max())
        if largest >= p:
            raise errors.ParameterError(f"element {largest} is not below p = {p}")
        parts.append(_pack_block(block, width))
    return b"".join(parts)


def unpack(data: bytes | memoryview, count: int, width: int) -> NDArray[np.uint32]:
    """Return the elements of packed bytes as received.

    Args:
        data: what `pack` gives, or what a peer sent in its place.
        count: how many elements there must be.
        width: w, 16..32.

    Returns:
        Elements in [0, p_w), shape (count,).

    Raises:
        ParameterError: the width is outside its range.
        CodecError: another length (rule 7.1-3), padding bits that are not zero (rule
            7.1-4), or an element not below p_w (rule 7.1-5).
    """
    p = field.prime(width)
    size = packed_size(count, width)
    _require("7.1-3", len(data) == size, f"{len(data)} bytes instead of {size}")
    _require("7.1-4", _padding(data, count, width) == 0, "the padding bits are not 0")
    out = np.empty(count, dtype=np.uint32)
    for begin in range(0, count, _BLOCK):
        block = out[begin : begin + _BLOCK]
        first = packed_size(begin, width)
        _unpack_block(
            data[first : first + packed_size(len(block), width)], block, width
        )
        largest = int(block.max())
        _require("7.1-5", largest < p, f"element {largest} is not below p = {p}")
    return out


def _require(rule: str, condition: bool, detail: str) -> None:
    errors.require(rule, condition, detail, error=errors.CodecError)


def _padding(data: bytes | memoryview, count: int, width: int) -> int:
    """Return the bits of the last byte that belong to no element."""
    size = packed_size(count, width)
    last = data[size - 1 : size] if size else b""
    used = count * width % 8
    return int.from_bytes(last, "little") >> used if used else 0


def _places(width: int) -> list[tuple[int, int, int]]:
    """Return, for each pair of a group, its word, its shift there and its overhang.

    The overhang is how many of its 2 w bits, 0 or fewer for none, go to the next word.
    """
    places = []
    for pair in range(_PAIRS):
        word, shift = divmod(2 * width * pair, _GROUP)
        places.append((word, shift, shift + 2 * width - _GROUP))
    return places


def _pack_block(elements: NDArray[np.uint32], width: int) -> bytes:
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
    stream = np.ascontiguousarray(words.T).data.cast("B")
    return bytes(stream[: packed_size(len(elements), width)])


def _unpack_block(
    data: bytes | memoryview, out: NDArray[np.uint32], width: int
) -> None:
    groups = -(-len(out) // _GROUP)
    padded = np.zeros(groups * width * _WORD.itemsize, dtype=np.uint8)
    padded[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    words = np.ascontiguousarray(padded.view(_WORD).reshape(groups, width).T)
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
