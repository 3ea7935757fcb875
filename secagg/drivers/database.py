"""A SQLite file that belongs to one process, every commit on the disk. Spec section 9.

What must outlive a crash goes through here: a statement has reached stable storage when
`execute` returns, and a second process is refused for as long as the first lives. The
errors say what to do; what a damaged file means is the caller's to say.

What SQLite gives: one statement is one transaction; a power cut in the middle of it
leaves nothing of it, and of those that returned it leaves all. What it does not give is
a checksum of what lies in the file: `secagg.drivers.sealing` adds that, and a file is
read in full when it is opened, and its log with it (`secagg.drivers.write_ahead`). An
older copy of a whole file is a good file; nothing in it can show that it is old.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from secagg import durable, errors
from secagg.drivers import private, sealing, write_ahead

Row = tuple[Any, ...]
Value = int | float | str | bytes | None

# The low byte of an extended error code is the code itself.
_CODE_MASK: Final = 0xFF

# What SQLite may keep beside a file.
_BESIDE: Final = ("wal", "journal")

_DAMAGED: Final = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})

_REMEDIES: Final = {
    sqlite3.SQLITE_BUSY: (
        "another process has it open: stop that one first, or give each its own"
        " directory"
    ),
    sqlite3.SQLITE_FULL: "the disk is full: free some space and start again",
    sqlite3.SQLITE_READONLY: "this account may not write it: correct its permissions",
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened: check the path, and that this account may write there"
    ),
}


class Database:
    """One SQLite file. Calls may come from any thread, one at a time."""

    def __init__(
        self,
        path: Path,
        schema: Sequence[str],
        *,
        version: int,
        if_damaged: str,
        in_place: bool = False,
    ) -> None:
        """Open or create the file, and keep it locked until `close`.

        Args:
            path: the file; its folder exists.
            schema: the statements that make its tables.
            version: of the schema, at least 1; kept in the file.
            if_damaged: the remedy for a damaged file.
            in_place: have every commit end in the file itself, where a later damage to
                it is noticed, and not in a log beside it, of which a damaged record
                takes those after it along. Three syncs a commit instead of one.

        Raises:
            StateError: another process has it open, it is damaged, it is of another
                version, or this account may not use it.
        """
        self._path = path
        self._if_damaged = if_damaged
        self._in_place = in_place
        self._connection = self._connect()
        try:
            self._lock()
            self._settle(schema, version)
        except errors.StateError:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the database itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file and let go of its lock."""
        self._connection.close()

    def execute(self, statement: str, *values: Value) -> list[Row]:
        """Run one statement, commit it to the disk, and return its rows.

        Raises:
            StateError: it could not be done; nothing has changed.
        """
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def empty_log(self) -> None:
        """Move what is committed into the file, and drop the log with what it held.

        Raises:
            StateError: it could not be done.
        """
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _connect(self) -> sqlite3.Connection:
        self._settle_files()
        try:
            # Without isolation level, each statement is a transaction of its own.
            return sqlite3.connect(
                self._path, timeout=0, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _settle_files(self) -> None:
        """Keep others from reading; SQLite gives its logs the mode of the file."""
        beside = [self._path.with_name(f"{self._path.name}-{k}") for k in _BESIDE]
        try:
            for path in (self._path, *filter(Path.exists, beside)):
                private.settle_file(path)
            # Before SQLite reads it: that would drop what lies behind the damage.
            lost = write_ahead.lost(beside[0])
        except OSError as error:
            remedy = _REMEDIES[sqlite3.SQLITE_CANTOPEN]
            raise errors.StateError(f"cannot use {self._path}: {remedy}") from error
        if lost is not None:
            raise self._damaged(lost)

    def _lock(self) -> None:
        # Taken with the first write and kept, by this mode, until the file is closed.
        self.execute("PRAGMA locking_mode = EXCLUSIVE")
        # A commit to the write-ahead log is one append and one sync: with synchronous =
        # FULL it outlives a power cut. In place it has come when the rollback journal
        # is void, on the disk.
        mode, level = ("DELETE", "EXTRA") if self._in_place else ("WAL", "FULL")
        self.execute(f"PRAGMA journal_mode = {mode}")
        self.execute(f"PRAGMA synchronous = {level}")
        # What is deleted is overwritten: rows hold seeds and shares.
        self.execute("PRAGMA secure_delete = ON")
        self.execute("PRAGMA temp_store = MEMORY")
        self.execute("BEGIN EXCLUSIVE")
        self.execute("COMMIT")

    def _settle(self, schema: Sequence[str], version: int) -> None:
        """Make the tables of a new file; refuse a damaged or a foreign one."""
        # The whole of it: an index is read in place of the table that it is of.
        found = self.execute("PRAGMA integrity_check(1)")
        if found != [("ok",)]:
            raise self._damaged(str(found[0][0]))
        [(stored,)] = self.execute("PRAGMA user_version")
        if stored not in {0, version}:
            raise errors.StateError(
                f"{self._path} was written by another version of secagg (format"
                f" {stored}, this one has {version}): use that version, or another"
                " directory"
            )
        if not stored and self._begun.exists():
            raise self._damaged("it is empty, and was not")
        begun = [] if stored else [*sealing.SCHEMA, f"PRAGMA user_version = {version}"]
        # All or nothing: a power cut leaves no file without its version or its sum.
        for statement in ("BEGIN EXCLUSIVE", *schema, *begun, "COMMIT"):
            self.execute(statement)
        self._check_sum()
        self._note_begun()

    @property
    def _begun(self) -> Path:
        """A file beside it from its beginning on: an empty one is no new one then."""
        return self._path.with_name(f"{self._path.name}.begun")

    def _note_begun(self) -> None:
        if self._begun.exists():
            return
        try:
            private.settle_file(self._begun)
            durable.sync(self._begun.parent)
        except OSError as error:
            raise errors.StateError(
                f"cannot use {self._begun}: {error.strerror}"
            ) from error

    def _check_sum(self) -> None:
        """Keep the checksum of the rows, and refuse rows that it is not of."""
        try:
            sealing.keep(self._connection)
            held = sealing.holds(self._connection)
        except sqlite3.Error as error:
            raise self._damaged(str(error)) from error
        if not held:
            raise self._damaged("its rows do not add up to the sum kept with them")

    def _unusable(self, error: sqlite3.Error) -> errors.StateError:
        # Absent where the module itself raised, as for a closed connection.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _CODE_MASK
        if code in _DAMAGED:
            return self._damaged(str(error))
        remedy = _REMEDIES.get(code, str(error))
        return errors.StateError(f"cannot use {self._path}: {remedy}")

    def _damaged(self, what: str) -> errors.StateError:
        return errors.StateError(
            f"{self._path} is damaged ({what}): {self._if_damaged}"
        )
