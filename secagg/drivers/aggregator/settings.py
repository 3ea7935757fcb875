"""How an aggregator works: its task, its state, its deadlines, and what it is given."""

from __future__ import annotations

import math
from collections.abc import Collection
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from secagg import errors
from secagg.drivers.aggregator.opening import NextModel
from secagg.drivers.aggregator.rounds import Terms
from secagg.drivers.clock import Clock, SystemClock
from secagg.drivers.postgres import DatabaseUrl
from secagg.drivers.progress import Observer, guarded, unobserved
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.thinning import Thinned
from secagg.engine import AUTO
from secagg.entropy import Entropy, SystemEntropy
from secagg.identity import Identity
from secagg.names import PeerId
from secagg.params import input_floor
from secagg.privacy.ledger import Budget
from secagg.roster import Roster
from secagg.task import Task

READY_SECONDS = 3600.0
RECONNECT_SECONDS = 15.0
DELTA = 1e-5
"""The delta at which a task without noise is kept; its epsilon is infinite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an aggregator works; all but the first three have defaults.

    Attributes:
        identity: the aggregator's, in the roster.
        roster: the consortium's; a book if newer versions of it are to be taken up.
        task: what it asks for.
        state: the state directory; None keeps nothing beyond the process.
        journal: the database of journal and ledger; None for the state directory.
        budget: what the task may spend; None for a task without noise.
        min_members: how few may open a session at the deadline; at least 3 and 3c + 1.
        expected: whose Ready opens a session at once; None for every hospital.
        ready_seconds: from RoundOpen to that deadline.
        reconnect_seconds: how long silos may take to come back: added to the first
            deadline after a restart, and the least wait for another attempt.
        next_model: makes the next model of a released mean.
        engine: which mask engine; by default the fastest one for a CPU.
        unmasking: has masks of lost members expanded elsewhere; None for here.
        observer: is told what happens.
        clock: deadlines and the time of day.
        entropy: nonces and noise seeds.
        book: the versions of the roster.
    """

    identity: Identity
    roster: Roster | RosterBook
    task: Task
    state: Path | None = None
    journal: DatabaseUrl | None = None
    budget: Budget | None = None
    min_members: int = 3
    expected: Collection[PeerId] | None = None
    ready_seconds: float = READY_SECONDS
    reconnect_seconds: float = RECONNECT_SECONDS
    next_model: NextModel | None = None
    engine: str = AUTO
    unmasking: Executor | None = None
    observer: Observer = unobserved
    clock: Clock = field(default_factory=SystemClock)
    entropy: Entropy = field(default_factory=SystemEntropy)
    book: RosterBook = field(init=False)

    def __post_init__(self) -> None:
        """Keep what an observer raises away from the protocol, and repetitions."""
        given = self.roster
        book = given if isinstance(given, RosterBook) else RosterBook(given)
        object.__setattr__(self, "book", book)
        observer = Thinned(self.clock, guarded(self.observer))
        object.__setattr__(self, "observer", observer)

    def terms(self) -> Terms:
        """Return when a session may open."""
        c = self.task.corruption_bound
        hospitals = self.book.newest.hospitals
        expected = hospitals if self.expected is None else self.expected
        return Terms(
            task=self.task,
            expected=frozenset(expected) & frozenset(hospitals),
            least=max(self.min_members, 3 * c + 1, input_floor(3 * c + 1, c)),
            ready_seconds=self.ready_seconds,
            reconnect_seconds=self.reconnect_seconds,
        )

    def allowed(self) -> Budget:
        """Return the task's budget; without noise it is infinite.

        Raises:
            ParameterError: noise is announced and no budget is given.
        """
        if self.budget is not None:
            return self.budget
        if self.task.dp is not None:
            raise errors.ParameterError(
                f"task {self.task.task_id} adds noise and has no budget: say which"
                " epsilon it may spend"
            )
        return Budget(epsilon=math.inf, delta=DELTA)

    def check_identity(self) -> None:
        """Refuse an identity that the roster has not enrolled as an aggregator.

        Raises:
            ConnectionRefused: the message says what to do.
        """
        self.check_key(self.book.newest)

    def check_key(self, roster: Roster) -> None:
        """Refuse a roster that does not have this aggregator with this key.

        Raises:
            ConnectionRefused: the message says what to do.
        """
        identity = self.identity
        if identity.id not in roster.aggregators:
            raise errors.ConnectionRefused(
                f"{identity.id} with the key {identity.fingerprint} is no aggregator in"
                f" version {roster.version} of the roster: enrol it, or use the"
                " identity that is enrolled"
            )
        if roster.member(identity.id).key != identity.key.public:
            raise errors.ConnectionRefused(
                f"{identity.id} with the key {identity.fingerprint} is no aggregator in"
                f" version {roster.version} of the roster, which has the key"
                f" {roster.fingerprint(identity.id)} for it: start it with the identity"
                " of that key"
            )
