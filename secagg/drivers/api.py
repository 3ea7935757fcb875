"""The two doors of the library: `connect` for a hospital, `serve` for an aggregator."""

from __future__ import annotations

import asyncio
import contextlib
import ssl as tls_module
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from concurrent.futures import Executor
from pathlib import Path

from secagg import errors
from secagg.drivers import progress
from secagg.drivers.aggregator.aggregator import Aggregator, opened
from secagg.drivers.aggregator.opening import NextModel
from secagg.drivers.aggregator.settings import (
    READY_SECONDS,
    RECONNECT_SECONDS,
    Settings,
)
from secagg.drivers.clock import Clock, SystemClock
from secagg.drivers.postgres import DatabaseUrl
from secagg.drivers.progress import Observer, guarded, unobserved
from secagg.drivers.roster_book import RosterBook
from secagg.drivers.silo.home import default_directory
from secagg.drivers.silo.silo import Silo
from secagg.drivers.silo.store import ClientStore, SqliteStore
from secagg.drivers.thinning import Thinned
from secagg.drivers.wire import dialling, listening, tls
from secagg.drivers.wire.door import Door, check_enrolled
from secagg.drivers.wire.doorkeeper import PLACES, Doorkeeper
from secagg.drivers.wire.handshake import MAX_HANDSHAKE_FRAME
from secagg.drivers.wire.health import answering
from secagg.drivers.wire.keepalive import KEEPALIVE_SECONDS
from secagg.drivers.wire.tls import (
    LeafRenewer,
    client_context,
    server_context,
    trust_hospitals,
)
from secagg.drivers.wire.transport import Dial, Transport
from secagg.engine import AUTO, resolved
from secagg.entropy import Entropy, SystemEntropy
from secagg.identity import Identity
from secagg.names import PeerId
from secagg.policy import Policy
from secagg.privacy.ledger import Budget
from secagg.roster import Roster
from secagg.task import Task

State = Path | str | ClientStore | None


@contextlib.asynccontextmanager
async def connect(
    url: str,
    *,
    identity: Identity,
    roster: Roster | RosterBook,
    policy: Policy | None = None,
    state: State = None,
    ssl: tls_module.SSLContext | None = None,
    proxy: str | None = None,
    keepalive: float = KEEPALIVE_SECONDS,
    aggregator: PeerId | None = None,
    engine: str = AUTO,
    patient: bool = False,
    observer: Observer = unobserved,
    entropy: Entropy | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Silo]:
    """Take part as a hospital.

    Dials out, proves both identities, and keeps the connection up until the block ends.

    Args:
        url: ``wss://host:port``.
        identity: this hospital's.
        roster: the consortium's, as this hospital accepted it; a `RosterBook` if it
            is to follow its newer versions by itself.
        policy: this hospital's floors; the default ones if None.
        state: the state directory, or a store. By default
            ``<state home>/secagg/<id>-<key>``, made with mode 0700: the state home is
            ``$XDG_STATE_HOME`` or ``~/.local/state``, the key is the first 16 hex
            digits of the identity's public key: after that was rotated, name the one of
            the old key. A `MemoryStore` forgets at the end of the process which rounds
            were joined and spent (rules 4.1-6, 4.1-8): for simulations and tests.
        ssl: a TLS context of the site's own; by default mutual TLS 1.3 from the
            identities of the roster.
        proxy: ``http://host:port`` of the site's proxy for ``wss``; it has to let TLS
            through untouched. By default none, whatever the environment says.
        keepalive: seconds between pings, 0.1 to 55, as at the aggregator. A line on
            which nothing came for twice as long is dropped and dialled anew.
        aggregator: whom to talk to; by default the only one of the roster.
        engine: which mask engine; by default the fastest one for a CPU. With ``triton``
            an update is quantized, masked and packed on the GPU on which it lies, or
            else on the current one; nothing but masked chunks leaves it.
        patient: whether the aggregator's refusal is told to the observer and dialled
            again from the start, as after the first connection, and not raised.
        observer: is told what happens.
        entropy: where secrets come from; by default the operating system.
        clock: the time; by default this machine's.

    Raises:
        ConnectionRefused: identity, roster, clock or address do not fit; the message
            says what to do.
        StateError: the state directory is held by another process, or damaged.
        ParameterError: the engine needs a GPU or libraries that are missing.
    """
    book = _book_of(roster)
    server = _aggregator_of(book.newest, aggregator)
    secure, time = url.lower().startswith("wss:"), clock or SystemClock()

    def own_tls(*, verified: bool) -> tls_module.SSLContext:
        # Made for each dial: its leaf lives for a day, a silo for months.
        now = tls.time_of(time)
        return client_context(identity, book.newest, server, now=now, verified=verified)

    async def dial() -> Transport:
        context = (ssl or own_tls(verified=True)) if secure else None
        try:
            return await dialling.dial(url, context, proxy=proxy, keepalive=keepalive)
        except errors.ConnectionRefused:
            # If the roster explains it, that is what has to be said.
            check_enrolled(identity, book)
            raise

    async def dial_anyone() -> Transport:
        return await dialling.dial(url, own_tls(verified=False), proxy=proxy)

    async with silo_over(
        dial,
        dial_anyone=dial_anyone if secure and ssl is None else None,
        identity=identity,
        roster=book,
        policy=policy,
        state=state,
        aggregator=server,
        engine=engine,
        patient=patient,
        observer=observer,
        entropy=entropy,
        clock=time,
    ) as silo:
        yield silo


@contextlib.asynccontextmanager
async def silo_over(
    dial: Dial,
    *,
    dial_anyone: Dial | None = None,
    identity: Identity,
    roster: Roster | RosterBook,
    policy: Policy | None = None,
    state: State = None,
    aggregator: PeerId | None = None,
    engine: str = AUTO,
    patient: bool = False,
    observer: Observer = unobserved,
    entropy: Entropy | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Silo]:
    """Take part over any transport; the arguments are those of `connect`.

    With `dial_anyone`, newer versions of the roster are asked for on what it opens when
    `dial` is refused: the aggregator may have another key by now.
    """
    book = _book_of(roster)
    server, time = _aggregator_of(book.newest, aggregator), clock or SystemClock()
    if not book.grows:
        check_enrolled(identity, book)
    # Now, beside the loop: the first time it may import and compile for seconds.
    engine_name = await asyncio.to_thread(resolved, engine)
    with _store(state, identity) as store:
        silo = Silo(
            dial=dial,
            dial_anyone=dial_anyone,
            door=Door(
                identity=identity,
                book=book,
                entropy=entropy or SystemEntropy(),
                clock=time,
            ),
            aggregator=server,
            policy=policy or Policy(),
            store=store,
            engine_name=engine_name,
            patient=patient,
            observer=Thinned(time, guarded(observer)),
        )
        try:
            await silo.start()
            yield silo
        finally:
            await silo.close()


@contextlib.asynccontextmanager
async def serve(
    host: str,
    port: int,
    *,
    identity: Identity,
    roster: Roster | RosterBook,
    task: Task,
    state: Path | str | None = None,
    journal: DatabaseUrl | None = None,
    ssl: tls_module.SSLContext | None = None,
    without_tls: bool = False,
    budget: Budget | None = None,
    min_members: int = 3,
    expected: Collection[PeerId] | None = None,
    ready_seconds: float = READY_SECONDS,
    reconnect_seconds: float = RECONNECT_SECONDS,
    keepalive: float = KEEPALIVE_SECONDS,
    next_model: NextModel | None = None,
    engine: str = AUTO,
    unmasking: Executor | None = None,
    health: str | None = None,
    observer: Observer = unobserved,
    entropy: Entropy | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Aggregator]:
    """Serve the hospitals of a roster; run rounds with the aggregator that is yielded.

    Args:
        host: the address to bind.
        port: the port; 0 for any free one, `Aggregator.port` says which.
        identity: the aggregator's.
        roster: the consortium's; a `RosterBook` if newer versions are to be taken up
            while it runs (`Aggregator.take_roster`).
        task: what is asked for.
        state: the state directory; without one nothing outlives this process.
        journal: a PostgreSQL database of this aggregator alone, for its journal and
            its privacy ledger (the extra ``postgres``); by default files in `state`.
        ssl: a TLS context of the site's own; by default mutual TLS 1.3 from the
            identities of the roster.
        without_tls: serve plain websockets; on the loopback alone, behind a proxy.
        budget: what the task may spend; needed if it adds noise.
        min_members: how few may open a session at the deadline.
        expected: whose Ready opens a session at once; None for every hospital.
        ready_seconds: from RoundOpen to that deadline.
        reconnect_seconds: how long silos may take to come back: added to the first
            deadline after a restart, and the least wait for another attempt.
        keepalive: seconds between pings, 0.1 to 55. A line on which nothing came for
            twice as long is dropped; its silo dials anew.
        next_model: makes the next model of a released mean; its hash is published
            with the Result.
        engine: which mask engine; by default the fastest one for a CPU.
        unmasking: an executor on which the masks of an opened sum are expanded, such as
            processes or Dask's ``Client.get_executor(pure=False)``; None for threads of
            this process. Its workers learn what the aggregator has opened; it stays the
            caller's, who shuts it down. If it fails the observer is told, and the sum
            is opened here.
        health: ``host:port`` where ``/healthz`` and ``/readyz`` are answered over plain
            HTTP, in counts; None for nowhere.
        observer: is told what happens.
        entropy: nonces and noise seeds; by default the operating system.
        clock: deadlines and the time of day; by default this machine's.

    Raises:
        ConnectionRefused: the identity is not an aggregator of the roster, or no TLS
            on an address that others reach.
        ParameterError: a TLS context, and without TLS; or the journal's URL or
            `health` cannot be used.
        StateError: the state directory is held by another process, or damaged.
    """
    if without_tls and ssl is not None:
        raise errors.ParameterError(
            "ssl is given and without_tls is true: leave one of them out"
        )
    settings = Settings(
        identity=identity,
        roster=roster,
        task=task,
        state=None if state is None else Path(state),
        journal=journal,
        budget=budget,
        min_members=min_members,
        expected=expected,
        ready_seconds=ready_seconds,
        reconnect_seconds=reconnect_seconds,
        next_model=next_model,
        engine=engine,
        unmasking=unmasking,
        observer=observer,
        entropy=entropy or SystemEntropy(),
        clock=clock or SystemClock(),
    )
    async with opened(settings) as aggregator, contextlib.AsyncExitStack() as stack:
        context = None
        if not without_tls:
            context = ssl or await stack.enter_async_context(
                _own_tls(settings, aggregator)
            )
        served = listening.listen(
            host,
            port,
            aggregator.accept,
            context,
            max_frame=MAX_HANDSHAKE_FRAME,
            keeper=Doorkeeper(PLACES + settings.book.largest),
            keepalive=keepalive,
        )
        aggregator.port = await stack.enter_async_context(served)
        if health is not None:
            checks = aggregator.vitals.checks
            await stack.enter_async_context(answering(health, checks))
        yield aggregator
        # While it still listens: a silo whose line falls now comes back for its mean.
        await aggregator.deliver()


@contextlib.asynccontextmanager
async def _own_tls(
    settings: Settings, aggregator: Aggregator
) -> AsyncIterator[tls_module.SSLContext]:
    """Yield a context whose leaf is kept fresh."""
    context = server_context(
        settings.identity,
        settings.book.newest,
        now=tls.time_of(settings.clock),
        on_refused=_reporting(settings.observer),
    )
    trust_hospitals(context, settings.book.versions[:-1])
    aggregator.follow_roster(lambda newest: trust_hospitals(context, [newest]))
    renewer = LeafRenewer(context, settings.identity, observer=settings.observer)
    renewing = asyncio.create_task(renewer.run(settings.clock))
    try:
        yield context
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


def _reporting(observer: Observer) -> Callable[[str], None]:
    def refused(detail: str) -> None:
        observer(progress.PeerRefused(peer=None, rule="tls", detail=detail))

    return refused


def _book_of(roster: Roster | RosterBook) -> RosterBook:
    return roster if isinstance(roster, RosterBook) else RosterBook(roster)


def _aggregator_of(roster: Roster, aggregator: PeerId | None) -> PeerId:
    known = roster.aggregators
    if aggregator is not None and aggregator in known:
        return aggregator
    if aggregator is None and len(known) == 1:
        return known[0]
    asked = (
        "which one to use is not said" if aggregator is None else f"not {aggregator}"
    )
    raise errors.ConnectionRefused(
        f"the roster's aggregators are {', '.join(known) or 'none'}; {asked}"
    )


@contextlib.contextmanager
def _store(state: State, identity: Identity) -> Iterator[ClientStore]:
    chosen = default_directory(identity) if state is None else state
    if isinstance(chosen, Path | str):
        with SqliteStore(Path(chosen)) as store:
            yield store
    else:
        yield chosen
