"""Each attack loses against its mechanism, and wins once that is switched off."""

import pytest

from tests.attacks import (
    arithmetic,
    dealt,
    fresh,
    keys,
    load,
    masks,
    numbers,
    openings,
    protocol,
    rosters,
)

GROUPS = (
    openings,
    dealt,
    protocol,
    masks,
    arithmetic,
    keys,
    load,
    fresh,
    numbers,
    rosters,
)
ATTACKS = [attack for group in GROUPS for attack in group.ATTACKS]


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_an_attack_loses_and_wins_without_its_mechanism(attack) -> None:
    assert not attack.wins()
    with attack.off():
        assert attack.wins()
    assert not attack.wins()
