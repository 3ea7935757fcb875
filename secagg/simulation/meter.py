"""What a simulated session costs: seconds and bytes, by party and by round.

Where many silos do the same work, it is done once, and each is booked what that took.
"""

from __future__ import annotations

import collections
import contextlib
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, ParamSpec, TypeVar

from secagg.cohort import CHUNK, SPOKEN_IN
from secagg.names import PeerId, Round

_ANSWERS = {
    "Manifest": Round.MANIFEST,
    "KeyList": Round.ADVERTISE_KEYS,
    "CoinList": Round.COIN,
    "DealtShares": Round.SHARE_KEYS,
    "DealerList": Round.SHARE_ACK,
    "InputList": Round.MASKED_INPUT,
    "Certificate": Round.CONSISTENCY,
    "Result": Round.RESULT,
    CHUNK: Round.MASKED_INPUT,
}
_ROUND_OF = {**SPOKEN_IN, **_ANSWERS}

_P = ParamSpec("_P")
_T = TypeVar("_T")

# Answers that are known at a time: each list is asked for by all silos in turn, and a
# list of 4,096 members, the most there may be, has as many signatures.
_KNOWN: Final = 1 << 13


class SharedWork:
    """Carries out once what many silos do alike (`secagg.alike`).

    Attributes:
        saved: seconds that repeating it would have taken.
    """

    def __init__(self) -> None:
        """Know nothing."""
        self.saved = 0.0
        self._known: dict[Any, tuple[Any, float]] = {}

    def __call__(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Return what `function` makes of the arguments; errors are not kept."""
        key = (function, args, *kwargs.items())
        if key in self._known:
            value, took = self._known[key]
            self.saved += took
            return value  # type: ignore[no-any-return]  # what `function` returned
        began = time.perf_counter()
        value = function(*args, **kwargs)
        if len(self._known) >= _KNOWN:
            del self._known[next(iter(self._known))]
        self._known[key] = value, time.perf_counter() - began
        return value


class CostMeter:
    """Counts seconds by party, and bytes by party, direction and round.

    Attributes:
        work: what saves time; a party is booked the time it saved it as well.
        seconds: by party.
        up: bytes each party sent, by round.
        down: bytes each party received, by round.
    """

    def __init__(self) -> None:
        """Start at nothing."""
        self.work = SharedWork()
        self.seconds: collections.defaultdict[PeerId, float]
        self.seconds = collections.defaultdict(float)
        self.up: dict[PeerId, collections.Counter[str]] = {}
        self.down: dict[PeerId, collections.Counter[str]] = {}

    @contextlib.contextmanager
    def at(self, party: PeerId) -> Iterator[None]:
        """Time what happens inside on the account of `party`."""
        began = time.perf_counter() + self.work.saved
        try:
            yield
        finally:
            self.seconds[party] += time.perf_counter() + self.work.saved - began

    def carry(self, sender: PeerId, receiver: PeerId, kind: str, size: int) -> None:
        """Count bytes at both ends."""
        round_ = _ROUND_OF.get(kind, Round.RESULT).value
        self.up.setdefault(sender, collections.Counter())[round_] += size
        self.down.setdefault(receiver, collections.Counter())[round_] += size


def peak_rss_mib() -> float:
    """Return the most memory this process has held, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kibibytes on Linux, bytes on macOS.
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
