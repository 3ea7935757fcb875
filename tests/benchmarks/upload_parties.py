"""The processes of `upload`: whole rounds and bare transfers, turn by turn.

``python -m tests.benchmarks.upload_parties '<plan as JSON>' <party> [ports]`` runs the
aggregator or one hospital. In each turn all hospitals contribute at once, and then send
as many bytes between the same processes over bare TLS websockets: those of the library
``websockets``, with our TLS contexts and nothing else of ours.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import connect as dial
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen

from secagg import Task, connect, packing, serve
from secagg.consortium import Consortium
from secagg.crypto.prg import Tag
from secagg.drivers import progress
from secagg.drivers.wire.tls import client_context, server_context
from secagg.engine import MaskSeed, one_thread
from secagg.masked_chunks import chunks_of
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from secagg.quantize import QuantizedUpdate
from secagg.vector import chunk_frame, leaf_hash

_SEED = b"upload"
_RANGE = 0.01
_PATIENCE = 3_600.0

_BARE: dict[str, Any] = {
    "compression": None,
    "max_size": None,
    "ping_interval": None,
    "write_limit": 1 << 20,
}
"""Of a bare connection, at both ends: as much in its buffer as ours has."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: n, m, how many turns, and where the spool lies."""

    silos: int
    length: int
    turns: int
    folder: str

    @property
    def consortium(self) -> Consortium:
        """Everybody's keys."""
        return Consortium.of(self.silos, _SEED)

    @property
    def task(self) -> Task:
        """What is asked for."""
        return Task(
            task_id="upload",
            length=self.length,
            clip=_RANGE * self.length**0.5,
            coordinate_range=_RANGE,
            durations=(int(1000 * _PATIENCE),) * 7,
        )

    @property
    def params(self) -> Parameters:
        """Those of every session, whatever its nonces."""
        given = self.consortium
        manifest = self.task.manifest(
            aggregator=given.aggregator.id,
            roster=given.roster,
            ready={peer: bytes(32) for peer in given.silos},
            round_no=1,
            attempt=1,
            model_hash=bytes(32),
            previous_link=bytes(32),
        )
        return Parameters.of(manifest)

    def update(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return what everybody puts in."""
        rng = np.random.default_rng(1)
        return rng.uniform(-_RANGE, _RANGE, self.length).astype(np.float32)


class CpuClock:
    """This process's CPU seconds from the first event of a kind to the last of one."""

    def __init__(self, first: type, last: type) -> None:
        self.seconds: list[float] = []
        self._first, self._last = first, last
        self._began = self._now = 0.0

    def __call__(self, event: progress.Progress) -> None:
        if isinstance(event, progress.SessionBegan):
            self._began = self._now = 0.0
        if isinstance(event, self._first) and not self._began:
            self._began = time.process_time()
        if isinstance(event, self._last):
            self._now = time.process_time()

    def turn(self) -> None:
        """Note what the round that is over took."""
        self.seconds.append(self._now - self._began)


async def aggregate(plan: Plan) -> dict[str, Any]:
    """Receive, turn by turn."""
    given, clock = plan.consortium, CpuClock(progress.ChunkStored, progress.ChunkStored)
    bare = Receiver(plan)
    context = server_context(given.aggregator, given.roster)
    ours: list[float] = []
    parts: list[dict[str, float]] = []
    serving = serve(
        "127.0.0.1",
        0,
        identity=given.aggregator,
        roster=given.roster,
        task=plan.task,
        state=Path(plan.folder) / "aggregator",
        ready_seconds=_PATIENCE,
        observer=clock,
    )
    async with (
        serving as aggregator,
        listen(bare.accept, "127.0.0.1", 0, ssl=context, **_BARE) as listening,
    ):
        port = next(iter(listening.sockets)).getsockname()[1]
        _say({"ports": [aggregator.port, port]})
        with bare:
            for _ in range(plan.turns):
                outcome = await aggregator.run_round()
                ours.append(outcome.durations["masked_input"])
                clock.turn()
                await bare.turn()
                parts.append(components(plan))
    return {
        "ours": ours,
        "bare": bare.seconds,
        "cpu": {"ours": clock.seconds, "bare": bare.cpu},
        "parts": {
            name: statistics.median(one[name] for one in parts) for name in parts[0]
        },
    }


class Receiver:
    """The far end of the bare transfers."""

    def __init__(self, plan: Plan) -> None:
        self.seconds: list[float] = []
        self.cpu: list[float] = []
        self._plan = plan
        self._size = chunks_of(plan.params).total_bytes
        self._lines: list[ServerConnection] = []
        self._all = asyncio.Event()
        self._over = asyncio.Event()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()

    async def accept(self, line: ServerConnection) -> None:
        """Keep a connection until the end."""
        self._lines.append(line)
        if len(self._lines) == self._plan.silos:
            self._all.set()
        await self._over.wait()

    async def turn(self) -> None:
        """Let everybody send, and wait until all is here."""
        await self._all.wait()
        # Everybody says when its round is over: the mean fetched, nothing left to do.
        await asyncio.gather(*(line.recv() for line in self._lines))
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(self._receive(line) for line in self._lines))
        self.seconds.append(time.perf_counter() - began)
        self.cpu.append(time.process_time() - cpu)

    async def _receive(self, line: ServerConnection) -> None:
        await line.send(b"go")
        missing = self._size
        while missing > 0:
            missing -= len(await line.recv())


async def take_part(plan: Plan, peer: PeerId, ports: list[int]) -> dict[str, Any]:
    """Send, turn by turn."""
    given = plan.consortium
    clock = CpuClock(progress.SessionBegan, progress.Uploaded)
    bare_cpu: list[float] = []
    update = plan.update()
    identity, roster = given.silos[peer], given.roster
    context = client_context(identity, roster, given.aggregator.id)
    line = await dial(f"wss://127.0.0.1:{ports[1]}", ssl=context, **_BARE)
    chunks = chunks_of(plan.params)
    frames = [bytes(chunks.size_bytes(index)) for index in range(chunks.count)]
    async with connect(
        f"wss://127.0.0.1:{ports[0]}",
        identity=identity,
        roster=roster,
        state=Path(plan.folder) / peer,
        observer=clock,
    ) as silo:
        for _ in range(plan.turns):
            await silo.contribute(update)
            clock.turn()
            await line.send(b"ready")
            await line.recv()
            cpu = time.process_time()
            for frame in frames:
                await line.send(frame)
            bare_cpu.append(time.process_time() - cpu)
    await line.close()
    return {"cpu": {"ours": clock.seconds, "bare": bare_cpu}}


def components(plan: Plan) -> dict[str, float]:
    """Return the seconds of each part of one upload on one core, TLS aside."""
    params = plan.params
    size = min(1 << params.chunk_log2, params.m)
    p, width = params.p, params.width
    coordinates = QuantizedUpdate(plan.update(), params.scale, rounding_key=bytes(32))
    engine = one_thread(width)
    seeds = [MaskSeed(bytes([k]) * 32, Tag.PAIR) for k in range(plan.silos)]
    y_u = np.array(coordinates.chunk(0, size, p))
    chunk, sid = packing.pack(y_u, width), SessionId(bytes(32))
    works: dict[str, Callable[[], object]] = {
        "quantize": lambda: coordinates.chunk(0, size, p),
        "mask": lambda: engine.accumulate(y_u, seeds, [1] * plan.silos, 0, size),
        "pack": lambda: packing.pack(y_u, width),
        "hash, both ends": lambda: [leaf_hash(sid, 0, chunk) for _ in range(2)],
        "frame": lambda: chunk_frame(sid, 0, chunk),
        "check": lambda: packing.check_packed(chunk, size, width),
    }
    factor = params.total_length / size
    return {name: factor * _least(work) for name, work in works.items()}


def _least(work: Callable[[], object]) -> float:
    """Return the least CPU seconds of this thread in a few runs."""
    taken = []
    for _ in range(3):
        began = time.thread_time()
        work()
        taken.append(time.thread_time() - began)
    return min(taken)


def _say(found: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def arguments(plan: Plan, party: str, ports: list[int]) -> list[str]:
    """Return the command of one party."""
    said = json.dumps(asdict(plan))
    module = "tests.benchmarks.upload_parties"
    return [sys.executable, "-m", module, said, party, json.dumps(ports)]


def main() -> None:
    """Run one party."""
    said, party, ports = sys.argv[1:]
    plan = Plan(**json.loads(said))
    if party == "aggregator":
        _say(asyncio.run(aggregate(plan)))
    else:
        _say(asyncio.run(take_part(plan, PeerId(party), json.loads(ports))))


if __name__ == "__main__":
    main()
