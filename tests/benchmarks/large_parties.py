"""The processes of `large`: an aggregator or one hospital, and what it cost them.

``python -m tests.benchmarks.large_parties '<plan as JSON>' <party> [port]`` runs one
party over TLS and writes one line of JSON. All of them derive the consortium, the
updates and the draws from one seed, so the aggregator's process can add up the integers
that went in, window by window, without a copy of any vector.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from secagg import Policy, Task, connect, field, packing, serve
from secagg.consortium import Consortium
from secagg.contribution import Contribution, contribution
from secagg.crypto.prg import Tag
from secagg.drivers import progress
from secagg.drivers.outcome import RoundOutcome
from secagg.engine import MaskSeed, engine
from secagg.entropy import SeededEntropy
from secagg.names import PeerId
from secagg.params import Parameters
from secagg.quantize import QuantizedUpdate
from secagg.scale import Scale
from tests import memory

RANGE = 0.01
MIB = 1 << 20
_BLOCK = 1 << 15  # As large as the blocks in which the number layer reads.
_WINDOW = 1 << 18
_SEED = b"large"
_SLOWEST = 3_600_000


@dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    Attributes:
        silos: n.
        length: m.
        lost: how many hospitals leave half way through their uploads.
        folder: where spools and states lie; each party has its own in it.
        engine: which mask engine.
    """

    silos: int
    length: int
    lost: int
    folder: str
    engine: str = "numpy-threads"

    @property
    def consortium(self) -> Consortium:
        """Everybody's keys."""
        return Consortium.of(self.silos, _SEED)

    @property
    def peers(self) -> list[PeerId]:
        """The hospitals, sorted; the last ones are lost."""
        return sorted(self.consortium.silos)

    @property
    def survivors(self) -> tuple[PeerId, ...]:
        """Who is to be in U3."""
        return tuple(self.peers[: self.silos - self.lost])

    @property
    def task(self) -> Task:
        """What is asked for; nothing waits for a deadline unless somebody is slow."""
        return Task(
            task_id="large",
            length=self.length,
            clip=RANGE * self.length**0.5,
            coordinate_range=RANGE,
            durations=(_SLOWEST,) * 7,
        )

    def entropy(self, peer: PeerId) -> SeededEntropy:
        """A hospital's draws, the same in every process that asks."""
        return SeededEntropy(_SEED + peer.encode())


class SeededUpdate:
    """An update of float32 that nobody holds: any window of it is made when read."""

    def __init__(self, plan: Plan, peer: PeerId) -> None:
        self.dtype = np.dtype(np.float32)
        self.shape = (plan.length,)
        self.size = plan.length
        self._key = plan.peers.index(peer)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, window: slice) -> NDArray[np.float32]:
        start, stop, _ = window.indices(self.size)
        first = start // _BLOCK
        if stop <= (first + 1) * _BLOCK:
            return self._block(first)[start - first * _BLOCK : stop - first * _BLOCK]
        blocks = [self._block(k) for k in range(first, -(-stop // _BLOCK))]
        low = start - first * _BLOCK
        return np.concatenate(blocks)[low : low + stop - start]

    def _block(self, index: int) -> NDArray[np.float32]:
        rng = np.random.default_rng([self._key, index])
        block = rng.random(_BLOCK, dtype=np.float32)
        block -= np.float32(0.5)
        block *= np.float32(2 * RANGE)
        return block

    def whole(self) -> NDArray[np.float32]:
        """Return it as an array, made block by block."""
        update = np.empty(self.size, dtype=np.float32)
        for low, high in _windows(self.size):
            update[low:high] = self[low:high]
        return update


class Peak:
    """The greatest resident memory of this process since it was begun."""

    def __init__(self) -> None:
        memory.forget_peak()
        self._before = memory.peak()

    def grown(self) -> int:
        """Return by how many bytes memory grew beyond what it was, at its peak."""
        return memory.peak() - self._before


def warm(plan: Plan) -> None:
    """Load and compile what the first chunk would.

    Where numba is installed, it and its compiler stay resident: some 150 MiB, once a
    process, whatever m is. They belong to the program, and are there before the round.
    """
    size, width = 4096, 20
    scale = Scale.even(bits=16, clip=1.0, coordinate_range=RANGE, length=size)
    update = np.zeros(size, dtype=np.float32)
    coordinates = QuantizedUpdate(update, scale, rounding_key=bytes(32))
    y_u = np.array(coordinates.chunk(0, size, field.prime(width)))
    seeds = [MaskSeed(bytes(32), Tag.SELF)]
    engine(plan.engine, width).accumulate(y_u, seeds, [1], 0, size)
    packing.unpack(packing.pack(y_u, width), size, width)


class Diary:
    """What happened when, by the name of the event or of the phase."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def __call__(self, event: progress.Progress) -> None:
        name = type(event).__name__
        if isinstance(event, progress.PhaseReached):
            name = str(event.phase)
        self.at[name] = time.perf_counter()


async def aggregate(plan: Plan) -> dict[str, Any]:
    """Serve one round, then check its sum."""
    given = plan.consortium
    diary = Diary()
    async with serve(
        "127.0.0.1",
        0,
        identity=given.aggregator,
        roster=given.roster,
        task=plan.task,
        state=Path(plan.folder) / "aggregator",
        ready_seconds=_SLOWEST / 1000,
        engine=plan.engine,
        observer=diary,
    ) as aggregator:
        _say({"port": aggregator.port})
        warm(plan)
        peak, cpu = Peak(), time.process_time()
        outcome = await aggregator.run_round()
        found = {
            "seconds": sum(outcome.durations.values()),
            "phases": dict(outcome.durations),
            "cpu": time.process_time() - cpu,
            "grown": peak.grown(),
        }
    return {**found, **_checked(plan, outcome)}


def _checked(plan: Plan, outcome: RoundOutcome) -> dict[str, Any]:
    """Compare the released integers with those that went in, window by window."""
    u3, released = outcome.result.u3, outcome.vector
    assert released is not None
    params = Parameters.of(_manifest(plan, outcome))
    inputs = [_contribution(plan, outcome, params, peer) for peer in u3]
    wrong, mean = 0, hashlib.sha256()
    for low, high in _windows(plan.length):
        total = np.zeros(high - low, dtype=np.int64)
        for one in inputs:
            total += field.centre(one.window(low, high), params.p)
        wrong += int(np.count_nonzero(total != released.integers(low, high)))
        mean.update(released[low:high].astype(np.float32).tobytes())
    return {
        "u3": list(u3),
        "wrong": wrong,
        "mean": mean.hexdigest(),
        "width": params.width,
        "elements": params.total_length,
    }


def _manifest(plan: Plan, outcome: RoundOutcome) -> Any:
    """Return terms with the parameters of the session; its members' nonces differ."""
    given = plan.consortium
    return plan.task.manifest(
        aggregator=given.aggregator.id,
        roster=given.roster,
        ready={peer: bytes(32) for peer in outcome.sets["u0"]},
        round_no=1,
        attempt=1,
        model_hash=bytes(32),
        previous_link=bytes(32),
    )


def _contribution(
    plan: Plan, outcome: RoundOutcome, params: Parameters, peer: PeerId
) -> Contribution:
    # It stands in for the array: it has its type, its length and its windows.
    update = cast("NDArray[np.float32]", SeededUpdate(plan, peer))
    return contribution(
        update,
        weight=1,
        values={},
        params=params,
        sid=outcome.sid,
        entropy=plan.entropy(peer),
    )


def _windows(length: int) -> Iterator[tuple[int, int]]:
    for low in range(0, length, _WINDOW):
        yield low, min(low + _WINDOW, length)


async def take_part(plan: Plan, peer: PeerId, port: int) -> dict[str, Any]:
    """Contribute one update, over which the mean is written."""
    given, diary = plan.consortium, Diary()
    leaving = asyncio.Event()
    leaves = peer not in plan.survivors

    def observe(event: progress.Progress) -> None:
        diary(event)
        half = isinstance(event, progress.Uploaded) and (
            2 * event.sent_bytes >= event.total_bytes
        )
        if leaves and half:
            leaving.set()

    async with connect(
        f"wss://127.0.0.1:{port}",
        identity=given.silos[peer],
        roster=given.roster,
        policy=Policy(),
        state=Path(plan.folder) / peer,
        engine=plan.engine,
        entropy=plan.entropy(peer),
        observer=observe,
    ) as silo:
        warm(plan)
        peak, cpu = Peak(), time.process_time()
        update = SeededUpdate(plan, peer).whole()
        made = time.process_time()
        work = asyncio.create_task(silo.contribute(update, out=update))
        if leaves:
            await leaving.wait()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            # Its farewell is on its way behind a chunk: stay until all is over.
            await asyncio.to_thread(sys.stdin.read)
        else:
            await work
        return {
            "made": made - cpu,
            "cpu": time.process_time() - made,
            "grown": peak.grown(),
            "mean": "" if leaves else hashlib.sha256(update.data).hexdigest(),
        }


def _say(found: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def arguments(plan: Plan, party: str, port: int = 0) -> list[str]:
    """Return the command of one party."""
    said = json.dumps(asdict(plan))
    return [
        sys.executable,
        "-m",
        "tests.benchmarks.large_parties",
        said,
        party,
        str(port),
    ]


def main() -> None:
    """Run one party."""
    said, party, port = sys.argv[1:]
    plan = Plan(**json.loads(said))
    if party == "aggregator":
        _say(asyncio.run(aggregate(plan)))
    else:
        _say(asyncio.run(take_part(plan, PeerId(party), int(port))))


if __name__ == "__main__":
    main()
