"""Readers of what lies on a disk: key files, marks, logs, and the rows of tables.

Rows go into tables in memory, so that they have the types that their columns have on a
disk; a disk's own errors, and a checksum that is wrong, are told before a row is read.
"""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

import msgpack

from peers.model_store import ModelStore
from secagg import codec, errors
from secagg.crypto import passphrase
from secagg.crypto.passphrase import Passphrase
from secagg.drivers import sealing, tables, write_ahead
from secagg.drivers.aggregator.journal import MAX_HISTORY, Journal
from secagg.drivers.aggregator.ledger_store import DurableLedgerStore
from secagg.drivers.database import Row, Value
from secagg.drivers.silo import store
from secagg.identity import Identity, public_half

MEMBERS = 100
NOWHERE = pathlib.Path("nowhere")
PASSPHRASE = Passphrase("correct horse battery staple")
TASK = "t"

_SEALED = (
    "CREATE TABLE one (name TEXT PRIMARY KEY, blob BLOB, real REAL) STRICT",
    "CREATE TABLE two (number INTEGER, anything ANY) STRICT",
)

Rows = list[tuple[str, Row]]
"""Rows of tables, each with its table's name."""


@contextlib.contextmanager
def file_of(data: bytes, name: str) -> Iterator[pathlib.Path]:
    """A file of these bytes, its owner's alone, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        path.touch(mode=0o600)
        path.write_bytes(data)
        yield path


def identity_file(data: bytes) -> None:
    """In clear or encrypted; scrypt is made cheap, which changes nothing it reads."""
    with (
        mock.patch.object(passphrase, "_N", 2),
        file_of(data, "identity.json") as path,
    ):
        identity = Identity.load(path, lambda: PASSPHRASE)
        assert public_half(path) == (identity.id, identity.key.public)


def model_mark(data: bytes) -> None:
    """Which model is current."""
    with file_of(data, "mark.json") as path:
        kept = ModelStore(path.parent, task=TASK)
        assert kept.mark.task == TASK
        assert kept.empty or kept.current.hex() == kept.mark.models[-1]


def write_ahead_log(data: bytes) -> None:
    """The head's checksum is made right, or little behind it would be read."""
    head = data[:24]
    total = write_ahead._summed("<", (0, 0), head) if len(head) == 24 else (0, 0)
    sums = b"".join(part.to_bytes(4, "big") for part in total)
    with file_of(head + sums + data[24:], "log") as path:
        lost = write_ahead.lost(path)
        # What is cut off at its end is what a power cut may leave.
        path.write_bytes(path.read_bytes()[:-1])
        assert lost or not write_ahead.lost(path)


class MemoryTables:
    """Tables in memory, with the types of their columns.

    Attributes:
        connection: to look at them.
    """

    def __init__(self, schema: Sequence[str]) -> None:
        """Make them."""
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        for statement in schema:
            self.connection.execute(statement)

    def execute(self, statement: str, *values: Value) -> list[Row]:
        """Run one statement and return its rows."""
        try:
            return self.connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise errors.StateError(str(error)) from error

    def empty_log(self) -> None:
        """There is none."""

    def close(self) -> None:
        """Drop them."""
        self.connection.close()

    def names(self) -> list[str]:
        """The tables, in the order they were made."""
        found = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid"
        return [name for (name,) in self.connection.execute(found)]

    def rows(self) -> Rows:
        """Every row of every table."""
        return [
            (name, row)
            for name in self.names()
            for row in self.connection.execute(f"SELECT * FROM {name}")  # noqa: S608
        ]

    def put(self, rows: Rows) -> None:
        """Add those rows that the columns take."""
        for name, row in rows:
            marks = ", ".join("?" * len(row))
            added = f"INSERT INTO {name} VALUES ({marks})"  # noqa: S608 ours
            with contextlib.suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
                self.connection.execute(added, row)


@contextlib.contextmanager
def in_memory() -> Iterator[list[MemoryTables]]:
    """Have whoever opens tables get some in memory; they are listed."""
    made: list[MemoryTables] = []

    def opened(place: Any, *rest: Any, **_: Any) -> MemoryTables:
        made.append(MemoryTables(rest[-1]))
        return made[-1]

    with (
        mock.patch.object(tables, "opened", opened),
        mock.patch.object(store, "Database", opened),
    ):
        yield made
    for one in made:
        one.close()


def encoded(rows: Rows, names: Sequence[str]) -> bytes:
    """Rows as a target is given them."""
    found = [[names.index(name), *row] for name, row in rows]
    return bytes(msgpack.packb(found))


def _rows(data: bytes, names: Sequence[str]) -> Rows:
    """The rows that `encoded` gave; those of another shape are left out."""
    try:
        found = msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException):
        return []
    rows: Rows = []
    for row in found if isinstance(found, list) else []:
        if isinstance(row, list) and row and isinstance(row[0], int):
            rows.append((names[row[0] % len(names)], tuple(row[1:])))
    return rows


def ledger_rows(data: bytes) -> None:
    """What was read, written again, makes the same rows."""
    with in_memory() as made:
        read = DurableLedgerStore(NOWHERE)
        made[0].put(_rows(data, made[0].names()))
        charges = read.load()
        again = DurableLedgerStore(NOWHERE)
        for charge in charges:
            again.append(charge)
        assert made[1].rows() == made[0].rows()


def journal_rows(data: bytes) -> None:
    """The readers of a restart; a Manifest comes back as it was."""
    with in_memory() as made:
        journal = Journal(NOWHERE, members=MEMBERS)
        made[0].put(_rows(data, made[0].names()))
        last = journal.last_round(TASK)
        journal.blamed(TASK)
        assert len(journal.history(TASK, bytes(32))) <= MAX_HISTORY
        if last is not None:
            _read_session(journal, last.round_no, made[0])
            reopened = journal.open_round(TASK, last.model_hash, last.model_size)
            assert reopened.round_no >= last.round_no


def _read_session(journal: Journal, round_no: int, made: MemoryTables) -> None:
    session = journal.newest_session(TASK, round_no)
    if session is not None:
        assert codec.encode_body(session.manifest) in {
            row[4] for name, row in made.rows() if name == "sessions"
        }


def store_rows(data: bytes) -> None:
    """All that a hospital asks its memory at a start and at a Manifest."""
    with in_memory() as made, tempfile.TemporaryDirectory() as folder:
        kept = store.SqliteStore(pathlib.Path(folder))
        made[0].put(_rows(data, made[0].names()))
        number, _ = kept.last_joined(TASK)
        assert kept.spent(TASK, number) in {True, False}
        receipts = kept.receipts(TASK)
        assert all(receipt.task_id == TASK for receipt in receipts)
        assert len(set(kept.past.sums())) == len(kept.past.sums())
        kept.past.charges()
        kept.head(TASK)
        for task in kept.forgotten.tasks():
            assert isinstance(kept.forgotten.of(task), int)


def sealed_rows(data: bytes) -> None:
    """Rows through the triggers add up; a number that was altered does not."""
    made = MemoryTables((*_SEALED, *sealing.SCHEMA))
    sealing.keep(made.connection)
    made.put(_rows(data, ["one", "two"]))
    assert sealing.holds(made.connection)
    made.connection.execute("DROP TRIGGER seal_two_UPDATE")
    before = made.rows()
    made.connection.execute("UPDATE two SET number = number + 1 WHERE number < 1000")
    assert sealing.holds(made.connection) == (made.rows() == before)
    made.close()
