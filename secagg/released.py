"""The released vector as bytes, written and read block by block (spec 4.8, 7.5).

A model of 10^8 coordinates is 400 MB here. So neither side holds it as bytes: it goes
to a file part by part, and is read from there, window by window, wherever its integers
or the mean are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from secagg import errors
from secagg.messages import BlobRef
from secagg.names import Mean, VectorSum
from secagg.quantize import MeanView
from secagg.scale import MIN_BITS, Scale

PART: Final = 1 << 17
"""Coordinates at a time: 1 MiB of int64."""

Read = Callable[[int, int], bytes]
"""Returns the bytes of a blob from an offset on, as many as are asked for."""


def width_of(total: VectorSum) -> int:
    """Return the bytes of a coordinate: 4 if all fit, else 8; the sum has some."""
    int32 = np.iinfo(np.int32)
    fits = int32.min <= int(total.min()) and int(total.max()) <= int32.max
    return 4 if fits else 8


def encoded(total: VectorSum, width: int) -> Iterator[memoryview]:
    """Yield the coordinates as bytes, signed, little endian, part by part.

    Args:
        total: the released integer sum, shape (m',).
        width: bytes of a coordinate, from `width_of`.
    """
    stored = np.dtype(f"<i{width}")
    for low in range(0, len(total), PART):
        part = np.ascontiguousarray(total[low : low + PART], dtype=stored)
        yield part.data.cast("B")


def reference(total: VectorSum) -> BlobRef:
    """Return what a Result says of the vector: its hash, size and width (spec 4.8)."""
    width = width_of(total)
    hasher = hashlib.sha256()
    for part in encoded(total, width):
        hasher.update(part)
    return BlobRef(hash=hasher.digest(), size=len(total) * width, width=width)


class ReleasedVector:
    """The released integer sum where it lies, and the mean that it gives.

    A slice of it is that window of the mean. What is asked for is read and computed
    each time; of a rotated sum the last group is kept, 8 MiB.
    """

    def __init__(
        self, read: Read, said: BlobRef, *, scale: Scale, divisor: float
    ) -> None:
        """Check what the Result says of it; whoever reads has checked its hash.

        Args:
            read: reads the blob.
            said: its hash, size and width, as the Result states them.
            scale: the session's.
            divisor: |U3|, or W / w_max for a weighted mean.

        Raises:
            RemoteProtocolError: another width, or not m' * width bytes (rule 4.8-2).
        """
        width, length = said.width, scale.coordinates
        errors.require("4.8-2", width in {4, 8}, f"coordinates of {width} bytes")
        errors.require(
            "4.8-2",
            said.size == length * width,
            f"{said.size} bytes instead of {length} coordinates of {width} bytes",
        )
        self._read = read
        self._stored = np.dtype(f"<i{width}")
        self._coordinates = length
        self._mean = MeanView(self.integers, scale, divisor)

    @classmethod
    def of(cls, data: bytes, *, width: int, length: int) -> Self:
        """Return the vector in `data`; its mean is the sum itself."""
        said = BlobRef(hash=b"", size=len(data), width=width)
        return cls(
            lambda offset, size: data[offset : offset + size],
            said,
            scale=_unit(length),
            divisor=1,
        )

    def __repr__(self) -> str:
        """Show the length."""
        return f"ReleasedVector({len(self)} coordinates)"

    def __len__(self) -> int:
        """Return m."""
        return len(self._mean)

    def __getitem__(self, window: slice) -> NDArray[np.float64]:
        """Return a window of the mean; its step is 1."""
        return self._mean[window]

    def integers(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the sum's coordinates [start, stop), 0 <= start <= stop <= m'."""
        size = self._stored.itemsize
        data = self._read(start * size, (stop - start) * size)
        return np.frombuffer(data, dtype=self._stored).astype(np.int64)

    def sum(self) -> VectorSum:
        """Return the whole integer sum, int64, shape (m',)."""
        total = np.empty(self._coordinates, dtype=np.int64)
        for low in range(0, self._coordinates, PART):
            high = min(low + PART, self._coordinates)
            total[low:high] = self.integers(low, high)
        return VectorSum(total)

    def mean(self) -> Mean:
        """Return the whole mean, float64, shape (m,)."""
        mean = np.empty(len(self), dtype=np.float64)
        for low, high in self.windows():
            mean[low:high] = self[low:high]
        return Mean(mean)

    def windows(self) -> Iterator[tuple[int, int]]:
        """Yield the bounds of consecutive windows that are read at a time."""
        yield from self._mean.windows(PART)


def _unit(length: int) -> Scale:
    """Return a scale of 1."""
    one = float(2 ** (MIN_BITS - 1) - 1)
    return Scale.even(bits=MIN_BITS, clip=one, coordinate_range=one, length=length)
