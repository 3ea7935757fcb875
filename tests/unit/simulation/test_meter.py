"""A meter books time and bytes on the party that spends them."""

import pytest

from secagg.cohort import CHUNK
from secagg.names import PeerId
from secagg.simulation.meter import CostMeter, SharedWork, peak_rss_mib

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


class Adder:
    """Adds, and remembers that it did."""

    def __init__(self):
        self.done = []

    def __call__(self, number, *, by):
        self.done.append(number + by)
        return number + by


def test_alike_work_is_done_once_and_booked_each_time(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("secagg.simulation.meter.time.perf_counter", clock.__next__)
    meter, adder = CostMeter(), Adder()
    for party in (A, S):
        with meter.at(party):
            assert meter.work(adder, 3, by=4) == 7
    assert adder.done == [7]
    # Each reading of the clock is a second: two around the work, two around that.
    assert meter.seconds == {A: 3, S: 2}
    assert meter.work.saved == 1


def test_work_with_other_arguments_is_done():
    work, adder = SharedWork(), Adder()
    assert [work(adder, 1, by=n) for n in (1, 2, 1)] == [2, 3, 2]
    assert adder.done == [2, 3]


def test_work_that_failed_is_done_again():
    work = SharedWork()
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            work(int, "x")
    assert work.saved == 0


def test_the_oldest_answer_is_forgotten_for_the_newest(monkeypatch):
    monkeypatch.setattr("secagg.simulation.meter._KNOWN", 2)
    work, adder = SharedWork(), Adder()
    for number in (1, 2, 3, 2, 1):
        work(adder, number, by=0)
    assert adder.done == [1, 2, 3, 1]
