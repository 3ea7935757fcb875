"""One simulated session: the production machines, with scripted losses and malice."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from secagg import errors, events
from secagg import field as gf
from secagg.alike import carried_out_by
from secagg.client import Client
from secagg.client_state import TaskMemory
from secagg.cohort import LOSS_ROUNDS, Cohort
from secagg.consortium import Consortium, open_session
from secagg.contribution import Contribution, contribution
from secagg.crypto.transcript import LINK_START
from secagg.engine import AUTO, engine
from secagg.identity import Identity
from secagg.masked_chunks import chunks_of
from secagg.messages import Result
from secagg.names import Mean, PeerId, Round, SessionId
from secagg.policy import Policy
from secagg.simulation.malice import GARBAGE, network, spoil_with_garbage
from secagg.simulation.meter import CostMeter
from secagg.task import Task

FloatArray = NDArray[np.float64]

OPEN_POLICY = Policy(
    min_members=3, corruption_bound=0, smallest_sparse=0, sparse_corrupt_percent=0
)
"""A simulation tries what a hospital may refuse."""


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What came of one simulated session.

    Attributes:
        released_mean: the mean over U3, None if it was aborted or discarded; `mean`
            raises instead.
        sets: ``u0`` ... ``u5``, ids by set.
        exact: whether the opened integer sum equals the plain sum over U3.
        max_abs_error: the greatest error of the mean beside the plain float mean of
            the same updates over U3.
        error_bound: what it cannot exceed where nothing was clipped or saturated.
        published: what the aggregator published, None if it was aborted; `result`
            raises instead.
        aborted: code, detail and who was missing, if it was aborted.
        dropped: members that broke a rule, and which.
        graph: ``complete`` or ``regular``.
        neighbours: k, with whom each silo shares masks and secrets.
        width: bits per element on the wire.
        packed_bytes: of one masked vector.
        meter: seconds and bytes by party.
        link: the head of the chain after it.
    """

    released_mean: Mean | None
    sets: Mapping[str, tuple[PeerId, ...]]
    exact: bool
    max_abs_error: float
    error_bound: float
    published: Result | None
    aborted: events.Aborted | None
    dropped: Mapping[PeerId, str]
    graph: str
    neighbours: int
    width: int
    packed_bytes: int
    meter: CostMeter = field(repr=False)
    link: bytes = LINK_START

    @property
    def released(self) -> bool:
        """Whether a mean came out: not aborted, and not discarded by the checks."""
        return self.released_mean is not None

    @property
    def result(self) -> Result:
        """What the aggregator published, with verdicts and extras.

        Raises:
            SessionAborted: there is none; names who is missing.
        """
        if self.aborted is not None:
            ended = self.aborted
            raise errors.SessionAborted(ended.code, ended.detail, ended.missing)
        assert self.published is not None  # noqa: S101 as it was not aborted
        return self.published

    @property
    def mean(self) -> Mean:
        """The released mean over U3, in the shape of an update.

        Raises:
            SessionAborted: there is no sum; names who is missing.
            ReleaseRefused: the checks discarded the sum.
        """
        said = "; ".join(one.detail for one in self.result.verdicts if not one.passed)
        if self.released_mean is None:
            raise errors.ReleaseRefused(f"the round was discarded: {said}")
        return self.released_mean

    def in_shape(self, shape: tuple[int, ...]) -> Simulated:
        """Return this outcome with its mean in the shape of the updates.

        Raises:
            SessionAborted: there is no sum.
            ReleaseRefused: the checks discarded the sum.
        """
        return replace(self, released_mean=Mean(self.mean.reshape(shape)))


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What each silo brings: its update, and its weight where weights count."""

    updates: Mapping[PeerId, FloatArray]
    weights: Mapping[PeerId, int]


class Simulator:
    """A consortium that runs session after session of one task.

    Silos that fell silent come back with the next session as a new process would: with
    their durable memory and nothing else.
    """

    def __init__(
        self, *, silos: int, task: Task, seed: int, unmasking: Executor | None = None
    ) -> None:
        """Enrol `silos` silos for `task`; everything follows from `seed`.

        The aggregator's masks are expanded on `unmasking`, in this process if None.
        """
        self._unmasking = unmasking
        self.task = task
        self.consortium = Consortium.of(silos, hashlib.sha256(b"%d" % seed).digest())
        self.round_no = 0
        self.head = LINK_START

    @property
    def silos(self) -> tuple[PeerId, ...]:
        """The silos' ids, in order."""
        return tuple(self.consortium.silos)

    def run(
        self,
        inputs: Inputs,
        *,
        silent: Mapping[PeerId, Round] | None = None,
        malice: Mapping[PeerId, str] | None = None,
        slow: Collection[PeerId] = (),
    ) -> Simulated:
        """Run one session over the silos that `inputs` names.

        Args:
            inputs: updates and weights by silo.
            silent: from which round on a silo says nothing.
            malice: what a dishonest party does, by id (see `simulation.malice`).
            slow: whose statement comes too late for U3.

        Raises:
            ParameterError: the task's terms are out of range.
        """
        self.round_no += 1
        tricks = dict(malice or {})
        cohort = self._cohort(inputs, tricks)
        cohort.silent = dict(silent or {})
        everybody = {**self.consortium.silos, self.aggregator: self._aggregator}
        cohort.network = network(cohort, everybody, tricks, slow)
        with carried_out_by(_meter(cohort).work):
            ended = cohort.run()
        if isinstance(ended, events.Aborted):
            return _aborted(cohort, ended)
        self.head = ended.link
        return _completed(cohort, ended, inputs)

    @property
    def aggregator(self) -> PeerId:
        """The aggregator's id."""
        return self._aggregator.id

    @property
    def _aggregator(self) -> Identity:
        return self.consortium.aggregator

    def _cohort(self, inputs: Inputs, malice: Mapping[PeerId, str]) -> Cohort:
        clients = {peer: self._client(peer) for peer in inputs.updates}
        server = open_session(
            self.consortium,
            self.task,
            clients,
            round_no=self.round_no,
            previous_link=self.head,
        )

        def contribute(peer: PeerId, sid: SessionId) -> Contribution:
            honest = contribution(
                inputs.updates[peer],
                weight=inputs.weights.get(peer, 1),
                values={},
                params=server.params,
                sid=sid,
                entropy=self.consortium.entropy[peer],
            )
            return spoil_with_garbage(honest) if malice.get(peer) == GARBAGE else honest

        return Cohort(
            server=server,
            clients=clients,
            contribute=contribute,
            engine=engine(AUTO, server.params.width),
            unmasking=self._unmasking,
            meter=CostMeter(),
        )

    def _client(self, peer: PeerId) -> Client:
        memory = TaskMemory(last_joined=(self.round_no - 1, 3), head=self.head)
        remembered = {self.task.task_id: memory}
        return self.consortium.client(peer, OPEN_POLICY, remembered)


def _aborted(cohort: Cohort, ended: events.Aborted) -> Simulated:
    return Simulated(
        released_mean=None,
        sets=cohort.server.sets,
        exact=False,
        max_abs_error=math.nan,
        error_bound=math.nan,
        published=None,
        aborted=ended,
        dropped=cohort.server.dropped,
        graph=cohort.server.manifest.graph,
        neighbours=cohort.server.params.degree.k,
        width=cohort.server.params.width,
        packed_bytes=chunks_of(cohort.server.params).total_bytes,
        meter=_meter(cohort),
    )


def _meter(cohort: Cohort) -> CostMeter:
    assert isinstance(cohort.meter, CostMeter)  # noqa: S101 set in _cohort
    return cohort.meter


def plain_sum(cohort: Cohort, u3: Sequence[PeerId]) -> NDArray[np.int64]:
    """Return the sum of x_u over `u3`, straight from the inputs, shape (M,)."""
    params = cohort.server.params
    total = np.zeros(params.total_length, dtype=np.int64)
    for peer in u3:
        window = cohort.inputs[peer].window(0, params.total_length)
        total += gf.centre(window, params.p)
    return total


def _completed(cohort: Cohort, ended: events.Completed, inputs: Inputs) -> Simulated:
    params, u3 = cohort.server.params, ended.result.u3
    opened, released = cohort.opened, cohort.released
    assert opened is not None  # noqa: S101 a completed session opened its sum
    mean = None if released is None else released.mean
    plain = plain_mean(inputs, u3)
    worst = params.scale.error_bound(len(u3)).worst
    mean_weight = sum(inputs.weights.get(peer, 1) for peer in u3) / len(u3)
    return Simulated(
        released_mean=mean,
        sets=cohort.server.sets,
        exact=bool(np.array_equal(opened, plain_sum(cohort, u3))),
        max_abs_error=math.nan if mean is None else float(np.abs(mean - plain).max()),
        error_bound=worst * params.max_weight / mean_weight,
        published=ended.result,
        aborted=None,
        dropped=cohort.server.dropped,
        graph=cohort.server.manifest.graph,
        neighbours=cohort.server.params.degree.k,
        width=cohort.server.params.width,
        packed_bytes=chunks_of(cohort.server.params).total_bytes,
        meter=_meter(cohort),
        link=ended.link,
    )


def plain_mean(inputs: Inputs, u3: Sequence[PeerId]) -> FloatArray:
    """Return the float mean of the updates over `u3`, as if nothing were hidden."""
    weights = [inputs.weights.get(peer, 1) for peer in u3]
    total = np.zeros_like(inputs.updates[u3[0]], dtype=np.float64)
    for peer, weight in zip(u3, weights, strict=True):
        total += np.multiply(inputs.updates[peer], weight, dtype=np.float64)
    return total / sum(weights)


def silent_from(
    drop: Mapping[str, Collection[int]], silos: Sequence[PeerId]
) -> dict[PeerId, Round]:
    """Return from which round on each silo is silent.

    Args:
        drop: round names to places in `silos`.
        silos: the silos in order.

    Raises:
        ParameterError: no such round or silo, or a silo in two rounds.
    """
    silent: dict[PeerId, Round] = {}
    names = [round_.value for round_ in LOSS_ROUNDS]
    for name, places in drop.items():
        if name not in names:
            raise errors.ParameterError(
                f"no round {name!r} to fall silent in: use one of {', '.join(names)}"
            )
        for place in places:
            if not 0 <= place < len(silos) or silos[place] in silent:
                raise errors.ParameterError(
                    f"silo {place} of {len(silos)} does not exist or is dropped twice"
                )
            silent[silos[place]] = Round(name)
    return silent
