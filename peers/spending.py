"""What a task has spent of its privacy budget, and the noise that a budget asks for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from peers.config_aggregator import Privacy
from secagg.drivers.aggregator.ledger_store import DurableLedgerStore
from secagg.drivers.aggregator.state import LEDGER_NAME
from secagg.drivers.postgres import DatabaseUrl
from secagg.errors import ParameterError, ReleaseRefused
from secagg.privacy.accountant import Accountant
from secagg.privacy.ledger import Charge
from secagg.privacy.mechanism import NoiseEvent
from secagg.sensitivity import Adjacency

MECHANISM: Final = "discrete-gaussian"

_MOST_NOISE: Final = 1e6


class Account:
    """The releases of one task: those of the ledger, and those made since."""

    def __init__(self, terms: Privacy, charges: Iterable[Charge] = ()) -> None:
        """Take up the task's charges.

        Args:
            terms: noise and budget.
            charges: of this task, as the ledger has them.

        Raises:
            ParameterError: they cannot be accounted for under these terms.
        """
        self._terms = terms
        self._accountant = Accountant()
        self._sessions: set[bytes] = set()
        for charge in charges:
            self._sessions.add(charge.session_id)
            self._accountant.compose(charge.event)

    @property
    def releases(self) -> int:
        """How many were charged."""
        return len(self._sessions)

    def note(self, session_id: bytes) -> None:
        """Take up a release of this run, once."""
        if session_id not in self._sessions:
            self._sessions.add(session_id)
            self._accountant.compose(self._next)

    def require_next(self) -> None:
        """Refuse to begin a round whose release the ledger would refuse.

        Raises:
            ReleaseRefused: it would exceed the budget; gives the numbers.
        """
        terms = self._terms
        after = self._accountant.epsilon_after(self._next, terms.delta)
        if after <= terms.epsilon:
            return
        raise ReleaseRefused(
            f"{self.releases} releases have spent epsilon ="
            f" {self._accountant.epsilon(terms.delta):.4g} at delta = {terms.delta:g},"
            f" and another one with noise multiplier {terms.noise_multiplier:g} would"
            f" bring it to {after:.4g}, above the privacy budget of {terms.epsilon:g}:"
            " stop here, or begin a new task with more noise or a budget its members"
            " agree to"
        )

    @property
    def _next(self) -> NoiseEvent:
        return _event(self._terms.noise_multiplier, self._terms.adjacency)


def charges_of(
    state: Path, task: str, database: DatabaseUrl | None = None
) -> tuple[Charge, ...]:
    """Return what the ledger of an aggregator charged a task.

    Args:
        state: its state directory.
        task: the task's id.
        database: where the ledger is instead, if not in the directory.

    Raises:
        StateError: another process holds the ledger, or it is damaged.
    """
    path = state / LEDGER_NAME
    if database is None and not path.exists():
        return ()
    with DurableLedgerStore(database or path) as store:
        return tuple(charge for charge in store.load() if charge.task_id == task)


def _event(noise_multiplier: float, adjacency: str) -> NoiseEvent:
    """Return a release; epsilon depends on z alone, and not on the sensitivity."""
    return NoiseEvent(
        mechanism=MECHANISM,
        noise_multiplier=noise_multiplier,
        sensitivity_squared=1,
        adjacency=Adjacency(adjacency),
    )


def epsilon_of(
    noise_multiplier: float,
    rounds: int,
    delta: float,
    adjacency: str = Adjacency.ZERO_OUT,
) -> float:
    """Return what so many rounds spend.

    Args:
        noise_multiplier: z of each.
        rounds: 0 or more.
        delta: in (0, 1).
        adjacency: what z refers to.
    """
    accountant = Accountant()
    event = _event(noise_multiplier, adjacency)
    for _ in range(rounds):
        accountant.compose(event)
    return accountant.epsilon(delta)


def noise_for(epsilon: float, rounds: int, delta: float) -> float:
    """Return the least noise multiplier, to three digits, that pays for `rounds`.

    Raises:
        ParameterError: epsilon is not above 0, or too small for any noise.
    """
    if not epsilon > 0:
        raise ParameterError(f"epsilon = {epsilon} must be above 0")
    if epsilon_of(_MOST_NOISE, rounds, delta) > epsilon:
        raise ParameterError(
            f"no noise gives epsilon = {epsilon} at delta = {delta} in {rounds} rounds"
        )
    low, high = 1e-3, _MOST_NOISE
    while high > low * 1.0005:
        middle = (low * high) ** 0.5
        if epsilon_of(middle, rounds, delta) <= epsilon:
            high = middle
        else:
            low = middle
    return high
