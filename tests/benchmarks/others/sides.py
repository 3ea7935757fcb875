"""The protocols that take turns, each with the same three stages and one answer.

What a turn of a stage is, is each side's own business: the longer stages of Flower's
clients are run once for each client, in as many batches as there are turns, and so are
CKKS's clients; its server and both sides of ours are run anew each turn.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tests.benchmarks.others.remote import Worker
from tests.benchmarks.others.vectors import PeakMemory, error, vector
from tests.benchmarks.rows import Figure
from tests.benchmarks.sessions import Recording

STAGES = ("share", "collect", "serve")


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What one protocol cost; by the number of lost silos where that matters.

    Attributes:
        client, server: seconds.
        bytes_up: that one hospital sends.
        errors: of the mean, relative L2.
        client_memory: bytes that a hospital takes beyond its update.
        server_memory: bytes that the aggregator takes, the vectors it holds included.
    """

    client: Figure
    server: Mapping[int, Figure]
    bytes_up: float
    errors: Mapping[int, float]
    client_memory: float
    server_memory: float


class Side(Protocol):
    """A protocol that takes part."""

    name: str

    def share(self, turn: int) -> None:
        """Do what comes before the vectors."""

    def collect(self, turn: int) -> None:
        """Mask vectors."""

    def serve(self, turn: int) -> None:
        """Add them up and open the sum."""

    def costs(self) -> Costs:
        """Return what it all cost."""


class Ours:
    """secagg: a whole hospital in each turn, then the aggregator."""

    name = "secagg"

    def __init__(self, recordings: Mapping[int, Recording]) -> None:
        """Take the recordings, by the number of lost silos."""
        self._recordings = recordings
        self._client: list[float] = []
        self._server: dict[int, list[float]] = collections.defaultdict(list)
        self._memory: dict[str, float] = {}

    def share(self, turn: int) -> None:
        """Play a hospital."""
        del turn
        memory = PeakMemory()
        self._client.append(self._recordings[0].client_seconds())
        self._note("client", memory)

    collect = share

    def serve(self, turn: int) -> None:
        """Play the aggregator, for each number of lost silos."""
        del turn
        for lost, recording in self._recordings.items():
            memory = PeakMemory()
            self._server[lost].append(recording.server_seconds())
            self._note("server", memory)

    def _note(self, party: str, memory: PeakMemory) -> None:
        self._memory[party] = max(self._memory.get(party, 0.0), memory.beyond())

    def costs(self) -> Costs:
        """Return what it all cost."""
        first = self._recordings[0]
        held = sum(len(chunk) for chunks in first.stored.values() for chunk in chunks)
        return Costs(
            client=Figure.of(self._client),
            server={lost: Figure.of(one) for lost, one in self._server.items()},
            bytes_up=first.bytes_up,
            errors={lost: _error(one) for lost, one in self._recordings.items()},
            client_memory=self._memory["client"],
            server_memory=self._memory["server"] + held,
        )


def _error(recording: Recording) -> float:
    return error(recording.mean, range(len(recording.server.sets["u3"])))


class Plain:
    """The sum of float32 vectors that hides nothing."""

    name = "plain sum"

    def __init__(self, silos: int, length: int, losses: tuple[int, ...]) -> None:
        """Take one vector: adding it up costs what any other does."""
        self._silos, self._losses = silos, losses
        self._update = vector(0, length)
        self._client: list[float] = []
        self._server: dict[int, list[float]] = collections.defaultdict(list)

    def share(self, turn: int) -> None:
        """Do nothing: there is nothing to share."""

    def collect(self, turn: int) -> None:
        """Put the vector into bytes."""
        del turn
        began = time.perf_counter()
        self._update.tobytes()
        self._client.append(time.perf_counter() - began)

    def serve(self, turn: int) -> None:
        """Add up the vectors of those that were not lost."""
        del turn
        sent = self._update.tobytes()
        for lost in self._losses:
            began = time.perf_counter()
            total = np.zeros(len(self._update), dtype=np.float64)
            for _ in range(self._silos - lost):
                total += np.frombuffer(sent, dtype=np.float32)
            self._server[lost].append(time.perf_counter() - began)

    def costs(self) -> Costs:
        """Return what it all cost; a float64 sum of float32 is exact enough."""
        size = float(self._update.nbytes)
        return Costs(
            client=Figure.of(self._client),
            server={lost: Figure.of(one) for lost, one in self._server.items()},
            bytes_up=size,
            errors=dict.fromkeys(self._losses, 0.0),
            client_memory=size,
            # One vector at a time, and the sum.
            server_memory=size + 2 * size,
        )


class Flower:
    """Flower's SecAgg+, in the worker."""

    name = "Flower SecAgg+"

    def __init__(
        self, worker: Worker, threshold: int, losses: tuple[int, ...], **given: Any
    ) -> None:
        """Open a cohort of `given` count, length and parts."""
        self._worker, self._losses = worker, losses
        self._server: dict[int, list[float]] = collections.defaultdict(list)
        self._last: dict[int, dict[str, float]] = {}
        worker.call("flower", "open", threshold=threshold, **given)

    def share(self, turn: int) -> None:
        """Run the share-keys stage of a batch of clients."""
        self._worker.call("flower", "share", part=turn)

    def collect(self, turn: int) -> None:
        """Run the collect stage of a batch of clients."""
        self._worker.call("flower", "collect", part=turn)

    def serve(self, turn: int) -> None:
        """Run the server, for each number of lost silos."""
        del turn
        for lost in self._losses:
            self._last[lost] = self._worker.call("flower", "serve", lost=lost)
            self._server[lost].append(self._last[lost]["server"])

    def costs(self) -> Costs:
        """Return what it all cost."""
        client = self._worker.call("flower", "client")
        return Costs(
            client=Figure.of(client["client"]),
            server={lost: Figure.of(one) for lost, one in self._server.items()},
            bytes_up=client["bytes"],
            errors={lost: one["error"] for lost, one in self._last.items()},
            client_memory=client["memory"],
            server_memory=self._last[0]["memory"],
        )


class Ckks:
    """TenSEAL CKKS, in the worker; each vector is added as it comes."""

    name = "TenSEAL CKKS"

    def __init__(
        self, worker: Worker, silos: int, losses: tuple[int, ...], **given: Any
    ) -> None:
        """Open a cohort of `given` length and parts."""
        self._worker, self._silos, self._losses = worker, silos, losses
        worker.call("ckks", "open", count=silos, lost=max(losses), **given)

    def share(self, turn: int) -> None:
        """Do nothing: the keys are there."""

    def collect(self, turn: int) -> None:
        """Encrypt the vectors of a batch of clients, and add them up."""
        self._worker.call("ckks", "add", part=turn)

    def serve(self, turn: int) -> None:
        """Do nothing: it is done."""

    def costs(self) -> Costs:
        """Return what it all cost."""
        found = self._worker.call("ckks", "result")
        left = {lost: str(self._silos - lost) for lost in self._losses}
        return Costs(
            client=Figure.of(found["client"]),
            server={lost: Figure.of(found["server"][n]) for lost, n in left.items()},
            bytes_up=found["bytes"],
            errors={lost: found["error"][n] for lost, n in left.items()},
            client_memory=found["memory"],
            server_memory=found["server_memory"],
        )
