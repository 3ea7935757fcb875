"""Elements at exactly w bits: spec section 7.1.

Element i occupies the bits [i w, (i + 1) w) of a little endian bit stream, lowest bit
first; the last byte is filled with zero bits. So 64 elements are w words of 64 bits,
and a chunk of 2^k elements, k >= 3, ends on a byte.

The work is done by `secagg.kernels`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secagg import errors, field, kernels

_WORD = np.dtype("<u8")


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
    size = packed_size(len(elements), width)
    words = np.empty(-(-size // _WORD.itemsize), dtype=_WORD)
    largest = kernels.loops().pack(elements, width, words)
    if largest >= p:
        raise errors.ParameterError(f"element {largest} is not below p = {p}")
    return words.view(np.uint8)[:size].tobytes()


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
    # Whole words for the loop, and one more, which it may look at.
    words = np.zeros(size // _WORD.itemsize + 2, dtype=_WORD)
    received = np.frombuffer(data, dtype=np.uint8)[:size]
    words.view(np.uint8)[: len(received)] = received
    out = np.empty(count, dtype=np.uint32)
    largest = kernels.loops().unpack(words, width, out)
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
