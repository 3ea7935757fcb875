"""What the engines of a CPU share: threads over slices of the window.

OpenSSL and the arithmetic release the interpreter's lock, so slices run side by side.
"""

from __future__ import annotations

import abc
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Final, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from secagg import errors, field
from secagg.engine.interface import MaskSeed, check_arguments

_Part = TypeVar("_Part")
_Made = TypeVar("_Made")

Adder = Callable[[NDArray[np.uint32], int], None]
"""Adds masks into a slice of the accumulator, whose position comes second."""

# A cache line, and the widest register: loads across two lines take up to half longer.
_LINE: Final = 64

# Slices begin with the sixteen ChaCha20 blocks that are drawn together.
_GROUP: Final = 1 << 8


def aligned(size: int, dtype: DTypeLike) -> NDArray[Any]:
    """Return uninitialized elements, shape (size,), from a cache line's start on."""
    bytes_needed = size * np.dtype(dtype).itemsize
    raw = np.empty(bytes_needed + _LINE, dtype=np.uint8)
    first = -raw.ctypes.data % _LINE
    return raw[first : first + bytes_needed].view(dtype)


class ThreadedEngine(abc.ABC):
    """Adds masks with a stated number of threads.

    Several threads may call it at once; each call has scratch space of its own.

    Attributes:
        slices_each: slices for each thread. With more than one, a thread whose core is
            disturbed leaves some to the others.
    """

    slices_each: ClassVar[int] = 1

    def __init__(self, width: int, workers: int | None = None) -> None:
        """Prepare an engine for elements of GF(p_w).

        Args:
            width: w, 16..32.
            workers: threads, at least 1; None takes one per processor.

        Raises:
            ParameterError: a value is outside its range.
        """
        self._p = field.prime(width)
        if workers is None:
            workers = os.cpu_count() or 1
        if workers < 1:
            raise errors.ParameterError(f"workers = {workers} is below 1")
        self._width = width
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers)

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
        if not len(acc) or not seeds:
            return
        add = self._adder(seeds, signs)
        cuts = _cuts(
            len(acc), self._workers, self.slices_each, self._least_slice(len(seeds))
        )
        if len(cuts) == 1:
            add(acc, start)
            return

        def run(cut: tuple[int, int]) -> None:
            low, high = cut
            add(acc[low:high], start + low)

        # Waits for all of them, and raises what one raised.
        list(self._pool.map(run, cuts))

    def on_threads(
        self, work: Callable[[_Part], _Made], parts: Iterable[_Part]
    ) -> Iterator[_Made]:
        """See `MaskEngine.on_threads`; a lone part stays with the caller."""
        known = [*parts]
        if self._workers == 1 or len(known) == 1:
            return iter([work(part) for part in known])
        return self._pool.map(work, known)

    def alone(self) -> Self:
        """See `MaskEngine.alone`."""
        return self if self._workers == 1 else type(self)(self._width, 1)

    @abc.abstractmethod
    def _adder(self, seeds: Sequence[MaskSeed], signs: Sequence[int]) -> Adder:
        """Return what adds masks into any slice, on several threads at once."""

    @abc.abstractmethod
    def _least_slice(self, seeds: int) -> int:
        """Return the elements below which a slice is not worth a thread."""


def _cuts(size: int, workers: int, each: int, least: int) -> list[tuple[int, int]]:
    """Return the bounds of the slices, none small but a lone one.

    Beyond one for each thread, a multiple of the threads: of three slices on two
    threads, one would wait for long.
    """
    most = workers * each if workers > 1 else 1
    count = max(1, min(most, size // (least + _GROUP)))
    count -= count % workers if count > workers else 0
    begins = (size * k // count // _GROUP * _GROUP for k in range(count))
    return list(itertools.pairwise([*begins, size]))
