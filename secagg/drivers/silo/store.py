"""What a hospital remembers: rules 9-2 and 9-5, and its receipts.

Which rounds it joined, in which it released shares, the head of each task's chain, and
what came out. Everything here is public or a mark of the hospital's own; no secret has
a place in it. An old copy that is restored has forgotten marks, and with them what
rules 4.1-6 and 4.1-8 protect: it counts as one corruption (spec 2.3), until something
that the others show of it gives it away (rule 9-6).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

from secagg import errors
from secagg.crypto.transcript import LINK_START
from secagg.drivers import private
from secagg.drivers.database import Database, Row
from secagg.drivers.silo import forgotten, past
from secagg.drivers.silo.forgotten import Forgotten, MemoryForgotten, SqliteForgotten
from secagg.names import PeerId, SessionId

FILE_NAME: Final = "state.sqlite3"
_VERSION: Final = 2

_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS joined (
        task TEXT, round_no INTEGER, attempt INTEGER,
        PRIMARY KEY (task, round_no, attempt)) STRICT""",
    """CREATE TABLE IF NOT EXISTS spent (
        task TEXT, round_no INTEGER, PRIMARY KEY (task, round_no)) STRICT""",
    """CREATE TABLE IF NOT EXISTS head (
        task TEXT PRIMARY KEY, link BLOB NOT NULL) STRICT""",
    """CREATE TABLE IF NOT EXISTS receipts (
        number INTEGER PRIMARY KEY, task TEXT NOT NULL, round_no INTEGER NOT NULL,
        sid BLOB NOT NULL UNIQUE, u3 TEXT NOT NULL, result_hash BLOB NOT NULL,
        epsilon REAL, at_ms INTEGER NOT NULL) STRICT""",
    *past.SCHEMA,
    *forgotten.SCHEMA,
)

_IF_DAMAGED: Final = (
    "move it away and keep it for its receipts; start without it, and not from an old"
    " copy: both have forgotten what was released, and ask for `secagg accept-loss`"
)

_NOTHING_JOINED: Final = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What came out of one session, for the hospital's own records.

    Attributes:
        task_id: the task.
        round_no: its round.
        sid: the session.
        u3: whose inputs are in the sum, sorted.
        result_hash: SHA-256 of the body of the Result, 32 bytes.
        epsilon: spent in the task so far, or None without noise.
        at_ms: when, in milliseconds since 1970 UTC.
    """

    task_id: str
    round_no: int
    sid: SessionId
    u3: tuple[PeerId, ...]
    result_hash: bytes
    epsilon: float | None
    at_ms: int


class ClientStore(Protocol):
    """A hospital's durable state; what is recorded is durable on return."""

    @property
    def forgotten(self) -> Forgotten:
        """What is known to be forgotten of it."""
        ...

    @property
    def folder(self) -> Path | None:
        """Where large files may lie for a moment; None for the system's place."""
        ...

    @property
    def past(self) -> past.Past:
        """What it knows of the sums it was asked for."""
        ...

    def last_joined(self, task_id: str) -> tuple[int, int]:
        """Return the highest (round_no, attempt) joined; (0, 0) at the start."""
        ...

    def record_joined(self, task_id: str, round_no: int, attempt: int) -> None:
        """Record that a session was joined (rule 4.1-9).

        Raises:
            StateError: not above the last pair, or not written.
        """
        ...

    def spent(self, task_id: str, round_no: int) -> bool:
        """Return whether this round's update is spent (rule 4.1-8)."""
        ...

    def record_spent(self, task_id: str, round_no: int) -> None:
        """Record that this round's update is spent.

        Raises:
            StateError: not written.
        """
        ...

    def head(self, task_id: str) -> bytes:
        """Return the head of the task's chain; 32 zero bytes at the start."""
        ...

    def record_head(self, task_id: str, link: bytes) -> None:
        """Record the new head, 32 bytes.

        Raises:
            StateError: not written.
        """
        ...

    def record_receipt(self, receipt: Receipt) -> None:
        """Record what came out of a session; the first receipt of a session stays.

        Raises:
            StateError: not written.
        """
        ...

    def receipts(self, task_id: str | None = None) -> tuple[Receipt, ...]:
        """Return the receipts of a task, or of all, in the order they were recorded."""
        ...


class MemoryStore:
    """State that lasts as long as the process: for simulations and tests.

    Attributes:
        folder: None: there is none.
        past: what it knows of sums.
        forgotten: what is known to be forgotten of it.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self.folder: Path | None = None
        self.past: past.Past = past.MemoryPast()
        self.forgotten: Forgotten = MemoryForgotten()
        self._joined: dict[str, tuple[int, int]] = {}
        self._spent: set[tuple[str, int]] = set()
        self._head: dict[str, bytes] = {}
        self._receipts: dict[SessionId, Receipt] = {}

    def last_joined(self, task_id: str) -> tuple[int, int]:
        """Return the highest (round_no, attempt) joined; (0, 0) at the start."""
        return self._joined.get(task_id, _NOTHING_JOINED)

    def record_joined(self, task_id: str, round_no: int, attempt: int) -> None:
        """Record that a session was joined."""
        _require_forward(task_id, self.last_joined(task_id), (round_no, attempt))
        self._joined[task_id] = (round_no, attempt)

    def spent(self, task_id: str, round_no: int) -> bool:
        """Return whether this round's update is spent."""
        return (task_id, round_no) in self._spent

    def record_spent(self, task_id: str, round_no: int) -> None:
        """Record that this round's update is spent."""
        self._spent.add((task_id, round_no))

    def head(self, task_id: str) -> bytes:
        """Return the head of the task's chain; 32 zero bytes at the start."""
        return self._head.get(task_id, LINK_START)

    def record_head(self, task_id: str, link: bytes) -> None:
        """Record the new head."""
        _require_hash("a link", link)
        self._head[task_id] = link

    def record_receipt(self, receipt: Receipt) -> None:
        """Record what came out of a session; the first receipt stays."""
        _check_receipt(receipt)
        self._receipts.setdefault(receipt.sid, receipt)

    def receipts(self, task_id: str | None = None) -> tuple[Receipt, ...]:
        """Return the receipts of a task, or of all, in the order they were recorded."""
        found = self._receipts.values()
        return tuple(one for one in found if task_id in {None, one.task_id})


class SqliteStore:
    """State in a directory of its own; one process may hold it.

    Attributes:
        folder: the directory.
        past: what it knows of sums.
        forgotten: what is known to be forgotten of it.
    """

    def __init__(self, directory: Path) -> None:
        """Open the state directory, or make it, and keep it locked until `close`.

        Raises:
            StateError: another process holds it, or it cannot be used.
        """
        try:
            private.make_folder(directory)
        except OSError as error:
            raise errors.StateError(
                f"cannot use the state directory {directory}: {error.strerror}"
            ) from error
        self.folder: Path | None = directory
        self._database = Database(
            directory / FILE_NAME,
            _SCHEMA,
            version=_VERSION,
            if_damaged=_IF_DAMAGED,
            in_place=True,
        )
        self.past: past.Past = past.SqlitePast(self._database)
        self.forgotten: Forgotten = SqliteForgotten(self._database)

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the directory."""
        self._database.close()

    def last_joined(self, task_id: str) -> tuple[int, int]:
        """Return the highest (round_no, attempt) joined; (0, 0) at the start."""
        rows = self._database.execute(
            "SELECT round_no, attempt FROM joined WHERE task = ?"
            " ORDER BY round_no DESC, attempt DESC LIMIT 1",
            task_id,
        )
        return (rows[0][0], rows[0][1]) if rows else _NOTHING_JOINED

    def record_joined(self, task_id: str, round_no: int, attempt: int) -> None:
        """Record that a session was joined."""
        _require_forward(task_id, self.last_joined(task_id), (round_no, attempt))
        self._database.execute(
            "INSERT INTO joined VALUES (?, ?, ?)", task_id, round_no, attempt
        )

    def spent(self, task_id: str, round_no: int) -> bool:
        """Return whether this round's update is spent."""
        return bool(
            self._database.execute(
                "SELECT 1 FROM spent WHERE task = ? AND round_no = ?",
                task_id,
                round_no,
            )
        )

    def record_spent(self, task_id: str, round_no: int) -> None:
        """Record that this round's update is spent."""
        self._database.execute(
            "INSERT OR IGNORE INTO spent VALUES (?, ?)", task_id, round_no
        )

    def head(self, task_id: str) -> bytes:
        """Return the head of the task's chain; 32 zero bytes at the start."""
        rows = self._database.execute("SELECT link FROM head WHERE task = ?", task_id)
        return bytes(rows[0][0]) if rows else LINK_START

    def record_head(self, task_id: str, link: bytes) -> None:
        """Record the new head."""
        _require_hash("a link", link)
        self._database.execute(
            "INSERT OR REPLACE INTO head VALUES (?, ?)", task_id, link
        )

    def record_receipt(self, receipt: Receipt) -> None:
        """Record what came out of a session; the first receipt stays."""
        _check_receipt(receipt)
        self._database.execute(
            "INSERT OR IGNORE INTO receipts"
            " (task, round_no, sid, u3, result_hash, epsilon, at_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            receipt.task_id,
            receipt.round_no,
            receipt.sid,
            # An id has no space in it (rule 2.1-1).
            " ".join(receipt.u3),
            receipt.result_hash,
            receipt.epsilon,
            receipt.at_ms,
        )

    def receipts(self, task_id: str | None = None) -> tuple[Receipt, ...]:
        """Return the receipts of a task, or of all, in the order they were recorded."""
        rows = self._database.execute(
            "SELECT task, round_no, sid, u3, result_hash, epsilon, at_ms FROM receipts"
            " WHERE task = coalesce(?, task) ORDER BY number",
            task_id,
        )
        return tuple(_receipt(row) for row in rows)


def _receipt(row: Row) -> Receipt:
    task_id, round_no, sid, u3, result_hash, epsilon, at_ms = row
    return Receipt(
        task_id=task_id,
        round_no=round_no,
        sid=SessionId(sid),
        u3=tuple(PeerId(peer) for peer in u3.split()),
        result_hash=result_hash,
        epsilon=epsilon,
        at_ms=at_ms,
    )


def _require_forward(task_id: str, last: tuple[int, int], new: tuple[int, int]) -> None:
    """Rule 4.1-6 a second time, where the mark is made."""
    if new <= last:
        raise errors.StateError(
            f"round {new[0]} attempt {new[1]} of task {task_id} is not above round"
            f" {last[0]} attempt {last[1]}, which this hospital joined: check that no"
            " other process works under its identity"
        )


def _require_hash(what: str, value: bytes) -> None:
    if len(value) != len(LINK_START):
        raise errors.LocalProtocolError(f"{what} has 32 bytes, not {len(value)}")


def _check_receipt(receipt: Receipt) -> None:
    _require_hash("a session id", receipt.sid)
    _require_hash("the hash of a Result", receipt.result_hash)
