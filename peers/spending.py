"""How many rounds a privacy budget pays for, and the noise that a budget asks for."""

from __future__ import annotations

from typing import Final

from secagg.errors import ParameterError
from secagg.privacy.accountant import Accountant
from secagg.privacy.mechanism import NoiseEvent
from secagg.sensitivity import Adjacency

MECHANISM: Final = "discrete-gaussian"

_MOST_NOISE: Final = 1e6


def epsilon_of(
    noise_multiplier: float,
    rounds: int,
    delta: float,
    adjacency: str = Adjacency.ZERO_OUT,
) -> float:
    """Return what so many rounds spend.

    Args:
        noise_multiplier: z of each.
        rounds: 0 or more.
        delta: in (0, 1).
        adjacency: what z refers to.
    """
    accountant = Accountant()
    event = NoiseEvent(
        mechanism=MECHANISM,
        noise_multiplier=noise_multiplier,
        sensitivity_squared=1,
        adjacency=Adjacency(adjacency),
    )
    for _ in range(rounds):
        accountant.compose(event)
    return accountant.epsilon(delta)


def affordable(noise_multiplier: float, epsilon: float, delta: float, most: int) -> int:
    """Return how many rounds, `most` at most, stay within a budget of `epsilon`."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if epsilon_of(noise_multiplier, middle, delta) <= epsilon:
            low = middle
        else:
            high = middle - 1
    return low


def noise_for(epsilon: float, rounds: int, delta: float) -> float:
    """Return the least noise multiplier, to three digits, that pays for `rounds`.

    Raises:
        ParameterError: epsilon is not above 0, or too small for any noise.
    """
    if not epsilon > 0:
        raise ParameterError(f"epsilon = {epsilon} must be above 0")
    if epsilon_of(_MOST_NOISE, rounds, delta) > epsilon:
        raise ParameterError(
            f"no noise gives epsilon = {epsilon} at delta = {delta} in {rounds} rounds"
        )
    low, high = 1e-3, _MOST_NOISE
    while high > low * 1.0005:
        middle = (low * high) ** 0.5
        if epsilon_of(middle, rounds, delta) <= epsilon:
            high = middle
        else:
            low = middle
    return high
