"""Sums of masks that wait beyond p, in numpy: reduced only when one more could wrap."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg import field
from secagg.crypto import prg
from secagg.engine.threads import aligned

BLOCK: Final = 1 << 16
"""Elements at a time: 256 KiB of sums, as much of the cipher's zeros, and 512 KiB of
words stay in an L2 cache of 1 MiB."""

ROWS: Final = 2
"""Streams whose words are looked at together, which spares calls and passes."""

# Elements reduced at a time in 64 bits: 256 KiB with the quotients.
_WIDE: Final = 1 << 14

# Reducing after every third mask costs more than counting the carries.
_FEW: Final = 3


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


def lazy_sums(width: int) -> Sums:
    """Return a thread's sums of elements of GF(p_w)."""
    few = field.lazy_terms(width) <= _FEW
    return _CarriedSums(width) if few else _NarrowSums(width)


class _NarrowSums:
    """Sums of several elements within 32 bits: w <= 29.

    `field.lazy_terms` states the bound: an accumulator below p, a multiple of p for
    what will be taken away, and `most` elements, each at most p - 1.
    """

    def __init__(self, width: int) -> None:
        self.most = field.lazy_terms(width)
        self._width = width
        self._p = field.prime(width)
        self._scratch = aligned(BLOCK, np.uint32)
        self._block = self._scratch[:0]

    def begin(self, block: NDArray[np.uint32], minuses: int) -> None:
        """See `Sums.begin`."""
        self._block = block
        if minuses:
            # So that the sum is never below 0: each takes away at most p - 1.
            np.add(block, np.uint32(minuses * self._p), out=block)

    def add(
        self, words: NDArray[np.uint32], signs: NDArray[np.int8]
    ) -> NDArray[np.intp]:
        """See `Sums.add`."""
        rejected = prg.cut(words.reshape(-1), self._width)
        for row, sign in zip(words, signs, strict=True):
            combine = np.add if sign > 0 else np.subtract
            combine(self._block, row, out=self._block)
        return rejected

    def finish(self) -> None:
        """See `Sums.finish`."""
        scratch = self._scratch[: len(self._block)]
        field.reduce_narrow(self._block, self._width, scratch)


class _CarriedSums:
    """Sums modulo 2^32 beside a count of carries, for w = 30 to 32.

    The sum is block + carries * 2^32, with carries in -127..127.
    """

    def __init__(self, width: int) -> None:
        self.most = 127
        self._width = width
        self._p = field.prime(width)
        self._per_carry = (1 << 32) % self._p
        self._carries = aligned(BLOCK, np.int8)
        self._crossed = aligned(BLOCK, np.bool_)
        self._wide = aligned(_WIDE, np.uint64)
        self._quotient = aligned(_WIDE, np.uint64)
        self._block = np.empty(0, dtype=np.uint32)

    def begin(self, block: NDArray[np.uint32], minuses: int) -> None:
        """See `Sums.begin`."""
        self._block = block
        self._carries[: len(block)] = 0

    def add(
        self, words: NDArray[np.uint32], signs: NDArray[np.int8]
    ) -> NDArray[np.intp]:
        """See `Sums.add`."""
        rejected = prg.cut(words.reshape(-1), self._width)
        for row, sign in zip(words, signs, strict=True):
            self._combine(row, sign)
        return rejected

    def _combine(self, row: NDArray[np.uint32], sign: int) -> None:
        block = self._block
        carries, crossed = self._carries[: len(block)], self._crossed[: len(block)]
        if sign > 0:
            np.add(block, row, out=block)
            # A sum that wrapped is below what was added.
            np.less(block, row, out=crossed)
            np.add(carries, crossed.view(np.int8), out=carries)
        else:
            np.less(block, row, out=crossed)
            np.subtract(block, row, out=block)
            np.subtract(carries, crossed.view(np.int8), out=carries)

    def finish(self) -> None:
        """See `Sums.finish`.

        2^32 is 140 mod p_30, 2 mod p_31 and 5 mod p_32, so 127 carries are worth less
        than p.
        """
        for begin in range(0, len(self._block), _WIDE):
            block = self._block[begin : begin + _WIDE]
            carries = self._carries[begin : begin + len(block)].astype(np.int64)
            carries *= self._per_carry
            carries += self._p
            wide = self._wide[: len(block)]
            np.add(block, carries.view(np.uint64), out=wide)
            quotient = self._quotient[: len(block)]
            field.reduce(wide, self._p, out=block, scratch=quotient)
