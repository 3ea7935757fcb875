"""A client in any phase, an aggregator in any phase, and every message for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secagg import events
from secagg import messages as msg
from secagg.client_state import transcript_of
from secagg.messages import HEADERS, Envelope, Transcript
from secagg.names import PeerId, Round, SessionId
from secagg.signing import seal
from secagg.transitions import ClientPhase, ServerPhase
from tests.helpers import AGGREGATOR, Scene, scene, silo
from tests.recording import RecordedClient
from tests.samples import SAMPLES, blob

C, S = ClientPhase, ServerPhase
ME = silo(2)
KINDS = list(SAMPLES)
TYPES = [kind.__name__ for kind in KINDS]


SPARSE: dict[str, Any] = {"n": 8, "c": 0, "graph": "regular", "losses": 1}
"""The smallest regular graph that bears a loss."""


def cohort(n: int, phase: ClientPhase | ServerPhase, **terms: Any) -> Scene:
    """A scene of n silos; of more, on the regular graph, for a phase with coins."""
    if phase in {C.TOSSED, S.COIN}:
        return scene(**SPARSE, **terms)
    return scene(n, **terms)


# --- a client


@dataclass
class At:
    """A client in a phase, and the scene it is in."""

    world: Scene
    client: RecordedClient

    def tell(self, envelope: Envelope) -> list[events.ClientEffect]:
        """Let the aggregator's connection bring it this."""
        return self.client.handle(events.Received(peer=AGGREGATOR, envelope=envelope))

    @property
    def seen(self) -> list[str]:
        """The types it accepted in its session."""
        session = self.client._session
        return [] if session is None else list(session.seen)

    @property
    def state(self) -> tuple[object, ...]:
        """All that the machine holds."""
        memory = dict(self.client._memory)
        client = self.client
        return client._phase, client._session, client._ready, memory

    def due(self, type_: str) -> Envelope:
        """What the server has on its way to it, of this type."""
        return self.world.waiting(type_, ME)[0].envelope

    def deliver(self, *types: str) -> At:
        """Let what is on its way to it arrive, and its answers be on theirs."""
        for type_ in types:
            [carried] = self.world.waiting(type_, ME)
            self.world._queue.remove(carried)
            self.world._deliver(carried)
        return self

    def signed(self, kind: type[msg.Message], sid: SessionId | None = None) -> Envelope:
        """The sample of a type, properly signed by the aggregator."""
        session = self.client._session
        h = bytes(32)
        if session is not None:
            transcript = HEADERS[kind].transcript
            held = {Transcript.SID, Transcript.H1, Transcript.H2, Transcript.H3}
            h = _held(session, transcript) if transcript in held else h
        here = self.world.server.sid if sid is None else sid
        return seal(
            SAMPLES[kind][0],
            identity=self.world.consortium.aggregator,
            receiver=ME,
            sid=here,
            h=h,
        )


def _held(session: object, kind: Transcript) -> bytes:
    """A transcript of the session; the last one it has if it is not so far."""
    try:
        return transcript_of(session, kind)  # type: ignore[arg-type]
    except KeyError:
        return transcript_of(session)  # type: ignore[arg-type]


def client_at(phase: ClientPhase) -> At:
    """A client that came to `phase` in a session without breaches."""
    silent = {C.MASKING: "masked_input", C.WATCHING: "share_keys"}
    world = cohort(4, phase, silent={2: silent[phase]} if phase in silent else None)
    at = At(world, world.clients[ME])
    if phase is C.IDLE:
        world.run()
        return at
    world.started()
    if phase is C.WATCHING:
        world.pump()
        world.tell_server(events.DeadlinePassed(round=Round.SHARE_KEYS))
        world.until("masked_input")
        return at.deliver("DealerList")
    steps = {
        C.READY: ("advertise_keys", ()),
        C.ADVERTISED: ("advertise_keys", ("Manifest",)),
        C.TOSSED: ("coin", ("KeyList",)),
        C.SHARED: ("share_keys", ("KeyList",)),
        C.ACKED: ("share_ack", ("DealtShares",)),
        C.MASKING: ("masked_input", ("DealerList",)),
        C.MASKED: ("masked_input", ("DealerList",)),
        C.VOTED: ("consistency", ("InputList",)),
        C.RELEASED: ("unmasking", ("Certificate",)),
    }
    until, types = steps[phase]
    world.until(until)
    return at.deliver(*types)


# --- an aggregator


@dataclass
class ServerAt:
    """An aggregator in a phase, in which silo 1 has answered and silo 3 has not."""

    world: Scene

    @property
    def state(self) -> object:
        return self.world.server._state

    def tell(self, peer: PeerId, envelope: Envelope) -> list[events.ServerEffect]:
        event = events.Received(peer=peer, envelope=envelope)
        return self.world.server.handle(event)

    def signed(
        self, kind: type[msg.Message], peer: PeerId, message: msg.Message | None = None
    ) -> Envelope:
        """A message of a type, by default the sample, properly signed by `peer`."""
        kinds = {Transcript.SID, Transcript.H1, Transcript.H2, Transcript.H3}
        state, sid = self.world.server._state, self.world.server.sid
        transcript = HEADERS[kind].transcript
        held = state.transcript(sid, transcript) if transcript in kinds else b""
        return seal(
            SAMPLES[kind][0] if message is None else message,
            identity=self.world.consortium.silos[peer],
            receiver=AGGREGATOR,
            sid=sid,
            h=held or blob(1),
        )

    def sent_by(self, peer: PeerId, type_: str) -> Envelope:
        """What `peer` sent of this type."""
        return next(e for e in self.world.clients[peer].sent if e.type == type_)


def server_at(phase: ServerPhase) -> ServerAt:
    """An aggregator that came to `phase` in a session without breaches."""
    world = cohort(5, phase)
    at = ServerAt(world)
    if phase is S.DONE:
        world.run()
        return at
    if phase in {S.UNMASKING, S.OPENING}:
        world._open = lambda effect: None  # type: ignore[method-assign]
    if phase is S.ABORTED:
        world.started().until("share_ack")
        world.server.handle(events.Stopped(code="0-1", reason=""))
        return at
    world.started().until(phase.value)
    if phase is not S.OPENING:
        _first_answers(world)
    return at


def _first_answers(world: Scene) -> None:
    """Silo 1 takes what is on its way to it, and its answer arrives."""
    for carried in [c for c in world._queue if c.receiver == silo(1)]:
        world._deliver(carried)
    for carried in [c for c in world._queue if c.sender == silo(1)]:
        world._deliver(carried)
