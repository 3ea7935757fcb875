"""What a hospital knows that it has forgotten, until an operator accepts the loss.

An older copy of a state directory is a good one, and says too little: which rounds were
joined, in which the update is spent. Nothing on the disk can show that; what the others
hold of this hospital's own signatures can (rule 9-6).
"""

from __future__ import annotations

from typing import Final, Protocol

from secagg import errors
from secagg.drivers.database import Database
from secagg.params import MAX_ATTEMPTS
from secagg.rounds.own_part import OwnPart

SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS forgotten (
        task TEXT PRIMARY KEY, round_no INTEGER NOT NULL) STRICT""",
)


class Forgotten(Protocol):
    """By task, the highest round that may have been forgotten; durable on return."""

    def note(self, task_id: str, round_no: int) -> None:
        """Note that what was done in a task up to a round may be forgotten.

        Raises:
            StateError: not written.
        """
        ...

    def of(self, task_id: str) -> int:
        """Return that round; 0 if nothing is known to be forgotten."""
        ...

    def tasks(self) -> tuple[str, ...]:
        """Return the tasks in which something is, sorted."""
        ...

    def accept(self, task_id: str) -> None:
        """Note that the operator accepted it; the marks were set before.

        Raises:
            StateError: not written.
        """
        ...


class MemoryForgotten:
    """One that lasts as long as the process."""

    def __init__(self) -> None:
        """Begin with nothing forgotten."""
        self._rounds: dict[str, int] = {}

    def note(self, task_id: str, round_no: int) -> None:
        """Note that what was done in a task up to a round may be forgotten."""
        self._rounds[task_id] = max(round_no, self.of(task_id))

    def of(self, task_id: str) -> int:
        """Return that round; 0 if nothing is known to be forgotten."""
        return self._rounds.get(task_id, 0)

    def tasks(self) -> tuple[str, ...]:
        """Return the tasks in which something is, sorted."""
        return tuple(sorted(self._rounds))

    def accept(self, task_id: str) -> None:
        """Note that the operator accepted it."""
        self._rounds.pop(task_id, None)


class SqliteForgotten:
    """The same in a hospital's database."""

    def __init__(self, database: Database) -> None:
        """Use the tables of `SCHEMA`."""
        self._database = database

    def note(self, task_id: str, round_no: int) -> None:
        """Note that what was done in a task up to a round may be forgotten."""
        self._database.execute(
            "INSERT INTO forgotten VALUES (?, ?) ON CONFLICT (task)"
            " DO UPDATE SET round_no = max(round_no, excluded.round_no)",
            task_id,
            round_no,
        )

    def of(self, task_id: str) -> int:
        """Return that round; 0 if nothing is known to be forgotten."""
        rows = self._database.execute(
            "SELECT round_no FROM forgotten WHERE task = ?", task_id
        )
        return int(rows[0][0]) if rows else 0

    def tasks(self) -> tuple[str, ...]:
        """Return the tasks in which something is, sorted."""
        rows = self._database.execute("SELECT task FROM forgotten ORDER BY task")
        return tuple(task for (task,) in rows)

    def accept(self, task_id: str) -> None:
        """Note that the operator accepted it."""
        self._database.execute("DELETE FROM forgotten WHERE task = ?", task_id)


class Marks(Protocol):
    """What of a store is compared with what the others show."""

    @property
    def forgotten(self) -> Forgotten:
        """What is known to be forgotten."""
        ...

    def last_joined(self, task_id: str) -> tuple[int, int]:
        """Return the highest (round_no, attempt) joined."""
        ...

    def record_joined(self, task_id: str, round_no: int, attempt: int) -> None:
        """Record that a session was joined."""
        ...

    def spent(self, task_id: str, round_no: int) -> bool:
        """Return whether a round's update is spent."""
        ...

    def record_spent(self, task_id: str, round_no: int) -> None:
        """Record that a round's update is spent."""
        ...


def require_remembered(marks: Marks) -> None:
    """Refuse to take part while something is forgotten, of whichever task.

    All tasks have their marks in one directory: what shows of one that it is an older
    copy shows it of all, and nobody need have shown anything of the others.

    Raises:
        StateRolledBack: something is; the message says what to do.
    """
    for task_id in marks.forgotten.tasks():
        round_no = marks.forgotten.of(task_id)
        joined, attempt = marks.last_joined(task_id)
        raise errors.StateRolledBack(
            f"this hospital took part in task {task_id} after what its state directory"
            f" knows of: the last it knows is round {joined} attempt {attempt}, and it"
            f" may have forgotten up to round {round_no}. The directory is an older"
            " copy, or a new one: put the newest one back; if there is none, `secagg"
            " accept-loss --config FILE` gives up the rounds up to that one"
        )


def check_part(marks: Marks, task_id: str, part: OwnPart, round_no: int) -> None:
    """Compare a part of this hospital's own with its marks (rule 9-6).

    Args:
        marks: the store.
        task_id: the task.
        part: what it is shown to have done.
        round_no: the highest round it was shown.

    Raises:
        StateRolledBack: the marks do not know of it.
    """
    last = marks.last_joined(task_id)
    known = (part.round_no, part.attempt) <= last
    # Between a `joined` mark and the `spent` mark of the same round, too.
    if part.included and part.round_no == last[0]:
        known = known and marks.spent(task_id, part.round_no)
    if not known:
        marks.forgotten.note(task_id, max(round_no, part.round_no))
        require_remembered(marks)


def accept_loss(marks: Marks, task_id: str) -> int:
    """Set the marks of a task above all that may be forgotten; return the round.

    No session of that round or of one before is joined any more, so none of their
    updates enters a second sum.

    Raises:
        StateError: nothing of the task is known to be forgotten, or not written.
    """
    round_no = marks.forgotten.of(task_id)
    if not round_no:
        raise errors.StateError(
            f"nothing of task {task_id} is known to be forgotten: there is no loss to"
            " accept"
        )
    if marks.last_joined(task_id) < (round_no, MAX_ATTEMPTS):
        marks.record_joined(task_id, round_no, MAX_ATTEMPTS)
    marks.record_spent(task_id, round_no)
    # Last, so that a crash before it has the whole done again.
    marks.forgotten.accept(task_id)
    return round_no
