"""The vectors that everybody adds up, and how far a mean of them is off.

Imported on both sides, so of what is installed it knows numpy alone.
"""

from __future__ import annotations

import ctypes
import gc
import itertools

import numpy as np
from numpy.typing import NDArray

from tests import memory

RANGE = 8.0
"""Coordinates lie within this range either way: Flower's default clipping range."""

Floats = NDArray[np.floating]


def vector(place: int, length: int) -> NDArray[np.float32]:
    """Return the vector of silo `place`: standard gaussian, the same on each side."""
    draw = np.random.default_rng([place, length])
    return draw.standard_normal(length, dtype=np.float32)


def plain_mean(places: range, length: int) -> NDArray[np.float64]:
    """Return the mean of these silos' vectors, in float64."""
    total = np.zeros(length)
    for place in places:
        total += vector(place, length)
    return total / len(places)


def error(mean: Floats, places: range) -> float:
    """Return the relative L2 error of a mean of these silos' vectors."""
    right = plain_mean(places, len(mean))
    return float(np.linalg.norm(mean - right) / np.linalg.norm(right))


def batches(count: int, parts: int) -> list[range]:
    """Return `count` places in `parts` runs of nearly one length, none empty."""
    cuts = [count * k // parts for k in range(parts + 1)]
    return [range(a, b) for a, b in itertools.pairwise(cuts) if a < b]


class PeakMemory:
    """The most memory that a piece of work takes beyond what was held before it."""

    def __init__(self) -> None:
        """Begin now: what is free goes back, and the record of the peak is forgotten.

        Memory that the allocator kept from earlier work would hide what is taken anew.
        """
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        memory.forget_peak()
        self._before = memory.resident()

    def beyond(self) -> float:
        """Return the bytes beyond those held at the beginning."""
        return max(0.0, memory.peak() - self._before)
