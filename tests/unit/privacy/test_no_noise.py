"""No noise is zeros, and nothing else."""

import numpy as np
import pytest

from secagg import errors
from secagg.privacy.no_noise import NoNoise
from secagg.sensitivity import Adjacency


@pytest.mark.parametrize("length", [0, 1, 65_536, 65_537, 200_000])
def test_none_yields_exactly_length_zeros(length):
    pieces = list(NoNoise().noise(length, 0, b""))
    assert sum(len(piece) for piece in pieces) == length
    assert not any(piece.any() for piece in pieces)


def test_none_yields_the_type_of_the_sum():
    assert next(NoNoise().noise(1, 0, b"")).dtype == np.int64


def test_a_sigma_for_none_is_refused():
    with pytest.raises(errors.ParameterError, match="sigma_squared = 4"):
        NoNoise().noise(1, 4, b"")


def test_a_negative_length_is_refused():
    with pytest.raises(errors.ParameterError, match="length"):
        NoNoise().noise(-1, 0, b"")


def test_the_event_has_multiplier_0():
    assert NoNoise().event(0.0, 9, Adjacency.ZERO_OUT).noise_multiplier == 0


def test_an_event_with_a_multiplier_is_refused():
    with pytest.raises(errors.ParameterError, match="noise multiplier 0"):
        NoNoise().event(1.0, 9, Adjacency.ZERO_OUT)
