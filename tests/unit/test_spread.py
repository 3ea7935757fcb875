"""secagg.spread: results in order, few at a time, whatever becomes of the executor."""

import concurrent.futures
import contextlib
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from secagg import errors, spread
from secagg.spread import Spread


@dataclass(frozen=True)
class Square:
    """A piece; `breaks` says what becomes of it on an executor."""

    of: int
    breaks: str = ""

    def run(self):
        if self.breaks == "raises":
            raise ValueError(f"the secret {self.of}")
        if self.breaks == "lies":
            return "not a number"
        return self.of**2

    def fits(self, result):
        return isinstance(result, int)


def here(piece):
    return piece.of**2


class Recording(Executor):
    """Runs each piece at once, and knows how many were out at a time."""

    def __init__(self, last=10**6):
        self.submitted = 0
        self.taken = 0
        self.most = 0
        self._last = last

    def submit(self, fn, /, *args, **kwargs):
        if self.submitted >= self._last:
            raise RuntimeError("cannot schedule new futures after shutdown")
        self.submitted += 1
        self.most = max(self.most, self.submitted - self.taken)
        future: Future[object] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except ValueError as error:
            future.set_exception(error)
        return future


def results(over, pieces, ahead=3):
    return [result for _, result in over.map(pieces, here=here, ahead=ahead)]


def test_without_an_executor_all_is_done_here_one_piece_at_a_time():
    asked: list[int] = []

    def pieces():
        for k in range(5):
            asked.append(k)
            yield Square(k, "raises")

    found = Spread(None).map(pieces(), here=here, ahead=3)
    for k, (piece, result) in enumerate(found):
        assert (piece.of, result, asked[-1]) == (k, k**2, k)


def test_results_come_in_the_order_of_the_pieces():
    with ThreadPoolExecutor(2) as pool:
        found = results(Spread(pool), [Square(k) for k in range(20)])
    assert found == [k**2 for k in range(20)]


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_no_more_pieces_are_out_than_asked_for(ahead):
    pool = Recording()
    for _ in Spread(pool).map(map(Square, range(20)), here=here, ahead=ahead):
        pool.taken += 1
    assert (pool.submitted, pool.most) == (20, ahead)


@pytest.mark.parametrize("breaks", ["raises", "lies"])
@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_piece_that_comes_back_broken_is_done_here_and_so_is_the_rest(place, breaks):
    pool = Recording()
    told: list[errors.ExecutorFailed] = []
    pieces = [Square(k, breaks if k == place else "") for k in range(7)]
    assert results(Spread(pool, told.append), pieces) == [k**2 for k in range(7)]
    assert len(told) == 1
    assert pool.submitted <= place + 3


@pytest.mark.parametrize("last", range(5))
def test_an_executor_that_was_shut_down_is_done_without(last):
    told: list[errors.ExecutorFailed] = []
    over = Spread(Recording(last), told.append)
    assert results(over, map(Square, range(4))) == [0, 1, 4, 9]
    assert len(told) == (last < 4)


def test_the_failure_is_typed_and_shows_nothing_of_the_work():
    told: list[errors.ExecutorFailed] = []
    results(Spread(Recording(), told.append), [Square(123456, "raises")])
    assert type(told[0]) is errors.ExecutorFailed
    assert "ValueError" in str(told[0])
    assert "123456" not in str(told[0])


def test_an_executor_that_never_answers_is_given_up(monkeypatch):
    class Mute(Executor):
        def submit(self, fn, /, *args, **kwargs):
            return Future()

    told: list[errors.ExecutorFailed] = []
    monkeypatch.setattr(spread, "PATIENCE_SECONDS", 0.0)
    assert results(Spread(Mute(), told.append), map(Square, range(4))) == [0, 1, 4, 9]
    assert "TimeoutError" in str(told[0])


def test_what_is_still_out_is_cancelled_when_the_results_are_not_wanted():
    out: list[Future[object]] = []

    class Waiting(Executor):
        def submit(self, fn, /, *args, **kwargs):
            out.append(Future())
            return out[-1]

    found = Spread(Waiting()).map(map(Square, range(9)), here=here, ahead=4)
    with contextlib.closing(found), ThreadPoolExecutor(1) as pool:
        first = pool.submit(next, found)
        while not out:
            concurrent.futures.wait([first], timeout=0)
        out[0].set_result(0)
        first.result()
    assert [future.cancelled() for future in out] == [False, True, True, True]
