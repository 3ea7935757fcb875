"""The mask engine for any CPU: numpy, and OpenSSL's keystreams.

Within a slice, a block of the accumulator stays in the cache while one stream after the
other is added to it, and each stream's cipher is set up once and read on from block to
block. Words that the map into GF(p_w) rejects count as 0 and are put right many at a
time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg import kernels
from secagg.crypto.prg import ElementStream, replacements
from secagg.engine.interface import MaskSeed
from secagg.engine.sums import BLOCK, ROWS, Sums, lazy_sums
from secagg.engine.threads import Adder, ThreadedEngine, aligned

# Setting up a cipher takes as long as 6,000 words.
_LEAST_SLICE: Final = 1 << 15

# Rejections that are put right together; a few hundred bytes each while it lasts.
_MANY: Final = 1 << 12


class NumpyThreads(ThreadedEngine):
    """Adds masks with a stated number of threads.

    Several threads may call it at once; each call has scratch space of its own.
    """

    def __init__(self, width: int, workers: int | None = None) -> None:
        """See `ThreadedEngine`."""
        super().__init__(width, workers)
        self._scratch = _Scratch(width)

    def _adder(self, seeds: Sequence[MaskSeed], signs: Sequence[int]) -> Adder:
        def add(acc: NDArray[np.uint32], start: int) -> None:
            streams = [
                ElementStream(seed.key, seed.tag, self._width, start) for seed in seeds
            ]
            part = _Slice(acc, self._p, streams, signs, start)
            part.run(self._scratch.tables, self._scratch.sums)

        return add

    def _least_slice(self, seeds: int) -> int:
        del seeds
        return _LEAST_SLICE


class _Scratch(threading.local):
    """A thread's buffers, kept: fresh ones cost a page fault every thousand words."""

    def __init__(self, width: int) -> None:
        super().__init__()
        words = aligned(ROWS * BLOCK, np.uint32)
        self.tables = [words[: k * BLOCK].reshape(k, BLOCK) for k in range(ROWS + 1)]
        self.sums = lazy_sums(width)


class _Slice:
    """One thread's part of the accumulator, and its streams."""

    def __init__(
        self,
        acc: NDArray[np.uint32],
        p: int,
        streams: list[ElementStream],
        signs: Sequence[int],
        start: int,
    ) -> None:
        self._acc = acc
        self._p = p
        self._signs = np.array(signs, dtype=np.int8)
        self._streams = streams
        self._rejected = _Rejected(streams, signs, start)

    def run(self, tables: list[NDArray[np.uint32]], sums: Sums) -> None:
        for begin in range(0, len(self._acc), BLOCK):
            for group in _parts(range(len(self._streams)), sums.most):
                self._add_group(group, begin, tables, sums)
            if self._rejected.count >= _MANY:
                self._rejected.settle(self._acc, self._p)
        self._rejected.settle(self._acc, self._p)

    def _add_group(
        self, group: range, begin: int, tables: list[NDArray[np.uint32]], sums: Sums
    ) -> None:
        """Add as many streams as the sums hold into the block at `begin`."""
        block = self._acc[begin : begin + BLOCK]
        signs = self._signs[group.start : group.stop]
        sums.begin(block, int(np.count_nonzero(signs < 0)))
        for rows in _parts(group, ROWS):
            table = tables[len(rows)]
            if len(block) < BLOCK:
                table = _narrowed(table, len(block))
            self._add(rows, begin, table, sums)
        sums.finish()

    def _add(
        self, rows: range, begin: int, table: NDArray[np.uint32], sums: Sums
    ) -> None:
        """Add the next words of some streams into the block at `begin`."""
        for k, row in zip(rows, table, strict=True):
            self._streams[k].words.fill(row)
        rejected = sums.add(table, self._signs[rows.start : rows.stop])
        if len(rejected):
            self._rejected.note(rejected, rows.start, begin, table.shape[1])


class _Rejected:
    """Where the map rejected a word, which was left out of the sum."""

    def __init__(
        self, streams: list[ElementStream], signs: Sequence[int], start: int
    ) -> None:
        self.count = 0
        self._streams = streams
        self._signs = np.array(signs, dtype=np.int8)
        self._start = np.uint64(start)
        self._noted: list[NDArray[np.intp]] = []
        self._tables: list[tuple[int, int, int, int]] = []

    def note(
        self, rejected: NDArray[np.intp], first: int, begin: int, size: int
    ) -> None:
        """Remember what was left out of a table; all else is done for many at once.

        Args:
            rejected: row * size + place.
            first: the stream of the first row.
            begin: where in the slice the table begins.
            size: of a row.
        """
        self.count += len(rejected)
        self._noted.append(rejected)
        self._tables.append((len(rejected), first, begin, size))

    def settle(self, acc: NDArray[np.uint32], p: int) -> None:
        """Add what stands in the words' stead, and forget them."""
        if not self.count:
            return
        lengths, *columns = np.array(self._tables, dtype=np.intp).T
        first, begin, size = (np.repeat(column, lengths) for column in columns)
        rows, places = np.divmod(np.concatenate(self._noted), size)
        which = first + rows
        places += begin
        positions = self._start + places.astype(np.uint64)
        found = replacements(self._streams, which, positions)
        # Several streams may reject at one place.
        kernels.loops().add_scattered(acc, places, found, self._signs[which], p)
        self._noted.clear()
        self._tables.clear()
        self.count = 0


def _narrowed(table: NDArray[np.uint32], size: int) -> NDArray[np.uint32]:
    """Return contiguous rows of `size` in the memory of longer ones."""
    return table.reshape(-1)[: len(table) * size].reshape(len(table), size)


def _parts(whole: range, size: int) -> Iterator[range]:
    """Yield consecutive parts of `size`, the last one what remains."""
    for start in range(whole.start, whole.stop, size):
        yield range(start, min(start + size, whole.stop))
