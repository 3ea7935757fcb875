"""How far one member moves the sum, and the noise that hides it."""

import math
from fractions import Fraction

import pytest

from secagg import errors, sensitivity
from secagg.sensitivity import Adjacency


def test_zero_out_sensitivity_is_the_vector_and_the_extras():
    found = sensitivity.sensitivity_squared(100, [3, 4], Adjacency.ZERO_OUT)
    assert found == 100**2 + 3**2 + 4**2


def test_replacing_one_doubles_the_sensitivity():
    assert (
        sensitivity.sensitivity_squared(100, [7], Adjacency.REPLACE_ONE) == 4 * 10_049
    )


def test_sensitivity_is_exact_beyond_64_bits():
    found = sensitivity.sensitivity_squared(2**40 + 1, [], Adjacency.ZERO_OUT)
    assert found == 2**80 + 2**41 + 1


@pytest.mark.parametrize("z", [0.1, 1.0, 1 / 3, 3.73, 2.0**20 + 2.0**-30])
def test_sigma_squared_is_the_least_integer_that_is_enough(z):
    delta_squared = 2**50 + 12_345
    found = sensitivity.sigma_squared(z, delta_squared)
    assert found - 1 < Fraction(z) ** 2 * delta_squared <= found


@pytest.mark.parametrize("z", [-0.5, math.inf, math.nan])
def test_sigma_squared_of_no_multiplier_is_refused(z):
    with pytest.raises(errors.ParameterError, match="noise multiplier"):
        sensitivity.sigma_squared(z, 100)
