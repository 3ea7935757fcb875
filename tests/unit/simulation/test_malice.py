"""Every trick of a dishonest party comes to what the spec says."""

import pytest

from secagg.simulation.malice import AGGREGATOR_MALICE, SILO_MALICE
from secagg.simulation.scenario import RoundScript, Scenario, play

LIAR = "silo-005"


def outcome(peer, trick):
    script = RoundScript(malice={peer: trick})
    (out,) = play(Scenario(silos=6, params=30, seed=7, rounds=(script,)))
    return out


def test_garbage_breaks_the_exact_bound_and_the_round_is_discarded():
    out = outcome(LIAR, "garbage")
    assert out.result.status == "discarded"
    assert out.result.vector is None


@pytest.mark.parametrize("trick", sorted(SILO_MALICE))
def test_a_dishonest_silo_cannot_spoil_the_sum(trick):
    out = outcome(LIAR, trick)
    assert out.aborted is None
    assert out.exact


def test_a_dealer_of_bad_shares_is_left_out_of_u2():
    assert LIAR not in outcome(LIAR, "bad-shares").sets["u2"]


def test_a_false_complaint_excludes_nobody():
    assert len(outcome(LIAR, "false-complaint").sets["u2"]) == 6


@pytest.mark.parametrize(
    ("trick", "rule"), [("wrong-root", "4.5-1"), ("wrong-share", "4.7-2")]
)
def test_a_provable_lie_gets_its_silo_dropped(trick, rule):
    assert outcome(LIAR, trick).dropped == {LIAR: rule}


@pytest.mark.parametrize("trick", sorted(AGGREGATOR_MALICE))
def test_a_dishonest_aggregator_gets_no_release(trick):
    out = outcome("aggregator", trick)
    assert out.aborted is not None
    assert out.sets["u5"] == ()
