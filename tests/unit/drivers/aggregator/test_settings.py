import dataclasses
import math

import pytest

from secagg import errors
from secagg.consortium import Consortium
from secagg.drivers.aggregator.settings import Settings
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.messages import NoiseTerms
from secagg.privacy.ledger import Budget
from secagg.task import Task

CONSORTIUM = Consortium.of(7, b"settings")
TASK = Task(task_id="demo", length=5, clip=1.0)
NOISE = NoiseTerms(
    mechanism="discrete-gaussian",
    noise_multiplier=1.0,
    adjacency="zero-out",
    delta=1e-5,
)


def settings(**changes) -> Settings:
    given = Settings(
        identity=CONSORTIUM.aggregator, roster=CONSORTIUM.roster, task=TASK
    )
    return dataclasses.replace(given, **changes)


@pytest.mark.parametrize(("c", "least"), [(0, 3), (1, 4), (2, 7)])
def test_no_session_opens_over_fewer_than_the_corruption_bound_allows(c, least) -> None:
    task = dataclasses.replace(TASK, corruption_bound=c)
    assert settings(task=task).terms().least == least


def test_a_larger_minimum_of_the_operators_counts() -> None:
    assert settings(min_members=6).terms().least == 6


def test_every_hospital_is_waited_for_unless_some_are_named() -> None:
    silos = sorted(CONSORTIUM.silos)
    assert settings().terms().expected == frozenset(silos)
    assert settings(expected=silos[:4]).terms().expected == frozenset(silos[:4])


def test_a_task_without_noise_has_an_infinite_budget() -> None:
    assert settings().allowed().epsilon == math.inf


def test_noise_without_a_budget_is_refused() -> None:
    noisy = dataclasses.replace(TASK, dp=NOISE)
    with pytest.raises(errors.ParameterError, match="has no budget"):
        settings(task=noisy).allowed()
    budget = Budget(epsilon=8.0, delta=1e-5)
    assert settings(task=noisy, budget=budget).allowed() == budget


@pytest.mark.parametrize("wrong", ["a hospital", "another key"])
def test_an_identity_that_is_no_aggregator_of_the_roster_is_refused(wrong) -> None:
    aggregator = CONSORTIUM.aggregator.id
    identity = (
        CONSORTIUM.silos[min(CONSORTIUM.silos)]
        if wrong == "a hospital"
        else Identity.generate(aggregator, SeededEntropy(b"another"))
    )
    with pytest.raises(errors.ConnectionRefused, match="is no aggregator"):
        settings(identity=identity).check_identity()
    settings().check_identity()
