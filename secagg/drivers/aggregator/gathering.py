"""Gathering: who has trained and is ready for the session of a round (spec 4, 8)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

from secagg import errors
from secagg.drivers import progress
from secagg.drivers.clock import Clock
from secagg.drivers.progress import Observer
from secagg.messages import Declined, Ready
from secagg.names import PeerId

KEPT_COIN: Final = (
    "rule 4.10-3: its coin stayed closed, which ended the attempt; the round goes on"
    " without it, the next one is open to it"
)
"""What a silo is told that is out of the round for its coin."""


class Gathering:
    """The Ready of one round, the newest of each silo."""

    def __init__(self, observer: Observer) -> None:
        """Begin with nobody."""
        self.ready: dict[PeerId, bytes] = {}
        self.barred: frozenset[PeerId] = frozenset()
        self._declined: set[PeerId] = set()
        self._observer = observer
        self._expected: frozenset[PeerId] = frozenset()
        self._failure: errors.StateError | None = None
        self._changed = asyncio.Event()

    def add(self, peer: PeerId, ready: Ready) -> None:
        """Note that a silo is ready; a new process has a new nonce and replaces it."""
        if peer in self.barred:
            return
        self._declined.discard(peer)
        self.ready[peer] = ready.ready_nonce
        waiting = self._waiting_for()
        self._observer(progress.PeerReady(peer=peer, waiting_for=waiting))
        self._changed.set()

    def decline(self, peer: PeerId, declined: Declined) -> None:
        """Wait for a silo no longer; tell of it, of a repeat not again (rule 8-10)."""
        self.ready.pop(peer, None)
        if peer in self._declined:
            return
        self._declined.add(peer)
        self._observer(
            progress.PeerDeclined(
                peer=peer,
                round_no=declined.round_no,
                rule=declined.rule,
                detail=declined.detail,
                waiting_for=self._waiting_for(),
            )
        )
        self._changed.set()

    def expect(self, expected: frozenset[PeerId]) -> None:
        """Wait for these from now on: the roster has changed."""
        self._expected = expected
        self._changed.set()

    def remove(self, peers: Collection[PeerId]) -> None:
        """Forget those that were silent or are blamed; they may say Ready again."""
        for peer in peers:
            self.ready.pop(peer, None)

    def bar(self, peers: Collection[PeerId]) -> None:
        """Forget those that kept their coins, for all of the round (spec 4.10).

        Each costs an attempt, so that one which says Ready again and again would
        otherwise end every attempt there is.
        """
        self.barred |= frozenset(peers)
        self.remove(peers)

    def fail(self, error: errors.StateError) -> None:
        """Have `wait` raise an error of the disk: no Ready can be taken any more."""
        self._failure = error
        self._changed.set()

    async def wait(
        self,
        *,
        expected: frozenset[PeerId],
        least: int,
        clock: Clock,
        seconds: float,
        patient: bool,
    ) -> bool:
        """Wait for all expected, or at the deadline for at least so many.

        Args:
            expected: whose Ready ends the wait at once.
            least: how few may go on at the deadline.
            clock: whose deadline it is.
            seconds: until the deadline.
            patient: whether to go on waiting for `least` after the deadline; if not,
                and nobody is expected, it does not wait at all.

        Returns:
            Whether there are enough.

        Raises:
            StateError: what `fail` was told.
        """
        self._expected = expected
        timer = asyncio.create_task(clock.deadline(seconds))
        try:
            while not self._enough(least):
                hopeless = not patient and not self._awaited
                if timer.done() or hopeless:
                    break
                await self._change(timer)
            return await self._late(least) if patient else len(self.ready) >= least
        finally:
            timer.cancel()

    @property
    def _awaited(self) -> frozenset[PeerId]:
        """Whose Ready ends the wait: of those expected, who may and would say it."""
        return self._expected - self.barred - self._declined

    def _waiting_for(self) -> tuple[PeerId, ...]:
        return tuple(sorted(self._awaited - set(self.ready)))

    def _enough(self, least: int) -> bool:
        return self._awaited <= set(self.ready) and len(self.ready) >= least

    async def _late(self, least: int) -> bool:
        if len(self.ready) < least:
            ready = tuple(sorted(self.ready))
            needed = least - len(ready)
            self._observer(progress.RoundLate(ready=ready, needed=needed))
        while len(self.ready) < least:
            await self._change()
        return True

    async def _change(self, *timers: asyncio.Task[None]) -> None:
        """Wait for a change, or for the end of a timer."""
        if self._failure is not None:
            raise self._failure
        self._changed.clear()
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait({changed, *timers}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
