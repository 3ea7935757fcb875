"""The discrete Gaussian N_Z(0, sigma^2): P(y) proportional to exp(-y^2 / 2 sigma^2).

Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy" (NeurIPS
2020, arXiv 2004.00010), Algorithms 2 and 3, as one candidate that is accepted or not:

- t = floor(sigma) + 1; U uniform in {0..t-1}; V geometric, P(V >= k) = exp(-k); a sign.
- |Y| = U + t V. With acceptance exp(-U/t) and no negative zero, Y is discrete Laplace.
- Acceptance exp(-(|Y| - sigma^2/t)^2 / (2 sigma^2)) makes it discrete Gaussian.

Two trials with probabilities exp(-a) and exp(-b) that must both succeed are one trial
with exp(-(a + b)). About 0.48 of the candidates pass. A trial compares a uniform real
with exp(-gamma), gamma rational: it stands for their Algorithm 1, has the same law, and
takes one word where a series takes several.

Exactness. float64 settles a trial only where the uniform is farther than 2^-20 from
exp(-gamma), while its own error is below 2^-40. What is nearer, about two trials in a
million, is settled in integers of any size. So no sample depends on how a machine
rounds or how good its `exp` is: one with seven right digits would give the same ones.

Order. Candidate i owns the words 4i..4i+3 of the keystream: the low bit of the first is
the sign, the other 63 bits of the first two give U, the third V, the fourth the trial.
The noise is the accepted candidates in order: a function of key and sigma^2 alone,
whatever the size of the pieces, and a shorter noise is a prefix of a longer one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg import errors
from secagg.privacy import exponential
from secagg.privacy.mechanism import NoiseEvent
from secagg.privacy.words import WordSource
from secagg.sensitivity import MAX_SIGMA_SQUARED, Adjacency

_WORDS: Final = 4
"""Words per candidate."""

_BATCH: Final = 1 << 14
"""Candidates at a time: 256 KiB of words, and temporaries that stay in the L2 cache."""

_MARGIN: Final = 1 << 12
"""How near to exp(-gamma) float64 may not decide, in units of 2^-32."""


def _geometric_table() -> NDArray[np.uint32]:
    """Return floor(2^32 exp(-k)) for k = 23..1, ascending; the first is 0."""
    table = []
    for k in range(1, 24):
        low, high = exponential.enclose(k, 1, 96)
        # The 64 bits that are cut decide the floor: both bounds have the same.
        assert low >> 64 == high >> 64  # noqa: S101 a fact of 23 constants
        table.append(low >> 64)
    return np.array(table[::-1], dtype=np.uint32)


_GEOMETRIC: Final = _geometric_table()


@dataclass(frozen=True, slots=True)
class DiscreteGaussian:
    """The mechanism: noise and the event to charge."""

    name: str = field(default="discrete-gaussian", init=False)

    def noise(
        self, length: int, sigma_squared: int, key: bytes
    ) -> Iterator[NDArray[np.int64]]:
        """Yield `length` independent samples of N_Z(0, sigma^2) in pieces.

        Args:
            length: 0 or more.
            sigma_squared: sigma^2, an integer in 1..2^96-1.
            key: 32 bytes, used for this noise alone.

        Raises:
            ParameterError: a value is outside its range.
        """
        # Then t <= 2^48, and |Y| < t (V + 1) < 2^63 for V < 2^15: all but e^-32768.
        if not 1 <= sigma_squared <= MAX_SIGMA_SQUARED:
            raise errors.ParameterError(
                f"sigma_squared = {sigma_squared} is outside 1..2^96-1"
            )
        if length < 0:
            raise errors.ParameterError(f"length = {length} is negative")
        return _first(length, _Sampler(sigma_squared, WordSource(key)))

    def event(
        self, noise_multiplier: float, sensitivity_squared: int, adjacency: Adjacency
    ) -> NoiseEvent:
        """Return the event of one release with sigma >= noise_multiplier * Delta.

        Raises:
            ParameterError: the noise multiplier is not a finite number above 0.
        """
        if not (math.isfinite(noise_multiplier) and noise_multiplier > 0):
            raise errors.ParameterError(
                f"noise multiplier = {noise_multiplier} must be finite and above 0;"
                " the mechanism for no noise is 'none'"
            )
        return NoiseEvent(
            mechanism=self.name,
            noise_multiplier=noise_multiplier,
            sensitivity_squared=sensitivity_squared,
            adjacency=adjacency,
        )


def _first(length: int, sampler: _Sampler) -> Iterator[NDArray[np.int64]]:
    """Yield the first `length` samples."""
    while length > 0:
        samples = sampler.batch()[:length]
        length -= len(samples)
        yield samples


class _Sampler:
    """The accepted candidates of one keystream, batch by batch."""

    def __init__(self, sigma_squared: int, source: WordSource) -> None:
        self._sigma_squared = sigma_squared
        self._t = math.isqrt(sigma_squared) + 1
        self._source = source
        self._next = 0

    def batch(self) -> NDArray[np.int64]:
        """Return the samples among the next candidates, in order; may be empty."""
        words = self._source.read(_WORDS * _BATCH).reshape(_BATCH, _WORDS)
        u, negative, fair = self._uniform(words)
        magnitude = u + self._geometric(words[:, 2]) * np.int64(self._t)
        # Zero has one sign, else it would be twice as likely as it should.
        fair &= ~(negative & (magnitude == 0))
        fair &= self._accepted(words[:, 3], u, magnitude)
        self._next += _WORDS * _BATCH
        return np.where(negative, -magnitude, magnitude)[fair]

    def _uniform(
        self, words: NDArray[np.uint32]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return U in {0..t-1}, whether the sign is minus, and whether U is fair.

        The 63-bit integer r gives U = r mod t. Those r at or above the largest multiple
        of t up to 2^63 would favour small U: their candidates are dropped.
        """
        bits = words.astype("<u4", copy=False).view("<u8")[:, 0]
        r = (bits >> np.uint64(1)).astype(np.int64)
        quotient = r // np.int64(self._t)
        fair = quotient < (1 << 63) // self._t
        quotient *= np.int64(self._t)
        return r - quotient, (bits & np.uint64(1)).astype(np.bool_), fair

    def _geometric(self, words: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return V, the number of k >= 1 with u < exp(-k), u the uniform real."""
        not_above = np.searchsorted(_GEOMETRIC, words, side="right")
        v = len(_GEOMETRIC) - not_above
        # A word equal to an entry does not say on which side of exp(-k) the real lies.
        for index in np.flatnonzero(_GEOMETRIC[not_above - 1] == words):
            v[index] = self._exact_geometric(int(index))
        return v

    def _exact_geometric(self, index: int) -> int:
        position = self._next + _WORDS * index + 2
        v = 0
        while exponential.uniform_is_below(self._source, position, v + 1, 1):
            v += 1
        return v

    def _accepted(
        self,
        words: NDArray[np.uint32],
        u: NDArray[np.int64],
        magnitude: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Return whether the uniform real of each word is below exp(-gamma)."""
        distance = words - self._acceptance(u, magnitude) * 2.0**32
        accepted = distance < 0
        for index in np.flatnonzero(np.abs(distance) <= _MARGIN):
            accepted[index] = self._exactly_accepted(
                int(index), int(u[index]), int(magnitude[index])
            )
        return accepted

    def _acceptance(
        self, u: NDArray[np.int64], magnitude: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return exp(-gamma) to within 2^-40.

        gamma = U/t + (|Y| - sigma^2/t)^2 / (2 sigma^2).
        """
        offset = magnitude - self._sigma_squared / self._t
        gamma = u / self._t + offset * offset / (2 * self._sigma_squared)
        return np.exp(-gamma)

    def _exactly_accepted(self, index: int, u: int, magnitude: int) -> bool:
        """Decide candidate `index` of the batch; gamma as above, over 2 sigma^2 t^2."""
        s, t = self._sigma_squared, self._t
        numerator = 2 * s * t * u + (magnitude * t - s) ** 2
        position = self._next + _WORDS * index + 3
        return exponential.uniform_is_below(
            self._source, position, numerator, 2 * s * t * t
        )
