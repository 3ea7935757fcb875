"""ChaCha20 blocks at scattered counters and under many keys, in numpy.

OpenSSL is far faster along one stream, and slower than this where every block wants a
nonce or a key of its own: it takes over a microsecond to be told. RFC 8439 section 2.3,
with columns of 4 words by k blocks.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_CONSTANTS: Final = np.frombuffer(b"expand 32-byte k", dtype="<u4").astype(np.uint32)
_DOUBLE_ROUNDS: Final = 10

# How far a half-round turns, left and then right: RFC 8439 2.1. As arrays, which numpy
# takes a fifth faster than numbers.
_TURNS: Final = tuple(
    (np.array(left, dtype=np.uint32), np.array(32 - left, dtype=np.uint32))
    for left in (16, 12, 8, 7)
)


def blocks(keys: NDArray[np.uint32], last: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the keystream blocks of k states.

    Args:
        keys: state words 4..11, shape (8, k).
        last: state words 12..15, counter and nonce, shape (4, k).

    Returns:
        The words of each block, shape (16, k).
    """
    k = last.shape[1]
    start = np.concatenate([np.repeat(_CONSTANTS[:, None], k, 1), keys, last])
    a, scratch = start[:4].copy(), np.empty_like(start[:4])
    # With a spare row or two, the rows that a diagonal round takes lie in order beside
    # those of a column round: b from its second, c from its third, d from its last.
    b, c, d = (np.empty((rows, k), dtype=np.uint32) for rows in (5, 6, 5))
    columns = b[:4], c[:4], d[1:]
    diagonals = b[1:], c[2:], d[:4]
    for rows, first in zip(columns, (4, 8, 12), strict=True):
        rows[:] = start[first : first + 4]
    for _ in range(_DOUBLE_ROUNDS):
        _quarter_rounds(a, *columns, scratch)
        b[4], c[4:], d[0] = b[0], c[:2], d[4]
        _quarter_rounds(a, *diagonals, scratch)
        b[0], c[:2], d[4] = b[4], c[4:], d[0]
    start += np.concatenate([a, *columns])
    return start


def chacha_words(
    keys: NDArray[np.uint32], last: NDArray[np.uint32], places: NDArray[np.intp]
) -> NDArray[np.uint32]:
    """Return one word each of k ChaCha20 blocks.

    Args:
        keys: state words 4..11, shape (k, 8).
        last: state words 12..15, counter and nonce, shape (4, k).
        places: which of the 16 words, shape (k,).
    """
    found = blocks(np.ascontiguousarray(keys.T), last)
    picked: NDArray[np.uint32] = found[places, np.arange(len(places))]
    return picked


def _quarter_rounds(
    a: NDArray[np.uint32],
    b: NDArray[np.uint32],
    c: NDArray[np.uint32],
    d: NDArray[np.uint32],
    scratch: NDArray[np.uint32],
) -> None:
    """RFC 8439 2.1 on every column, in place; uint32 wraps as it must."""
    for first, second in (_TURNS[:2], _TURNS[2:]):
        np.add(a, b, out=a)
        np.bitwise_xor(d, a, out=d)
        _turn(d, *first, scratch)
        np.add(c, d, out=c)
        np.bitwise_xor(b, c, out=b)
        _turn(b, *second, scratch)


def _turn(
    x: NDArray[np.uint32],
    left: NDArray[np.uint32],
    right: NDArray[np.uint32],
    scratch: NDArray[np.uint32],
) -> None:
    np.right_shift(x, right, out=scratch)
    np.left_shift(x, left, out=x)
    np.bitwise_or(x, scratch, out=x)
