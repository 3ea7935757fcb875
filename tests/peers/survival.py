"""An aggregator in a process of its own that is killed, and silos that live through it.

The silos run here, over mutual TLS, on lines that hold back one frame until the test
lets it go. So the aggregator stands still in a chosen phase, and nobody sleeps: what it
logs on its standard error says when to kill it.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from secagg import Identity
from secagg.drivers.api import silo_over
from secagg.drivers.silo.silo import Silo
from secagg.drivers.silo.store import MemoryStore
from secagg.drivers.wire import dialling
from secagg.drivers.wire.tls import client_context
from secagg.drivers.wire.transport import Transport
from secagg.names import PeerId
from secagg.roster import Roster
from tests.drivers.fake_clock import FakeClock
from tests.peers import aggregator_process
from tests.peers.conftest import PARTY, make_consortium

HOSPITALS = tuple(PeerId(name) for name in ("basel", "bern", "chur", "zug"))
HELD = HOSPITALS[-1]
"""The silo on whose line the test holds frames back."""

PATIENCE_SECONDS = 240
"""A run that hangs fails after so long."""
LENGTH = 3 * (1 << 12) + 5
"""Four chunks."""

AGGREGATOR = (
    PARTY
    + """
[listen]
host = "127.0.0.1"
port = {port}

[task]
id = "cardio-1"
rounds = {rounds}
clip = 1e6
range = 32767.0
chunk_log2 = 12
ready_deadline = 600
linger = 600

[model]
factory = "ward:first"
{more}
[log]
level = "debug"
"""
)
WARD = f"""
import numpy as np


def first():
    return {{"w": np.zeros({LENGTH}, np.float32)}}
"""

Matches = Callable[[dict[str, Any]], bool]


def logged(name: str, **fields: object) -> Matches:
    """Match a line of the log."""
    wanted = {"event": name, **fields}
    return lambda line: wanted.items() <= line.items()


@dataclass
class Killable:
    """The aggregator's process, started as often as it is killed.

    Attributes:
        lines: what it logged, of all its lives.
    """

    path: Path
    port: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)
    said: str = ""
    up: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        """Start it; return once it listens."""
        text = self.path.read_text(encoding="utf-8")
        self.path.write_text(text.replace("port = 0", f"port = {self.port}"))
        self._process, log = await asyncio.to_thread(
            aggregator_process.start, str(self.path)
        )
        self._came, self._ended = asyncio.Event(), False
        self._reading = asyncio.create_task(self._read(log))
        before = len(self.lines)
        line = await self.until(logged("listening"), since=before)
        self.port = line["port"]
        self.up.set()

    async def _read(self, log: Connection) -> None:
        stream = asyncio.StreamReader(limit=1 << 20)
        protocol = asyncio.StreamReaderProtocol(stream)
        with os.fdopen(os.dup(log.fileno()), "rb") as pipe:
            log.close()
            loop = asyncio.get_running_loop()
            transport, _ = await loop.connect_read_pipe(lambda: protocol, pipe)
            await self._take(stream)
            transport.close()

    async def _take(self, stream: asyncio.StreamReader) -> None:
        while raw := await stream.readline():
            if raw.startswith(b"{"):
                self.lines.append(json.loads(raw))
            else:
                self.said += raw.decode()
            self._came.set()
        self._ended = True
        self._came.set()

    async def until(self, matches: Matches, since: int = 0) -> dict[str, Any]:
        """Return the first line that matches, of those from number `since` on."""
        while True:
            found = [line for line in self.lines[since:] if matches(line)]
            if found:
                return found[0]
            assert not self._ended, f"it ended: {self.said}"
            self._came.clear()
            await self._came.wait()

    async def kill(self) -> None:
        """SIGKILL; nothing of it is left when this returns."""
        self.up.clear()
        self._process.kill()
        await asyncio.to_thread(self._process.join)
        await self._reading


@dataclass
class Hold:
    """A frame that is held back: which one, and when it has come."""

    matches: Callable[[bytes], bool]
    came: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, frame: bytes) -> None:
        """Wait if it is the frame, the first time."""
        if not self.came.is_set() and self.matches(frame):
            self.came.set()
            await self.go_on.wait()


def nothing(frame: bytes) -> bool:
    """Match no frame."""
    del frame
    return False


@dataclass
class Line:
    """The held silo's line, over one transport after the other."""

    outgoing: Hold = field(default_factory=lambda: Hold(nothing))
    incoming: Hold = field(default_factory=lambda: Hold(nothing))
    sent: list[bytes] = field(default_factory=list)


@dataclass
class Held:
    """A transport whose frames may be held back."""

    inner: Transport
    line: Line

    async def send(self, frame: bytes) -> None:
        await self.line.outgoing(frame)
        await self.inner.send(frame)
        self.line.sent.append(frame[:64])

    async def recv(self) -> bytes:
        frame = await self.inner.recv()
        await self.line.incoming(frame)
        return frame

    def pause(self) -> None:
        self.inner.pause()

    def resume(self) -> None:
        self.inner.resume()

    def allow(self, max_frame: int) -> None:
        self.inner.allow(max_frame)

    async def close(self, reason: str = "") -> None:
        await self.inner.close(reason)


class Patient(FakeClock):
    """A clock whose back-offs last until the aggregator is up again."""

    def __init__(self, up: asyncio.Event, now_ms: int) -> None:
        super().__init__(now_ms)
        self._up = up

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(0)
        await self._up.wait()


@dataclass
class Survival:
    """A consortium whose aggregator is killed while its silos live on."""

    folder: Path
    aggregator: Killable
    roster: Roster
    line: Line = field(default_factory=Line)
    stores: dict[PeerId, MemoryStore] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, *, rounds: int, more: str = "") -> "Survival":
        """Write the files of a consortium; nothing runs yet."""
        consortium = make_consortium(folder, HOSPITALS)
        (folder / "ward.py").write_text(WARD)
        path = folder / "agg.toml"
        key = consortium.key.hex()
        path.write_text(
            AGGREGATOR.format(silo="agg", key=key, port=0, rounds=rounds, more=more)
        )
        return cls(folder, Killable(path), consortium.roster)

    @property
    def state(self) -> Path:
        """The aggregator's state directory."""
        return self.folder / "agg-state"

    def update(self, peer: PeerId, round_no: int) -> Any:
        """Integers that a sum of four divides, so that the mean is exact in floats."""
        steps = np.arange(LENGTH) % 7 + 10 * HOSPITALS.index(peer) + round_no
        return 4.0 * steps

    def mean(self, round_no: int) -> Any:
        """The plain mean over all."""
        total = sum(self.update(peer, round_no) for peer in HOSPITALS)
        return total / len(HOSPITALS)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[dict[PeerId, Silo]]:
        """Start the aggregator, connect all silos, and kill it at the end."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.aggregator.start()
            try:
                async with contextlib.AsyncExitStack() as stack:
                    yield {
                        peer: await stack.enter_async_context(self._silo(peer))
                        for peer in HOSPITALS
                    }
            finally:
                await self.aggregator.kill()

    def _silo(self, peer: PeerId) -> Any:
        identity = Identity.load(self.folder / f"{peer}.identity.json")
        now = self.aggregator.lines[0]["timestamp"]
        clock = Patient(self.aggregator.up, _milliseconds(now))
        store = self.stores.setdefault(peer, MemoryStore())

        async def dial() -> Transport:
            context = client_context(identity, self.roster, PeerId("agg"))
            url = f"wss://127.0.0.1:{self.aggregator.port}"
            inner = await dialling.dial(url, context)
            return Held(inner, self.line) if peer == HELD else inner

        return silo_over(
            dial, identity=identity, roster=self.roster, state=store, clock=clock
        )

    async def contribute(self, silos: dict[PeerId, Silo], round_no: int) -> list[Any]:
        """Let all take part in a round; return what each got."""

        async def one(peer: PeerId, silo: Silo) -> Any:
            opened = await silo.next_round()
            assert opened.round_no == round_no
            return await silo.contribute(self.update(peer, round_no))

        return await asyncio.gather(*(one(*item) for item in silos.items()))

    async def restart(self, go_on: asyncio.Event) -> None:
        """Kill the aggregator, let the held frame go nowhere, and start it again."""
        await self.aggregator.kill()
        go_on.set()
        await self.aggregator.start()

    async def all_but_one_answered(self, phase: str, since: int) -> None:
        """Return once the phase waits for the held silo alone."""
        party = self.aggregator
        reached = await party.until(logged("phase_reached", phase=phase), since)
        # In a phase before it the held silo may have been the last as well.
        here = party.lines.index(reached, since)
        await party.until(logged("answered", waiting_for=[HELD]), here)


def _milliseconds(stamp: str) -> int:
    """The time of a line of the log: silos and aggregator have to agree on it."""
    moment = np.datetime64(stamp.removesuffix("Z"), "ms")
    return int(moment.astype(np.int64))


Wait = Callable[[Survival, int], Awaitable[None]]
