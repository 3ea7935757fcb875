"""What a round came to, for either side's operator: who was in it, who not, and why.

Also the step both sides take alike: from a Result and the vector it names to the mean.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self

from secagg import events, pipeline
from secagg.messages import Manifest, Result
from secagg.names import Mean, PeerId, SessionId, VectorSum
from secagg.params import Parameters
from secagg.released import ReleasedVector
from secagg.scale import ErrorBound

SILENT = "silent until the deadline"
LEFT_OUT = "too few of its neighbours were left (rule 4.5-7)"

_LOST_IN = {
    "u1": "advertise_keys",
    "u2": "share_keys",
    "u3": "masked_input",
    "u4": "consistency",
    "u5": "unmasking",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A session of the round that ended without a sum.

    Attributes:
        sid: the session.
        attempt: which of the round's, from 1.
        code: the rule that ended it.
        detail: what happened.
        missing: who was silent or dropped in the phase that failed.
        culprits: who is blamed.
        sets: ``u0`` to ``u5``, as far as they were fixed; aggregator only.
        dropped: who broke a rule or left, and why; aggregator only.
    """

    sid: SessionId
    attempt: int
    code: str
    detail: str
    missing: tuple[PeerId, ...]
    culprits: tuple[PeerId, ...]
    sets: Mapping[str, tuple[PeerId, ...]] = field(default_factory=dict)
    dropped: Mapping[PeerId, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes of frames of one peer, in a round."""

    up: int = 0
    down: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """In which round a member was lost, and why."""

    round: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundOutcome:
    """What came out of one round.

    Attributes:
        task_id: the task.
        round_no: its round.
        sid: the session that gave the Result.
        model_hash: the model of the round.
        result: as everybody got it.
        vector: the released vector where it lies, of which `mean` and `sum` are read;
            None when discarded.
        extras: the sum of each extra by name.
        sets: ``u0`` to ``u5``.
        lost: members that are not in U5 or not in U3: where they were lost, and why.
        late: silos that were ready too late for the session.
        error: bound on the error of the mean, noise aside; None when discarded.
        durations: seconds from a phase's start to its end, by phase.
        traffic: bytes by peer, within the round.
        attempts: the sessions before that ended without a sum.
        link: the task's new head.
    """

    task_id: str
    round_no: int
    sid: SessionId
    model_hash: bytes
    result: Result
    vector: ReleasedVector | None = field(repr=False)
    extras: Mapping[str, int]
    sets: Mapping[str, tuple[PeerId, ...]]
    lost: Mapping[PeerId, Loss]
    late: tuple[PeerId, ...]
    error: ErrorBound | None
    durations: Mapping[str, float]
    traffic: Mapping[PeerId, Traffic]
    attempts: tuple[Attempt, ...]
    link: bytes

    @property
    def mean(self) -> Mean | None:
        """The mean over U3, float64, shape (m,), read anew; None when discarded."""
        return None if self.vector is None else self.vector.mean()

    @property
    def sum(self) -> VectorSum | None:
        """The integer sum, noise included, shape (m',), read anew, or None."""
        return None if self.vector is None else self.vector.sum()

    @property
    def released(self) -> bool:
        """Whether there is a mean; else the sum was discarded by its verdicts."""
        return self.result.vector is not None

    @property
    def epsilon(self) -> float | None:
        """What the task has spent, this round included; None without noise."""
        return self.result.epsilon


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord:
    """What a silo knows of the last round it took part in.

    Attributes:
        task_id: the task.
        round_no: its round.
        sid: the session that gave the Result.
        included: whether this silo's own input is in the sum.
        sets: ``u0`` to ``u3``.
        result: as the aggregator signed it: verdicts, noise, extras, epsilon.
        error: bound on the error of the mean, noise aside; None when discarded.
        attempts: sessions of the round that ended without a sum, and by which rule.
        link: the new head of the task's chain.
    """

    task_id: str
    round_no: int
    sid: SessionId
    included: bool
    sets: Mapping[str, tuple[PeerId, ...]]
    result: Result
    error: ErrorBound | None
    attempts: tuple[Attempt, ...]
    link: bytes

    @classmethod
    def of(
        cls,
        completed: events.Completed,
        params: Parameters,
        attempts: tuple[Attempt, ...],
    ) -> Self:
        """Return the record of a session that has its Result."""
        result = completed.result
        return cls(
            task_id=completed.manifest.task_id,
            round_no=completed.manifest.round_no,
            sid=completed.sid,
            included=completed.included,
            sets=completed.sets,
            result=result,
            error=None if result.vector is None else error_of(result, params),
            attempts=attempts,
            link=completed.link,
        )


def error_of(result: Result, params: Parameters) -> ErrorBound:
    """Return how far the mean may be from that of the clipped updates (spec 5).

    A weighted mean has the bound of a uniform one, stretched by w_max |U3| / W.
    """
    count = len(result.u3)
    divisor = pipeline.divisor(params, u3_count=count, extras=dict(result.extras))
    return params.scale.error_bound(count).stretched(count / divisor)


def losses(
    sets: Mapping[str, tuple[PeerId, ...]],
    dropped: Mapping[PeerId, str],
    left_out: Collection[PeerId] = (),
) -> dict[PeerId, Loss]:
    """Return where each member fell out first.

    Args:
        sets: ``u0`` to ``u5``; one that was not fixed is empty.
        dropped: why, for those that broke a rule or left.
        left_out: whose vector came, and whose neighbours did not.
    """
    reasons = {**dict.fromkeys(left_out, LEFT_OUT), **dropped}
    fixed = [name for name in _LOST_IN if sets.get(name)]
    lost: dict[PeerId, Loss] = {}
    for peer in sets["u0"]:
        missed = next((name for name in fixed if peer not in sets[name]), None)
        if missed is not None:
            reason = reasons.get(peer, SILENT)
            lost[peer] = Loss(round=_LOST_IN[missed], reason=reason)
    return lost


def failed_attempt(
    aborted: events.Aborted,
    manifest: Manifest,
    *,
    sets: Mapping[str, tuple[PeerId, ...]] | None = None,
    dropped: Mapping[PeerId, str] | None = None,
) -> Attempt:
    """Return the record of a session that ended without a sum.

    Args:
        aborted: how it ended.
        manifest: its terms.
        sets: ``u0`` to ``u5``, where they are known.
        dropped: who broke a rule or left, and why, where that is known.
    """
    return Attempt(
        sid=aborted.sid,
        attempt=manifest.attempt,
        code=aborted.code,
        detail=aborted.detail,
        missing=aborted.missing,
        culprits=aborted.culprits,
        sets=dict(sets or {}),
        dropped=dict(dropped or {}),
    )
