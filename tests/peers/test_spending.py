"""peers.spending: what a budget pays for, by the accountant of the library."""

import pytest

from peers import spending
from secagg import errors

DELTA = 1e-5


@pytest.mark.parametrize("rounds", [1, 5, 20])
@pytest.mark.parametrize("epsilon", [0.5, 8.0])
def test_the_noise_for_a_budget_is_just_enough(epsilon, rounds) -> None:
    noise = spending.noise_for(epsilon, rounds, DELTA)
    assert spending.epsilon_of(noise, rounds, DELTA) <= epsilon
    assert spending.epsilon_of(noise / 1.01, rounds, DELTA) > epsilon


def test_a_budget_pays_for_the_rounds_it_was_made_for() -> None:
    noise = spending.noise_for(4.0, 10, DELTA)
    assert spending.affordable(noise, 4.0, DELTA, 100) == 10


def test_a_budget_pays_for_no_more_than_asked() -> None:
    assert spending.affordable(50.0, 8.0, DELTA, 3) == 3


def test_a_budget_may_pay_for_nothing() -> None:
    assert spending.affordable(0.1, 0.5, DELTA, 10) == 0


def test_no_round_costs_nothing() -> None:
    assert spending.epsilon_of(1.0, 0, DELTA) == 0


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan")])
def test_a_budget_that_is_none_is_refused(epsilon) -> None:
    with pytest.raises(errors.ParameterError, match="must be above 0"):
        spending.noise_for(epsilon, 10, DELTA)


def test_a_budget_that_no_noise_meets_is_refused() -> None:
    with pytest.raises(errors.ParameterError, match="no noise gives"):
        spending.noise_for(0.01, 10, 1e-300)
