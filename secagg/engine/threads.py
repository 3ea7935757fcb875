"""What the engines of a CPU share: OpenSSL's keystreams on threads over slices.

OpenSSL and the arithmetic release the interpreter's lock, so slices of the window run
side by side. Within a slice, a block of the accumulator stays in the cache while one
stream after the other is added to it, and each stream's cipher is set up once and read
on from block to block. How a block is added up is an engine's own: its `Sums`.

Words that the map into GF(p_w) rejects count as 0 and are put right many at a time.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from secagg import errors, field, kernels
from secagg.crypto.prg import ElementStream, replacements
from secagg.engine.interface import MaskSeed, check_arguments

_Part = TypeVar("_Part")
_Made = TypeVar("_Made")

BLOCK: Final = 1 << 16
"""Elements at a time: 256 KiB of sums, as much of the cipher's zeros, and 512 KiB of
words stay in an L2 cache of 1 MiB."""

ROWS: Final = 2
"""Streams whose words are looked at together, which spares calls and passes."""

# A cache line, and the widest register: loads across two lines take up to half longer.
_LINE: Final = 64

# Setting up a cipher takes as long as 6,000 words: a smaller slice is not worth it.
_LEAST_SLICE: Final = 1 << 15

# Rejections that are put right together; a few hundred bytes each while it lasts.
_MANY: Final = 1 << 12


def aligned(size: int, dtype: DTypeLike) -> NDArray[Any]:
    """Return uninitialized elements, shape (size,), from a cache line's start on."""
    bytes_needed = size * np.dtype(dtype).itemsize
    raw = np.empty(bytes_needed + _LINE, dtype=np.uint8)
    first = -raw.ctypes.data % _LINE
    return raw[first : first + bytes_needed].view(dtype)


class Sums(Protocol):
    """Adds words into a block of the accumulator; each thread has one of its own.

    Attributes:
        most: how many streams fit between `begin` and `finish`.
    """

    most: int

    def begin(self, block: NDArray[np.uint32], minuses: int) -> None:
        """Take up a block.

        Args:
            block: elements in [0, p), shape (k,), k <= `BLOCK`; changed in place.
            minuses: how many streams will be taken away from it.
        """
        ...

    def add(
        self, words: NDArray[np.uint32], signs: NDArray[np.int8]
    ) -> NDArray[np.intp]:
        """Add or take away the elements of several streams.

        Args:
            words: raw words of lane 0, shape (s, k), contiguous, s <= `ROWS`; may be
                overwritten.
            signs: +1 or -1 for each row.

        Returns:
            Where words were rejected, which counted as 0: row * k + place, in no order.
        """
        ...

    def finish(self) -> None:
        """Leave elements in [0, p) in the block."""
        ...


class ThreadedEngine:
    """Adds masks with a stated number of threads.

    Several threads may call it at once; each call has scratch space of its own.
    """

    def __init__(
        self, width: int, sums: Callable[[int], Sums], workers: int | None
    ) -> None:
        """Prepare an engine for elements of GF(p_w).

        Args:
            width: w, 16..32.
            sums: makes a thread's sums of that width.
            workers: threads, at least 1; None takes one per processor.

        Raises:
            ParameterError: a value is outside its range.
        """
        field.prime(width)
        if workers is None:
            workers = os.cpu_count() or 1
        if workers < 1:
            raise errors.ParameterError(f"workers = {workers} is below 1")
        self._width = width
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers)
        self._scratch = _Scratch(sums, width)

    def __repr__(self) -> str:
        """Show the width and the threads."""
        return f"{type(self).__name__}(width={self._width}, workers={self._workers})"

    def accumulate(
        self,
        acc: NDArray[np.uint32],
        seeds: Sequence[MaskSeed],
        signs: Sequence[int],
        start: int,
        stop: int,
    ) -> None:
        """Add sum of sign * PRG(seed)[start:stop] mod p into `acc`, in place.

        See `MaskEngine.accumulate`.
        """
        check_arguments(acc, seeds, signs, start, stop)
        slices = [
            _Slice(acc[low:high], self._width, seeds, signs, start + low)
            for low, high in _cuts(len(acc), self._workers)
        ]
        if len(slices) == 1:
            self._run(slices[0])
            return
        # Waits for all of them, and raises what one raised.
        list(self._pool.map(self._run, slices))

    def on_threads(
        self, work: Callable[[_Part], _Made], parts: Iterable[_Part]
    ) -> Iterator[_Made]:
        """See `MaskEngine.on_threads`; a lone part stays with the caller."""
        known = [*parts]
        if self._workers == 1 or len(known) == 1:
            return iter([work(part) for part in known])
        return self._pool.map(work, known)

    def _run(self, part: _Slice) -> None:
        part.run(self._scratch.tables, self._scratch.sums)


class _Scratch(threading.local):
    """A thread's buffers, kept: fresh ones cost a page fault every thousand words."""

    def __init__(self, sums: Callable[[int], Sums], width: int) -> None:
        super().__init__()
        words = aligned(ROWS * BLOCK, np.uint32)
        self.tables = [words[: k * BLOCK].reshape(k, BLOCK) for k in range(ROWS + 1)]
        self.sums = sums(width)


class _Slice:
    """One thread's part of the accumulator, and its streams."""

    def __init__(
        self,
        acc: NDArray[np.uint32],
        width: int,
        seeds: Sequence[MaskSeed],
        signs: Sequence[int],
        start: int,
    ) -> None:
        self._acc = acc
        self._p = field.prime(width)
        self._signs = np.array(signs, dtype=np.int8)
        self._streams = [
            ElementStream(seed.key, seed.tag, width, start) for seed in seeds
        ]
        self._rejected = _Rejected(self._streams, signs, start)

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


def _cuts(size: int, workers: int) -> list[tuple[int, int]]:
    """Return the bounds of at most `workers` slices, none small but a lone one."""
    count = max(1, min(workers, size // _LEAST_SLICE))
    return list(itertools.pairwise(size * k // count for k in range(count + 1)))
