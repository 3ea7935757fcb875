"""Sessions that are run once and played again, one party at a time.

To time one hospital among a thousand, or the aggregator alone, a whole session need not
be run each time: the machines are deterministic, so the events that one party saw are
kept, and given to a new machine of it as often as it is to be timed. What is timed is
the production machine and the vector plane around it, as the simulator times them.

The session that is kept is only prepared, nobody times it: so what all silos do alike
is done once, as in a simulation, and an agreement once for both of its ends. When a
party is played again it does all of its own work.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np

from secagg import events
from secagg.alike import carried_out_by
from secagg.client_state import TaskMemory
from secagg.cohort import Cohort
from secagg.consortium import NO_MODEL, Consortium, open_session
from secagg.contribution import Contribution, contribution
from secagg.crypto import agree, sign, transcript
from secagg.engine import AUTO, MaskEngine, engine, one_thread
from secagg.names import Mean, PeerId, Round, SessionId, VectorSum
from secagg.server import Server
from secagg.simulation.meter import CostMeter, SharedWork
from secagg.simulation.session import OPEN_POLICY, plain_sum
from secagg.task import Task
from secagg.transitions import ServerPhase
from secagg.vector import RootBuilder, leaf_hash

Event = events.ClientEvent | events.ServerEvent
Update = Callable[[int], np.ndarray[Any, Any]]
"""The update of silo k, counted from 0: float, shape (m,)."""


def same_for_all(length: int) -> Update:
    """Return one gaussian update of norm 1/2 for every silo: the work is the same."""
    update = np.random.default_rng(7).standard_normal(length).astype(np.float32)
    update *= np.float32(0.5) / np.linalg.norm(update)
    return lambda _: update


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What session to run.

    Attributes:
        silos: n.
        task: its terms.
        update: what each silo brings.
        one_thread: whether the engine, the fastest there is, has one thread, and not
            one a core.
    """

    silos: int
    task: Task
    update: Update
    one_thread: bool = False

    def consortium(self) -> Consortium:
        """Return the same people, with their entropy from its beginning."""
        return Consortium.of(self.silos, b"bench")

    def last(self, count: int) -> tuple[PeerId, ...]:
        """Return the last `count` silos: those that are lost."""
        names = sorted(self.consortium().silos)
        return tuple(names[len(names) - count :])

    def engine(self, width: int) -> MaskEngine:
        """Return the engine."""
        return one_thread(width) if self.one_thread else engine(AUTO, width)

    def contribution(
        self, people: Consortium, server: Server, peer: PeerId, sid: SessionId
    ) -> Contribution:
        """Return x_u of `peer`."""
        return contribution(
            self.update(sorted(people.silos).index(peer)),
            weight=1,
            values={},
            params=server.params,
            sid=sid,
            entropy=people.entropy[peer],
        )


@dataclass(kw_only=True)
class _Recorder(Cohort):
    """A cohort that keeps what each party was told, and can be continued twice."""

    seen: dict[PeerId, list[Event]] = field(default_factory=dict)
    held_back: list[events.VectorStored] | None = field(default_factory=list)

    def tell_server(self, event: events.ServerEvent) -> None:
        if isinstance(event, events.VectorStored) and self.held_back is not None:
            self.held_back.append(event)
            return
        self.seen.setdefault(self.aggregator, []).append(event)
        super().tell_server(event)

    def tell_client(self, peer: PeerId, event: events.ClientEvent) -> None:
        self.seen.setdefault(peer, []).append(event)
        super().tell_client(peer, event)

    def until_masked(self) -> None:
        """Run until every member has masked, and the server knows of none."""
        self._serve(self.server.start())
        masking = ServerPhase.MASKED_INPUT
        while self.server.phase is not masking or self._next_from_server():
            self._deliver(self._queue.popleft())

    def _next_from_server(self) -> bool:
        return bool(self._queue) and self._queue[0].sender == self.aggregator

    def onward(self, silent: Sequence[PeerId]) -> _Recorder:
        """Return a copy that was run to its end without the vectors of `silent`."""
        twin = copy.copy(self)
        twin.server = copy.copy(self.server)
        twin.clients = {peer: copy.copy(one) for peer, one in self.clients.items()}
        twin.seen = {peer: list(told) for peer, told in self.seen.items()}
        twin._ended = {}
        masked, twin.held_back = self.held_back or [], None
        for event in masked:
            if event.peer not in silent:
                twin.tell_server(event)
        twin._queue = collections.deque(
            carried for carried in self._queue if carried.sender not in silent
        )
        while twin.outcome(self.aggregator) is None:
            if twin._queue:
                twin._deliver(twin._queue.popleft())
            else:
                now = Round(twin.server.phase.value)
                twin.tell_server(events.DeadlinePassed(round=now))
        while twin._queue:
            twin._deliver(twin._queue.popleft())
        return twin


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A session that was run, to be played again.

    Attributes:
        plan: what was run.
        server: the aggregator's machine at its end.
        seen: what each party was told.
        stored: the packed chunks by silo.
        opened: the opened sum, equal to the plain one.
        mean: what was released of it.
        bytes_up, bytes_down: of one surviving silo, the median.
    """

    plan: Plan
    server: Server
    seen: Mapping[PeerId, Sequence[Event]] = field(repr=False)
    stored: Mapping[PeerId, list[bytes]] = field(repr=False)
    opened: VectorSum = field(repr=False)
    mean: Mean = field(repr=False)
    bytes_up: float
    bytes_down: float

    def client_seconds(self) -> float:
        """Play one hospital, the first, again; return the seconds it worked."""
        people, peer = self.plan.consortium(), self.server.sets["u3"][0]
        # Made now, where it is made at all: it is there before a session begins.
        self.plan.update(0)
        _forget()
        meter = CostMeter()
        task, terms = self.plan.task, self.server.manifest
        client = people.client(peer, OPEN_POLICY, {task.task_id: TaskMemory()})
        cohort = Cohort(
            server=self.server,
            clients={peer: client},
            contribute=functools.partial(self.plan.contribution, people, self.server),
            engine=self.plan.engine(self.server.params.width),
            network=lambda _: (),
            meter=meter,
        )
        ready = events.InputReady(
            task_id=task.task_id, round_no=terms.round_no, model_hash=NO_MODEL
        )
        client.handle(ready)
        for event in self.seen[peer]:
            # The vector plane tells it again, once the vector is masked again.
            if not isinstance(event, events.VectorMasked):
                cohort.tell_client(peer, event)  # type: ignore[arg-type]  # a client's
        assert isinstance(cohort.outcome(peer), events.Completed)
        return meter.seconds[peer]

    def server_seconds(self) -> float:
        """Play the aggregator again; return the seconds it worked."""
        people, meter = self.plan.consortium(), CostMeter()
        server = Server(
            identity=people.aggregator,
            roster=people.roster,
            manifest=self.server.manifest,
        )
        cohort = Cohort(
            server=server,
            clients={},
            contribute=functools.partial(self.plan.contribution, people, server),
            engine=self.plan.engine(server.params.width),
            network=lambda _: (),
            meter=meter,
        )
        cohort._stored = dict(self.stored)
        _forget()
        me = cohort.aggregator
        with meter.at(me):
            effects = server.start()
        cohort._serve(effects)
        self._hash_uploads(cohort)
        for event in self.seen[me]:
            # It comes of itself, once the sum is opened again.
            if not isinstance(event, events.SumOpened):
                cohort.tell_server(event)  # type: ignore[arg-type]  # the server's
        assert isinstance(cohort.outcome(me), events.Completed)
        assert cohort.opened is not None
        assert np.array_equal(cohort.opened, self.opened)
        return meter.seconds[me]

    def _hash_uploads(self, cohort: Cohort) -> None:
        """Hash them side by side, as the aggregator does that takes many at a time."""
        me, sid = cohort.aggregator, cohort.server.sid
        told = [e for e in self.seen[me] if isinstance(e, events.VectorStored)]

        def root(event: events.VectorStored) -> bytes:
            builder = RootBuilder(sid)
            for index, chunk in enumerate(self.stored[event.peer]):
                builder.add_leaf(leaf_hash(sid, index, chunk))
            return builder.root()

        with cohort.meter.at(me):
            roots = [*cohort.engine.on_threads(root, told)]
        assert roots == [event.root for event in told]


def record(plan: Plan, losses: Sequence[int] = (0,)) -> dict[int, Recording]:
    """Run one session to the masking, and on from there for each number of losses.

    Args:
        plan: the session.
        losses: how many silos fall silent before MaskedInput.

    Returns:
        A recording for each number of losses; every opened sum is the plain one.
    """
    people = plan.consortium()
    memory = {plan.task.task_id: TaskMemory()}
    clients = {u: people.client(u, OPEN_POLICY, memory) for u in people.silos}
    server = open_session(people, plan.task, clients)

    cohort = _Recorder(
        server=server,
        clients=clients,
        contribute=functools.partial(plan.contribution, people, server),
        engine=plan.engine(server.params.width),
        meter=CostMeter(),
    )
    with carried_out_by(SharedWork()), _agreed_once():
        cohort.until_masked()
        return {lost: _ended(plan, cohort.onward(plan.last(lost))) for lost in losses}


def _ended(plan: Plan, cohort: _Recorder) -> Recording:
    ended, opened = cohort.outcome(cohort.aggregator), cohort.opened
    released = cohort.released
    assert isinstance(ended, events.Completed)
    assert opened is not None
    assert released is not None
    u3 = cohort.server.sets["u3"]
    assert np.array_equal(opened, plain_sum(cohort, u3))
    meter = cohort.meter
    assert isinstance(meter, CostMeter)
    return Recording(
        plan=plan,
        server=cohort.server,
        seen=cohort.seen,
        stored=cohort._stored,
        opened=opened,
        mean=released.mean,
        bytes_up=_median(meter.up, u3),
        bytes_down=_median(meter.down, u3),
    )


def _median(counted: Mapping[PeerId, Mapping[str, int]], peers: Sequence[PeerId]):
    return float(np.median([sum(counted[peer].values()) for peer in peers]))


def _forget() -> None:
    """Forget what the process remembers of keys: a new session has new ones."""
    for module in (agree, sign, transcript):
        for value in vars(module).values():
            clear = getattr(value, "cache_clear", None)
            if clear is not None:
                clear()


@contextlib.contextmanager
def _agreed_once() -> Iterator[None]:
    """Compute an agreement once for both of its ends."""
    agreed: dict[tuple[bytes, ...], bytes] = {}
    compute = agree.shared_secret

    def shared_secret(sk: agree.KeyPair, pk: bytes) -> bytes:
        pair = tuple(sorted((sk.public, pk)))
        if pair not in agreed:
            agreed[pair] = compute(sk, pk)
        return agreed[pair]

    with mock.patch("secagg.crypto.agree.shared_secret", shared_secret):
        yield
