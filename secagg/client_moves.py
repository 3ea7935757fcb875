"""A client's moves: what each message of the aggregator leads to (spec 4).

One method a message: the round's function checks and makes the answer, the result is
the next state and the effects. Nothing is written here; `secagg.client` stores a step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from secagg import events
from secagg import messages as msg
from secagg.client_state import (
    Acked,
    Advertised,
    Dealt,
    Listed,
    Released,
    Session,
    Shared,
    Voted,
    grow,
    transcript_of,
)
from secagg.crypto import transcript
from secagg.differences import SummedSet, check_apart
from secagg.entropy import Entropy
from secagg.events import ClientEffect
from secagg.graph import Graph
from secagg.identity import Identity
from secagg.masking import split
from secagg.names import PeerId, SessionId
from secagg.params import Parameters
from secagg.policy import Policy
from secagg.roster import Roster
from secagg.rounds import (
    advertise_keys,
    coin,
    consistency,
    masked_input,
    result,
    share_ack,
    share_keys,
    unmasking,
)
from secagg.rounds.neighbourhood import within
from secagg.signing import seal
from secagg.transitions import ClientPhase


@dataclass(frozen=True, slots=True)
class Step:
    """What a move leads to: the next phase, the state in it, and the effects."""

    phase: ClientPhase
    session: Session | None
    effects: list[ClientEffect]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """The moves of one client.

    Attributes:
        identity: signs what it sends.
        roster: the one that the session began with.
        entropy: where keys, seeds, coefficients and nonces come from.
        aggregator: whom it answers.
        policy: its own floors.
    """

    identity: Identity
    roster: Roster
    entropy: Entropy
    aggregator: PeerId
    policy: Policy

    def after(self, message: msg.Message, body: bytes, session: Session) -> Step:
        """Return the step that `message` leads to.

        Pre: the transition table allows it in the session's phase.

        Raises:
            RemoteProtocolError: the rule of its round that it breaks.
        """
        moves: dict[type[msg.Message], Callable[..., Step]] = {
            msg.KeyList: self._toss,
            msg.CoinList: self._draw,
            msg.DealtShares: self._ack,
            msg.DealerList: self._mask,
            msg.InputList: self._vote,
            msg.Certificate: self._release,
            msg.Result: self._finish,
        }
        return moves[type(message)](message, body, session)

    def advertise(
        self,
        manifest: msg.Manifest,
        sid: SessionId,
        params: Parameters,
        *,
        seen: bytes,
        sums: tuple[SummedSet, ...],
    ) -> Step:
        """Return the step by which a session begins.

        Args:
            manifest: its Manifest, checked.
            sid: the session.
            params: of it.
            seen: the Manifest's hash.
            sums: the sets of earlier sums, of whichever task.
        """
        me = self.identity.id
        keys, advert = advertise_keys.client_advertise(
            self.entropy, sid=sid, me=me, tossed=params.tossed
        )
        session = Advertised(
            me=me,
            sid=sid,
            params=params,
            manifest=manifest,
            keys=keys,
            advert=advert,
            seen={"Manifest": seen},
            outbox=(),
            sums=sums,
        )
        step = self.answer(ClientPhase.ADVERTISED, session, advert)
        joined = events.PersistJoined(
            task_id=manifest.task_id,
            round_no=manifest.round_no,
            attempt=manifest.attempt,
        )
        step.effects[:0] = [joined, events.Joined(sid=sid, manifest=manifest)]
        return step

    def state_root(self, session: Dealt, root: bytes) -> Step:
        """Return the step that states the root of the chunks of y_u."""
        stated = msg.MaskedInput(root=root)
        noise = session.manifest.dp
        grown = replace(session, root=root)
        return self._spend(ClientPhase.MASKED, grown, stated, noise)

    def _toss(self, message: msg.KeyList, body: bytes, session: Advertised) -> Step:
        party = session.party
        book = advertise_keys.client_accept_key_list(
            message,
            body=body,
            own=session.advert,
            me=party.me,
            sid=party.sid,
            params=party.params,
            roster=self.roster,
            aggregator=self.aggregator,
        )
        listed = grow(session, Listed, book=book)
        if not party.params.tossed:
            return self._deal(listed, party.params.graph(None))
        opened = coin.client_open(party.keys)
        return self.answer(ClientPhase.TOSSED, listed, opened)

    def _draw(self, message: msg.CoinList, body: bytes, session: Listed) -> Step:
        del body
        seed = coin.client_accept(message, sid=session.sid, book=session.book)
        return self._deal(session, session.params.graph(seed))

    def _deal(self, session: Listed, graph: Graph) -> Step:
        party, book = session.party, session.book
        near = within(graph.closed(party.me), book.u1)
        dealt, own = share_keys.client_deal(party, book, near, self.entropy)
        grown = grow(session, Shared, graph=graph, near=near, own=own)
        return self.answer(ClientPhase.SHARED, grown, dealt)

    def _ack(self, message: msg.DealtShares, body: bytes, session: Shared) -> Step:
        del body
        held = share_keys.client_open_shares(
            message,
            party=session.party,
            book=session.book,
            near=session.near,
            own=session.own,
        )
        ack = share_ack.client_ack(held.b, session.near)
        return self.answer(ClientPhase.ACKED, grow(session, Acked, held=held), ack)

    def _mask(self, message: msg.DealerList, body: bytes, session: Acked) -> Step:
        party, book = session.party, session.book
        u2 = share_ack.client_accept_dealer_list(
            message, u1=book.u1, params=party.params
        )
        h2 = transcript.h2(book.h1, body)
        grown = grow(session, Dealt, u2=u2, h2=h2, root=None)
        if party.me not in u2:
            return Step(ClientPhase.WATCHING, grown, [])
        masks = masked_input.client_masks(party, book, within(session.near, u2))
        seeds, signs = split(masks)
        mask = events.MaskVector(sid=party.sid, seeds=seeds, signs=signs)
        return Step(ClientPhase.MASKING, grown, [mask])

    def _vote(self, message: msg.InputList, body: bytes, session: Dealt) -> Step:
        party = session.party
        u3 = masked_input.client_accept_input_list(
            message,
            me=party.me,
            own_root=session.root,
            u2=session.u2,
            graph=session.graph,
            sid=party.sid,
            h2=session.h2,
            params=party.params,
            roster=self.roster,
            aggregator=self.aggregator,
        )
        summed = SummedSet.of(session.manifest, u3)
        check_apart(summed, session.sums, self.policy.min_difference)
        h3 = transcript.h3(session.h2, body)
        grown = grow(session, Voted, u3=u3, h3=h3)
        step = self.answer(ClientPhase.VOTED, grown, msg.Consistency(h3=h3))
        task = session.manifest.task_id
        step.effects.insert(0, events.PersistSummed(task_id=task, summed=summed))
        if session.root is None and party.me in session.u2:
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
            roster=self.roster,
            aggregator=self.aggregator,
        )
        near = within(session.near, session.u2)
        release = unmasking.client_release(session.held, near=near, u3=session.u3)
        bare = grow(session, Released, u1=session.book.u1)
        return self._spend(ClientPhase.RELEASED, bare, release)

    def _finish(self, message: msg.Result, body: bytes, session: Released) -> Step:
        asked = session.manifest
        result.client_accept(message, u3=session.u3, params=session.params)
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
        head = events.PersistHead(task_id=asked.task_id, head=link)
        return Step(ClientPhase.IDLE, None, [head, completed])

    def answer(
        self, phase: ClientPhase, session: Session, message: msg.Message
    ) -> Step:
        """Return the step that answers with `message`, and keeps it for repeats."""
        kind = msg.HEADERS[type(message)].transcript
        envelope = self.seal(message, session.sid, h=transcript_of(session, kind))
        grown = replace(session, outbox=(*session.outbox, envelope))
        return Step(phase, grown, [self.send(envelope)])

    def _spend(
        self,
        phase: ClientPhase,
        session: Session,
        message: msg.Message,
        noise: msg.NoiseTerms | None = None,
    ) -> Step:
        """Answer with what ties the update to this session for good (rule 4.1-8)."""
        step = self.answer(phase, session, message)
        task, round_no = session.manifest.task_id, session.manifest.round_no
        spent = events.PersistSpent(task_id=task, round_no=round_no, noise=noise)
        step.effects.insert(0, spent)
        return step

    def send(self, envelope: msg.Envelope) -> ClientEffect:
        """Return the effect that sends `envelope` to the aggregator."""
        return events.Send(receiver=self.aggregator, envelope=envelope)

    def seal(self, message: msg.Message, sid: SessionId, h: bytes) -> msg.Envelope:
        """Return `message`, signed for the aggregator under `h`."""
        return seal(
            message, identity=self.identity, receiver=self.aggregator, sid=sid, h=h
        )
