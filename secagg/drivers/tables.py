"""Tables that outlive a crash: in a SQLite file, or in a PostgreSQL database. Spec 9.

Who keeps something here writes one dialect, that of SQLite as far as PostgreSQL has it
too, and does not know which of the two it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from secagg.drivers.database import Database, Row, Value
from secagg.drivers.postgres import DatabaseUrl, Postgres

Place: TypeAlias = Path | DatabaseUrl
"""A SQLite file, or the database of a PostgreSQL server."""


class Tables(Protocol):
    """Tables that belong to one process; what was executed is durable on return."""

    def execute(self, statement: str, *values: Value) -> list[Row]:
        """Run one statement, commit it to the disk, and return its rows.

        Raises:
            StateError: it could not be done; nothing has changed.
        """
        ...

    def empty_log(self) -> None:
        """Drop from the disk what was deleted, as far as that can be had.

        Raises:
            StateError: it could not be done.
        """
        ...

    def close(self) -> None:
        """Let go of the tables."""
        ...


def opened(
    place: Place,
    name: str,
    schema: Sequence[str],
    *,
    version: int,
    if_damaged: str,
    in_place: bool = False,
) -> Tables:
    """Open tables or make them, and keep them locked until `close`.

    Args:
        place: where.
        name: of these tables, among those of a database.
        schema: the statements that make them.
        version: of the schema, at least 1; kept beside them.
        if_damaged: the remedy for a damaged file.
        in_place: as in `Database`; a server has its own log.

    Raises:
        ParameterError: the extra for PostgreSQL is missing, or the URL is none.
        StateError: another process has them, they are damaged or of another version,
            or this account may not use them.
    """
    if isinstance(place, DatabaseUrl):
        return Postgres(place, name, schema, version=version)
    return Database(
        place, schema, version=version, if_damaged=if_damaged, in_place=in_place
    )
