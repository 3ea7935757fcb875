"""A hospital's own privacy budget, whatever the aggregator's ledger says (spec 4.1-5).

Charged from the Manifest, when the root goes out: from then on the update may enter a
released sum. So an attempt that fails before costs nothing, and a crash never forgets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from secagg import errors
from secagg.messages import NoiseTerms
from secagg.policy import Policy
from secagg.privacy.accountant import Accountant
from secagg.privacy.mechanism import NoiseEvent
from secagg.sensitivity import Adjacency


def check_budget(
    noise: NoiseTerms | None, charges: Iterable[NoiseTerms], policy: Policy
) -> None:
    """Refuse a release that would bring this hospital's epsilon above the policy's.

    Args:
        noise: what the Manifest announces; checked by rule 2.2-8.
        charges: so far, of whichever task: the aggregator names them.
        policy: with the budget, if the hospital has one.

    Raises:
        RemoteProtocolError: rule 4.1-5, with both values.
        ParameterError: the accountant's library is not installed.
    """
    if policy.max_epsilon is None:
        return
    spent = [*charges]
    after = _epsilon([*spent, noise], policy.delta)
    errors.require(
        "4.1-5",
        after <= policy.max_epsilon,
        f"this release would bring epsilon to {after:.4g} after {len(spent)} others, at"
        f" delta = {policy.delta:g}, above max_epsilon {policy.max_epsilon:g} (this"
        " hospital's policy)",
    )


def _epsilon(releases: Iterable[NoiseTerms | None], delta: float) -> float:
    """Return what the releases cost together; infinite where one is without noise.

    Two adjacencies are not summed up: that, too, is beyond any budget.
    """
    account = Accountant()
    kinds = set[str]()
    for noise in releases:
        if noise is None:
            return math.inf
        kinds.add(noise.adjacency)
        if len(kinds) > 1:
            return math.inf
        account.compose(_event(noise))
    return account.epsilon(delta)


def _event(noise: NoiseTerms) -> NoiseEvent:
    """Return a release; epsilon depends on z alone, and not on the sensitivity."""
    return NoiseEvent(
        mechanism=noise.mechanism,
        noise_multiplier=noise.noise_multiplier,
        sensitivity_squared=1,
        adjacency=Adjacency(noise.adjacency),
    )
