"""The mask engine of the extra ``fast``: one compiled pass over the words.

Cuts, compares and adds while the words are in the cache. Sums are reduced at each
addition, so nothing is lazy.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg import field
from secagg.engine.threads import BLOCK, ROWS, Sums, ThreadedEngine, aligned
from secagg.kernels import compiled

# Words between two looks at the largest of them. At w = 16, 15 of 65,536 are rejected:
# one piece in five is looked through.
_PIECE: Final = 1 << 10

_MOST: Final = 1 << 31
"""There is no bound: sums are below p at any time."""


_NONE: Final = np.empty(0, dtype=np.intp)


class NumbaThreads(ThreadedEngine):
    """Adds masks with a stated number of threads.

    Several threads may call it at once; each call has scratch space of its own.
    """

    def __init__(self, width: int, workers: int | None = None) -> None:
        """Prepare an engine for elements of GF(p_w).

        Args:
            width: w, 16..32.
            workers: threads, at least 1; None takes one per processor.

        Raises:
            ParameterError: a value is outside its range.
        """
        super().__init__(width, reduced_sums, workers)


def reduced_sums(width: int) -> Sums:
    """Return a thread's sums of elements of GF(p_w)."""
    return _ReducedSums(width)


class _ReducedSums:
    """Sums in [0, p) after each addition."""

    most = _MOST

    def __init__(self, width: int) -> None:
        self._p = field.prime(width)
        self._cut = (1 << width) - 1
        self._rejected = aligned(ROWS * BLOCK, np.intp)
        self._block = np.empty(0, dtype=np.uint32)

    def begin(self, block: NDArray[np.uint32], minuses: int) -> None:
        """See `Sums.begin`."""
        self._block = block

    def add(
        self, words: NDArray[np.uint32], signs: NDArray[np.int8]
    ) -> NDArray[np.intp]:
        """See `Sums.add`."""
        count = compiled.add_words(
            self._block,
            words,
            signs,
            self._cut,
            self._p,
            _PIECE,
            self._rejected,
        )
        return self._rejected[:count].copy() if count else _NONE

    def finish(self) -> None:
        """See `Sums.finish`."""
