"""How far one member can move the sum, and the noise that hides it. Spec 10-2.

Needed by both sides before anything is sent: noise that could not be made is refused
with the Manifest (rule 2.2-8), not after every share is out.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from secagg import errors

MAX_SIGMA_SQUARED: Final = 2**96 - 1
"""The most variance there is a sampler for: sigma below 2^48.

Noise then stays below 2^62 but for one draw in e^32768 (see `discrete_gaussian`).
"""


class Adjacency(enum.StrEnum):
    """Which two runs must look alike. Who took part is public in both (spec 10)."""

    ZERO_OUT = "zero-out"
    """One member's vector is replaced by zero."""

    REPLACE_ONE = "replace-one"
    """One member's vector is replaced by another one."""


def sensitivity_squared(
    delta_int: int, extra_ranges: Iterable[int], adjacency: Adjacency
) -> int:
    """Return Delta^2, the most one member can change the sum by, squared (spec 10-2).

    Replacing a vector by zero changes the sum by the vector; replacing it by another
    one changes it by at most twice the bound of a vector.

    Args:
        delta_int: the L2 bound of an integer vector.
        extra_ranges: high - low of every extra that is released with noise.
        adjacency: what a member may change.
    """
    total = delta_int**2 + sum(extent**2 for extent in extra_ranges)
    match adjacency:
        case Adjacency.ZERO_OUT:
            return total
        case Adjacency.REPLACE_ONE:
            return 4 * total


def sigma_squared(noise_multiplier: float, sensitivity_squared: int) -> int:
    """Return ceil(z^2 Delta^2), computed exactly.

    The float z is taken as the rational that it is. Rounding up only adds noise.

    Args:
        noise_multiplier: z, finite, 0 or more.
        sensitivity_squared: Delta^2.

    Raises:
        ParameterError: z is negative, infinite or not a number.
    """
    if not (math.isfinite(noise_multiplier) and noise_multiplier >= 0):
        raise errors.ParameterError(
            f"noise multiplier = {noise_multiplier} must be finite and 0 or more"
        )
    return math.ceil(Fraction(noise_multiplier) ** 2 * sensitivity_squared)
