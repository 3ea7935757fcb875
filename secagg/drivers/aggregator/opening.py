"""Opening: from the spooled y_u of U3 to the Result (spec 4.8, 10).

Chunk by chunk, so that the memory is one sum whatever the number of silos, and in a
thread of its own, so that the connections stay alive. A restart does the same again and
gets the same bytes: the masks follow from the shares, the noise from a journaled seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from secagg import pipeline
from secagg.drivers.aggregator.blobs import BlobStore
from secagg.drivers.aggregator.spool import Spool
from secagg.engine import MaskEngine
from secagg.events import OpenSum
from secagg.masked_chunks import opened_chunk
from secagg.messages import Result
from secagg.names import Mean, PeerId, SessionId, VectorSum
from secagg.params import Parameters
from secagg.privacy.ledger import BudgetLedger

NextModel = Callable[[Mean], bytes | None]
"""Makes the next model of a released mean; its hash goes into the Result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What opens the sum of one session.

    Attributes:
        params: the session's.
        task_id: whose budget is charged.
        sid: the session.
        model_hash: of the round's model; a discarded round leaves it as it is.
        spool: where y_u of U3 lies.
        engine: expands masks at the session's width.
        noise_seed: 32 bytes, journaled.
        ledger: the aggregator's.
        blobs: where the released vector goes, before the Result names it.
        previous: returns the mean of the round before, for the checks; asked when the
            sum is opened, so that a session that is over keeps no mean alive.
        next_model: applied to the released mean.
    """

    params: Parameters
    task_id: str
    sid: SessionId
    model_hash: bytes
    spool: Spool
    engine: MaskEngine
    noise_seed: bytes = field(repr=False)
    ledger: BudgetLedger
    blobs: BlobStore
    previous: Callable[[], Mean | None] = lambda: None
    next_model: NextModel | None = None

    def open(self, effect: OpenSum) -> Result:
        """Return the Result of the session.

        Raises:
            ReleaseRefused: the budget is spent (rule 10-3).
            StateError: a stored chunk is damaged, or the disk is full.
        """
        opened = pipeline.opened_sum(
            self.total(effect),
            self.params,
            u3_count=len(effect.u3),
            previous=self.previous(),
        )
        try:
            released = pipeline.release(
                opened,
                self.params,
                task_id=self.task_id,
                sid=self.sid,
                seed=self.noise_seed,
                ledger=self.ledger,
            )
        except pipeline.SumRefusedError as error:
            return pipeline.discarded(error, u3=effect.u3, model_hash=self.model_hash)
        return self._published(effect.u3, released)

    def total(self, effect: OpenSum) -> VectorSum:
        """Return the integer sum of x_u over U3 with its limbs, shape (M,)."""
        total = np.empty(self.params.total_length, dtype=np.int64)
        for index in range(self.spool.chunks.count):
            start, stop = self.spool.chunks.span(index)
            total[start:stop] = opened_chunk(
                (self.spool.read(peer, index) for peer in effect.u3),
                effect.seeds,
                effect.signs,
                index=index,
                params=self.params,
                engine=self.engine,
            )
        return VectorSum(total)

    def _published(self, u3: tuple[PeerId, ...], released: pipeline.Released) -> Result:
        model = None if self.next_model is None else self.next_model(released.mean)
        result, vector = pipeline.published(
            released,
            u3=u3,
            next_model_hash=None if model is None else self.blobs.put(model),
        )
        self.blobs.put(vector)
        return result
