"""The cosine to the previous mean is reported and never discards."""

import numpy as np
import pytest

from secagg import errors
from secagg.names import Mean, VectorSum
from secagg.robust import cosine
from secagg.robust.check import OpenedSum, Sees
from secagg.robust.cosine import CosineToPrevious

CHECK = CosineToPrevious()


def view(vector, previous):
    return OpenedSum(
        vector=VectorSum(np.array(vector, dtype=np.int64)),
        u3_count=3,
        x_max=10,
        delta_int=20,
        previous=None if previous is None else Mean(np.array(previous, dtype=float)),
        mean=Mean(np.array(vector, dtype=float) / 7),
    )


@pytest.mark.parametrize(
    ("vector", "previous", "expected"),
    [
        ([3, 0], [0.5, 0.0], "+1.0000"),
        ([3, 0], [-0.5, 0.0], "-1.0000"),
        ([3, 0], [0.0, 2.0], "+0.0000"),
        ([3, 4], [1.0, 0.0], "+0.6000"),
    ],
)
def test_the_cosine_is_reported(vector, previous, expected):
    assert CHECK(view(vector, previous)).detail == f"cosine {expected}"


def test_the_opposite_direction_still_passes():
    verdict = CHECK(view([3, 0], [-1.0, 0.0]))
    assert (verdict.passed, verdict.fatal) == (True, False)


def test_the_first_round_has_no_previous_mean():
    assert CHECK(view([3, 0], None)).detail == "no previous mean"


@pytest.mark.parametrize(("vector", "previous"), [([0, 0], [1, 2]), ([1, 2], [0, 0])])
def test_a_zero_vector_has_no_direction(vector, previous):
    assert CHECK(view(vector, previous)).detail == "a zero vector has no direction"


def test_a_previous_mean_of_another_length_is_refused():
    with pytest.raises(errors.ParameterError, match="3 coordinates, this one 2"):
        CHECK(view([1, 2], [1, 2, 3]))


def test_blocks_add_up_to_the_whole(monkeypatch):
    vector = np.arange(-50, 57, dtype=float)
    previous = np.cos(np.arange(107.0))
    whole = vector @ previous / np.sqrt(vector @ vector) / np.sqrt(previous @ previous)
    monkeypatch.setattr(cosine, "_BLOCK", 10)
    assert cosine.cosine(Mean(vector), Mean(previous)) == pytest.approx(whole)


def test_it_is_given_the_released_sum():
    # The exact one would cost privacy beside a noised release.
    assert CHECK.sees is Sees.RELEASED
