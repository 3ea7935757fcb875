"""An aggregator and its silos over lines that the test can cut, on a fake clock."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from secagg import vector
from secagg.consortium import Consortium
from secagg.drivers import progress
from secagg.drivers.aggregator.aggregator import Aggregator, opened
from secagg.drivers.aggregator.settings import Settings
from secagg.drivers.api import silo_over
from secagg.drivers.outcome import RoundOutcome, RoundRecord
from secagg.drivers.silo.silo import Silo
from secagg.drivers.silo.store import MemoryStore
from secagg.drivers.wire import dialling, listening
from secagg.drivers.wire.doorkeeper import Doorkeeper
from secagg.drivers.wire.handshake import MAX_HANDSHAKE_FRAME
from secagg.drivers.wire.memory import MemoryNetwork, MemoryTransport
from secagg.drivers.wire.tls import client_context, server_context
from secagg.drivers.wire.transport import Transport
from secagg.drivers.wire.websocket import WebSocketTransport
from secagg.entropy import SeededEntropy
from secagg.names import PeerId
from secagg.policy import Policy
from secagg.task import Task
from tests.drivers.fake_clock import FakeClock, until

CHUNK_LOG2 = 12
PATIENCE_SECONDS = 6
"""A test that hangs fails after so long; no test waits for it."""

LENGTH = 3 * (1 << CHUNK_LOG2) + 5
"""Four chunks."""


Cuttable: TypeAlias = MemoryTransport | WebSocketTransport


@dataclass
class Tapped:
    """A transport whose frames the line looks at before they go out."""

    inner: Cuttable
    line: "Line"

    async def send(self, frame: bytes) -> None:
        if not self.line.lets_through(frame):
            await self.inner.cut()
        await self.inner.send(frame)

    async def recv(self) -> bytes:
        return await self.inner.recv()

    def pause(self) -> None:
        self.inner.pause()

    def resume(self) -> None:
        self.inner.resume()

    def allow(self, max_frame: int) -> None:
        self.inner.allow(max_frame)

    async def close(self, reason: str = "") -> None:
        await self.inner.close(reason)


@dataclass
class Line:
    """One silo's line to the aggregator: it can fall, for a moment or for good."""

    connect: Callable[[], Awaitable[Cuttable]]
    around: Callable[[Tapped], Transport] = lambda tapped: tapped
    fallen: Callable[[], None] = lambda: None
    fall_at: Callable[[bytes], bool] = lambda frame: False
    for_good: bool = False
    up: asyncio.Event = field(default_factory=asyncio.Event)
    transports: list[Cuttable] = field(default_factory=list)
    dials: int = 0

    def __post_init__(self) -> None:
        self.up.set()

    async def dial(self) -> Transport:
        await self.up.wait()
        self.dials += 1
        inner = await self.connect()
        self.transports.append(inner)
        return self.around(Tapped(inner, self))

    def lets_through(self, frame: bytes) -> bool:
        if not self.fall_at(frame):
            return True
        self.fall_at = lambda _: False
        if self.for_good:
            self.up.clear()
            self.fallen()
        return False

    async def cut(self) -> None:
        await self.transports[-1].cut()


def sends(type_: str) -> Callable[[bytes], bool]:
    """Match the frame that carries a message of this type."""
    return lambda frame: frame[:1] == b"\x00" and type_.encode() in frame[:64]


def sends_chunk(index: int) -> Callable[[bytes], bool]:
    """Match the frame of a chunk."""

    def matches(frame: bytes) -> bool:
        if frame[:1] != b"\x01":
            return False
        parsed = vector.parse_frame(frame)
        return isinstance(parsed, vector.ChunkFrame) and parsed.index == index

    return matches


class World:
    """A consortium of n silos around one task."""

    def __init__(self, count: int, network: str, **task: Any) -> None:
        self.consortium = Consortium.of(count, b"world")
        self.clock = FakeClock()
        self.network = network
        terms: dict[str, Any] = {
            "task_id": "demo",
            "length": LENGTH,
            "clip": 4.0,
            **task,
        }
        self.task = Task(**{"chunk_log2": CHUNK_LOG2, **terms})
        self.events: list[progress.Progress] = []
        self.silo_events: dict[PeerId, list[progress.Progress]] = {}
        self.policy = Policy()
        self.keeper = Doorkeeper()
        self.lost: set[PeerId] = set()
        self.away: set[PeerId] = set()
        self.lines: dict[PeerId, Line] = {}
        self.stores: dict[PeerId, MemoryStore] = {}
        self.watchers: list[Callable[[progress.Progress], None]] = []
        self._memory = MemoryNetwork()
        self._port = 0
        self._waiting_for: tuple[PeerId, ...] = ()

    @property
    def peers(self) -> list[PeerId]:
        return sorted(self.consortium.silos)

    def update(self, peer: PeerId) -> NDArray[np.float64]:
        place = self.peers.index(peer)
        return np.random.default_rng(place).normal(0, 0.01, self.task.length)

    # --- the aggregator ---------------------------------------------------------

    def settings(self, **changes: Any) -> Settings:
        given: dict[str, Any] = {
            "identity": self.consortium.aggregator,
            "roster": self.consortium.roster,
            "task": self.task,
            "clock": self.clock,
            "entropy": SeededEntropy(b"aggregator"),
            "observer": self._observe,
        }
        return Settings(**{**given, **changes})

    @contextlib.asynccontextmanager
    async def serve(self, **changes: Any) -> AsyncIterator[Aggregator]:
        async with opened(self.settings(**changes)) as aggregator:
            if self.network == "memory":
                self._memory.listen(aggregator.accept)
                try:
                    yield aggregator
                finally:
                    await self._memory.close()
            else:
                context = server_context(
                    self.consortium.aggregator, self.consortium.roster
                )
                async with listening.listen(
                    "127.0.0.1",
                    self._port,
                    aggregator.accept,
                    context,
                    max_frame=MAX_HANDSHAKE_FRAME,
                    keeper=self.keeper,
                ) as port:
                    self._port = port
                    yield aggregator

    def _observe(self, event: progress.Progress) -> None:
        self.events.append(event)
        if isinstance(event, progress.PhaseReached):
            self._waiting_for = ()
        if isinstance(event, progress.Answered | progress.PeerReady):
            self._waiting_for = event.waiting_for
        self.pass_time()
        for watcher in self.watchers:
            watcher(event)

    def pass_time(self) -> None:
        """Let the deadline pass once only silos whose line is down are waited for."""
        down = {u for u, line in self.lines.items() if not line.up.is_set()}
        down |= self.away
        if self._waiting_for and set(self._waiting_for) <= down:
            self._waiting_for = ()
            self.clock.expire()

    # --- the silos --------------------------------------------------------------

    async def _connect(self, peer: PeerId) -> Cuttable:
        if self.network == "memory":
            return await self._memory.dial()
        context = client_context(
            self.consortium.silos[peer],
            self.consortium.roster,
            self.consortium.aggregator.id,
        )
        return await dialling.dial(f"wss://127.0.0.1:{self._port}", context)

    def line(self, peer: PeerId) -> Line:
        if peer not in self.lines:
            connect = functools.partial(self._connect, peer)
            self.lines[peer] = Line(connect, fallen=self.pass_time)
        return self.lines[peer]

    def silo(self, peer: PeerId, **changes: Any):
        seen = self.silo_events.setdefault(peer, [])
        seed = f"{peer}-{len(seen)}".encode()
        given: dict[str, Any] = {
            "identity": self.consortium.silos[peer],
            "roster": self.consortium.roster,
            "clock": self.clock,
            "entropy": SeededEntropy(seed),
            "observer": seen.append,
            "policy": self.policy,
            "state": self.stores.setdefault(peer, MemoryStore()),
        }
        return silo_over(self.line(peer).dial, **{**given, **changes})

    async def contribute(self, silo: Silo, peer: PeerId) -> Any:
        try:
            return await silo.contribute(self.update(peer))
        except Exception as error:  # noqa: BLE001 the tests look at it
            return error

    @contextlib.asynccontextmanager
    async def silos(self, *peers: PeerId) -> AsyncIterator[dict[PeerId, Silo]]:
        async with contextlib.AsyncExitStack() as stack:
            chosen = peers or tuple(self.peers)
            yield {u: await stack.enter_async_context(self.silo(u)) for u in chosen}

    async def round(
        self, aggregator: Aggregator, silos: dict[PeerId, Silo], **changes: Any
    ) -> tuple[RoundOutcome, dict[PeerId, Any]]:
        """Run one round; return the outcome and what each silo got."""
        work = {
            u: asyncio.create_task(self.contribute(silo, u))
            for u, silo in silos.items()
        }
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                outcome = await aggregator.run_round(**changes)
            async with asyncio.timeout(PATIENCE_SECONDS):
                means = {u: await work[u] for u in work if u not in self.lost}
        finally:
            for task in work.values():
                task.cancel()
            await asyncio.gather(*work.values(), return_exceptions=True)
        return outcome, means

    def plain_mean(self, peers: Sequence[PeerId]) -> NDArray[np.float64]:
        updates = [self.update(u) for u in peers]
        return np.asarray(np.mean(updates, axis=0))


def record_of(silo: Silo) -> RoundRecord:
    """What the silo knows of its last round."""
    assert silo.last_round is not None
    return silo.last_round


def error_of(outcome: RoundOutcome, mean: NDArray[np.float64]) -> float:
    """How far the outcome's mean is from another, as a part of the stated bound."""
    assert outcome.mean is not None
    assert outcome.error is not None
    return float(np.abs(outcome.mean - mean).max() / outcome.error.worst)


def is_mean_of(outcome: RoundOutcome, mean: Any) -> bool:
    """Whether a silo got exactly the outcome's mean."""
    return outcome.mean is not None and np.array_equal(mean, outcome.mean)


async def reached(
    events: list[progress.Progress], matches: Callable[[progress.Progress], bool]
) -> None:
    """Wait until an event was observed."""
    await until(lambda: any(matches(event) for event in events))
