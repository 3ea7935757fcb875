"""Keeper: what a silo makes durable while it takes part (rules 4.1-9, 9-2)."""

from __future__ import annotations

import hashlib

from secagg import codec, events
from secagg.client_state import TaskMemory
from secagg.drivers.clock import Clock
from secagg.drivers.silo.store import ClientStore, Receipt


class Keeper:
    """Writes the machine's marks and the receipts to a store."""

    def __init__(self, store: ClientStore, clock: Clock) -> None:
        """Keep in `store`; the clock dates the receipts."""
        self._store = store
        self._clock = clock

    def remembered(self, task_id: str, round_no: int) -> TaskMemory:
        """Return what a machine must know of a task before it takes part in a round."""
        spent = self._store.spent(task_id, round_no)
        return TaskMemory(
            last_joined=self._store.last_joined(task_id),
            head=self._store.head(task_id),
            spent_round=round_no if spent else 0,
            sums=self._store.past.sums(),
            charges=self._store.past.charges(),
        )

    def persist(
        self,
        effect: events.PersistJoined
        | events.PersistSpent
        | events.PersistSummed
        | events.PersistHead,
    ) -> None:
        """Make a mark durable, before what follows goes out."""
        store = self._store
        match effect:
            case events.PersistJoined():
                store.record_joined(effect.task_id, effect.round_no, effect.attempt)
            case events.PersistSpent():
                # Spent first: a charge left alone by a crash would stand, being the
                # round's first, for the release of a later attempt with less noise.
                task, round_no = effect.task_id, effect.round_no
                store.record_spent(task, round_no)
                if effect.noise is not None:
                    store.past.record_charge(task, round_no, effect.noise)
            case events.PersistSummed():
                store.past.record_summed(effect.task_id, effect.summed)
            case events.PersistHead():
                store.record_head(effect.task_id, effect.head)

    def record(self, effect: events.Completed) -> None:
        """Keep a receipt: proof for the hospital of what its data went into."""
        result = effect.result
        # The aggregator writes the figure; whether there was noise, the Manifest said.
        noisy = effect.manifest.dp is not None
        self._store.record_receipt(
            Receipt(
                task_id=effect.manifest.task_id,
                round_no=effect.manifest.round_no,
                sid=effect.sid,
                u3=result.u3,
                result_hash=hashlib.sha256(codec.encode_body(result)).digest(),
                epsilon=result.epsilon if noisy else None,
                at_ms=self._clock.now_ms(),
            )
        )
