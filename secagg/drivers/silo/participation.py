"""A silo's part in one round: its machine and its update, until the round has ended.

It outlives connections and attempts. What the machine asks for is carried out at once,
in order: a mark is on the disk before the message that it stands for is queued. A mark
that cannot be made ends the part without a word: the machine holds the message already,
and must not say it on the next connection (rules 4.1-8, 4.1-9).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, assert_never

import numpy as np

from secagg import errors, events
from secagg.client import Client
from secagg.contribution import (
    Contribution,
    DeviceContribution,
    contribution,
    device_contribution,
)
from secagg.drivers import progress
from secagg.drivers.outcome import Attempt
from secagg.drivers.progress import Observer
from secagg.drivers.silo.inputs import Input
from secagg.drivers.silo.keeper import Keeper
from secagg.drivers.silo.upload import Upload, Uploader
from secagg.drivers.wire.connection import Connection
from secagg.engine import MaskEngine
from secagg.entropy import Entropy
from secagg.messages import Ready, RoundOpen
from secagg.names import SessionId
from secagg.params import Parameters
from secagg.side_by_side import lent

_AFTER_UPLOAD: Final = "MaskedInput"
"""What may only be said, or said again, once every chunk is on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a participation works with."""

    client: Client
    keeper: Keeper
    entropy: Entropy
    engine: Callable[[int], MaskEngine]
    observer: Observer
    say_ready: Callable[[Connection, Ready], None]


class Participation:
    """One round, from Ready to its Result.

    Attributes:
        round: the round.
        attempts: sessions that ended without a sum.
        completed: the end of the round, once it has a Result.
    """

    def __init__(self, opened: RoundOpen, given: Input, means: Means) -> None:
        """Stand before `begin`.

        Args:
            opened: the round.
            given: the input.
            means: machine, store, entropy, engine and observer.
        """
        self.round = opened
        self.attempts: list[Attempt] = []
        self.params: Parameters | None = None
        loop = asyncio.get_running_loop()
        self.completed: asyncio.Future[events.Completed] = loop.create_future()
        self._given = given
        self._means = means
        self._client = means.client
        self._connection: Connection | None = None
        self._ready: Ready | None = None
        self._attempt = 0
        self._x_u: Contribution | DeviceContribution | None = None
        self._uploader = Uploader(self._uploaded, self._give_up)
        self._stated = False
        self._head: events.PersistHead | None = None

    @property
    def sid(self) -> SessionId | None:
        """The session it is in."""
        return self._client.sid

    @property
    def transcript(self) -> bytes | None:
        """The last transcript it holds."""
        return self._client.transcript

    def begin(self, connection: Connection | None) -> None:
        """Say Ready, now or on the next connection."""
        self._connection = connection
        opened = self.round
        self.feed(
            events.InputReady(
                task_id=opened.task_id,
                round_no=opened.round_no,
                model_hash=opened.model_hash,
            )
        )

    def feed(self, event: events.ClientEvent) -> None:
        """Let the machine take an event, and do what it says."""
        if self.completed.done():
            return
        before = self._client.phase
        with self._threads():
            effects = self._client.handle(event)
        phase = self._client.phase
        try:
            for effect in effects:
                if not self._carry_out(effect):
                    break
        except errors.StateError as error:
            self._give_up(error)
        if phase is not before:
            reached = progress.PhaseReached(sid=self._client.sid, phase=phase)
            self._means.observer(reached)

    def _threads(self) -> AbstractContextManager[None]:
        """Lend the machine the engine's threads, once the session is known."""
        if self.params is None:
            return contextlib.nullcontext()
        return lent(self._means.engine(self.params.width).on_threads)

    def resume(self, connection: Connection, next_chunk: int | None) -> None:
        """Go on over a new connection: repeat what was said, resume the upload."""
        self._connection = connection
        if self.completed.done():
            return
        if self._client.sid is None:
            self._say_ready()
            return
        uploads = self._uploader.active and next_chunk is not None
        self._repeat(skipped=_AFTER_UPLOAD if uploads else "")
        if next_chunk is not None:
            self._uploader.resume(connection, next_chunk)

    def paused(self) -> str:
        """The connection is gone; return what to check if uploads keep being cut."""
        self._connection = None
        return self._uploader.cut()

    def missed(self, reason: str) -> None:
        """The aggregator said that the round is over for this silo."""
        if self.completed.done():
            return
        self._close_session(reason)
        if self.attempts:
            last = self.attempts[-1]
            self._fail(errors.SessionAborted(last.code, last.detail, last.missing))
        else:
            self._fail(errors.RoundMissed(f"round {self.round.round_no}: {reason}"))

    def stop(self) -> None:
        """Take no further part, and say so if a session runs."""
        self._drop_session("stopped by its operator")
        self.completed.cancel()

    # --- effects ----------------------------------------------------------------

    def _carry_out(self, effect: events.ClientEffect) -> bool:
        """Carry out one effect; False if those after it must not be."""
        match effect:
            case events.Joined():
                return self._joined(effect)
            case (
                events.PersistJoined() | events.PersistSpent() | events.PersistSummed()
            ):
                self._means.keeper.persist(effect)
            case events.PersistHead():
                self._head = effect
            case events.Completed():
                self._complete(effect)
            case events.Aborted():
                self._aborted(effect)
            case _:
                self._act(effect)
        return True

    def _act(
        self,
        effect: events.SayReady
        | events.Send
        | events.MaskVector
        | events.StopUpload
        | events.Ignored,
    ) -> None:
        match effect:
            case events.SayReady():
                self._ready = effect.ready
                self._say_ready()
            case events.Send():
                if self._connection is not None:
                    self._connection.post(effect.envelope)
            case events.MaskVector():
                self._mask(effect)
            case events.StopUpload():
                self._uploader.leave()
            case events.Ignored():
                self._means.observer(_left_alone(effect))
            case _:
                assert_never(effect)

    def _joined(self, effect: events.Joined) -> bool:
        """Prepare x_u for this session, before anything of it is sent (rule 5-2)."""
        self._leave_upload()
        manifest = effect.manifest
        self._attempt = manifest.attempt
        try:
            self.params = Parameters.of(manifest)
            self._x_u = self._input(effect.sid, self.params)
            if self.params.tossed:
                self._ahead(self.params.prepare_graph)
        except errors.InputError as error:
            self._fail(error)
            self._drop_session("the input does not fit this session")
            return False
        self._means.observer(
            progress.SessionBegan(
                sid=effect.sid,
                round_no=manifest.round_no,
                attempt=manifest.attempt,
                members=self.params.members,
            )
        )
        return True

    def _ahead(self, work: Callable[[], None]) -> None:
        """Do in a thread what the machine will need; it meets what this raises too."""
        done = asyncio.get_running_loop().run_in_executor(None, work)
        done.add_done_callback(lambda over: over.cancelled() or over.exception())

    def _input(
        self, sid: SessionId, params: Parameters
    ) -> Contribution | DeviceContribution:
        given = self._given
        make: Callable[..., Contribution | DeviceContribution] = (
            contribution
            if isinstance(given.update, np.ndarray)
            else device_contribution
        )
        return make(
            given.update,
            weight=given.weight,
            values=given.extras,
            params=params,
            sid=sid,
            entropy=self._means.entropy,
        )

    def _mask(self, effect: events.MaskVector) -> None:
        assert self._x_u is not None  # noqa: S101 made when the session began
        engine = self._means.engine(self._x_u.params.width)
        upload = Upload(self._x_u, effect, engine, self._means.observer)
        self._uploader.begin(upload, self._connection)

    def _complete(self, effect: events.Completed) -> None:
        self._leave_upload()
        completed = progress.SessionCompleted(
            sid=effect.sid, status=effect.result.status, u3=effect.result.u3
        )
        self._means.observer(completed)
        # The receipt first: behind the head nobody would ever make it again.
        self._means.keeper.record(effect)
        if self._head is not None:
            self._means.keeper.persist(self._head)
        if not self.completed.done():
            self.completed.set_result(effect)

    def _aborted(self, effect: events.Aborted) -> None:
        self._leave_upload()
        self._means.observer(
            progress.SessionAborted(
                sid=effect.sid,
                code=effect.code,
                detail=effect.detail,
                retry=effect.retry,
                missing=effect.missing,
            )
        )
        self.attempts.append(
            Attempt(
                sid=effect.sid,
                attempt=self._attempt,
                code=effect.code,
                detail=effect.detail,
                missing=effect.missing,
                culprits=effect.culprits,
            )
        )
        if effect.retry:
            # Whoever was silent is no longer taken for ready.
            self._say_ready()
        else:
            aborted = errors.SessionAborted(effect.code, effect.detail, effect.missing)
            self._fail(aborted)

    def _repeat(self, *, skipped: str = "", only: str = "") -> None:
        """Say again what was said in this session (rule 8-5)."""
        if self._connection is None:
            return
        for envelope in self._client.outbox:
            if envelope.type != skipped and only in {"", envelope.type}:
                self._connection.post(envelope)

    def _say_ready(self) -> None:
        if self._connection is not None and self._ready is not None:
            self._means.say_ready(self._connection, self._ready)

    def _fail(self, error: BaseException) -> None:
        if not self.completed.done():
            self.completed.set_exception(error)

    def _give_up(self, error: BaseException) -> None:
        """End on an error of our own; what the machine would say is left unsaid."""
        self._fail(error)
        self._close_session("an internal error")

    def _drop_session(self, reason: str) -> None:
        """Leave the session and tell the aggregator, which need not wait then."""
        for effect in self._close_session(reason):
            if isinstance(effect, events.Send):
                self._act(effect)

    def _close_session(self, reason: str) -> list[events.ClientEffect]:
        """Let go of the session's secrets and its outbox; return what to say of it."""
        self._leave_upload()
        if self._client.sid is None:
            return []
        return self._client.handle(events.Stopped(code="0-1", reason=reason))

    def _uploaded(self, root: bytes) -> None:
        """State the root behind the chunks (rule 4.5-1), or state it again."""
        sid = self._client.sid
        if self._stated:
            self._repeat(only=_AFTER_UPLOAD)
        elif sid is not None:
            self._stated = True
            self.feed(events.VectorMasked(sid=sid, root=root))

    def _leave_upload(self) -> None:
        self._uploader.leave()
        self._x_u = None
        self._stated = False


def _left_alone(effect: events.Ignored) -> progress.Progress:
    """Return what to say of a message that changed nothing."""
    if effect.detail:
        return progress.SessionDeclined(rule=effect.rule, detail=effect.detail)
    return progress.MessageIgnored(peer=effect.peer, type=effect.type, rule=effect.rule)
