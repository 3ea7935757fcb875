"""Opening: from the spooled y_u of U3 to the Result (spec 4.8, 10).

Chunk by chunk, so that the memory is one sum whatever the number of silos, and in a
thread of its own, so that the connections stay alive. A restart does the same again and
gets the same bytes: the masks follow from the shares, the noise from a journaled seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

import numpy as np

from secagg import pipeline, released
from secagg.drivers.aggregator.blobs import BlobStore
from secagg.drivers.aggregator.spool import Spool
from secagg.engine import MaskEngine
from secagg.events import OpenSum
from secagg.mask_removal import MaskRemoval
from secagg.messages import BlobRef, Result
from secagg.names import Mean, SessionId, VectorSum
from secagg.params import Parameters
from secagg.pipeline import Released
from secagg.privacy.ledger import BudgetLedger
from secagg.robust.check import Means
from secagg.spread import Told, unheard

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
        unmasking: has masks expanded elsewhere; None for `engine`.
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
    unmasking: Executor | None = None
    noise_seed: bytes = field(repr=False)
    ledger: BudgetLedger
    blobs: BlobStore
    previous: Callable[[], Means | None] = lambda: None
    next_model: NextModel | None = None

    def open(self, effect: OpenSum, told: Told = unheard) -> Result:
        """Return the Result of the session.

        Args:
            effect: whose sum it is, and what opens it.
            told: is told if the executor fails; the sum is opened without it.

        Raises:
            ReleaseRefused: the budget is spent (rule 10-3).
            UploadLostError: a stored chunk is damaged.
            StateError: the disk is full; it can be opened again.
        """
        try:
            result = self._released(effect, told)
        except pipeline.SumRefusedError as error:
            return pipeline.discarded(error, u3=effect.u3, model_hash=self.model_hash)
        return self._with_model(result)

    def total(self, effect: OpenSum, told: Told = unheard) -> VectorSum:
        """Return the integer sum of x_u over U3 with its limbs, shape (M,).

        The one vector in memory: 4 bytes a coordinate, as |sum| <= (p - 1)/2 < 2^31,
        and 8 where noise, which has no such bound, is to be added to it.
        """
        narrow = self.params.dp is None
        total = VectorSum(
            np.empty(self.params.total_length, dtype=np.int32 if narrow else np.int64)
        )

        def stored(index: int) -> Iterator[bytes]:
            return (self.spool.read(peer, index) for peer in effect.u3)

        removal = MaskRemoval(engine=self.engine, executor=self.unmasking, told=told)
        opened = removal.opened_chunks(effect, stored, self.params)
        for index, chunk in enumerate(opened):
            start, stop = self.spool.chunks.span(index)
            total[start:stop] = chunk
        return total

    def _released(self, effect: OpenSum, told: Told) -> Result:
        """Open, check, noise and store; the sum is let go of on the way out."""
        opened = pipeline.opened_sum(
            self.total(effect, told),
            self.params,
            u3_count=len(effect.u3),
            previous=self.previous(),
        )
        release = pipeline.release(
            opened,
            self.params,
            task_id=self.task_id,
            sid=self.sid,
            seed=self.noise_seed,
            ledger=self.ledger,
            in_place=True,
        )
        stored = self._stored(release)
        return pipeline.published(
            release, u3=effect.u3, vector=stored, next_model_hash=None
        )

    def _stored(self, release: Released) -> BlobRef:
        """Write the released vector, part by part."""
        width = released.width_of(release.vector)
        digest = self.blobs.write(released.encoded(release.vector, width))
        return BlobRef(hash=digest, size=self.params.coordinates * width, width=width)

    def _with_model(self, result: Result) -> Result:
        """Have the next model made of the mean, read back from where it lies."""
        if self.next_model is None or result.vector is None:
            return result
        blob = self.blobs.open(result.vector.hash)
        mean = pipeline.released_vector(result, blob.read, self.params).mean()
        model = self.next_model(mean)
        if model is None:
            return result
        return replace(result, next_model_hash=self.blobs.put(model))
