"""A public orthogonal map of an update, which makes its coordinates even. Spec 5.1.

An update of a few large coordinates among many small ones needs a wide range, and so
many bits for the same steps. Rotated, every coordinate is a sum of 4,096 others with
random signs: nearly gaussian, whatever the update, so that a range of a few standard
deviations serves. The map is a mix of coordinates over blocks, then random signs, then
the Hadamard matrix of each block: H D P / sqrt(B). It works group by group, a group
being 2^20 coordinates at most, and holds no more than that.

Every value is made of the same additions in the same order (butterflies of strides 1,
2, 4, ...), so that all implementations agree to the bit. With integers below 2^41 they
are exact: a block adds 2^12 of them, and 2^53 is where float64 ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg import kernels
from secagg.crypto import prg
from secagg.crypto.kdf import digest
from secagg.norm import FloatArray

LARGEST_BLOCK: Final = 4096

GROUP_BLOCKS: Final = 256
"""Blocks that share their coordinates: 2^20 of them, 8 MiB of float64."""

# Blocks at a time: twice 512 KiB of float64, which stay in the L2 cache.
_BATCH: Final = 16

# Rows turned around at a time, so that their places stay in the cache.
_ROWS: Final = 256

_SHIFT_LANE: Final = 1

_Integers = NDArray[np.signedinteger[Any]]
_Floats = NDArray[np.float64]


class Rotation:
    """The map that a seed gives for updates of m coordinates.

    Attributes:
        length: m.
        block: B, a power of 4: min(4096, the least that is at least m).
        blocks: N, as many as hold m coordinates.
    """

    def __init__(self, seed: bytes, length: int) -> None:
        """Fix the shape.

        Args:
            seed: 32 bytes, of the Manifest; public.
            length: m, at least 1.
        """
        self._key = digest("secagg/1/rotation", seed)
        self.length = length
        # Of even log2, so that sqrt(B) is a power of two and dividing by it exact.
        least = (min(length, LARGEST_BLOCK) - 1).bit_length()
        self.block = 1 << (least + least % 2)
        self.blocks = -(-length // self.block)

    @property
    def coordinates(self) -> int:
        """The coordinates of a rotated update, m' = N B."""
        return self.block * self.blocks

    @property
    def root(self) -> float:
        """The square root of B, a power of two."""
        return float(math.isqrt(self.block))

    @property
    def group_length(self) -> int:
        """Coordinates of a group, but for the last: windows cut there cost nothing."""
        return GROUP_BLOCKS * self.block

    def forward(
        self, update: FloatArray, gain: float, first: int, last: int
    ) -> _Floats:
        """Return blocks [first, last) of gain H D P update: sqrt(B) times the rotation.

        Args:
            update: finite, shape (m,).
            gain: what every coordinate is multiplied by before all else.
            first: a block.
            last: one past the last block, at most N.

        Returns:
            float64, shape ((last - first) B,).
        """
        out = np.empty((last - first, self.block))
        for low, high in self.runs(first, last, _BATCH):
            placed = self._placed(update, gain, low, high)
            placed *= self._signs(low, high)
            out[low - first : high - first] = kernels.loops().butterflies(placed)
        return out.reshape(-1)

    def backward(self, rotated: _Integers, group: int) -> _Floats:
        """Return the coordinates of one group, times sqrt(B).

        Args:
            rotated: the group's places, shape (G B,).
            group: h; its places begin at h `group_length`.

        Returns:
            P^T D H rotated, less what lies beyond m; its first coordinate is that of
            the place the group begins with. Exact for integers below 2^41.
        """
        first, size = self.group_span(group)
        values = np.empty((self.block, size))
        blocks = rotated.reshape(size, self.block)
        for low, high in self.runs(first, first + size, _BATCH):
            here = slice(low - first, high - first)
            turned = kernels.loops().butterflies(blocks[here].astype(np.float64))
            values[:, here] = (turned * self._signs(low, high)).T
        _shift(values, self.shifts(group))
        return values.reshape(-1)[: self.length - first * self.block]

    def groups(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Yield (group, low, high): the groups that hold coordinates [start, stop).

        `low` and `high` are the group's places in the rotated vector; the coordinates
        that it holds have the same numbers, those from m on excepted.
        """
        for group in range(start // self.group_length, -(-stop // self.group_length)):
            low = group * self.group_length
            yield group, low, min(low + self.group_length, self.coordinates)

    def group_span(self, group: int) -> tuple[int, int]:
        """Return a group's first block, and how many it has."""
        first = group * GROUP_BLOCKS
        return first, min(GROUP_BLOCKS, self.blocks - first)

    def runs(self, first: int, last: int, most: int) -> Iterator[tuple[int, int]]:
        """Yield runs of at most `most` blocks of [first, last), each in one group."""
        low = first
        while low < last:
            end = (low // GROUP_BLOCKS + 1) * GROUP_BLOCKS
            high = min(low + most, end, last)
            yield low, high
            low = high

    def shifts(self, group: int) -> NDArray[np.int64]:
        """Return by how much each place of a group's blocks is shifted, shape (B,)."""
        _, size = self.group_span(group)
        start = group * LARGEST_BLOCK
        words = prg.words(
            self._key, prg.Tag.ROTATION, start, start + self.block, _SHIFT_LANE
        )
        return words.astype(np.int64) % size

    def sign_bits(self, low: int, high: int) -> NDArray[np.uint8]:
        """Return the signs of blocks [low, high), 1 for a minus, low bits first."""
        # Whole words: a block below 32 places is alone, and begins at 0.
        start, stop = low * self.block // 32, -(-high * self.block // 32)
        words = prg.words(self._key, prg.Tag.ROTATION, start, stop)
        return words.astype("<u4").view(np.uint8)

    def _placed(self, update: FloatArray, gain: float, low: int, high: int) -> _Floats:
        """Return what stands in blocks [low, high), times gain: one row a block."""
        group = low // GROUP_BLOCKS
        first, size = self.group_span(group)
        return kernels.loops().placed(
            update,
            gain,
            self.shifts(group),
            range(low - first, high - first),
            first * self.block,
            size,
        )

    def _signs(self, low: int, high: int) -> _Floats:
        """Return 1 or -1 for each place of blocks [low, high): one row a block."""
        count = high - low
        bits = np.unpackbits(self.sign_bits(low, high), bitorder="little")
        signs = 1.0 - 2.0 * bits[: count * self.block].astype(np.float64)
        return signs.reshape(count, self.block)


def _shift(rows: _Floats, by: NDArray[np.int64]) -> None:
    """Turn each row around by its number of places, in place."""
    size = rows.shape[1]
    columns = np.arange(size)
    for low in range(0, len(rows), _ROWS):
        part = slice(low, low + _ROWS)
        came_from = (columns - by[part, None]) % size
        rows[part] = np.take_along_axis(rows[part], came_from, axis=1)
