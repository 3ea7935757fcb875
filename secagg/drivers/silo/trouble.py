"""Trouble: what keeps a silo from its aggregator, said once and not with every try.

A reason is said when it is new, and that it is over when it is over. A connection that
is lost as soon as it is made, again and again for one reason, is such a trouble too:
the silo is connected again only once a connection has lasted.
"""

from __future__ import annotations

import asyncio
from typing import Final

from secagg.drivers import progress
from secagg.drivers.clock import Clock
from secagg.drivers.progress import Observer
from secagg.names import PeerId

LASTING_SECONDS: Final = 30.0
"""What a connection has to last before its end is a new trouble, and no repetition."""

_FLAPPING: Final = 2
"""Short connections in a row, of one reason, after which they are not told one by one:
a single blip shows as it is."""


class Trouble:
    """Tells an observer of connections made, lost and failed."""

    def __init__(self, clock: Clock, observer: Observer) -> None:
        """Begin with no trouble."""
        self._clock = clock
        self._observer = observer
        self._said = ""
        self._failures = 0
        self._since: float | None = None
        self._short_reason, self._short_count = "", 0
        self._made = 0.0
        self._told = False
        self._settling: asyncio.Task[None] | None = None

    def failed(self, reason: str, retry_seconds: float) -> None:
        """Note a dial or a handshake that failed; say it if the reason is new."""
        self._fail()
        if reason != self._said:
            self._said = reason
            failed = progress.DialFailed(reason=reason, retry_seconds=retry_seconds)
            self._observer(failed)

    def made(self, peer: PeerId) -> None:
        """Note a proved connection; say it, or wait whether this one lasts."""
        self._made, self._told = self._clock.seconds(), False
        if self._flaps:
            self._settling = asyncio.create_task(self._settle(peer))
        else:
            self._tell_made(peer)

    def stop(self) -> None:
        """Wait no longer whether a connection lasts: it has ended."""
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None

    def lost(self, peer: PeerId, reason: str) -> bool:
        """Note the end of a connection; return whether it had lasted."""
        if not self._told:
            self._fail()
        lasted = self._clock.seconds() - self._made >= LASTING_SECONDS
        known = self._flaps and reason == self._short_reason
        self._count_short(reason, lasted=lasted)
        if lasted or not known:
            self._observer(progress.Disconnected(peer=peer, reason=reason))
        if self._since is None:
            self._since = self._clock.seconds()
        return lasted

    @property
    def _flaps(self) -> bool:
        return self._short_count >= _FLAPPING

    def _count_short(self, reason: str, *, lasted: bool) -> None:
        if lasted or reason != self._short_reason:
            self._short_count = 0
        self._short_reason = reason
        self._short_count += not lasted

    def _fail(self) -> None:
        if self._since is None:
            self._since = self._clock.seconds()
        self._failures += 1

    async def _settle(self, peer: PeerId) -> None:
        """Say that there is a connection, once it has lasted."""
        await self._clock.deadline(LASTING_SECONDS)
        self._settling = None
        self._short_count = 0
        self._tell_made(peer)

    def _tell_made(self, peer: PeerId) -> None:
        attempts, after = None, None
        if self._since is not None:
            attempts = self._failures + 1
            after = self._clock.seconds() - self._since
        self._told = True
        self._said, self._failures, self._since = "", 0, None
        made = progress.Connected(peer=peer, attempts=attempts, after_seconds=after)
        self._observer(made)
