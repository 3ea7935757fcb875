"""Thinning: what repeats is said once, and not with every try.

A hospital that may not enter dials again for as long as it is not mended, and a port is
scanned by whoever likes: the log would hold nothing else. What is the same is counted,
and said again with its count after an hour; so it is never silent for ever either. And
of one peer so many different things are said in an hour, and the rest is counted
together: what a peer sends may be another text each time. All who are not proved are
one peer, for each may claim as many names as it likes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from secagg.drivers.clock import Clock
from secagg.drivers.progress import (
    Connected,
    MessageIgnored,
    Observer,
    PeerRefused,
    Progress,
)
from secagg.names import PeerId

SILENT_SECONDS: Final = 3600.0
"""How long the same is counted before it is said again."""

MOST_SAID: Final = 16
"""Different things that are said of one peer in an hour, beside all the rest as one:
more than a hospital does wrong by itself, few enough to read for a roster of many."""

LASTING_SECONDS: Final = 30.0
"""How long ago a peer must have come in for a refusal to be a new one: who comes and is
refused at once, again and again, is told of once."""

_What: TypeAlias = tuple[type[Progress], str, str]
_REST: Final[_What] = (PeerRefused, "", "")


@dataclass(slots=True)
class _Said:
    """When something was said, and how often it was not since."""

    at: float
    unsaid: int = 0


class Thinned:
    """An observer that thins out what a peer can repeat, and passes on all else."""

    def __init__(self, clock: Clock, observer: Observer) -> None:
        """Pass on to `observer`, by `clock`."""
        self._clock = clock
        self._observer = observer
        # By the roster's members alone, and None: who is not proved has no name here.
        self._entered: dict[PeerId, float] = {}
        self._said: dict[PeerId | None, dict[_What, _Said]] = {}

    def __call__(self, event: Progress) -> None:
        """Take note of an event."""
        if isinstance(event, PeerRefused):
            self._heal(event.peer)
            self._repeated(event, (PeerRefused, event.rule, event.detail))
            return
        if isinstance(event, MessageIgnored):
            self._repeated(event, (MessageIgnored, event.rule, event.type))
            return
        if isinstance(event, Connected):
            self._entered[event.peer] = self._clock.seconds()
        self._observer(event)

    def _repeated(self, event: PeerRefused | MessageIgnored, what: _What) -> None:
        said, now = self._said.setdefault(event.peer, {}), self._clock.seconds()
        if what not in said and not _has_room(said, now):
            what = _REST
        known = said.get(what)
        if known is not None and now - known.at < SILENT_SECONDS:
            known.unsaid += 1
            return
        said[what] = _Said(now)
        repeats = None if known is None else known.unsaid
        self._observer(replace(event, repeats=repeats))

    def _heal(self, peer: PeerId | None) -> None:
        """Forget what was said of a peer that was in since, and stayed for a while."""
        now = self._clock.seconds()
        if peer is None or now - self._entered.get(peer, now) < LASTING_SECONDS:
            return
        del self._entered[peer]
        self._said.pop(peer, None)


def _has_room(said: dict[_What, _Said], now: float) -> bool:
    """Return whether one thing more may be said; forget those of an hour ago."""
    if len(said) < MOST_SAID:
        return True
    old = [what for what, one in said.items() if now - one.at >= SILENT_SECONDS]
    for what in old:
        # How often the rest was not said is still to be told.
        if what != _REST:
            del said[what]
    return len(said) < MOST_SAID
