"""Words of scattered ChaCha20 blocks, compiled: `kernels.chacha` has the plain form.

Sixteen blocks lie side by side, so that each step of RFC 8439 is done for all of them
at once: 62 ns a block, where numpy takes 263.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import types
from numpy.typing import NDArray

from secagg.kernels.compiler import compiled, inlined

_uint32: Final = np.uint32

_VECTOR: Final = types.Array(types.uint32, 1, "C")
_TABLE: Final = types.Array(types.uint32, 2, "C")

_LANES: Final = 16
"""ChaCha20 blocks side by side: one register of 512 bits holds a word of each."""


@inlined
def _turned(word: Any, left: Any) -> Any:
    return _uint32((word << _uint32(left)) | (word >> _uint32(32 - left)))


@inlined
def _quarter_round(state: Any, first: Any, second: Any, third: Any, last: Any) -> None:
    """RFC 8439 2.1, on every block."""
    for i in range(_LANES):
        a, b, c, d = state[first, i], state[second, i], state[third, i], state[last, i]
        a = _uint32(a + b)
        d = _turned(_uint32(d ^ a), 16)
        c = _uint32(c + d)
        b = _turned(_uint32(b ^ c), 12)
        a = _uint32(a + b)
        d = _turned(_uint32(d ^ a), 8)
        c = _uint32(c + d)
        b = _turned(_uint32(b ^ c), 7)
        state[first, i], state[second, i], state[third, i], state[last, i] = a, b, c, d


@inlined
def _twenty_rounds(state: Any) -> None:
    for _ in range(10):
        for k in range(4):
            _quarter_round(state, k, k + 4, k + 8, k + 12)
        for k in range(4):
            _quarter_round(state, k, 4 + (k + 1) % 4, 8 + (k + 2) % 4, 12 + (k + 3) % 4)


_INDICES: Final = types.Array(types.intp, 1, "C")


@compiled(types.void, [_TABLE, _TABLE, _INDICES, _VECTOR])
def _chacha_words(keys: Any, last: Any, places: Any, out: Any) -> None:
    # "expand 32-byte k", RFC 8439 2.3; lanes beyond the last block are worked in vain.
    start = np.zeros((16, _LANES), np.uint32)
    state = np.empty_like(start)
    start[0, :] = _uint32(0x61707865)
    start[1, :] = _uint32(0x3320646E)
    start[2, :] = _uint32(0x79622D32)
    start[3, :] = _uint32(0x6B206574)
    for begin in range(0, len(places), _LANES):
        size = min(_LANES, len(places) - begin)
        for i in range(size):
            for k in range(8):
                start[4 + k, i] = keys[begin + i, k]
            for k in range(4):
                start[12 + k, i] = last[k, begin + i]
        state[:] = start
        _twenty_rounds(state)
        for i in range(size):
            k = places[begin + i]
            out[begin + i] = _uint32(state[k, i] + start[k, i])


def chacha_words(
    keys: NDArray[np.uint32], last: NDArray[np.uint32], places: NDArray[np.intp]
) -> NDArray[np.uint32]:
    """See `plain.chacha_words`."""
    out = np.empty(len(places), dtype=np.uint32)
    _chacha_words(np.ascontiguousarray(keys), np.ascontiguousarray(last), places, out)
    return out
