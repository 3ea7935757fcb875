"""What a hospital remembers of the sums it was asked for: their sets, and their price.

Both are judged by its own policy, whatever the aggregator says: the sets by which two
sums could be subtracted (rule 4.5-8), and the noise charged to its own budget (4.1-5).
"""

from __future__ import annotations

from typing import Final, Protocol

from secagg.differences import SummedSet
from secagg.drivers.database import Database
from secagg.messages import NoiseTerms
from secagg.names import PeerId

SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS sums (
        number INTEGER PRIMARY KEY, task TEXT NOT NULL, u3 TEXT NOT NULL,
        model_hash BLOB NOT NULL, constants INTEGER NOT NULL,
        UNIQUE (task, u3, model_hash, constants)) STRICT""",
    """CREATE TABLE IF NOT EXISTS charges (
        task TEXT, round_no INTEGER, mechanism TEXT NOT NULL, z REAL NOT NULL,
        adjacency TEXT NOT NULL, delta REAL NOT NULL,
        PRIMARY KEY (task, round_no)) STRICT""",
)


class Past(Protocol):
    """A hospital's memory of sums; what is recorded is durable on return."""

    def record_summed(self, task_id: str, summed: SummedSet) -> None:
        """Record the set of a sum that may be opened, once.

        Raises:
            StateError: not written.
        """
        ...

    def sums(self) -> tuple[SummedSet, ...]:
        """Return the sets of all tasks: what a task is called is not ours to say."""
        ...

    def record_charge(self, task_id: str, round_no: int, noise: NoiseTerms) -> None:
        """Record the release that this round's update may enter, once a round.

        Raises:
            StateError: not written.
        """
        ...

    def charges(self) -> tuple[NoiseTerms, ...]:
        """Return the charges of all tasks, by task and round."""
        ...

    def charged(self) -> frozenset[tuple[str, int]]:
        """Return the tasks and rounds that are charged."""
        ...


class MemoryPast:
    """A memory that lasts as long as the process."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._sums: dict[SummedSet, None] = {}
        self._charges: dict[tuple[str, int], NoiseTerms] = {}

    def record_summed(self, task_id: str, summed: SummedSet) -> None:
        """Record the set of a sum that may be opened, once."""
        self._sums.setdefault(summed)

    def sums(self) -> tuple[SummedSet, ...]:
        """Return the sets of all tasks, in the order they were recorded."""
        return tuple(self._sums)

    def record_charge(self, task_id: str, round_no: int, noise: NoiseTerms) -> None:
        """Record the release that this round's update may enter, once a round."""
        self._charges.setdefault((task_id, round_no), noise)

    def charges(self) -> tuple[NoiseTerms, ...]:
        """Return the charges of all tasks, by task and round."""
        return tuple(self._charges[key] for key in sorted(self._charges))

    def charged(self) -> frozenset[tuple[str, int]]:
        """Return the tasks and rounds that are charged."""
        return frozenset(self._charges)


class SqlitePast:
    """The same in a hospital's database."""

    def __init__(self, database: Database) -> None:
        """Use the tables of `SCHEMA`."""
        self._database = database

    def record_summed(self, task_id: str, summed: SummedSet) -> None:
        """Record the set of a sum that may be opened, once."""
        self._database.execute(
            "INSERT OR IGNORE INTO sums (task, u3, model_hash, constants)"
            " VALUES (?, ?, ?, ?)",
            task_id,
            # An id has no space in it (rule 2.1-1).
            " ".join(sorted(summed.peers)),
            summed.model_hash,
            int(summed.constants),
        )

    def sums(self) -> tuple[SummedSet, ...]:
        """Return the sets of all tasks, in the order they were recorded."""
        rows = self._database.execute(
            "SELECT u3, model_hash, constants FROM sums ORDER BY number"
        )
        found = (
            SummedSet(frozenset(map(PeerId, u3.split())), model_hash, bool(constants))
            for u3, model_hash, constants in rows
        )
        return tuple(dict.fromkeys(found))

    def record_charge(self, task_id: str, round_no: int, noise: NoiseTerms) -> None:
        """Record the release that this round's update may enter, once a round."""
        self._database.execute(
            "INSERT OR IGNORE INTO charges VALUES (?, ?, ?, ?, ?, ?)",
            task_id,
            round_no,
            noise.mechanism,
            noise.noise_multiplier,
            noise.adjacency,
            noise.delta,
        )

    def charges(self) -> tuple[NoiseTerms, ...]:
        """Return the charges of all tasks, by task and round."""
        rows = self._database.execute(
            "SELECT mechanism, z, adjacency, delta FROM charges ORDER BY task, round_no"
        )
        return tuple(
            NoiseTerms(mechanism=name, noise_multiplier=z, adjacency=adj, delta=delta)
            for name, z, adj, delta in rows
        )

    def charged(self) -> frozenset[tuple[str, int]]:
        """Return the tasks and rounds that are charged."""
        rows = self._database.execute("SELECT task, round_no FROM charges")
        return frozenset((task, round_no) for task, round_no in rows)
