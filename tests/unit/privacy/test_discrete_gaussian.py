"""The sampler against the exact law, with fixed keys."""

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from secagg import errors
from secagg.privacy import discrete_gaussian, exponential
from secagg.privacy.discrete_gaussian import DiscreteGaussian
from secagg.privacy.words import WordSource
from secagg.sensitivity import MAX_SIGMA_SQUARED, Adjacency

KEY = bytes(range(32))


def sample(length, sigma_squared, key=KEY):
    return np.concatenate(list(DiscreteGaussian().noise(length, sigma_squared, key)))


def exact_pmf(sigma_squared, reach):
    """P(y) for |y| <= reach, normalised over all integers, by mpmath."""
    with mpmath.workdps(40):
        weight = {
            y: mpmath.exp(-mpmath.mpf(y * y) / (2 * sigma_squared))
            for y in range(-reach, reach + 1)
        }
        # The theta function is the sum of the weights over all integers.
        total = mpmath.jtheta(3, 0, mpmath.exp(-mpmath.mpf(1) / (2 * sigma_squared)))
        return {y: float(w / total) for y, w in weight.items()}


def chi_square_tail(samples, sigma_squared):
    """P(a chi-square statistic at least as large), cells with >= 10 expected counts."""
    pmf = exact_pmf(sigma_squared, 6 * math.isqrt(sigma_squared) + 6)
    cells = [y for y, p in pmf.items() if p * len(samples) >= 10]
    counts = [int(np.count_nonzero(samples == y)) for y in cells]
    expected = [pmf[y] * len(samples) for y in cells]
    counts.append(len(samples) - sum(counts))
    expected.append(len(samples) - sum(expected))
    statistic = sum(
        (c - e) ** 2 / e for c, e in zip(counts, expected, strict=True) if e >= 1
    )
    freedom = sum(e >= 1 for e in expected) - 1
    return float(
        mpmath.gammainc(freedom / 2, statistic / 2, mpmath.inf, regularized=True)
    )


@pytest.mark.parametrize("sigma_squared", [1, 2, 3, 4, 10, 99, 100, 2500])
def test_samples_follow_the_exact_law(sigma_squared):
    assert chi_square_tail(sample(200_000, sigma_squared), sigma_squared) > 1e-3


def test_the_chi_square_notices_a_sigma_2_percent_off():
    assert chi_square_tail(sample(200_000, 100), 104) < 1e-3


def test_the_trial_and_the_geometric_step_make_the_discrete_gaussian(monkeypatch):
    # exp(-V) exp(-gamma) must be exp(-y^2 / 2 sigma^2) times a constant, for every y.
    monkeypatch.setattr(
        exponential, "uniform_is_below", lambda source, position, a, b: Fraction(a, b)
    )
    for s, v in itertools.product([1, 2, 3, 4, 8, 15, 16, 2**40 + 1], range(5)):
        sampler = discrete_gaussian._Sampler(s, WordSource(KEY))
        t = math.isqrt(s) + 1
        for u in {0, 1 % t, t // 2, t - 1}:
            y = u + t * v
            gamma = sampler._exactly_accepted(0, u, y)
            assert gamma + v == Fraction(y * y, 2 * s) + Fraction(s, 2 * t * t)


@pytest.mark.parametrize("sigma_squared", [1, 5, 2**30 + 7, 2**94 + 1])
def test_integers_alone_give_the_same_samples_as_the_float_filter(
    monkeypatch, sigma_squared
):
    filtered = sample(400, sigma_squared)
    monkeypatch.setattr(discrete_gaussian, "_BATCH", 1 << 10)
    monkeypatch.setattr(discrete_gaussian, "_MARGIN", 1 << 33)
    assert np.array_equal(sample(400, sigma_squared), filtered)


@pytest.mark.parametrize("sigma_squared", [1, 50, 2**46 + 3, 2**96 - 1])
def test_the_float_filter_errs_by_less_than_2_to_the_minus_40(sigma_squared):
    sampler = discrete_gaussian._Sampler(sigma_squared, WordSource(KEY))
    t = math.isqrt(sigma_squared) + 1
    for u, v in itertools.product({0, t // 3, t - 1}, range(24)):
        y = u + t * v
        numerator = 2 * sigma_squared * t * u + (y * t - sigma_squared) ** 2
        low, high = exponential.enclose(numerator, 2 * sigma_squared * t * t, 80)
        found = sampler._acceptance(np.array([u]), np.array([y]))[0]
        assert low - 2**40 <= int(Fraction(float(found)) * 2**80) <= high + 2**40


def test_a_tie_in_the_geometric_step_is_settled_by_further_lanes():
    sampler = discrete_gaussian._Sampler(100, WordSource(KEY))
    ties = discrete_gaussian._GEOMETRIC[1:]
    found = sampler._geometric(ties)
    for index, (word, v) in enumerate(zip(ties, found, strict=True)):
        # Word k of the table lies on both sides of exp(-k): V is k or k - 1, by what
        # the lanes at this position say after lane 0, which is not the table's here.
        position = 4 * index + 2
        expected = 0
        while exponential.uniform_is_below(WordSource(KEY), position, expected + 1, 1):
            expected += 1
        assert v == expected, word


def test_geometric_counts_the_powers_of_e_above_the_uniform():
    sampler = discrete_gaussian._Sampler(100, WordSource(KEY))
    words = np.array([2**32 - 1, 1_600_000_000, 1_500_000_000, 100], dtype=np.uint32)
    expected = [int(-math.log((w + 0.5) / 2**32)) for w in words.tolist()]
    assert sampler._geometric(words).tolist() == expected == [0, 0, 1, 17]


@pytest.mark.parametrize(
    ("r", "u", "fair"),
    [(0, 0, True), (7, 1, True), (2**63 - 3, 2, True), (2**63 - 2, 0, False)],
)
def test_a_word_beyond_the_last_whole_multiple_of_t_is_not_fair(r, u, fair):
    # t = 3, and 2^63 = 3 k + 2: the last two integers would favour U = 0 and U = 1.
    sampler = discrete_gaussian._Sampler(8, WordSource(KEY))
    bits = 2 * r + 1
    words = np.array([[bits % 2**32, bits >> 32, 0, 0]], dtype=np.uint32)
    assert [part.tolist() for part in sampler._uniform(words)] == [[u], [True], [fair]]


def test_moments_and_tails_hold_at_sigma_2_to_the_20():
    sigma = 2.0**20
    scaled = sample(400_000, 2**40) / sigma
    count = len(scaled)
    # Five standard errors of each estimate, under the normal law that is its limit.
    assert abs(scaled.mean()) < 5 / math.sqrt(count)
    assert abs((scaled**2).mean() - 1) < 5 * math.sqrt(2 / count)
    assert abs((scaled**3).mean()) < 5 * math.sqrt(15 / count)
    assert abs((scaled**4).mean() - 3) < 5 * math.sqrt(96 / count)
    for k in (1, 2, 3, 4):
        tail = math.erfc(k / math.sqrt(2))
        beyond = np.count_nonzero(np.abs(scaled) > k) / count
        assert abs(beyond - tail) < 5 * math.sqrt(tail / count)


def test_low_bits_are_uniform_at_sigma_2_to_the_20():
    counts = np.bincount(sample(64_000, 2**40) & 63, minlength=64)
    statistic = ((counts - 1000) ** 2 / 1000).sum()
    assert mpmath.gammainc(63 / 2, statistic / 2, mpmath.inf, regularized=True) > 1e-3


def test_the_widest_sigma_keeps_its_scale():
    scaled = sample(100_000, MAX_SIGMA_SQUARED) / 2.0**48
    assert abs((scaled**2).mean() - 1) < 5 * math.sqrt(2 / 100_000)


def test_the_same_key_gives_the_same_noise():
    assert np.array_equal(sample(1000, 77), sample(1000, 77))


def test_another_key_gives_other_noise():
    assert not np.array_equal(sample(1000, 77), sample(1000, 77, key=bytes(32)))


@pytest.mark.parametrize("batch", [1, 7, 1 << 10])
def test_the_size_of_the_pieces_does_not_change_the_noise(monkeypatch, batch):
    expected = sample(300, 2**30)
    monkeypatch.setattr(discrete_gaussian, "_BATCH", batch)
    assert np.array_equal(sample(300, 2**30), expected)


def test_a_shorter_noise_is_a_prefix_of_a_longer_one():
    assert np.array_equal(sample(20_000, 9)[:123], sample(123, 9))


def test_no_length_gives_no_pieces():
    assert list(DiscreteGaussian().noise(0, 1, KEY)) == []


@pytest.mark.parametrize("sigma_squared", [-1, 0, 2**96])
def test_a_sigma_squared_out_of_range_is_refused(sigma_squared):
    with pytest.raises(errors.ParameterError, match="sigma_squared"):
        DiscreteGaussian().noise(1, sigma_squared, KEY)


def test_a_negative_length_is_refused():
    with pytest.raises(errors.ParameterError, match="length"):
        DiscreteGaussian().noise(-1, 1, KEY)


def test_a_short_key_is_refused():
    with pytest.raises(errors.ParameterError, match="32 bytes"):
        DiscreteGaussian().noise(1, 1, KEY[:5])


def test_the_event_says_z_and_the_sensitivity():
    event = DiscreteGaussian().event(1.5, 100, Adjacency.ZERO_OUT)
    assert (event.mechanism, event.noise_multiplier) == ("discrete-gaussian", 1.5)
    assert (event.sensitivity_squared, event.adjacency) == (100, Adjacency.ZERO_OUT)


@pytest.mark.parametrize("z", [0.0, -1.0, math.inf, math.nan])
def test_an_event_without_a_finite_positive_multiplier_is_refused(z):
    with pytest.raises(errors.ParameterError, match="noise multiplier"):
        DiscreteGaussian().event(z, 100, Adjacency.ZERO_OUT)
