"""A checksum over the rows of a SQLite file, which SQLite itself does not keep.

SQLite notices a page that makes no sense, and not one with another number in it, nor an
old page that a disk gave back. Here the file holds the sum, mod 2^256, of a SHA-256 of
every row. Triggers keep it, within the statement that changes the row, whatever table
that is in; a row that was altered, lost or brought back by anything else no longer adds
up. It is a checksum, against disks and accidents: who may write the file may also write
the sum.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from typing import Final

from secagg.crypto import kdf

SCHEMA: Final = (
    "CREATE TABLE seal (one INTEGER PRIMARY KEY CHECK (one = 1), total BLOB NOT NULL)"
    " STRICT",
    "INSERT INTO seal VALUES (1, zeroblob(32))",
)

_SIZE: Final = 32
_TABLES: Final = (
    "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name <> 'seal'"
    " AND name NOT LIKE 'sqlite_%' ORDER BY name"
)

# What a statement does, and the rows that go into the sum and out of it.
_CHANGES: Final = {
    "INSERT": (("secagg_with", "NEW"),),
    "DELETE": (("secagg_without", "OLD"),),
    "UPDATE": (("secagg_without", "OLD"), ("secagg_with", "NEW")),
}


def keep(connection: sqlite3.Connection) -> None:
    """Keep the sum from now on, over every table that there is.

    Raises:
        sqlite3.Error: it cannot be done.
    """
    functions = (("secagg_with", _with), ("secagg_without", _without))
    for name, function in functions:
        connection.create_function(name, -1, function, deterministic=True)
    # Or a REPLACE would delete without a trigger.
    connection.execute("PRAGMA recursive_triggers = ON")
    for table in _tables(connection):
        for change, steps in _CHANGES.items():
            connection.execute(_trigger(connection, table, change, steps))


def holds(connection: sqlite3.Connection) -> bool:
    """Return whether the rows add up to the sum that is kept beside them.

    Raises:
        sqlite3.Error: they cannot be read.
    """
    total = 0
    for table in _tables(connection):
        rows = connection.execute(f"SELECT * FROM {_quoted(table)}")  # noqa: S608 ours
        for row in rows:
            total += _digest(table, *row)
    kept = connection.execute("SELECT total FROM main.seal WHERE one = 1").fetchall()
    return kept == [(_encoded(total),)]


def _tables(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute(_TABLES).fetchall()]


def _trigger(
    connection: sqlite3.Connection,
    table: str,
    change: str,
    steps: tuple[tuple[str, str], ...],
) -> str:
    """Return the statement that makes a trigger, of this connection alone."""
    told = connection.execute(f"PRAGMA main.table_info({_quoted(table)})").fetchall()
    columns = [_quoted(column[1]) for column in told]
    total = "total"
    for function, row in steps:
        values = ", ".join(f"{row}.{column}" for column in columns)
        total = f"{function}({total}, '{table}', {values})"
    name = _quoted(f"seal_{table}_{change}")
    made = f"CREATE TEMP TRIGGER {name} AFTER {change} ON main.{_quoted(table)}"
    return f"{made} BEGIN UPDATE seal SET total = {total}; END"  # noqa: S608 ours


def _quoted(name: str) -> str:
    """Return a name of our own schema as SQL."""
    return f'"{name}"'


def _with(total: bytes, table: str, *row: object) -> bytes:
    return _encoded(int.from_bytes(total, "little") + _digest(table, *row))


def _without(total: bytes, table: str, *row: object) -> bytes:
    return _encoded(int.from_bytes(total, "little") - _digest(table, *row))


def _encoded(total: int) -> bytes:
    return (total % (1 << 8 * _SIZE)).to_bytes(_SIZE, "little")


def _digest(table: str, *row: object) -> int:
    """Return the hash of one row as a number."""
    hashed = hashlib.sha256(kdf.lp(table.encode(), *_parts(row)))
    return int.from_bytes(hashed.digest(), "little")


def _parts(row: tuple[object, ...]) -> Iterator[bytes]:
    """Yield each value with its type before it, so that 1 and "1" are not the same."""
    for value in row:
        match value:
            case bytes():
                yield b"b" + value
            case str():
                yield b"s" + value.encode()
            case float():
                yield b"f" + value.hex().encode()
            case _:
                yield f"i{value}".encode()
