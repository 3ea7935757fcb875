"""What a simulated session costs: seconds and bytes, by party and by round."""

from __future__ import annotations

import collections
import contextlib
import resource
import sys
import time
from collections.abc import Iterator

from secagg.cohort import CHUNK, SPOKEN_IN
from secagg.names import PeerId, Round

_ANSWERS = {
    "Manifest": Round.MANIFEST,
    "KeyList": Round.ADVERTISE_KEYS,
    "DealtShares": Round.SHARE_KEYS,
    "DealerList": Round.SHARE_ACK,
    "InputList": Round.MASKED_INPUT,
    "Certificate": Round.CONSISTENCY,
    "Result": Round.RESULT,
    CHUNK: Round.MASKED_INPUT,
}
_ROUND_OF = {**SPOKEN_IN, **_ANSWERS}


class CostMeter:
    """Counts wall-clock seconds by party, and bytes by party, direction and round.

    Attributes:
        seconds: by party.
        up: bytes each party sent, by round.
        down: bytes each party received, by round.
    """

    def __init__(self) -> None:
        """Start at nothing."""
        self.seconds: collections.defaultdict[PeerId, float]
        self.seconds = collections.defaultdict(float)
        self.up: dict[PeerId, collections.Counter[str]] = {}
        self.down: dict[PeerId, collections.Counter[str]] = {}

    @contextlib.contextmanager
    def at(self, party: PeerId) -> Iterator[None]:
        """Time what happens inside on the account of `party`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[party] += time.perf_counter() - began

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
