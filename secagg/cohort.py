"""One aggregator and its silos in one process, on the production machines.

The machines are joined by a queue instead of sockets and by no clock at all: when
nothing is on its way any more, the phase's deadline passes. So a run is a function of
its inputs and its script. The simulator counts and times it; the tests bend it, by
saying who falls silent when and by rewriting what is on its way.
"""

from __future__ import annotations

import collections
import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from secagg import codec, events, pipeline, vector
from secagg.client import Client
from secagg.contribution import Contribution
from secagg.engine import MaskEngine
from secagg.mask_removal import MaskRemoval
from secagg.masked_chunks import chunks_of, masked_chunk
from secagg.messages import Envelope, Manifest, Result
from secagg.names import PeerId, Round, SessionId, VectorSum
from secagg.pipeline import Released
from secagg.privacy.ledger import (
    UNLIMITED,
    Budget,
    BudgetLedger,
    MemoryLedgerStore,
)
from secagg.released import reference
from secagg.server import Server
from secagg.side_by_side import lent

SPOKEN_IN = {
    "AdvertiseKeys": Round.ADVERTISE_KEYS,
    "Coin": Round.COIN,
    "ShareKeys": Round.SHARE_KEYS,
    "ShareAck": Round.SHARE_ACK,
    "MaskedInput": Round.MASKED_INPUT,
    "Consistency": Round.CONSISTENCY,
    "Unmasking": Round.UNMASKING,
}
"""The round in which a client speaks each type."""

LOSS_ROUNDS = tuple(SPOKEN_IN.values())
"""The rounds from which a silo may fall silent, in order."""

CHUNK = "Chunk"
"""What a meter calls the frames of the vector plane."""

CHUNK_HEADER = 37
"""Bytes of a chunk frame before the chunk (spec 7.2)."""


class Meter(Protocol):
    """Counts what a run costs."""

    def at(self, party: PeerId) -> AbstractContextManager[None]:
        """Work inside is on the account of `party`."""

    def carry(self, sender: PeerId, receiver: PeerId, kind: str, size: int) -> None:
        """So many bytes of `kind`, a message type or a chunk, go to `receiver`."""


class NoMeter:
    """Counts nothing."""

    def at(self, party: PeerId) -> AbstractContextManager[None]:
        """Do nothing."""
        del party
        return contextlib.nullcontext()

    def carry(self, sender: PeerId, receiver: PeerId, kind: str, size: int) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Carried:
    """An envelope on its way."""

    sender: PeerId
    receiver: PeerId
    envelope: Envelope


Network = Callable[[Carried], Iterable[Carried]]
"""What becomes of an envelope on its way: itself, nothing, copies, another one."""


def faithful(carried: Carried) -> Iterable[Carried]:
    """Deliver what was sent."""
    return (carried,)


def unlimited_ledger(manifest: Manifest) -> BudgetLedger:
    """Return a ledger in memory whose budget is never spent."""
    delta = UNLIMITED.delta if manifest.dp is None else manifest.dp.delta
    budget = Budget(epsilon=math.inf, delta=delta)
    return BudgetLedger(MemoryLedgerStore(), {manifest.task_id: budget})


def release_sum(
    server: Server, opened: VectorSum, *, ledger: BudgetLedger, seed: bytes
) -> tuple[Result, Released | None]:
    """Run the release of an opened sum; return its Result and what was released.

    Args:
        server: whose session it is.
        opened: the opened sum, shape (M,).
        ledger: what is charged.
        seed: of the noise, 32 bytes.
    """
    u3 = server.sets["u3"]
    try:
        released = pipeline.release(
            pipeline.opened_sum(opened, server.params, u3_count=len(u3)),
            server.params,
            task_id=server.manifest.task_id,
            sid=server.sid,
            seed=seed,
            ledger=ledger,
        )
    except pipeline.SumRefusedError as refused:
        return pipeline.discarded(refused, u3=u3, model_hash=None), None
    result = pipeline.published(
        released, u3=u3, vector=reference(released.vector), next_model_hash=None
    )
    return result, released


@dataclass(kw_only=True)
class Cohort:
    """A session's machines, the vectors they move and what came of it.

    Attributes:
        server: the aggregator's machine.
        clients: every member's machine, ready for the server's manifest.
        contribute: makes a member's x_u once its session began.
        engine: expands masks at the session's width.
        unmasking: what the aggregator's masks are expanded on; None for `engine`.
        silent: from which round on a member says nothing.
        network: rewrites what is on its way.
        meter: counts time and bytes.
        ledger: what a release is charged to; by default it is never spent.
        noise_seed: of the noise, 32 bytes.
        effects: what every machine asked for, in order.
        inputs: x_u of those that masked one.
        opened: the opened integer sum over U3, shape (M,).
        released: what the release made of it, None if it was discarded.
    """

    server: Server
    clients: Mapping[PeerId, Client]
    contribute: Callable[[PeerId, SessionId], Contribution]
    engine: MaskEngine
    unmasking: Executor | None = None
    silent: Mapping[PeerId, Round] = field(default_factory=dict)
    network: Network = faithful
    meter: Meter = field(default_factory=NoMeter)
    ledger: BudgetLedger | None = None
    noise_seed: bytes = field(default=bytes(32), repr=False)
    effects: dict[PeerId, list[events.ClientEffect | events.ServerEffect]] = field(
        default_factory=lambda: collections.defaultdict(list)
    )
    inputs: dict[PeerId, Contribution] = field(default_factory=dict)
    opened: VectorSum | None = None
    released: Released | None = None

    def __post_init__(self) -> None:
        """Start with nothing on its way."""
        self._queue: collections.deque[Carried] = collections.deque()
        self._stored: dict[PeerId, list[bytes]] = {}
        self._ended: dict[PeerId, events.Completed | events.Aborted] = {}
        self.aggregator = self.server.manifest.aggregator

    def run(self) -> events.Completed | events.Aborted:
        """Run the session to its end; return how it ended for the aggregator."""
        with self.meter.at(self.aggregator):
            effects = self.server.start()
        self._serve(effects)
        while (ended := self.outcome(self.aggregator)) is None:
            if self._queue:
                self._deliver(self._queue.popleft())
            else:
                round_ = Round(self.server.phase.value)
                self.tell_server(events.DeadlinePassed(round=round_))
        while self._queue:
            self._deliver(self._queue.popleft())
        return ended

    def outcome(self, party: PeerId) -> events.Completed | events.Aborted | None:
        """Return how the session ended for `party`; None if it has not."""
        return self._ended.get(party)

    def tell_server(self, event: events.ServerEvent) -> None:
        """Give the aggregator's machine an event and carry out its effects."""
        with self.meter.at(self.aggregator):
            effects = self.server.handle(event)
        self._serve(effects)

    def tell_client(self, peer: PeerId, event: events.ClientEvent) -> None:
        """Give a member's machine an event and carry out its effects."""
        with self.meter.at(peer), lent(self.engine.on_threads):
            effects = self.clients[peer].handle(event)
        self._note(peer, effects)
        for effect in effects:
            if isinstance(effect, events.Send):
                self._carry(Carried(peer, effect.receiver, effect.envelope))
            elif isinstance(effect, events.MaskVector):
                self._mask(peer, effect)

    def is_silent(self, peer: PeerId, round_: Round) -> bool:
        """Return whether `peer` says nothing in `round_`."""
        since = self.silent.get(peer)
        order = LOSS_ROUNDS.index
        return since is not None and order(round_) >= order(since)

    def _serve(self, effects: list[events.ServerEffect]) -> None:
        self._note(self.aggregator, effects)
        for effect in effects:
            if isinstance(effect, events.Send):
                self._carry(Carried(self.aggregator, effect.receiver, effect.envelope))
            elif isinstance(effect, events.OpenSum):
                self._open(effect)

    def _note(
        self,
        party: PeerId,
        effects: Sequence[events.ClientEffect | events.ServerEffect],
    ) -> None:
        self.effects[party] += effects
        for effect in effects:
            if isinstance(effect, events.Completed | events.Aborted):
                self._ended[party] = effect

    def _carry(self, carried: Carried) -> None:
        round_ = SPOKEN_IN.get(carried.envelope.type)
        if round_ is not None and self.is_silent(carried.sender, round_):
            return
        for arriving in self.network(carried):
            size = 1 + len(codec.encode_envelope(arriving.envelope))
            kind = arriving.envelope.type
            self.meter.carry(arriving.sender, arriving.receiver, kind, size)
            self._queue.append(arriving)

    def _deliver(self, carried: Carried) -> None:
        event = events.Received(peer=carried.sender, envelope=carried.envelope)
        if carried.receiver == self.aggregator:
            self.tell_server(event)
        else:
            self.tell_client(carried.receiver, event)

    # --- the vector plane -----------------------------------------------------

    def _mask(self, peer: PeerId, effect: events.MaskVector) -> None:
        if self.is_silent(peer, Round.MASKED_INPUT):
            return
        with self.meter.at(peer):
            x_u = self.contribute(peer, effect.sid)
            chunks = self._masked(x_u, effect)
            root = self._root(effect.sid, chunks)
        self.inputs[peer], self._stored[peer] = x_u, chunks
        for chunk in chunks:
            self.meter.carry(peer, self.aggregator, CHUNK, CHUNK_HEADER + len(chunk))
        with self.meter.at(self.aggregator):
            stored = self._root(effect.sid, chunks)
        self.tell_client(peer, events.VectorMasked(sid=effect.sid, root=root))
        self.tell_server(events.VectorStored(peer=peer, root=stored))

    def _masked(self, x_u: Contribution, effect: events.MaskVector) -> list[bytes]:
        return [
            masked_chunk(
                x_u, effect.seeds, effect.signs, index=index, engine=self.engine
            )
            for index in range(chunks_of(x_u.params).count)
        ]

    def _root(self, sid: SessionId, chunks: list[bytes]) -> bytes:
        def leaf(index: int) -> bytes:
            return vector.leaf_hash(sid, index, chunks[index])

        builder = vector.RootBuilder(sid)
        for one in self.engine.on_threads(leaf, range(len(chunks))):
            builder.add_leaf(one)
        return builder.root()

    def _chunks_of(self, u3: tuple[PeerId, ...]) -> Callable[[int], Iterable[bytes]]:
        return lambda index: (self._stored[peer][index] for peer in u3)

    def _open(self, effect: events.OpenSum) -> None:
        params = self.server.params
        with self.meter.at(self.aggregator):
            removal = MaskRemoval(engine=self.engine, executor=self.unmasking)
            parts = removal.opened_chunks(effect, self._chunks_of(effect.u3), params)
            self.opened = VectorSum(np.concatenate([*parts]))
            ledger = self.ledger or unlimited_ledger(self.server.manifest)
            seed = self.noise_seed
            result, self.released = release_sum(
                self.server, self.opened, ledger=ledger, seed=seed
            )
        self.tell_server(events.SumOpened(result=result))
