"""secagg.privacy.own_budget: a hospital's own account of a task (4.1-5)."""

from dataclasses import replace

import pytest

from secagg import errors
from secagg.messages import NoiseTerms
from secagg.policy import Policy
from secagg.privacy.accountant import Accountant
from secagg.privacy.mechanism import NoiseEvent
from secagg.privacy.own_budget import check_budget
from secagg.sensitivity import Adjacency
from tests.helpers import refused_rule

NOISE = NoiseTerms(
    mechanism="discrete-gaussian",
    noise_multiplier=4.0,
    adjacency="zero-out",
    delta=1e-5,
)
DELTA = 1e-6


def epsilon(times: int) -> float:
    account = Accountant()
    event = NoiseEvent(
        mechanism="discrete-gaussian",
        noise_multiplier=4.0,
        sensitivity_squared=9,
        adjacency=Adjacency.ZERO_OUT,
    )
    for _ in range(times):
        account.compose(event)
    return account.epsilon(DELTA)


@pytest.mark.parametrize("before", [0, 1, 5])
def test_a_release_beyond_the_hospitals_budget_is_refused(before) -> None:
    spent = [NOISE] * before
    after = epsilon(before + 1)
    check_budget(NOISE, spent, Policy(max_epsilon=after, delta=DELTA))
    tight = Policy(max_epsilon=after * 0.999, delta=DELTA)
    assert refused_rule(check_budget, NOISE, spent, tight) == "4.1-5"


def test_the_refusal_gives_both_values() -> None:
    tight = Policy(max_epsilon=0.25, delta=DELTA)
    with pytest.raises(errors.RemoteProtocolError) as caught:
        check_budget(NOISE, [NOISE], tight)
    assert f"{epsilon(2):.4g}" in caught.value.detail
    assert "max_epsilon 0.25" in caught.value.detail


def test_without_a_budget_nothing_is_accounted_for() -> None:
    check_budget(None, [], Policy())
    check_budget(NOISE, [NOISE] * 1000, Policy())


def test_an_account_demands_noise() -> None:
    generous = Policy(max_epsilon=1e9, delta=DELTA)
    assert refused_rule(check_budget, None, [], generous) == "4.1-5"


def test_an_account_keeps_to_one_adjacency() -> None:
    other = replace(NOISE, adjacency="replace-one")
    generous = Policy(max_epsilon=1e9, delta=DELTA)
    assert refused_rule(check_budget, other, [NOISE], generous) == "4.1-5"


def test_the_delta_is_the_hospitals_and_not_the_manifests() -> None:
    lax = replace(NOISE, delta=0.5)
    tight = Policy(max_epsilon=epsilon(1) * 0.999, delta=DELTA)
    assert refused_rule(check_budget, lax, [], tight) == "4.1-5"
