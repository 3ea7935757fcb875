"""secagg.simulation.simulate: what goes in, and what is refused."""

from typing import Any

import numpy as np
import pytest

from secagg import errors
from secagg.simulation import simulate
from secagg.simulation.session import Inputs, Simulator
from secagg.task import Task

UPDATES = [np.full(3, float(place)) for place in range(4)]


@pytest.mark.parametrize("make", [list, tuple, np.array])
def test_weights_may_be_a_sequence_or_an_array(make) -> None:
    weights = make([1, 2, 3, 4])
    outcome = simulate(UPDATES, weights=weights)
    assert outcome.exact
    assert np.abs(outcome.mean - 2).max() <= outcome.error_bound


WRONG: list[Any] = [
    [1, 2, 3],
    [1, 2, 3, 0],
    [1, 2, 3, -4],
    [1, 2, 3, 4.0],
    np.array([1.0, 2.0, 3.0, 4.0]),
    np.ones((4, 2), dtype=np.int64),
    5,
]


@pytest.mark.parametrize("weights", WRONG)
def test_weights_that_are_not_whole_numbers_for_each_are_refused(weights) -> None:
    with pytest.raises(errors.InputError, match="weight"):
        simulate(UPDATES, weights=weights)


def test_no_updates_are_refused() -> None:
    with pytest.raises(errors.InputError, match="there are no updates"):
        simulate([])


def test_a_rotated_session_gives_the_mean_with_fewer_bits() -> None:
    updates = np.random.default_rng(1).standard_normal((5, 300))
    plain = updates.mean(axis=0)
    outcome = simulate(list(updates), rotation=True, bits=14, drop={"consistency": [2]})
    assert outcome.exact
    assert outcome.max_abs_error <= outcome.error_bound
    assert np.linalg.norm(outcome.mean - plain) < 1e-3 * np.linalg.norm(plain)


def test_saturated_places_of_a_rotated_session_are_summed_unseen() -> None:
    # All energy in one coordinate: 64 places of 1/8 each, beyond a range of 0.12.
    terms: dict[str, Any] = {"length": 64, "clip": 1.0, "coordinate_range": 0.12}
    task = Task(task_id="t", rotation=True, **terms)
    simulator = Simulator(silos=4, task=task, seed=3)
    updates = dict.fromkeys(simulator.silos[:3], np.eye(64)[7])
    updates[simulator.silos[3]] = np.zeros(64)
    outcome = simulator.run(Inputs(updates=updates, weights={}))
    assert outcome.exact
    assert outcome.result.extras == (("saturated", 3 * 64),)


def test_ranges_of_a_session_bound_the_error_of_each() -> None:
    ranges = ((6, 1.0), (4, 0.01))
    task = Task(task_id="t", length=10, clip=2.0, bits=12, ranges=ranges)
    simulator = Simulator(silos=4, task=task, seed=3)
    updates = np.tile(np.array([0.3] * 6 + [0.003] * 3 + [0.5]), (4, 1))
    inputs = Inputs(
        updates=dict(zip(simulator.silos, updates, strict=True)), weights={}
    )
    outcome = simulator.run(inputs)
    error = np.abs(outcome.mean - updates[0])
    assert error[:6].max() < (1 + 2**-20) / 2047
    assert error[6:9].max() < (1 + 2**-20) * 0.01 / 2047
    assert outcome.mean[9] == 0.01
    assert outcome.result.extras == (("saturated", 4),)
