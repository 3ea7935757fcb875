"""A meter books time and bytes on the party that spends them."""

import pytest

from secagg.cohort import CHUNK
from secagg.names import PeerId
from secagg.simulation.meter import CostMeter, peak_rss_mib

A, S = PeerId("a"), PeerId("s")


def test_bytes_are_booked_at_both_ends_and_by_round():
    meter = CostMeter()
    meter.carry(A, S, CHUNK, 10)
    meter.carry(A, S, "MaskedInput", 5)
    meter.carry(S, A, "InputList", 7)
    assert meter.up[A] == {"masked_input": 15}
    assert meter.down[S] == {"masked_input": 15}
    assert meter.down[A] == {"masked_input": 7}


def test_an_abort_is_booked_on_the_result():
    meter = CostMeter()
    meter.carry(S, A, "Abort", 3)
    assert meter.down[A] == {"result": 3}


def raise_missing() -> None:
    raise KeyError


def test_time_is_booked_even_when_the_work_fails():
    meter = CostMeter()
    with pytest.raises(KeyError), meter.at(A):
        raise_missing()
    assert meter.seconds[A] > 0
    assert meter.seconds[S] == 0


def test_peak_memory_is_in_mebibytes():
    assert 10 < peak_rss_mib() < 1 << 20
