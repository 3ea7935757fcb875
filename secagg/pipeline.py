"""Release: check, noise, dequantize. Spec 10.

Integers until the last step. What honest vectors cannot add up to is never released.
The budget is charged before there is anything to release. Noise comes from a seed that
the caller has journaled, so that a restart publishes the same sum and not a second
sample of it. A run without noise takes the same way, with the mechanism that adds none.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg import errors, extras, privacy, robust, sensitivity
from secagg.crypto import transcript
from secagg.messages import (
    BlobRef,
    CheckVerdict,
    NoiseRecord,
    NoiseTerms,
    Result,
)
from secagg.names import Mean, PeerId, SessionId, VectorSum
from secagg.params import WEIGHT, Parameters
from secagg.privacy.ledger import BudgetLedger
from secagg.privacy.mechanism import NoiseEvent
from secagg.quantize import MeanView, dequantize, window_of
from secagg.released import Read, ReleasedVector
from secagg.robust.check import ExtraSum, Means, OpenedSum, Sees, Verdict
from secagg.scale import Scale
from secagg.sensitivity import Adjacency

_NO_NOISE: Final = NoiseTerms(
    mechanism="none", noise_multiplier=0.0, adjacency=Adjacency.ZERO_OUT, delta=0.0
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What a session gives to everybody.

    Attributes:
        verdicts: of every check, in the order of the registry.
        vector: the integer sum, noise included, shape (m',).
        extras: the sum of each extra by name, noise included.
        scale: the session's.
        divisor: of the mean: |U3|, or W / w_max.
        event: what was charged.
        sigma_squared: of the noise on every coordinate and extra; 0 for none.
        epsilon: what the task has spent, this release included.
    """

    verdicts: tuple[Verdict, ...]
    vector: VectorSum
    extras: tuple[tuple[str, int], ...]
    scale: Scale
    divisor: float
    event: NoiseEvent
    sigma_squared: int
    epsilon: float

    @property
    def mean(self) -> Mean:
        """The mean over U3, shape (m,), computed anew each time."""
        return Mean(dequantize(self.vector, self.scale, self.divisor))

    @property
    def noise(self) -> NoiseRecord | None:
        """What the Result says of the noise; None if there is none (spec 4.8)."""
        if self.sigma_squared == 0:
            return None
        return NoiseRecord(
            mechanism=self.event.mechanism,
            noise_multiplier=self.event.noise_multiplier,
            sigma_squared=self.sigma_squared,
            sensitivity_squared=self.event.sensitivity_squared,
        )


class SumRefusedError(errors.ReleaseRefused):
    """No honest cohort has this sum: the round is discarded, nothing was charged.

    Attributes:
        verdicts: of the checks that were made.
    """

    def __init__(self, verdicts: tuple[Verdict, ...]) -> None:
        """Record what the checks said."""
        self.verdicts = verdicts
        said = "; ".join(
            f"{verdict.check}: {verdict.detail}"
            for verdict in verdicts
            if verdict.fatal and not verdict.passed
        )
        super().__init__(f"the round is discarded by {said}")


def opened_sum(
    total: VectorSum,
    params: Parameters,
    *,
    u3_count: int,
    previous: Means | None = None,
) -> OpenedSum:
    """Part the opened sum into coordinates and extras.

    Args:
        total: the sum of x_u over U3 with its limbs, centred, shape (M,).
        params: the session's.
        u3_count: |U3|.
        previous: the mean released in the round before, of length m.
    """
    sums = extras.decode(VectorSum(total[params.coordinates :]), params, u3_count)
    return OpenedSum(
        vector=VectorSum(total[: params.coordinates]),
        u3_count=u3_count,
        x_max=params.scale.x_max,
        delta_int=params.scale.delta_int,
        extras=tuple(
            ExtraSum(extra=extra, total=sums[extra.name]) for extra in params.extras
        ),
        previous=previous,
    )


def release(
    opened: OpenedSum,
    params: Parameters,
    *,
    task_id: str,
    sid: SessionId,
    seed: bytes,
    ledger: BudgetLedger,
    in_place: bool = False,
) -> Released:
    """Check, noise, dequantize.

    The same arguments give the same release, and a session is charged once, however
    often this is called.

    Args:
        opened: the sum, as `opened_sum` gives it; it is not changed, but for
            `in_place`.
        params: the session's.
        task_id: the task whose budget is charged.
        sid: the session.
        seed: 32 bytes, journaled before this call (rule 9-4).
        ledger: of this aggregator.
        in_place: add the noise to an int64 vector itself: a large model has no room for
            two of them.

    Raises:
        SumRefusedError: the sum is beyond its bounds (rule 10-1); nothing was charged.
        BudgetSpentError: the budget does not allow it (rule 10-3); nothing was charged.
        ParameterError: the noise or the budget does not fit the Manifest.
    """
    verdicts = _checked(opened, Sees.OPENED)
    event, sigma_squared = noise_terms(params)
    _require_announced_delta(params, ledger, task_id)
    noise = privacy.named_mechanism(event.mechanism).noise(
        len(opened.vector) + len(opened.extras),
        sigma_squared,
        transcript.noise_key(sid, seed),
    )
    epsilon = ledger.charge(task_id, sid, event)
    noised = opened
    if sigma_squared:
        vector = opened.vector.astype(np.int64, copy=not in_place)
        noised = _noised(dataclasses.replace(opened, vector=VectorSum(vector)), noise)
    sums = {one.extra.name: one.total for one in noised.extras}
    count = divisor(params, u3_count=noised.u3_count, extras=sums)
    mean = MeanView(window_of(noised.vector), params.scale, count)
    seen = dataclasses.replace(noised, mean=mean)
    return Released(
        verdicts=verdicts + _checked(seen, Sees.RELEASED),
        vector=noised.vector,
        extras=tuple((one.extra.name, one.total) for one in noised.extras),
        scale=params.scale,
        divisor=count,
        event=event,
        sigma_squared=sigma_squared,
        epsilon=epsilon,
    )


def noise_terms(params: Parameters) -> tuple[NoiseEvent, int]:
    """Return the event of one release of this session, and sigma^2 (rule 10-2).

    Every coordinate and every extra gets noise of the same sigma = z Delta, and Delta
    covers the vector and the ranges of the extras together.

    Raises:
        ParameterError: the Manifest's noise is not one that this version makes.
    """
    terms = params.dp or _NO_NOISE
    adjacency = Adjacency(terms.adjacency)
    sensitivity_squared = sensitivity.sensitivity_squared(
        params.scale.delta_int, params.noised_extra_ranges, adjacency
    )
    event = privacy.named_mechanism(terms.mechanism).event(
        terms.noise_multiplier, sensitivity_squared, adjacency
    )
    sigma_squared = sensitivity.sigma_squared(
        terms.noise_multiplier, sensitivity_squared
    )
    return event, sigma_squared


def _checked(view: OpenedSum, sees: Sees) -> tuple[Verdict, ...]:
    """Run the checks that see this sum; refuse it if a fatal one did not pass."""
    verdicts = tuple(
        check(view) for check in robust.CHECKS.values() if check.sees is sees
    )
    if any(verdict.fatal and not verdict.passed for verdict in verdicts):
        raise SumRefusedError(verdicts)
    return verdicts


def _require_announced_delta(
    params: Parameters, ledger: BudgetLedger, task_id: str
) -> None:
    """Refuse to report an epsilon at another delta than the members were told."""
    budget = ledger.budget(task_id)
    if params.dp is not None and params.dp.delta != budget.delta:
        raise errors.ParameterError(
            f"task {task_id!r}: its Manifest announces delta = {params.dp.delta:g} and"
            f" its budget is kept at delta = {budget.delta:g}"
        )


def _noised(opened: OpenedSum, noise: Iterator[NDArray[np.int64]]) -> OpenedSum:
    """Add noise in place, piece by piece: the coordinates first, then the extras."""
    # |sum| < 2^32 and |noise| < 2^62 in every mechanism: no int64 wraps.
    vector = opened.vector
    tail: list[int] = []
    start = 0
    for piece in noise:
        target = vector[start : start + len(piece)]
        target += piece[: len(target)]
        tail += piece[len(target) :].tolist()
        start += len(target)
    noised_extras = tuple(
        dataclasses.replace(one, total=one.total + value)
        for one, value in zip(opened.extras, tail, strict=True)
    )
    return dataclasses.replace(opened, vector=VectorSum(vector), extras=noised_extras)


def released_vector(result: Result, read: Read, params: Parameters) -> ReleasedVector:
    """Return what a Result released, where it lies; both sides take this step (spec 5).

    Args:
        result: names U3, the sums of the extras and the vector, which it has.
        read: reads the vector's blob.
        params: the session's.

    Raises:
        RemoteProtocolError: the vector has another shape (rule 4.8-2).
    """
    said = result.vector
    assert said is not None  # noqa: S101 a discarded round has nothing to read
    count = divisor(params, u3_count=len(result.u3), extras=dict(result.extras))
    return ReleasedVector(read, said, scale=params.scale, divisor=count)


def divisor(params: Parameters, *, u3_count: int, extras: Mapping[str, int]) -> float:
    """Return |U3|, or W / w_max for a weighted mean (spec 5).

    W is the weight sum as released. Noise may bring it to 0 or below, where no mean is
    defined: it is then taken as 1, the least that one member can weigh.
    """
    if params.weighting == "uniform":
        return u3_count
    return max(1, extras[WEIGHT]) / params.max_weight


def published(
    released: Released,
    *,
    u3: tuple[PeerId, ...],
    vector: BlobRef,
    next_model_hash: bytes | None,
) -> Result:
    """Return the Result that publishes a release (spec 4.8).

    Args:
        released: what came out of `release`.
        u3: whose sum it is, sorted.
        vector: what its vector is as a blob.
        next_model_hash: of the model made from it, None where there is none.
    """
    return Result(
        status="released",
        u3=u3,
        verdicts=_said(released.verdicts),
        dp=released.noise,
        extras=released.extras,
        vector=vector,
        next_model_hash=next_model_hash,
        epsilon=released.epsilon if math.isfinite(released.epsilon) else None,
    )


def discarded(
    refused: SumRefusedError, *, u3: tuple[PeerId, ...], model_hash: bytes | None
) -> Result:
    """Return the Result that says a round was discarded, and by which checks.

    Args:
        refused: what `release` raised.
        u3: whose sum it was.
        model_hash: of the model, which stays as it is.
    """
    return Result(
        status="discarded",
        u3=u3,
        verdicts=_said(refused.verdicts),
        dp=None,
        extras=(),
        vector=None,
        next_model_hash=model_hash,
        epsilon=None,
    )


def _said(verdicts: tuple[Verdict, ...]) -> tuple[CheckVerdict, ...]:
    return tuple(
        CheckVerdict(check=one.check, passed=one.passed, detail=one.detail)
        for one in verdicts
    )
