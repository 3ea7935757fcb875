"""Attacks that succeed once a rule is switched off: the rule, and the witness, bite.

Each attack is held off by the rules it names. Without them an honest client does what
must never happen, and the witnesses of `tests.invariants` say so.
"""

import pytest

from secagg import errors
from tests.attacks.stories import (
    keys_in_the_middle,
    made_up_inputs,
    same_attempt_again,
    same_round_after_the_root,
    small_u3,
    too_few_votes,
    two_input_lists,
    votes_on_another_h3,
)
from tests.helpers import silos
from tests.invariants import check_all
from tests.rules_off import switched_off

ATTACKS = [
    (two_input_lists, ("3.4-6", "3.4-7"), "I3"),
    (too_few_votes, ("4.6-4",), "I2"),
    (votes_on_another_h3, ("4.6-3",), "I2"),
    (same_round_after_the_root, ("4.1-8",), "I8"),
    (same_attempt_again, ("4.1-6",), "I7"),
    (made_up_inputs, ("4.5-3",), "did not sign"),
    (small_u3, ("4.5-5", "4.5-7"), "below the floor"),
    (keys_in_the_middle, ("4.2-2",), "did not sign"),
]


def witnessed(world):
    honest = [world.clients[u] for u in silos(1, 2, 3)]
    check_all(honest, world.consortium.roster, 1)


@pytest.mark.parametrize(
    ("attack", "rules", "harm"), ATTACKS, ids=lambda a: getattr(a, "__name__", None)
)
def test_an_attack_fails_by_its_rule_and_harms_without_it(attack, rules, harm) -> None:
    witnessed(attack())
    with switched_off(*rules):
        world = attack()
    with pytest.raises(AssertionError, match=harm):
        witnessed(world)


def test_one_rule_is_off_the_others_stay_on_and_all_come_back() -> None:
    with switched_off("4.6-3"):
        errors.require("4.6-3", False, "is off")
        errors.require("4.6-4", True, "holds")
        with pytest.raises(errors.RemoteProtocolError, match=r"4\.6-4"):
            errors.require("4.6-4", False, "is on")
    with pytest.raises(errors.RemoteProtocolError, match=r"4\.6-3"):
        errors.require("4.6-3", False, "is on again")
