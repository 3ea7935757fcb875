"""Refusals: who is not let in is said once, and not with every try.

A hospital that may not enter dials again for as long as it is not mended, and a port is
scanned by whoever likes: the log would hold nothing else. What is the same is counted,
and said again with its count after an hour; so it is never silent for ever either.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from secagg.drivers.clock import Clock
from secagg.drivers.progress import Connected, Observer, PeerRefused, Progress
from secagg.names import PeerId

SILENT_SECONDS: Final = 3600.0
"""How long the same refusal is counted before it is said again."""

MOST_SAID: Final = 256
"""Different refusals that are remembered: bounds the memory, whoever knocks."""

_What: TypeAlias = tuple[PeerId | None, str, str]


@dataclass(slots=True)
class _Said:
    """When a refusal was said, and how often it was not since."""

    at: float
    unsaid: int = 0


class Refusals:
    """An observer that thins out refusals and passes on all else."""

    def __init__(self, clock: Clock, observer: Observer) -> None:
        """Pass on to `observer`, by `clock`."""
        self._clock = clock
        self._observer = observer
        self._said: collections.OrderedDict[_What, _Said] = collections.OrderedDict()

    def __call__(self, event: Progress) -> None:
        """Take note of an event."""
        if isinstance(event, PeerRefused):
            self._refused(event)
            return
        if isinstance(event, Connected):
            self._healed(event.peer)
        self._observer(event)

    def _refused(self, event: PeerRefused) -> None:
        what, now = (event.peer, event.rule, event.detail), self._clock.seconds()
        known = self._said.get(what)
        if known is not None and now - known.at < SILENT_SECONDS:
            known.unsaid += 1
            return
        self._said[what] = _Said(now)
        self._said.move_to_end(what)
        if len(self._said) > MOST_SAID:
            self._said.popitem(last=False)
        repeats = None if known is None else known.unsaid
        self._observer(replace(event, repeats=repeats))

    def _healed(self, peer: PeerId) -> None:
        """Forget what was said of a peer that is in: the next time is a new one."""
        for what in [what for what in self._said if what[0] == peer]:
            del self._said[what]
