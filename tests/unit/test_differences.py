"""secagg.differences: rule 4.5-8, what two sums tell beside each other."""

import itertools
from dataclasses import replace

import pytest

from secagg.differences import SummedSet, check_apart
from secagg.messages import Extra
from secagg.names import PeerId
from tests.helpers import refused_rule
from tests.samples import blob, sound_manifest

PEERS = tuple(PeerId(name) for name in "abcd")
SETS = [
    frozenset(chosen)
    for size in range(len(PEERS) + 1)
    for chosen in itertools.combinations(PEERS, size)
]


def summed(peers, model=1, constants=True) -> SummedSet:
    return SummedSet(frozenset(peers), blob(model), constants)


@pytest.mark.parametrize("least", range(5))
def test_two_sets_are_equal_or_differ_by_the_floor(least) -> None:
    """Of four members, every pair of sets."""
    for one, other in itertools.product(SETS, SETS):
        alone = sum((u in one) != (u in other) for u in PEERS)
        if alone in range(1, least):
            refused = refused_rule(check_apart, summed(one), [summed(other)], least)
            assert refused == "4.5-8"
        else:
            check_apart(summed(one), [summed(other)], least)


@pytest.mark.parametrize(
    ("model", "before", "now", "shared"),
    [
        (1, False, False, True),
        (2, False, False, False),
        (2, True, False, False),
        (2, False, True, False),
        (2, True, True, True),
        (1, True, False, True),
    ],
)
def test_sums_share_numbers_on_one_model_or_where_both_have_constants(
    model, before, now, shared
) -> None:
    past = summed("abc", model, before)
    new = summed("abcd", 1, now)
    assert new.may_share(past) == past.may_share(new) == shared
    if shared:
        assert refused_rule(check_apart, new, [past], 2) == "4.5-8"
    else:
        check_apart(new, [past], 2)


def test_every_earlier_sum_counts_and_not_the_last_alone() -> None:
    """Else {a, b, c, d} and {a, b, c} would go by with {a, b} between them."""
    earlier = [summed("abcd"), summed("ab")]
    assert refused_rule(check_apart, summed("abc"), earlier, 2) == "4.5-8"


@pytest.mark.parametrize(
    ("changes", "constants"),
    [
        ({"weighting": "uniform", "extras": ()}, False),
        ({"weighting": "weighted", "extras": ()}, True),
        ({"weighting": "uniform", "extras": (Extra(name="n", low=0, high=1),)}, True),
    ],
)
def test_weights_and_declared_extras_are_constants(changes, constants) -> None:
    manifest = replace(sound_manifest(), **changes)
    found = SummedSet.of(manifest, PEERS)
    assert found == SummedSet(frozenset(PEERS), manifest.model_hash, constants)
