"""Which form the inner loops take here: compiled where numba is installed, else numpy.

Both forms give the same results to the last bit. This is the one place that chooses.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.kernels import plain

INSTALLED: Final = importlib.util.find_spec("numba") is not None
"""Whether the extra ``fast`` is there; `compiled_loops` knows whether it works."""


class Loops(Protocol):
    """What both forms have; `secagg.kernels.plain` says what each loop does."""

    def pack(
        self, elements: NDArray[np.uint32], width: int, out: NDArray[np.uint64], /
    ) -> int:
        """See `plain.pack`."""
        ...

    def unpack(
        self, words: NDArray[np.uint64], width: int, out: NDArray[np.uint32], /
    ) -> int:
        """See `plain.unpack`."""
        ...

    def add_unpacked(
        self, words: NDArray[np.uint64], width: int, sums: NDArray[np.uint64], /
    ) -> int:
        """See `plain.add_unpacked`."""
        ...

    def largest_packed(
        self, words: NDArray[np.uint64], width: int, count: int, /
    ) -> int:
        """See `plain.largest_packed`."""
        ...

    def chacha_words(
        self,
        keys: NDArray[np.uint32],
        last: NDArray[np.uint32],
        places: NDArray[np.intp],
        /,
    ) -> NDArray[np.uint32]:
        """See `plain.chacha_words`."""
        ...

    def add_scattered(
        self,
        sums: NDArray[np.uint32],
        places: NDArray[np.intp],
        elements: NDArray[np.uint32],
        signs: NDArray[np.int8],
        p: int,
        /,
    ) -> None:
        """See `plain.add_scattered`."""
        ...

    def rounded(
        self,
        scaled: NDArray[np.float64],
        words: NDArray[np.uint32],
        limit: float,
        p: int,
        out: NDArray[np.uint32],
        /,
    ) -> None:
        """See `plain.rounded`."""
        ...

    def peak(self, block: NDArray[np.floating[Any]], /) -> float:
        """See `plain.peak`."""
        ...

    def sum_of_squares(
        self, block: NDArray[np.floating[Any]], factor: float, /
    ) -> float:
        """See `plain.sum_of_squares`."""
        ...

    def butterflies(self, rows: NDArray[np.float64], /) -> NDArray[np.float64]:
        """See `plain.butterflies`."""
        ...

    def placed(
        self,
        update: NDArray[np.floating[Any]],
        gain: float,
        shifts: NDArray[np.int64],
        blocks: range,
        first: int,
        size: int,
        /,
    ) -> NDArray[np.float64]:
        """See `plain.placed`."""
        ...


@functools.cache
def compiled_loops() -> Loops | None:
    """Return the compiled loops, or None where numba is absent or does not work.

    Imports numba, which takes half a second, and compiles, which takes some more where
    nothing is cached on the disk yet: call it first when nobody waits.
    """
    if not INSTALLED:
        return None
    try:
        # The masks' loop is the engine's own; it works where these do.
        from secagg.kernels import compiled, compiled_masks  # noqa: F401
    except ImportError:
        return None
    return compiled


def loops() -> Loops:
    """Return the fastest loops there are."""
    return compiled_loops() or plain
