"""secagg.simulation.simulate: what goes in, and what is refused."""

from typing import Any

import numpy as np
import pytest

from secagg import errors
from secagg.simulation import simulate

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
