"""The aggregator's machine: one session, events in, effects out (spec 4).

No clock, socket, log, thread or entropy: its signatures are deterministic, so replaying
the journaled events rebuilds it exactly (rule 9-3). A round function raises; here, and
in one place each, a member's breach becomes `Drop` and a missed floor `Aborted`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from secagg import codec, errors, events
from secagg import messages as msg
from secagg.crypto import transcript
from secagg.events import ServerEffect, ServerEvent
from secagg.identity import Identity
from secagg.names import PeerId, Round, SessionId
from secagg.params import MAX_ATTEMPTS, Parameters
from secagg.roster import Roster
from secagg.rounds import (
    advertise_keys,
    coin,
    consistency,
    masked_input,
    share_ack,
    share_keys,
    unmasking,
)
from secagg.rounds.manifest import check_members
from secagg.rounds.neighbourhood import neighbourhoods
from secagg.server_answers import Answers
from secagg.server_state import Sent, ServerState
from secagg.signing import check_route, envelope_hash, open_envelope, seal
from secagg.transitions import COLLECTING, ORDER, SERVER, ServerPhase

_TIMED = tuple(phase for phase in ORDER if phase is not ServerPhase.COIN)
_ESTABLISHES = ("Manifest", "KeyList", "DealerList", "InputList")
_FLOORS = frozenset({"4.2-4", "4.10-3", "4.3-7", "4.4-3", "4.5-5", "4.6-4", "4.7-3"})


class Server:
    """The aggregator's side of one session."""

    def __init__(
        self, *, identity: Identity, roster: Roster, manifest: msg.Manifest
    ) -> None:
        """Check the manifest and start at nothing; `start` opens the session.

        Args:
            identity: the aggregator's; signs everything it sends.
            roster: the consortium's.
            manifest: the session's terms.

        Raises:
            RemoteProtocolError: rules 2.2-1 to 2.2-9, 4.1-1, 4.1-2, 4.1-6: no client
                would join such a session.
        """
        check_members(manifest, sender=identity.id, roster=roster)
        errors.require(
            "4.1-6",
            1 <= manifest.attempt <= MAX_ATTEMPTS,
            f"attempt {manifest.attempt} is not in 1..{MAX_ATTEMPTS}",
        )
        self.params = Parameters.of(manifest)
        self.manifest = manifest
        self._identity = identity
        self._roster = roster
        body = codec.encode_body(manifest)
        self.sid: SessionId = transcript.session_id(body)
        self._answers = Answers(sid=self.sid, params=self.params)
        self._state = ServerState()

    def __repr__(self) -> str:
        """Show the session and the phase."""
        return f"Server({self.sid.hex()[:12]}, {self._state.phase})"

    @property
    def phase(self) -> ServerPhase:
        """Where the session stands."""
        return self._state.phase

    @property
    def sets(self) -> dict[str, tuple[PeerId, ...]]:
        """U0 to U5, as far as they are fixed."""
        return self._state.sets(self.params.members)

    @property
    def left_out(self) -> frozenset[PeerId]:
        """Members whose vector came, and which had too few neighbours left for U3."""
        closed = frozenset(self._state.roots) if self._state.u3 else frozenset[PeerId]()
        return closed - frozenset(self._state.u3) - frozenset(self._state.dropped)

    @property
    def dropped(self) -> dict[PeerId, str]:
        """Members that broke a rule, and which."""
        return dict(self._state.dropped)

    @property
    def expected(self) -> frozenset[PeerId]:
        """Whom the current phase still waits for."""
        state = self._state
        return state.expected(self.params.members) - state.answered(state.phase)

    def start(self) -> list[ServerEffect]:
        """Open the session: send the Manifest, wait for keys."""
        effects = self._broadcast(self.manifest, self.params.members, self.sid)
        return [*effects, self._deadline(ServerPhase.ADVERTISE_KEYS)]

    def handle(self, event: ServerEvent) -> list[ServerEffect]:
        """Take one event and return the effects, in the order they must happen."""
        match event:
            case events.Received():
                return self._received(event)
            case events.VectorStored():
                return self._vector_stored(event)
            case events.DeadlinePassed():
                return self._deadline_passed(event)
            case events.SumOpened():
                return self._sum_opened(event)
            case events.Stopped():
                return self._stopped(event)
            case _:
                assert_never(event)

    def replay(self, peer: PeerId, held: bytes | None) -> list[msg.Envelope]:
        """Return what a member that reconnects has missed (spec 8-5).

        Args:
            peer: the member.
            held: the last transcript it says it holds; None, or one of another
                session, for everything.
        """
        sent = [item.envelope for item in self._state.sent if item.receiver == peer]
        state = self._state
        known = dict(
            zip((self.sid, state.h1, state.h2, state.h3), _ESTABLISHES, strict=True)
        )
        last = known.get(held) if held else None
        places = [index for index, env in enumerate(sent) if env.type == last]
        return sent[places[0] + 1 :] if places else sent

    def evidence(self) -> msg.PastRound:
        """Return this session as a link of the chain (rule 4.8-4).

        Raises:
            LocalProtocolError: the session has no Result.
        """
        by_type = {item.envelope.type: item.envelope for item in self._state.sent}
        if "Result" not in by_type:
            raise errors.LocalProtocolError("only a session with a Result is a link")
        return msg.PastRound(
            manifest=codec.encode_envelope(by_type["Manifest"]),
            h3=self._state.h3,
            certificate=self._state.certificate,
            result=codec.encode_envelope(by_type["Result"]),
        )

    # --- events ---------------------------------------------------------------

    def _received(self, event: events.Received) -> list[ServerEffect]:
        peer, envelope = event.peer, event.envelope
        ignored = self._ignored(peer, envelope)
        if ignored is not None:
            return ignored
        try:
            message = self._open(peer, envelope)
            if isinstance(message, msg.Refusal):
                return self._drop(
                    event, peer, message.rule, f"refused: {message.detail}"
                )
            grown = self._answers.taken(message, envelope, self._state)
        except errors.RemoteProtocolError as error:
            return self._drop(event, peer, error.rule, error.detail)
        seen = {**grown.seen, (peer, envelope.type): envelope_hash(envelope)}
        self._state = replace(grown, seen=seen)
        return [events.Journal(event=event), *self._advance()]

    def _ignored(
        self, peer: PeerId, envelope: msg.Envelope
    ) -> list[ServerEffect] | None:
        """Return the effects of a message that changes nothing; None for others."""
        state, type_ = self._state, envelope.type
        try:
            self._check_concerned(peer, envelope)
        except errors.RemoteProtocolError as error:
            return [events.Ignored(peer=peer, type=type_, rule=error.rule)]
        seen = state.seen.get((peer, type_))
        if seen is not None and seen == envelope_hash(envelope):
            return []
        collects = [phase for phase in SERVER if type_ in SERVER[phase]]
        closed = (
            [*ORDER[: ORDER.index(state.phase)]] if state.phase in ORDER else [*ORDER]
        )
        if seen is None and collects and collects[0] in closed:
            return [events.Ignored(peer=peer, type=type_, rule="3.4-6")]
        return None

    def _check_concerned(self, peer: PeerId, envelope: msg.Envelope) -> None:
        """Check that a message is of this session and of one that takes part in it."""
        same = envelope.sid == self.sid
        errors.require("8-6", same, f"{envelope.type} of another session", [peer])
        gone = self._state.dropped
        taking_part = peer in self.params.members and peer not in gone
        errors.require("3.4-8", taking_part, f"{peer} takes no part", [peer])

    def _open(self, peer: PeerId, envelope: msg.Envelope) -> msg.Message:
        kind = codec.message_type(envelope.type)
        errors.require(
            "3.4-7",
            (peer, envelope.type) not in self._state.seen,
            f"a second, different {envelope.type} in one session",
            [peer],
        )
        allowed = kind is msg.Refusal or envelope.type in SERVER[self._state.phase]
        errors.require(
            "3.4-6",
            allowed,
            f"{envelope.type} is not expected during {self._state.phase}",
            [peer],
        )
        check_route(envelope, peer=peer, me=self._identity.id)
        return open_envelope(
            envelope,
            public=self._roster.member(peer).key,
            h=self._state.transcript(self.sid, msg.HEADERS[kind].transcript),
            members=self.params.n,
        )

    def _vector_stored(self, event: events.VectorStored) -> list[ServerEffect]:
        state, peer = self._state, event.peer
        gone = peer in state.dropped or peer not in state.u2
        if state.phase is not ServerPhase.MASKED_INPUT or gone or peer in state.stored:
            return [events.Ignored(peer=peer, type="VectorStored", rule="3.4-6")]
        self._state = replace(state, stored={**state.stored, peer: event.root})
        return [events.Journal(event=event)]

    def _deadline_passed(self, event: events.DeadlinePassed) -> list[ServerEffect]:
        if event.round.value != self._state.phase.value:
            return []
        return [events.Journal(event=event), *self._close(final=True)]

    def _drop(
        self, event: ServerEvent, peer: PeerId, rule: str, detail: str
    ) -> list[ServerEffect]:
        """A member's breach, or its leave: go on without it while the floors hold."""
        state = self._state
        self._state = replace(state, dropped={**state.dropped, peer: rule})
        dropped = events.Drop(peer=peer, rule=rule, detail=detail)
        return [events.Journal(event=event), dropped, *self._advance()]

    def _stopped(self, event: events.Stopped) -> list[ServerEffect]:
        if self._state.phase in {ServerPhase.DONE, ServerPhase.ABORTED}:
            return []
        if event.code not in events.STOP_CODES:
            raise errors.LocalProtocolError(f"{event.code} is not a code of our own")
        error = errors.RemoteProtocolError(event.code, event.reason)
        ended = self._abort(error, missing=(), retry=False)
        return [events.Journal(event=event), *ended]

    # --- closing phases -------------------------------------------------------

    def _advance(self) -> list[ServerEffect]:
        """Close the phase once all it waits for have answered."""
        if self._state.phase not in COLLECTING or self.expected:
            return []
        return self._close(final=not self._may_come())

    def _may_come(self) -> frozenset[PeerId]:
        """Return who is not waited for, and may still answer before the deadline."""
        state = self._state
        audience = {
            ServerPhase.ADVERTISE_KEYS: self.params.members,
            ServerPhase.MASKED_INPUT: state.u2,
        }
        may = frozenset(audience.get(state.phase, state.u1))
        return may - state.answered(state.phase) - frozenset(state.dropped)

    def _close(self, *, final: bool) -> list[ServerEffect]:
        """End the phase; below its floor, abort if this is final and else wait on."""
        closers: dict[ServerPhase, Callable[[], list[ServerEffect]]] = {
            ServerPhase.ADVERTISE_KEYS: self._close_advertise_keys,
            ServerPhase.COIN: self._close_coin,
            ServerPhase.SHARE_KEYS: self._close_share_keys,
            ServerPhase.SHARE_ACK: self._close_share_ack,
            ServerPhase.MASKED_INPUT: self._close_masked_input,
            ServerPhase.CONSISTENCY: self._close_consistency,
            ServerPhase.UNMASKING: self._close_unmasking,
        }
        closer = closers.get(self._state.phase)
        if closer is None:
            return []
        try:
            return closer()
        except errors.RemoteProtocolError as error:
            if error.rule in _FLOORS and not final:
                return []
            # An update whose root was stated is spent (rule 4.1-8).
            retry = not self._state.roots
            return self._abort(error, missing=self._missing(), retry=retry)

    def _missing(self) -> tuple[PeerId, ...]:
        """Return U0 less the set that fell short in this phase (spec 4), sorted."""
        gave = self._state.gave(self.params.degree.corrupt) - frozenset(
            self._state.dropped
        )
        return tuple(sorted(frozenset(self.params.members) - gave))

    def _close_advertise_keys(self) -> list[ServerEffect]:
        here = self._state.present(self._state.adverts)
        key_list = advertise_keys.server_key_list(here, self.params)
        body = codec.encode_body(key_list)
        self._state = replace(
            self._state, u1=tuple(sorted(here)), h1=transcript.h1(self.sid, body)
        )
        effects = self._broadcast(key_list, self._state.u1, self.sid)
        if self.params.tossed:
            return self._next(ServerPhase.COIN, effects)
        return self._share_out(None, effects)

    def _close_coin(self) -> list[ServerEffect]:
        state = self._state
        coin_list = coin.server_coin_list(self._state.present(state.coins), state.u1)
        effects = self._broadcast(coin_list, state.u1, state.h1)
        return self._share_out(
            transcript.graph_seed(state.h1, coin_list.coins), effects
        )

    def _share_out(
        self, seed: bytes | None, effects: list[ServerEffect]
    ) -> list[ServerEffect]:
        """Fix the graph, by the coins where there are any: shares may be dealt."""
        graph = self.params.graph(seed)
        near = neighbourhoods(graph, self._state.u1)
        self._state = replace(self._state, graph=graph, near=near)
        return self._next(ServerPhase.SHARE_KEYS, effects)

    def _close_share_keys(self) -> list[ServerEffect]:
        here = self._state.present(self._state.dealt)
        outgoing = share_keys.server_deal_out(here, self._state.near, self.params)
        self._state = replace(self._state, dealt=here)
        effects: list[ServerEffect] = []
        for holder, dealt in outgoing:
            effects += self._broadcast(dealt, (holder,), self._state.h1)
        return self._next(ServerPhase.SHARE_ACK, effects)

    def _close_share_ack(self) -> list[ServerEffect]:
        here, state = self._state.present(self._state.dealt), self._state
        acks = self._state.present(state.acks)
        dealers = share_ack.server_dealer_list(acks, here, state.near, self.params)
        h2 = transcript.h2(state.h1, codec.encode_body(dealers))
        self._state = replace(state, u2=dealers.dealers, h2=h2)
        effects = self._broadcast(dealers, state.u1, state.h1)
        return self._next(ServerPhase.MASKED_INPUT, effects)

    def _close_masked_input(self) -> list[ServerEffect]:
        here, state = self._state.present(self._state.roots), self._state
        inputs = masked_input.server_input_list(here, state.graph, self.params)
        h3 = transcript.h3(state.h2, codec.encode_body(inputs))
        u3 = tuple(entry.peer for entry in inputs.entries)
        self._state = replace(state, u3=u3, h3=h3)
        effects = self._broadcast(inputs, state.u1, state.h2)
        return self._next(ServerPhase.CONSISTENCY, effects)

    def _close_consistency(self) -> list[ServerEffect]:
        state = self._state
        votes = self._state.present(state.votes)
        certificate = consistency.server_certificate(votes, self.params)
        self._state = replace(state, certificate=codec.encode_body(certificate))
        effects = self._broadcast(certificate, state.u1, state.h3)
        return self._next(ServerPhase.UNMASKING, effects)

    def _close_unmasking(self) -> list[ServerEffect]:
        state = self._state
        dealings = state.dealings(self.sid, self.params)
        opened = unmasking.server_open(self._state.present(state.releases), dealings)
        return self._next(ServerPhase.OPENING, [opened])

    def _sum_opened(self, event: events.SumOpened) -> list[ServerEffect]:
        state = self._state
        if state.phase is ServerPhase.ABORTED:
            return []
        if state.phase is not ServerPhase.OPENING:
            raise errors.LocalProtocolError(f"no sum is being opened ({state.phase})")
        body = codec.encode_body(event.result)
        sends = self._broadcast(event.result, state.u1, state.h3)
        self._state = replace(self._state, phase=ServerPhase.DONE)
        completed = events.Completed(
            sid=self.sid,
            manifest=self.manifest,
            result=event.result,
            link=transcript.link(self.manifest.previous_link, self.sid, state.h3, body),
            sets=self.sets,
        )
        return [events.Journal(event=event), *sends, completed]

    def _abort(
        self,
        error: errors.RemoteProtocolError,
        *,
        missing: tuple[PeerId, ...],
        retry: bool,
    ) -> list[ServerEffect]:
        aborted = events.Aborted(
            sid=self.sid,
            code=error.rule,
            detail=error.detail,
            retry=retry and self.manifest.attempt < MAX_ATTEMPTS,
            missing=missing,
            culprits=tuple(PeerId(peer) for peer in error.culprits),
            sets=self.sets,
        )
        detail = codec.printable(error.detail)
        told = msg.Abort(rule=error.rule, detail=detail, missing=missing)
        effects = self._broadcast(told, self.params.members, self.sid)
        self._state = replace(self._state, phase=ServerPhase.ABORTED)
        return [*effects, aborted]

    def _next(
        self, phase: ServerPhase, effects: list[ServerEffect]
    ) -> list[ServerEffect]:
        self._state = replace(self._state, phase=phase)
        if phase is ServerPhase.OPENING:
            return effects
        return [*effects, self._deadline(phase), *self._advance()]

    # --- sending --------------------------------------------------------------

    def _broadcast(
        self, message: msg.Message, receivers: tuple[PeerId, ...], h: bytes
    ) -> list[ServerEffect]:
        """Sign once and send to each receiver that was not dropped."""
        to = [peer for peer in receivers if peer not in self._state.dropped]
        first = receivers[0]
        envelope = seal(
            message, identity=self._identity, receiver=first, sid=self.sid, h=h
        )
        sent = tuple(Sent(receiver=peer, envelope=envelope) for peer in to)
        self._state = replace(self._state, sent=(*self._state.sent, *sent))
        return [events.Send(receiver=peer, envelope=envelope) for peer in to]

    def _deadline(self, phase: ServerPhase) -> ServerEffect:
        round_ = Round(phase.value)
        # Coins have no duration of their own (spec 4.10).
        timed = ServerPhase.ADVERTISE_KEYS if phase is ServerPhase.COIN else phase
        duration = self.manifest.durations[_TIMED.index(timed)]
        return events.SetDeadline(round=round_, duration_ms=duration)
