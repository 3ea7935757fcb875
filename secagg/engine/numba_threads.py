"""The mask engine of the extra ``fast``: a slice is one compiled call.

A thread returns to the interpreter only when its slice is done, so threads never wait
for each other's interpreter, and a slice may be small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.engine.interface import MaskSeed
from secagg.engine.threads import Adder, ThreadedEngine, aligned
from secagg.kernels import compiled_masks

# Words of a slice, all masks together: 30 us, as long as handing it to a thread takes.
_LEAST_WORDS: Final = 1 << 15


class NumbaThreads(ThreadedEngine):
    """Adds masks with a stated number of threads.

    Several threads may call it at once; each call has scratch space of its own.
    """

    slices_each = 4

    def _adder(self, seeds: Sequence[MaskSeed], signs: Sequence[int]) -> Adder:
        table, signs_ = _table(seeds), np.array(signs, dtype=np.int8)

        def add(acc: NDArray[np.uint32], start: int) -> None:
            compiled_masks.add_masks(
                acc,
                table,
                signs_,
                start,
                (1 << self._width) - 1,
                self._p,
                aligned(compiled_masks.SCRATCH, np.uint32).reshape(
                    -1, compiled_masks.GROUP
                ),
            )

        return add

    def _least_slice(self, seeds: int) -> int:
        return _LEAST_WORDS // seeds


def _table(seeds: Sequence[MaskSeed]) -> NDArray[np.uint32]:
    """Return each seed's key and tag as the kernel takes them."""
    table = np.empty((len(seeds), compiled_masks.SEED_WORDS), dtype=np.uint32)
    keys = np.frombuffer(b"".join(seed.key for seed in seeds), dtype="<u4")
    table[:, :-1] = keys.reshape(len(seeds), -1)
    table[:, -1] = [seed.tag for seed in seeds]
    return table
