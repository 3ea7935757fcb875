"""No noise at all, said out loud: a release that costs an unbounded epsilon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg import errors
from secagg.privacy.mechanism import NoiseEvent
from secagg.sensitivity import Adjacency

_PIECE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class NoNoise:
    """The mechanism that adds nothing."""

    name: str = field(default="none", init=False)

    def noise(
        self, length: int, sigma_squared: int, key: bytes
    ) -> Iterator[NDArray[np.int64]]:
        """Yield `length` zeros in pieces.

        Args:
            length: 0 or more.
            sigma_squared: 0; anything else was meant for another mechanism.
            key: not used.

        Raises:
            ParameterError: a value is outside its range.
        """
        del key
        if sigma_squared != 0:
            raise errors.ParameterError(
                f"mechanism 'none' cannot add noise of sigma_squared = {sigma_squared}"
            )
        if length < 0:
            raise errors.ParameterError(f"length = {length} is negative")
        return (
            np.zeros(min(_PIECE, length - begin), dtype=np.int64)
            for begin in range(0, length, _PIECE)
        )

    def event(
        self, noise_multiplier: float, sensitivity_squared: int, adjacency: Adjacency
    ) -> NoiseEvent:
        """Return the event of a release that is not private.

        Raises:
            ParameterError: the noise multiplier is not 0.
        """
        if noise_multiplier != 0:
            raise errors.ParameterError(
                f"mechanism 'none' has noise multiplier 0, not {noise_multiplier}"
            )
        return NoiseEvent(
            mechanism=self.name,
            noise_multiplier=0.0,
            sensitivity_squared=sensitivity_squared,
            adjacency=adjacency,
        )
