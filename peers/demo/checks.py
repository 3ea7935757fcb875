"""What the demo proves, or else fails: each check says what it found.

The recordings hold every hospital's x_u and update in clear. The sums are those that
the hospitals were given. Without noise they must be the plain sums over exactly U3;
with noise the difference must be noise of the announced size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from peers import model_file
from peers.demo import clear
from peers.demo.plan import KEPT_SETS, Death
from peers.demo.recording import Recording, read_input, read_means
from peers.demo.terms import LOSS_DECIMALS, Terms
from peers.demo.workplace import Workplace
from peers.records import RoundReport
from secagg.privacy import Adjacency
from secagg.quantize import dequantize
from secagg.sensitivity import sensitivity_squared, sigma_squared
from secagg.tensors import flatten

Ints = NDArray[np.int64]

_FLOAT32_STEP = 2.0**-24
"""Half the distance of neighbours of 1 in float32: a model's own rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must hold."""

    name: str
    passed: bool
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFacts:
    """What the recordings of a round say.

    Attributes:
        report: the aggregator's.
        inputs: the recorded input of each member of U3.
        released: the integer sum as the hospitals were given it, shape (m,).
        same_mean: whether all that were given the mean got the same bytes.
        given: who was.
        extras: the sums of the extras that came with it.
    """

    report: RoundReport
    inputs: Mapping[str, Recording]
    released: Ints
    same_mean: bool
    given: tuple[str, ...]
    extras: Mapping[str, int]

    @property
    def plain(self) -> Ints:
        """The plain sum of x_u over U3."""
        total: Ints = np.sum([one.x_u for one in self.inputs.values()], axis=0)
        return total


def facts_of(place: Workplace, report: RoundReport) -> RoundFacts:
    """Read the recordings of a released round."""
    session, u3 = report.session or "", report.sets["u3"]
    inputs = {silo: read_input(place.recordings, session, silo) for silo in u3}
    means = read_means(place.recordings, session, place.terms.hospitals)
    first, extras = next(iter(means.values()))
    return RoundFacts(
        report=report,
        inputs=inputs,
        released=_integers(first, _divisor(report, extras, place.terms), place.terms),
        same_mean=len({mean.tobytes() for mean, _ in means.values()}) == 1,
        given=tuple(sorted(means)),
        extras=extras,
    )


def all_checks(
    place: Workplace, facts: Sequence[RoundFacts], killed: Sequence[Death]
) -> tuple[Check, ...]:
    """Return every check of the run."""
    return tuple(_checks(place, facts, killed))


def _checks(
    place: Workplace, facts: Sequence[RoundFacts], killed: Sequence[Death]
) -> Iterator[Check]:
    terms = place.terms
    yield _same_means(facts)
    if terms.noise_multiplier is None:
        yield _exact_sums(facts)
        yield _exact_extras(facts)
        yield _bounded_rounds(facts, terms)
        yield _bounded_model(place, facts)
    else:
        yield _noised_sums(facts, terms)
        yield _budget(facts, terms)
    yield _models_follow(place, facts)
    yield _died_as_scripted(facts, killed)
    yield _came_back(facts, killed)


def _same_means(facts: Sequence[RoundFacts]) -> Check:
    given = sum(len(fact.given) for fact in facts)
    return Check(
        name="every hospital was given the same mean",
        passed=all(fact.same_mean for fact in facts),
        found=f"{given} means in {len(facts)} rounds",
    )


def _exact_sums(facts: Sequence[RoundFacts]) -> Check:
    wrong = [f.report.round for f in facts if not np.array_equal(f.released, f.plain)]
    count = sum(len(fact.plain) for fact in facts)
    return Check(
        name="every opened integer sum is the plain sum over exactly U3",
        passed=not wrong,
        found=f"rounds {wrong} differ" if wrong else f"{count:,} integers are equal",
    )


def _exact_extras(facts: Sequence[RoundFacts]) -> Check:
    wrong = [f.report.round for f in facts if dict(f.extras) != _plain_extras(f)]
    return Check(
        name="the sums of weights and losses are exact",
        passed=not wrong,
        found=f"rounds {wrong} differ" if wrong else "equal in every round",
    )


def _plain_extras(fact: RoundFacts) -> dict[str, int]:
    inputs = fact.inputs.values()
    scale = 10**LOSS_DECIMALS
    return {
        f"loss_e{LOSS_DECIMALS}": sum(
            round(one.metrics["loss"] * scale) for one in inputs
        ),
        "weight": sum(one.weight for one in inputs),
    }


def _bounded_rounds(facts: Sequence[RoundFacts], terms: Terms) -> Check:
    errors = [_error(fact, terms) for fact in facts]
    bounds = [fact.report.error_bound or 0.0 for fact in facts]
    worst = max(error / bound for error, bound in zip(errors, bounds, strict=True))
    return Check(
        name="every mean is within its stated bound of the mean in the clear",
        passed=worst <= 1,
        found=f"at most {max(errors):.2e}, which is {worst:.0%} of the bound",
    )


def _error(fact: RoundFacts, terms: Terms) -> float:
    """Return the largest error of a coordinate of the round's mean."""
    secure = dequantize(
        fact.released, terms.scale, _divisor(fact.report, fact.extras, terms)
    )
    exact = clear.mean_update(tuple(fact.inputs.values()), terms)
    return float(np.abs(secure - exact).max())


def _bounded_model(place: Workplace, facts: Sequence[RoundFacts]) -> Check:
    """Compare the last model with federated averaging over the recorded updates."""
    first = _vector(place, facts[0].report.model_before)
    last = _vector(place, facts[-1].report.model_after)
    exact = first.copy()
    for fact in facts:
        exact += clear.mean_update(tuple(fact.inputs.values()), place.terms)
    rounding = len(facts) * float(np.abs(last).max()) * _FLOAT32_STEP
    bound = math.fsum(fact.report.error_bound or 0.0 for fact in facts) + rounding
    error = float(np.abs(last - exact).max())
    return Check(
        name="the model is within the stated bound of federated averaging in the clear",
        passed=error <= bound,
        found=f"{len(last):,} parameters, off by {error:.2e} at most, of {bound:.2e}",
    )


def _noised_sums(facts: Sequence[RoundFacts], terms: Terms) -> Check:
    """Check that what was released is the plain sum plus noise of the stated size."""
    sigma = _sigma(terms)
    noise = np.concatenate([fact.released - fact.plain for fact in facts])
    ratio = float(np.sqrt(np.mean(noise.astype(np.float64) ** 2))) / sigma
    # The ratio has a standard deviation of 1 / sqrt(2 m): five of them.
    slack = 5 / math.sqrt(2 * len(noise))
    return Check(
        name="every released sum is the plain sum over U3 and the announced noise",
        passed=abs(ratio - 1) <= slack,
        found=f"sigma = {sigma:,.0f}; measured {ratio:.4f} of it",
    )


def _sigma(terms: Terms) -> float:
    squared = sensitivity_squared(terms.scale.delta_int, (), Adjacency.ZERO_OUT)
    return math.sqrt(sigma_squared(terms.noise_multiplier or 0.0, squared))


def _budget(facts: Sequence[RoundFacts], terms: Terms) -> Check:
    spent, budget = facts[-1].report.epsilon, terms.epsilon
    return Check(
        name="the privacy budget was kept",
        passed=spent is not None and budget is not None and spent <= budget,
        found=f"epsilon {spent} of {budget} is spent",
    )


def _models_follow(place: Workplace, facts: Sequence[RoundFacts]) -> Check:
    """Check that each model is the one before, moved by the released mean."""
    wrong = []
    for fact in facts:
        report, terms = fact.report, place.terms
        divisor = _divisor(report, fact.extras, terms)
        mean = dequantize(fact.released, terms.scale, divisor)
        blob = place.model(report.model_before)
        moved = model_file.moved(blob, mean, model_file.layout_of(blob))
        if model_file.model_hash(moved).hex() != report.model_after:
            wrong.append(report.round)
    return Check(
        name="every model is the one before moved by the released mean, bit for bit",
        passed=not wrong,
        found=f"rounds {wrong} differ" if wrong else f"{len(facts)} models agree",
    )


def _died_as_scripted(facts: Sequence[RoundFacts], killed: Sequence[Death]) -> Check:
    sets = {fact.report.round: fact.report.sets for fact in facts}
    wrong = []
    for death in killed:
        last, lacking = KEPT_SETS[death.point]
        found = sets.get(death.round_no, {})
        if (
            death.hospital not in found.get(last, [])
            or death.hospital in found[lacking]
        ):
            wrong.append(f"{death.hospital} in round {death.round_no}")
    return Check(
        name="every killed hospital was lost exactly where it was killed",
        passed=not wrong and bool(killed),
        found="; ".join(wrong) or f"{len(killed)} killed with SIGKILL",
    )


def _came_back(facts: Sequence[RoundFacts], killed: Sequence[Death]) -> Check:
    gone = [
        death.hospital
        for death in killed
        if not any(
            death.hospital in fact.report.sets["u3"]
            for fact in facts
            if fact.report.round > death.round_no
        )
    ]
    return Check(
        name="every killed hospital took part in a later round",
        passed=not gone,
        found=f"missing: {', '.join(gone)}" if gone else f"{len(killed)} came back",
    )


def _integers(mean: NDArray[np.float64], divisor: float, terms: Terms) -> Ints:
    """Return the integer sum of a mean: |X| < 2^32, so rounding undoes the division."""
    return np.rint(mean * (terms.scale.s * divisor)).astype(np.int64)


def _divisor(report: RoundReport, extras: Mapping[str, int], terms: Terms) -> float:
    if terms.max_weight == 1:
        return len(report.sets["u3"])
    return extras["weight"] / terms.max_weight


def _vector(place: Workplace, digest: str) -> NDArray[np.float64]:
    blob = place.model(digest)
    layout = model_file.layout_of(blob)
    return np.asarray(flatten(model_file.load(blob, model_file.NUMPY), layout))
