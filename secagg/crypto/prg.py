"""The keystream's exact map into GF(p_w): the masks. Spec section 6.

The low w bits of the word of lane 0 are taken if they are below p_w, else those of the
word at the same place in the first lane 1..8 that are; after lane 8 they are reduced,
which happens to fewer than one element in 2^96 even at w = 16. So each element is
uniform and stays in its place: any window is the slice of the whole (rule 6-1).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg import field
from secagg.crypto.keystream import (
    KEY_SIZE,
    LANES,
    POSITIONS,
    SEGMENT,
    Keystream,
    Tag,
    check_window,
    scattered_words,
    words,
)

__all__ = [
    "KEY_SIZE",
    "LANES",
    "POSITIONS",
    "SEGMENT",
    "ElementStream",
    "Keystream",
    "Tag",
    "check_window",
    "cut",
    "elements",
    "replacements",
    "words",
]

# Elements mapped at a time, so that they are still in the cache when they are.
_BLOCK: Final = 1 << 16

# Rows in which rejections are looked for; measured.
_ROWS: Final = 64

_NONE: Final = np.empty(0, dtype=np.intp)


class ElementStream:
    """The elements of one stream, in order, from a position on, but for rejections."""

    __slots__ = ("key", "tag", "width", "words")

    words: Keystream
    """The raw words of lane 0, of which `cut` makes elements."""

    key: bytes
    tag: Tag
    width: int

    def __init__(self, key: bytes, tag: Tag, width: int, start: int) -> None:
        """Stand before element `start`.

        Args:
            key: 32 bytes.
            tag: what the stream is for.
            width: w, 16..32.
            start: 0 to 2^64.

        Raises:
            ParameterError: a value is outside its range.
        """
        field.prime(width)
        self.words = Keystream(key, tag, start)
        self.key = key
        self.tag = tag
        self.width = width

    def __repr__(self) -> str:
        """Show the place, never the key."""
        return f"ElementStream({self.words!r}, width={self.width})"


def cut(words: NDArray[np.uint32], width: int) -> NDArray[np.intp]:
    """Make elements of the words of lane 0, in place, but for those it rejects.

    Args:
        words: raw, shape (k,), contiguous; best in the cache, as they are passed over
            two or three times. Each becomes an element, or 0 where it is rejected.
        width: w, 16..32.

    Returns:
        The indices of what was rejected, in no order; `replacements` answers for many
        at a time.
    """
    p, low_bits = _constants(width)
    if width < field.MAX_WIDTH:
        np.bitwise_and(words, low_bits, out=words)
    if not len(words):
        return _NONE
    if ((1 << width) - p) * len(words) > 1 << width:
        rejected = _at_or_above(words, np.uint32(p))
        words[rejected] = 0
        return rejected
    # Less than one is expected. argmax starts faster than max.
    place = words.argmax()
    if words.item(place) < p:
        return _NONE
    alone = []
    while words.item(place) >= p:
        alone.append(place)
        words[place] = 0
        place = words.argmax()
    return np.array(alone, dtype=np.intp)


@functools.cache
def _constants(width: int) -> tuple[int, NDArray[np.uint32]]:
    """Return p and 2^w - 1, as an array, which numpy takes faster than a number."""
    return field.prime(width), np.array((1 << width) - 1, dtype=np.uint32)


def _at_or_above(words: NDArray[np.uint32], p: np.uint32) -> NDArray[np.intp]:
    """Return the indices of the few words that are not below p, in no order.

    Finds first the columns in which there is one: a maximum takes 40 % less than a
    comparison of all words and a search through all its bits.
    """
    wide = len(words) // _ROWS
    table = words[: wide * _ROWS].reshape(_ROWS, wide)
    tail = wide * _ROWS + np.flatnonzero(words[wide * _ROWS :] >= p)
    columns = np.flatnonzero(np.maximum.reduce(table, axis=0) >= p)
    if not len(columns):
        return tail
    row, column = np.divmod(
        np.flatnonzero(table.take(columns, axis=1) >= p), len(columns)
    )
    return np.concatenate([row * wide + columns[column], tail])


def elements(
    key: bytes, tag: Tag, width: int, start: int, stop: int
) -> NDArray[np.uint32]:
    """Return the elements [start, stop) of a stream.

    Args:
        key: 32 bytes.
        tag: what the stream is for.
        width: w, 16..32.
        start: first position, 0 <= start <= stop.
        stop: end of the window, at most 2^64.

    Returns:
        Elements in [0, p_w), shape (stop - start,).

    Raises:
        ParameterError: a value is outside its range.
    """
    check_window(start, stop)
    stream = ElementStream(key, tag, width, start)
    out = np.empty(stop - start, dtype=np.uint32)
    rejected = []
    for begin in range(0, len(out), _BLOCK):
        block = out[begin : begin + _BLOCK]
        stream.words.fill(block)
        rejected.append(begin + cut(block, width))
    indices = np.concatenate([*rejected, _NONE])
    positions = np.uint64(start) + indices.astype(np.uint64)
    which = np.zeros(len(indices), dtype=np.intp)
    out[indices] = replacements([stream], which, positions)
    return out


def replacements(
    streams: Sequence[ElementStream],
    which: NDArray[np.intp],
    positions: NDArray[np.uint64],
) -> NDArray[np.uint32]:
    """Return the elements whose word of lane 0 was rejected.

    Args:
        streams: of one width, any number.
        which: index of each element's stream, shape (k,).
        positions: of the elements, shape (k,).

    Returns:
        Elements in [0, p_w), shape (k,).
    """
    p = field.prime(streams[0].width)
    low_bits = np.uint32((1 << streams[0].width) - 1)
    joined = b"".join(stream.key for stream in streams)
    keys = np.frombuffer(joined, dtype="<u4").astype(np.uint32).reshape(-1, 8)[which]
    tags = np.array([stream.tag for stream in streams], dtype=np.uint32)[which]
    out = np.empty(len(which), dtype=np.uint32)
    rest = np.arange(len(which))
    for lane in range(1, LANES + 1):
        if not len(rest):
            break
        found = scattered_words(keys[rest], tags[rest], positions[rest], lane)
        found &= low_bits
        out[rest] = found
        rest = rest[found >= p]
    # Changes only what lane 8 rejected as well.
    return out % np.uint32(p)
