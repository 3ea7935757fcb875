"""What one world of chaos is: its parties, its task, and the numbers they add up.

Everything follows from the seed, so every process and the judge know it alike. The
coordinates of an update are multiples of the quantizer's step: rounding changes none of
them, and what a sum has to be is known without asking anybody.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from secagg.consortium import Consortium
from secagg.drivers.postgres import DatabaseUrl
from secagg.names import PeerId
from secagg.task import Task

AGGREGATOR = PeerId("aggregator")
CORRUPTION_BOUND = 1
STEP = 2.0**-11
LARGEST = 200
"""Of a coordinate, in steps."""

KEEPALIVE_SECONDS = 0.5
READY_SECONDS = 4.0
RECONNECT_SECONDS = 1.5
CHUNK_LOG2 = 12
CHUNK_MS = 1200
"""For each chunk more: lines are struck once in about six chunks."""

PHASE_MS = 3000
"""What a loss costs; a silent line is noticed within a second of it."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """One world.

    Attributes:
        name: of its task.
        seed: of everything that is drawn.
        hospitals: how many.
        length: coordinates of an update.
        sessions: how many to run.
        folder: what its processes write lies below it.
        port: of the aggregator, on the loopback.
        journal: where the aggregator's is; None for its state directory.
    """

    name: str
    seed: int
    hospitals: int
    length: int
    sessions: int
    folder: Path
    port: int
    journal: DatabaseUrl | None = None

    @property
    def consortium(self) -> Consortium:
        """The identities, which every process makes for itself."""
        return _founded(self.hospitals)

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """The hospitals, sorted."""
        return tuple(sorted(self.consortium.silos))

    @property
    def task(self) -> Task:
        """What is asked for."""
        chunks = -(-self.length // (1 << CHUNK_LOG2))
        upload = PHASE_MS + CHUNK_MS * (chunks - 1)
        return Task(
            task_id=self.name,
            length=self.length,
            clip=64.0,
            coordinate_range=STEP * (2**15 - 1),
            corruption_bound=CORRUPTION_BOUND,
            chunk_log2=CHUNK_LOG2,
            durations=(*(PHASE_MS,) * 3, upload, PHASE_MS, PHASE_MS, 60_000),
        )

    def rng(self, *what: object) -> np.random.Generator:
        """Return the draws for one purpose."""
        text = repr((self.seed, self.name, *what)).encode()
        return np.random.default_rng(list(hashlib.sha256(text).digest()))

    def steps(self, peer: PeerId, round_no: int) -> NDArray[np.int64]:
        """Return a hospital's update for a round, in steps."""
        rng = self.rng("update", peer, round_no)
        return rng.integers(-LARGEST, LARGEST + 1, self.length)

    def update(self, peer: PeerId, round_no: int) -> NDArray[np.float64]:
        """Return a hospital's update for a round, as it trained it."""
        return np.asarray(self.steps(peer, round_no) * STEP, dtype=np.float64)

    def sum(self, peers: Iterable[PeerId], round_no: int) -> NDArray[np.int64]:
        """Return what the sum over some hospitals has to be, in steps."""
        steps = [self.steps(peer, round_no) for peer in peers]
        return np.asarray(np.sum(steps, axis=0), dtype=np.int64)

    def state(self, party: PeerId) -> Path:
        """Return a party's state directory."""
        return self.folder / "state" / party

    def fired(self, key: str = "") -> Path:
        """Return the mark of a kill that has happened; the folder of all of them."""
        return self.folder / "fired" / key

    def log(self, party: PeerId, life: int) -> Path:
        """Return where a party writes in its life of this number."""
        return self.folder / "logs" / f"{party}.{life}"

    def said(self, party: PeerId, life: int) -> Path:
        """Return where a party's output goes: the trace of what must not happen."""
        return self.folder / "logs" / f"{party}-{life}.out"


@functools.cache
def _founded(hospitals: int) -> Consortium:
    return Consortium.of(hospitals, b"chaos")
