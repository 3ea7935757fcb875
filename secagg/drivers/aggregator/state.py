"""The aggregator's state: journal and privacy ledger, blobs and spool.

One process holds it. Journal and ledger lie in the state directory, or in a PostgreSQL
database; blobs and spool are files in the directory either way: what is lost of them
costs uploads or a round, and nothing that rules 9-3 and 9-4 protect. Without a
directory of the operator's, one that lasts as long as the process stands in.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from secagg import errors
from secagg.drivers import private
from secagg.drivers.aggregator.blobs import BlobStore
from secagg.drivers.aggregator.journal import Journal
from secagg.drivers.aggregator.ledger_store import DurableLedgerStore
from secagg.drivers.aggregator.spool import FileSpool, sweep
from secagg.drivers.postgres import DatabaseUrl
from secagg.names import SessionId
from secagg.privacy.ledger import Budget, BudgetLedger
from secagg.vector import Chunks

LEDGER_NAME: Final = "ledger.sqlite3"


@dataclass(frozen=True, kw_only=True)
class AggregatorState:
    """What outlives a restart."""

    directory: Path
    journal: Journal
    ledger: BudgetLedger
    blobs: BlobStore
    ledger_store: DurableLedgerStore
    temporary: tempfile.TemporaryDirectory[str] | None

    @classmethod
    def open(
        cls,
        directory: Path | None,
        *,
        task_id: str,
        budget: Budget,
        members: int,
        journal_url: DatabaseUrl | None = None,
    ) -> Self:
        """Take hold of the directory, and of the database if there is one.

        Args:
            directory: made if need be; None for one that goes with the process.
            task_id: the task whose releases are charged.
            budget: what it may spend.
            members: of the roster.
            journal_url: where journal and ledger are; None for the directory.

        Raises:
            ParameterError: the URL cannot be used.
            StateError: another process holds it, others may write in it, or a file in
                it is damaged.
        """
        temporary = None
        if directory is None:
            temporary = tempfile.TemporaryDirectory(prefix="secagg-")
            directory = Path(temporary.name)
        _make(directory)
        with contextlib.ExitStack() as opened:
            if temporary is not None:
                opened.callback(temporary.cleanup)
            journal = Journal(journal_url or directory, members=members)
            opened.callback(journal.close)
            ledger = journal_url or directory / LEDGER_NAME
            store = opened.enter_context(DurableLedgerStore(ledger))
            state = cls(
                directory=directory,
                journal=journal,
                ledger=BudgetLedger(store, {task_id: budget}),
                blobs=BlobStore(directory / "blobs"),
                ledger_store=store,
                temporary=temporary,
            )
            # Nothing failed: from here on `close` lets go of them.
            opened.pop_all()
            return state

    def spool(self, sid: SessionId, chunks: Chunks) -> FileSpool:
        """Return where the uploads of a session go, with what is there already."""
        return FileSpool(self.directory / "spool", sid, chunks)

    def sweep(self, keep: SessionId | None) -> None:
        """Drop the uploads of every other session."""
        sweep(self.directory / "spool", [] if keep is None else [keep])

    def close(self) -> None:
        """Let go of the directory."""
        self.journal.close()
        self.ledger_store.close()
        if self.temporary is not None:
            self.temporary.cleanup()


def _make(directory: Path) -> None:
    try:
        private.make_folder(directory)
        private.check_unshared(directory)
    except OSError as error:
        raise errors.StateError(
            f"cannot use the state directory {directory}: {error.strerror}"
        ) from error
