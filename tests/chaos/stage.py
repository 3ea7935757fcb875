"""The run: processes that are started again when they were killed, behind proxies."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import signal
from collections.abc import Callable, Iterable
from multiprocessing.context import ForkServerProcess
from typing import Final

from peers.demo.processes import SIGKILLED, fork_server
from secagg.names import PeerId
from tests.chaos import plan, process
from tests.chaos.process import Life
from tests.chaos.terms import AGGREGATOR, Terms
from tests.proxy import Proxy, Strike

STOP_SECONDS: Final = 20.0


class ChaosError(Exception):
    """A party ended by itself, or nothing ended at all; says what to look at."""


class Stage:
    """The processes and the lines of one world.

    Attributes:
        struck: what happened on the lines.
        carried: connections of hospitals.
        lives: how many each party had.
    """

    def __init__(self, terms: Terms, told: Callable[[str], None]) -> None:
        self.struck: list[Strike] = []
        self.carried = 0
        self.lives: collections.Counter[PeerId] = collections.Counter()
        self._terms = terms
        self._told = told
        self._stopping = False
        self._context = fork_server(process.__name__)
        self._running: dict[PeerId, ForkServerProcess] = {}
        self._proxies: dict[PeerId, Proxy] = {}

    async def run(self, limit_seconds: float) -> None:
        """Run until the aggregator is done.

        Raises:
            ChaosError: a process ended by itself, or the time was over.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._kill_all)
            for peer in self._terms.peers:
                strikes = plan.strikes(self._terms, peer)
                told = self.struck.append
                proxy = Proxy(self._terms.port, strikes, told=told)
                await stack.enter_async_context(proxy.opened())
                self._proxies[peer] = proxy
            try:
                async with asyncio.timeout(limit_seconds):
                    await self._supervise()
                self.carried = sum(p.carried for p in self._proxies.values())
            except TimeoutError:
                raise ChaosError(
                    f"{self._terms.name} was not done after {limit_seconds:.0f} s: see"
                    f" {self._terms.folder}"
                ) from None

    async def _supervise(self) -> None:
        parties = (AGGREGATOR, *self._terms.peers)
        for party in parties:
            self._start(party)
        watching = [asyncio.create_task(self._revive(u)) for u in parties]
        try:
            # The aggregator ends when it is done; no hospital ever does by itself.
            await next(iter(asyncio.as_completed(watching)))
            await self._stop(watching)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    async def _revive(self, party: PeerId) -> None:
        """Start a party again whenever it was killed, until it ends well."""
        while True:
            running = self._running[party]
            await _ended(running)
            # Told to stop as it is born or dies, it may end by the signal.
            signalled = running.exitcode in (SIGKILLED, -signal.SIGTERM)
            if running.exitcode == 0 or (self._stopping and signalled):
                return
            if running.exitcode != SIGKILLED:
                raise ChaosError(self._last_words(party, running.exitcode))
            self._told(f"{party} was killed")
            self._start(party)

    async def _stop(self, watching: Iterable[asyncio.Task[None]]) -> None:
        """Stop the hospitals, and wait for those who watch them."""
        self._stopping = True
        for peer in self._terms.peers:
            self._running[peer].terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.gather(*watching)
        except TimeoutError:
            alive = [u for u, running in self._running.items() if running.is_alive()]
            raise ChaosError(f"did not stop when told to: {alive}") from None

    def _start(self, party: PeerId) -> None:
        proxy = self._proxies.get(party)
        life = Life(
            terms=self._terms,
            party=party,
            number=self.lives[party],
            port=self._terms.port if proxy is None else proxy.port,
        )
        self.lives[party] += 1
        started = self._context.Process(target=process.main, args=(life,), daemon=True)
        started.start()
        self._running[party] = started

    def _last_words(self, party: PeerId, code: int | None) -> str:
        path = self._terms.said(party, self.lives[party] - 1)
        said = path.read_text(errors="replace")[-2000:] if path.exists() else ""
        return f"{party} ended by itself with {code}:\n{said}"

    def _kill_all(self) -> None:
        for running in self._running.values():
            if running.is_alive():
                running.kill()
            running.join()


async def _ended(running: ForkServerProcess) -> None:
    """Wait until a process is gone; one may wait for it at a time."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(running.sentinel, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(running.sentinel)
    running.join()
