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

LASTING_SECONDS: Final = 30.0
"""How long ago a peer must have come in for a refusal to be a new one: who comes and is
refused at once, again and again, is told of once."""

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
        # By the roster's members alone: who is not proved never enters.
        self._entered: dict[PeerId, float] = {}
        self._said: collections.OrderedDict[_What, _Said] = collections.OrderedDict()

    def __call__(self, event: Progress) -> None:
        """Take note of an event."""
        if isinstance(event, PeerRefused):
            self._refused(event)
            return
        if isinstance(event, Connected):
            self._entered[event.peer] = self._clock.seconds()
        self._observer(event)

    def _refused(self, event: PeerRefused) -> None:
        what, now = (event.peer, event.rule, event.detail), self._clock.seconds()
        self._heal(event.peer, now)
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

    def _heal(self, peer: PeerId | None, now: float) -> None:
        """Forget what was said of a peer that was in since, and stayed for a while."""
        if peer is None or now - self._entered.get(peer, now) < LASTING_SECONDS:
            return
        del self._entered[peer]
        for what in [what for what in self._said if what[0] == peer]:
            del self._said[what]
