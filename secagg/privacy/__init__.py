"""Exact noise, its accounting and the budget. Spec 10.

To add a mechanism: write its sampler and its event in a file of its own, list it in
`MECHANISMS`, and teach `accountant` what its event costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from secagg import errors
from secagg.privacy.discrete_gaussian import DiscreteGaussian
from secagg.privacy.mechanism import Mechanism, NoiseEvent
from secagg.privacy.no_noise import NoNoise
from secagg.sensitivity import Adjacency

__all__ = ["MECHANISMS", "Adjacency", "Mechanism", "NoiseEvent", "named_mechanism"]

_KNOWN: Final[tuple[Mechanism, ...]] = (DiscreteGaussian(), NoNoise())

MECHANISMS: Final[Mapping[str, Mechanism]] = MappingProxyType(
    {mechanism.name: mechanism for mechanism in _KNOWN}
)
"""Every mechanism by its name."""


def named_mechanism(name: str) -> Mechanism:
    """Return the mechanism called `name`.

    Raises:
        ParameterError: there is none of that name.
    """
    if name not in MECHANISMS:
        raise errors.ParameterError(
            f"no noise mechanism is called {name!r}; known: {', '.join(MECHANISMS)}"
        )
    return MECHANISMS[name]
