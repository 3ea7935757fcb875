"""The keystream's exact map into GF(p_w): the masks. Spec section 6.

The low w bits of the word of lane 0 are taken if they are below p_w, else those of the
word at the same place in the first lane 1..8 that are; after lane 8 they are reduced,
which happens to fewer than one element in 2^96 even at w = 16. So each element is
uniform and stays in its place: any window is the slice of the whole (rule 6-1).
"""

from __future__ import annotations

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
    "elements",
    "replacements",
    "words",
]

# Elements mapped at a time, so that they are still in the cache when they are.
_BLOCK: Final = 1 << 16


class ElementStream:
    """The elements of one stream, in order, from a position on, but for rejections."""

    __slots__ = ("_cut", "_dense", "_p", "_words", "key", "tag", "width")

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
        self._p = field.prime(width)
        self._cut = np.uint32((1 << width) - 1)
        # Where most blocks have a rejection, looking whether there is one is wasted.
        self._dense = ((1 << width) - self._p) * _BLOCK > 1 << width
        self._words = Keystream(key, tag, start)
        self.key = key
        self.tag = tag
        self.width = width

    def __repr__(self) -> str:
        """Show the place, never the key."""
        return f"ElementStream({self._words!r}, width={self.width})"

    @property
    def position(self) -> int:
        """The position of the next element."""
        return self._words.position

    def fill_cut(self, out: NDArray[np.uint32]) -> NDArray[np.intp]:
        """Write the next ``len(out)`` words of lane 0, cut to w bits: in [0, 2^w).

        What is rejected is left in its place and told, since `replacements` is fast
        for many at a time.

        Args:
            out: contiguous, shape (k,); best kept in the cache, as it is passed over
                three times.

        Returns:
            The indices of words that are not below p.

        Raises:
            ParameterError: fewer than k positions are left below 2^64.
        """
        self._words.fill(out)
        if self.width < field.MAX_WIDTH:
            np.bitwise_and(out, self._cut, out)
        # argmax starts faster than max.
        if self._dense or (len(out) and out[out.argmax()] >= self._p):
            return np.flatnonzero(out >= self._p)
        return _NONE


_NONE: Final = np.empty(0, dtype=np.intp)


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
    rejected = [
        begin + stream.fill_cut(out[begin : begin + _BLOCK])
        for begin in range(0, len(out), _BLOCK)
    ]
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
    cut = np.uint32((1 << streams[0].width) - 1)
    joined = b"".join(stream.key for stream in streams)
    keys = np.frombuffer(joined, dtype="<u4").astype(np.uint32).reshape(-1, 8)[which]
    tags = np.array([stream.tag for stream in streams], dtype=np.uint32)[which]
    out = np.empty(len(which), dtype=np.uint32)
    rest = np.arange(len(which))
    for lane in range(1, LANES + 1):
        if not len(rest):
            break
        found = scattered_words(keys[rest], tags[rest], positions[rest], lane) & cut
        out[rest] = found
        rest = rest[found >= p]
    # Changes only what lane 8 rejected as well.
    return out % np.uint32(p)
