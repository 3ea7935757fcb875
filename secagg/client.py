"""The client machine: events in, effects out (spec 4).

No clock, socket, log, thread or generator of its own: `handle` takes one event and
returns what to do, in order. It looks its move up in the table first, runs the round's
function second and stores the new state last, so a refused event changes nothing but
what a refusal itself does: tell the aggregator, drop the session's secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from secagg import codec, errors, events
from secagg import messages as msg
from secagg.client_state import (
    Acked,
    Advertised,
    Dealt,
    Released,
    Session,
    Shared,
    TaskMemory,
    Voted,
    grow,
    transcript_of,
)
from secagg.crypto import transcript
from secagg.entropy import Entropy
from secagg.events import ClientEffect, ClientEvent
from secagg.identity import Identity
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from secagg.policy import Policy
from secagg.roster import Roster
from secagg.rounds import (
    advertise_keys,
    consistency,
    manifest,
    masked_input,
    result,
    share_ack,
    share_keys,
    unmasking,
)
from secagg.rounds.manifest import MAX_ATTEMPTS
from secagg.signing import check_route, envelope_hash, open_envelope, seal
from secagg.transitions import CLIENT, ClientPhase

_ANSWERS = {
    "Manifest": "AdvertiseKeys",
    "KeyList": "ShareKeys",
    "DealtShares": "ShareAck",
    "InputList": "Consistency",
    "Certificate": "Unmasking",
}
"""What a message is answered with, again when it is repeated (rule 3.4-6)."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a move leads to: the next phase, the state in it, and the effects."""

    phase: ClientPhase
    session: Session | None
    effects: list[ClientEffect]


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
            roster: the pinned roster.
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
            case events.HeadAdvanced():
                return self._head_advanced(event.task_id, event.head)
            case events.Received():
                return self._received(event.peer, event.envelope)
            case events.VectorMasked():
                return self._vector_masked(event)
            case events.Stopped():
                return self._stopped(event)
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

    def _head_advanced(self, task_id: str, head: bytes) -> list[ClientEffect]:
        if self._session is not None:
            raise errors.LocalProtocolError("a session is running: it moves the head")
        return self._new_head(task_id, head)

    def _new_head(self, task_id: str, head: bytes) -> list[ClientEffect]:
        self._memory[task_id] = replace(self._remembered(task_id), head=head)
        return [events.PersistHead(task_id=task_id, head=head)]

    def _remembered(self, task_id: str) -> TaskMemory:
        return self._memory.get(task_id, TaskMemory())

    def _vector_masked(self, event: events.VectorMasked) -> list[ClientEffect]:
        session = self._session
        if session is None or event.sid != session.sid:
            return []
        if self._phase is not ClientPhase.MASKING or not isinstance(session, Dealt):
            return []
        stated = msg.MaskedInput(root=event.root)
        rooted = replace(session, root=event.root)
        return self._store(self._spend(ClientPhase.MASKED, rooted, stated))

    # --- the aggregator's messages ------------------------------------------

    def _received(self, peer: PeerId, envelope: msg.Envelope) -> list[ClientEffect]:
        session = self._session
        elsewhere = session is None or envelope.sid != session.sid
        if envelope.type == "Manifest" and elsewhere:
            return self._manifest(peer, envelope)
        if session is None or elsewhere:
            return [events.Ignored(peer=peer, type=envelope.type, rule="8-6")]
        seen = envelope_hash(envelope)
        if session.seen.get(envelope.type) == seen:
            answer = _ANSWERS.get(envelope.type)
            return [self._send(e) for e in session.outbox if e.type == answer]
        try:
            message = self._open(peer, envelope, session)
            if isinstance(message, msg.Abort):
                return self._end(message.rule, message.detail, missing=message.missing)
            noted = replace(session, seen={**session.seen, envelope.type: seen})
            return self._store(self._move(message, envelope, noted))
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
            public=self._roster.member(peer).key,
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
            ),
        )
        return self._advertise(message, sid, params, envelope_hash(envelope))

    def _advertise(
        self, message: msg.Manifest, sid: SessionId, params: Parameters, seen: bytes
    ) -> Step:
        me = self._identity.id
        keys, advert = advertise_keys.client_advertise(self._entropy, sid=sid, me=me)
        envelope = self._seal(advert, sid, h=sid)
        session = Advertised(
            me=me,
            sid=sid,
            params=params,
            manifest=message,
            keys=keys,
            advert=advert,
            seen={"Manifest": seen},
            outbox=(envelope,),
        )
        task, pair = message.task_id, (message.round_no, message.attempt)
        self._memory[task] = replace(self._remembered(task), last_joined=pair)
        joined = events.PersistJoined(task_id=task, round_no=pair[0], attempt=pair[1])
        began = events.Joined(sid=sid, manifest=message)
        effects: list[ClientEffect] = [joined, began, self._send(envelope)]
        return Step(ClientPhase.ADVERTISED, session, effects)

    def _move(
        self, message: msg.Message, envelope: msg.Envelope, session: Session
    ) -> Step:
        moves: dict[type[msg.Message], Callable[..., Step]] = {
            msg.KeyList: self._share,
            msg.DealtShares: self._ack,
            msg.DealerList: self._mask,
            msg.InputList: self._vote,
            msg.Certificate: self._release,
            msg.Result: self._finish,
        }
        return moves[type(message)](message, envelope.body, session)

    def _share(self, message: msg.KeyList, body: bytes, session: Advertised) -> Step:
        party = session.party
        book = advertise_keys.client_accept_key_list(
            message,
            body=body,
            own=session.advert,
            me=party.me,
            sid=party.sid,
            params=party.params,
            roster=self._roster,
            aggregator=self._aggregator,
        )
        dealt, own = share_keys.client_deal(party, book, self._entropy)
        return self._answer(
            ClientPhase.SHARED, grow(session, Shared, book=book, own=own), dealt
        )

    def _ack(self, message: msg.DealtShares, body: bytes, session: Shared) -> Step:
        del body
        book = session.book
        held = share_keys.client_open_shares(
            message, party=session.party, book=book, own=session.own
        )
        ack = share_ack.client_ack(held.b, book.u1)
        return self._answer(ClientPhase.ACKED, grow(session, Acked, held=held), ack)

    def _mask(self, message: msg.DealerList, body: bytes, session: Acked) -> Step:
        party, book = session.party, session.book
        u2 = share_ack.client_accept_dealer_list(
            message, u1=book.u1, params=party.params
        )
        h2 = transcript.h2(book.h1, body)
        grown = grow(session, Dealt, u2=u2, h2=h2, root=None)
        if party.me not in u2:
            return Step(ClientPhase.WATCHING, grown, [])
        seeds, signs = masked_input.split(masked_input.client_masks(party, book, u2))
        mask = events.MaskVector(sid=party.sid, seeds=seeds, signs=signs)
        return Step(ClientPhase.MASKING, grown, [mask])

    def _vote(self, message: msg.InputList, body: bytes, session: Dealt) -> Step:
        party = session.party
        u3 = masked_input.client_accept_input_list(
            message,
            me=party.me,
            own_root=session.root,
            u2=session.u2,
            sid=party.sid,
            h2=session.h2,
            params=party.params,
            roster=self._roster,
            aggregator=self._aggregator,
        )
        h3 = transcript.h3(session.h2, body)
        grown = grow(session, Voted, u3=u3, h3=h3)
        step = self._answer(ClientPhase.VOTED, grown, msg.Consistency(h3=h3))
        if self._phase is ClientPhase.MASKING:
            step.effects.insert(0, events.StopUpload(sid=party.sid))
        return step

    def _release(self, message: msg.Certificate, body: bytes, session: Voted) -> Step:
        del body
        consistency.check_certificate(
            message,
            h3=session.h3,
            sid=session.sid,
            voters=session.book.u1,
            quorum=session.params.q,
            roster=self._roster,
            aggregator=self._aggregator,
        )
        release = unmasking.client_release(session.held, u2=session.u2, u3=session.u3)
        bare = grow(session, Released, u1=session.book.u1)
        return self._spend(ClientPhase.RELEASED, bare, release)

    def _finish(self, message: msg.Result, body: bytes, session: Released) -> Step:
        asked = session.manifest
        result.client_accept(message, u3=session.u3, manifest=asked)
        link = transcript.link(asked.previous_link, session.sid, session.h3, body)
        completed = events.Completed(
            sid=session.sid,
            manifest=asked,
            result=message,
            link=link,
            sets={
                "u0": session.params.members,
                "u1": session.u1,
                "u2": session.u2,
                "u3": session.u3,
            },
            included=session.me in session.u3,
        )
        effects = [*self._new_head(asked.task_id, link), completed]
        return Step(ClientPhase.IDLE, None, effects)

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
            peer = self._aggregator
            return [told, events.Ignored(peer=peer, type="Manifest", rule=error.rule)]
        return [
            told,
            events.Aborted(sid=sid, code=error.rule, detail=error.detail, retry=True),
        ]

    def _refusal(
        self, error: errors.RemoteProtocolError, sid: SessionId
    ) -> ClientEffect:
        told = msg.Refusal(rule=error.rule, detail=codec.printable(error.detail))
        return self._send(self._seal(told, sid, sid))

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
        if step.session is None:
            self._ready = None
        return step.effects

    def _answer(
        self, phase: ClientPhase, session: Session, message: msg.Message
    ) -> Step:
        kind = msg.HEADERS[type(message)].transcript
        envelope = self._seal(message, session.sid, h=transcript_of(session, kind))
        grown = replace(session, outbox=(*session.outbox, envelope))
        return Step(phase, grown, [self._send(envelope)])

    def _spend(
        self, phase: ClientPhase, session: Session, message: msg.Message
    ) -> Step:
        """Answer with what ties the update to this session for good (rule 4.1-8)."""
        step = self._answer(phase, session, message)
        task, round_no = session.manifest.task_id, session.manifest.round_no
        self._memory[task] = replace(self._remembered(task), spent_round=round_no)
        step.effects.insert(0, events.PersistSpent(task_id=task, round_no=round_no))
        return step

    def _seal(self, message: msg.Message, sid: SessionId, h: bytes) -> msg.Envelope:
        return seal(
            message, identity=self._identity, receiver=self._aggregator, sid=sid, h=h
        )

    def _send(self, envelope: msg.Envelope) -> ClientEffect:
        return events.Send(receiver=self._aggregator, envelope=envelope)
