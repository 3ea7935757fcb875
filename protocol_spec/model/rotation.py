"""The rotation of the update's coordinates: mixing, signs, butterflies (spec 5.1)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protocol_spec.model.encoding import h
from protocol_spec.model.keystream import ROTATION, word

LARGEST_BLOCK = 4096
GROUP = 256


@dataclass(frozen=True)
class Rotation:
    """The map of `m` coordinates to N blocks of B."""

    key: bytes
    m: int
    block: int
    blocks: int

    @classmethod
    def of(cls, seed: bytes, m: int) -> Rotation:
        """B is the least power of 4 that holds m, and at most 4096."""
        block = 1
        while block < min(m, LARGEST_BLOCK):
            block *= 4
        return cls(rotation_key(seed), m, block, -(-m // block))

    @property
    def length(self) -> int:
        """m': whole blocks."""
        return self.block * self.blocks

    @property
    def root(self) -> float:
        """sqrt(B), a power of two."""
        return float(math.isqrt(self.block))

    def coordinates(self) -> list[int]:
        """Which coordinate of the padded update stands at each place."""
        return [j for group in range(0, self.blocks, GROUP) for j in self._group(group)]

    def _group(self, first: int) -> Iterator[int]:
        """The coordinates of the group that begins with block `first`."""
        size = min(GROUP, self.blocks - first)
        shifts = [
            word(self.key, ROTATION, first // GROUP * LARGEST_BLOCK + i, lane=1) % size
            for i in range(self.block)
        ]
        for k in range(size):
            for i, shift in enumerate(shifts):
                yield first * self.block + i * size + (k + shift) % size

    def signs(self) -> list[int]:
        """1 or -1 for each place."""
        bits = [
            word(self.key, ROTATION, q // 32) >> q % 32 & 1 for q in range(self.length)
        ]
        return [1 - 2 * bit for bit in bits]

    def forward(self, update: Sequence[float]) -> list[float]:
        """Place, negate, butterflies: sqrt(B) times the rotated update."""
        padded = [*update, *[0.0] * (self.length - self.m)]
        pairs = zip(self.coordinates(), self.signs(), strict=True)
        return self._butterflies([sign * padded[j] for j, sign in pairs])

    def backward(self, rotated: Sequence[float]) -> list[float]:
        """Butterflies, negate, place: sqrt(B) times the m coordinates."""
        turned = self._butterflies(list(rotated))
        padded = [0.0] * self.length
        places = zip(self.coordinates(), self.signs(), turned, strict=True)
        for j, sign, value in places:
            padded[j] = sign * value
        return padded[: self.m]

    def _butterflies(self, values: list[float]) -> list[float]:
        """H times each block, in the stated order of binary64 additions."""
        step = 1
        while step < self.block:
            for i in range(self.length):
                if i // step % 2 == 0:
                    a, b = values[i], values[i + step]
                    values[i], values[i + step] = a + b, a - b
            step *= 2
        return values


def rotation_key(seed: bytes) -> bytes:
    """The public PRG key of a rotation (spec 3.5)."""
    return h("secagg/1/rotation", seed)
