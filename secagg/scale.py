"""The number layer's terms: integers per unit of the update, and what follows of them.

Every coordinate has a range, +-r_j, beyond which it saturates. It is brought to
integers of b bits by its scale s_j = x_max / r_j, so a narrow range has fine steps. The
L2 bound of the integers and the bound on the error of their mean follow (spec 2.2, 5).
With a rotation the coordinates are those of the rotated update, m' of them.
Knows the parameters as plain numbers, no message, no session.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from typing import Final, Self

from secagg import errors
from secagg.names import RangeRuns
from secagg.rotation import Rotation

MIN_BITS: Final = 8
MAX_BITS: Final = 24
MAX_RANGES: Final = 1024
"""Entries of `ranges` (rule 2.2-10): 20 bytes each, within the Manifest's limit."""

# The ranges in which nothing of the quantizer's proof under- or overflows.
_LEAST: Final = 2.0**-900
_MOST: Final = 2.0**900

# For the clip at C (1 - 2^-44) and the rounding of floats, in steps.
_SLACK: Final = 2.0**-20

# For twelve butterflies and a product, in units of s C: 13 u of the norm of a block.
_TURN: Final = 2.0**-49


@dataclass(frozen=True, slots=True)
class ErrorBound:
    """How far the mean of n inputs is from that of the clipped, saturated updates.

    Attributes:
        worst: never reached in any coordinate, whatever the words: (1 + 2^-20) / s_j
            in the widest range; rotated sqrt(B) (1 + 2^-20 + 2^-49 s C) / s.
        deviation: the standard deviation of a coordinate is at most this:
            1 / (2 s_j sqrt(n)) in the widest range. The roundings of n clients are
            independent, and each lies in an interval of length 1; and a rotation keeps
            the deviation.
        norm: the L2 norm of the error never reaches this.
        by_range: `worst` in each entry of `ranges`.
    """

    worst: float
    deviation: float
    norm: float
    by_range: tuple[float, ...]

    def stretched(self, factor: float) -> ErrorBound:
        """Return the bound of a mean that is `factor` times as far off."""
        return ErrorBound(
            worst=self.worst * factor,
            deviation=self.deviation * factor,
            norm=self.norm * factor,
            by_range=tuple(worst * factor for worst in self.by_range),
        )


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What fixes the number layer: bits b, clip norm C, and the ranges.

    Attributes:
        bits: b in 8..24.
        clip: C.
        ranges: (count, r) in the order of the coordinates, counts >= 1.
        seed: of the rotation, 32 bytes; None for none.

    Raises:
        ParameterError: b is outside 8..24, C or an r is not finite, not 0 < r <= C,
            they or their ratio are not within 2^-900..2^900, or there is not 1 to 1,024
            ranges of at least one coordinate, one for a rotation.
    """

    bits: int
    clip: float
    ranges: RangeRuns
    seed: bytes | None = None

    @classmethod
    def even(
        cls,
        *,
        bits: int,
        clip: float,
        coordinate_range: float,
        length: int,
        seed: bytes | None = None,
    ) -> Self:
        """Return the scale of `length` coordinates that all have one range."""
        ranges = ((length, coordinate_range),)
        return cls(bits=bits, clip=clip, ranges=ranges, seed=seed)

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise errors.ParameterError(f"bits = {self.bits} is outside 8..24")
        most = MAX_RANGES if self.seed is None else 1
        if not 1 <= len(self.ranges) <= most:
            raise errors.ParameterError(
                f"{len(self.ranges)} ranges: 1 to {MAX_RANGES} are possible, and 1 with"
                " a rotation, which mixes the coordinates"
            )
        for count, radius in self.ranges:
            if count < 1:
                raise errors.ParameterError(f"{count} coordinates of a range: need 1")
            self._check_range(radius)

    def _check_range(self, radius: float) -> None:
        if not 0 < radius <= self.clip < math.inf:
            raise errors.ParameterError(
                f"clip = {self.clip}, coordinate range = {radius}:"
                " need 0 < coordinate range <= clip, both finite"
            )
        extreme = (radius, self.clip, self.clip / radius)
        if not all(_LEAST <= value <= _MOST for value in extreme):
            raise errors.ParameterError(
                f"clip = {self.clip}, coordinate range = {radius}:"
                " these and their ratio must lie within 2^-900..2^900"
            )

    @cached_property
    def length(self) -> int:
        """The coordinates of an update, m."""
        return sum(count for count, _ in self.ranges)

    @cached_property
    def rotation(self) -> Rotation | None:
        """The rotation that the seed gives."""
        return None if self.seed is None else Rotation(self.seed, self.length)

    @property
    def coordinates(self) -> int:
        """The coordinates of the vector, m': m, or whole blocks with a rotation."""
        return self.length if self.rotation is None else self.rotation.coordinates

    @property
    def x_max(self) -> int:
        """The largest absolute value of a coordinate, 2^(b-1) - 1."""
        return (1 << (self.bits - 1)) - 1

    @cached_property
    def s(self) -> float:
        """The largest scale, of the narrowest range."""
        return max(self.scales)

    @cached_property
    def scales(self) -> tuple[float, ...]:
        """The scale x_max / r of each entry of `ranges`, rounded to float64."""
        return tuple(self.x_max / radius for _, radius in self.ranges)

    @property
    def saturates(self) -> bool:
        """Whether a clipped coordinate may be cut to its range."""
        return min(radius for _, radius in self.ranges) < self.clip

    @cached_property
    def delta_int(self) -> int:
        """The largest L2 norm of an input: ceil(s C + sqrt(m')), exact."""
        # The least k with k >= s C and (k - s C)^2 >= m'. As sqrt(m') >= isqrt(m'), the
        # loop starts at or below it, and within 2 of it.
        product = Fraction(self.s) * Fraction(self.clip)
        k = int(product) + math.isqrt(self.coordinates)
        while k < product or (k - product) ** 2 < self.coordinates:
            k += 1
        return k

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        return tuple(accumulate(count for count, _ in self.ranges))

    def spans(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Yield (low, high, entry): the pieces of [start, stop) that share a range."""
        low, entry = start, bisect_right(self._ends, start)
        while low < stop:
            high = min(self._ends[entry], stop)
            yield low, high, entry
            low, entry = high, entry + 1

    def error_bound(self, n: int) -> ErrorBound:
        """Return how far the mean of `n` inputs may be off.

        Raises:
            ParameterError: n < 1.
        """
        if n < 1:
            raise errors.ParameterError(f"n = {n} is below 1")
        deviation = 1 / (2 * min(self.scales) * math.sqrt(n))
        if self.rotation is not None:
            step = (1 + _SLACK + _TURN * self.s * self.clip) / self.s
            worst = step * self.rotation.root
            norm = step * math.sqrt(self.coordinates)
            return ErrorBound(worst, deviation, norm, (worst,))
        by_range = tuple((1 + _SLACK) / scale for scale in self.scales)
        square = math.fsum(
            count * worst**2
            for (count, _), worst in zip(self.ranges, by_range, strict=True)
        )
        return ErrorBound(max(by_range), deviation, math.sqrt(square), by_range)
