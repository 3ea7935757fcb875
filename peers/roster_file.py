"""The roster file of a running aggregator: a newer one is taken up where it lies.

The file is looked at every two seconds. One that cannot be used is told once and left;
the roster that is pinned stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from peers import enrolment
from peers.card import EnrolmentError
from peers.logs import Logger
from secagg import errors
from secagg.roster import SignedRoster

LOOK_SECONDS: Final = 2.0

Take = Callable[[Iterable[SignedRoster]], bool]
"""Pins what is newer; `Aggregator.take_roster`."""


class RosterFile:
    """One roster file, looked at again and again."""

    def __init__(self, path: Path, take: Take, log: Logger) -> None:
        """Watch `path`; as it is now, it is known."""
        self._path = path
        self._take = take
        self._log = log
        self._seen = self._mark()

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Take up what the file has, if it has changed."""
        mark = self._mark()
        if mark == self._seen:
            return
        self._seen = mark
        try:
            versions = await asyncio.to_thread(enrolment.read_versions, self._path)
            self._take(versions)
        except (EnrolmentError, errors.SecaggError) as error:
            self._log.warning("roster_refused", file=str(self._path), detail=str(error))

    def _mark(self) -> tuple[int, int, int] | None:
        """Return what changes when the file does; None while there is none."""
        try:
            now = self._path.stat()
        except OSError:
            return None
        return now.st_ino, now.st_mtime_ns, now.st_size
