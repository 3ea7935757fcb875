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

# Which rows of b, c and d come next: to turn diagonals into columns, and back.
_DIAGONALS: Final = ([1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2])
_COLUMNS: Final = ([3, 0, 1, 2], [2, 3, 0, 1], [1, 2, 3, 0])


def blocks(keys: NDArray[np.uint32], last: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the keystream blocks of k states.

    Args:
        keys: state words 4..11, shape (8, k).
        last: state words 12..15, counter and nonce, shape (4, k).

    Returns:
        The words of each block, shape (16, k).
    """
    start = np.concatenate(
        [np.repeat(_CONSTANTS[:, None], last.shape[1], 1), keys, last]
    )
    a, b, c, d = (start[row : row + 4].copy() for row in (0, 4, 8, 12))
    scratch = np.empty_like(a)
    for _ in range(_DOUBLE_ROUNDS):
        for rows_b, rows_c, rows_d in (_DIAGONALS, _COLUMNS):
            _quarter_rounds(a, b, c, d, scratch)
            b, c, d = b[rows_b], c[rows_c], d[rows_d]
    start += np.concatenate([a, b, c, d])
    return start


def _quarter_rounds(
    a: NDArray[np.uint32],
    b: NDArray[np.uint32],
    c: NDArray[np.uint32],
    d: NDArray[np.uint32],
    scratch: NDArray[np.uint32],
) -> None:
    """RFC 8439 2.1 on every column, in place; uint32 wraps as it must."""
    for left, right in ((16, 12), (8, 7)):
        a += b
        d ^= a
        _rotate(d, left, scratch)
        c += d
        b ^= c
        _rotate(b, right, scratch)


def _rotate(x: NDArray[np.uint32], by: int, scratch: NDArray[np.uint32]) -> None:
    np.right_shift(x, 32 - by, out=scratch)
    np.left_shift(x, by, out=x)
    np.bitwise_or(x, scratch, out=x)
