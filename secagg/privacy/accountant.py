"""Epsilon of the releases of a task, by the accountant of dp-accounting. Spec 10.

A sum that one member changes by at most Delta in the L2 norm, plus independent
N_Z(0, sigma^2) on every coordinate, has Renyi divergence of order alpha at most
alpha Delta^2 / (2 sigma^2): Canonne, Kamath and Steinke (arXiv 2004.00010), Theorem 4,
for one coordinate, and divergences of independent coordinates add. The continuous
Gaussian has the same bound, so its accounting in the Renyi form holds for the discrete
one as it stands; accounting by its privacy loss distribution would not.
"""

from __future__ import annotations

import collections
import math
from types import ModuleType
from typing import Final

from secagg import errors
from secagg.privacy.mechanism import NoiseEvent
from secagg.sensitivity import Adjacency

_ORDERS: Final = (
    *(1 + k / 10 for k in range(1, 100)),
    *range(11, 128),
    *range(128, 1025, 16),
)
"""Orders alpha at which divergences are followed: the best one for T releases is about
1 + z sqrt(2 ln(1/delta) / T), hence 2 at epsilon = 8 and 300 at epsilon = 0.05."""

_LIKE_GAUSSIAN: Final = frozenset({"discrete-gaussian"})
"""Mechanisms with the Renyi divergence of the Gaussian of the same multiplier."""


def load_library() -> ModuleType:
    """Return dp-accounting, which takes most of a second to load.

    Raises:
        ParameterError: it is not installed.
    """
    try:
        import dp_accounting
    except ImportError as error:
        raise errors.ParameterError(
            "a privacy budget needs the accountant of dp-accounting, which is not"
            " installed: pip install 'secagg[dp]'"
        ) from error
    library: ModuleType = dp_accounting
    return library


class Accountant:
    """The events of one task, and what they cost together."""

    def __init__(self) -> None:
        """Begin with no event."""
        self._adjacency: Adjacency | None = None
        self._count: collections.Counter[float] = collections.Counter()

    def compose(self, event: NoiseEvent) -> None:
        """Add one release; a refused one changes nothing.

        Raises:
            ParameterError: the mechanism is not known here, or the adjacency differs
                from that of the events before.
        """
        self._check(event)
        self._adjacency = event.adjacency
        self._count[event.noise_multiplier] += 1

    def epsilon(self, delta: float) -> float:
        """Return epsilon at `delta` of all releases so far.

        It is 0 for none, and infinite if one of them had no noise.

        Args:
            delta: in (0, 1).

        Raises:
            ParameterError: `delta` is out of range, or the library is missing.
        """
        return _epsilon(self._count, delta)

    def epsilon_after(self, event: NoiseEvent, delta: float) -> float:
        """Return what `epsilon` would be once `event` is composed, without doing it.

        Raises:
            ParameterError: as for `compose` and `epsilon`.
        """
        self._check(event)
        return _epsilon(
            self._count + collections.Counter([event.noise_multiplier]), delta
        )

    def _check(self, event: NoiseEvent) -> None:
        z = event.noise_multiplier
        if not (math.isfinite(z) and z >= 0):
            raise errors.ParameterError(
                f"noise multiplier = {z} must be finite, 0 or more"
            )
        if z != 0 and event.mechanism not in _LIKE_GAUSSIAN:
            raise errors.ParameterError(
                f"the accountant does not know what {event.mechanism!r} costs"
            )
        if self._adjacency not in {None, event.adjacency}:
            raise errors.ParameterError(
                f"this task is accounted for under {self._adjacency} adjacency and the"
                f" release is under {event.adjacency}: keep to one, or begin a new task"
            )


def _epsilon(count: collections.Counter[float], delta: float) -> float:
    """Return epsilon of `count[z]` Gaussian releases of each noise multiplier z."""
    if not 0 < delta < 1:
        raise errors.ParameterError(f"delta = {delta} is outside (0, 1)")
    if not count:
        return 0.0
    if count[0.0]:
        return math.inf
    library = load_library()
    # Sensitivity is measured in the task's own adjacency and z refers to it; so to the
    # library either one is a plain Gaussian, and its relation makes no difference.
    composed = library.rdp.RdpAccountant(_ORDERS)
    for noise_multiplier, times in count.items():
        composed.compose(library.GaussianDpEvent(noise_multiplier), times)
    return float(composed.get_epsilon(delta))
