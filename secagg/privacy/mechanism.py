"""What a noise mechanism is: a sampler, and apart from it the event to account for.

An event is a frozen value that says everything an accountant needs and nothing of how
noise is made. Meanings never change; an accountant refuses what it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.sensitivity import Adjacency


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseEvent:
    """One release, as an accountant sees it.

    Attributes:
        mechanism: its name in the registry.
        noise_multiplier: z = sigma / Delta; 0 if nothing was added.
        sensitivity_squared: Delta^2, in units of the integer sum.
        adjacency: what Delta and z refer to.
    """

    mechanism: str
    noise_multiplier: float
    sensitivity_squared: int
    adjacency: Adjacency


class Mechanism(Protocol):
    """Additive integer noise."""

    @property
    def name(self) -> str:
        """The name in the registry, the Manifest and the record."""
        ...

    def noise(
        self, length: int, sigma_squared: int, key: bytes
    ) -> Iterator[NDArray[np.int64]]:
        """Yield `length` integers in pieces, the same for the same arguments.

        Args:
            length: 0 or more.
            sigma_squared: the variance parameter, in units of the integer sum.
            key: 32 bytes, used for this noise alone.

        Raises:
            ParameterError: a value is outside the mechanism's range.
        """
        ...

    def event(
        self, noise_multiplier: float, sensitivity_squared: int, adjacency: Adjacency
    ) -> NoiseEvent:
        """Return the event to charge for one release.

        Raises:
            ParameterError: the mechanism cannot have this noise multiplier.
        """
        ...
