"""The privacy ledger on disk: a file or a database with one writer. Spec 9-4.

A charge is committed and synced to the disk before `append` returns. Each row carries a
hash over itself and the row before, so that a row that is torn, edited, reordered or
missing in the middle is noticed when the file is read. A file restored from a backup is
a correct but forgetful ledger, and nothing in it can show that.
"""

from __future__ import annotations

import hashlib
from types import TracebackType
from typing import Final, Self

from secagg import errors
from secagg.crypto import kdf
from secagg.drivers import tables
from secagg.drivers.database import Row
from secagg.privacy.ledger import Charge
from secagg.privacy.mechanism import NoiseEvent
from secagg.sensitivity import Adjacency

_VERSION: Final = 2

_REMEDY: Final = "restore it from a backup that holds every release"

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


class DurableLedgerStore:
    """A `LedgerStore` on disk. Calls may come from any thread, one at a time."""

    def __init__(self, place: tables.Place) -> None:
        """Open or create it and keep it locked until `close`.

        Args:
            place: a SQLite file, or a PostgreSQL database.

        Raises:
            ParameterError: the URL cannot be used.
            StateError: another process has it open, or it is no ledger.
        """
        self._place = place
        self._database = tables.opened(
            place,
            "ledger",
            [_SCHEMA],
            version=_VERSION,
            if_damaged=_REMEDY,
            in_place=True,
        )
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
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close it and let go of its lock."""
        self._database.close()

    def load(self) -> tuple[Charge, ...]:
        """Return all charges in the order they were made.

        Raises:
            StateError: a row is torn, edited, out of order or missing.
        """
        charges: list[Charge] = []
        digest = b""
        for row in self._database.execute(_SELECT):
            charges.append(self._charge_of(row, len(charges) + 1, digest))
            digest = row[-1]
        self._count, self._digest = len(charges), digest
        return tuple(charges)

    def append(self, charge: Charge) -> None:
        """Commit `charge` to the disk.

        Raises:
            StateError: it could not be written; nothing may be published on it.
        """
        row = _row_of(charge, self._count + 1, self._digest)
        self._database.execute(_INSERT, *row)
        self._count, self._digest = row[0], row[-1]

    def _charge_of(self, row: Row, number: int, previous: bytes) -> Charge:
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
            f"privacy ledger {self._place}: charge {number} is damaged or missing:"
            f" {_REMEDY}"
        )


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
