"""Epsilon against the analytic Gaussian mechanism, computed by mpmath."""

import math
import sys

import mpmath
import pytest

from secagg import errors
from secagg.privacy.accountant import Accountant
from secagg.privacy.mechanism import NoiseEvent
from secagg.sensitivity import Adjacency

DELTA = 1e-5


def event(z, mechanism="discrete-gaussian", adjacency=Adjacency.ZERO_OUT):
    return NoiseEvent(
        mechanism=mechanism,
        noise_multiplier=z,
        sensitivity_squared=10**9,
        adjacency=adjacency,
    )


def composed(*events):
    account = Accountant()
    for one in events:
        account.compose(one)
    return account


def analytic_epsilon(z, delta):
    """Balle and Wang (arXiv 1805.06530), Theorem 8, solved for epsilon by bisection."""

    def delta_at(epsilon):
        a, b = 1 / (2 * mpmath.mpf(z)), epsilon * mpmath.mpf(z)
        return mpmath.ncdf(a - b) - mpmath.exp(epsilon) * mpmath.ncdf(-a - b)

    low, high = mpmath.mpf(0), mpmath.mpf(200)
    with mpmath.workdps(60):
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if delta_at(middle) > delta else (low, middle)
        return float(high)


def renyi_epsilon(z, delta):
    """arXiv 2004.00010, Proposition 12, over a fine grid of real orders."""
    rho = 1 / (2 * z * z)
    orders = (1 + math.exp(k / 200) for k in range(-700, 1500))
    return min(
        rho * a + math.log1p(-1 / a) - math.log(delta * a) / (a - 1) for a in orders
    )


# z for epsilon = 1, 2, 4, 8 at delta = 1e-5, to three digits, by number of releases.
TABLE = {
    1: (3.73, 1.99, 1.08, 0.60),
    10: (11.8, 6.30, 3.42, 1.90),
    50: (26.4, 14.1, 7.64, 4.24),
    100: (37.3, 19.9, 10.8, 6.00),
    300: (64.6, 34.5, 18.7, 10.4),
}
ROWS = [
    (times, z, epsilon)
    for times, row in TABLE.items()
    for z, epsilon in zip(row, (1, 2, 4, 8), strict=True)
]


@pytest.mark.parametrize(("times", "z", "epsilon"), ROWS)
def test_the_design_table_is_the_analytic_gaussian(times, z, epsilon):
    # z has three digits and epsilon is at most twice as sensitive to it.
    assert analytic_epsilon(z / math.sqrt(times), DELTA) == pytest.approx(epsilon, 0.01)


@pytest.mark.parametrize(("times", "z", "epsilon"), ROWS)
def test_epsilon_is_above_the_analytic_one_by_at_most_a_tenth(times, z, epsilon):
    found = composed(*[event(z)] * times).epsilon(DELTA)
    assert epsilon * 0.99 < analytic_epsilon(z / math.sqrt(times), DELTA) < found
    assert found < 1.11 * epsilon


@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-9])
@pytest.mark.parametrize("z", [0.3, 0.6, 1.0, 4.0, 20.0, 64.0])
def test_epsilon_is_the_best_over_all_real_orders(z, delta):
    best = renyi_epsilon(z, delta)
    assert best * (1 - 1e-4) <= composed(event(z)).epsilon(delta) <= best * 1.01


def test_releases_of_different_noise_compose_as_their_precisions_add():
    z = 1 / math.sqrt(1 / 2.0**2 + 2 / 3.0**2)
    mixed = composed(event(2.0), event(3.0), event(3.0)).epsilon(DELTA)
    assert mixed == pytest.approx(composed(event(z)).epsilon(DELTA))


def test_no_release_costs_nothing():
    assert Accountant().epsilon(DELTA) == 0


def test_one_release_without_noise_costs_everything():
    account = composed(event(5.0), event(0.0, mechanism="none"), event(5.0))
    assert account.epsilon(DELTA) == math.inf


def test_epsilon_after_is_epsilon_once_composed():
    account = composed(event(5.0))
    foreseen = account.epsilon_after(event(4.0), DELTA)
    account.compose(event(4.0))
    assert account.epsilon(DELTA) == foreseen


def test_epsilon_after_composes_nothing():
    account = composed(event(5.0))
    before = account.epsilon(DELTA)
    account.epsilon_after(event(4.0), DELTA)
    assert account.epsilon(DELTA) == before


def test_a_mechanism_unknown_to_the_accountant_is_refused_not_guessed():
    with pytest.raises(errors.ParameterError, match="'skellam'"):
        Accountant().compose(event(1.0, mechanism="skellam"))


@pytest.mark.parametrize("z", [-1.0, math.inf, math.nan])
def test_a_noise_multiplier_out_of_range_is_refused(z):
    with pytest.raises(errors.ParameterError, match="noise multiplier"):
        Accountant().compose(event(z))


def test_adjacencies_do_not_mix():
    account = composed(event(1.0))
    with pytest.raises(errors.ParameterError, match="replace-one"):
        account.compose(event(1.0, adjacency=Adjacency.REPLACE_ONE))


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan])
def test_a_delta_out_of_range_is_refused(delta):
    with pytest.raises(errors.ParameterError, match="delta"):
        composed(event(1.0)).epsilon(delta)


def test_a_missing_library_is_refused_by_naming_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(errors.ParameterError, match=r"pip install 'secagg\[dp\]'"):
        composed(event(1.0)).epsilon(DELTA)


def test_releases_without_noise_need_no_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    assert composed(event(0.0, mechanism="none")).epsilon(DELTA) == math.inf
