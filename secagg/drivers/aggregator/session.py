"""A session of the aggregator: the machine, its journal, deadlines and vectors.

Carries out the machine's effects in the order it returns them, at once and without
waiting: to journal is a synchronous write, to send is to queue. So events cannot
overtake each other, and nothing goes out that is not on the disk first (rule 9-3).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable
from typing import assert_never

from secagg import errors, events
from secagg.drivers import progress
from secagg.drivers.aggregator.opening import Opening
from secagg.drivers.aggregator.spool import UploadLostError
from secagg.drivers.aggregator.storing import Storing
from secagg.drivers.aggregator.surroundings import Surroundings
from secagg.names import PeerId
from secagg.server import Server
from secagg.transitions import ServerPhase

Ended = events.Completed | events.Aborted


class Session:
    """One session, from its Manifest to its end."""

    def __init__(self, server: Server, opening: Opening, around: Surroundings) -> None:
        """Stand before the start; call `start` or `resume`, then await `ended`.

        Args:
            server: the machine, not started.
            opening: opens its sum; its spool takes the chunks.
            around: journal, network, clock and observer.
        """
        self.server = server
        self.sid = server.sid
        self.reasons: dict[PeerId, str] = {}
        self.durations: dict[str, float] = {}
        self.opening = opening
        self._around = around
        self._since = around.clock.seconds()
        self._ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._failure: Exception | None = None
        self._broken = False
        self._timer: asyncio.Task[None] | None = None
        self._opener: asyncio.Task[None] | None = None
        self.storing = Storing(
            server,
            opening.spool,
            sink=self.feed,
            fail=self.fail,
            observer=around.observer,
        )

    def start(self) -> None:
        """Send the Manifest."""
        manifest = self.server.manifest
        self._around.observer(
            progress.SessionBegan(
                sid=self.sid,
                round_no=manifest.round_no,
                attempt=manifest.attempt,
                members=self.server.params.members,
            )
        )
        self._carry_out_all(self.server.start())
        if self.server.params.tossed:
            # While the members make their keys: nobody waits for it then.
            self._spawn(asyncio.to_thread(self.server.params.prepare_graph))

    async def resume(self, recorded: Iterable[events.ServerEvent]) -> None:
        """Rebuild the machine from its journal and go on where it stood.

        Members that reconnect are given what they missed; of the effects only the
        deadline of the current phase, an opening and an end are carried out again.
        That deadline is later by the time that members may take to reconnect.
        """
        effects = self.server.start()
        for event in recorded:
            effects += self.server.handle(event)
        phase = self.server.phase
        self._around.observer(progress.SessionResumed(sid=self.sid, phase=phase))
        for effect in effects:
            if isinstance(effect, events.Drop):
                self.reasons[effect.peer] = f"rule {effect.rule}: {effect.detail}"
            elif isinstance(effect, events.SetDeadline):
                if effect.round.value == phase.value:
                    self._set_deadline(effect, more=self._around.reconnect_seconds)
            elif _still_due(effect, phase):
                self._carry_out(effect)
        if phase is ServerPhase.MASKED_INPUT:
            await self.storing.take_up()

    async def ended(self) -> Ended:
        """Return how the session ended.

        Raises:
            ReleaseRefused: the budget does not allow the release.
            StateError: the journal or the spool failed.
            Exception: the caller's own `next_model` raised it.
        """
        ended = await asyncio.shield(self._ended)
        if self._failure is not None:
            raise self._failure
        return ended

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._ended.done()

    @property
    def stopped(self) -> bool:
        """Whether its members were told that it ended without a Result."""
        return self.server.phase is ServerPhase.ABORTED and not self._broken

    def feed(self, event: events.ServerEvent) -> None:
        """Let the machine take an event, and do what it says.

        Not after the disk failed: the machine is then ahead of its journal, and what
        it would say next must not be heard (rule 9-3).
        """
        if self._broken:
            return
        before = self.server.phase
        effects = self.server.handle(event)
        try:
            self._carry_out_all(effects)
        except errors.StateError as error:
            self.fail(error)
            return
        if self.server.phase is not before:
            self._turned(before)
        elif effects and isinstance(event, events.Received | events.VectorStored):
            self._answered(event.peer)

    def fail(self, error: BaseException) -> None:
        """The disk failed: nothing more may be accepted, so nothing more goes out."""
        self._broken = True
        if self._timer is not None:
            self._timer.cancel()
        if not self._ended.done():
            self._ended.set_exception(error)

    def replay(self, peer: PeerId, held: bytes | None) -> None:
        """Send a member that reconnected what it has missed (rule 8-5)."""
        if self._broken:
            return
        for envelope in self.server.replay(peer, held):
            self._around.post(peer, envelope)

    async def close(self) -> None:
        """Stop timers, and wait for the threads that store and that open the sum."""
        tasks = [task for task in (self._timer, self._opener) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, self.storing.close(), return_exceptions=True)

    # --- effects ----------------------------------------------------------------

    def _carry_out_all(self, effects: Iterable[events.ServerEffect]) -> None:
        for effect in effects:
            self._carry_out(effect)

    def _carry_out(self, effect: events.ServerEffect) -> None:
        match effect:
            case events.Journal():
                self._around.journal.append(self.sid, effect.event)
            case events.Send():
                self._around.post(effect.receiver, effect.envelope)
            case events.SetDeadline():
                self._set_deadline(effect)
            case events.OpenSum():
                self._opener = self._spawn(self._open(effect))
            case events.Drop():
                self._dropped(effect)
            case events.Ignored():
                ignored = progress.MessageIgnored(
                    peer=effect.peer, type=effect.type, rule=effect.rule
                )
                self._around.observer(ignored)
            case events.Completed() | events.Aborted():
                self._end(effect)
            case _:
                assert_never(effect)

    def _set_deadline(self, effect: events.SetDeadline, more: float = 0.0) -> None:
        if self._timer is not None:
            self._timer.cancel()
        seconds = effect.duration_ms / 1000 + more
        self._timer = self._spawn(self._expire(effect, seconds))

    async def _expire(self, effect: events.SetDeadline, seconds: float) -> None:
        await self._around.clock.deadline(seconds)
        # Cleared first: what the deadline leads to may set the next one.
        self._timer = None
        self.feed(events.DeadlinePassed(round=effect.round))

    async def _open(self, effect: events.OpenSum) -> None:
        loop = asyncio.get_running_loop()

        def told(failed: errors.ExecutorFailed) -> None:
            # From the thread that opens; observers are called in the loop.
            event = progress.UnmaskedHere(sid=self.sid, detail=str(failed))
            loop.call_soon_threadsafe(self._around.observer, event)

        work = asyncio.create_task(asyncio.to_thread(self.opening.open, effect, told))
        try:
            result = await asyncio.shield(work)
        except asyncio.CancelledError:
            # A thread cannot be stopped; what it holds open must outlive it.
            with contextlib.suppress(Exception):
                await work
            raise
        except Exception as error:  # noqa: BLE001 it is raised again by `ended`
            # What lies on the disk opens it again, once there is room.
            lost = not isinstance(error, errors.StateError)
            if lost or isinstance(error, UploadLostError):
                self._refuse(error)
            else:
                self.fail(error)
            return
        self.feed(events.SumOpened(result=result))

    def _refuse(self, error: Exception) -> None:
        """The sum cannot be released: tell the members, and our own caller."""
        spent = isinstance(error, errors.ReleaseRefused)
        code = "0-1" if spent else "0-2"
        said = "the privacy budget is spent" if spent else "the sum cannot be opened"
        self._failure = error
        self.feed(events.Stopped(code=code, reason=said))

    def _dropped(self, effect: events.Drop) -> None:
        self.reasons[effect.peer] = f"rule {effect.rule}: {effect.detail}"
        self._around.observer(
            progress.PeerDropped(
                sid=self.sid, peer=effect.peer, rule=effect.rule, detail=effect.detail
            )
        )

    def _end(self, effect: Ended) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._ended.done():
            self._ended.set_result(effect)
        self._around.observer(_end_of(effect))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run `work` beside; an error that nobody foresaw ends the session too."""
        task = asyncio.create_task(work)

        def look(done: asyncio.Task[None]) -> None:
            error = None if done.cancelled() else done.exception()
            if error is not None:
                self.fail(error)

        task.add_done_callback(look)
        return task

    def _answered(self, peer: PeerId) -> None:
        waiting = tuple(sorted(self.server.expected))
        answered = progress.Answered(sid=self.sid, peer=peer, waiting_for=waiting)
        self._around.observer(answered)

    def _turned(self, before: ServerPhase) -> None:
        now = self._around.clock.seconds()
        spent = self.durations.get(before.value, 0.0) + now - self._since
        self.durations[before.value] = spent
        self._since = now
        phase = self.server.phase
        self._around.observer(progress.PhaseReached(sid=self.sid, phase=phase))


def _still_due(effect: events.ServerEffect, phase: ServerPhase) -> bool:
    match effect:
        case events.OpenSum():
            return phase is ServerPhase.OPENING
        case events.Completed() | events.Aborted():
            return True
        case _:
            return False


def _end_of(effect: Ended) -> progress.Progress:
    if isinstance(effect, events.Completed):
        return progress.SessionCompleted(
            sid=effect.sid, status=effect.result.status, u3=effect.result.u3
        )
    return progress.SessionAborted(
        sid=effect.sid,
        code=effect.code,
        detail=effect.detail,
        retry=effect.retry,
        missing=effect.missing,
    )
