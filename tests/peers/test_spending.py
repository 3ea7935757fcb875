"""peers.spending: what a budget pays for, by the accountant of the library."""

import pytest

from peers import spending
from peers.config_aggregator import Privacy
from secagg import errors
from secagg.drivers.aggregator.ledger_store import DurableLedgerStore
from secagg.drivers.aggregator.state import LEDGER_NAME
from secagg.privacy.ledger import Charge
from secagg.privacy.mechanism import NoiseEvent
from secagg.sensitivity import Adjacency

DELTA = 1e-5


@pytest.mark.parametrize("rounds", [1, 5, 20])
@pytest.mark.parametrize("epsilon", [0.5, 8.0])
def test_the_noise_for_a_budget_is_just_enough(epsilon, rounds) -> None:
    noise = spending.noise_for(epsilon, rounds, DELTA)
    assert spending.epsilon_of(noise, rounds, DELTA) <= epsilon
    assert spending.epsilon_of(noise / 1.01, rounds, DELTA) > epsilon


NOISE = 1.0


def terms_of(rounds):
    """A budget that pays for so many releases with z = 1, and for no other one."""
    epsilon = spending.epsilon_of(NOISE, rounds, DELTA) + 1e-6
    return Privacy(noise_multiplier=NOISE, epsilon=epsilon, delta=DELTA)


def charge_of(number, task="cardio", noise=NOISE):
    event = NoiseEvent(
        mechanism=spending.MECHANISM,
        noise_multiplier=noise,
        sensitivity_squared=49,
        adjacency=Adjacency.ZERO_OUT,
    )
    return Charge(task_id=task, session_id=bytes([number]) * 32, event=event)


def test_a_budget_pays_for_the_releases_it_was_made_for() -> None:
    account = spending.Account(terms_of(3))
    for number in range(3):
        account.require_next()
        account.note(bytes([number]) * 32)
    with pytest.raises(errors.ReleaseRefused, match="3 releases have spent"):
        account.require_next()


def test_what_the_ledger_charged_counts() -> None:
    account = spending.Account(terms_of(2), [charge_of(1), charge_of(2)])
    with pytest.raises(errors.ReleaseRefused, match="2 releases have spent"):
        account.require_next()


def test_a_charge_counts_with_the_noise_it_had() -> None:
    account = spending.Account(terms_of(2), [charge_of(1, noise=0.4)])
    with pytest.raises(errors.ReleaseRefused, match="1 releases have spent"):
        account.require_next()


def test_a_release_that_was_charged_before_a_restart_counts_once() -> None:
    account = spending.Account(terms_of(2), [charge_of(1)])
    account.note(charge_of(1).session_id)
    account.require_next()
    assert account.releases == 1


def test_the_ledger_is_asked_for_the_charges_of_the_task_alone(tmp_path) -> None:
    assert spending.charges_of(tmp_path, "cardio") == ()
    ours, theirs = charge_of(1), charge_of(2, task="kidney")
    with DurableLedgerStore(tmp_path / LEDGER_NAME) as store:
        store.load()
        store.append(ours)
        store.append(theirs)
    assert spending.charges_of(tmp_path, "cardio") == (ours,)


def test_no_round_costs_nothing() -> None:
    assert spending.epsilon_of(1.0, 0, DELTA) == 0


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan")])
def test_a_budget_that_is_none_is_refused(epsilon) -> None:
    with pytest.raises(errors.ParameterError, match="must be above 0"):
        spending.noise_for(epsilon, 10, DELTA)


def test_a_budget_that_no_noise_meets_is_refused() -> None:
    with pytest.raises(errors.ParameterError, match="no noise gives"):
        spending.noise_for(0.01, 10, 1e-300)
