"""From a hospital's configuration to the policy that the library holds it to."""

from __future__ import annotations

from peers.config_hospital import PolicyTerms
from secagg import Policy


def policy_of(terms: PolicyTerms, tasks: tuple[str, ...] | None) -> Policy:
    """Return the hospital's policy."""
    return Policy(
        tasks=None if tasks is None else frozenset(tasks),
        min_members=terms.min_members,
        corruption_bound=terms.corruption_bound,
        min_inputs=terms.min_inputs,
        smallest_sparse=terms.smallest_sparse,
        sparse_corrupt_percent=terms.sparse_corrupt_percent,
        max_clip=terms.max_clip,
        min_bits=terms.min_bits,
        min_range=terms.min_range,
        max_ranges=terms.max_ranges,
        rotation=terms.rotation,
        weightings=frozenset(terms.weightings),
        max_weight=terms.max_weight,
        min_noise_multiplier=terms.min_noise_multiplier,
        max_epsilon=terms.max_epsilon,
        delta=terms.delta,
        min_difference=terms.min_difference,
        max_attempts=terms.max_attempts,
        models=None if terms.models is None else frozenset(terms.models),
        max_length=terms.max_length,
    )
