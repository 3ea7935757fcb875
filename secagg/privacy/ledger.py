"""The privacy budget of every task, charged before publication. Spec 10-3, 9-4.

A charge is on stable storage before `charge` returns, and is made once per session: an
aggregator that restarts between charge and publication charges the same session again,
which changes nothing, and publishes the same noise.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from secagg import errors
from secagg.privacy.accountant import Accountant, load_library
from secagg.privacy.mechanism import NoiseEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a task may spend.

    Attributes:
        epsilon: above 0; infinite for a task that is not private.
        delta: in (0, 1).

    Raises:
        ParameterError: a value is out of range.
    """

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        if not self.epsilon > 0:
            raise errors.ParameterError(
                f"budget epsilon = {self.epsilon} is not above 0"
            )
        if not 0 < self.delta < 1:
            raise errors.ParameterError(
                f"budget delta = {self.delta} is outside (0, 1)"
            )


UNLIMITED: Final = Budget(epsilon=math.inf, delta=1e-6)
"""The budget of a task that announces no noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One release of one task, as it is stored."""

    task_id: str
    session_id: bytes
    event: NoiseEvent


class LedgerStore(Protocol):
    """Where charges are kept; one ledger writes to it."""

    def load(self) -> tuple[Charge, ...]:
        """Return all charges in the order they were made.

        Raises:
            StateError: what is stored is torn or invalid.
        """
        ...

    def append(self, charge: Charge) -> None:
        """Put `charge` on stable storage before returning.

        Raises:
            StateError: it could not be stored.
        """
        ...


class MemoryLedgerStore:
    """Charges that last as long as the process: for simulations and tests."""

    def __init__(self) -> None:
        """Begin empty."""
        self._charges: list[Charge] = []

    def load(self) -> tuple[Charge, ...]:
        """Return all charges in the order they were made."""
        return tuple(self._charges)

    def append(self, charge: Charge) -> None:
        """Keep `charge`."""
        self._charges.append(charge)


class BudgetSpentError(errors.ReleaseRefused):
    """A release would exceed the task's budget; nothing was charged.

    Attributes:
        epsilon_after: what the release would have brought epsilon to.
        budget: what the task may spend.
    """

    def __init__(self, detail: str, *, epsilon_after: float, budget: Budget) -> None:
        """Record the numbers of the refusal."""
        self.epsilon_after = epsilon_after
        self.budget = budget
        super().__init__(detail)


class BudgetLedger:
    """The charges and budgets of an aggregator's tasks. Calls must not overlap."""

    def __init__(self, store: LedgerStore, budgets: Mapping[str, Budget]) -> None:
        """Take up the charges that `store` holds.

        Args:
            store: this ledger is its only writer.
            budgets: by task id.

        Raises:
            StateError: the stored charges are torn or contradict each other.
            ParameterError: a budget is finite and the accounting library is missing:
                better now than when the sum is open.
        """
        self._store = store
        self._budgets = dict(budgets)
        self._charged: dict[tuple[str, bytes], NoiseEvent] = {}
        self._accounts: collections.defaultdict[str, Accountant] = (
            collections.defaultdict(Accountant)
        )
        for charge in store.load():
            self._take_up(charge)
        if any(math.isfinite(budget.epsilon) for budget in self._budgets.values()):
            load_library()

    def epsilon(self, task_id: str) -> float:
        """Return what the task has spent, at its budget's delta.

        Raises:
            ParameterError: the task has no budget.
        """
        return self._accounts[task_id].epsilon(self.budget(task_id).delta)

    def budget(self, task_id: str) -> Budget:
        """Return what the task may spend.

        Raises:
            ParameterError: the task has no budget.
        """
        if task_id not in self._budgets:
            raise errors.ParameterError(f"task {task_id!r} has no privacy budget")
        return self._budgets[task_id]

    def charge(self, task_id: str, session_id: bytes, event: NoiseEvent) -> float:
        """Charge one release and return the epsilon the task has then spent.

        Charging a session again, with the same event, changes nothing.

        Args:
            task_id: the task.
            session_id: 32 bytes.
            event: what will be released.

        Raises:
            BudgetSpentError: the release would exceed the budget; nothing changed.
            LocalProtocolError: this session was charged for another event.
            ParameterError: the task has no budget, or the event is not one that can be
                accounted for.
            StateError: the charge could not be stored; nothing may be published.
        """
        budget = self.budget(task_id)
        earlier = self._charged.get((task_id, session_id))
        if earlier is not None:
            self._require_same(earlier, event, session_id)
            return self.epsilon(task_id)
        after = self._accounts[task_id].epsilon_after(event, budget.delta)
        if after > budget.epsilon:
            raise self._refusal(task_id, event, after)
        charge = Charge(task_id=task_id, session_id=session_id, event=event)
        self._store.append(charge)
        self._enter(charge)
        return after

    def _take_up(self, charge: Charge) -> None:
        """Enter a stored charge, which no honest ledger wrote twice or mixed up."""
        if (charge.task_id, charge.session_id) in self._charged:
            raise errors.StateError(
                f"the privacy ledger of task {charge.task_id!r} charges session"
                f" {charge.session_id.hex()[:16]} twice: restore it from a backup"
            )
        try:
            self._enter(charge)
        except errors.ParameterError as error:
            raise errors.StateError(
                f"the privacy ledger of task {charge.task_id!r} cannot be accounted"
                f" for: {error}"
            ) from error

    def _enter(self, charge: Charge) -> None:
        self._accounts[charge.task_id].compose(charge.event)
        self._charged[charge.task_id, charge.session_id] = charge.event

    def _require_same(
        self, earlier: NoiseEvent, event: NoiseEvent, session_id: bytes
    ) -> None:
        if earlier != event:
            raise errors.LocalProtocolError(
                f"session {session_id.hex()[:16]} was charged for {earlier} and cannot"
                f" be charged for {event}"
            )

    def _refusal(
        self, task_id: str, event: NoiseEvent, after: float
    ) -> BudgetSpentError:
        budget = self.budget(task_id)
        times = sum(task == task_id for task, _ in self._charged)
        return BudgetSpentError(
            f"task {task_id!r}: a release with {event.mechanism} noise, z ="
            f" {event.noise_multiplier:g}, would bring epsilon to {after:.4g}, above"
            f" the budget of {budget.epsilon:g} at delta = {budget.delta:g}; {times}"
            f" releases have spent {self.epsilon(task_id):.4g}. Stop here, or begin a"
            " new task with a larger noise multiplier or a budget its members agree to",
            epsilon_after=after,
            budget=budget,
        )
