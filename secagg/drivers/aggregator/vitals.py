"""Vitals: whether an aggregator lives, and whether it can run a round.

Asked by whoever watches the service. Counts alone are said: who is connected, and what
is missing of whom, is for the operator's log.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from secagg import errors
from secagg.drivers.aggregator.connections import Connections
from secagg.drivers.aggregator.journal import Journal
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.wire.health import HEALTHZ, READYZ, Check, Verdict
from secagg.task import Task

_ELEMENT_BYTES: Final = 4
"""Of a masked element at the widest, w = 32; what is spooled of each hospital."""

_RELEASED_BYTES: Final = 16
"""A coordinate of the released mean and of the next model, at eight bytes each."""

_BESIDE_BYTES: Final = 64 << 20
"""Journal, ledger, reports and logs of a round; a few MiB with a thousand members."""


def needed_bytes(hospitals: int, length: int) -> int:
    """Return the bytes that one more round may write to the state directory.

    Args:
        hospitals: who may upload.
        length: coordinates of an update, m.
    """
    a_coordinate = _ELEMENT_BYTES * hospitals + _RELEASED_BYTES
    return a_coordinate * length + _BESIDE_BYTES


class Vitals:
    """Looks at one aggregator."""

    def __init__(
        self,
        *,
        task: Task,
        book: RosterBook,
        directory: Path,
        journal: Journal,
        connections: Connections,
        listens: Callable[[], bool],
    ) -> None:
        """Look at these.

        Args:
            task: whose rounds are run.
            book: who may take part.
            directory: of the state.
            journal: where a session is resumed from.
            connections: who is connected.
            listens: whether hospitals can dial in.
        """
        self._task = task
        self._book = book
        self._directory = directory
        self._journal = journal
        self._connections = connections
        self._listens = listens

    @property
    def checks(self) -> Mapping[str, Check]:
        """The questions by their paths."""
        return {HEALTHZ: self.lives, READYZ: self.ready}

    async def lives(self) -> Verdict:
        """Return whether the journal answers; that this runs shows the event loop."""
        try:
            self._journal.last_round(self._task.task_id)
        except errors.StateError:
            return Verdict(False, {"journal": "failed"})
        return Verdict(True, {"journal": "ok"})

    async def ready(self) -> Verdict:
        """Return whether hospitals can come, and what they send has room."""
        hospitals, listens = len(self._book.newest.hospitals), self._listens()
        usage = await asyncio.to_thread(shutil.disk_usage, self._directory)
        room = usage.free >= needed_bytes(hospitals, self._task.length)
        facts: dict[str, bool | int | str] = {
            "roster_version": self._book.newest.version,
            "hospitals": hospitals,
            "connected": len(self._connections.peers),
            "listening": listens,
            "disk": "ok" if room else "low",
        }
        return Verdict(listens and room and hospitals > 0, facts)
