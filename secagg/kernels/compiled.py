"""The inner loops, compiled by numba: the extra ``fast``.

Each does in one pass over words in the cache what numpy does in several, and gives the
same integers and floats to the last bit: no fused multiply-add, no other order of sums.
Types are stated, so that everything is compiled when this module is imported and not
while a round waits; numba keeps what it compiled on the disk, where it may write.

Raises ImportError where numba is absent or switched off.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
    raise ImportError("numba's compiler is switched off by NUMBA_DISABLE_JIT")

_Function = TypeVar("_Function", bound=Callable[..., Any])

_uint32: Final = np.uint32
_uint64: Final = np.uint64


def _compiled(*signature: Any) -> Callable[[_Function], _Function]:
    """Compile for these types now: what is returned, then the arguments."""
    result, *arguments = signature
    types_ = result(*arguments)

    def compiler(function: _Function) -> _Function:
        try:
            made = numba.njit(types_, nogil=True, error_model="numpy", cache=True)(
                function
            )
        except RuntimeError:
            # Neither the package's folder nor the user's cache can be written.
            made = numba.njit(types_, nogil=True, error_model="numpy")(function)
        return cast("_Function", made)

    return compiler


def _inlined(function: _Function) -> _Function:
    """Compile as a part of what calls it."""
    return cast("_Function", numba.njit(nogil=True, error_model="numpy")(function))


_VECTOR: Final = types.Array(types.uint32, 1, "C")
_TABLE: Final = types.Array(types.uint32, 2, "C")


@_inlined
def _add_piece(
    sums: Any, words: Any, row: Any, begin: Any, end: Any, cut: Any, p: Any
) -> Any:
    """Add words [begin, end) of a row, and return the largest once cut."""
    top = _uint32(0)
    for i in range(begin, end):
        element = _uint32(words[row, i] & cut)
        top = max(top, element)
        # s + e - p, and p more where that is below 0.
        complement = _uint32(p - element)
        before = sums[i]
        after = _uint32(before - complement)
        sums[i] = _uint32(after + p) if before < complement else after
    return top


@_inlined
def _take_piece(
    sums: Any, words: Any, row: Any, begin: Any, end: Any, cut: Any, p: Any
) -> Any:
    """Take away words [begin, end) of a row, and return the largest once cut."""
    top = _uint32(0)
    for i in range(begin, end):
        element = _uint32(words[row, i] & cut)
        top = max(top, element)
        before = sums[i]
        after = _uint32(before - element)
        sums[i] = _uint32(after + p) if before < element else after
    return top


@_inlined
def _leave_out(
    sums: Any,
    words: Any,
    row: Any,
    begin: Any,
    end: Any,
    cut: Any,
    p: Any,
    plus: Any,
    rejected: Any,
    count: Any,
) -> Any:
    """Undo what was done for rejected words, note them, and return the new count."""
    for i in range(begin, end):
        element = _uint32(words[row, i] & cut)
        if element < p:
            continue
        # That was s - e + p, or s + e, or nothing where e = p was added.
        if not plus:
            sums[i] = _uint32(sums[i] + element - p)
        elif element > p:
            sums[i] = _uint32(sums[i] - element)
        rejected[count] = row * len(sums) + i
        count += 1
    return count


@_compiled(
    types.intp,
    _VECTOR,
    _TABLE,
    types.Array(types.int8, 1, "C"),
    types.uint32,
    types.uint32,
    types.intp,
    types.Array(types.intp, 1, "C"),
)
def add_words(
    sums: NDArray[np.uint32],
    words: NDArray[np.uint32],
    signs: NDArray[np.int8],
    cut: int,
    p: int,
    piece: int,
    rejected: NDArray[np.intp],
) -> int:
    """Add rows of words, cut to elements, into sums mod p.

    Args:
        sums: elements in [0, p), shape (k,); changed in place.
        words: raw, shape (s, k). Those that are not below p once cut count as 0.
        signs: +1 or -1 for each row.
        cut: 2^w - 1.
        p: p_w.
        piece: words between two looks at their largest; few where many are rejected.
        rejected: is given row * k + place of each word that counted as 0; room for all.

    Returns:
        How many were rejected.
    """
    count = 0
    size = _uint64(len(sums))
    begin = _uint64(0)
    while begin < size:
        end = min(_uint64(begin + _uint64(piece)), size)
        for row in range(_uint64(len(signs))):
            plus = signs[row] > 0
            if plus:
                top = _add_piece(sums, words, row, begin, end, cut, p)
            else:
                top = _take_piece(sums, words, row, begin, end, cut, p)
            if top >= p:
                count = _leave_out(
                    sums, words, row, begin, end, cut, p, plus, rejected, count
                )
        begin = end
    return count
