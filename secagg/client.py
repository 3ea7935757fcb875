"""The client machine: events in, effects out (spec 4).

No clock, socket, log, thread or generator of its own: `handle` takes one event and
returns what to do, in order. It looks its move up in the table first, runs the round's
function second and stores the new state last, so a refused event changes nothing but
what a refusal itself does: tell the aggregator, drop the session's secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from secagg import codec, errors, events
from secagg import messages as msg
from secagg.client_moves import Moves, Step
from secagg.client_state import (
    Dealt,
    Session,
    TaskMemory,
    transcript_of,
)
from secagg.crypto import transcript
from secagg.entropy import Entropy
from secagg.events import ClientEffect, ClientEvent
from secagg.identity import Identity
from secagg.names import PeerId, SessionId
from secagg.params import MAX_ATTEMPTS
from secagg.policy import Policy
from secagg.roster import Roster
from secagg.rounds import (
    manifest,
)
from secagg.signing import check_route, envelope_hash, open_envelope
from secagg.transitions import CLIENT, ClientPhase

_ANSWERS = {
    "Manifest": ("AdvertiseKeys",),
    "KeyList": ("Coin", "ShareKeys"),
    "CoinList": ("ShareKeys",),
    "DealtShares": ("ShareAck",),
    "InputList": ("Consistency",),
    "Certificate": ("Unmasking",),
}
"""What a message is answered with, again when it is repeated (rule 3.4-6).

The first of them that was sent: a KeyList asks for the coin where there are coins.
"""


class Client:
    """One hospital's side of the protocol, session after session."""

    def __init__(
        self,
        *,
        identity: Identity,
        roster: Roster,
        policy: Policy,
        entropy: Entropy,
        aggregator: PeerId,
        memory: Mapping[str, TaskMemory] | None = None,
    ) -> None:
        """Start idle.

        Args:
            identity: who this client is; signs everything it sends.
            roster: the newest one that is pinned, until the event of a newer one.
            policy: this hospital's floors.
            entropy: where nonces, keys, seeds and coefficients come from.
            aggregator: whom it talks to.
            memory: what it remembers of each task from its durable state.
        """
        self._identity = identity
        self._roster = roster
        self._policy = policy
        self._entropy = entropy
        self._aggregator = aggregator
        self._moves = Moves(
            identity=identity,
            roster=roster,
            entropy=entropy,
            aggregator=aggregator,
            policy=policy,
        )
        self._memory = dict(memory or {})
        self._phase = ClientPhase.IDLE
        self._ready: msg.Ready | None = None
        self._session: Session | None = None

    def __repr__(self) -> str:
        """Show who and where, and no secret."""
        return f"Client({self._identity.id}, {self._phase})"

    @property
    def phase(self) -> ClientPhase:
        """Where this client stands."""
        return self._phase

    @property
    def sid(self) -> SessionId | None:
        """The session it is in."""
        return None if self._session is None else self._session.sid

    @property
    def transcript(self) -> bytes | None:
        """The last transcript it holds, for Hello (spec 8-5)."""
        return None if self._session is None else transcript_of(self._session)

    @property
    def outbox(self) -> tuple[msg.Envelope, ...]:
        """What it sent in this session, to repeat after a reconnect (spec 8-5)."""
        return () if self._session is None else self._session.outbox

    def handle(self, event: ClientEvent) -> list[ClientEffect]:
        """Take one event and return the effects, in the order they must happen.

        Raises:
            LocalProtocolError: our own caller's move is not allowed now.
        """
        match event:
            case events.InputReady():
                return self._input_ready(event)
            case events.Received():
                return self._received(event.peer, event.envelope)
            case events.VectorMasked():
                return self._vector_masked(event)
            case events.Stopped():
                return self._stopped(event)
            case events.RosterPinned():
                self._roster = event.roster
                return []
            case _:
                assert_never(event)

    # --- our own side -----------------------------------------------------

    def _input_ready(self, event: events.InputReady) -> list[ClientEffect]:
        if "InputReady" not in CLIENT[self._phase]:
            raise errors.LocalProtocolError(
                f"a session is running ({self._phase}): wait until it has ended"
            )
        self._session = None
        self._ready = msg.Ready(
            task_id=event.task_id,
            round_no=event.round_no,
            model_hash=event.model_hash,
            ready_nonce=self._entropy.draw("ready_nonce", 32),
        )
        self._phase = ClientPhase.READY
        return [events.SayReady(ready=self._ready)]

    def _remembered(self, task_id: str) -> TaskMemory:
        return self._memory.get(task_id, TaskMemory())

    def _vector_masked(self, event: events.VectorMasked) -> list[ClientEffect]:
        session = self._session
        if session is None or event.sid != session.sid:
            return []
        if self._phase is not ClientPhase.MASKING or not isinstance(session, Dealt):
            return []
        return self._store(self._moves.state_root(session, event.root))

    # --- the aggregator's messages ------------------------------------------

    def _received(self, peer: PeerId, envelope: msg.Envelope) -> list[ClientEffect]:
        session = self._session
        here = session is not None and envelope.sid == session.sid
        if envelope.type == "Manifest" and not here:
            return self._manifest(peer, envelope)
        try:
            errors.require("8-6", here, f"{envelope.type} of another session", [peer])
        except errors.RemoteProtocolError as error:
            return [events.Ignored(peer=peer, type=envelope.type, rule=error.rule)]
        if session is None:
            return []
        return self._take(peer, envelope, session)

    def _take(
        self, peer: PeerId, envelope: msg.Envelope, session: Session
    ) -> list[ClientEffect]:
        seen = envelope_hash(envelope)
        if session.seen.get(envelope.type) == seen:
            sent = {envelope.type: envelope for envelope in session.outbox}
            answers = _ANSWERS.get(envelope.type, ())
            repeated = [sent[answer] for answer in answers if answer in sent]
            return [self._moves.send(envelope) for envelope in repeated[:1]]
        try:
            message = self._open(peer, envelope, session)
            if isinstance(message, msg.Abort):
                return self._end(message.rule, message.detail, missing=message.missing)
            noted = replace(session, seen={**session.seen, envelope.type: seen})
            return self._store(self._moves.after(message, envelope.body, noted))
        except errors.RemoteProtocolError as error:
            return self._refuse(error)

    def _open(
        self, peer: PeerId, envelope: msg.Envelope, session: Session
    ) -> msg.Message:
        kind = codec.message_type(envelope.type)
        errors.require(
            "3.4-7",
            envelope.type not in session.seen,
            f"a second, different {envelope.type} in one session",
            [peer],
        )
        allowed = kind is msg.Abort or envelope.type in CLIENT[self._phase]
        errors.require(
            "3.4-6",
            allowed,
            f"{envelope.type} is not expected when {self._phase}",
            [peer],
        )
        errors.require(
            "3.4-4", peer == self._aggregator, f"{peer} is not our aggregator"
        )
        check_route(envelope, peer=peer, me=self._identity.id)
        return open_envelope(
            envelope,
            public=self._moves.roster.member(peer).key,
            h=transcript_of(session, msg.HEADERS[kind].transcript),
            members=session.params.n,
        )

    def _manifest(self, peer: PeerId, envelope: msg.Envelope) -> list[ClientEffect]:
        if self._ready is None or "Manifest" not in CLIENT[self._phase]:
            return [events.Ignored(peer=peer, type=envelope.type, rule="3.4-6")]
        try:
            return self._store(self._join(peer, envelope, self._ready))
        except errors.RemoteProtocolError as error:
            return self._decline(error, envelope.sid)

    def _join(self, peer: PeerId, envelope: msg.Envelope, ready: msg.Ready) -> Step:
        errors.require(
            "3.4-4", peer == self._aggregator, f"{peer} is not our aggregator"
        )
        check_route(envelope, peer=peer, me=self._identity.id)
        sid = transcript.session_id(envelope.body)
        errors.require("3.4-1", sid == envelope.sid, "sid is not the Manifest's hash")
        message = open_envelope(
            envelope,
            public=self._roster.member(peer).key,
            h=sid,
            members=len(self._roster.members),
        )
        if not isinstance(message, msg.Manifest):
            raise errors.RemoteProtocolError("3.4-2", "a Manifest of another type")
        memory = self._remembered(message.task_id)
        # Of all tasks: another name, and the same patients.
        known = self._memory.values()
        params = manifest.client_join(
            message,
            sender=peer,
            ready=ready,
            standing=manifest.Standing(
                me=self._identity.id,
                roster=self._roster,
                policy=self._policy,
                last_joined=memory.last_joined,
                head=memory.head,
                spent=memory.spent_round == message.round_no,
                charges=tuple(n for one in known for n in one.charges),
            ),
        )
        # A session keeps the roster that it began with.
        self._moves = replace(self._moves, roster=self._roster)
        seen = envelope_hash(envelope)
        sums = tuple(summed for one in known for summed in one.sums)
        return self._moves.advertise(message, sid, params, seen=seen, sums=sums)

    # --- ends ---------------------------------------------------------------

    def _refuse(self, error: errors.RemoteProtocolError) -> list[ClientEffect]:
        """A breach by the aggregator: say the rule, drop the secrets."""
        assert self._session is not None  # noqa: S101 only called within a session
        told = self._refusal(error, self._session.sid)
        ended = self._end(error.rule, error.detail, missing=(), culprits=error.culprits)
        return [told, *ended]

    def _stopped(self, event: events.Stopped) -> list[ClientEffect]:
        """Our own side ends the session: the aggregator need not wait for us."""
        if self._session is None:
            return []
        if event.code not in events.STOP_CODES:
            raise errors.LocalProtocolError(f"{event.code} is not a code of our own")
        return self._refuse(errors.RemoteProtocolError(event.code, event.reason))

    def _decline(
        self, error: errors.RemoteProtocolError, sid: SessionId
    ) -> list[ClientEffect]:
        """A Manifest that was refused: no session began, a running one goes on."""
        told = self._refusal(error, sid)
        if self._session is not None:
            refused = events.Ignored(
                peer=self._aggregator,
                type="Manifest",
                rule=error.rule,
                detail=error.detail,
            )
            return [told, refused]
        # A spent update enters no other attempt (rule 4.1-8).
        retry = error.rule != "4.1-8"
        return [
            told,
            events.Aborted(sid=sid, code=error.rule, detail=error.detail, retry=retry),
        ]

    def _refusal(
        self, error: errors.RemoteProtocolError, sid: SessionId
    ) -> ClientEffect:
        told = msg.Refusal(rule=error.rule, detail=codec.printable(error.detail))
        envelope = self._moves.seal(told, sid, sid)
        return self._moves.send(envelope)

    def _end(
        self,
        code: str,
        detail: str,
        missing: tuple[PeerId, ...],
        culprits: tuple[str, ...] = (),
    ) -> list[ClientEffect]:
        session = self._session
        if session is None:
            return []
        asked = session.manifest
        spent = self._remembered(asked.task_id).spent_round == asked.round_no
        retry = not spent and asked.attempt < MAX_ATTEMPTS
        self._session = None
        self._phase = ClientPhase.READY if retry else ClientPhase.IDLE
        if not retry:
            self._ready = None
        return [
            events.Aborted(
                sid=session.sid,
                code=code,
                detail=detail,
                retry=retry,
                missing=missing,
                culprits=tuple(PeerId(peer) for peer in culprits),
            )
        ]

    # --- the only writes ------------------------------------------------------

    def _store(self, step: Step) -> list[ClientEffect]:
        self._session = step.session
        self._phase = step.phase
        if step.phase is ClientPhase.IDLE:
            self._ready = None
        for effect in step.effects:
            self._remember(effect)
        return step.effects

    def _remember(self, effect: ClientEffect) -> None:
        """Know from now on what is made durable."""
        match effect:
            case events.PersistJoined(task_id=task, round_no=number, attempt=attempt):
                known = replace(self._remembered(task), last_joined=(number, attempt))
            case events.PersistSpent(task_id=task, round_no=number, noise=noise):
                before = self._remembered(task)
                charges = before.charges if noise is None else (*before.charges, noise)
                known = replace(before, spent_round=number, charges=charges)
            case events.PersistSummed(task_id=task, summed=summed):
                before = self._remembered(task)
                known = replace(before, sums=(*before.sums, summed))
            case events.PersistHead(task_id=task, head=head):
                known = replace(self._remembered(task), head=head)
            case _:
                return
        self._memory[task] = known
