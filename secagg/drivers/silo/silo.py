"""A silo: what a hospital's program holds while it takes part (spec 8).

Everything below is one task, the uplink, and one participation at a time; this class
is the way between them and a caller that awaits. What the caller waits for ends with an
answer or a typed error, also when the connection can never be made.
"""

from __future__ import annotations

import asyncio
import functools
import io
from collections.abc import Mapping
from typing import TypeVar

from secagg import engine, errors, events, pipeline, tensors
from secagg.client import Client
from secagg.drivers.outcome import RoundRecord
from secagg.drivers.progress import Observer
from secagg.drivers.silo.agenda import is_over
from secagg.drivers.silo.cross_check import check_account
from secagg.drivers.silo.fetching import NoBlobError, Sink
from secagg.drivers.silo.forgotten import require_remembered
from secagg.drivers.silo.guard import Guard
from secagg.drivers.silo.inputs import Input, coordinates, integer
from secagg.drivers.silo.inquiries import Inquiries
from secagg.drivers.silo.keeper import Keeper
from secagg.drivers.silo.participation import Means, Participation
from secagg.drivers.silo.reception import Reception
from secagg.drivers.silo.recollection import Recollection, recall
from secagg.drivers.silo.scratch import Scratch
from secagg.drivers.silo.store import ClientStore
from secagg.drivers.silo.uplink import Uplink
from secagg.drivers.wire.door import Door
from secagg.drivers.wire.transport import Dial
from secagg.messages import RoundOpen
from secagg.names import PeerId
from secagg.params import Parameters
from secagg.policy import Policy
from secagg.privacy.accountant import load_library

V = TypeVar("V", bound="tensors.State | tensors.Tensor")


class Silo:
    """One hospital's connection to its aggregator; made by `connect`.

    Attributes:
        last_round: what came of the last round, whatever `contribute` returned.
    """

    def __init__(
        self,
        *,
        dial: Dial,
        door: Door,
        aggregator: PeerId,
        policy: Policy,
        store: ClientStore,
        engine_name: str,
        observer: Observer,
        dial_anyone: Dial | None = None,
        patient: bool = False,
    ) -> None:
        """Prepare; `connect` starts it.

        Args:
            dial: opens a transport to the aggregator.
            door: who this silo is.
            aggregator: whom it talks to.
            policy: its own floors.
            store: its durable memory.
            engine_name: which mask engine.
            observer: is told what happens.
            dial_anyone: as for `Uplink`.
            patient: whether a refusal is dialled again from the start.

        Raises:
            StateError: the memory contradicts itself (rule 9-5).
        """
        self.last_round: RoundRecord | None = None
        self._door = door
        self._aggregator = aggregator
        self._policy = policy
        if policy.max_epsilon is not None:
            # Now, and not when a Manifest has come: it may not be installed.
            load_library()
        check_account(store, door.identity.id)
        self._store = store
        self._keeper = Keeper(store, door.clock)
        self._observer = observer
        self._engine = functools.cache(functools.partial(engine.engine, engine_name))
        # Refuses a GPU that is not there now, not when the first round has begun.
        self._device = engine.device_of(engine_name)
        self._guard = Guard()
        self._inquiries = Inquiries(door, aggregator, observer)
        self._reception = Reception(
            door=door,
            guard=self._guard,
            inquiries=self._inquiries,
            recollection=Recollection(door, aggregator, store),
            observer=observer,
        )
        self._agenda = self._reception.agenda
        self._uplink = Uplink(
            dial=dial,
            dial_anyone=dial_anyone,
            door=door,
            aggregator=aggregator,
            calls=self._reception.calls,
            observer=observer,
            patient=patient,
        )

    # --- for the caller ---------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether there is a proved connection to the aggregator now."""
        return self._reception.connection is not None

    async def next_round(self) -> RoundOpen:
        """Wait for a round that this silo has not taken up yet, and take it up.

        One of a task or on a model that its policy does not have is declined, and the
        next one is waited for.

        Returns:
            Its task, number, model hash and size; fetch the model by its hash.

        Raises:
            ConnectionRefused: the connection cannot be made; the message says why.
        """
        while True:
            while (opened := self._agenda.take_up()) is None:
                await self._guard.change()
            try:
                self._policy.check_round(opened.task_id, opened.model_hash)
            except errors.RemoteProtocolError as error:
                self.decline(error.detail)
            else:
                return opened

    def decline(self, detail: str) -> None:
        """Take no part in the round that `next_round` returned last; say why.

        For what a caller judges by itself, such as the shapes in a model. The
        aggregator's operator reads it, and nobody waits for this silo in that round.

        Args:
            detail: the two values at odds; what is not printable ASCII, and what is
                beyond 512 characters, is not sent (rule 8-10).

        Raises:
            LocalProtocolError: no round is taken up.
        """
        self._reception.decline("4.1-5", detail)

    async def contribute(
        self,
        update: V,
        *,
        weight: int = 1,
        extras: Mapping[str, int] | None = None,
        layout: tensors.Layout | None = None,
        out: V | None = None,
    ) -> V:
        """Put an update into the sum of a round, and return the mean.

        The round is the one that `next_round` returned last, or else the next one that
        opens. A cut connection is made again and resumed; an attempt that fails before
        anything was released is repeated with the same update. So leave the update as
        it is until this returns: one flat array is read where it lies, not copied.

        Args:
            update: an array, a tensor, or a mapping of names to such; finite floats.
            weight: w_u in 1..w_max; 1 for uniform weighting.
            extras: the declared extras, exact integers by name.
            layout: which tensors enter the vector; by default all of them.
            out: where the mean goes, of the form of `update`, which it may be itself:
                then there is one vector in memory, and nothing but the mean is left of
                it. By default new memory.

        Returns:
            The mean over U3, in the form of `update`, or `out`; also if this silo's own
            input came too late: `last_round.included` says so.

        Raises:
            InputError: the update, weight or extras cannot be used; nothing was sent.
            StateError: what must not be forgotten could not be made durable; nothing
                that depends on it was sent (rules 4.1-8, 4.1-9).
            StateRolledBack: the state directory is an older copy (rule 9-6).
            RoundMissed: the round went on without this silo, or its mean is not kept
                any more.
            SessionAborted: the round ended without a sum.
            ReleaseRefused: the sum was discarded; `last_round` has the verdicts.
            ConnectionRefused: the connection cannot be made.
        """
        if self._reception.participation is not None:
            raise errors.LocalProtocolError("a contribution is running: await it first")
        w_u = integer("the weight", weight)
        values = {
            name: integer(f"extra {name!r}", value)
            for name, value in (extras or {}).items()
        }
        used = tensors.Layout.of(update, ()) if layout is None else layout
        if out is not None:
            tensors.check_writable(out, used)
        # Held by the round alone, and let go of with it.
        flat = await coordinates(update, used, self._device)
        completed, params = await self._take_part(
            Input(update=flat, weight=w_u, extras=values)
        )
        with Scratch(self._store.folder) as scratch:
            await self._fetch_released(completed, scratch)
            mean = pipeline.released_vector(completed.result, scratch.read, params)
            return await asyncio.to_thread(tensors.unflatten, mean, used, update, out)

    async def fetch(self, digest: bytes, size: int | None = None) -> bytes:
        """Return a blob by its SHA-256.

        Args:
            digest: such as the open round's `model_hash`.
            size: its bytes; not needed for the model of the open round.

        Raises:
            LocalProtocolError: the size is not known, a fetch is running, or the
                aggregator has no such blob.
            RemoteProtocolError: other bytes came (rule 4.8-2).
            ConnectionRefused: the connection cannot be made.
        """
        whole = io.BytesIO()
        await self.fetch_into(whole, digest, size)
        return whole.getvalue()

    async def fetch_into(
        self, into: Sink, digest: bytes, size: int | None = None
    ) -> None:
        """Write a blob to a file as it comes, for one that memory need not hold.

        Args:
            into: what is written of it is good only once this has returned.
            digest: its SHA-256.
            size: its bytes; not needed for the model of the open round.

        Raises:
            StateError: it cannot be written; and what `fetch` raises.
        """
        known = self._agenda.model_size(digest) if size is None else size
        await self._guard.until(self._inquiries.fetch(digest, known, into))

    # --- for connect ------------------------------------------------------------

    async def start(self) -> None:
        """Start the uplink and wait for the first connection.

        Raises:
            ConnectionRefused: it cannot be made; the message says what to do.
        """
        self._guard.watch(asyncio.create_task(self._uplink.run()))
        while self._reception.connection is None:
            await self._guard.change()

    async def close(self) -> None:
        """Leave: drop the session, send what is queued, close the connection."""
        if self._reception.participation is not None:
            self._reception.participation.stop()
            self._reception.participation = None
        if self._reception.connection is not None:
            await self._reception.connection.flush()
        await self._guard.end()

    # --- a round ----------------------------------------------------------------

    async def _take_part(self, given: Input) -> tuple[events.Completed, Parameters]:
        opened = self._agenda.claimed or await self.next_round()
        try:
            return await self._join(opened, given)
        finally:
            self._agenda.claimed = None

    async def _join(
        self, opened: RoundOpen, given: Input
    ) -> tuple[events.Completed, Parameters]:
        now = self._agenda.opened
        if now is not None and is_over(opened, now):
            raise errors.RoundMissed(
                f"round {opened.round_no} of task {opened.task_id} is over, round"
                f" {now.round_no} of task {now.task_id} is open: fetch its model and"
                " train again"
            )
        await self._catch_up(opened)
        participation = Participation(opened, given, self._means(opened))
        self._reception.participation = participation
        try:
            participation.begin(self._reception.connection)
            completed = await self._guard.until(participation.completed)
        finally:
            participation.stop()
            self._reception.participation = None
        params = participation.params
        assert params is not None  # noqa: S101 a completed session was joined
        attempts = tuple(participation.attempts)
        self.last_round = RoundRecord.of(completed, params, attempts)
        return completed, params

    def _means(self, opened: RoundOpen) -> Means:
        task = opened.task_id
        client = Client(
            identity=self._door.identity,
            roster=self._door.roster,
            policy=self._policy,
            entropy=self._door.entropy,
            aggregator=self._aggregator,
            memory={task: self._keeper.remembered(task, opened.round_no)},
        )
        return Means(
            client=client,
            keeper=self._keeper,
            entropy=self._door.entropy,
            engine=self._engine,
            observer=self._observer,
            say_ready=self._reception.say,
        )

    async def _fetch_released(self, completed: events.Completed, into: Sink) -> None:
        reference = completed.result.vector
        if reference is None:
            said = "; ".join(
                f"{one.check}: {one.detail}"
                for one in completed.result.verdicts
                if not one.passed
            )
            raise errors.ReleaseRefused(f"the sum was discarded by {said}")
        try:
            await self.fetch_into(into, reference.hash, reference.size)
        except NoBlobError:
            number = completed.manifest.round_no
            raise errors.RoundMissed(
                f"the mean of round {number} is not kept by the aggregator any more:"
                " fetch the model of the next round, which holds it, and go on there"
            ) from None

    async def _catch_up(self, opened: RoundOpen) -> None:
        """Walk the links this silo missed, up to the round's (rules 4.8-4, 9-6)."""
        task, store = opened.task_id, self._store
        require_remembered(store)
        walk = self._inquiries.walk(task, store.head(task), opened.previous_link)
        recall(store, task, await self._guard.until(walk), opened.round_no)
