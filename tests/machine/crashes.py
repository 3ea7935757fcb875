"""Processes that die between two effects, and what comes back in their place.

A client comes back with the marks that were made durable and nothing else; the
aggregator with its journal and the chunks it stored. Everything that was on its way to
or from the one that died is lost.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from secagg import errors, events
from secagg.client_state import TaskMemory
from secagg.cohort import Carried
from secagg.messages import Envelope
from secagg.names import PeerId, Round
from secagg.server import Server
from secagg.transitions import ServerPhase
from tests.helpers import AGGREGATOR, Scene, say_ready, silo
from tests.recording import RecordedClient, RecordedEntropy

ME = silo(2)
"""The client that dies."""

Log = list[tuple[events.ClientEvent, list[events.ClientEffect]]]
Durable = events.PersistJoined | events.PersistSpent | events.PersistHead


@dataclass
class Lives:
    """One hospital through all its lives, as `tests.invariants` reads a client.

    Only what was carried out is in its log: what a process meant to do when it died
    never happened.
    """

    id: PeerId
    drawn: dict[str, list[bytes]]
    log: Log = field(default_factory=list)

    @property
    def sent(self) -> list[Envelope]:
        """Every envelope that went out."""
        effects = [effect for _, done in self.log for effect in done]
        return [e.envelope for e in effects if isinstance(e, events.Send)]

    def memory(self) -> TaskMemory:
        """What its disk says of the one task."""
        known = TaskMemory()
        for effect in (effect for _, done in self.log for effect in done):
            match effect:
                case events.PersistJoined(round_no=number, attempt=attempt):
                    known = replace(known, last_joined=(number, attempt))
                case events.PersistSpent(round_no=number):
                    known = replace(known, spent_round=number)
                case events.PersistSummed(summed=summed):
                    known = replace(known, sums=(*known.sums, summed))
                case events.PersistHead(head=head):
                    known = replace(known, head=head)
                case _:
                    pass
        return known


Disorder = Callable[[list[events.ClientEffect]], list[events.ClientEffect]]


def in_order(effects: list[events.ClientEffect]) -> list[events.ClientEffect]:
    """Carry out effects as they are returned."""
    return effects


@dataclass
class ClientCrash:
    """A world whose client ME dies after some effects of one event.

    Attributes:
        world: the scene; `world.clients[ME]` is the life that runs.
        event: at which of its events, from 0, it dies; None for never.
        effect: how many effects of that are carried out.
        disorder: carries effects out in another order, for tests of the test.
        remember: what a new life knows, of what was made durable.
    """

    world: Scene
    event: int | None = None
    effect: int = 0
    disorder: Disorder = in_order
    remember: Callable[[TaskMemory], TaskMemory] = lambda memory: memory
    seen: int = 0
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Stand between the world and its client."""
        first = self.world.clients[ME]
        self.lives = Lives(ME, first.drawn)
        self.told: list[Envelope] = []
        self.follow(self.world)

    def follow(self, world: Scene) -> Scene:
        """Watch a scene, the first or a later one."""
        self.world = world
        usual = world.tell_client

        def tell_client(peer: PeerId, event: events.ClientEvent) -> None:
            if peer == ME:
                self.tell(event)
            else:
                usual(peer, event)

        world.tell_client = tell_client  # type: ignore[method-assign]
        return world

    def tell(self, event: events.ClientEvent) -> None:
        """Give ME an event, and carry out what it asks for as long as it lives."""
        if isinstance(event, events.Received):
            self.told.append(event.envelope)
        effects = self.disorder(self.world.clients[ME].handle(event))
        dies = self.seen == self.event
        done = effects[: self.effect] if dies else effects
        self.seen += 1
        self.counts.append(len(effects))
        self.lives.log.append((event, done))
        self.world._note(ME, done)
        if dies:
            self.restart()
        for effect in done:
            if isinstance(effect, events.Send):
                self.world._carry(Carried(ME, effect.receiver, effect.envelope))
            elif isinstance(effect, events.MaskVector) and not dies:
                self.world._mask(ME, effect)

    def restart(self) -> None:
        """A new process of the same hospital, from its disk."""
        old, task = self.world.clients[ME], self.world.task.task_id
        entropy = RecordedEntropy(b"another life")
        new = RecordedClient(
            identity=old._identity,
            roster=old._roster,
            policy=old._policy,
            entropy=entropy,
            aggregator=AGGREGATOR,
            memory={task: self.remember(self.lives.memory())},
        )
        for label, values in self.lives.drawn.items():
            entropy.drawn[label] = [*values]
        self.lives.drawn = entropy.drawn
        self.world.clients[ME] = new

    def get_ready(self, round_no: int) -> None:
        """Let ME train and say Ready, if it is free to."""
        client = self.world.clients[ME]
        try:
            say_ready(client, self.world.task, round_no)
        except errors.LocalProtocolError:
            return
        self.lives.log.append(client.log[-1])

    def repeat_all(self) -> None:
        """Tell ME again whatever it was ever told."""
        for envelope in [*self.told]:
            self.tell(events.Received(peer=AGGREGATOR, envelope=envelope))

    def witnesses(self) -> list[Any]:
        """All clients, for the invariants."""
        others = [c for u, c in self.world.clients.items() if u != ME]
        return [self.lives, *others]


@dataclass
class ServerCrash:
    """A world whose aggregator dies after some effects of one event.

    Attributes:
        world: the scene; `world.server` is the life that runs.
        event: at which of its events, from 0, it dies; None for never.
        effect: how many effects of that are carried out.
        corrupted: what members do when it is back, before the honest ones return.
    """

    world: Scene
    event: int | None = None
    effect: int = 0
    corrupted: Callable[[Scene], None] = lambda world: None
    seen: int = 0
    counts: list[int] = field(default_factory=list)
    journal: list[events.ServerEvent] = field(default_factory=list)
    dead: bool = False

    def __post_init__(self) -> None:
        """Stand between the world and its server."""
        self.sent: dict[tuple[PeerId, str], set[Envelope]]
        self.sent = collections.defaultdict(set)
        self.world.tell_server = self.tell  # type: ignore[method-assign]

    def start(self) -> None:
        """Say what the server says first."""
        self._carry_out(self.world.server.start())

    def tell(self, event: events.ServerEvent) -> None:
        """Give the server an event, and carry out what it asks for while it lives."""
        if not self.dead:
            self._carry_out(self.world.server.handle(event))

    def _carry_out(self, effects: Sequence[events.ServerEffect]) -> None:
        dies = self.seen == self.event
        done = list(effects[: self.effect] if dies else effects)
        self.seen += 1
        self.counts.append(len(effects))
        self.journal += [e.event for e in done if isinstance(e, events.Journal)]
        sends = [e for e in done if isinstance(e, events.Send)]
        for send in sends:
            self.sent[send.receiver, send.envelope.type].add(send.envelope)
        if not dies:
            self.world._serve(done)
            return
        self.world._note(AGGREGATOR, done)
        for send in sends:
            self.world._carry(Carried(AGGREGATOR, send.receiver, send.envelope))
        self.restart()

    def restart(self) -> None:
        """A new process with the journal, to which every member connects anew."""
        world, self.dead = self.world, True
        # What went out before it died may still arrive; answers to that may not.
        arriving = [c for c in world._queue if c.receiver != AGGREGATOR]
        world._queue.clear()
        for carried in arriving:
            world._deliver(carried)
        world._queue.clear()
        self.dead, old = False, world.server
        world.server = Server(
            identity=old._identity, roster=old._roster, manifest=old.manifest
        )
        effects = world.server.start()
        for event in self.journal:
            effects += world.server.handle(event)
        self._take_up(effects)
        self.corrupted(world)
        for peer in world.clients:
            self.reconnect(peer)

    def _take_up(self, effects: Sequence[events.ServerEffect]) -> None:
        """What a driver does again, of all that was said: spool, opening and end."""
        world, phase = self.world, self.world.server.phase
        if phase is ServerPhase.MASKED_INPUT:
            for peer, chunks in world._stored.items():
                root = world._root(world.server.sid, chunks)
                self.tell(events.VectorStored(peer=peer, root=root))
        for effect in effects:
            due = isinstance(effect, events.OpenSum) and phase is ServerPhase.OPENING
            if due or isinstance(effect, events.Completed | events.Aborted):
                self._carry_out([effect])

    def reconnect(self, peer: PeerId) -> None:
        """Rule 8-5, both ways."""
        client, server = self.world.clients[peer], self.world.server
        held = client.transcript if client.sid == server.sid else None
        for envelope in server.replay(peer, held):
            self.sent[peer, envelope.type].add(envelope)
            self.world._carry(Carried(AGGREGATOR, peer, envelope))
        for envelope in client.outbox:
            self.world._carry(Carried(peer, AGGREGATOR, envelope))

    def run(self) -> None:
        """Run to the end; deadlines pass when nothing is on its way."""
        world = self.world
        self.start()
        while world._queue or world.outcome(AGGREGATOR) is None:
            if world._queue:
                world._deliver(world._queue.popleft())
            else:
                round_ = Round(world.server.phase.value)
                self.tell(events.DeadlinePassed(round=round_))
