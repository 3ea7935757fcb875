"""Sessions over TLS through proxies that strike at any byte: nobody is lost."""

import asyncio
import contextlib
import functools

import numpy as np
import pytest

from secagg.drivers import progress
from secagg.drivers.wire import dialling, websocket
from secagg.drivers.wire.tls import client_context
from tests.drivers.hand_clock import HandClock, settled
from tests.drivers.world import World, error_of, is_mean_of, reached
from tests.proxy import DOWN, UP, Blow, Proxy, Strike

KEEPALIVE = 10.0
BYTES = 60_000
"""Of a session one way, as about as many come: the vector up, the mean down."""

FOR_A_SILO = 5


class Windy(World):
    """Silos that dial through a proxy each, on a clock each for their keepalive."""

    def __init__(self) -> None:
        super().__init__(4, "websocket")
        self.clocks = {peer: HandClock() for peer in self.peers}
        self.proxies: dict[str, Proxy] = {}
        self._ticking: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def windy(self, strikes):
        """Put a proxy before each silo; the aggregator is served."""
        async with contextlib.AsyncExitStack() as stack:
            for peer in self.peers:
                told = functools.partial(self._told, peer)
                proxy = Proxy(
                    self._port, strikes.get(peer, ()), wait=_at_once, told=told
                )
                await stack.enter_async_context(proxy.opened())
                self.proxies[peer] = proxy
                self.line(peer).connect = functools.partial(self._through, peer)
            yield
            for task in self._ticking:
                task.cancel()

    async def _through(self, peer):
        consortium = self.consortium
        context = client_context(
            consortium.silos[peer], consortium.roster, consortium.aggregator.id
        )
        return await dialling.dial(
            f"wss://127.0.0.1:{self.proxies[peer].port}",
            context,
            keepalive=KEEPALIVE,
            clock=self.clocks[peer],
        )

    def _told(self, peer, strike) -> None:
        """On a line that has gone silent, nothing happens until time passes."""
        if strike.blow is Blow.HALF_OPEN:
            self._ticking.add(asyncio.create_task(self._pass_time(peer)))

    async def _pass_time(self, peer) -> None:
        await settled()
        if self.clocks[peer].waited_on:
            await self.clocks[peer].advance(2 * KEEPALIVE)
        else:
            # It was not open yet: what opens it has a time limit of its own.
            self.proxies[peer].cut()


async def _at_once(seconds) -> None:
    del seconds
    await settled()


def drawn(seed, peers):
    """Strikes for every silo at seeded bytes."""
    rng = np.random.default_rng(seed)
    return {
        peer: [
            Strike(
                way=str(rng.choice([UP, DOWN])),
                at=int(rng.integers(BYTES)),
                blow=Blow(rng.choice([*Blow])),
            )
            for _ in range(FOR_A_SILO)
        ]
        for peer in peers
    }


@pytest.fixture(autouse=True)
def _short_goodbyes(monkeypatch):
    """Nobody answers a goodbye on a silent line: do not wait long for that."""
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.1)


@pytest.mark.parametrize("seed", range(6))
async def test_strikes_at_any_byte_lose_nobody(seed) -> None:
    world = Windy()
    strikes = drawn(seed, world.peers)
    async with world.serve() as aggregator, world.windy(strikes):
        async with world.silos() as silos:
            outcome, means = await world.round(aggregator, silos)
        struck = sum(len(proxy.struck) for proxy in world.proxies.values())
    assert struck >= len(world.peers)
    assert not outcome.lost
    assert outcome.attempts == ()
    assert outcome.sets["u5"] == tuple(world.peers)
    assert error_of(outcome, world.plain_mean(world.peers)) < 1
    for peer in world.peers:
        assert is_mean_of(outcome, means[peer])


async def test_a_silent_line_is_dialled_anew_within_twice_its_keepalive() -> None:
    world = Windy()
    peer = world.peers[0]
    seen = world.silo_events

    def connected(count):
        events = seen.get(peer, ())
        return sum(isinstance(e, progress.Connected) for e in events) == count

    async with world.serve(), world.windy({}), world.silos(peer):
        world.proxies[peer].silence()
        await world.clocks[peer].advance(2 * KEEPALIVE)
        await reached(seen[peer], lambda _: connected(2))
        [lost] = [e for e in seen[peer] if isinstance(e, progress.Disconnected)]
    assert lost.reason == "nothing came for 20 s"
