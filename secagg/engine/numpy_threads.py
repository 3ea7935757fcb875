"""The mask engine for any CPU: numpy and OpenSSL on threads over slices.

Both release the interpreter's lock, so slices of the window run side by side. Within a
slice, a block of sums stays in the cache while one stream after the other is added to
it, and each stream's cipher is set up once and read on from block to block.

Sums are lazy: nothing is reduced before all masks of one sign are in. Words that the
map into GF(p_w) rejects are summed as they are, and put right many at a time.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg import errors, field
from secagg.crypto.prg import ElementStream, replacements
from secagg.engine.interface import MaskSeed, check_arguments

# Elements at a time: 256 KiB each for the words that come in and for their sum stay in
# an L2 cache beside the cipher's zeros.
_BLOCK: Final = 1 << 16

# Streams whose words are summed in 32 bits with the carries counted in 8.
_GROUP: Final = 255

# Setting up a cipher takes as long as 6,000 words: a smaller slice is not worth it.
_LEAST_SLICE: Final = 1 << 15

# Rejections that are put right together; a few hundred bytes each while it lasts.
_MANY: Final = 1 << 12


class NumpyThreads:
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
        field.prime(width)
        if workers is None:
            workers = os.cpu_count() or 1
        if workers < 1:
            raise errors.ParameterError(f"workers = {workers} is below 1")
        self._width = width
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers)
        self._scratch = _Scratch()

    def __repr__(self) -> str:
        """Show the width and the threads."""
        return f"NumpyThreads(width={self._width}, workers={self._workers})"

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

    def _run(self, part: _Slice) -> None:
        part.run(self._scratch)


class _Scratch(threading.local):
    """A thread's buffers, kept: fresh ones cost a page fault every thousand words."""

    def __init__(self) -> None:
        super().__init__()
        self.words = np.empty(_BLOCK, dtype=np.uint32)
        self.narrow = np.empty(_BLOCK, dtype=np.uint32)
        self.wrapped = np.empty(_BLOCK, dtype=np.bool_)
        self.carries = np.empty(_BLOCK, dtype=np.uint8)
        self.wide = np.empty(_BLOCK, dtype=np.uint64)
        self.quotient = np.empty(_BLOCK, dtype=np.uint64)


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
        self._streams = [
            ElementStream(seed.key, seed.tag, width, start) for seed in seeds
        ]
        self._rejected = _Rejected(self._streams, signs, start)
        # Words are cut to w bits: 2^(32 - w) of them sum to less than 2^32. Where that
        # is one, counting carries is cheaper than adding each in 64 bits.
        self._carry = width == field.MAX_WIDTH
        terms = _GROUP if self._carry else 1 << (field.MAX_WIDTH - width)
        plus = [k for k, sign in enumerate(signs) if sign > 0]
        minus = [k for k, sign in enumerate(signs) if sign < 0]
        self._plus = [plus[k : k + terms] for k in range(0, len(plus), terms)]
        self._minus = [minus[k : k + terms] for k in range(0, len(minus), terms)]
        # A multiple of p at or above all that is taken away: the wide sum is never
        # negative, and below 2^32 (2 seeds + 2), which 2^64 holds.
        self._offset = -(-(len(minus) << field.MAX_WIDTH) // self._p) * self._p

    def run(self, scratch: _Scratch) -> None:
        for begin in range(0, len(self._acc), _BLOCK):
            block = self._acc[begin : begin + _BLOCK]
            wide = scratch.wide[: len(block)]
            np.add(block, np.uint64(self._offset), out=wide)
            for group in self._plus:
                self._add(wide, np.add, group, begin, scratch)
            for group in self._minus:
                self._add(wide, np.subtract, group, begin, scratch)
            quotient = scratch.quotient[: len(block)]
            field.reduce(wide, self._p, out=block, scratch=quotient)
            if self._rejected.count >= _MANY:
                self._rejected.settle(self._acc, self._p)
        self._rejected.settle(self._acc, self._p)

    def _add(
        self,
        wide: NDArray[np.uint64],
        combine: np.ufunc,
        group: list[int],
        begin: int,
        scratch: _Scratch,
    ) -> None:
        """Combine the next words of a group's streams into the wide sum."""
        size = len(wide)
        narrow, words = scratch.narrow[:size], scratch.words[:size]
        carries = scratch.carries[:size]
        carries.fill(0)
        first, *others = group
        self._read(first, begin, narrow)
        for k in others:
            self._read(k, begin, words)
            narrow += words
            if self._carry:
                # A sum that wrapped is below what was added; at most 254 can.
                wrapped = np.less(narrow, words, out=scratch.wrapped[:size])
                carries += wrapped.view(np.uint8)
        combine(wide, narrow, out=wide)
        if self._carry:
            high = scratch.quotient[:size]
            np.left_shift(carries, np.uint64(field.MAX_WIDTH), out=high)
            combine(wide, high, out=wide)

    def _read(self, k: int, begin: int, out: NDArray[np.uint32]) -> None:
        rejected = self._streams[k].fill_cut(out)
        if len(rejected):
            self._rejected.note(k, begin + rejected, out[rejected])


class _Rejected:
    """Words that were summed although the map rejects them."""

    def __init__(
        self, streams: list[ElementStream], signs: Sequence[int], start: int
    ) -> None:
        self.count = 0
        self._streams = streams
        self._signs = np.array(signs, dtype=np.int64)
        self._start = np.uint64(start)
        self._which: list[NDArray[np.intp]] = []
        self._places: list[NDArray[np.intp]] = []
        self._summed: list[NDArray[np.uint32]] = []

    def note(
        self, k: int, places: NDArray[np.intp], summed: NDArray[np.uint32]
    ) -> None:
        """Remember words of stream k, and where in the slice they were summed."""
        self.count += len(places)
        self._which.append(np.full(len(places), k))
        self._places.append(places)
        self._summed.append(summed)

    def settle(self, acc: NDArray[np.uint32], p: int) -> None:
        """Put the elements in the words' stead, and forget them."""
        if not self.count:
            return
        which = np.concatenate(self._which)
        places = np.concatenate(self._places)
        positions = self._start + places.astype(np.uint64)
        change = replacements(self._streams, which, positions).astype(np.int64)
        change -= np.concatenate(self._summed)
        change *= self._signs[which]
        # Several streams may reject at one place. Each adds less than 2^32 in size.
        touched, inverse = np.unique(places, return_inverse=True)
        sums = acc[touched].astype(np.int64)
        np.add.at(sums, inverse, change)
        acc[touched] = field.to_field(sums, p)
        self._which.clear()
        self._places.clear()
        self._summed.clear()
        self.count = 0


def _cuts(size: int, workers: int) -> list[tuple[int, int]]:
    """Return the bounds of at most `workers` slices, none small but a lone one."""
    count = max(1, min(workers, size // _LEAST_SLICE))
    return list(itertools.pairwise(size * k // count for k in range(count + 1)))
