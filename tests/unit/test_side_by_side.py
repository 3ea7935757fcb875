"""Pure work goes to the threads that are lent, and gives what a loop gives."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from secagg.alike import alike, carried_out_by
from secagg.engine import NumpyThreads
from secagg.side_by_side import lent, side_by_side

MANY = list(range(100))


def shout(number):
    return f"{number}!"


def where(number):
    del number
    return threading.get_ident()


@pytest.mark.parametrize("count", [0, 1, 32, 33, 64, 65, 100])
@pytest.mark.parametrize("workers", [1, 3])
def test_the_results_are_those_of_a_loop_in_order(count, workers) -> None:
    parts = MANY[:count]
    with lent(NumpyThreads(16, workers=workers).on_threads):
        assert side_by_side(shout, parts) == [shout(part) for part in parts]


def test_threads_that_are_lent_do_the_work_and_then_no_more() -> None:
    here = threading.get_ident()
    with ThreadPoolExecutor(2) as pool:
        with lent(pool.map):
            assert here not in side_by_side(where, MANY)
        assert side_by_side(where, MANY) == [here] * len(MANY)


def test_a_few_parts_stay_with_the_caller() -> None:
    with ThreadPoolExecutor(2) as pool, lent(pool.map):
        assert side_by_side(where, MANY[:32]) == [threading.get_ident()] * 32


def test_of_two_failures_the_first_in_order_is_raised() -> None:
    def work(number):
        if number in {40, 90}:
            raise ValueError(number)

    with (
        ThreadPoolExecutor(2) as pool,
        lent(pool.map),
        pytest.raises(ValueError, match="40"),
    ):
        side_by_side(work, MANY)


def test_work_that_is_shared_is_asked_for_in_the_thread_that_shares_it() -> None:
    asked = []

    def runner(function, /, *args, **kwargs):
        asked.append(threading.get_ident())
        return function(*args, **kwargs)

    with ThreadPoolExecutor(2) as pool, lent(pool.map), carried_out_by(runner):
        assert side_by_side(alike(shout), MANY) == [shout(part) for part in MANY]
    assert asked == [threading.get_ident()] * len(MANY)
