"""The budget ledger: charge before publishing, once per session, never beyond."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors
from secagg.privacy.accountant import Accountant
from secagg.privacy.ledger import (
    Budget,
    BudgetLedger,
    BudgetSpentError,
    Charge,
    MemoryLedgerStore,
)
from secagg.privacy.mechanism import NoiseEvent
from secagg.sensitivity import Adjacency

DELTA = 1e-5
BUDGETS = {
    "heart": Budget(epsilon=4.0, delta=DELTA),
    "lung": Budget(epsilon=8.0, delta=DELTA),
    "open": Budget(epsilon=math.inf, delta=DELTA),
}


def event(z=3.0, adjacency=Adjacency.ZERO_OUT):
    return NoiseEvent(
        mechanism="discrete-gaussian" if z else "none",
        noise_multiplier=z,
        sensitivity_squared=10**9,
        adjacency=adjacency,
    )


def session(k):
    return k.to_bytes(32, "big")


def epsilon_of(*multipliers):
    account = Accountant()
    for z in multipliers:
        account.compose(event(z))
    return account.epsilon(DELTA)


def spend(ledger, task_id="heart"):
    """Charge sessions until one is refused; return how many were not."""
    for k in range(1000):
        try:
            ledger.charge(task_id, session(k), event())
        except BudgetSpentError:
            return k
    pytest.fail("the budget was never spent")


def test_a_charge_returns_what_the_task_has_spent():
    ledger = BudgetLedger(MemoryLedgerStore(), BUDGETS)
    assert ledger.charge("heart", session(1), event(5.0)) == epsilon_of(5.0)
    assert ledger.charge("heart", session(2), event(6.0)) == epsilon_of(5.0, 6.0)
    assert ledger.epsilon("heart") == epsilon_of(5.0, 6.0)


def test_a_task_that_released_nothing_has_spent_nothing():
    assert BudgetLedger(MemoryLedgerStore(), BUDGETS).epsilon("heart") == 0


def test_tasks_have_accounts_of_their_own():
    ledger = BudgetLedger(MemoryLedgerStore(), BUDGETS)
    ledger.charge("heart", session(1), event())
    assert ledger.epsilon("lung") == 0


def test_the_ledger_stops_at_the_last_release_within_the_budget():
    ledger = BudgetLedger(MemoryLedgerStore(), BUDGETS)
    count = spend(ledger)
    assert epsilon_of(*[3.0] * count) <= 4.0 < epsilon_of(*[3.0] * (count + 1))


def test_a_refused_charge_leaves_store_and_account_as_they_were():
    store = MemoryLedgerStore()
    ledger = BudgetLedger(store, BUDGETS)
    spend(ledger)
    charges, epsilon = store.load(), ledger.epsilon("heart")
    with pytest.raises(BudgetSpentError):
        ledger.charge("heart", session(5000), event(0.1))
    assert (store.load(), ledger.epsilon("heart")) == (charges, epsilon)


def test_a_smaller_release_still_fits_after_a_refusal():
    ledger = BudgetLedger(MemoryLedgerStore(), BUDGETS)
    with pytest.raises(BudgetSpentError):
        ledger.charge("heart", session(1), event(0.5))
    assert ledger.charge("heart", session(1), event(3.0)) == epsilon_of(3.0)


def test_a_refusal_carries_the_numbers():
    with pytest.raises(
        BudgetSpentError, match=r"budget of 4 at delta = 1e-05"
    ) as caught:
        BudgetLedger(MemoryLedgerStore(), BUDGETS).charge(
            "heart", session(1), event(0.5)
        )
    assert caught.value.epsilon_after == epsilon_of(0.5)
    assert caught.value.budget == BUDGETS["heart"]


def test_a_refusal_is_a_refused_release():
    with pytest.raises(errors.ReleaseRefused):
        BudgetLedger(MemoryLedgerStore(), BUDGETS).charge(
            "heart", session(1), event(0.5)
        )


def test_a_session_is_charged_once():
    store = MemoryLedgerStore()
    ledger = BudgetLedger(store, BUDGETS)
    first = ledger.charge("heart", session(1), event())
    assert ledger.charge("heart", session(1), event()) == first
    assert len(store.load()) == 1


def test_a_session_charged_before_a_restart_is_not_charged_again():
    store = MemoryLedgerStore()
    before = BudgetLedger(store, BUDGETS).charge("heart", session(1), event())
    assert BudgetLedger(store, BUDGETS).charge("heart", session(1), event()) == before
    assert len(store.load()) == 1


def test_a_session_charged_in_full_budget_may_be_charged_again():
    # A restart after the last charge that fitted must still be able to publish it.
    ledger = BudgetLedger(MemoryLedgerStore(), BUDGETS)
    last = spend(ledger) - 1
    assert ledger.charge("heart", session(last), event()) == ledger.epsilon("heart")


def test_a_session_cannot_be_charged_for_another_event():
    ledger = BudgetLedger(MemoryLedgerStore(), BUDGETS)
    ledger.charge("heart", session(1), event(3.0))
    with pytest.raises(errors.LocalProtocolError, match="session"):
        ledger.charge("heart", session(1), event(4.0))


def test_a_store_that_fails_leaves_the_account_as_it_was():
    class Full(MemoryLedgerStore):
        def append(self, charge):
            raise errors.StateError("no space left")

    ledger = BudgetLedger(Full(), BUDGETS)
    with pytest.raises(errors.StateError):
        ledger.charge("heart", session(1), event())
    assert ledger.epsilon("heart") == 0


def test_a_release_without_noise_exceeds_every_finite_budget():
    with pytest.raises(BudgetSpentError, match="inf"):
        BudgetLedger(MemoryLedgerStore(), BUDGETS).charge(
            "heart", session(1), event(0.0)
        )


def test_an_infinite_budget_takes_releases_without_noise():
    ledger = BudgetLedger(MemoryLedgerStore(), BUDGETS)
    assert ledger.charge("open", session(1), event(0.0)) == math.inf


def test_a_task_that_once_released_without_noise_cannot_return_to_a_budget():
    store = MemoryLedgerStore()
    BudgetLedger(store, BUDGETS).charge("open", session(1), event(0.0))
    ledger = BudgetLedger(store, {"open": Budget(epsilon=8.0, delta=DELTA)})
    with pytest.raises(BudgetSpentError):
        ledger.charge("open", session(2), event(50.0))


def test_a_task_without_a_budget_is_refused():
    with pytest.raises(errors.ParameterError, match="'kidney'"):
        BudgetLedger(MemoryLedgerStore(), BUDGETS).charge("kidney", session(1), event())


def test_a_finite_budget_without_the_library_is_refused_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(errors.ParameterError, match=r"secagg\[dp\]"):
        BudgetLedger(MemoryLedgerStore(), BUDGETS)


def test_an_infinite_budget_needs_no_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    ledger = BudgetLedger(MemoryLedgerStore(), {"open": BUDGETS["open"]})
    assert ledger.charge("open", session(1), event(0.0)) == math.inf


def test_a_store_that_charges_a_session_twice_is_refused():
    store = MemoryLedgerStore()
    for _ in range(2):
        store.append(Charge(task_id="heart", session_id=session(1), event=event()))
    with pytest.raises(errors.StateError, match="twice"):
        BudgetLedger(store, BUDGETS)


def test_a_store_that_cannot_be_accounted_for_is_refused():
    store = MemoryLedgerStore()
    for k, adjacency in enumerate(Adjacency):
        one = event(adjacency=adjacency)
        store.append(Charge(task_id="heart", session_id=session(k), event=one))
    with pytest.raises(errors.StateError, match="accounted"):
        BudgetLedger(store, BUDGETS)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan])
def test_a_budget_that_is_not_positive_is_refused(epsilon):
    with pytest.raises(errors.ParameterError, match="epsilon"):
        Budget(epsilon=epsilon, delta=DELTA)


@pytest.mark.parametrize("delta", [0.0, 1.0, math.nan])
def test_a_budget_with_delta_out_of_range_is_refused(delta):
    with pytest.raises(errors.ParameterError, match="delta"):
        Budget(epsilon=1.0, delta=delta)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["heart", "lung"]),
            st.integers(0, 5),
            st.sampled_from([1.0, 2.0, 5.0]),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_no_order_of_charges_and_restarts_exceeds_a_budget_or_forgets(steps):
    store = MemoryLedgerStore()
    ledger = BudgetLedger(store, BUDGETS)
    accepted = {}
    for task_id, k, z, restart in steps:
        try:
            ledger.charge(task_id, session(k), event(z))
            accepted[task_id, k] = z
        except (BudgetSpentError, errors.LocalProtocolError):
            pass
        if restart:
            ledger = BudgetLedger(store, BUDGETS)
    for task_id in ("heart", "lung"):
        spent = epsilon_of(*[z for (task, _), z in accepted.items() if task == task_id])
        assert ledger.epsilon(task_id) == pytest.approx(spent)
        assert spent <= BUDGETS[task_id].epsilon
