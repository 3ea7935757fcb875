"""The report of a simulated session says what it was and what it cost."""

import numpy as np
import pytest

from secagg import errors
from secagg.names import PeerId, Round
from secagg.simulation.measure import chosen, measure, random_update

TIMES = {"client_seconds_median", "client_seconds_max", "server_seconds"}


def test_a_report_counts_survivors_and_is_exact():
    report = measure(
        silos=10, params=200, drop={"masked_input": 2, "unmasking": 1}, seed=7
    )
    assert (report.u1, report.u2, report.u3, report.u4, report.u5) == (10, 10, 8, 8, 7)
    assert report.completed
    assert report.exact
    assert report.max_abs_error is not None
    assert report.error_bound is not None
    assert report.max_abs_error < report.error_bound


def test_everything_but_times_and_memory_follows_from_the_seed():
    rows = [measure(silos=5, params=50, seed=3).row() for _ in range(2)]
    varying = TIMES | {"peak_rss_mib"}
    first, second = ({k: v for k, v in row.items() if k not in varying} for row in rows)
    assert first == second


def test_a_rotated_session_is_exact_in_a_field_of_16_bits():
    report = measure(silos=5, params=300, bits=12, rotation=True, seed=3)
    assert report.exact
    assert report.width == 16
    assert report.max_abs_error is not None
    assert report.error_bound is not None
    assert report.max_abs_error < report.error_bound


def test_an_aborted_session_is_reported_with_its_code():
    report = measure(silos=4, params=10, drop={"consistency": 2}, seed=1)
    assert not report.completed
    assert not report.exact
    assert report.abort_code == "4.6-4"
    assert len(report.missing) == 2


def test_bytes_by_round_add_up():
    report = measure(silos=6, params=5000, seed=1)
    assert sum(report.bytes_up_by_round.values()) == report.bytes_up_per_client
    assert report.bytes_up_by_round["masked_input"] > 5000 * report.width / 8


@pytest.mark.parametrize("drop", [{"nowhere": 1}, {"unmasking": 7}, {"unmasking": -1}])
def test_a_loss_that_cannot_be_is_refused(drop):
    with pytest.raises(errors.ParameterError, match="drop"):
        measure(silos=6, params=10, drop=drop)


@pytest.mark.parametrize(("silos", "params"), [(2, 10), (5, 0)])
def test_sizes_out_of_range_are_refused(silos, params):
    with pytest.raises(errors.ParameterError, match="silos"):
        measure(silos=silos, params=params)


def test_nobody_falls_silent_twice():
    silos = tuple(PeerId(f"s{i}") for i in range(9))
    draw = np.random.default_rng(0)
    silent = chosen({"masked_input": 4, "unmasking": 5}, silos, draw)
    assert len(silent) == 9
    assert list(silent.values()).count(Round.MASKED_INPUT) == 4


def test_a_random_update_has_norm_one_half():
    update = random_update(np.random.default_rng(0), 100)
    assert np.linalg.norm(update) == pytest.approx(0.5)
