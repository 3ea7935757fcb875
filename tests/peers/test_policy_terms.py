"""peers.policy_terms: every floor of the library can be set in the file."""

from dataclasses import fields

from peers.config_hospital import PolicyTerms
from peers.policy_terms import policy_of
from secagg import Policy


def test_every_floor_of_a_policy_is_a_key_of_the_table() -> None:
    # Which roster to judge by is the membership's business, not a Manifest's floor.
    keys = set(PolicyTerms.model_fields) - {"roster_updates"} | {"tasks"}
    assert keys == {field.name for field in fields(Policy)}


def test_an_empty_table_is_the_usual_policy() -> None:
    assert policy_of(PolicyTerms(), None) == Policy()


def test_every_key_reaches_the_policy() -> None:
    """No floor is forgotten on the way, so that none is laxer than it was written."""
    given = {
        "min_members": 7,
        "corruption_bound": 2,
        "min_inputs": 6,
        "smallest_sparse": 300,
        "sparse_corrupt_percent": 20,
        "max_clip": 2.0,
        "min_bits": 12,
        "min_range": 0.5,
        "max_ranges": 3,
        "rotation": False,
        "weightings": ["uniform"],
        "max_weight": 50,
        "min_noise_multiplier": 1.5,
        "max_epsilon": 4.0,
        "delta": 1e-7,
        "min_difference": 2,
        "max_attempts": 1,
        "models": ["ab" * 32],
        "max_length": 1000,
    }
    policy = policy_of(PolicyTerms.model_validate(given), ("icu",))
    usual = Policy()
    for field in fields(Policy):
        assert getattr(policy, field.name) != getattr(usual, field.name), field.name
    assert policy.models == frozenset({bytes.fromhex("ab" * 32)})
