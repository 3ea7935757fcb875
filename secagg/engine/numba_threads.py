"""The mask engine of the extra ``fast``: a slice is one compiled call.

A thread returns to the interpreter only when its slice is done, so threads never wait
for each other's interpreter, and a slice may be small.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from secagg.engine.interface import MaskSeed
from secagg.engine.threads import ThreadedEngine, aligned
from secagg.kernels import compiled_masks


class NumbaThreads(ThreadedEngine):
    """Adds masks with a stated number of threads.

    Several threads may call it at once; each call has scratch space of its own.
    """

    slices_each = 4

    def _add(
        self,
        acc: NDArray[np.uint32],
        seeds: Sequence[MaskSeed],
        signs: Sequence[int],
        start: int,
    ) -> None:
        scratch = aligned(compiled_masks.SCRATCH, np.uint32)
        compiled_masks.add_masks(
            acc,
            _table(seeds),
            np.array(signs, dtype=np.int8),
            start,
            (1 << self._width) - 1,
            self._p,
            scratch.reshape(-1, compiled_masks.GROUP),
        )


def _table(seeds: Sequence[MaskSeed]) -> NDArray[np.uint32]:
    """Return each seed's key and tag as the kernel takes them."""
    table = np.empty((len(seeds), compiled_masks.SEED_WORDS), dtype=np.uint32)
    for row, seed in zip(table, seeds, strict=True):
        row[:-1] = np.frombuffer(seed.key, dtype="<u4")
        row[-1] = seed.tag
    return table
