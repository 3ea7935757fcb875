"""The aggregator: serves every silo of a roster, and runs rounds of one task.

Hospitals dial in; nothing is dialled from here. What was accepted is in the state
directory before it is acted on, so that a restart resumes the session that ran.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace

from secagg import engine, errors
from secagg.drivers import progress
from secagg.drivers.aggregator.connections import ROOM_FOR_MORE, Connections
from secagg.drivers.aggregator.journal import COMPLETED, OPEN, RoundRow
from secagg.drivers.aggregator.opening import Opening
from secagg.drivers.aggregator.quotas import largest_frame
from secagg.drivers.aggregator.reception import Reception
from secagg.drivers.aggregator.rounds import Round, Site, Terms
from secagg.drivers.aggregator.settings import Settings
from secagg.drivers.aggregator.stage import Stage
from secagg.drivers.aggregator.state import AggregatorState
from secagg.drivers.aggregator.surroundings import Surroundings
from secagg.drivers.aggregator.vitals import Vitals
from secagg.drivers.outcome import RoundOutcome
from secagg.drivers.wire.door import Door
from secagg.drivers.wire.transport import Transport
from secagg.masked_chunks import chunks_of
from secagg.names import PeerId
from secagg.robust.check import Means
from secagg.roster import Roster, SignedRoster
from secagg.server import Server

NO_MODEL = bytes(32)
"""The model hash of sums that belong to no model."""

DELIVERY_SECONDS = 5.0
"""How long an aggregator that leaves waits for the next part of the last mean to go."""

DELIVERY_RATE = 10e6
"""Bytes a second to all silos together, below which it waits no longer."""

GOODBYE = "the aggregator is stopping"


class Aggregator:
    """One running aggregator; made by `serve`.

    Attributes:
        last_outcome: of the newest round that has a Result, also after a restart.
        port: where it is bound, if it serves a socket.
        max_frame: bytes of the largest frame that a silo has to send.
        vitals: whether it lives and is ready, for whoever watches the service.
    """

    def __init__(self, settings: Settings) -> None:
        """Take hold of the state directory; `start` before anything else.

        Raises:
            ConnectionRefused: the identity is not an aggregator of the roster.
            ParameterError: the budget does not fit the task.
            StateError: the state directory is not usable.
        """
        settings.check_identity()
        self.last_outcome: RoundOutcome | None = None
        self.port: int | None = None
        self._settings = settings
        self._state = AggregatorState.open(
            settings.state,
            task_id=settings.task.task_id,
            budget=settings.allowed(),
            members=settings.book.largest,
            journal_url=settings.journal,
        )
        self._door = Door(
            identity=settings.identity,
            book=settings.book,
            entropy=settings.entropy,
            clock=settings.clock,
        )
        self._connections = Connections()
        self._stage = Stage()
        members = settings.book.largest + ROOM_FOR_MORE
        self.max_frame = largest_frame(members, settings.task.chunk_log2)
        self._followers: list[Callable[[Roster], None]] = []
        self._running = False
        self._halted = False
        self._engine = functools.cache(
            functools.partial(engine.engine, settings.engine)
        )
        self.vitals = Vitals(
            task=settings.task,
            book=settings.book,
            directory=self._state.directory,
            journal=self._state.journal,
            connections=self._connections,
            listens=lambda: self.port is not None,
        )
        self._reception = Reception(
            task_id=settings.task.task_id,
            door=self._door,
            connections=self._connections,
            stage=self._stage,
            journal=self._state.journal,
            blobs=self._state.blobs,
            observer=settings.observer,
            max_frame=self.max_frame,
        )

    @property
    def connected(self) -> tuple[PeerId, ...]:
        """Who is connected, sorted."""
        return self._connections.peers

    @property
    def ready(self) -> tuple[PeerId, ...]:
        """Who is ready for the open round, sorted."""
        round_ = self._stage.round
        return () if round_ is None else tuple(sorted(round_.gathering.ready))

    @property
    def open_round(self) -> RoundRow | None:
        """The round that is open, also one that a restart found so."""
        round_ = self._stage.round
        return None if round_ is None else round_.row

    async def start(self) -> None:
        """Take up what the journal holds: a session that ran goes on."""
        journal, task_id = self._state.journal, self._settings.task.task_id
        row = journal.last_round(task_id)
        if row is None:
            return
        round_ = await self._restored(row)
        still = journal.last_round(task_id)
        if still is not None and still.status == OPEN:
            self._stage.round = round_
        elif row.status == COMPLETED:
            self._note(round_, await round_.run())

    async def accept(self, transport: Transport) -> None:
        """Serve one connection until it ends."""
        await self._reception.accept(transport)

    async def run_round(
        self, *, model_hash: bytes = NO_MODEL, blob: bytes | None = None
    ) -> RoundOutcome:
        """Open a round on a model, and return what came of it.

        After a restart, the round that was open goes on if it is on the same model.

        Args:
            model_hash: SHA-256 of the model; 32 zero bytes for a sum without one.
            blob: the model, which silos fetch; None if they have it otherwise.

        Raises:
            SessionAborted: too few stayed, in every attempt that was allowed.
            ReleaseRefused: the privacy budget is spent.
            LocalProtocolError: a round is running.
            ParameterError: the blob has another hash, or no silo would join.
            StateError: the disk failed. Nothing is lost: called again once there is
                room, it goes on from the journal, as a restart does.
            Exception: `next_model` raised it; the silos are told, and the round is
                over.
        """
        if self._running:
            raise errors.LocalProtocolError("a round is running: await it first")
        self._running = True
        try:
            size = await self._stock(model_hash, blob)
            if self._halted:
                await self._mend()
            return await self._run(model_hash, size)
        except errors.StateError:
            self._halt()
            raise
        finally:
            self._running = False

    @property
    def blamed(self) -> dict[PeerId, str]:
        """Who is left out of every session for proved cheating, and why (spec 4.9)."""
        return self._state.journal.blamed(self._settings.task.task_id)

    def readmit(self, peer: PeerId) -> None:
        """Let a member that was blamed take part again."""
        self._state.journal.readmit(self._settings.task.task_id, peer)

    def take_roster(self, versions: Iterable[SignedRoster]) -> bool:
        """Take up newer versions of the roster; return whether there were any.

        The session that runs goes on under its own roster; the next one names the
        newest. Who is connected comes back for it by itself.

        Raises:
            RemoteProtocolError: they do not continue the roster (rules 2.1-2 to 2.1-5).
            ConnectionRefused: the newest one has another key of this aggregator, which
                has to be restarted with that.
            StateError: not written.
            LocalProtocolError: it was given a roster by itself, and no book.
        """
        given = tuple(versions)
        self._settings.check_key(self._settings.book.judged(given))
        if not self._settings.book.pin(given):
            return False
        newest = self._door.roster
        told = progress.RosterPinned(version=newest.version, hash=newest.hash)
        self._settings.observer(told)
        for follower in self._followers:
            follower(newest)
        round_ = self._stage.round
        if round_ is not None:
            round_.expect(self._terms().expected)
        if round_ is None or round_.gathers:
            self._reception.renew()
        return True

    def follow_roster(self, follower: Callable[[Roster], None]) -> None:
        """Have `follower` called with every further version of the roster."""
        self._followers.append(follower)

    def stop_round(self, reason: str) -> None:
        """End the running session for everybody (code 0-1); it is not resumed."""
        round_ = self._stage.round
        if round_ is not None:
            round_.stop(reason)

    async def deliver(self) -> None:
        """Wait a moment for the silos that are still fetching the last mean.

        To be called once, before `close`, while silos can still connect. It ends when
        nothing has moved for `DELIVERY_SECONDS`, and whatever they do, not later than
        the mean takes to all of them at `DELIVERY_RATE`.
        """
        last = self.last_outcome
        if last is None or last.result.vector is None:
            return
        members, library = set(last.sets["u1"]), self._reception.library
        most = DELIVERY_SECONDS + len(members) * last.result.vector.size / DELIVERY_RATE
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most):
                await library.delivered(
                    last.result.vector.hash,
                    lambda: members & {*self.connected},
                    patience=DELIVERY_SECONDS,
                )
                await library.finish()

    async def close(self) -> None:
        """Say goodbye and let go; the session that runs can be resumed."""
        round_ = self._stage.round
        for session in [] if round_ is None else round_.sessions:
            await session.close()
        await self._connections.close(GOODBYE)
        self._state.close()

    # --- rounds -----------------------------------------------------------------

    async def _run(self, model_hash: bytes, size: int) -> RoundOutcome:
        round_ = self._take_up(model_hash, size)
        self._reception.announce()
        try:
            result = await round_.run()
        except Exception as error:
            # After a failed disk it stays open, here and in the journal.
            told = round_.session is not None and round_.session.stopped
            if told or not isinstance(error, errors.StateError):
                self._stage.retire(round_)
            raise
        self._note(round_, result)
        return result

    def _halt(self) -> None:
        """Have silos come back: what they say to a broken session is not heard."""
        self._halted = True
        self._connections.recall()

    async def _mend(self) -> None:
        """Go on from the journal after the disk failed, as a restart does."""
        broken = self._stage.round
        for session in [] if broken is None else broken.sessions:
            await session.close()
        await self.start()
        if broken is not None and self._stage.round is broken:
            self._stage.retire(broken)
        self._halted = False
        # Once more, for what was said since.
        self._connections.recall()

    async def _stock(self, model_hash: bytes, blob: bytes | None) -> int:
        if blob is None:
            return 0
        found = (await asyncio.to_thread(hashlib.sha256, blob)).digest()
        if found != model_hash:
            raise errors.ParameterError(
                f"the model's SHA-256 is {found.hex()[:16]}..., not"
                f" {model_hash.hex()[:16]}..."
            )
        await asyncio.to_thread(self._state.blobs.put, blob)
        return len(blob)

    def _take_up(self, model_hash: bytes, size: int) -> Round:
        """Return the open round on this model, or begin the next one."""
        open_ = self._stage.round
        if open_ is not None and open_.row.model_hash == model_hash:
            return open_
        if open_ is not None:
            open_.stop("a round on another model begins")
            self._stage.retire(open_)
        task_id = self._settings.task.task_id
        row = self._state.journal.open_round(task_id, model_hash, size)
        self._stage.round = Round(row, self._terms(), self._site())
        return self._stage.round

    def _terms(self) -> Terms:
        """Return when a session may open; nobody waits for who is left out."""
        terms = self._settings.terms()
        return replace(terms, expected=terms.expected - set(self.blamed))

    async def _restored(self, row: RoundRow) -> Round:
        round_ = Round(row, self._terms(), self._site())
        keep = await round_.restore()
        self._state.sweep(keep)
        return round_

    def _note(self, round_: Round, result: RoundOutcome) -> None:
        self.last_outcome = result
        self._stage.retire(round_)

    def _site(self) -> Site:
        settings = self._settings
        return Site(
            door=self._door,
            journal=self._state.journal,
            connections=self._connections,
            around=Surroundings(
                journal=self._state.journal,
                post=self._connections.post,
                clock=settings.clock,
                observer=settings.observer,
                reconnect_seconds=settings.reconnect_seconds,
            ),
            opening=self._opening,
            miss=self._reception.miss,
            announce=self._reception.announce,
        )

    def _opening(self, server: Server, noise_seed: bytes) -> Opening:
        params = server.params
        return Opening(
            params=params,
            task_id=server.manifest.task_id,
            sid=server.sid,
            model_hash=server.manifest.model_hash,
            spool=self._state.spool(server.sid, chunks_of(params)),
            engine=self._engine(params.width),
            unmasking=self._settings.unmasking,
            noise_seed=noise_seed,
            ledger=self._state.ledger,
            blobs=self._state.blobs,
            previous=self._last_mean,
            next_model=self._settings.next_model,
        )

    def _last_mean(self) -> Means | None:
        return None if self.last_outcome is None else self.last_outcome.vector


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Aggregator]:
    """Run an aggregator that something else brings connections to.

    Whoever brings them calls `Aggregator.deliver` before it stops to.
    """
    # Now, beside the loop: the first time it may import and compile for seconds.
    await asyncio.to_thread(engine.resolved, settings.engine)
    aggregator = Aggregator(settings)
    try:
        await aggregator.start()
        yield aggregator
    finally:
        await aggregator.close()
