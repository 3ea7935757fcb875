"""Elements at exactly w bits: spec section 7.1.

Element i occupies the bits [i w, (i + 1) w) of a little endian bit stream, lowest bit
first; the last byte is filled with zero bits. So 64 elements are w words of 64 bits,
and a chunk of 2^k elements, k >= 3, ends on a byte.

The work is done by `secagg.kernels`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from secagg import errors, field, kernels

_WORD = np.dtype("<u8")

# Elements after which a word begins, at every width.
_GROUP = 64


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
    check_shape(data, count, width)
    out = np.empty(count, dtype=np.uint32)
    largest, loops = 0, kernels.loops()
    for words, part in _stretches(data, width, 0, count):
        largest = max(largest, loops.unpack(words, width, out[part]))
    _require_below(p, largest)
    return out


def check_packed(data: bytes | memoryview, count: int, width: int) -> None:
    """Refuse what `unpack` refuses, and write no element.

    Args:
        data: packed, as received.
        count: how many elements there must be.
        width: w, 16..32.

    Raises:
        ParameterError: the width is outside its range.
        CodecError: rules 7.1-3 to 7.1-5, as for `unpack`.
    """
    p = field.prime(width)
    check_shape(data, count, width)
    largest, loops = 0, kernels.loops()
    for words, part in _stretches(data, width, 0, count):
        size = part.stop - part.start
        largest = max(largest, loops.largest_packed(words, width, size))
    _require_below(p, largest)


def add_unpacked(
    sums: NDArray[np.uint64],
    data: bytes | memoryview,
    width: int,
    *,
    first: int = 0,
) -> None:
    """Add packed elements to sums, without a copy of them in between.

    Args:
        sums: shape (k,), contiguous; changed in place and not reduced. An element adds
            less than 2^32. Of no use after a refusal.
        data: packed, of a shape that `check_shape` took, with first + k elements or
            more.
        width: w, 16..32.
        first: the element that is added to the first sum; a multiple of 64.

    Raises:
        ParameterError: the width is outside its range.
        CodecError: an element is not below p_w (rule 7.1-5).
    """
    p = field.prime(width)
    largest, loops = 0, kernels.loops()
    for words, part in _stretches(data, width, first, len(sums)):
        largest = max(largest, loops.add_unpacked(words, width, sums[part]))
    _require_below(p, largest)


def check_shape(data: bytes | memoryview, count: int, width: int) -> None:
    """Refuse packed bytes by their length and their padding, whatever the elements.

    Raises:
        CodecError: another length than that of `count` elements at `width` bits (rule
            7.1-3), or padding bits that are not zero (rule 7.1-4).
    """
    size = packed_size(count, width)
    _require("7.1-3", len(data) == size, f"{len(data)} bytes instead of {size}")
    _require("7.1-4", _padding(data, count, width) == 0, "the padding bits are not 0")


def _stretches(
    data: bytes | memoryview, width: int, first: int, count: int
) -> Iterator[tuple[NDArray[np.uint64], slice]]:
    """Yield the words of elements [first, first + count), and which of them they hold.

    A loop may look at one word more than it needs. So most is read where it lies, and
    less than two groups at the end of the data from a copy with a word more.
    """
    begin = first * width // _GROUP
    whole = len(data) // _WORD.itemsize - begin
    body = max(0, min(count // _GROUP, (whole - 1) // width)) * _GROUP
    if body:
        length = body * width // _GROUP + 1
        offset = begin * _WORD.itemsize
        yield np.frombuffer(data, _WORD, length, offset), slice(0, body)
    if body < count:
        size = packed_size(count - body, width)
        words = np.zeros(size // _WORD.itemsize + 2, dtype=_WORD)
        rest = np.frombuffer(data, np.uint8, offset=packed_size(first + body, width))
        # Another length may come this far where a test relaxes the rule for it.
        held = rest[:size]
        words.view(np.uint8)[: len(held)] = held
        yield words, slice(body, count)


def _require_below(p: int, largest: int) -> None:
    _require("7.1-5", largest < p, f"element {largest} is not below p = {p}")


def _require(rule: str, condition: bool, detail: str) -> None:
    errors.require(rule, condition, detail, error=errors.CodecError)


def _padding(data: bytes | memoryview, count: int, width: int) -> int:
    """Return the bits of the last byte that belong to no element."""
    size = packed_size(count, width)
    last = data[size - 1 : size] if size else b""
    used = count * width % 8
    return int.from_bytes(last, "little") >> used if used else 0
