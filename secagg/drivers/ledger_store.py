"""The privacy ledger on disk: a SQLite file with one writer. Spec 9-4.

A charge is committed and synced to the disk before `append` returns. Each row carries a
hash over itself and the row before, so that a row that is torn, edited, reordered or
missing in the middle is noticed when the file is read. A file restored from a backup is
a correct but forgetful ledger, and nothing in it can show that.
"""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from secagg import errors
from secagg.crypto import kdf
from secagg.privacy.ledger import Charge
from secagg.privacy.mechanism import Adjacency, NoiseEvent

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS charges (
    number INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL,
    session_id BLOB NOT NULL,
    mechanism TEXT NOT NULL,
    noise_multiplier REAL NOT NULL,
    sensitivity_squared TEXT NOT NULL,
    adjacency TEXT NOT NULL,
    digest BLOB NOT NULL
) STRICT
"""

_INSERT: Final = "INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

_SELECT: Final = """
SELECT number, task_id, session_id, mechanism, noise_multiplier, sensitivity_squared,
    adjacency, digest
FROM charges ORDER BY number
"""

_Row = tuple[int, str, bytes, str, float, str, str, bytes]


class SqliteLedgerStore:
    """A `LedgerStore` in one file. Calls may come from any thread, one at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create the file and keep it locked until `close`.

        Raises:
            StateError: another process has it open, or it is no ledger.
        """
        self._path = path
        try:
            self._connection = _open(path)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        self._count = 0
        self._digest = b""

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file and let go of its lock."""
        self._connection.close()

    def load(self) -> tuple[Charge, ...]:
        """Return all charges in the order they were made.

        Raises:
            StateError: a row is torn, edited, out of order or missing.
        """
        try:
            rows = self._connection.execute(_SELECT).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        count, digest = 0, b""
        charges = []
        for row in rows:
            count += 1
            charges.append(self._charge_of(row, count, digest))
            digest = row[-1]
        self._count, self._digest = count, digest
        return tuple(charges)

    def append(self, charge: Charge) -> None:
        """Commit `charge` to the disk.

        Raises:
            StateError: it could not be written; nothing may be published on it.
        """
        row = _row_of(charge, self._count + 1, self._digest)
        try:
            self._connection.execute(_INSERT, row)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        self._count, self._digest = row[0], row[-1]

    def _charge_of(self, row: _Row, number: int, previous: bytes) -> Charge:
        """Return what a row says, once it is shown to be what was written."""
        _, task_id, session_id, mechanism, z, sensitivity, adjacency, _ = row
        try:
            charge = Charge(
                task_id=task_id,
                session_id=session_id,
                event=NoiseEvent(
                    mechanism=mechanism,
                    noise_multiplier=z,
                    sensitivity_squared=int(sensitivity),
                    adjacency=Adjacency(adjacency),
                ),
            )
        except ValueError as error:
            raise self._damaged(number) from error
        if row != _row_of(charge, number, previous):
            raise self._damaged(number)
        return charge

    def _damaged(self, number: int) -> errors.StateError:
        return errors.StateError(
            f"privacy ledger {self._path}: charge {number} is damaged or missing;"
            " restore the file from a backup that holds every release"
        )

    def _unusable(self, error: sqlite3.Error) -> errors.StateError:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            return errors.StateError(
                f"privacy ledger {self._path} is in use by another process: stop that"
                " one first, a task has one aggregator"
            )
        return errors.StateError(f"privacy ledger {self._path} cannot be used: {error}")


def _open(path: Path) -> sqlite3.Connection:
    """Return a connection that holds the file's only lock and syncs every commit."""
    connection = sqlite3.connect(
        path, timeout=0, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        # A commit to the write-ahead log is one append and one sync; with synchronous =
        # FULL it survives a power cut.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # Takes the lock, which the exclusive mode then keeps.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_SCHEMA)
        connection.execute("COMMIT")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _row_of(charge: Charge, number: int, previous: bytes) -> _Row:
    """Return the row of a charge, its digest last."""
    event = charge.event
    sensitivity = str(event.sensitivity_squared)
    hashed = kdf.lp(
        previous,
        str(number).encode(),
        charge.task_id.encode(),
        charge.session_id,
        event.mechanism.encode(),
        event.noise_multiplier.hex().encode(),
        sensitivity.encode(),
        event.adjacency.encode(),
    )
    return (
        number,
        charge.task_id,
        charge.session_id,
        event.mechanism,
        event.noise_multiplier,
        sensitivity,
        str(event.adjacency),
        hashlib.sha256(hashed).digest(),
    )
