"""A round of the aggregator: gather, open a session, and if it fails, once more.

At most three attempts, each with fresh keys over those that are ready, less the silent
and the blamed; none after a share was released (rule 4.7-6). Who is left out is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from secagg import errors, events, pipeline
from secagg.drivers import outcome
from secagg.drivers.aggregator.connections import Connections
from secagg.drivers.aggregator.gathering import KEPT_COIN, Gathering
from secagg.drivers.aggregator.journal import (
    COMPLETED,
    FAILED,
    OPEN,
    Journal,
    RoundRow,
)
from secagg.drivers.aggregator.opening import Opening
from secagg.drivers.aggregator.session import Ended, Session
from secagg.drivers.aggregator.surroundings import Surroundings
from secagg.drivers.outcome import Attempt, RoundOutcome, Traffic
from secagg.drivers.wire.door import Door
from secagg.messages import Manifest
from secagg.names import PeerId, SessionId
from secagg.released import ReleasedVector
from secagg.server import Server
from secagg.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """When a session of the task may open.

    Attributes:
        task: what is asked for.
        expected: whose Ready opens the session at once.
        least: how few may open it at the deadline.
        ready_seconds: from RoundOpen to that deadline.
        reconnect_seconds: how long silos may take to come back after a cut.
    """

    task: Task
    expected: frozenset[PeerId]
    least: int
    ready_seconds: float
    reconnect_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a round acts on."""

    door: Door
    journal: Journal
    connections: Connections
    around: Surroundings
    opening: Callable[[Server, bytes], Opening]
    miss: Callable[[PeerId, int, str], None]
    announce: Callable[[Collection[PeerId]], None]


class Round:
    """One round, from RoundOpen to its outcome."""

    def __init__(self, row: RoundRow, terms: Terms, site: Site) -> None:
        """Stand before the first session.

        Args:
            row: the round as journaled.
            terms: when a session may open.
            site: what it acts on.
        """
        self.row = row
        self.gathering = Gathering(site.around.observer)
        self.sessions: list[Session] = []
        self._terms = terms
        self._site = site
        self._attempts: list[Attempt] = []
        self._expected = terms.expected
        self._traffic = site.connections.traffic()

    @property
    def session(self) -> Session | None:
        """The session that runs now, or the last one."""
        return self.sessions[-1] if self.sessions else None

    @property
    def gathers(self) -> bool:
        """Whether a Ready of now may still enter a session."""
        return self.session is None or self.session.sid in self._failed_sids()

    async def restore(self) -> SessionId | None:
        """Take up the newest session of the journal; return it if it is not over."""
        row = self._site.journal.newest_session(
            self._terms.task.task_id, self.row.round_no
        )
        if row is None:
            return None
        if self.row.status == OPEN and not self._resumable(row.manifest):
            self._abandon(row.sid)
            return None
        session = self._session_of(self._server(row.manifest), row.noise_seed)
        self.sessions.append(session)
        await session.resume(row.events)
        return None if session.over else session.sid

    def _resumable(self, manifest: Manifest) -> bool:
        """Whether we have the session's roster, and the key that it gives us."""
        roster = self._site.door.book.named(manifest.roster_hash)
        me = self._site.door.identity
        if roster is None or me.id not in roster:
            return False
        return roster.member(me.id).key == me.key.public

    def _abandon(self, sid: SessionId) -> None:
        """End a session whose members would not know us any more (rule 4.7-6)."""
        journal, task_id = self._site.journal, self._terms.task.task_id
        journal.end_session(sid, FAILED)
        journal.close_round(task_id, self.row.round_no, FAILED)

    def expect(self, expected: frozenset[PeerId]) -> None:
        """Wait for these from now on: the roster has changed."""
        self._expected = expected
        self.gathering.expect(expected)

    def stop(self, reason: str) -> None:
        """End the round for everybody; none of its sessions is resumed."""
        session = self.session
        if session is not None and not session.over:
            session.feed(events.Stopped(code="0-1", reason=reason))

    def fail(self, error: errors.StateError) -> None:
        """Have `run` raise an error of the disk that was met beside it."""
        if self.session is None or self.session.over:
            self.gathering.fail(error)
        else:
            self.session.fail(error)

    async def run(self) -> RoundOutcome:
        """Open sessions until one has a Result.

        Raises:
            SessionAborted: no attempt is left or allowed; names the rule and who is
                missing.
            ReleaseRefused: the privacy budget is spent.
            StateError: the disk failed.
            Exception: the caller's own `next_model` raised it.
        """
        while True:
            session = await self._current()
            ended = await self._ended(session)
            if isinstance(ended, events.Completed):
                return self._completed(session, ended)
            self._failed(session, ended)

    async def _ended(self, session: Session) -> Ended:
        """Wait for the end; a sum that could not be released ends the round too."""
        try:
            return await session.ended()
        except Exception as error:
            spent = isinstance(error, errors.ReleaseRefused)
            why = "the privacy budget is spent" if spent else "the sum cannot be opened"
            # A session that is broken stays open in the journal: a restart resumes it.
            if session.stopped:
                self._close(session, FAILED, why)
            raise

    async def _current(self) -> Session:
        """Return the session that was resumed, or open the next one."""
        if self.session is not None and self.session.sid not in self._failed_sids():
            return self.session
        first = not self._attempts
        phase = self._terms.task.durations[0] / 1000
        # Who lost its line in the attempt before must have time to come back.
        again = max(phase, self._terms.reconnect_seconds)
        enough = await self.gathering.wait(
            expected=self._expected,
            least=self._terms.least,
            clock=self._site.around.clock,
            seconds=self._terms.ready_seconds if first else again,
            patient=first,
        )
        if not enough:
            raise self._given_up("too few are ready for another attempt")
        session = self._open() if first else self._open_again()
        self.sessions.append(session)
        session.start()
        return session

    def _failed_sids(self) -> set[bytes]:
        return {attempt.sid for attempt in self._attempts}

    def _open_again(self) -> Session:
        """Open another attempt; those that are left may be too few for its terms."""
        try:
            return self._open()
        except errors.ParameterError as error:
            raise self._given_up(str(error)) from None

    def _open(self) -> Session:
        """Journal a new session over those that are ready."""
        site, task = self._site, self._terms.task
        entropy = site.door.entropy
        manifest = task.manifest(
            aggregator=site.door.identity.id,
            roster=site.door.roster,
            ready=self.gathering.ready,
            round_no=self.row.round_no,
            attempt=site.journal.attempts(task.task_id, self.row.round_no) + 1,
            model_hash=self.row.model_hash,
            previous_link=site.journal.head(task.task_id),
            rotation=entropy.draw("rotation", 32) if task.rotation else None,
        )
        seed = entropy.draw("noise_seed", 32)
        server = self._server(manifest)
        site.journal.open_session(server.sid, manifest, seed)
        return self._session_of(server, seed)

    def _server(self, manifest: Manifest) -> Server:
        door = self._site.door
        roster = door.book.named(manifest.roster_hash) or door.roster
        try:
            return Server(identity=door.identity, roster=roster, manifest=manifest)
        except errors.RemoteProtocolError as error:
            raise errors.ParameterError(
                f"no silo would join a session of this task: {error}"
            ) from None

    def _session_of(self, server: Server, seed: bytes) -> Session:
        opening = self._site.opening(server, seed)
        return Session(server, opening, self._site.around)

    # --- ends -------------------------------------------------------------------

    def _failed(self, session: Session, ended: events.Aborted) -> None:
        """Leave out who was silent or is blamed, if another attempt is allowed."""
        attempt = outcome.failed_attempt(
            ended,
            session.server.manifest,
            sets=session.server.sets,
            dropped=session.reasons,
        )
        self._attempts.append(attempt)
        self._site.journal.end_session(session.sid, FAILED)
        session.storing.forget()
        for peer in ended.culprits:
            reason = f"rule {ended.code}: {ended.detail}"
            self._site.journal.blame(self._terms.task.task_id, peer, reason)
        out = {*ended.missing, *ended.culprits, *session.server.dropped}
        nonces = {one.peer: one.ready_nonce for one in session.server.manifest.members}
        ready = self.gathering.ready
        if ended.code == "4.10-3":
            self._bar(session, frozenset(ended.missing) & {*session.server.sets["u1"]})
        # The silent may be back in a moment; the blamed and the refusing may not.
        self._expected = frozenset(nonces) - {*ended.culprits, *session.server.dropped}
        # Who said Ready anew meanwhile is here again.
        self.gathering.remove([u for u in out if ready.get(u) == nonces.get(u)])
        if not ended.retry:
            raise self._given_up("no other attempt is allowed")
        # Also to those that came back, or were restarted, while the session ran.
        self._site.announce(frozenset(self.gathering.ready))

    def _bar(self, session: Session, kept: frozenset[PeerId]) -> None:
        """Leave out of the round, and tell so, who kept its coin (spec 4.10)."""
        self.gathering.bar(kept)
        for peer in sorted(kept):
            self._site.miss(peer, session.server.manifest.round_no, KEPT_COIN)

    def _given_up(self, why: str) -> errors.SessionAborted:
        last = self._attempts[-1]
        session = self.sessions[-1]
        self._close(session, FAILED, f"rule {last.code}: {last.detail}; {why}")
        return errors.SessionAborted(
            last.code, last.detail, last.missing, self._attempts
        )

    def _completed(self, session: Session, ended: events.Completed) -> RoundOutcome:
        site, task_id = self._site, ended.manifest.task_id
        site.journal.add_link(task_id, ended.link, session.server.evidence())
        reason = "the session went on without you; train on the next model"
        late = self._close(session, COMPLETED, reason)
        session.storing.forget()
        return self._outcome(session, ended, late)

    def _close(self, session: Session, status: str, reason: str) -> tuple[PeerId, ...]:
        """Mark the round, tell those left out, and return who was late for it."""
        manifest = session.server.manifest
        self._site.journal.end_session(session.sid, status)
        self._site.journal.close_round(manifest.task_id, manifest.round_no, status)
        members = set(session.server.params.members)
        reached = set(session.server.sets["u1"]) if status == COMPLETED else set()
        reached -= set(session.server.dropped)
        for peer in sorted((members | set(self.gathering.ready)) - reached):
            why = session.reasons.get(peer, reason)
            self._site.miss(peer, manifest.round_no, why)
        return tuple(sorted(set(self.gathering.ready) - members))

    def _outcome(
        self, session: Session, ended: events.Completed, late: tuple[PeerId, ...]
    ) -> RoundOutcome:
        result, params = ended.result, session.server.params
        released = self._released(session, ended)
        error = None if released is None else outcome.error_of(result, params)
        return RoundOutcome(
            task_id=ended.manifest.task_id,
            round_no=ended.manifest.round_no,
            sid=ended.sid,
            model_hash=ended.manifest.model_hash,
            result=result,
            vector=released,
            extras=dict(result.extras),
            sets=ended.sets,
            lost=outcome.losses(ended.sets, session.reasons, session.server.left_out),
            late=late,
            error=error,
            durations=dict(session.durations),
            traffic=self._round_traffic(),
            attempts=tuple(self._attempts),
            link=ended.link,
        )

    def _released(
        self, session: Session, ended: events.Completed
    ) -> ReleasedVector | None:
        reference = ended.result.vector
        if reference is None:
            return None
        blob = session.opening.blobs.open(reference.hash)
        return pipeline.released_vector(ended.result, blob.read, session.server.params)

    def _round_traffic(self) -> dict[PeerId, Traffic]:
        now, none = self._site.connections.traffic(), Traffic()
        return {
            peer: Traffic(
                up=total.up - self._traffic.get(peer, none).up,
                down=total.down - self._traffic.get(peer, none).down,
            )
            for peer, total in now.items()
        }
